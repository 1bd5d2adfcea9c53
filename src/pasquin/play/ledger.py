"""The ledger of the game: rows written in groups, so that one sync to disk serves everybody who is waiting.

A single thread takes whatever has been handed in, writes it in one transaction, and only then tells those who wait.
Rows of a group go in parents first (players, trials, guesses); erasing a player comes last.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass

import sqlalchemy as sa

from pasquin.errors import StoreError
from pasquin.store import Store
from pasquin.store.schema import guesses, players, trials

_ORDER = (players, trials, guesses)
_LARGEST_GROUP = 512


@dataclass(frozen=True, slots=True)
class _Entry:
    table: sa.Table | None
    row: Mapping[str, object]
    done: Future[None]


class Ledger:
    """Durable writes from many threads or one event loop."""

    def __init__(self, store: Store) -> None:
        """Start the writing thread on `store`; `close` ends it."""
        self._store = store
        self._entries: queue.SimpleQueue[_Entry | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="ledger", daemon=True)
        self._thread.start()

    def insert(self, table: sa.Table, row: Mapping[str, object]) -> Future[None]:
        """Hand in a row of `players`, `trials` or `guesses`; the future is done once it is on the disk.

        The future fails with StoreError, or with `sqlalchemy.exc.IntegrityError` where the row is not possible.
        """
        return self._hand_in(_Entry(table, row, Future()))

    def erase(self, player: str) -> Future[None]:
        """Hand in that everything of `player` be deleted."""
        return self._hand_in(_Entry(None, {"id": player}, Future()))

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
            for entry in _ordered(group):
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
                rows = [dict(entry.row) for entry in group if entry.table is table]
                if rows:
                    connection.execute(sa.insert(table), rows)
            for entry in group:
                if entry.table is None:
                    connection.execute(sa.delete(players).where(players.c.id == entry.row["id"]))


def _ordered(group: Sequence[_Entry]) -> list[_Entry]:
    places = {id(table): place for place, table in enumerate(_ORDER)}
    return sorted(group, key=lambda entry: places.get(id(entry.table), len(_ORDER)))
