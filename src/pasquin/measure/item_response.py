"""Item response: how hard each item is and how able each player, on one scale.

P(right) = logistic(a(θ - b)): θ the player's ability, standard normal over players; b the item's difficulty; a how
sharply the item divides players, the same for all items (1PL, Rasch) or its own (2PL, Birnbaum). Fitted by marginal
maximum likelihood: expectation-maximisation over evenly spaced nodes (Bock and Aitkin 1981), sped up by SQUAREM
(Varadhan and Roland 2008). Abilities are the mean and standard deviation of what the data leave possible (EAP).
Standard errors come from the players' score vectors (the outer product of gradients).

In a game most items have few answers. With `prior` (the default) difficulties are held by a normal prior and slopes by
a lognormal one (Mislevy 1986), so that an item everybody got right is very easy, not infinitely so.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import special
from scipy.sparse import csr_array

from pasquin.errors import InputError
from pasquin.measure.arrays import Codes, Flags, Floats

_INTERCEPT_SD = 2.0
_LOG_SLOPE_SD = 0.5
_PLAYERS_A_PARAMETER = 10
_LARGEST_SCORES = 20_000_000
_CHUNK = 100_000
_REACH = 6.0
"""Nodes lie this many standard deviations to both sides."""


@dataclass(frozen=True, slots=True)
class ItemResponse:
    """A fitted model: item arrays (I,), player arrays (P,). `slope` is the same for all items in a 1PL.

    `difficulty` is b, on the scale of ability. `log_odds` is a·b, the log-odds that the average player is wrong: it
    stays finite where players hardly differ (a near 0), so it is what to show people.
    """

    difficulty: Floats
    difficulty_se: Floats
    log_odds: Floats
    log_odds_se: Floats
    slope: Floats
    slope_se: Floats
    ability: Floats
    ability_sd: Floats
    log_likelihood: float
    parameters: int
    responses: int
    converged: bool

    @property
    def bic(self) -> float:
        """Schwarz's criterion with players as units: smaller is better."""
        return self.parameters * float(np.log(max(len(self.ability), 1))) - 2 * self.log_likelihood


@dataclass(frozen=True, slots=True)
class _Data:
    right: csr_array
    wrong: csr_array
    two: bool
    prior: bool
    nodes: Floats
    log_weight: Floats


def fit(
    player: Codes,
    item: Codes,
    right: Flags,
    *,
    two_parameters: bool = False,
    prior: bool = True,
    nodes: int = 61,
    tolerance: float = 1e-4,
    most_steps: int = 500,
) -> ItemResponse:
    """Fit responses given as codes from 0, each array (n,); not every player needs to have met every item.

    Raises InputError when lengths differ or there is no response.
    """
    if not len(player) == len(item) == len(right) or not len(player):
        raise InputError("An item-response fit needs responses: player, item and right/wrong, one value each a guess.")
    if min(player.min(), item.min()) < 0:
        raise InputError("Players and items must be codes from 0.")
    shape = (int(player.max()) + 1, int(item.max()) + 1)
    yes = np.asarray(right, dtype=np.float64)
    points = np.linspace(-_REACH, _REACH, nodes)
    weight = np.exp(-(points**2) / 2)
    data = _Data(
        csr_array((yes, (player, item)), shape=shape),
        csr_array((1 - yes, (player, item)), shape=shape),
        two_parameters,
        prior,
        points,
        np.log(weight / weight.sum()),
    )
    values, converged = _accelerated(data, _start(data), tolerance, most_steps)
    return _result(data, values, player, item, yes, converged)


def _start(data: _Data) -> Floats:
    """Intercepts from the shares right, slopes 1; `values` are intercepts (I,) then log slopes (1,) or (I,)."""
    right, wrong = data.right.sum(axis=0), data.wrong.sum(axis=0)
    intercept = 1.2 * np.log((right + 0.5) / (wrong + 0.5))
    return np.concatenate([intercept, np.zeros(len(intercept) if data.two else 1)])


def _split(data: _Data, values: Floats) -> tuple[Floats, Floats]:
    items = data.right.shape[1]
    slope = np.exp(values[items:])
    return values[:items], slope if data.two else np.full(items, slope[0])


