"""Posts as training examples: one post a row, batches of like lengths under a token budget, in a seeded order.

Everything about epoch e is a function of (seed, e), so a resumed run needs to remember only where in it it was.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pasquin.post_format import PostFormat
from pasquin.records import CorpusPost
from pasquin.train.topics import SHOWN, topics

if TYPE_CHECKING:
    import torch
    from tokenizers import Tokenizer

IGNORED: Final = -100
"""Target of a position that is not learned (torch's own convention)."""
EVALUATION_POSTS: Final = 300
_TOPIC_ROOM: Final = 64
"""Tokens that the words before a post may take at most."""


@dataclass(frozen=True, slots=True)
class Example:
    """A whole post as tokens; the first `prompt` of them (boundary and condition) are not learned.

    `text_bytes` is the length of its text in UTF-8.
    """

    ids: tuple[int, ...]
    prompt: int
    text_bytes: int


@dataclass(frozen=True, slots=True)
class EncodedPost:
    """A post's two examples: without its account and, where the model is conditioned on accounts, with it.

    `topics` are words it is about; none where the model learns no topics.
    """

    plain: Example
    conditioned: Example
    account: str | None = None
    topics: tuple[str, ...] = ()


def conditions(posts: Sequence[CorpusPost]) -> tuple[str, ...]:
    """The handles a model of these posts can be conditioned on, most posts first; none when only one account posts."""
    counts = Counter(post.handle for post in posts)
    return tuple(handle for handle, _ in counts.most_common()) if len(counts) > 1 else ()


def encode(
    posts: Sequence[CorpusPost], post_format: PostFormat, tokenizer: Tokenizer, longest: int
) -> list[EncodedPost]:
    """The posts as tokens, in their order; posts with more than `longest` tokens are left out."""
    encoded = []
    found = topics([post.text for post in posts]) if post_format.about else [()] * len(posts)
    for post, words in zip(posts, found, strict=True):
        ids, prompt = post_format.example_ids(tokenizer, post.text)
        plain = Example(ids, prompt, len(post.text.encode()))
        conditioned = plain
        if post.handle in post_format.accounts:
            header = post_format.prompt_ids(tokenizer, post.handle)
            conditioned = Example((*header, *ids[prompt:]), len(header), plain.text_bytes)
        if len(conditioned.ids) <= longest:
            account = post.handle if conditioned is not plain else None
            short = len(conditioned.ids) + _TOPIC_ROOM <= longest
            encoded.append(EncodedPost(plain, conditioned, account, words if short else ()))
    return encoded


def batches(examples: Sequence[Example], budget: int, draw: random.Random | None = None) -> list[list[Example]]:
    """Examples of like length together, at most `budget` tokens a batch with padding, at least one example each.

    With `draw`, examples of the same length and the batches themselves come in random order.
    """
    order = list(examples)
    if draw:
        draw.shuffle(order)
    order.sort(key=lambda example: len(example.ids))
    result: list[list[Example]] = []
    for example in order:
        if not result or len(example.ids) * (len(result[-1]) + 1) > budget:
            result.append([])
        result[-1].append(example)
    if draw:
        draw.shuffle(result)
    return result


Header = Callable[[str | None, Sequence[str]], tuple[int, ...]]
"""Token ids in front of a text by an account (None: anybody) about some words."""


def epoch_batches(
    posts: Sequence[EncodedPost],
    budget: int,
    condition_dropout: float,
    seed: int,
    epoch: int,
    about: float = 0.0,
    header: Header | None = None,
) -> list[list[Example]]:
    """The batches of one epoch in training order; each post loses its account with probability `condition_dropout`.

    With probability `about` one to `SHOWN` of its topics stand before it, in `header`.
    """
    draw = random.Random(f"{seed}/{epoch}")
    examples = []
    for post in posts:
        plain = draw.random() < condition_dropout
        example = post.plain if plain else post.conditioned
        if header is not None and post.topics and draw.random() < about:
            words = draw.sample(post.topics, min(draw.randint(1, SHOWN), len(post.topics)))
            front = header(None if plain else post.account, words)
            example = Example((*front, *example.ids[example.prompt :]), len(front), example.text_bytes)
        examples.append(example)
    return batches(examples, budget, draw)


def evaluation_posts(posts: Sequence[CorpusPost]) -> list[CorpusPost]:
    """The fixed subset of a validation split on which training is measured: at most `EVALUATION_POSTS`."""
    return random.Random(0).sample(list(posts), min(len(posts), EVALUATION_POSTS))


def tensors(batch: Sequence[Example], padding: int) -> tuple[torch.Tensor, torch.Tensor]:
    """(inputs, targets), both int64 of shape (examples, longest - 1): targets are the inputs' next tokens.

    Rows are padded on the right, so under causal attention no real token ever sees padding and no mask is needed;
    prompt and padding targets are `IGNORED`.
    """
    import torch

    longest = max(len(example.ids) for example in batch)
    inputs = torch.full((len(batch), longest - 1), padding)
    targets = torch.full((len(batch), longest - 1), IGNORED)
    for row, example in enumerate(batch):
        ids = torch.tensor(example.ids)
        inputs[row, : len(ids) - 1] = ids[:-1]
        targets[row, example.prompt - 1 : len(ids) - 1] = ids[example.prompt :]
    return inputs, targets
