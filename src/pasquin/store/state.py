"""In what state a database is, found without changing it: its version, missing tables, damage."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import sqlalchemy as sa

from pasquin.errors import StoreError
from pasquin.store import open_engine
from pasquin.store.schema import metadata
from pasquin.workspace import Workspace

VERSION_TABLE = "alembic_version"


@dataclass(frozen=True)
class DatabaseState:
    """`version` is None for a database that no Pasquin has opened yet. `damage` is what SQLite's own check says."""

    url: str
    """Without its password."""
    version: str | None = None
    missing: tuple[str, ...] = ()
    """`table` or `table.column` that the newest version has and this database hasn't."""
    damage: tuple[str, ...] = ()
    rows: dict[str, int] = field(default_factory=dict)
    log_bytes: int = 0
    """SQLite's write-ahead log."""


def sqlite_file(url: str) -> Path | None:
    """The file of an SQLite database, None for another one (or one in memory)."""
    with suppress(sa.exc.ArgumentError):
        parsed = sa.make_url(url)
        if parsed.get_backend_name() == "sqlite" and parsed.database and parsed.database != ":memory:":
            return Path(parsed.database)
    return None


def shown_url(url: str) -> str:
    """A database URL as it may be shown: without its password, and without what follows a `?`."""
    try:
        return sa.make_url(url).set(query={}).render_as_string(hide_password=True)
    except sa.exc.ArgumentError:
        return "an address that cannot be read"


def database_state(workspace: Workspace) -> DatabaseState | None:
    """The state of a workspace's database, None when it is a file that isn't there yet.

    Raises StoreError when it cannot be reached or is no database.
    """
    url = workspace.database_url
    file = sqlite_file(url)
    if file is not None and not file.exists():
        return None
    engine = open_engine(url)
    try:
        with engine.connect() as connection:
            return _state(connection, shown_url(url), file)
    except sa.exc.SQLAlchemyError as exc:
        reason = str(getattr(exc, "orig", None) or exc).splitlines()[0]
        raise StoreError(f"The database {shown_url(url)} cannot be read ({reason}).") from exc
    finally:
        engine.dispose()


def _state(connection: sa.Connection, url: str, file: Path | None) -> DatabaseState:
    inspector = sa.inspect(connection)
    there = set(inspector.get_table_names())
    version = None
    if VERSION_TABLE in there:
        version = connection.execute(sa.text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar()
    missing, rows = [], {}
    for table in metadata.sorted_tables:
        if table.name not in there:
            missing.append(table.name)
            continue
        columns = {column["name"] for column in inspector.get_columns(table.name)}
        missing += [f"{table.name}.{column.name}" for column in table.columns if column.name not in columns]
        rows[table.name] = connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()
    log = file.with_name(f"{file.name}-wal") if file else None
    return DatabaseState(
        url,
        version,
        tuple(missing),
        tuple(_damage(connection)) if file else (),
        rows,
        log.stat().st_size if log and log.exists() else 0,
    )


def _damage(connection: sa.Connection) -> list[str]:
    found = [str(row[0]) for row in connection.exec_driver_sql("PRAGMA quick_check(5)")]
    if found == ["ok"]:
        found = []
    orphans = {str(row[0]) for row in connection.exec_driver_sql("PRAGMA foreign_key_check")}
    return found + [f"rows of {table} refer to what is not there" for table in sorted(orphans)]
