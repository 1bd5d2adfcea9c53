"""Whether a run compiles what can be compiled, and what is said about it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from pasquin.config import TrainSettings
from pasquin.progress import Progress
from pasquin.train.batch_size import DEFAULT_EPOCHS, most_tokens
from pasquin.train.examples import EncodedPost
from pasquin.train.loss import Loss
from pasquin.train.passes import CannotCompile, has_compiler, is_there

MINUTES: Final = 4.0
"""From so long a run on, half a minute of compiling is won back."""
MINUTES_AGAIN: Final = 0.75
"""The same where it was compiled before, and is loaded in some four seconds."""
TOKENS: Final = 200_000
"""The same where tokens bound the run: the same settings give the same run, whether it was compiled before or not."""


def wants_compiled(
    loss: Loss, settings: TrainSettings, posts: Sequence[EncodedPost], before: bool | None = None
) -> bool:
    """Whether to compile: as asked, as the interrupted run did (`before`), or where it pays."""
    if settings.compile is not None:
        return settings.compile
    if before is not None:
        return before
    if loss.written is None:
        return False
    if settings.minutes:
        again = is_there(*loss.written.sizes, loss.written.dtype)
        if settings.minutes < (MINUTES_AGAIN if again else MINUTES):
            return False
    if settings.steps or settings.epochs or not settings.minutes:
        epoch = sum(len(post.conditioned.ids) for post in posts)
        epochs = (settings.epochs or DEFAULT_EPOCHS) * epoch
        tokens = min(epochs, settings.steps * most_tokens(settings)) if settings.steps else epochs
        return tokens >= TOKENS
    return True


def compile_or_say(loss: Loss, progress: Progress) -> None:
    """Compile, or say why training goes on without."""
    if loss.written is None:
        progress.say("Compiling the model as it goes: the first steps take minutes.")
    elif has_compiler() and not is_there(*loss.written.sizes, loss.written.dtype):
        progress.say("Compiling what runs between the matrix products: half a minute, once on this machine.")
    try:
        loss.compile()
    except CannotCompile as exc:
        hint = "" if has_compiler() else " With one (g++) training is about a tenth faster."
        progress.say(f"Training without compiled code: {exc}.{hint}")
