"""Comparing models pair by pair: Bradley and Terry's model, with Davidson's ties where a comparison may end in one.

P(i beats j) = π_i / (π_i + π_j + ν√(π_i π_j)), and a tie with the rest (Bradley and Terry 1952; Davidson 1970; ν = 0
without ties). In the game nobody compares two texts directly. But when a player judged a text of model A human and one
of model B not, A beat B; pairs on which the player said the same of both are left out. If the log-odds of "human" are
the sum of the player's leaning and the model's strength, these pairs follow Bradley and Terry's model exactly, whatever
the player's leaning (Rasch's conditioning). Standard errors are clustered by player.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray
from scipy import special
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from pasquin.errors import InputError
from pasquin.measure.arrays import Codes, Flags, Floats

_STEPS = 100


@dataclass(frozen=True, slots=True)
class Ranking:
    """Strengths of K models on the log-odds scale, with sum 0, and their covariance (K, K); `tie` is ν.

    `df` are the degrees of freedom of intervals; infinity for comparisons that do not belong to players.
    """

    strength: Floats
    covariance: Floats
    tie: float
    df: float

    @property
    def se(self) -> Floats:
        """Standard errors of the strengths."""
        return np.sqrt(np.diag(self.covariance))

    def difference(self, first: int, second: int) -> tuple[float, float, float]:
        """How much stronger `first` is than `second` in log-odds, its standard error, and the two-sided p-value."""
        contrast = np.zeros(len(self.strength))
        contrast[first] += 1
        contrast[second] -= 1
        value, se = float(contrast @ self.strength), float(contrast @ self.covariance @ contrast) ** 0.5
        if first == second or se == 0:
            return value, se, 1.0
        return value, se, float(2 * special.stdtr(min(self.df, 1e9), -abs(value) / se))


def bradley_terry(
    wins: NDArray[np.float64], ties: NDArray[np.float64] | None = None, *, by_cluster: Floats | None = None
) -> Ranking | None:
    """Maximum likelihood from `wins` (K, K), wins[i, j] counting how often i beat j, and symmetric `ties` (K, K).

    `by_cluster` (G, K, K) are the wins of each player (without ties), for standard errors clustered by player. None
    when the strengths are not finite: some models never beat the others (Ford 1957). Raises InputError for a table that
    is not square, negative or NaN.
    """
    wins = np.asarray(wins, dtype=np.float64)
    ties = np.zeros_like(wins) if ties is None else np.asarray(ties, dtype=np.float64)
    if wins.ndim != 2 or wins.shape[0] != wins.shape[1] or ties.shape != wins.shape:
        raise InputError("Wins and ties must be square tables with one row and one column a model.")
    if not (np.isfinite(wins).all() and np.isfinite(ties).all()) or min(wins.min(), ties.min()) < 0:
        raise InputError("Wins and ties must be counts: finite and not negative.")
    if connected_components(csr_array(wins + ties), directed=True, connection="strong")[0] != 1:
        return None
    parameters = _fit(wins, ties)
    strength, tie = parameters[:-1], float(np.exp(parameters[-1])) if ties.any() else 0.0
    _, information = _derivatives(wins, ties, parameters)
    bread: Floats = np.asarray(np.linalg.pinv(information), dtype=np.float64)
    covariance, df = bread, float("inf")
    if by_cluster is not None:
        covariance, df = _clustered(by_cluster, strength, bread)
    size = len(strength)
    centre = np.eye(size) - 1 / size
    return Ranking(strength - strength.mean(), centre @ covariance[:size, :size] @ centre, tie, df)


def _fit(wins: Floats, ties: Floats) -> Floats:
    """Newton's steps on the strictly concave likelihood of the three outcomes; the last parameter is log ν."""
    parameters = np.zeros(len(wins) + 1)
    for _ in range(_STEPS):
        gradient, information = _derivatives(wins, ties, parameters)
        step = np.linalg.pinv(information) @ gradient
        parameters = parameters + step / max(1.0, float(np.abs(step).max()) / 2)
        if np.abs(step).max() < 1e-10:
            break
    return parameters


def _derivatives(wins: Floats, ties: Floats, parameters: Floats) -> tuple[Floats, Floats]:
    """Gradient and Fisher information: each pair is a multinomial logit of win, loss and (where there are any) tie."""
    size, tied = len(wins), bool(ties.any())
    gradient, information = np.zeros(size + 1), np.zeros((size + 1, size + 1))
    for i in range(size):
        for j in range(i + 1, size):
            count = np.array([wins[i, j], wins[j, i], ties[i, j]])
            if not count.any():
                continue
            design = np.zeros((3, size + 1))
            design[0, i] = design[1, j] = 1
            design[2, [i, j, size]] = 0.5, 0.5, 1
            utility = design @ parameters
            if not tied:
                utility[2] = -np.inf
            share = special.softmax(utility)
            gradient += design.T @ (count - count.sum() * share)
            spread = np.diag(share) - np.outer(share, share)
            information += count.sum() * design.T @ spread @ design
    return gradient, information


def _clustered(by_cluster: Floats, strength: Floats, bread: Floats) -> tuple[Floats, float]:
    """Sandwich covariance by player, and G* - 1 with players weighed by their information."""
    beats = special.expit(strength[:, None] - strength[None, :])
    number = by_cluster + by_cluster.transpose(0, 2, 1)
    score = (by_cluster - number * beats).sum(axis=2)
    weight = (number * beats * (1 - beats)).sum(axis=(1, 2))
    weight = weight[weight > 0]
    players = len(weight)
    if players < 2:
        return bread * np.inf, 1.0
    meat = score.T @ score * players / (players - 1)
    size = len(strength)
    inner = bread[:size, :size]
    effective = float(weight.sum() ** 2 / (weight**2).sum())
    return cast(Floats, inner @ meat @ inner), max(effective - 1, 1.0)


def wins_of_players(player: Codes, model: Codes, judged_human: Flags, models: int) -> Floats:
    """Wins (G, K, K) of model over model by player, from guesses on model items, each array (n,).

    All pairs of a player's guesses on two models count together as many as the fewer of these guesses.
    """
    players = np.unique(player, return_inverse=True)[1].reshape(-1)
    size = int(players.max()) + 1 if len(players) else 0
    at = players * models + model
    number = np.bincount(at, minlength=size * models).reshape(size, models).astype(np.float64)
    yes = np.bincount(at, weights=judged_human, minlength=size * models).reshape(size, models)
    larger = np.maximum(np.maximum(number[:, :, None], number[:, None, :]), 1)
    wins = yes[:, :, None] * (number - yes)[:, None, :] / larger
    wins[:, np.arange(models), np.arange(models)] = 0
    return wins


def holm(p_values: list[float]) -> list[float]:
    """P-values adjusted for having made so many comparisons (Holm 1979), in the given order."""
    order = np.argsort(p_values)
    adjusted, running = [0.0] * len(p_values), 0.0
    for place, at in enumerate(order):
        running = max(running, min(1.0, (len(p_values) - place) * p_values[at]))
        adjusted[at] = running
    return adjusted
