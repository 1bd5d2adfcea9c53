"""Intervals for figures of guesses that belong to players.

Guesses of one player resemble each other, so n guesses are worth fewer than n independent ones, and an interval that
forgets this is too narrow. Every figure here is a smooth function of a few proportions (cells); its variance is the
cluster-robust "sandwich" with the CR2 leverage correction (Bell and McCaffrey 2002), which for proportions is exact
and cheap: each player's summed residual in a cell is divided by the root of one minus the player's share of the cell.
Intervals use Student's t with the degrees of freedom of Imbens and Kolesár (2016): a thousand players of whom one gave
half of all guesses are few. Proportions get their interval on the logit scale, so that it stays between 0 and 1.
`benchmarks/coverage.py` shows that these cover what they claim, and what narrower ones cover.

Clusters of two kinds at once (players and items) follow Cameron, Gelbach and Miller 2011.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from pasquin.measure.arrays import Codes, Floats, codes, shares

LEVEL = 0.95


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure with its interval: of `n` guesses by `clusters` players (or items), `df` degrees of freedom.

    `low` and `high` are None (and `se` is NaN) where the data say nothing about them, `value` never is.
    """

    value: float
    low: float | None
    high: float | None
    se: float
    n: int
    clusters: int
    df: float

    def as_dict(self) -> dict[str, float | int | None]:
        """For JSON: value, low, high, n, players."""
        return {"value": self.value, "low": self.low, "high": self.high, "n": self.n, "players": self.clusters}


