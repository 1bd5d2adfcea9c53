"""How many tokens an optimizer step reads, where the person does not say.

A run that is short from the start gains more from many small steps than from few large ones; a long one from large
ones, which also cost less arithmetic a token (figures in docs/train.md).
"""

from __future__ import annotations

from typing import Final

from pasquin.config import TrainSettings

DEFAULT_EPOCHS: Final = 4.0
"""Passes over the posts when nothing bounds the run (patience usually ends it before)."""
LEAST_TOKENS: Final = 384
MOST_TOKENS: Final = 1_536
STEPS_WORTH: Final = 100
"""Steps that a run should have before its batches grow beyond `LEAST_TOKENS`."""
LEARNING_COST: Final = 3.5
"""What a token costs in training, in forward passes: forward, backward (twice that) and the optimizer's share."""


def most_tokens(settings: TrainSettings) -> int:
    """The largest batch that a run with these settings may have."""
    return settings.batch_tokens or MOST_TOKENS


def batch_tokens(settings: TrainSettings, epoch_tokens: int, forward_rate: float) -> int:
    """The token budget of a step: as set, or by the tokens the run will read in all.

    `epoch_tokens` is one pass over the posts, `forward_rate` tokens a second of a forward pass on this machine. That
    counts only where the clock bounds the run: with other bounds the same settings give the same run everywhere.
    """
    if settings.batch_tokens or settings.steps:
        return most_tokens(settings)
    bounds = []
    if settings.minutes:
        bounds.append(settings.minutes * 60 * forward_rate / LEARNING_COST)
    if settings.epochs or not settings.minutes:
        bounds.append((settings.epochs or DEFAULT_EPOCHS) * epoch_tokens)
    return int(min(MOST_TOKENS, max(LEAST_TOKENS, min(bounds) / STEPS_WORTH)))
