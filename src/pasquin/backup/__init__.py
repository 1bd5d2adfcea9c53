"""Backup and restore: a workspace and its database as one file, taken while others write, verified both ways.

    backup(workspace, file)     posts, corpora, models, settings, and every table, as they stood at one moment
    restore(file, directory)    the same again, in a new directory (or the database that PASQUIN_DATABASE_URL names)

The files are those of one moment (`pasquin.workspace.snapshot`), in a tar file (`archive`) with checksums at its end.

The tables are in it as rows, not as a database file, so that a backup of SQLite can be restored into PostgreSQL and the
other way round, and one of an older version is brought up to date. Not in it: secrets (they are not in a workspace),
sealed sessions of bots and sign-ins of curators (both sign in anew), checkpoints of unfinished trainings, quarantine.
"""

from __future__ import annotations

import gzip
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import orjson

from pasquin import __version__
from pasquin.backup import archive
from pasquin.backup.archive import DATABASE, Reader, Writer
from pasquin.errors import InputError, StoreError, UsageError, WorkspaceError, disk_errors
from pasquin.progress import Progress, Silent
from pasquin.store import Store, open_engine, upgrade
from pasquin.store.dump import line_of, read_rows, tables_of, version_of, write_rows
from pasquin.store.dump import snapshot as database_snapshot
from pasquin.store.state import sqlite_file
from pasquin.workspace import TOML, Workspace, snapshot
from pasquin.workspace.files import replacing
from pasquin.workspace.secrets_in_file import secrets_of

__all__ = ["backup", "restore"]

FORMAT: Final = 1
LEFT_OUT: Final = frozenset({"sign_in_links", "curator_sessions", "bot_sessions"})
"""Tables of sessions: what is in them lets people in."""


def backup(workspace: Workspace, file: Path, *, progress: Progress | None = None) -> dict[str, Any]:
    """Write a backup of `workspace` to `file` (an older one there is replaced when the new one is whole and verified).

    `{file, bytes, files, tables: {name: rows}, seconds}`. Raises UsageError when `pasquin.toml` holds a secret, or when
    there is no database and the older backup has one; StoreError, ResourceError, WorkspaceError.
    """
    began = time.monotonic()
    progress = progress or Silent()
    if found := secrets_of(workspace.toml):
        raise UsageError(f"`{found[0]}` in pasquin.toml looks like a secret; take it out, then make the backup.")
    if not _has_database(workspace):
        missing = f"There is no database at {workspace.database_url.removeprefix('sqlite:///')}"
        if archive.has_database(file):
            raise UsageError(
                f"{missing}, and the backup {file} has one: it stays. Set PASQUIN_DATABASE_URL if the database is "
                "elsewhere, or name another file."
            )
        progress.say(f"{missing}: files alone are backed up. Set PASQUIN_DATABASE_URL if it is elsewhere.")
    with disk_errors(f"write the backup {file}"), replacing(file) as temporary:
        with snapshot.scratch(workspace) as scratch, Writer(temporary) as writer:
            counts, version = _write_database(workspace, writer, scratch)
            there = snapshot.take(workspace, scratch)
            total = sum(path.stat().st_size for _, path in there)
            with progress.task("Backing up", total, "bytes") as task:
                for name, path in there:
                    writer.add(name, path)
                    task.advance(path.stat().st_size, name)
            writer.header(
                {"format": FORMAT, "pasquin": __version__, "made_at": datetime.now(UTC).isoformat(timespec="seconds")}
                | {"database": version, "tables": counts}
            )
        with progress.task("Verifying", temporary.stat().st_size, "bytes") as task:
            archive.verify(temporary, task)
    return {
        "file": str(file),
        "bytes": file.stat().st_size,
        "files": len(there),
        "tables": counts,
        "seconds": round(time.monotonic() - began, 3),
    }


def _has_database(workspace: Workspace) -> bool:
    file = sqlite_file(workspace.database_url)
    return file is None or file.exists()


