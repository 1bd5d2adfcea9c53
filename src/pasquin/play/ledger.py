"""The ledger of the game: rows written in groups, so that one sync to disk serves everybody who is waiting.

A single thread takes whatever has been handed in, writes it in one transaction, and only then tells those who wait.
Rows of a group go in parents first (players, trials, guesses); changes and deletions come last. Rows that nobody waits
for (trials shown) are written with the next ones that somebody does wait for, or a few milliseconds later.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import sqlalchemy as sa

from pasquin.errors import StoreError
from pasquin.store import Store
from pasquin.store.schema import attention_checks, guesses, player_marks, players, trials

_ORDER = (players, trials, attention_checks, guesses, player_marks)
_LARGEST_GROUP = 512
_GATHER_SECONDS = 0.001
_LINGER_SECONDS = 0.05
_MOST_VALUES: Final = 30_000
"""SQLite takes 32,766 in a statement."""
_PLACES = {id(table): place for place, table in enumerate(_ORDER)}

Row = Mapping[str, object]
Tell = Callable[[Callable[[], None]], object]


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
        self._dialect = store.engine.dialect
        self._hurry = threading.Event()
        self._tell: Tell = _at_once
        self._entries: queue.SimpleQueue[_Entry | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="ledger", daemon=True)
        self._thread.start()

    def tell_through(self, tell: Tell) -> None:
        """Have `tell` call what tells those who wait, once a group: an event loop's `call_soon_threadsafe`.

        Without one the writing thread does, and everybody who asks meanwhile contends with it for Python's lock.
        """
        self._tell = tell

    @property
    def waiting(self) -> int:
        """How many changes wait to be written."""
        return self._entries.qsize()

    def insert(self, table: sa.Table, *rows: Row) -> Future[None]:
        """Hand in rows of one of the game's tables, to be written all or none; done once they are on the disk.

        The future fails with StoreError, or with `sqlalchemy.exc.IntegrityError` where a row is not possible.
        """
        return self._hand_in(_Entry(table, rows, None, Future()))

    def insert_soon(self, table: sa.Table, *rows: Row) -> Future[None]:
        """As `insert`, for rows that nobody waits for: before anything handed in later, or in a few milliseconds."""
        return self._hand_in(_Entry(table, rows, None, Future()), hurry=False)

    def change(self, statement: sa.Executable) -> Future[None]:
        """Hand in an update or a deletion; it sees everything handed in before. Fails as `insert` does."""
        return self._hand_in(_Entry(None, (), statement, Future()))

    def erase(self, player: str) -> Future[None]:
        """Hand in that everything of `player` be deleted."""
        return self.change(sa.delete(players).where(players.c.id == player))

    def close(self) -> None:
        """Write what was handed in, then end the thread."""
        self._entries.put(None)
        self._hurry.set()
        self._thread.join()

    def _hand_in(self, entry: _Entry, *, hurry: bool = True) -> Future[None]:
        entry.done.set_running_or_notify_cancel()  # whoever stops waiting must not take the row back
        self._entries.put(entry)
        if hurry:
            self._hurry.set()
        return entry.done

    def _run(self) -> None:
        crowd = False
        while (first := self._entries.get()) is not None:
            self._hurry.wait(_LINGER_SECONDS)
            self._hurry.clear()
            if crowd:
                time.sleep(_GATHER_SECONDS)  # where many play, waiting a moment lets more share one sync
            group: list[_Entry] = [first]
            ended = False
            while len(group) < _LARGEST_GROUP and not self._entries.empty():
                entry = self._entries.get()
                if entry is None:
                    ended = True
                    break
                group.append(entry)
            crowd = len(group) > 1
            self._write(group)
            if ended:
                return

    def _write(self, group: Sequence[_Entry]) -> None:
        """Commit the group; when one row is impossible, each alone, so that the others do not suffer."""
        try:
            self._commit(group)
        except sa.exc.IntegrityError as exc:
            if len(group) == 1:
                self._settle(group, exc)
                return
            for entry in sorted(group, key=_place):
                self._write([entry])
        except Exception as exc:  # noqa: BLE001 - whatever it is, those who wait must hear of it and the thread go on
            failure = exc if isinstance(exc, StoreError) else StoreError(f"The database could not be written ({exc}).")
            self._settle(group, failure)
        else:
            self._settle(group, None)

    def _settle(self, group: Sequence[_Entry], failure: Exception | None) -> None:
        def settle() -> None:
            for entry in group:
                if failure is None:
                    entry.done.set_result(None)
                else:
                    entry.done.set_exception(failure)

        try:
            self._tell(settle)
        except RuntimeError:  # the loop has ended: nobody waits there any more, but whoever does elsewhere must hear
            settle()

    def _commit(self, group: Sequence[_Entry]) -> None:
        with self._store.write() as connection:
            for table in _ORDER:
                rows = [row for entry in group if entry.table is table for row in entry.rows]
                if rows:
                    self._insert(connection, table, rows)
            for entry in group:
                if entry.statement is not None:
                    connection.execute(entry.statement)

    def _insert(self, connection: sa.Connection, table: sa.Table, rows: Sequence[Row]) -> None:
        """Insert rows that have the same columns.

        In SQLite as one statement: executemany would give up Python's lock, and wait for it, once a row.
        """
        if self._dialect.name != "sqlite":
            connection.execute(sa.insert(table), [dict(row) for row in rows])
            return
        names = list(rows[0])
        place = f"({', '.join('?' * len(names))})"
        converters = [_converter(table.c[name], self._dialect) for name in names]
        for start in range(0, len(rows), _MOST_VALUES // len(names)):
            some = rows[start : start + _MOST_VALUES // len(names)]
            values = tuple(
                converted(row[name]) for row in some for name, converted in zip(names, converters, strict=True)
            )
            into = f"INSERT INTO {table.name} ({', '.join(names)}) VALUES {', '.join([place] * len(some))}"
            connection.exec_driver_sql(into, values)


@cache
def _converter(column: sa.Column[Any], dialect: sa.Dialect) -> Callable[[Any], Any]:
    """What makes of a value what the database's driver takes."""
    return column.type.dialect_impl(dialect).bind_processor(dialect) or (lambda value: value)


def _at_once(work: Callable[[], None]) -> None:
    work()


def _place(entry: _Entry) -> int:
    return _PLACES.get(id(entry.table), len(_ORDER))