@dataclass(frozen=True, slots=True)
class Cells:
    """Sums of K cells by cluster: `yes` and `n` have shape (K, G)."""

    yes: Floats
    n: Floats

    @property
    def total(self) -> Floats:
        """Guesses a cell, shape (K,)."""
        return np.asarray(self.n.sum(axis=1), dtype=np.float64)

    @property
    def share(self) -> Floats:
        """Proportion a cell, shape (K,); NaN where a cell is empty."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(self.yes.sum(axis=1) / self.total, dtype=np.float64)

    @property
    def clusters(self) -> int:
        """Clusters that have any guess in any cell."""
        return int(np.count_nonzero(self.n.sum(axis=0)))


def cells(yes: Floats, cell: Codes, cluster: Codes, number: int) -> Cells:
    """Tabulate 0/1 outcomes `yes` by `cell` (0 to `number` - 1) and `cluster`, each of shape (n,)."""
    size = int(cluster.max()) + 1 if len(cluster) else 0
    at = cell * size + cluster
    shape = (number, size)
    count = np.bincount(at, minlength=number * size).astype(np.float64).reshape(shape)
    tallied = np.bincount(at, weights=yes, minlength=number * size).astype(np.float64)
    return Cells(tallied.reshape(shape), count)


def variance(table: Cells, gradient: Floats) -> tuple[float, float]:
    """CR2 variance and degrees of freedom of a figure with `gradient` (K,) by the shares of the cells.

    A cell in which all or none say yes shows no variation: it gets that of one answer a cluster (the most careful
    guess) at the log-linear share. NaN where a cell has fewer than two clusters.
    """
    total, share = table.total, table.share
    used = gradient != 0
    if not used.any():
        return 0.0, max(table.clusters - 1.0, 1.0)
    answering = np.count_nonzero(table.n, axis=1)
    if (answering[used] < 2).any():
        return float("nan"), 0.0
    n, yes = table.n[used], table.yes[used]
    total, share, weight = total[used][:, None], share[used][:, None], gradient[used][:, None]
    part = n / total
    residual = weight * (yes - share * n) / total / np.sqrt(1 - part)
    extreme = ((share == 0) | (share == 1))[:, 0]
    corrected = (yes.sum(axis=1) + 0.5) / (total[:, 0] + 1)
    spread = corrected * (1 - corrected)
    careful = (weight[:, 0] ** 2 * spread / answering[used])[extreme]
    found = float((residual.sum(axis=0) ** 2).sum() + careful.sum())
    return found, _degrees(residual, part, total, weight**2 * spread[:, None] / total**2)


def _degrees(residual: Floats, part: Floats, total: Floats, scale: Floats) -> float:
    """Imbens and Kolesár's degrees of freedom: Satterthwaite's, the guesses of a player correlated as the data show.

    All but `total` and `scale` (K, 1) are (K, G); `scale` is the variance that one independent guess brings. With M_gh
    the covariance of what clusters g and h contribute, df = tr(M)² / tr(M²), in closed form as M is of low rank off its
    diagonal. Contributions to different cells count as independent.
    """
    excess = (part**2).sum(axis=1, keepdims=True) * total - 1
    with np.errstate(invalid="ignore", divide="ignore"):
        inflation = (residual**2).sum(axis=1, keepdims=True) / (scale * total)
        correlation = np.nan_to_num(np.clip((inflation - 1) / excess, 0, 1), nan=0.0)
    n = part * total
    expected = scale * (n * (1 - correlation) + correlation * n**2)
    whole = expected.sum(axis=1, keepdims=True)
    lever = 1 / np.sqrt(1 - part)
    own = lever**2 * (expected - 2 * expected * part + part**2 * whole)
    squares = float((own.sum(axis=0) ** 2).sum())
    for k in range(len(part)):
        for m in range(len(part)):
            both = lever[k] * lever[m]
            squares += _off_diagonal(both, expected[k], expected[m], part[k], part[m])
    return max(float(own.sum()) ** 2 / squares, 1.0)


def _off_diagonal(both: Floats, s: Floats, t: Floats, p: Floats, q: Floats) -> float:
    """Sum over g ≠ h of M_gh of one cell times M_gh of another, each (s_g p_h + s_h p_g - p_g p_h Σs) / levers."""

    def sums(x: Floats, y: Floats) -> float:
        return float((both * x * y).sum())

    pq, sq, pt, first, second = sums(p, q), sums(s, q), sums(p, t), float(s.sum()), float(t.sum())
    everywhere = 2 * sums(s, t) * pq + 2 * sq * pt - 2 * second * sq * pq - 2 * first * pt * pq + first * second * pq**2
    diagonal = both**2 * (2 * s * p - p**2 * first) * (2 * t * q - q**2 * second)
    return everywhere - float(diagonal.sum())


def proportion(
    yes: Sequence[Any] | NDArray[Any], player: Sequence[Any] | NDArray[Any], level: float = LEVEL
) -> Estimate | None:
    """The share of `yes` (n,) with an interval clustered by `player` (n,); None when there is no guess.

    With one player the interval is [0, 1]: one person says nothing about others. When all or none say yes it is Clopper
    and Pearson's with one answer a player. Raises InputError (NaN, lengths that differ).
    """
    outcome = shares(yes, "yes")
    cluster = codes(player, "player", len(outcome))
    if not len(outcome):
        return None
    return share_of(cells(outcome, np.zeros(len(outcome), dtype=np.int64), cluster, 1), level)


def share_of(table: Cells, level: float = LEVEL) -> Estimate:
    """The share of the one cell of `table`; see `proportion`."""
    value, n, clusters = float(table.share[0]), int(table.total[0]), table.clusters
    spread, df = variance(table, np.ones(1))
    return logit_interval(value, spread, df, n, clusters, level)


def logit_interval(value: float, spread: float, df: float, n: int, clusters: int, level: float = LEVEL) -> Estimate:
    """The interval of a proportion from its variance `spread`, on the logit scale; bounds are within [0, 1]."""
    if clusters < 2 or np.isnan(spread):
        return Estimate(value, 0.0, 1.0, float("nan"), n, clusters, df)
    tail = (1 - level) / 2
    if value in (0.0, 1.0):
        reach = 1 - tail ** (1 / clusters)
        low, high = (0.0, reach) if value == 0 else (1 - reach, 1.0)
        return Estimate(value, low, high, float("nan"), n, clusters, df)
    se = spread**0.5
    middle, reach = special.logit(value), special.stdtrit(df, 1 - tail) * se / (value * (1 - value))
    return Estimate(
        value, float(special.expit(middle - reach)), float(special.expit(middle + reach)), se, n, clusters, df
    )


def plain_interval(value: float, spread: float, df: float, n: int, clusters: int, level: float = LEVEL) -> Estimate:
    """The interval of a figure without bounds (d', c, a difference)."""
    if clusters < 2 or np.isnan(spread):
        return Estimate(value, None, None, float("nan"), n, clusters, df)
    se = spread**0.5
    reach = float(special.stdtrit(df, 1 - (1 - level) / 2)) * se
    return Estimate(value, value - reach, value + reach, se, n, clusters, df)


def difference(
    yes: Sequence[Any] | NDArray[Any],
    second: Sequence[Any] | NDArray[Any],
    player: Sequence[Any] | NDArray[Any],
    level: float = LEVEL,
) -> Estimate | None:
    """Share of `yes` where `second` is 1 minus where it is 0, clustered by `player`, who may have guessed in both.

    None when one side has no guess. The bounds are within [-1, 1].
    """
    outcome = shares(yes, "yes")
    side = shares(second, "second").astype(np.int64)
    table = cells(outcome, side, codes(player, "player", len(outcome)), 2)
    if (table.total == 0).any():
        return None
    spread, df = variance(table, np.array([-1.0, 1.0]))
    found = plain_interval(float(table.share[1] - table.share[0]), spread, df, len(outcome), table.clusters, level)
    low, high = (-1.0, 1.0) if found.low is None or found.high is None else (max(found.low, -1.0), min(found.high, 1.0))
    return Estimate(found.value, low, high, found.se, found.n, found.clusters, found.df)


@dataclass(frozen=True, slots=True)
class Clustering:
    """How much guesses of one player, and guesses about one item, resemble each other.

    `by_player` and `by_item` are design effects: how many times the variance is that of as many independent guesses.
    `two_way` is the interval for other players *and* other items of the same kind.
    """

    by_player: float
    by_item: float
    two_way: Estimate


def clustering(
    yes: Sequence[Any] | NDArray[Any],
    player: Sequence[Any] | NDArray[Any],
    item: Sequence[Any] | NDArray[Any],
    level: float = LEVEL,
) -> Clustering | None:
    """Design effects of a share by player and by item, and its two-way interval; None with fewer than two of either.

    Cameron, Gelbach and Miller (2011): the variance by player plus that by item minus that of single guesses, and
    never less than the larger of the two.
    """
    outcome = shares(yes, "yes")
    by_player, by_item = codes(player, "player", len(outcome)), codes(item, "item", len(outcome))
    if not len(outcome):
        return None
    one, gradient = np.zeros(len(outcome), dtype=np.int64), np.ones(1)
    tables = [cells(outcome, one, by_player, 1), cells(outcome, one, by_item, 1)]
    value = float(tables[0].share[0])
    single = value * (1 - value) / len(outcome)
    found = [variance(table, gradient) for table in tables]
    if single == 0 or any(np.isnan(spread) for spread, _ in found):
        return None
    (players, player_df), (items, item_df) = found
    both = max(players, items, players + items - single)
    df = min(player_df, item_df)
    estimate = logit_interval(value, both, df, len(outcome), tables[0].clusters, level)
    return Clustering(players / single, items / single, estimate)
