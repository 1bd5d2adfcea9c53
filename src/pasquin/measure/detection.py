"""Signal detection: how well people tell model items from human ones (d'), and which way they lean (c).

The signal is the model: a *hit* is a model item judged to be one, a *false alarm* a human item judged to be one. With
H and F the shares of these, d' = z(H) - z(F) and c = -(z(H) + z(F)) / 2, z being the normal quantile (Green and Swets
1966; Macmillan and Creelman 2005). d' = 0 is guessing; c > 0 leans to "human". Shares carry the log-linear correction,
(count + 0.5) / (number + 1), so that 0 and 1 stay finite (Hautus 1995).

Figures of many players are those of the crowd: of the pooled shares. Where players differ in bias, the crowd's d' is
somewhat below the mean of the players' own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from pasquin.measure.arrays import Codes, Flags, Floats, codes, shares
from pasquin.measure.clustered import LEVEL, Cells, Estimate, cells, logit_interval, plain_interval, variance


@dataclass(frozen=True, slots=True)
class Detection:
    """d', c and the area under the ROC curve that d' stands for, Φ(d'/√2), each with its interval."""

    d_prime: Estimate
    c: Estimate
    auc: Estimate


def log_linear(count: float, number: float) -> float:
    """A share that is never 0 or 1: (count + 0.5) / (number + 1), Hautus 1995."""
    return (count + 0.5) / (number + 1)


def d_prime_and_c(hits: float, signals: float, false_alarms: float, noises: float) -> tuple[float, float]:
    """d' and c of counts, with the log-linear correction."""
    hit, alarm = (float(special.ndtri(log_linear(*pair))) for pair in ((hits, signals), (false_alarms, noises)))
    return hit - alarm, -(hit + alarm) / 2


def d_prime_of(hit_share: float, false_alarm_share: float) -> float:
    """d' of shares strictly between 0 and 1, without correction."""
    return float(special.ndtri(hit_share) - special.ndtri(false_alarm_share))


def detection(
    from_model: Sequence[Any] | NDArray[Any],
    judged_model: Sequence[Any] | NDArray[Any],
    player: Sequence[Any] | NDArray[Any],
    level: float = LEVEL,
) -> Detection | None:
    """d', c and AUC of guesses, each array (n,), clustered by player; None unless there are items of both origins.

    The interval is the delta method's on the cluster-robust covariance of both shares (a player who leans to one answer
    moves both). Raises InputError (NaN, lengths that differ).
    """
    signal, answer = shares(from_model, "from_model"), shares(judged_model, "judged_model")
    cluster = codes(player, "player", len(signal))
    codes(answer, "judged_model", len(signal))
    return detection_of(cells(answer, signal.astype(np.int64), cluster, 2), level)


def two_alternative(
    right: Sequence[Any] | NDArray[Any], player: Sequence[Any] | NDArray[Any], level: float = LEVEL
) -> Estimate | None:
    """d' of choices between two texts, one of each origin: √2·z(share right), comparable with the other d'.

    Each choice is one entry of `right` (n,); None when there is none (Macmillan and Creelman 2005, chapter 7).
    """
    outcome = shares(right, "right")
    cluster = codes(player, "player", len(outcome))
    if not len(outcome):
        return None
    table = cells(outcome, np.zeros(len(outcome), dtype=np.int64), cluster, 1)
    z = float(special.ndtri(log_linear(float(outcome.sum()), len(outcome))))
    spread, df = variance(table, np.array([2 * np.sqrt(np.pi) * np.exp(z**2 / 2)]))
    return plain_interval(2**0.5 * z, spread, df, len(outcome), table.clusters, level)


def detection_of(table: Cells, level: float = LEVEL) -> Detection | None:
    """The same from cells: row 0 human items, row 1 model items, `yes` those judged to be a model's."""
    noises, signals = table.total
    if noises == 0 or signals == 0:
        return None
    alarms, hits = table.yes.sum(axis=1)
    d_prime, c = d_prime_and_c(hits, signals, alarms, noises)
    z = np.array([special.ndtri(log_linear(alarms, noises)), special.ndtri(log_linear(hits, signals))])
    slope = np.sqrt(2 * np.pi) * np.exp(z**2 / 2)
    n, clusters = int(noises + signals), table.clusters
    spread, df = variance(table, slope * np.array([-1.0, 1.0]))
    bias_spread, bias_df = variance(table, slope * -0.5)
    found = plain_interval(d_prime, spread, df, n, clusters, level)
    return Detection(found, plain_interval(c, bias_spread, bias_df, n, clusters, level), _area(found))


def _area(d_prime: Estimate) -> Estimate:
    """AUC = Φ(d'/√2), the share of pairs in which an observer with this d' picks the model (two-alternative task)."""
    value, low, high = (None if x is None else float(special.ndtr(x / 2**0.5)) for x in _bounds(d_prime))
    assert value is not None
    return Estimate(
        value,
        0.0 if low is None else low,
        1.0 if high is None else high,
        float("nan"),
        d_prime.n,
        d_prime.clusters,
        d_prime.df,
    )


def _bounds(estimate: Estimate) -> tuple[float, float | None, float | None]:
    return estimate.value, estimate.low, estimate.high


def area_under_curve(scores: Floats, positive: Flags, level: float = LEVEL) -> Estimate | None:
    """AUC of `scores` (n,) for telling `positive` (n,) apart, with DeLong's interval on the logit scale.

    DeLong, DeLong and Clarke-Pearson 1988, by ranks (Sun and Xu 2014). None unless both kinds are there.
    """
    from scipy.stats import rankdata

    ours, theirs = scores[positive], scores[~positive]
    m, n = len(ours), len(theirs)
    if m == 0 or n == 0:
        return None
    ranks = rankdata(np.concatenate([ours, theirs]))
    value = float((ranks[:m].sum() - m * (m + 1) / 2) / (m * n))
    above = (ranks[:m] - rankdata(ours)) / n
    below = 1 - (ranks[m:] - rankdata(theirs)) / m
    spread = float(above.var(ddof=1) / m + below.var(ddof=1) / n) if min(m, n) > 1 else float("nan")
    return logit_interval(value, spread, float(min(m, n) - 1) or 1.0, m + n, min(m, n), level)


def detection_cells(from_model: Flags, judged_model: Flags, player: Codes) -> Cells:
    """Cells for `detection_of`: row 0 human items, row 1 model items."""
    return cells(judged_model.astype(np.float64), from_model.astype(np.int64), player, 2)