def _posterior(data: _Data, values: Floats) -> tuple[Floats, float]:
    """Each player's distribution over the nodes (P, Q), and the log-likelihood (penalised by the prior)."""
    intercept, slope = _split(data, values)
    logit = intercept[:, None] + slope[:, None] * data.nodes[None, :]
    joint = data.right @ -np.logaddexp(0, -logit) + data.wrong @ -np.logaddexp(0, logit) + data.log_weight
    total = special.logsumexp(joint, axis=1, keepdims=True)
    return np.exp(joint - total), float(total.sum()) + _penalty(data, values)


def _penalty(data: _Data, values: Floats) -> float:
    if not data.prior:
        return 0.0
    items = data.right.shape[1]
    held = (values[:items] / _INTERCEPT_SD) ** 2
    slopes = (values[items:] / _LOG_SLOPE_SD) ** 2 if data.two else np.zeros(1)
    return -0.5 * float(held.sum() + slopes.sum())


def _step(data: _Data, values: Floats) -> tuple[Floats, float]:
    """One step of EM (with one Newton step for its maximisation); also the log-likelihood before it."""
    posterior, likelihood = _posterior(data, values)
    intercept, slope = _split(data, values)
    right = data.right.T @ posterior
    number = right + data.wrong.T @ posterior
    share = special.expit(intercept[:, None] + slope[:, None] * data.nodes[None, :])
    residual, spread = right - number * share, number * share * (1 - share)
    x = data.nodes[None, :] * slope[:, None]
    g_intercept, g_slope = residual.sum(axis=1), (residual * x).sum(axis=1)
    h_intercept, h_cross, h_slope = spread.sum(axis=1), (spread * x).sum(axis=1), (spread * x**2).sum(axis=1)
    items = len(intercept)
    if data.prior:
        g_intercept, h_intercept = g_intercept - values[:items] / _INTERCEPT_SD**2, h_intercept + _INTERCEPT_SD**-2
    h_intercept = h_intercept + 1e-9
    if data.two:
        if data.prior:
            g_slope, h_slope = g_slope - values[items:] / _LOG_SLOPE_SD**2, h_slope + _LOG_SLOPE_SD**-2
        change = _newton_pairs(g_intercept, g_slope, h_intercept, h_cross, h_slope + 1e-9)
    else:
        left = h_slope.sum() - (h_cross**2 / h_intercept).sum() + 1e-9
        by_slope = (g_slope.sum() - (h_cross * g_intercept / h_intercept).sum()) / left
        change = np.append((g_intercept - h_cross * by_slope) / h_intercept, by_slope)
    return values + np.clip(change, -1, 1), likelihood


def _newton_pairs(g1: Floats, g2: Floats, h11: Floats, h12: Floats, h22: Floats) -> Floats:
    """The Newton step of I separate problems of two parameters."""
    determinant = np.maximum(h11 * h22 - h12**2, 1e-12)
    return np.concatenate([(h22 * g1 - h12 * g2) / determinant, (h11 * g2 - h12 * g1) / determinant])


