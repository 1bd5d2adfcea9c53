"""What is known of a player while they play: the trials they were shown, their answers, their score."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from pasquin.records import Origin
from pasquin.store import Store
from pasquin.store.schema import guesses, players, trials


@dataclass(frozen=True, slots=True)
class Score:
    """Right answers of all, and the run of right answers now and at its best."""

    right: int = 0
    total: int = 0
    streak: int = 0
    best_streak: int = 0

    def after(self, correct: bool) -> Score:
        """The score after one more answer."""
        streak = self.streak + 1 if correct else 0
        return Score(self.right + correct, self.total + 1, streak, max(self.best_streak, streak))


@dataclass(slots=True)
class LoadedTrial:
    """A trial in memory. `shown_clock` is the monotonic clock when it was issued (None: by an earlier process);
    `written` and `pending` are the futures of its row and of its guess being on the disk.
    """

    id: str
    category: str
    item_key: str
    origin: Origin
    shown_at: datetime
    shown_clock: float | None = None
    guess: Origin | None = None
    written: Future[None] | None = None
    pending: Future[Any] | None = None


@dataclass(slots=True)
class Player:
    """One player; `open` is the unanswered trial of each category, `seen` the keys of all items ever shown."""

    id: str
    score: Score = Score()
    trials: dict[str, LoadedTrial] = field(default_factory=dict)
    open: dict[str, LoadedTrial] = field(default_factory=dict)
    seen: set[str] = field(default_factory=set)
    erased: bool = False

    @property
    def unwritten(self) -> bool:
        """Whether something of this player is still on its way to the disk."""
        return any((trial.written and not trial.written.done()) or trial.pending for trial in self.open.values())

    def add(self, trial: LoadedTrial) -> None:
        """Note a trial shown; it is the open one of its category until answered."""
        self.trials[trial.id] = trial
        self.seen.add(trial.item_key)
        self.open[trial.category] = trial

    def answer(self, trial: LoadedTrial, guess: Origin) -> None:
        """Note the answer to a trial."""
        trial.guess = guess
        if self.open.get(trial.category) is trial:
            del self.open[trial.category]
        self.score = self.score.after(guess == trial.origin)


def load_player(store: Store, token_hash: str) -> Player | None:
    """The player whose token has this hash, with everything they did; None when there is none.

    Raises StoreError when the database cannot be read.
    """
    shown = (
        sa.select(trials, guesses.c.guess)
        .outerjoin(guesses, guesses.c.trial == trials.c.id)
        .order_by(sa.func.coalesce(guesses.c.created_at, trials.c.shown_at))
    )
    with store.read() as connection:
        found = connection.execute(sa.select(players.c.id).where(players.c.token_hash == token_hash)).scalar()
        if found is None:
            return None
        rows = connection.execute(shown.where(trials.c.player == found)).mappings().all()
    player = Player(found)
    for row in rows:
        trial = LoadedTrial(row["id"], row["category"], row["item_key"], row["origin"], _utc(row["shown_at"]))
        player.add(trial)
        if row["guess"] is not None:
            player.answer(trial, row["guess"])
    return player


def _utc(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
