"""The desk: all candidates in memory with what was decided on them, handed out best first to those who decide.

Every decision is in the store before it counts here; what other processes stored (a terminal, an import, another
server) is noticed by `refresh`. Safe to share between threads; nothing here waits for the disk but `refresh`.

A share of the candidates, the overlap, is shown to every curator, so that their agreement can be measured: those whose
id, hashed, falls below the percentage. The others leave the desk with the first decision of anybody.
"""

from __future__ import annotations

import random
import threading
import time
import zlib
from collections import defaultdict, deque
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final

import sqlalchemy as sa

from pasquin.config import CurateSettings, load
from pasquin.curate.cards import Card, Filters, Mark, NearestPost, load_cards, nearest_posts
from pasquin.curate.ledger import Entry, Ledger, Outcome, Preference
from pasquin.curate.order import Order
from pasquin.store import Store
from pasquin.store.decided import KEPT
from pasquin.store.schema import candidates, comparisons, decisions
from pasquin.workspace import Workspace
from pasquin.workspace.tombstones import read_tombstones, tombstones_state

_HOLD_SECONDS: Final = 90.0
"""So long a candidate handed to one curator is kept from the others (outside the overlap)."""
_EXPLORE_EVERY: Final = 10
"""Every so-manieth candidate is drawn from all instead of the best, so that the order learns of others, too."""
_RANK_EVERY: Final = 10
_RANK_SECONDS: Final = 2.0
"""The order is made anew after so many decisions, but not more often than that; `refresh` does it, too."""
_BREATH: Final = 200
_PACE_OVER: Final = 50
_LATE_IDS: Final = 500
"""Rows so far back are looked at again: where several processes write, ids do not become visible in order."""


@dataclass(slots=True)
class Tally:
    """What one curator did: decisions that stand by kind, seconds of all, and the latest looks."""

    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(("accept", "edit", "reject", "skip"), 0))
    seconds: float = 0.0
    looks: deque[float] = field(default_factory=lambda: deque(maxlen=_PACE_OVER))

    @property
    def decided(self) -> int:
        """Verdicts that stand."""
        return self.counts["accept"] + self.counts["edit"] + self.counts["reject"]

    @property
    def kept(self) -> int:
        """Accepts and edits that stand."""
        return self.counts["accept"] + self.counts["edit"]

    @property
    def per_minute(self) -> float | None:
        """Decisions a minute over the latest ones."""
        spent = sum(self.looks)
        return 60 * len(self.looks) / spent if spent > 0 else None

    @property
    def minutes_per_keeper(self) -> float | None:
        """Minutes of looking for each candidate kept."""
        return self.seconds / 60 / self.kept if self.kept else None


@dataclass(frozen=True, slots=True)
class Totals:
    """Candidates of the desk: all, those that one curator has still to decide, and the decided by what stands."""

    candidates: int
    open: int
    accepted: int
    rejected: int


