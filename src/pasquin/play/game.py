"""Players, trials and guesses: who is shown which card, and what they answered."""

from __future__ import annotations

import hashlib
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import UTC, datetime

import sqlalchemy as sa

from pasquin.config import PlaySettings, load
from pasquin.errors import PasquinError
from pasquin.play.items import Card, Deck, build_decks, candidates_state
from pasquin.play.ledger import Ledger
from pasquin.play.players import LoadedTrial, Player, Score, load_player
from pasquin.records import Origin, Trial
from pasquin.store import Store
from pasquin.store.schema import guesses, players, trials
from pasquin.workspace import Workspace
from pasquin.workspace.tombstones import tombstones_state

_PLAYERS_IN_MEMORY = 5_000
_LONGEST_RESPONSE_MS = 86_400_000


class PlayerError(PasquinError):
    """The token belongs to no player: it was never given out, or the player was erased."""


class CategoryError(PasquinError):
    """There is no such category, or it cannot be played now."""


class TrialError(PasquinError):
    """There is no such trial for this player."""


class FinishedError(PasquinError):
    """The player has seen every card of the category."""


@dataclass(frozen=True, slots=True)
class Result:
    """A guess that is on the disk, and what the card was. `card` is None when it was deleted in the meantime.

    `others` is how many earlier players guessed on this card, `others_right` how many of them were right.
    """

    trial: str
    guess: Origin
    origin: Origin
    correct: bool
    card: Card | None
    score: Score
    others: int
    others_right: int


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
        self._lock = threading.Lock()
        self._players: OrderedDict[str, Player] = OrderedDict()
        self._tallies = self._load_tallies()
        self._load_cards()
        self._ledger = Ledger(store)

    def close(self) -> None:
        """Finish writing."""
        self._ledger.close()

    # Cards

    @property
    def corpora(self) -> tuple[str, ...]:
        """Names of the corpora played with."""
        return self._named or tuple(self.workspace.corpora())

    @property
    def decks(self) -> dict[str, Deck]:
        """The categories by key, in the order to offer them."""
        return self._decks

    def refresh(self) -> bool:
        """Load the cards anew if candidates or corpora changed, or a post was forgotten; whether anything had.

        Takes as long as loading does.
        """
        if self._cards_state() == self._state:
            return False
        self._load_cards()
        return True

    def _load_cards(self) -> None:
        state = self._cards_state()
        decks = build_decks(self.workspace, self._store, self.corpora, self.settings.min_items)
        cards = {
            card.item.key: card
            for deck in decks.values()
            for stratum in deck.strata
            for card in (*stratum.human, *stratum.model)
        }
        self._decks, self._cards, self._state = decks, cards, state

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
            player = load_player(self._store, _hash(token))
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
        return self._ledger.erase(player.id)

    # Trials

    def next_trial(self, player: Player, category: str) -> Trial:
        """The card `player` has open in `category`, or a new one.

        Asking again gives the same card until it is answered, so nobody can shop for easy ones.
        Raises CategoryError, or FinishedError when every card was seen.
        """
        deck = self._decks.get(category)
        if deck is None or deck.reason is not None:
            raise CategoryError(deck.reason if deck and deck.reason else "There is no such category.")
        with self._lock:
            if player.erased:
                raise PlayerError("Your data was erased. Start to play again.")
            trial = player.open.get(category)
            card = self._cards.get(trial.item_key) if trial else None
            if trial is None or card is None:
                card = deck.draw(player.seen)
                if card is None:
                    raise FinishedError(_finished(deck, player))
                trial = self._issue(player, category, card)
        return Trial(id=trial.id, player=player.id, category=category, text=card.item.text, shown_at=trial.shown_at)

    def _issue(self, player: Player, category: str, card: Card) -> LoadedTrial:
        trial = LoadedTrial(
            id=secrets.token_hex(16),
            category=category,
            item_key=card.item.key,
            origin=card.item.origin,
            shown_at=datetime.now(UTC),
            shown_clock=time.monotonic(),
        )
        player.add(trial)
        self._write_trial(player, trial)
        return trial

    def _write_trial(self, player: Player, trial: LoadedTrial) -> None:
        row = {"player": player.id} | {
            name: getattr(trial, name) for name in ("id", "category", "origin", "item_key", "shown_at")
        }
        trial.written = self._ledger.insert(trials, row)

    # Guesses

    def guess(self, player: Player, trial_id: str, guess: Origin, response_ms: int) -> Future[Result]:
        """Take `player`'s answer to a trial; the future holds the result once the guess is on the disk.

        The first answer counts: any later or parallel one gets the result of the first. When the disk refuses, the
        future fails with StoreError and the trial is open again. Raises TrialError.
        """
        with self._lock:
            trial = player.trials.get(trial_id)
            if trial is None or player.erased:
                raise TrialError("This card is not yours, or is gone. Take the next one.")
            if trial.pending is not None:
                return trial.pending
            if trial.guess is not None:
                return _done(self._result(player, trial, counted=True))
            answer: Future[Result] = Future()
            answer.set_running_or_notify_cancel()
            trial.pending = answer
            if trial.written and trial.written.done() and trial.written.exception():
                self._write_trial(player, trial)
            row = _guess_row(player, trial, guess, response_ms)
            written = self._ledger.insert(guesses, row)
        written.add_done_callback(lambda done: self._settle(player, trial, guess, done, answer))
        return answer

    def _settle(
        self, player: Player, trial: LoadedTrial, guess: Origin, written: Future[None], answer: Future[Result]
    ) -> None:
        """In the ledger's thread: the guess is durable, or it is not."""
        failure = written.exception()
        with self._lock:
            trial.pending = None
            if failure is None:
                player.answer(trial, guess)
                result = self._result(player, trial, counted=False)
                right, total = self._tallies.get(trial.item_key, (0, 0))
                self._tallies[trial.item_key] = (right + (guess == trial.origin), total + 1)
        if failure is None:
            answer.set_result(result)
        elif isinstance(failure, sa.exc.IntegrityError):
            answer.set_exception(TrialError("This card is gone. Take the next one."))
        else:
            answer.set_exception(failure)

    def _result(self, player: Player, trial: LoadedTrial, *, counted: bool) -> Result:
        """The result of an answered trial; `counted` when the answer is in the tallies already."""
        guess = trial.guess or trial.origin
        correct = guess == trial.origin
        right, total = self._tallies.get(trial.item_key, (0, 0))
        return Result(
            trial=trial.id,
            guess=guess,
            origin=trial.origin,
            correct=correct,
            card=self._cards.get(trial.item_key),
            score=player.score,
            others=total - counted,
            others_right=right - (counted and correct),
        )

    def _load_tallies(self) -> dict[str, tuple[int, int]]:
        right = sa.func.sum(sa.case((guesses.c.correct, 1), else_=0))
        query = (
            sa.select(trials.c.item_key, right, sa.func.count())
            .join(guesses, guesses.c.trial == trials.c.id)
            .group_by(trials.c.item_key)
        )
        with self._store.read() as connection:
            return {key: (int(right), total) for key, right, total in connection.execute(query)}


def _guess_row(player: Player, trial: LoadedTrial, guess: Origin, response_ms: int) -> dict[str, object]:
    now = datetime.now(UTC)
    seconds = (
        time.monotonic() - trial.shown_clock
        if trial.shown_clock is not None
        else (now - trial.shown_at).total_seconds()
    )
    return {
        "trial": trial.id,
        "player": player.id,
        "guess": guess,
        "correct": guess == trial.origin,
        "response_ms": min(max(response_ms, 0), _LONGEST_RESPONSE_MS),
        "server_ms": min(max(int(seconds * 1000), 0), 2**31 - 1),
        "created_at": now,
    }


def _finished(deck: Deck, player: Player) -> str:
    seen = sum(1 for trial in player.trials.values() if trial.category == deck.key)
    name = deck.account or deck.corpus
    return f"You have seen every card of “{name}” that can be shown fairly ({seen} of them here)."


def _done(result: Result) -> Future[Result]:
    future: Future[Result] = Future()
    future.set_result(result)
    return future


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
