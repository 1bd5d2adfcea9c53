"""How many guesses a study needs."""

from __future__ import annotations

import math
from dataclasses import dataclass

from scipy import special

from pasquin.errors import UsageError
from pasquin.measure.clustered import LEVEL


@dataclass(frozen=True, slots=True)
class Need:
    """What a half-width of `margin` takes: independent guesses, guesses of these players, and such players."""

    margin: float
    independent: int
    guesses: int
    players: int | None


def independent_guesses(margin: float, level: float = LEVEL, share: float = 0.5) -> int:
    """Independent guesses for an interval of ± `margin` (0 to 1) about `share`: z²p(1-p)/margin² (Cochran 1977, 4.4).

    385 for ±5 points at 95%. Raises UsageError unless margin, level and share are between 0 and 1.
    """
    if not (0 < margin < 1 and 0 < level < 1 and 0 < share < 1):
        raise UsageError("Margin, level and share must lie between 0 and 1, for example a margin of 0.05.")
    z = float(special.ndtri(0.5 + level / 2))
    return math.ceil(z**2 * share * (1 - share) / margin**2 - 1e-9)


def need(margin: float, *, design_effect: float = 1.0, guesses_per_player: float | None = None) -> Need:
    """What ± `margin` takes when guesses of one player resemble each other as `design_effect` says (Kish 1965)."""
    independent = independent_guesses(margin)
    guesses = math.ceil(independent * max(design_effect, 1.0))
    return Need(margin, independent, guesses, math.ceil(guesses / guesses_per_player) if guesses_per_player else None)
