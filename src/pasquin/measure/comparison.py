"""Models beside each other, and items and players on one scale: the parts of the report that fit a model."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import special

from pasquin.measure.arrays import Codes, Floats, Guesses, distinct
from pasquin.measure.clustered import LEVEL, difference
from pasquin.measure.item_response import ItemResponse, fit
from pasquin.measure.ranking import Ranking, bradley_terry, holm, wins_of_players

_FEWEST_RESPONSES = 200
_MANY_RESPONSES = 200_000
_FEWEST_PLAYERS = 20
_TWO_PARAMETER_PLAYERS = 200
_ITEMS_SHOWN = 5
_ANSWERS_TO_SHOW = 5
_BINS = np.arange(-3.0, 3.01, 0.5)


def model_differences(guesses: Guesses, *, few: int = 0) -> list[dict[str, Any]]:
    """Differences of fool rates between each two models, p-values adjusted by Holm for their number.

    Models that fewer than `few` players guessed on are left out.
    """
    ours = guesses.where(guesses.from_model)
    rows: list[dict[str, Any]] = []
    for first in range(len(guesses.models)):
        for second in range(first + 1, len(guesses.models)):
            if min(distinct(ours.player[ours.model == at]) for at in (first, second)) < max(few, 1):
                continue
            both = ours.where((ours.model == first) | (ours.model == second))
            found = difference(both.judged_human.astype(float), (both.model == first).astype(float), both.player)
            if found is None or not found.se > 0:
                continue
            p = float(2 * special.stdtr(found.df, -abs(found.value) / found.se))
            names = {"first": guesses.models[first], "second": guesses.models[second]}
            rows.append({**names, "difference": found.as_dict(), "p": p})
    for row, adjusted in zip(rows, holm([row["p"] for row in rows]), strict=True):
        row["p_adjusted"] = adjusted
    return rows


def model_ranking(guesses: Guesses) -> list[dict[str, Any]] | None:
    """Bradley-Terry strengths of the models by players' guesses; None with one model, or when they are not finite."""
    ours = guesses.where(guesses.from_model)
    return ranked(wins_of_players(ours.player, ours.model, ours.judged_human, len(guesses.models)), guesses.models)


def ranked(by_cluster: Floats, names: tuple[str, ...]) -> list[dict[str, Any]] | None:
    """Models by strength from wins (players, K, K): log-odds of beating an average one, with interval."""
    if len(names) < 2 or not len(by_cluster):
        return None
    found = bradley_terry(by_cluster.sum(axis=0), by_cluster=by_cluster)
    if found is None or not np.isfinite(found.covariance).all():
        return None
    number = by_cluster.sum(axis=(0, 1)) + by_cluster.sum(axis=(0, 2))
    rows = [{**_strength(found, at, name), "n": round(float(number[at]))} for at, name in enumerate(names)]
    return sorted(rows, key=lambda row: -float(row["strength"]["value"]))


def _strength(found: Ranking, at: int, name: str) -> dict[str, Any]:
    reach = float(special.stdtrit(min(found.df, 1e9), 0.5 + LEVEL / 2)) * float(found.se[at])
    value = float(found.strength[at])
    return {"name": name, "strength": {"value": value, "low": value - reach, "high": value + reach}}


def scales(guesses: Guesses, *, with_items: bool) -> dict[str, Any] | None:
    """The item-response fit in figures, in log-odds: the better of 1PL and 2PL, how hard items, how able players are.

    `with_items` names the model items that look most and least human. None with fewer than 20 players or 200 guesses.
    """
    if guesses.players < _FEWEST_PLAYERS or len(guesses) < _FEWEST_RESPONSES:
        return None
    player, item = _packed(guesses.player), _packed(guesses.item)
    nodes = 61 if len(guesses) < _MANY_RESPONSES else 31
    found = fit(player, item, guesses.correct, nodes=nodes)
    compared = {"1PL": found.bic}
    if guesses.players >= _TWO_PARAMETER_PLAYERS:
        two = fit(player, item, guesses.correct, two_parameters=True, nodes=nodes)
        compared["2PL"] = two.bic
        found = min(found, two, key=lambda fitted: fitted.bic)
    of_model = np.zeros(len(found.difficulty), dtype=bool)
    of_model[item] = guesses.from_model
    result: dict[str, Any] = {
        "model": min(compared, key=lambda name: compared[name]),
        "bic": compared,
        "players": len(found.ability),
        "items": len(found.difficulty),
        "guesses": found.responses,
        "converged": found.converged,
        "slope": float(np.median(found.slope)),
        "difficulty": {
            "human": _spread(found.log_odds[~of_model]),
            "model": _spread(found.log_odds[of_model]),
        },
        "reliability": _reliability(found),
    }
    if with_items:
        result["ability"] = _spread(found.ability * float(np.median(found.slope)))
        result["examples"] = _examples(guesses, item, found, of_model)
    return result


def _packed(code: Codes) -> Codes:
    return np.unique(code, return_inverse=True)[1].reshape(-1).astype(np.int64)


def _spread(values: Floats) -> dict[str, Any]:
    """Quartiles, and counts between -3 and 3 in steps of a half (what is further out is in the outermost)."""
    if not len(values):
        return {"n": 0, "quartiles": None, "counts": []}
    counts = np.histogram(np.clip(values, _BINS[0], _BINS[-1]), _BINS)[0]
    quartiles = [float(value) for value in np.quantile(values, [0.25, 0.5, 0.75])]
    return {"n": len(values), "quartiles": quartiles, "counts": [int(count) for count in counts]}


def _reliability(found: ItemResponse) -> float:
    """Share of the spread of abilities that is not the uncertainty of each: 0 tells nobody apart, 1 everybody."""
    spread, noise = float(found.ability.var()), float((found.ability_sd**2).mean())
    return spread / (spread + noise) if spread + noise > 0 else 0.0


def _examples(guesses: Guesses, item: Codes, found: ItemResponse, of_model: Any) -> dict[str, list[dict[str, Any]]]:
    """The model items hardest and easiest to unmask, among those with at least five answers."""
    answers = np.bincount(item)
    right = np.bincount(item, weights=guesses.correct)
    key = np.empty(len(answers), dtype=np.int64)
    key[item] = guesses.item
    known = np.flatnonzero(of_model & (answers >= _ANSWERS_TO_SHOW))
    order = known[np.argsort(found.log_odds[known])]
    rows = [
        {
            "key": guesses.items[key[at]] if guesses.items else str(key[at]),
            "answers": int(answers[at]),
            "judged_human": int(answers[at] - right[at]),
            "difficulty": float(found.log_odds[at]),
            "se": float(found.log_odds_se[at]),
        }
        for at in order
    ]
    shown = min(_ITEMS_SHOWN, len(rows) // 2)
    return {"most_human": rows[::-1][:shown], "least_human": rows[:shown]}
