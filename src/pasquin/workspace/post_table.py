"""Posts in a table instead of in memory: what sources hand over that read faster than a post at a time."""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Iterator, Sequence
from datetime import UTC
from typing import TYPE_CHECKING, Final, overload

from pasquin.records import Post

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_MEMORY: Final = ":memory:pasquin"
_BATCH: Final = 2_000
_numbers = itertools.count(1)


def open_memory() -> DuckDBPyConnection:
    """A connection to the process's own database in memory, in which tables can be handed on without copying them."""
    import duckdb

    return duckdb.connect(_MEMORY)


class PostTable(Sequence[Post]):
    """Posts in a table `name` of the process's memory, with the columns of a shard, in order.

    It is a sequence of posts like any other, and is written to shards without making any. It holds a connection, so
    that the database stays, and drops its table in the end.
    """

    def __init__(self, name: str, count: int) -> None:
        """Takes over `name`, a table in the database of `open_memory`, with `count` rows."""
        self.name = name
        self._database = open_memory()
        self._count = count
        weakref.finalize(self, _drop, self._database, name)

    @staticmethod
    def new_name() -> str:
        """A name that no other table has."""
        return f"posts_{next(_numbers)}"

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Post]:
        from pasquin.workspace.shards import COLUMNS

        rows = self._database.cursor().execute(f"SELECT {', '.join(COLUMNS)} FROM {self.name} ORDER BY rowid")
        while batch := rows.fetchmany(_BATCH):
            for row in batch:
                values = dict(zip(COLUMNS, row, strict=True))
                if values["created_at"] is not None:
                    values["created_at"] = values["created_at"].replace(tzinfo=UTC)
                yield Post(**values)

    @overload
    def __getitem__(self, index: int) -> Post: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Post, ...]: ...
    def __getitem__(self, index: int | slice) -> Post | tuple[Post, ...]:
        return tuple(self)[index]


def _drop(database: DuckDBPyConnection, name: str) -> None:
    database.execute(f"DROP TABLE IF EXISTS {name}")
    database.close()
