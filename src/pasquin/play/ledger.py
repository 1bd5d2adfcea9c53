"""The ledger of the game: rows written in groups, so that one sync to disk serves everybody who is waiting.

A single thread takes whatever has been handed in, writes it in one transaction, and only then tells those who wait.
Rows of a group go in parents first (players, trials, guesses); changes and deletions come last.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from pasquin.errors import StoreError
from pasquin.store import Store
from pasquin.store.schema import attention_checks, guesses, player_marks, players, trials

_ORDER = (players, trials, attention_checks, guesses, player_marks)
_LARGEST_GROUP = 512
_PLACES = {id(table): place for place, table in enumerate(_ORDER)}

Row = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class _Entry:
    """Rows of one table, or a statement that changes rows."""

    table: sa.Table | None
    rows: Sequence[Row]
    statement: sa.Executable | None
    done: Future[None]


class Ledger:
    """Durable writes from many threads or one event loop."""

    def __init__(self, store: Store) -> None:
        """Start the writing thread on `store`; `close` ends it."""
        self._store = store
        self._entries: queue.SimpleQueue[_Entry | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="ledger", daemon=True)
        self._thread.start()

    def insert(self, table: sa.Table, *rows: Row) -> Future[None]:
        """Hand in rows of one of the game's tables, to be written all or none; done once they are on the disk.

        The future fails with StoreError, or with `sqlalchemy.exc.IntegrityError` where a row is not possible.
        """
        return self._hand_in(_Entry(table, rows, None, Future()))

    def change(self, statement: sa.Executable) -> Future[None]:
        """Hand in an update or a deletion; it sees everything handed in before. Fails as `insert` does."""
        return self._hand_in(_Entry(None, (), statement, Future()))

    def erase(self, player: str) -> Future[None]:
        """Hand in that everything of `player` be deleted."""
        return self.change(sa.delete(players).where(players.c.id == player))

    def close(self) -> None:
        """Write what was handed in, then end the thread."""
        self._entries.put(None)
        self._thread.join()

    def _hand_in(self, entry: _Entry) -> Future[None]:
        entry.done.set_running_or_notify_cancel()  # whoever stops waiting must not take the row back
        self._entries.put(entry)
        return entry.done

    def _run(self) -> None:
        while (first := self._entries.get()) is not None:
            group: list[_Entry] = [first]
            ended = False
            while len(group) < _LARGEST_GROUP and not self._entries.empty():
                entry = self._entries.get()
                if entry is None:
                    ended = True
                    break
                group.append(entry)
            self._write(group)
            if ended:
                return

    def _write(self, group: Sequence[_Entry]) -> None:
        """Commit the group; when one row is impossible, each alone, so that the others do not suffer."""
        try:
            self._commit(group)
        except sa.exc.IntegrityError as exc:
            if len(group) == 1:
                group[0].done.set_exception(exc)
                return
            for entry in sorted(group, key=_place):
                self._write([entry])
        except Exception as exc:  # noqa: BLE001 - whatever it is, those who wait must hear of it and the thread go on
            failure = exc if isinstance(exc, StoreError) else StoreError(f"The database could not be written ({exc}).")
            for entry in group:
                entry.done.set_exception(failure)
        else:
            for entry in group:
                entry.done.set_result(None)

    def _commit(self, group: Sequence[_Entry]) -> None:
        with self._store.write() as connection:
            for table in _ORDER:
                rows: list[dict[str, Any]] = [
                    dict(row) for entry in group if entry.table is table for row in entry.rows
                ]
                if rows:
                    connection.execute(sa.insert(table), rows)
            for entry in group:
                if entry.statement is not None:
                    connection.execute(entry.statement)


def _place(entry: _Entry) -> int:
    return _PLACES.get(id(entry.table), len(_ORDER))
