"""Texts of a setting with the loss of every token, out of a running batch; and the losses of real posts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pasquin.engines import LocalEngine
from pasquin.engines.decoding import completion
from pasquin.engines.transformers import Transformers
from pasquin.records import Completion, Prompt, Sampling

if TYPE_CHECKING:
    import numpy as np
    from tokenizers import Tokenizer

    Losses = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True, slots=True)
class Drawn:
    """A completion, and the loss of each of its tokens in nats under the model itself, its end token included."""

    completion: Completion
    losses: Losses


def draw(
    engine: LocalEngine, prompts: Sequence[Prompt], sampling: Sampling, batch: int, end_id: int, tokenizer: Tokenizer
) -> list[Drawn]:
    """A completion of each prompt, in their order. Raises ModelError."""
    import numpy as np

    session, waiting = engine.session(batch), list(enumerate(prompts))[::-1]
    live: dict[int, int] = {}
    found: dict[int, Drawn] = {}
    try:
        while waiting or live:
            while waiting and session.fits(waiting[-1][1], sampling):
                index, prompt = waiting.pop()
                live[session.add(prompt, sampling, log_probs=True)] = index
            for drawn in session.step():
                index = live.pop(drawn.number)
                done = completion(index, drawn.token_ids, end_id, tokenizer, sampling)
                found[index] = Drawn(done, -np.array(drawn.log_probs, dtype=np.float64))
    finally:
        session.close()
    return [found[index] for index in range(len(prompts))]


def human_losses(model_dir: Path, texts: Sequence[str]) -> list[Losses] | None:
    """The token losses of real posts under the model, None where torch is not installed."""
    if Transformers.supports(model_dir) is not None:
        return None
    from pasquin.engines.likelihood import token_losses

    return token_losses(model_dir, texts)