def _accelerated(data: _Data, values: Floats, tolerance: float, most_steps: int) -> tuple[Floats, bool]:
    """EM until no parameter moves by `tolerance`; every two steps extrapolated where that raises the likelihood."""
    for _ in range(most_steps // 3 + 1):
        first, _ = _step(data, values)
        second, reached = _step(data, first)
        move, curve = first - values, second - 2 * first + values
        if np.abs(second - first).max() < tolerance:
            return second, True
        length = -max(1.0, float(np.linalg.norm(move)) / max(float(np.linalg.norm(curve)), 1e-12))
        leap = values - 2 * length * move + length**2 * curve
        if np.abs(leap).max() < 30:
            ahead, there = _step(data, leap)
            if np.isfinite(there) and there >= reached:
                second = ahead
        values = second
    return values, False


def _result(data: _Data, values: Floats, player: Codes, item: Codes, yes: Floats, converged: bool) -> ItemResponse:
    posterior, likelihood = _posterior(data, values)
    intercept, slope = _split(data, values)
    covariance = _covariance(data, values, posterior, player, item, yes)
    ability = posterior @ data.nodes
    spread = posterior @ data.nodes**2 - ability**2
    by_intercept, cross, by_slope = covariance
    difficulty = -intercept / slope
    variance = by_intercept / slope**2 + difficulty**2 * by_slope + 2 * difficulty / slope * cross
    return ItemResponse(
        difficulty=difficulty,
        difficulty_se=np.sqrt(np.maximum(variance, 0)),
        log_odds=-intercept,
        log_odds_se=np.sqrt(np.maximum(by_intercept, 0)),
        slope=slope,
        slope_se=slope * np.sqrt(np.maximum(by_slope, 0)),
        ability=ability,
        ability_sd=np.sqrt(np.maximum(spread, 0)),
        log_likelihood=likelihood - _penalty(data, values),
        parameters=len(values),
        responses=len(yes),
        converged=converged,
    )


def _scores(
    data: _Data, values: Floats, posterior: Floats, player: Codes, item: Codes, yes: Floats
) -> tuple[Floats, Floats]:
    """Derivatives of each response's share of the likelihood by its intercept and its log slope, each (n,)."""
    intercept, slope = _split(data, values)
    share = special.expit(intercept[:, None] + slope[:, None] * data.nodes[None, :])
    by_intercept, by_slope = np.empty(len(yes)), np.empty(len(yes))
    for start in range(0, len(yes), _CHUNK):
        part = slice(start, start + _CHUNK)
        rest = posterior[player[part]] * (yes[part, None] - share[item[part]])
        by_intercept[part] = rest.sum(axis=1)
        by_slope[part] = rest @ data.nodes * slope[item[part]]
    return by_intercept, by_slope


def _covariance(
    data: _Data, values: Floats, posterior: Floats, player: Codes, item: Codes, yes: Floats
) -> tuple[Floats, Floats, Floats]:
    """Variance of each intercept, covariance with its log slope, variance of the log slope, each (I,).

    Of all parameters together where ten players stand for each (and memory allows it), else item by item.
    """
    items = len(values[: data.right.shape[1]])
    by_intercept, by_slope = _scores(data, values, posterior, player, item, yes)
    hold = np.zeros(len(values))
    if data.prior:
        hold[:items] = _INTERCEPT_SD**-2
        hold[items:] = _LOG_SLOPE_SD**-2 if data.two else 0.0
    few = posterior.shape[0] < _PLAYERS_A_PARAMETER * len(values)
    if few or posterior.shape[0] * len(values) > _LARGEST_SCORES:
        return _item_by_item(data, hold, item, by_intercept, by_slope)
    columns = item if data.two else np.zeros_like(item)
    score = np.zeros((posterior.shape[0], len(values)))
    np.add.at(score, (player, item), by_intercept)
    np.add.at(score, (player, items + columns), by_slope)
    inverse = np.linalg.pinv(score.T @ score + np.diag(hold))
    of_slope = items + (np.arange(items) if data.two else np.zeros(items, dtype=np.int64))
    each = np.arange(items)
    variance = np.asarray(np.diag(inverse), dtype=np.float64)
    return variance[:items], np.asarray(inverse[each, of_slope], dtype=np.float64), variance[of_slope]


def _item_by_item(
    data: _Data, hold: Floats, item: Codes, by_intercept: Floats, by_slope: Floats
) -> tuple[Floats, Floats, Floats]:
    items = data.right.shape[1]
    one = np.bincount(item, weights=by_intercept**2, minlength=items) + hold[:items] + 1e-12
    if not data.two:
        slope = np.full(items, 1 / max(float((by_slope**2).sum()), 1e-12))
        return 1 / one, np.zeros(items), slope
    cross = np.bincount(item, weights=by_intercept * by_slope, minlength=items)
    two = np.bincount(item, weights=by_slope**2, minlength=items) + hold[items:] + 1e-12
    determinant = np.maximum(one * two - cross**2, 1e-12)
    found = two / determinant, -cross / determinant, one / determinant
    return found
