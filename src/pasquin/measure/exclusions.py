"""Which guesses do not count: rules fixed before the data are seen, reported with their effect.

A rule looks at how somebody played, never at whether they were right, so that leaving guesses out cannot be used to
move a figure. The rules are settings (`[measure]`); the report says when they are not the ones Pasquin comes with.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from pasquin.config import MeasureSettings
from pasquin.measure.arrays import Flags, Guesses, distinct
from pasquin.measure.figures import evenly_drawn, main_figures, without_pairs

_ONE_ANSWER_GUESSES = 30
_MARKS: Final = {
    "clock": "where the browser says it took longer than the server's clock allows",
    "slow": "answered after more than ten minutes: the player was away",
    "regular": "by a player who answered twenty times in a row in the same time, as a program does",
    "inattentive": "by a player who failed two attention checks",
}
"""Marks the game sets while it is played; its others are the rules above."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule in words, and the guesses it leaves out."""

    name: str
    words: str
    excluded: Flags


def rules(guesses: Guesses, settings: MeasureSettings) -> list[Rule]:
    """Each rule on its own; a guess may be left out by several."""
    size = int(guesses.player.max()) + 1 if len(guesses) else 0
    fast = (guesses.response_ms < settings.fastest_ms) & (guesses.response_ms >= 0)
    count = np.bincount(guesses.player, minlength=size)
    hasty = np.bincount(guesses.player, weights=fast, minlength=size) > count / 2
    said_model = np.bincount(guesses.player, weights=guesses.judged_model, minlength=size)
    same = (count >= _ONE_ANSWER_GUESSES) & ((said_model == 0) | (said_model == count))
    found = [
        Rule("too_fast", f"answered in less than {settings.fastest_ms:,} ms: nobody reads that fast", fast),
        Rule("hasty_player", "by a player more than half of whose answers were too fast", hasty[guesses.player]),
        Rule(
            "too_many",
            f"after the first {settings.most_guesses:,} of a player: one player must not outweigh the others",
            guesses.trial > settings.most_guesses,
        ),
        Rule(
            "one_answer",
            f"by a player who gave {_ONE_ANSWER_GUESSES} answers or more, always the same one",
            same[guesses.player],
        ),
    ]
    if guesses.marks is not None:
        marked = dict(zip(guesses.mark_names, guesses.marks.T, strict=True))
        nothing = np.zeros(len(guesses), dtype=bool)
        found += [Rule(name, words, marked.get(name, nothing)) for name, words in _MARKS.items()]
    return found


def excluded_by_any(found: list[Rule], length: int) -> Flags:
    """The guesses that at least one rule leaves out."""
    out = np.zeros(length, dtype=bool)
    for rule in found:
        out |= rule.excluded
    return out


def effect(guesses: Guesses, found: list[Rule], settings: MeasureSettings, *, few: int = 0) -> dict[str, Any]:
    """How many guesses and players each rule touches, and what the rates were if all counted.

    In public, where a rule touches fewer than `few` players, neither its numbers nor rates without it are shown.
    """
    out = excluded_by_any(found, len(guesses))
    rows: list[dict[str, Any]] = [
        {
            "rule": rule.name,
            "words": rule.words,
            "guesses": int(rule.excluded.sum()),
            "players": distinct(guesses.player[rule.excluded]),
        }
        for rule in found
    ]
    touched = distinct(guesses.player[out])
    hidden = 0 < touched < few
    everything = main_figures(evenly_drawn(without_pairs(guesses)[0])) if out.any() and not hidden else {}
    defaults = MeasureSettings.model_construct()
    changed = [name for name in MeasureSettings.model_fields if getattr(settings, name) != getattr(defaults, name)]
    return {
        "rules": [{**row, "guesses": 0, "players": 0} if 0 < row["players"] < few else row for row in rows],
        "guesses": 0 if hidden else int(out.sum()),
        "of": len(guesses) - (int(out.sum()) if hidden else 0),
        "fool_rate_without": everything.get("fool_rate"),
        "human_pass_rate_without": everything.get("human_pass_rate"),
        "changed_settings": changed,
        "hidden": hidden or any(0 < row["players"] < few for row in rows),
    }
