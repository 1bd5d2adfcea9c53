"""The figures of a game as one plain dict, from arrays: what `--json`, the report and `/stats` are made of.

A *public* set of figures leaves out whatever could show one player's answers: groups of fewer than `few` players are
put together (with the next smallest, where the small ones alone would still be few), so that none of them can be told
by subtracting the others from the total.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from pasquin.measure.arrays import Codes, Guesses, distinct
from pasquin.measure.clustered import Estimate, cells, clustering, share_of
from pasquin.measure.detection import detection_cells, detection_of, two_alternative
from pasquin.measure.planning import need
from pasquin.measure.sequential import looks

MARGIN = 0.05
PAIR = "pair"
"""The mode in which two texts are shown, one of each origin: its two guesses are one choice."""
_EXPERIENCE = (1, 6, 11, 21, 51)
_SECONDS = (0, 2, 4, 8, 16, 32)
_SMALL = "groups of few players"

Figure = dict[str, float | int | None]


def main_figures(guesses: Guesses) -> dict[str, Any]:
    """players, guesses, and each figure as `{value, low, high, n, players}`; None where there is nothing to tell."""
    one = np.zeros(len(guesses), dtype=np.int64)
    fooled, passed = (
        _share(guesses.judged_human[side], guesses.player[side]) for side in (guesses.from_model, ~guesses.from_model)
    )
    right = share_of(cells(guesses.correct.astype(float), one, guesses.player, 1)) if len(guesses) else None
    told = detection_of(detection_cells(guesses.from_model, guesses.judged_model, guesses.player))
    return {
        "players": guesses.players,
        "guesses": len(guesses),
        "fool_rate": figure(fooled),
        "human_pass_rate": figure(passed),
        "accuracy": figure(right),
        "d_prime": figure(told.d_prime if told else None),
        "c": figure(told.c if told else None),
        "auc": figure(told.auc if told else None),
    }


def without_pairs(guesses: Guesses) -> tuple[Guesses, Guesses]:
    """Guesses on single texts, and choices between two (one entry each: that on the model's text)."""
    if guesses.mode is None or PAIR not in guesses.modes:
        return guesses, guesses.where(np.zeros(len(guesses), dtype=bool))
    pair = guesses.mode == guesses.modes.index(PAIR)
    return guesses.where(~pair), guesses.where(pair & guesses.from_model)


def evenly_drawn(guesses: Guesses) -> Guesses:
    """Guesses on items that were drawn without a look at how hard they are: a fair sample of the texts."""
    return guesses if guesses.by_difficulty is None else guesses.where(~guesses.by_difficulty)


def by_drawing(guesses: Guesses, *, few: int = 0) -> list[dict[str, Any]]:
    """The main figures by how items were drawn, as in `breakdowns`; nothing where all were drawn evenly."""
    if guesses.by_difficulty is None:
        return []
    return _by(guesses, guesses.by_difficulty.astype(np.int64), ("drawn evenly", "by difficulty"), few)


def pair_figures(choices: Guesses) -> dict[str, Any] | None:
    """Choices between a human and a model text: how many, how many right, and their d'; None when there are none."""
    if not len(choices):
        return None
    return {
        "players": choices.players,
        "choices": len(choices),
        "right": figure(_share(choices.correct, choices.player)),
        "d_prime": figure(two_alternative(choices.correct.astype(float), choices.player)),
    }


def figure(estimate: Estimate | None) -> Figure | None:
    """An estimate for JSON."""
    return estimate.as_dict() if estimate else None


def _share(yes: Any, player: Codes) -> Estimate | None:
    return share_of(cells(yes.astype(float), np.zeros(len(yes), dtype=np.int64), player, 1)) if len(yes) else None


def breakdowns(guesses: Guesses, *, few: int = 0) -> dict[str, list[dict[str, Any]]]:
    """The main figures by model, category, experience, response time, arm, and by mode and confidence where asked for.

    A group is `{name, ...main figures}`. Human items belong to no model and no arm: there, the human pass rate and d'
    are against the human items of the categories in which the model's were shown, and accuracy,
    which depends on how many there are of each, is None.
    """
    labels: dict[str, tuple[Codes, Sequence[str]]] = {
        "category": (guesses.category, guesses.categories),
        "experience": (_binned(guesses.trial, _EXPERIENCE), _ranges(_EXPERIENCE, "guess")),
        "response_time": (_binned(guesses.response_ms // 1000, _SECONDS), _ranges(_SECONDS, "s")),
    }
    if guesses.mode is not None:
        labels["mode"] = (guesses.mode, guesses.modes)
    if guesses.confidence is not None:
        said = np.where(guesses.confidence < 0, len(guesses.confidences), guesses.confidence)
        labels["confidence"] = (said, (*guesses.confidences, "not said"))
    found = {
        "model": _by_source(guesses, guesses.model, guesses.models, few),
        "arm": _by_source(guesses, guesses.arm, guesses.arms, few),
    }
    for name, (code, names) in labels.items():
        found[name] = _by(guesses, code, names, few)
    return found


def _by(guesses: Guesses, code: Codes, names: Sequence[str], few: int) -> list[dict[str, Any]]:
    code, names = _without_few(guesses, code, names, few)
    order = np.argsort(code, kind="stable")
    edges = np.searchsorted(code[order], np.arange(len(names) + 1))
    groups = [(name, order[edges[at] : edges[at + 1]]) for at, name in enumerate(names)]
    return [{"name": name, **main_figures(guesses.where(chosen))} for name, chosen in groups if len(chosen)]


def _by_source(guesses: Guesses, source: Codes, names: Sequence[str], few: int) -> list[dict[str, Any]]:
    """By something only model items have: each with the human items of the categories it was seen in."""
    ours = np.flatnonzero(guesses.from_model)
    merged, names = _without_few(guesses.where(ours), source[ours], names, few)
    rows = []
    for at, name in enumerate(names):
        items = ours[merged == at]
        if not len(items):
            continue
        seen = (np.bincount(guesses.category[items], minlength=len(guesses.categories)) > 0)[guesses.category]
        beside, rest = np.flatnonzero(~guesses.from_model & seen), np.flatnonzero(~guesses.from_model & ~seen)
        if any(0 < distinct(guesses.player[human]) < few for human in (beside, rest)):
            beside = rest[:0]
        both = main_figures(guesses.where(np.sort(np.concatenate([items, beside]))))
        rows.append({"name": name, **both, "accuracy": None})
    return rows


def fewest_players(guesses: Guesses) -> int:
    """The players behind the figure that has the fewest: of model items or of human ones, if there are any."""
    sides = (distinct(guesses.player[guesses.from_model]), distinct(guesses.player[~guesses.from_model]))
    return min((players for players in sides if players), default=0)


def _without_few(guesses: Guesses, code: Codes, names: Sequence[str], few: int) -> tuple[Codes, tuple[str, ...]]:
    """Groups with a figure of fewer than `few` players put into one, with the next smallest until it has `few`.

    When even all of them together are few, every code becomes -1.
    """
    if not few:
        return code, tuple(names)
    size = len(names)
    count = {at: fewest_players(guesses.where(code == at)) for at in range(size) if (code == at).any()}
    small = [at for at, players in count.items() if players < few]
    if not small:
        return code, tuple(names)
    rest = sorted((at for at in count if at not in small), key=lambda at: count[at])
    while rest and fewest_players(guesses.where(np.isin(code, small))) < few:
        small.append(rest.pop(0))
    if fewest_players(guesses.where(np.isin(code, small))) < few:
        return np.full_like(code, -1), tuple(names)
    return np.where(np.isin(code, small), size, code), (*names, _SMALL)


def _binned(values: Codes, starts: Sequence[int]) -> Codes:
    return np.clip(np.searchsorted(np.asarray(starts), values, side="right") - 1, 0, None)


def _ranges(starts: Sequence[int], unit: str) -> tuple[str, ...]:
    """Names of bins: "guess 1–5", "guess 51 and later"; "0–2 s", "32 s and more"."""
    if unit == "s":
        inner = [f"{low}–{high} s" for low, high in pairwise(starts)]
        return (*inner, f"{starts[-1]} s and more")
    inner = [f"{unit} {low}–{high - 1}" for low, high in pairwise(starts)]
    return (*inner, f"{unit} {starts[-1]} and later")


def independence(guesses: Guesses) -> dict[str, Any] | None:
    """How alike guesses of one player and about one item are (of model items), and the two-way interval."""
    ours = guesses.where(guesses.from_model)
    found = clustering(ours.judged_human.astype(float), ours.player, ours.item) if len(ours) else None
    if found is None:
        return None
    return {
        "design_effect_players": found.by_player,
        "design_effect_items": found.by_item,
        "fool_rate_two_way": figure(found.two_way),
        "items": distinct(ours.item),
    }


def sample_guidance(guesses: Guesses, alike: dict[str, Any] | None) -> dict[str, Any]:
    """How many guesses on model items ±5 points take, and what there is."""
    ours = guesses.where(guesses.from_model)
    effect = max(float(alike["design_effect_players"]), 1.0) if alike else 1.0
    per_player = len(ours) / ours.players if len(ours) else None
    wanted = need(MARGIN, design_effect=effect, guesses_per_player=per_player)
    return {
        "margin": MARGIN,
        "independent": wanted.independent,
        "design_effect": effect,
        "needed_guesses": wanted.guesses,
        "needed_players": wanted.players,
        "have_guesses": len(ours),
        "worth_independent": len(ours) / effect,
    }


def growth(guesses: Guesses) -> list[dict[str, float | int]]:
    """The fool rate as guesses arrived, with the interval of a single look and the confidence sequence."""
    ours = guesses.where(guesses.from_model)
    return [
        {
            "n": look.n,
            "players": look.players,
            "value": look.value,
            "low": look.low,
            "high": look.high,
            "fixed_low": 0.0 if look.fixed.low is None else look.fixed.low,
            "fixed_high": 1.0 if look.fixed.high is None else look.fixed.high,
        }
        for look in looks(ours.judged_human.astype(float), ours.player)
    ]
