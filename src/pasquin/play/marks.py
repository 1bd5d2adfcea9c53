"""Rules, fixed before any data was seen, by which guesses and players are marked as not to be counted.

They look at how somebody played, never at whether they were right. A mark changes nothing for the player: it keeps
them off the ranked board, and is stored so that a reader of the figures can count with and without it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pasquin.records import Origin

GUESS_RULES: Final = {
    "fast": "answered in less than half a second by either clock: nobody reads that fast",
    "clock": "the browser says it took longer than our own clock allows, by more than two seconds",
    "slow": "answered after more than ten minutes: the player was away",
}
PLAYER_RULES: Final = {
    "hasty": "half or more of at least ten guesses are marked fast",
    "regular": "twenty guesses in a row took the same time: their standard deviation is under a tenth of their mean",
    "one_answer": "thirty guesses in a row were the same answer",
    "inattentive": "two attention checks were answered wrongly",
}

_FAST_MS: Final = 500
_CLOCK_MS: Final = 2_000
_SLOW_MS: Final = 600_000
_HASTY_GUESSES: Final = 10
_REGULAR_GUESSES: Final = 20
_REGULAR_SPREAD: Final = 0.1
_ONE_ANSWER_GUESSES: Final = 30
_FAILED_CHECKS: Final = 2


@dataclass(frozen=True, slots=True)
class Answered:
    """How one card was answered: nothing about right or wrong."""

    guess: Origin
    server_ms: int
    mark: str | None


def guess_mark(response_ms: int, server_ms: int) -> str | None:
    """The rule that speaks against a guess, by its response time in ms by the browser's clock and by ours."""
    if min(response_ms, server_ms) < _FAST_MS:
        return "fast"
    if response_ms > server_ms + _CLOCK_MS:
        return "clock"
    return "slow" if server_ms > _SLOW_MS else None


def player_rules(answers: Sequence[Answered], failed_checks: int) -> set[str]:
    """The rules that speak against a player, by their answers in order of time (attention checks not among them)."""
    found: set[str] = set()
    fast = sum(answer.mark == "fast" for answer in answers)
    if len(answers) >= _HASTY_GUESSES and fast * 2 >= len(answers):
        found.add("hasty")
    times = [answer.server_ms for answer in answers[-_REGULAR_GUESSES:]]
    if len(times) == _REGULAR_GUESSES and _deviation(times) < _REGULAR_SPREAD * sum(times) / len(times):
        found.add("regular")
    last = {answer.guess for answer in answers[-_ONE_ANSWER_GUESSES:]}
    if len(answers) >= _ONE_ANSWER_GUESSES and len(last) == 1:
        found.add("one_answer")
    if failed_checks >= _FAILED_CHECKS:
        found.add("inattentive")
    return found


def _deviation(times: Sequence[int]) -> float:
    """Standard deviation; `statistics.pstdev` is exact and a hundred times as slow, and this runs with every guess."""
    mean = sum(times) / len(times)
    return math.sqrt(sum((each - mean) ** 2 for each in times) / len(times))
