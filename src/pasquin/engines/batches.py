"""A list of prompts through a session: what `Engine.generate` is made of."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING

from pasquin.engines.decoding import completion
from pasquin.records import Completion, Prompt, Sampling

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from pasquin.engines import Session


def complete(
    session: Session, prompts: Sequence[Prompt], sampling: Sampling, end_id: int, tokenizer: Tokenizer
) -> Generator[Completion, None, None]:
    """One completion for each prompt as they end; a prompt joins, in order, as soon as it fits. Closes the session."""
    waiting = iter(enumerate(prompts))
    upcoming = next(waiting, None)
    live: dict[int, int] = {}
    try:
        while upcoming is not None or live:
            while upcoming is not None and session.fits(upcoming[1], sampling):
                live[session.add(upcoming[1], sampling)] = upcoming[0]
                upcoming = next(waiting, None)
            for drawn in session.step():
                yield completion(live.pop(drawn.number), drawn.token_ids, end_id, tokenizer, sampling)
    finally:
        session.close()
