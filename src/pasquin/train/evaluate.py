"""How good the model is: bits per byte on held-out posts, a few samples, and how many samples copy a post."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import torch

from pasquin.records import CorpusPost
from pasquin.screen.novelty import NoveltyIndex
from pasquin.train.examples import EncodedPost, Example, batches, tensors
from pasquin.train.learner import Learner
from pasquin.train.loss import Loss

_BATCH_TOKENS: Final = 2_048
COPY_SAMPLES: Final = 64
"""Texts of a finished model that are looked at for copies."""
PROBE_SAMPLES: Final = 32
"""Texts of an unfinished one, at every evaluation: enough to see one copy in ten."""
PROBE_TOKENS: Final = 48


class Validation:
    """The fixed held-out posts on which a training is measured."""

    def __init__(self, posts: Sequence[EncodedPost], padding: int) -> None:
        """`padding` is the token that fills rows up."""
        self.bytes = sum(post.plain.text_bytes for post in posts)
        self.tokens = sum(len(post.plain.ids) for post in posts)
        self.padding = padding
        self.plain = batches([post.plain for post in posts], _BATCH_TOKENS)
        self.conditioned = batches([post.conditioned for post in posts], _BATCH_TOKENS)

    def bits_per_byte(self, loss: Loss, conditioned: bool = False) -> float:
        """Bits the model needs for the posts (text and end token) per UTF-8 byte of text; lower is better.

        Independent of the tokenizer, so models can be compared. `conditioned` tells the model each post's account.
        """
        return _nats(loss, self.conditioned if conditioned else self.plain, self.padding) / math.log(2) / self.bytes


def _nats(loss: Loss, batched: Sequence[Sequence[Example]], padding: int) -> float:
    network = loss.learner.network
    network.eval()
    total = sum(loss.nats(*tensors(batch, padding)) for batch in batched)
    network.train()
    return total


@torch.inference_mode()
def sample(learner: Learner, count: int, seed: int, longest: int = 80, temperature: float = 1.0) -> list[str]:
    """`count` texts in everybody's voice, drawn from the whole vocabulary, cut off after `longest` tokens."""
    network = learner.network
    network.eval()
    draw = torch.Generator(learner.device).manual_seed(seed)
    prompt = learner.post_format.prompt_ids(learner.tokenizer)
    end = learner.post_format.end_id
    ids = torch.tensor([prompt] * count, device=learner.device)
    cache, running, drawn = None, torch.ones(count, dtype=torch.bool, device=learner.device), []
    with learner.autocast():
        for _ in range(min(longest, learner.context - len(prompt) - 1)):
            output = learner.model(input_ids=ids, past_key_values=cache, use_cache=True)
            cache = output.past_key_values
            shares = torch.softmax(output.logits[:, -1].float() / temperature, -1)
            ids = torch.multinomial(shares, 1, generator=draw)
            ids[~running] = end
            running = running & (ids[:, 0] != end)
            drawn.append(ids)
            if not running.any():
                break
    network.train()
    rows = torch.cat(drawn, 1).tolist()
    return [learner.tokenizer.decode(row[: row.index(end)] if end in row else row).strip() for row in rows]


class CopyProbe:
    """Tells how much of what a model writes is copied from the posts it learns from."""

    def __init__(self, posts: Sequence[CorpusPost]) -> None:
        """`posts` are those of the train split."""
        self._index = NoveltyIndex((post.uri, post.text) for post in posts)

    def rate(self, texts: Sequence[str]) -> float:
        """Share of non-empty texts that are copies, whole or nearly, of a post (`screen.novelty` defines both)."""
        judged = [self._index.certificate(text).kind for text in texts if text]
        return sum(kind != "novel" for kind in judged) / max(1, len(judged))
