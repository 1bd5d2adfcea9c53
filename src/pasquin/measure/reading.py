"""The store's guesses as arrays: the one module of this package that knows the tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

import numpy as np
import sqlalchemy as sa

from pasquin.measure.arrays import Codes, Flags, Floats, Guesses
from pasquin.store import Store
from pasquin.store.decided import standing_decisions
from pasquin.store.schema import candidates, comparisons, guesses, metadata, trials
from pasquin.texts import comparable, normalise
from pasquin.workspace import Workspace
from pasquin.workspace.corpora import read_corpus

_ROWS = 50_000
_NEWER: Final = (
    ("trials", "arm"),
    ("trials", "mode"),
    ("guesses", "confidence"),
    ("guesses", "mark"),
    ("trials", "drawn"),
)
"""Columns of games with modes and marks; read as null where the store has none."""
UNKNOWN_MODEL = "(deleted)"
"""The model of a candidate that is no longer in the store."""
_ARMS: Final = {None: "screened", "accept": "curated", "edit": "edited", "reject": "rejected"}
"""What a curator's standing decision makes of a candidate."""


class _Codes:
    """Numbers for labels, in the order of their first appearance."""

    def __init__(self) -> None:
        self.numbers: dict[Any, int] = {}

    def of(self, labels: Iterable[Any]) -> list[int]:
        numbers = self.numbers
        return [numbers.setdefault(label, len(numbers)) for label in labels]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(str(label) for label in self.numbers)


def read_guesses(store: Store, corpora: Sequence[str] = ()) -> Guesses:
    """All guesses in the order they were made, or those in the categories of `corpora`. Raises StoreError."""
    standing = standing_decisions().subquery("standing")
    query = (
        sa.select(
            guesses.c.player,
            trials.c.item_key,
            trials.c.origin,
            guesses.c.guess,
            guesses.c.response_ms,
            guesses.c.server_ms,
            guesses.c.created_at,
            trials.c.category,
            candidates.c.model,
            standing.c.decision,
            *(_column(*names) for names in _NEWER),
        )
        .join(trials, trials.c.id == guesses.c.trial)
        .outerjoin(candidates, candidates.c.id == trials.c.item_key)
        .outerjoin(standing, standing.c.candidate == trials.c.item_key)
        .order_by(guesses.c.created_at, guesses.c.trial)
    )
    if corpora:
        wanted = [trials.c.category == name for name in corpora]
        wanted += [trials.c.category.startswith(f"{name}/", autoescape=True) for name in corpora]
        query = query.where(sa.or_(*wanted))
    with store.read() as connection:
        result = connection.execution_options(yield_per=_ROWS).execute(query)
        return _arrays(result.partitions(), _marked_players(store))


def _column(table: str, name: str) -> sa.ColumnElement[Any]:
    columns = metadata.tables[table].c
    return columns[name] if name in columns else sa.null().label(name)


def _marked_players(store: Store) -> dict[str, list[str]]:
    """The game's rules that speak against players: player -> rules."""
    found: dict[str, list[str]] = {}
    table = metadata.tables.get("player_marks")
    if table is not None:
        with store.read() as connection:
            for player, rule in connection.execute(sa.select(table.c.player, table.c.rule)):
                found.setdefault(player, []).append(rule)
    return found


def _arrays(parts: Iterable[Sequence[Any]], marked: dict[str, list[str]]) -> Guesses:
    players, items, categories, models, arms, modes, confidences, marks = (_Codes() for _ in range(8))
    columns: list[list[Codes]] = [[] for _ in range(13)]
    for part in parts:
        person, item, origin, guess, browser, server, made, category, model, decision, arm, mode, sure, mark, drawn = (
            zip(*part, strict=True)
        )
        from_model = np.array([name == "model" for name in origin])
        stood = [shown or _ARMS.get(verdict, "screened") for shown, verdict in zip(arm, decision, strict=True)]
        values = (
            players.of(person),
            items.of(item),
            from_model,
            [name == "model" for name in guess],
            np.minimum(browser, server),
            [moment.toordinal() for moment in made],
            categories.of(category),
            _some(models, [name or UNKNOWN_MODEL for name in model], from_model),
            _some(arms, stood, from_model),
            _some(modes, mode),
            _some(confidences, sure),
            _some(marks, mark),
            [_by_difficulty(how, which) for how, which in zip(drawn, mode, strict=True)],
        )
        for column, value in zip(columns, values, strict=True):
            column.append(np.asarray(value, dtype=np.int64))
    joined = [np.concatenate(column) if column else np.zeros(0, dtype=np.int64) for column in columns]
    against, names = _marks(joined[11], marks, joined[0], players, marked)
    return Guesses(
        player=joined[0],
        item=joined[1],
        from_model=joined[2].astype(bool),
        judged_model=joined[3].astype(bool),
        trial=trial_numbers(joined[0]),
        response_ms=joined[4],
        day=joined[5],
        category=joined[6],
        model=joined[7],
        arm=joined[8],
        models=models.names,
        categories=categories.names,
        arms=arms.names,
        items=items.names,
        mode=joined[9] if modes.numbers else None,
        modes=modes.names,
        confidence=joined[10] if confidences.numbers else None,
        confidences=confidences.names,
        marks=against,
        mark_names=names,
        by_difficulty=joined[12].astype(bool) if joined[12].any() else None,
    )


