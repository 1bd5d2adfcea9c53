"""Reading figures while data arrive.

A 95% interval is right for one look. Who looks after every player and stops when a figure pleases is wrong far more
often than 5% of the time: with enough looks, always. A confidence sequence holds at all times together, so one may
look whenever one likes and stop for whatever reason. These are the asymptotic ones of Waudby-Smith, Arbour, Sinha,
Kennedy and Ramdas (2024, Annals of Statistics), with players as the units that arrive: at t players the usual
half-width z·se becomes se·√(2(tρ²+1)/(tρ²)·log(√(tρ²+1)/α)), about 1.6 times as wide where it is narrowest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from pasquin.measure.arrays import Codes, Floats, codes, shares
from pasquin.measure.clustered import LEVEL, Cells, Estimate, cells, share_of, variance

FEWEST_PLAYERS = 20
"""Before so many players nothing is said: the sequences are asymptotic."""


@dataclass(frozen=True, slots=True)
class Look:
    """A share as it stood after `n` guesses of `players` players.

    `fixed` is the interval for a single look planned beforehand; `low` and `high` hold at all looks together.
    """

    n: int
    players: int
    value: float
    fixed: Estimate
    low: float
    high: float


def multiplier(players: float, level: float = LEVEL, narrowest_at: float = 200.0) -> float:
    """How many standard errors a confidence sequence reaches at `players` players."""
    alpha = 1 - level
    rho = ((-2 * np.log(alpha) + np.log(-2 * np.log(alpha) + 1)) / narrowest_at) ** 0.5
    scale = players * rho**2
    return float(np.sqrt(2 * (scale + 1) / scale * np.log(np.sqrt(scale + 1) / alpha)))


def looks(
    yes: Sequence[Any] | NDArray[Any],
    player: Sequence[Any] | NDArray[Any],
    *,
    number: int = 40,
    level: float = LEVEL,
    narrowest_at: float = 200.0,
) -> list[Look]:
    """`number` looks at a growing record of guesses, in the order of the arrays (n,); the last has all of them.

    None before `FEWEST_PLAYERS` players. Raises InputError.
    """
    outcome = shares(yes, "yes")
    cluster = codes(player, "player", len(outcome))
    if not len(outcome):
        return []
    arrived = np.sort(np.unique(cluster, return_index=True)[1])
    if len(arrived) < FEWEST_PLAYERS:
        return []
    first = int(arrived[FEWEST_PLAYERS - 1]) + 1
    ends = np.unique(np.linspace(first, len(outcome), number).astype(np.int64))
    return [_look(table, level, narrowest_at) for table in _growing(outcome, cluster, ends)]


def _growing(outcome: Floats, cluster: Codes, ends: Codes) -> list[Cells]:
    """The cells at each of `ends`, each from the one before, so that all guesses are tabulated once."""
    size = int(cluster.max()) + 1
    yes, count, start, tables = np.zeros((1, size)), np.zeros((1, size)), 0, []
    for end in ends:
        part = slice(start, int(end))
        more = cells(outcome[part], np.zeros(int(end) - start, dtype=np.int64), cluster[part], 1)
        width = more.n.shape[1]
        yes, count = yes.copy(), count.copy()
        yes[:, :width] += more.yes
        count[:, :width] += more.n
        tables.append(Cells(yes, count))
        start = int(end)
    return tables


def _look(table: Cells, level: float, narrowest_at: float) -> Look:
    fixed = share_of(table, level)
    spread, _ = variance(table, np.ones(1))
    value = fixed.value
    if np.isnan(spread) or value in (0.0, 1.0):
        return Look(fixed.n, fixed.clusters, value, fixed, 0.0, 1.0)
    # Student's t for few players, as in the fixed interval: both reaches are stretched alike.
    stretch = special.stdtrit(fixed.df, 0.5 + level / 2) / special.ndtri(0.5 + level / 2)
    reach = multiplier(fixed.clusters, level, narrowest_at) * stretch * spread**0.5 / (value * (1 - value))
    middle = special.logit(value)
    low, high = float(special.expit(middle - reach)), float(special.expit(middle + reach))
    return Look(fixed.n, fixed.clusters, value, fixed, low, high)
