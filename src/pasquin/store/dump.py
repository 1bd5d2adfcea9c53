"""Rows of any version of the store, out of one database and into another, SQLite or PostgreSQL alike.

What is read is read in one transaction, so it is how things stood at one moment, whoever writes meanwhile. Tables are
taken from the database itself and not from `schema`, so that an older version can be dumped without migrating it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Final

import sqlalchemy as sa

from pasquin.errors import StoreError
from pasquin.store.schema import metadata
from pasquin.store.state import VERSION_TABLE

_CHUNK: Final = 1_000
Row = dict[str, Any]
"""A row as plain JSON: times in ISO format with their offset, everything else as it is."""


@contextmanager
def snapshot(engine: sa.Engine, *, alone: bool = False) -> Iterator[sa.Connection]:
    """A transaction that sees one moment; `alone`: nobody else writes until it ends (the database
    must be of the newest version). Raises StoreError."""
    try:
        with engine.connect() as connection:
            if engine.dialect.name == "sqlite":
                connection.exec_driver_sql("BEGIN IMMEDIATE" if alone else "BEGIN")
                connection.execute(
                    sa.text("SELECT count(*) FROM sqlite_master")
                )  # the moment is that of the first read
            else:
                connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
                if alone:  # before anything is read: the moment is that of the first query
                    names = ", ".join(f'"{name}"' for name in metadata.tables)
                    connection.exec_driver_sql(f"LOCK TABLE {names} IN SHARE ROW EXCLUSIVE MODE")
            yield connection
            if connection.in_transaction():
                connection.rollback()
    except sa.exc.OperationalError as exc:
        reason = str(getattr(exc, "orig", None) or exc).splitlines()[0]
        raise StoreError(f"The database could not be read ({reason}). Try again in a moment.") from exc


def version_of(connection: sa.Connection) -> str | None:
    """The version a database says it has, None for an empty one."""
    if not sa.inspect(connection).has_table(VERSION_TABLE):
        return None
    found: str | None = connection.execute(sa.text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar()
    return found


def tables_of(connection: sa.Connection) -> list[sa.Table]:
    """Our tables as they are in this database, each after those it refers to."""
    there = sa.MetaData()
    ours = set(metadata.tables)
    there.reflect(connection, only=lambda name, _: name in ours)
    for table in there.tables.values():
        for column in table.columns:
            if isinstance(column.type, sa.JSON):
                column.type = sa.JSON(none_as_null=column.nullable or False)
            elif isinstance(column.type, sa.DateTime):
                column.type = sa.DateTime(timezone=True)
    return [table for table in there.sorted_tables if table.name in ours]


def read_rows(connection: sa.Connection, table: sa.Table) -> Iterator[Row]:
    """All rows of a table, in the order of its key."""
    query = sa.select(table).order_by(*table.primary_key.columns)
    rows = connection.execute(query.execution_options(yield_per=_CHUNK))
    for row in rows.mappings():
        yield {key: _plain(value) for key, value in row.items()}


def write_rows(connection: sa.Connection, table: sa.Table, rows: Iterable[Row]) -> int:
    """Insert rows as `read_rows` gave them; how many. Raises StoreError when the database does not take one."""
    times = [column.name for column in table.columns if isinstance(column.type, sa.DateTime)]
    known = {column.name for column in table.columns}
    rest = iter(rows)
    count = 0
    while chunk := list(islice(rest, _CHUNK)):
        for row in chunk:
            if set(row) != known:
                raise StoreError(f"A row of the table {table.name} has other columns than this version of it.")
        try:
            connection.execute(sa.insert(table), [_with_times(row, times) for row in chunk])
        except (sa.exc.DataError, sa.exc.IntegrityError, ValueError) as exc:
            reason = str(getattr(exc, "orig", None) or exc).splitlines()[0]
            raise StoreError(f"The database does not take a row of the table {table.name} ({reason}).") from exc
        count += len(chunk)
    _continue_numbers(connection, table)
    return count


def _with_times(row: Row, times: list[str]) -> Row:
    return row | {name: datetime.fromisoformat(row[name]) for name in times if row[name] is not None}


def _continue_numbers(connection: sa.Connection, table: sa.Table) -> None:
    """Rows with given numbers do not move PostgreSQL's own counting; what is inserted next must not collide."""
    key = list(table.primary_key.columns)
    if connection.dialect.name != "postgresql" or len(key) != 1 or not isinstance(key[0].type, sa.Integer):
        return
    name = key[0].name
    connection.execute(
        sa.text(
            f"SELECT setval(pg_get_serial_sequence('{table.name}', '{name}'), "
            f'(SELECT coalesce(max("{name}"), 0) + 1 FROM "{table.name}"), false)'
        )
    )


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        aware = value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
        return aware.isoformat()
    return value


def line_of(row: Mapping[str, Any]) -> bytes:
    """A row as a line of JSON, the same bytes for the same row."""
    return json.dumps(row, ensure_ascii=True, sort_keys=True, separators=(",", ":")).encode() + b"\n"


def fingerprint(connection: sa.Connection) -> dict[str, tuple[int, str]]:
    """Rows and SHA-256 of every table: equal for equal content, in whatever database."""
    found = {}
    for table in tables_of(connection):
        digest, count = hashlib.sha256(), 0
        for row in read_rows(connection, table):
            digest.update(line_of(row))
            count += 1
        found[table.name] = (count, digest.hexdigest())
    return found