def _by_difficulty(drawn: str | None, mode: str | None) -> bool:
    """Whether a card may have been chosen by how hard it is; before that was stored, only those of endless were."""
    return drawn == "by_difficulty" if drawn else mode == "endless"


def _marks(
    of_guess: Codes, marks: _Codes, player: Codes, players: _Codes, marked: dict[str, list[str]]
) -> tuple[Flags | None, tuple[str, ...]]:
    """Which of the game's rules speak against each guess, by its own mark or its player's; None without any."""
    by_rule = {name: of_guess == at for name, at in marks.numbers.items()}
    for name in sorted({rule for rules in marked.values() for rule in rules}):
        theirs = [at for who, at in players.numbers.items() if name in marked.get(who, ())]
        by_rule[name] = by_rule.get(name, np.zeros(len(player), dtype=bool)) | np.isin(player, theirs)
    if not by_rule:
        return None, ()
    return np.stack(list(by_rule.values()), axis=1), tuple(by_rule)


def _some(coded: _Codes, labels: Sequence[str | None], chosen: Flags | None = None) -> Codes:
    """Codes of the labels that are there (and `chosen`); -1 for the others."""
    found = np.full(len(labels), -1, dtype=np.int64)
    there = [at for at, label in enumerate(labels) if label is not None and (chosen is None or chosen[at])]
    found[there] = coded.of(labels[at] for at in there)
    return found


def trial_numbers(player: Codes) -> Codes:
    """How-many-eth of its player each guess is, from 1, for guesses in the order they were made."""
    order = np.argsort(player, kind="stable")
    of = player[order]
    first = np.flatnonzero(np.r_[True, of[1:] != of[:-1]]) if len(of) else np.zeros(0, dtype=np.int64)
    numbers = np.empty(len(of), dtype=np.int64)
    lengths = np.diff(np.r_[first, len(of)])
    numbers[order] = np.arange(len(of)) - np.repeat(first, lengths) + 1
    return numbers


def read_preferences(store: Store, models: Sequence[str]) -> Floats | None:
    """Curators' choices between candidates of two `models`: wins (curators, K, K); None when there are none."""
    better, worse = candidates.alias("better"), candidates.alias("worse")
    query = (
        sa.select(comparisons.c.curator, better.c.model, worse.c.model)
        .join(better, better.c.id == comparisons.c.better)
        .join(worse, worse.c.id == comparisons.c.worse)
        .where(better.c.model != worse.c.model, better.c.model.in_(models), worse.c.model.in_(models))
    )
    with store.read() as connection:
        rows = connection.execute(query).all()
    if not rows:
        return None
    curators, at = _Codes(), {name: place for place, name in enumerate(models)}
    who = curators.of(row[0] for row in rows)
    wins = np.zeros((len(curators.numbers), len(models), len(models)))
    for curator, row in zip(who, rows, strict=True):
        wins[curator, at[row[1]], at[row[2]]] += 1
    return wins


def candidate_texts(store: Store, keys: Sequence[str]) -> dict[str, str]:
    """Texts of candidates by id; those that are gone are left out."""
    with store.read() as connection:
        rows = connection.execute(sa.select(candidates.c.id, candidates.c.text).where(candidates.c.id.in_(keys))).all()
    return {row[0]: row[1] for row in rows}


def texts_of_both_origins(store: Store, workspace: Workspace, corpus: str) -> tuple[list[str], list[str]]:
    """A corpus's held-out human posts and the candidates written for it, as the game would show them, once each."""
    human = {comparable(post.text): post.text for post in read_corpus(workspace, corpus) if post.split == "test"}
    with store.read() as connection:
        found = connection.execute(sa.select(candidates.c.text).where(candidates.c.corpus == corpus)).scalars().all()
    model = {comparable(text): text for text in found if comparable(text) not in human}
    return [normalise(text) for text in human.values()], [normalise(text) for text in model.values()]
