"""What comes back for a guess, and how often others got a card right."""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa

from pasquin.play.cards import Card
from pasquin.play.daily import Day
from pasquin.play.players import LoadedTrial, Score
from pasquin.records import Mode, Origin
from pasquin.store import Store
from pasquin.store.schema import guesses, trials


@dataclass(frozen=True, slots=True)
class Result:
    """A guess that is on the disk, and what the card was. `card` is None when it was deleted in the meantime.

    `others` is how many earlier players guessed on this card, `others_right` how many of them were right. `other` is
    the second card of a pair. `run` is how many were right in the endless run that this guess continued, or ended.
    `check` says that it was an attention check, which counts for nothing else.
    """

    trial: str
    mode: Mode
    guess: Origin
    origin: Origin
    correct: bool
    card: Card | None
    other: Card | None
    check: bool
    score: Score
    run: int | None
    best_run: int
    day: Day | None
    others: int
    others_right: int


class Tallies:
    """For each item how many guessed on it alone (not in a pair), and how many of them were right."""

    def __init__(self, store: Store) -> None:
        """Count what `store` has."""
        right = sa.func.sum(sa.case((guesses.c.correct, 1), else_=0))
        query = (
            sa.select(trials.c.item_key, right, sa.func.count())
            .join(guesses, guesses.c.trial == trials.c.id)
            .where(trials.c.mode != "pair")
            .group_by(trials.c.item_key)
        )
        with store.read() as connection:
            self._counts = {key: (int(right), total) for key, right, total in connection.execute(query)}

    def of(self, item_key: str) -> tuple[int, int]:
        """How many were right, of how many."""
        return self._counts.get(item_key, (0, 0))

    def add(self, trial: LoadedTrial) -> None:
        """Count an answered trial."""
        if trial.mode != "pair" and not trial.check:
            right, total = self.of(trial.item_key)
            self._counts[trial.item_key] = (right + (trial.guess == trial.origin), total + 1)
