"""Posts as training examples: one post a row, batches of like lengths under a token budget, in a seeded order.

Everything about epoch e is a function of (seed, e), so a resumed run needs to remember only where in it it was.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pasquin.post_format import PostFormat
from pasquin.records import CorpusPost

if TYPE_CHECKING:
    import torch
    from tokenizers import Tokenizer

IGNORED: Final = -100
"""Target of a position that is not learned (torch's own convention)."""
EVALUATION_POSTS: Final = 300


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
    """A post's two examples: without its account and, where the model is conditioned on accounts, with it."""

    plain: Example
    conditioned: Example


def conditions(posts: Sequence[CorpusPost]) -> tuple[str, ...]:
    """The handles a model of these posts can be conditioned on, most posts first; none when only one account posts."""
    counts = Counter(post.handle for post in posts)
    return tuple(handle for handle, _ in counts.most_common()) if len(counts) > 1 else ()


def encode(
    posts: Sequence[CorpusPost], post_format: PostFormat, tokenizer: Tokenizer, longest: int
) -> list[EncodedPost]:
    """The posts as tokens, in their order; posts with more than `longest` tokens are left out."""
    encoded = []
    for post in posts:
        ids, prompt = post_format.example_ids(tokenizer, post.text)
        plain = Example(ids, prompt, len(post.text.encode()))
        conditioned = plain
        if post.handle in post_format.accounts:
            header = post_format.prompt_ids(tokenizer, post.handle)
            conditioned = Example((*header, *ids[prompt:]), len(header), plain.text_bytes)
        if len(conditioned.ids) <= longest:
            encoded.append(EncodedPost(plain, conditioned))
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


def epoch_batches(
    posts: Sequence[EncodedPost], budget: int, condition_dropout: float, seed: int, epoch: int
) -> list[list[Example]]:
    """The batches of one epoch in training order; each post loses its account with probability `condition_dropout`."""
    draw = random.Random(f"{seed}/{epoch}")
    examples = [post.plain if draw.random() < condition_dropout else post.conditioned for post in posts]
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