class Desk:
    """An opened desk."""

    def __init__(
        self, workspace: Workspace, store: Store, names: Sequence[str] = (), settings: CurateSettings | None = None
    ) -> None:
        """Load the candidates of the models `names` (none named: of all). Raises StoreError, WorkspaceError."""
        self.workspace = workspace
        self.settings = settings or load(CurateSettings, workspace.toml)
        self._store, self._names = store, tuple(names)
        self._lock, self._refreshing = threading.RLock(), threading.Lock()
        self._coins = random.Random()
        self._cards: dict[str, Card] = {}
        self._nearest: dict[str, NearestPost] = {}
        self._marks: dict[int, Mark] = {}
        self._by_curator: dict[str, list[Mark]] = defaultdict(list)
        self._tallies: dict[str, Tally] = defaultdict(Tally)
        self._compared: set[int] = set()
        self._held: dict[str, tuple[str, float]] = {}
        self._order = Order()
        self._ranking: list[Card] = []
        self._ranked_at, self._rank_again, self._stale = -1, 0.0, False
        self._last = self._last_comparison = 0
        self._late = 0 if store.engine.dialect.name == "sqlite" else _LATE_IDS
        self._state: object = None
        self.refresh()
        self._ledger = Ledger(store)
        self._ranker = ThreadPoolExecutor(1, thread_name_prefix="order")

    def close(self) -> None:
        """Finish writing."""
        self._ledger.close()
        self._ranker.shutdown()

    # What is there

    def refresh(self) -> None:
        """Take in new candidates, decisions of other processes, and what was forgotten. Raises StoreError.

        Reads without holding up those who decide.
        """
        with self._refreshing:
            state = self._candidates_state()
            if state != self._state:
                self._take_in_cards(state)
            with self._lock:
                self._catch_up()
            if self._stale or self._order.learned != self._ranked_at or not self._ranking:
                self._rank()

    def _candidates_state(self) -> object:
        query = sa.select(
            sa.func.count(), sa.func.max(candidates.c.created_at), sa.func.count(candidates.c.withdrawn_at)
        )
        with self._store.read() as connection:
            return (tombstones_state(self.workspace), *connection.execute(query).one())

    def _take_in_cards(self, state: object) -> None:
        forgotten = read_tombstones(self.workspace).uris
        there, new = load_cards(self._store, self._names, known=self._cards)
        new = [card for card in new if card.nearest_uri not in forgotten]
        nearest = nearest_posts(self.workspace, new) if new else {}
        with self._lock:
            kept = [card for card in self._cards.values() if card.id in there and card.nearest_uri not in forgotten]
            self._cards = {card.id: card for card in (*kept, *new)}
            self._nearest = {uri: post for uri, post in (self._nearest | nearest).items() if uri not in forgotten}
            fresh = {card.id for card in new}
            for mark in self._marks.values():
                if mark.candidate in fresh and mark.decision != "undo":
                    self._cards[mark.candidate].marks.append(mark)
            self._ranking, self._state = [], state

    def _catch_up(self) -> None:
        """Apply decisions and comparisons that are in the store and not here yet."""
        query = sa.select(decisions).where(decisions.c.id > self._last - self._late).order_by(decisions.c.id)
        compared = sa.select(comparisons).where(comparisons.c.id > self._last_comparison - self._late)
        with self._store.read() as connection:
            rows = connection.execute(query).mappings().all()
            pairs = connection.execute(compared.order_by(comparisons.c.id)).mappings().all()
        for row in rows:
            if row["id"] not in self._marks:
                self._apply(row)
                self._last = max(self._last, row["id"])
        for row in pairs:
            if row["id"] not in self._compared:
                self._compared.add(row["id"])
                self._last_comparison = max(self._last_comparison, row["id"])
                better, worse = self._cards.get(row["better"]), self._cards.get(row["worse"])
                if better and worse:
                    self._order.learn_pair(better.features, worse.features)

    def _apply(self, row: sa.RowMapping) -> None:
        names = ("id", "key", "candidate", "curator", "decision", "text", "reason", "seconds", "created_at")
        mark = Mark(**{name: row[name] for name in names})
        self._marks[mark.id] = mark
        tally = self._tallies[mark.curator]
        tally.seconds += mark.seconds
        if mark.decision == "undo":
            mark.undone = True
            undone = self._marks.get(row["undoes"])
            if undone is not None and not undone.undone:
                undone.undone = True
                tally.counts[undone.decision] -= 1
                self._stale = True  # what was decided is left out of the ranking: it has to come back
            return
        tally.counts[mark.decision] += 1
        tally.looks.append(mark.seconds)
        self._by_curator[mark.curator].append(mark)
        card = self._cards.get(mark.candidate)
        if card is not None:
            card.marks.append(mark)
            if mark.decision != "skip":
                self._order.learn(card.features, mark.decision in KEPT)

    # Deciding

    def record(self, curator: str, entries: Sequence[Entry | Preference]) -> Future[list[Outcome]]:
        """Store decisions of a curator, once each; see `Ledger.record`. They count here when the future is done."""
        answer: Future[list[Outcome]] = Future()
        answer.set_running_or_notify_cancel()
        self._ledger.record(curator, entries).add_done_callback(lambda written: self._settle(written, answer))
        return answer

    def _settle(self, written: Future[list[Outcome]], answer: Future[list[Outcome]]) -> None:
        """In the ledger's thread: the decisions are durable, or they are not."""
        failure = written.exception()
        if failure is None:
            try:
                with self._lock:
                    self._catch_up()
                    due = self._stale or self._order.learned >= self._ranked_at + _RANK_EVERY
                    due = due and time.monotonic() >= self._rank_again
                    if due:
                        self._rank_again = time.monotonic() + _RANK_SECONDS
                if due:
                    self._ranker.submit(self._rank)
            except Exception as exc:  # noqa: BLE001 - whoever waits must hear of it
                failure = exc
        if failure is None:
            answer.set_result(written.result())
        else:
            answer.set_exception(failure)

    # Handing out

    def _rank(self) -> None:
        """Order the candidates anew, those that are decided for everybody left out. Holds no lock."""
        learned, waiting = self._order.learned, []
        self._stale = False
        for number, card in enumerate(self.all_cards()):
            if card.standing is None or self.overlaps(card):
                card.score = self._order.score(card.features)
                waiting.append((-card.score, card.id, card))
            if number % _BREATH == 0:
                time.sleep(0)  # whoever waits for an answer goes first
        best = [card for *_, card in sorted(waiting, key=lambda entry: entry[:2])]
        self._ranking = list(_with_surprises(best, self._coins))
        self._ranked_at = learned

    def overlaps(self, card: Card) -> bool:
        """Whether every curator is to decide on it."""
        return zlib.crc32(card.id.encode()) % 100 < self.settings.overlap

    def cards(self, curator: str, filters: Filters, n: int, have: Collection[str] = ()) -> list[Card]:
        """The next `n` candidates for a curator, without those they `have` already; skipped ones come last.

        Of another status than `open`: the latest decided first. Candidates handed out are kept from other curators for
        a while, so that nobody decides what somebody else is looking at.
        """
        with self._lock:
            if filters.status != "open":
                return self._decided(curator, filters, n, have)
            now = time.monotonic()
            found, skipped = [], []
            words, taken = filters.words(), set(have)
            for card in self._ranking:
                if card.id in taken or not filters.allow(card, words) or not self._is_open(card, curator, now):
                    continue
                mark = card.mark_of(curator)
                if mark is None:
                    found.append(card)
                    if len(found) == n:
                        break
                else:
                    skipped.append((mark.id, card))
            found += [card for _, card in sorted(skipped, key=lambda pair: pair[0])][: n - len(found)]
            for card in found:
                self._held[card.id] = (curator, now + _HOLD_SECONDS)
            for key in taken & self._held.keys():
                self._held[key] = (curator, now + _HOLD_SECONDS)
            return found

    def _is_open(self, card: Card, curator: str, now: float) -> bool:
        mark = card.mark_of(curator)
        if (mark is not None and mark.decision != "skip") or card.id not in self._cards:
            return False
        if self.overlaps(card):
            return True
        holder = self._held.get(card.id)
        return card.standing is None and (holder is None or holder[0] == curator or holder[1] < now)

    def _decided(self, curator: str, filters: Filters, n: int, have: Collection[str]) -> list[Card]:
        found, words = [], filters.words()
        for card in self._cards.values():
            if card.id in have or not filters.allow(card, words):
                continue
            standing, mine = card.standing, card.mark_of(curator)
            status = "open" if standing is None else "accepted" if standing.decision in KEPT else "rejected"
            if filters.status == "skipped":
                if mine is not None and mine.decision == "skip" and standing is None:
                    found.append((mine.id, card))
            elif filters.status in ("all", status):
                found.append((standing.id if standing else 0, card))
        found.sort(key=lambda pair: (-pair[0], -pair[1].score))
        return [card for _, card in found[:n]]

    def pair(self, curator: str, filters: Filters, not_these: Collection[str] = ()) -> tuple[Card, Card] | None:
        """Two candidates that the order finds hard to tell apart, both undecided; None when there are not two."""
        open_ones = self.cards(curator, filters, 60, not_these)
        fresh = [card for card in open_ones if card.mark_of(curator) is None]
        if len(fresh) < 2:
            return None
        one = self._coins.choice(fresh)
        other = min((card for card in fresh if card is not one), key=lambda card: abs(card.score - one.score))
        return (one, other) if self._coins.random() < 0.5 else (other, one)

    # Telling

    def card(self, candidate: str) -> Card | None:
        """A candidate by its id."""
        return self._cards.get(candidate)

    def all_cards(self) -> list[Card]:
        """Every candidate of the desk, oldest first."""
        with self._lock:
            return list(self._cards.values())

    def nearest(self, card: Card) -> NearestPost | None:
        """The real post a candidate comes closest to, where it is still here."""
        return self._nearest.get(card.nearest_uri) if card.nearest_uri else None

    def history(self, curator: str, before: int | None, n: int) -> list[tuple[Mark, Card]]:
        """Decisions of a curator that stand, latest first, those with an id below `before`."""
        found: list[tuple[Mark, Card]] = []
        with self._lock:
            for mark in reversed(self._by_curator.get(curator, [])):
                card = self._cards.get(mark.candidate)
                if card is not None and not mark.undone and (before is None or mark.id < before):
                    found.append((mark, card))
                    if len(found) == n:
                        break
        return found

    def tally(self, curator: str) -> Tally:
        """What a curator did so far."""
        with self._lock:
            return self._tallies[curator]

    def totals(self, curator: str) -> Totals:
        """How far the work is."""
        with self._lock:
            verdicts = [card.standing for card in self._cards.values()]
            accepted = sum(mark is not None and mark.decision in KEPT for mark in verdicts)
            left = sum(self._is_left(card, curator) for card in self._cards.values())
            rejected = sum(mark is not None for mark in verdicts) - accepted
            return Totals(len(self._cards), left, accepted, rejected)

    def _is_left(self, card: Card, curator: str) -> bool:
        mark = card.mark_of(curator)
        return (mark is None or mark.decision == "skip") and (card.standing is None or self.overlaps(card))

    def choices(self) -> tuple[list[str], list[str]]:
        """Models and accounts that candidates of the desk have, to filter by."""
        with self._lock:
            models = {card.model for card in self._cards.values()}
            accounts = {card.account for card in self._cards.values() if card.account}
        return sorted(models), sorted(accounts)


def _with_surprises(best: list[Card], coins: random.Random) -> Iterator[Card]:
    """The candidates in order, but every `_EXPLORE_EVERY`-th one drawn from all that are left."""
    drawn: set[str] = set()
    place = 0
    for number, card in enumerate(best, 1):
        if number % _EXPLORE_EVERY == 0 and place < len(best) - 1:
            surprise = best[coins.randrange(place, len(best))]
            if surprise.id not in drawn:
                drawn.add(surprise.id)
                yield surprise
        place = number
        if card.id not in drawn:
            drawn.add(card.id)
            yield card
