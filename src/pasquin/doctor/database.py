"""Does the database answer, is it of this version and whole, and who died while holding something in it?"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Final

from pasquin.doctor.findings import Finding, bytes_said
from pasquin.errors import StoreError
from pasquin.store import MOVED
from pasquin.store.schema import VERSION
from pasquin.store.state import DatabaseState, database_state, sqlite_file
from pasquin.workspace import Workspace

_LARGE_LOG: Final = 256 * 10**6
_REMOTE_DISKS: Final = ("nfs", "cifs", "smb", "fuse.sshfs", "9p", "afs")

_finding = partial(Finding, "database")


def examine(workspace: Workspace) -> Iterator[Finding]:
    """Everything about the database; it is not migrated, and nothing is written."""
    try:
        state = database_state(workspace)
    except StoreError as exc:
        yield _finding(
            *("database", "problem", str(exc)),
            "Start the server that PASQUIN_DATABASE_URL names, or bring the file back with `pasquin restore`.",
        )
        return
    if state is None:
        yield _finding("database", "note", "There is no database yet.", "The first command that needs it makes it.")
        return
    yield from _version(state)
    for words in state.damage:
        yield _finding(
            *("database", "problem", f"SQLite finds damage: {words}."),
            "Keep a copy of pasquin.db, then bring the last backup back with `pasquin restore`.",
        )
    if state.log_bytes > _LARGE_LOG:
        yield _finding(
            *("database", "warning", f"The write-ahead log has {bytes_said(state.log_bytes)}: a reader never ends."),
            "Restart the game and the publishers.",
        )
    yield from _disk_of(workspace)


def _version(state: DatabaseState) -> Iterator[Finding]:
    if state.version == MOVED:
        yield _finding(
            *("database", "problem", f"{state.url} was moved to another database."),
            "Set PASQUIN_DATABASE_URL to the address it was moved to.",
        )
    elif state.version is not None and state.version > VERSION:
        yield _finding(
            *(
                "migrations",
                "problem",
                f"The database is of version {state.version}, and this Pasquin knows {VERSION}.",
            ),
            "pip install --upgrade pasquin",
        )
    elif state.version is None and state.rows:
        yield _finding(
            *("migrations", "problem", f"{state.url} has tables of ours, and no version: a migration broke off."),
            "Bring the last backup back with `pasquin restore`.",
        )
    elif state.version is None or state.version < VERSION:
        yield _finding(
            *("migrations", "note", f"The database is of version {state.version or 'none'}; the newest is {VERSION}."),
            "The next command brings it up to date. Make a backup before: pasquin backup FILE",
        )
    elif state.missing:
        yield _finding(
            *("migrations", "problem", f"The database says {VERSION} and lacks {', '.join(state.missing[:3])}."),
            "A migration broke off, or somebody changed tables by hand: bring the last backup back.",
        )
    else:
        yield _finding("database", "fine", f"{state.url} answers, version {state.version}, whole.")


def _disk_of(workspace: Workspace) -> Iterator[Finding]:
    file = sqlite_file(workspace.database_url)
    kind = disk_kind(file) if file else None
    if kind and kind.startswith(_REMOTE_DISKS):
        yield _finding(
            *("database", "problem", f"{file} lies on a network disk ({kind}), where SQLite loses what many write."),
            "Put the workspace on a local disk, or move to PostgreSQL: pasquin db move URL",
        )


def disk_kind(path: Path, mounts: Path = Path("/proc/mounts")) -> str | None:
    """The kind of file system on which a path lies, None where the system does not tell."""
    try:
        lines = mounts.read_text().splitlines()
    except OSError:
        return None
    place, best, kind = path.resolve(), "", None
    for line in lines:
        fields = line.split()
        if len(fields) < 3:
            continue
        where = re.sub(r"\\(\d{3})", lambda match: chr(int(match[1], 8)), fields[1])
        if len(where) >= len(best) and place.is_relative_to(where):
            best, kind = where, fields[2]
    return kind