def _write_database(workspace: Workspace, writer: Writer, scratch: Path) -> tuple[dict[str, int], str | None]:
    """Every table but those of sessions, as rows of one moment; the rows of each, and the database's version."""
    if not _has_database(workspace):
        return {}, None
    engine = open_engine(workspace.database_url)
    counts = {}
    try:
        with database_snapshot(engine) as connection:
            version = version_of(connection)
            if version is not None and not version.isdecimal():
                raise StoreError("This database was moved to another one. Set PASQUIN_DATABASE_URL to its address.")
            for table in tables_of(connection):
                if table.name in LEFT_OUT:
                    continue
                name = str(table.name)
                path = scratch / f"{name}.jsonl.gz"
                with gzip.open(path, "wb", compresslevel=3) as lines:
                    counts[name] = 0
                    for row in read_rows(connection, table):
                        lines.write(line_of(row))
                        counts[name] += 1
                writer.add(f"{DATABASE}/{path.name}", path)
                path.unlink()
    finally:
        engine.dispose()
    return counts, version


def restore(file: Path, directory: Path, *, progress: Progress | None = None) -> dict[str, Any]:
    """Make the workspace in `file` again in `directory`, which must not be there yet (or be empty).

    `{workspace, made_at, files, tables: {name: rows}, seconds}`. Nothing appears under the name `directory` before
    every checksum was right and every row is in the database. Raises InputError for a file that is damaged or no
    backup, UsageError when the directory, or the database that PASQUIN_DATABASE_URL names, holds something.
    """
    began = time.monotonic()
    progress = progress or Silent()
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise UsageError(f"{directory} is there already. Name a directory that isn't, or an empty one.")
    final = directory.resolve()
    with disk_errors(f"restore into {directory}"):
        final.parent.mkdir(parents=True, exist_ok=True)
        building = Path(tempfile.mkdtemp(prefix=f".{final.name}.", suffix=".restoring", dir=final.parent))
        try:
            with progress.task("Restoring", file.stat().st_size if file.exists() else 0, "bytes") as task:
                reader = Reader(file, building, task)
                header = reader.extract()
            made = Workspace(building)
            if not made.toml.is_file():
                raise InputError(f"{file} has no {TOML}: it is no backup of a workspace.")
            counts = _load_database(made, header, progress)
            building.chmod(0o777 & ~_umask())
            if final.exists():
                final.rmdir()
            building.rename(final)
        except BaseException:
            shutil.rmtree(building, ignore_errors=True)
            raise
    return {
        "workspace": str(final),
        "made_at": header["made_at"],
        "files": reader.files,
        "tables": counts,
        "seconds": round(time.monotonic() - began, 3),
    }


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _load_database(workspace: Workspace, header: dict[str, Any], progress: Progress) -> dict[str, int]:
    """All rows, in one transaction, into an empty database at the backup's version; then up to date."""
    folder = workspace.root / DATABASE
    version, wanted = header["database"], header["tables"]
    if version is None:
        return {}
    url = workspace.database_url
    engine = open_engine(url)
    counts: dict[str, int] = {}
    try:
        with engine.connect() as connection:
            if engine.dialect.name == "sqlite":
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            if tables_of(connection) or version_of(connection):
                raise UsageError("The database that PASQUIN_DATABASE_URL names is not empty. Name an empty one.")
            _upgrade_to(connection, version)
            with progress.task("Restoring the database", sum(wanted.values()), "rows") as task:
                for table in tables_of(connection):
                    if table.name in wanted:
                        rows = _rows(folder / f"{table.name}.jsonl.gz", wanted[table.name])
                        counts[table.name] = write_rows(connection, table, rows)
                        task.advance(counts[table.name], table.name)
            if counts != wanted:
                raise InputError("The backup has other rows than it says. Restore an older backup.")
            upgrade(connection)
            connection.commit()
    finally:
        engine.dispose()
    shutil.rmtree(folder, ignore_errors=True)
    Store(url).close()
    return counts


def _upgrade_to(connection: Any, version: str) -> None:
    from alembic.util import CommandError

    try:
        upgrade(connection, version)
    except CommandError as exc:
        raise WorkspaceError(
            f"The backup is of a newer Pasquin (database version {version}). Update Pasquin, then restore it."
        ) from exc


def _rows(path: Path, most: int) -> Iterator[dict[str, Any]]:
    """The rows of a table; InputError for what is no row, or when there are more than were counted."""
    count = 0
    try:
        with gzip.open(path, "rb") as lines:
            for line in lines:
                count += 1
                row = orjson.loads(line)
                if not isinstance(row, dict) or count > most:
                    raise InputError(f"The backup's table {path.name} is not as it should be.")
                yield row
    except (OSError, EOFError, orjson.JSONDecodeError) as exc:
        raise InputError(f"The backup's table {path.name} is damaged ({exc}).") from exc
