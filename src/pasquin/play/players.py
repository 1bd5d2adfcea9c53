"""What is known of a player while they play: the trials they were shown, their answers, their score."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

import sqlalchemy as sa

from pasquin.play.coins import COINS
from pasquin.play.deck import corpus_of
from pasquin.play.marks import Answered
from pasquin.play.ratings import Rating, Ratings
from pasquin.play.shares import lot
from pasquin.records import Arm, Drawn, Mode, Origin
from pasquin.store import Store
from pasquin.store.schema import attention_checks, guesses, player_marks, players, trials

DAILY_ROUND: Final = 10


@dataclass(frozen=True, slots=True)
class Score:
    """Right answers of all, and the run of right answers now and at its best. A pair counts as one answer."""

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
    """A trial in memory, or an attention check (`check`; its `origin` is the answer wanted).

    `shown_clock` is the monotonic clock when it was issued (None: by an earlier process); `written` and `pending` are
    the futures of its row and of its guess being on the disk; `partner` is the other card of a pair.
    """

    id: str
    category: str
    item_key: str
    origin: Origin
    shown_at: datetime
    mode: Mode = "classic"
    round: str | None = None
    position: int | None = None
    arm: Arm | None = None
    drawn: Drawn | None = None
    check: bool = False
    shown_clock: float | None = None
    guess: Origin | None = None
    partner: LoadedTrial | None = field(default=None, repr=False)
    written: Future[None] | None = None
    pending: Future[Any] | None = None


@dataclass(slots=True)
class Player:
    """One player; `open` is the unanswered trial of each mode and category, `seen` the keys of all items ever shown,
    `seen_of_models` how many of them were AI cards, by corpus.

    `runs` is the endless run of each category: its name and how many right answers it has; `days` the right and wrong
    answers of daily rounds, by category and day, then by position. `ability` is what their answers to single cards say,
    `lot` the hash that parts the cards for them (see `shares`).
    """

    id: str
    score: Score = Score()
    nick: str | None = None
    trials: dict[str, LoadedTrial] = field(default_factory=dict)
    open: dict[tuple[Mode, str], LoadedTrial] = field(default_factory=dict)
    seen: set[str] = field(default_factory=set)
    seen_of_models: Counter[str] = field(default_factory=Counter)
    runs: dict[str, tuple[str, int]] = field(default_factory=dict)
    best_run: int = 0
    days: dict[tuple[str, str], dict[int, bool]] = field(default_factory=dict)
    answers: list[Answered] = field(default_factory=list)
    failed_checks: int = 0
    marks: set[str] = field(default_factory=set)
    until_check: int | None = None
    erased: bool = False
    ability: Rating = field(default_factory=Rating)
    lot: int = field(init=False)

    def __post_init__(self) -> None:
        self.lot = lot(self.id)

    @property
    def unwritten(self) -> bool:
        """Whether something of this player is still on its way to the disk."""
        return any((trial.written and not trial.written.done()) or trial.pending for trial in self.open.values())

    @property
    def badges(self) -> tuple[str, ...]:
        """What they may be a little proud of."""
        perfect = any(len(day) == DAILY_ROUND and all(day.values()) for day in self.days.values())
        earned = {"hundred": self.score.total >= 100, "run": self.best_run >= 10, "day": perfect}
        return tuple(name for name, has in earned.items() if has)

    def check_is_due(self, every: int) -> bool:
        """Whether an attention check comes next, about every `every` cards (0: never); counts one card down."""
        due = every > 0 and self.until_check is not None and self.until_check <= 1
        if self.until_check is None or due:
            self.until_check = COINS.randint(max(1, every * 4 // 5), max(1, every * 6 // 5))
        else:
            self.until_check -= 1
        return due

    def add(self, trial: LoadedTrial) -> None:
        """Note a trial shown; it is the open one of its mode and category until answered."""
        self.trials[trial.id] = trial
        if not trial.check:
            self.seen.add(trial.item_key)
            self.seen_of_models[corpus_of(trial.category)] += trial.origin == "model"
        self.open[trial.mode, trial.category] = trial

    def answer(self, trial: LoadedTrial, guess: Origin, server_ms: int, mark: str | None) -> None:
        """Note the answer to a trial, and to its partner."""
        trial.guess = guess
        if trial.partner:
            trial.partner.guess = opposite(guess)
        if self.open.get((trial.mode, trial.category)) in (trial, trial.partner):
            del self.open[trial.mode, trial.category]
        correct = guess == trial.origin
        if trial.check:
            self.failed_checks += not correct
            return
        self.score = self.score.after(correct)
        self.answers.append(
            Answered(opposite(guess) if trial.position == 1 and trial.partner else guess, server_ms, mark)
        )
        if trial.mode == "endless":
            self._continue_run(trial, correct)
        elif trial.mode == "daily":
            self.days.setdefault((trial.category, trial.round or ""), {})[trial.position or 0] = correct

    def _continue_run(self, trial: LoadedTrial, correct: bool) -> None:
        if correct:
            length = (trial.position or 0) + 1
            self.runs[trial.category] = (trial.round or "", length)
            self.best_run = max(self.best_run, length)
        else:
            self.runs.pop(trial.category, None)


def opposite(origin: Origin) -> Origin:
    """The other origin."""
    return "model" if origin == "human" else "human"


def load_player(store: Store, token_hash: str, ratings: Ratings) -> Player | None:
    """The player whose token has this hash, with everything they did and their ability by the cards' `ratings`; None
    when there is none.

    Raises StoreError when the database cannot be read.
    """
    with store.read() as connection:
        found = connection.execute(sa.select(players).where(players.c.token_hash == token_hash)).mappings().first()
        if found is None:
            return None
        player = Player(found["id"], nick=found["nick"])
        player.ability = ratings.ability(_load_trials(connection, player))
        _load_marks(connection, player)
    return player


def _load_trials(connection: sa.Connection, player: Player) -> list[tuple[str, bool]]:
    """Note every trial of the player; the answers that tell of ability in order: item key, and whether right."""
    shown = (
        sa.select(trials, guesses.c.guess, guesses.c.server_ms, guesses.c.mark)
        .outerjoin(guesses, guesses.c.trial == trials.c.id)
        .where(trials.c.player == player.id)
        .order_by(sa.func.coalesce(guesses.c.created_at, trials.c.shown_at), trials.c.position)
    )
    pairs: dict[str, LoadedTrial] = {}
    rated: list[tuple[str, bool]] = []
    for row in connection.execute(shown).mappings():
        trial = LoadedTrial(
            row["id"],
            row["category"],
            row["item_key"],
            row["origin"],
            _utc(row["shown_at"]),
            row["mode"],
            row["round"],
            row["position"],
            row["arm"],
            row["drawn"],
        )
        first = pairs.setdefault(row["round"], trial) if trial.mode == "pair" else trial
        player.add(trial)
        if first is not trial:
            trial.partner, first.partner = first, trial
            player.open[trial.mode, trial.category] = first
        if row["guess"] is None:
            continue
        if first is trial:
            player.answer(trial, row["guess"], row["server_ms"], row["mark"])
        else:
            trial.guess = row["guess"]
            player.open.pop((trial.mode, trial.category))
        if trial.mode != "pair" and row["mark"] is None:
            rated.append((trial.item_key, trial.guess == trial.origin))
    return rated


def _load_marks(connection: sa.Connection, player: Player) -> None:
    failed = sa.select(sa.func.count()).where(
        attention_checks.c.player == player.id, attention_checks.c.answer != attention_checks.c.wanted
    )
    player.failed_checks = connection.execute(failed).scalar_one()
    rules = sa.select(player_marks.c.rule).where(player_marks.c.player == player.id)
    player.marks = set(connection.execute(rules).scalars())


def _utc(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
