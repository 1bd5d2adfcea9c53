"""The store: everything people do, in SQLite by default and PostgreSQL by URL, durable before it is acknowledged.

Tables are in `schema`; `migrations/` holds the numbered steps that bring any older database up to date. Stages build
their queries with SQLAlchemy Core on those tables.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from pasquin.errors import StoreError
from pasquin.workspace import Workspace

try:
    import fcntl
except ImportError:  # Windows: SQLite's own waiting has to do
    fcntl = None  # type: ignore[assignment]

_BUSY_SECONDS = 30
_LEAST_ROOM = 2**20
"""Free bytes under which a disk is full: SQLite wants some pages of its log, and of what it shares, even to read."""
_IMPATIENCE = {
    "connect_timeout": 10,
    "tcp_user_timeout": 20_000,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 2,
}
"""Seconds (milliseconds the second) after which a PostgreSQL beyond a split network is given up; libpq would wait for
hours. An address can say otherwise (`?connect_timeout=30`)."""
_MIGRATING = 0x7061_7371
"""The advisory lock of PostgreSQL that whoever migrates holds."""


class Store:
    """An opened, migrated database. Safe to share between threads."""

    def __init__(self, url: str) -> None:
        """Open the database at `url` and migrate it. Raises StoreError when that fails."""
        self.engine = open_engine(url)
        try:
            _migrate(self.engine)
        except sa.exc.SQLAlchemyError as exc:
            raise _failed(self.engine, f"The database {self.engine.url!r} cannot be opened", exc) from exc

    @classmethod
    def of(cls, workspace: Workspace) -> Store:
        """The store of a workspace."""
        return cls(workspace.database_url)

    @contextmanager
    def write(self) -> Iterator[sa.Connection]:
        """A transaction that holds the write lock from its start, committed (and synced) when the block ends well."""
        try:
            with self.engine.connect() as connection, _turn(self.engine):
                if self.engine.dialect.name == "sqlite":
                    connection.exec_driver_sql("BEGIN IMMEDIATE")
                yield connection
                connection.commit()
        except (sa.exc.OperationalError, sa.exc.ProgrammingError) as exc:
            raise _failed(self.engine, "The database could not be written", exc) from exc

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """A connection for queries."""
        try:
            with self.engine.connect() as connection:
                yield connection
        except (sa.exc.OperationalError, sa.exc.ProgrammingError) as exc:
            raise _failed(self.engine, "The database could not be read", exc) from exc

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()


@contextmanager
def _turn(engine: sa.Engine) -> Iterator[None]:
    """Wait in line for SQLite's one write lock. SQLite itself lets who waits sleep and try, and many writers may pass
    one that sleeps until its patience is over; the kernel wakes them in order."""
    path = engine.url.database
    if engine.dialect.name != "sqlite" or not path or path == ":memory:" or fcntl is None:
        yield
        return
    try:
        file = os.open(f"{path}-turn", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError:  # what keeps a file from being made here will keep the database from being written
        yield
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
    finally:
        fcntl.flock(file, fcntl.LOCK_UN)  # said aloud, as a process that was forked meanwhile holds the file, too
        os.close(file)


def _failed(engine: sa.Engine, what: str, exc: BaseException) -> StoreError:
    """The error that says `what` happened and why. On a full disk SQLite speaks of the disk in many ways."""
    reason, path = _first_line(exc), engine.url.database
    if engine.dialect.name == "sqlite" and path and path != ":memory:" and " disk" in f" {reason}":
        try:
            full = shutil.disk_usage(Path(path).parent).free < _LEAST_ROOM
        except OSError:
            full = False
        if full:
            return StoreError(f"{what}: the disk is full. Free some space and run the same command again.")
    return StoreError(f"{what} ({reason}).")


def _first_line(exc: BaseException) -> str:
    return str(getattr(exc, "orig", None) or exc).splitlines()[0]


def open_engine(url: str) -> sa.Engine:
    """An engine for `url` as the store needs it, nothing migrated. Raises StoreError when that is no database URL."""
    try:
        address = sa.make_url(url)
        if address.drivername in ("postgres", "postgresql"):  # as hosting companies write it
            address = address.set(drivername="postgresql+psycopg")
        given = {"sqlite": {"timeout": _BUSY_SECONDS}, "postgresql": _IMPATIENCE}.get(address.get_backend_name(), {})
        own = {name: value for name, value in given.items() if name not in address.query}
        engine = sa.create_engine(address, connect_args=own)
    except (sa.exc.ArgumentError, ModuleNotFoundError) as exc:
        raise StoreError(f"PASQUIN_DATABASE_URL is no database URL that can be used here ({exc}).") from exc
    if engine.dialect.name == "sqlite":
        sa.event.listen(engine, "connect", _sqlite_pragmas)
    return engine


def _sqlite_pragmas(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # we say BEGIN ourselves: pysqlite's own transactions start too late
    cursor = connection.cursor()
    for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON", "temp_store = MEMORY"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


MOVED = "moved"
"""In the place of a version: everything is in another database now (`pasquin.store.move`)."""


def _migrate(engine: sa.Engine) -> None:
    """Bring the database to the newest version; costs one query when it is there already."""
    from pasquin.store.schema import VERSION

    with engine.connect() as connection:
        if sa.inspect(connection).has_table("alembic_version"):
            current = connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()
            if current == VERSION:
                return
            if current == MOVED:
                raise StoreError(
                    "This database was moved to another one. Set PASQUIN_DATABASE_URL to the address it was moved to."
                )
            if current is not None and current > VERSION:
                raise StoreError(
                    f"The database is of a newer Pasquin (version {current}, this one knows {VERSION}). Update Pasquin."
                )
    with engine.connect() as connection:
        _begin_alone(connection)
        upgrade(connection)
        connection.commit()


def _begin_alone(connection: sa.Connection) -> None:
    """One process migrates, the others wait and then find nothing to do."""
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    elif connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_MIGRATING})")


def upgrade(connection: sa.Connection, version: str = "head") -> None:
    """Bring the database up to `version` inside the connection's transaction, which the caller commits."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    command.upgrade(config, version)
