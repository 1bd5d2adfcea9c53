"""Decisions on their way to the disk: handed in by many, written in groups, once each however often they are sent.

One thread takes whatever has been handed in, writes it in one transaction, and only then tells those who wait.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Literal

import sqlalchemy as sa

from pasquin.errors import PasquinError, StoreError
from pasquin.store import Store
from pasquin.store.schema import candidates, comparisons, decisions

Verdict = Literal["accept", "edit", "reject", "skip", "undo"]
Via = Literal["card", "grid", "list", "terminal", "sheet"]
Outcome = Literal["stored", "known", "gone"]

LONGEST_LOOK: Final = 120.0
"""Seconds that a decision counts at most: whoever took longer went for a coffee."""
_LARGEST_GROUP: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One decision. `key` is unique for its curator; an undo names the `key` of what it takes back in `undoes`."""

    key: str
    candidate: str
    decision: Verdict
    undoes: str | None = None
    text: str | None = None
    reason: str | None = None
    seconds: float = 0.0
    via: Via = "card"


@dataclass(frozen=True, slots=True, kw_only=True)
class Preference:
    """One answer to "which of two?"."""

    key: str
    better: str
    worse: str
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class _Handed:
    curator: str
    entries: Sequence[Entry | Preference]
    done: Future[list[Outcome]]


class Ledger:
    """Durable writes of decisions from many threads or one event loop."""

    def __init__(self, store: Store) -> None:
        """Start the writing thread on `store`; `close` ends it."""
        self._store = store
        self._handed: queue.SimpleQueue[_Handed | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="decisions", daemon=True)
        self._thread.start()

    def record(self, curator: str, entries: Sequence[Entry | Preference]) -> Future[list[Outcome]]:
        """Hand in decisions of a curator; the future holds what became of each once all are on the disk.

        `stored`, `known` (it was there before), or `gone` (its candidate, or what it takes back, is not there).
        The future fails with StoreError.
        """
        handed = _Handed(curator, entries, Future())
        handed.done.set_running_or_notify_cancel()
        self._handed.put(handed)
        return handed.done

    def close(self) -> None:
        """Write what was handed in, then end the thread."""
        self._handed.put(None)
        self._thread.join()

    def _run(self) -> None:
        ended = False
        while not ended and (first := self._handed.get()) is not None:
            group = [first]
            while len(group) < _LARGEST_GROUP and not self._handed.empty():
                handed = self._handed.get()
                if handed is None:
                    ended = True
                    break
                group.append(handed)
            self._write(group)

    def _write(self, group: Sequence[_Handed]) -> None:
        try:
            try:
                outcomes = self._commit(group)
            except sa.exc.IntegrityError:
                # Another process stored the same keys or removed a candidate meanwhile: now that can be seen.
                outcomes = self._commit(group)
        except Exception as exc:  # noqa: BLE001 - whatever it is, those who wait must hear of it and the thread go on
            failure = (
                exc if isinstance(exc, PasquinError) else StoreError(f"The decisions could not be written ({exc}).")
            )
            for handed in group:
                handed.done.set_exception(failure)
        else:
            for handed, outcome in zip(group, outcomes, strict=True):
                handed.done.set_result(outcome)

    def _commit(self, group: Sequence[_Handed]) -> list[list[Outcome]]:
        with self._store.write() as connection:
            return [[_insert(connection, handed.curator, entry) for entry in handed.entries] for handed in group]


def _insert(connection: sa.Connection, curator: str, entry: Entry | Preference) -> Outcome:
    table = decisions if isinstance(entry, Entry) else comparisons
    known = sa.select(table.c.id).where(table.c.curator == curator, table.c.key == entry.key)
    if connection.execute(known).first():
        return "known"
    row: dict[str, object] = {
        "key": entry.key,
        "curator": curator,
        "seconds": min(max(entry.seconds, 0.0), LONGEST_LOOK),
        "created_at": datetime.now(UTC),
    }
    if isinstance(entry, Preference):
        row |= {"better": entry.better, "worse": entry.worse}
        needed = {entry.better, entry.worse}
    else:
        row |= {name: getattr(entry, name) for name in ("candidate", "decision", "text", "reason", "via")}
        needed = {entry.candidate}
    there = sa.select(sa.func.count()).where(candidates.c.id.in_(needed), candidates.c.withdrawn_at.is_(None))
    if connection.execute(there).scalar() != len(needed):
        return "gone"
    if isinstance(entry, Entry) and entry.decision == "undo":
        row["undoes"], outcome = _undone(connection, curator, entry)
        if outcome is not None:
            return outcome
    connection.execute(sa.insert(table).values(row))
    return "stored"


def _undone(connection: sa.Connection, curator: str, entry: Entry) -> tuple[int | None, Outcome | None]:
    """The row that an undo takes back, or why there is nothing to take back."""
    query = sa.select(decisions.c.id).where(
        decisions.c.curator == curator,
        decisions.c.key == (entry.undoes or ""),
        decisions.c.candidate == entry.candidate,
        decisions.c.decision != "undo",
    )
    row: int | None = connection.execute(query).scalar()
    if row is None:
        return None, "gone"
    before = connection.execute(sa.select(decisions.c.id).where(decisions.c.undoes == row)).first()
    return row, "known" if before else None
