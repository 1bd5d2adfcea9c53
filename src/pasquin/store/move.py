"""Moving everything people do from one database to another, without loss: SQLite to PostgreSQL, and back.

    1. the source is locked for writers and read at one moment
    2. the empty target gets its tables and every row in one transaction; both are compared before it is committed
    3. the source is marked as moved, and its tables are renamed, so that nobody goes on writing there

Killed before the end of 2, nothing has happened; killed between 2 and 3, the next run finds the target equal and goes
on with 3.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa

from pasquin.errors import StoreError, UsageError
from pasquin.progress import Progress, Silent
from pasquin.store import MOVED, Store, open_engine, upgrade
from pasquin.store.dump import fingerprint, read_rows, snapshot, tables_of, version_of, write_rows
from pasquin.store.schema import VERSION
from pasquin.store.state import VERSION_TABLE, shown_url, sqlite_file

_PREFIX: Final = "moved_"


def move_database(source_url: str, target_url: str, *, progress: Progress | None = None) -> dict[str, Any]:
    """Move everything; `{from, to, tables: {name: rows}, rows}`, addresses without passwords.

    Raises UsageError when both are the same, StoreError when the target holds anything else, or one of the two cannot
    be read or written; the source is then as it was.
    """
    if sa.make_url(source_url) == sa.make_url(target_url):
        raise UsageError("The database is there already: name the address of another one.")
    file = sqlite_file(source_url)
    if file is not None and not file.exists():
        raise StoreError(f"There is no database {shown_url(source_url)} to move.")
    Store(source_url).close()  # brings it up to date, or says what is wrong with it
    _set_aside(target_url)
    source, target = open_engine(source_url), open_engine(target_url)
    try:
        with snapshot(source, alone=True) as reading:
            counts = _copy(reading, target, progress or Silent(), shown_url(target_url))
            _retire(reading)
            reading.commit()
    except sa.exc.SQLAlchemyError as exc:
        reason = str(getattr(exc, "orig", None) or exc).splitlines()[0]
        raise StoreError(f"Nothing was moved: {reason}. The database is as it was.") from exc
    finally:
        source.dispose()
        target.dispose()
    return {
        "from": shown_url(source_url),
        "to": shown_url(target_url),
        "tables": counts,
        "rows": sum(counts.values()),
    }


def _copy(reading: sa.Connection, target: sa.Engine, progress: Progress, shown: str) -> dict[str, int]:
    wanted = fingerprint(reading)
    total = sum(count for count, _ in wanted.values())
    with target.connect() as writing:
        if target.dialect.name == "sqlite":
            writing.exec_driver_sql("BEGIN IMMEDIATE")
        version = version_of(writing)
        if version is None and sa.inspect(writing).get_table_names():
            raise StoreError(f"{shown} holds tables of something else. Name an empty database.")
        if version not in (None, VERSION):
            raise StoreError(f"{shown} holds a database of version {version}. Name an empty database.")
        upgrade(writing)
        there = fingerprint(writing)
        if there != wanted:
            if any(count for count, _ in there.values()):
                raise StoreError(f"{shown} is not empty. Name an empty database; nothing was changed.")
            with progress.task("Moving", total, "rows") as task:
                for table in tables_of(writing):
                    original = next(one for one in tables_of(reading) if one.name == table.name)
                    task.advance(write_rows(writing, table, read_rows(reading, original)), table.name)
            if fingerprint(writing) != wanted:
                raise StoreError("What arrived is not what was there, so nothing was moved. Please report this.")
        writing.commit()
    return {name: count for name, (count, _) in wanted.items()}


def _retire(connection: sa.Connection) -> None:
    """Whoever still has the old database open gets an error instead of writing where nobody reads."""
    connection.execute(sa.text(f"UPDATE {VERSION_TABLE} SET version_num = :moved"), {"moved": MOVED})
    for table in tables_of(connection):
        connection.exec_driver_sql(f'ALTER TABLE "{table.name}" RENAME TO "{_PREFIX}{table.name}"')


def _set_aside(target_url: str) -> None:
    """Going back to a file that was moved away once: that one is kept under another name."""
    file = sqlite_file(target_url)
    if file is None or not file.exists():
        return
    engine = open_engine(target_url)
    try:
        with engine.connect() as connection:
            moved = version_of(connection) == MOVED
    except sa.exc.SQLAlchemyError as exc:
        raise StoreError(f"{shown_url(target_url)} is there and no database. Name another file.") from exc
    finally:
        engine.dispose()
    if moved:
        file.rename(_free_name(file))


def _free_name(file: Path) -> Path:
    number = 1
    while (free := file.with_name(f"{file.name}.moved-{number}")).exists():
        number += 1
    return free
