"""Players, trials and guesses: who is shown which card, and what they answered."""

from __future__ import annotations

import hashlib
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

import sqlalchemy as sa

from pasquin.config import PlaySettings, load
from pasquin.play.boards import Boards, NickError, check_nick, read_boards
from pasquin.play.daily import Day, plan_days, today
from pasquin.play.deck import Deck
from pasquin.play.items import build_decks, candidates_state
from pasquin.play.ledger import Ledger, Tell
from pasquin.play.marks import guess_mark, player_rules
from pasquin.play.players import LoadedTrial, Player, load_player, opposite
from pasquin.play.ratings import Ratings
from pasquin.play.refusals import CategoryError, PlayerError, TrialError
from pasquin.play.results import Result, Tallies
from pasquin.play.table import Table, deal
from pasquin.records import Confidence, GuessReason, Mode, Origin, Trial
from pasquin.store import Store
from pasquin.store.schema import attention_checks, guesses, player_marks, players, trials
from pasquin.workspace import Workspace
from pasquin.workspace.tombstones import tombstones_state

_PLAYERS_IN_MEMORY = 5_000
_LONGEST_RESPONSE_MS: Final = 86_400_000
_BOARD_SECONDS: Final = 5.0


class Game:
    """A running game over the corpora of a workspace. Safe to share between threads; nothing here waits for long."""

    def __init__(
        self, workspace: Workspace, store: Store, corpora: Sequence[str] = (), settings: PlaySettings | None = None
    ) -> None:
        """Load the cards of `corpora` (none named: of every complete corpus).

        Raises CorpusError when a named corpus is missing or damaged.
        """
        self.workspace = workspace
        self.settings = settings or load(PlaySettings, workspace.toml)
        self._store = store
        self._named = tuple(dict.fromkeys(corpora))
        self._lock, self._refreshing = threading.Lock(), threading.Lock()
        self._players: OrderedDict[str, Player] = OrderedDict()
        self._tallies, self._ratings = Tallies(store), Ratings.of(store)
        self._boards: tuple[float, Boards] | None = None
        self._state: object = None
        self._table: Table
        self._load_cards()
        self._ledger = Ledger(store)

    def tell_through(self, tell: Tell) -> None:
        """Have what is on the disk told by `tell`, an event loop's `call_soon_threadsafe`."""
        self._ledger.tell_through(tell)

    def close(self) -> None:
        """Finish writing."""
        self._ledger.close()

    # Cards

    @property
    def waiting(self) -> int:
        """How many changes wait for the disk."""
        return self._ledger.waiting

    @property
    def corpora(self) -> tuple[str, ...]:
        """Names of the corpora played with."""
        return self._named or tuple(self.workspace.corpora())

    @property
    def decks(self) -> Mapping[str, Deck]:
        """The categories by key, in the order to offer them."""
        return self._table.decks

    def most_seen(self, corpus: str) -> int:
        """How many AI cards of `corpus` the one has seen who has seen most, of the players of late."""
        with self._lock:
            return max((player.seen_of_models[corpus] for player in self._players.values()), default=0)

    def refresh(self) -> bool:
        """Load the cards anew if candidates, decisions or corpora changed, or a post was forgotten; draw the daily
        rounds to come. Whether any card had changed. Takes as long as loading does.
        """
        with self._refreshing:
            if self._cards_state() == self._state:
                self._table = replace(self._table, days=plan_days(self._store, self.decks))
                return False
            self._load_cards()
            return True

    def _load_cards(self) -> None:
        state = self._cards_state()
        decks = build_decks(self.workspace, self._store, self.corpora, self.settings.min_items)
        self._table, self._state = Table.of(decks, plan_days(self._store, decks), self.settings), state

    def _cards_state(self) -> object:
        corpora = self.corpora
        made = tuple(str(self.workspace.corpus_manifest(name)) for name in corpora)
        return corpora, made, candidates_state(self._store, corpora), tombstones_state(self.workspace)

    # Players

    def start(self) -> tuple[str, Future[None]]:
        """A new player's token, which proves who they are, and the future of its being on the disk.

        Only the token's hash is kept. Nothing about the person is.
        """
        token, player = secrets.token_urlsafe(32), Player(secrets.token_hex(16))
        row = {"id": player.id, "token_hash": _hash(token), "created_at": datetime.now(UTC)}
        future = self._ledger.insert(players, row)
        future.add_done_callback(lambda done: None if done.exception() else self._remember(_hash(token), player))
        return token, future

    def recall(self, token: str) -> Player | None:
        """The player of `token` when in memory, without touching the database."""
        with self._lock:
            player = self._players.get(_hash(token))
            if player:
                self._players.move_to_end(_hash(token))
            return player

    def player(self, token: str) -> Player:
        """The player of `token`, from memory or the database. Raises PlayerError."""
        player = self.recall(token)
        if player is None:
            player = load_player(self._store, _hash(token), self._ratings)
            if player is None:
                raise PlayerError("You have not started yet, or your data was erased. Start to play.")
            player = self._remember(_hash(token), player)
        return player

    def _remember(self, token_hash: str, player: Player) -> Player:
        with self._lock:
            player = self._players.setdefault(token_hash, player)
            if len(self._players) > _PLAYERS_IN_MEMORY:
                oldest = next(iter(self._players))
                if not self._players[oldest].unwritten:
                    del self._players[oldest]
            return player

    def erase(self, token: str) -> Future[None]:
        """Delete the player of `token` with all trials and guesses. Raises PlayerError."""
        player = self.player(token)
        with self._lock:
            player.erased = True
            self._players.pop(_hash(token), None)
            self._boards = None
        return self._ledger.erase(player.id)

    def rename(self, player: Player, nick: str | None) -> Future[None]:
        """Call `player` so on the boards; None takes them off. Raises NickError; the future does when it is taken."""
        shown, key = (None, None) if nick is None else check_nick(nick, self._names())
        change = sa.update(players).where(players.c.id == player.id).values(nick=shown, nick_key=key)
        written, answer = self._ledger.change(change), Future[None]()

        def settle(done: Future[None]) -> None:
            failure = done.exception()
            if isinstance(failure, sa.exc.IntegrityError):
                answer.set_exception(NickError("Somebody else has that nick. Choose another one."))
            elif failure is not None:
                answer.set_exception(failure)
            else:
                player.nick, self._boards = shown, None
                answer.set_result(None)

        written.add_done_callback(settle)
        return answer

    def _names(self) -> set[str]:
        return {name for card in self._table.cards.values() for name in (card.account,) if name}

    def boards(self) -> Boards:
        """The boards, at most a few seconds old. Raises StoreError."""
        now, kept = time.monotonic(), self._boards
        if kept is None or now - kept[0] > _BOARD_SECONDS:
            kept = self._boards = (now, read_boards(self._store, today()))
        return kept[1]

    # Trials

    def next_trial(self, player: Player, category: str, mode: Mode = "classic") -> Trial:
        """The card `player` has open in `category`, or a new one; in mode `pair` the first of two.

        Asking again gives the same card until it is answered, so nobody can shop for easy ones.
        Raises CategoryError, or FinishedError when every card was seen.
        """
        return self.next_trials(player, category, mode)[0]

    def next_trials(self, player: Player, category: str, mode: Mode = "classic") -> tuple[Trial, ...]:
        """As `next_trial`; in mode `pair` both cards."""
        deck = self.decks.get(category)
        if deck is None or deck.reason is not None:
            raise CategoryError(deck.reason if deck and deck.reason else "There is no such category.")
        if mode == "daily" and not deck.daily:
            raise CategoryError("This category has too few cards for a round every day. Play it in another mode.")
        with self._lock:
            if player.erased:
                raise PlayerError("Your data was erased. Start to play again.")
            trial = player.open.get((mode, category))
            if trial is None or not self._table.playable(trial):
                dealt = deal(self._table, self._ratings, player, deck, mode)
                self._write_trials(player, *dealt)
                trial = dealt[0]
            return tuple(self._shown(player, one) for one in (trial, trial.partner) if one)

    def _shown(self, player: Player, trial: LoadedTrial) -> Trial:
        return Trial(
            id=trial.id,
            player=player.id,
            category=trial.category,
            text="" if trial.check else self._table.cards[trial.item_key].item.text,
            shown_at=trial.shown_at,
            mode=trial.mode,
            position=trial.position,
            check=trial.origin if trial.check else None,
        )

    def day(self, player: Player, category: str) -> Day | None:
        """The player's daily round in `category`, None where there is none."""
        return self._table.day(player, category)

    def _write_trials(self, player: Player, *shown: LoadedTrial) -> None:
        if shown[0].check:
            row = {"id": shown[0].id, "player": player.id, "wanted": shown[0].origin, "shown_at": shown[0].shown_at}
            written = self._ledger.insert_soon(attention_checks, row)
        else:
            written = self._ledger.insert_soon(trials, *(_trial_row(player, trial) for trial in shown))
        for trial in shown:
            trial.written = written

    # Guesses

    def guess(
        self, player: Player, trial_id: str, guess: Origin, response_ms: int, confidence: Confidence | None = None
    ) -> Future[Result]:
        """Take `player`'s answer to a trial; the future holds the result once the guess is on the disk.

        In a pair it answers both cards. The first answer counts: any later or parallel one gets the result of the
        first. When the disk refuses, the future fails with StoreError and the trial is open again. Raises TrialError.
        """
        with self._lock:
            trial = player.trials.get(trial_id)
            if trial is None or player.erased:
                raise TrialError("This card is not yours, or is gone. Take the next one.")
            first = trial.partner if trial.partner and trial.position else trial
            if first.pending is not None:
                return first.pending
            if trial.guess is not None:
                return _done(self._result(player, trial, counted=True))
            answer: Future[Result] = Future()
            answer.set_running_or_notify_cancel()
            first.pending = answer
            if trial.written and trial.written.done() and trial.written.exception():
                self._write_trials(player, *(one for one in (first, first.partner) if one))
            row = _guess_row(player, trial, guess, response_ms, confidence)
            written = self._write_guess(trial, row)
        written.add_done_callback(lambda done: self._settle(player, trial, row, done, answer))
        return answer

    def _write_guess(self, trial: LoadedTrial, row: dict[str, object]) -> Future[None]:
        if trial.check:
            change = sa.update(attention_checks).where(attention_checks.c.id == trial.id)
            return self._ledger.change(change.values(answer=row["guess"], answered_at=row["created_at"]))
        if trial.partner is None:
            return self._ledger.insert(guesses, row)
        other = row | {"trial": trial.partner.id, "guess": opposite(row["guess"])}  # type: ignore[arg-type]
        return self._ledger.insert(guesses, row, other)

    def _settle(
        self, player: Player, trial: LoadedTrial, row: dict[str, object], written: Future[None], answer: Future[Result]
    ) -> None:
        """In the ledger's thread: the guess is durable, or it is not."""
        failure = written.exception()
        with self._lock:
            first = trial.partner if trial.partner and trial.position else trial
            first.pending = None
            if failure is None:
                player.answer(trial, row["guess"], row["server_ms"], row["mark"])  # type: ignore[arg-type]
                result = self._result(player, trial, counted=False)
                self._tallies.add(trial)
                self._rate(player, trial, row["mark"])
                self._mark(player)
        if failure is None:
            answer.set_result(result)
        elif isinstance(failure, sa.exc.IntegrityError):
            answer.set_exception(TrialError("This card is gone. Take the next one."))
        else:
            answer.set_exception(failure)

    def _rate(self, player: Player, trial: LoadedTrial, mark: object) -> None:
        if trial.mode != "pair" and not trial.check and mark is None:
            correct = trial.guess == trial.origin
            player.ability = self._ratings.learn(trial.item_key, player.ability, correct=correct)

    def _mark(self, player: Player) -> None:
        now = datetime.now(UTC)
        for rule in player_rules(player.answers, player.failed_checks) - player.marks:
            player.marks.add(rule)
            self._ledger.insert_soon(player_marks, {"player": player.id, "rule": rule, "at": now})

    def _result(self, player: Player, trial: LoadedTrial, *, counted: bool) -> Result:
        """The result of an answered trial; `counted` when the answer is in the tallies already."""
        guess = trial.guess or trial.origin
        correct = guess == trial.origin
        right, total = self._tallies.of(trial.item_key)
        counted = counted and trial.mode != "pair"
        return Result(
            trial=trial.id,
            mode=trial.mode,
            guess=guess,
            origin=trial.origin,
            correct=correct,
            card=self._table.cards.get(trial.item_key),
            other=self._table.cards.get(trial.partner.item_key) if trial.partner else None,
            check=trial.check,
            score=player.score,
            run=(trial.position or 0) + (correct and not trial.check) if trial.mode == "endless" else None,
            best_run=player.best_run,
            day=self.day(player, trial.category) if trial.mode == "daily" else None,
            others=total - counted,
            others_right=right - (counted and correct),
        )

    def give_reason(self, player: Player, trial_id: str, reason: GuessReason) -> Future[None]:
        """Note why `player` guessed as they did, of both cards of a pair. Raises TrialError before the guess."""
        trial = player.trials.get(trial_id)
        if trial is None or trial.guess is None or trial.check or player.erased:
            raise TrialError("There is no guess of yours to give a reason for.")
        ids = [one.id for one in (trial, trial.partner) if one]
        return self._ledger.change(sa.update(guesses).where(guesses.c.trial.in_(ids)).values(reason=reason))


def _trial_row(player: Player, trial: LoadedTrial) -> dict[str, object]:
    names = ("id", "category", "origin", "item_key", "shown_at", "mode", "round", "position", "arm", "drawn")
    return {"player": player.id} | {name: getattr(trial, name) for name in names}


def _guess_row(
    player: Player, trial: LoadedTrial, guess: Origin, response_ms: int, confidence: Confidence | None
) -> dict[str, object]:
    now = datetime.now(UTC)
    seconds = (
        time.monotonic() - trial.shown_clock
        if trial.shown_clock is not None
        else (now - trial.shown_at).total_seconds()
    )
    response_ms, server_ms = min(max(response_ms, 0), _LONGEST_RESPONSE_MS), min(max(int(seconds * 1000), 0), 2**31 - 1)
    return {
        "trial": trial.id,
        "player": player.id,
        "guess": guess,
        "correct": guess == trial.origin,
        "response_ms": response_ms,
        "server_ms": server_ms,
        "created_at": now,
        "confidence": confidence,
        "reason": None,
        "mark": guess_mark(response_ms, server_ms),
    }


def _done(result: Result) -> Future[Result]:
    future: Future[Result] = Future()
    future.set_result(result)
    return future


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
