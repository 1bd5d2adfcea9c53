"""Does the database answer, is it of this version and whole, and who died while holding something in it?"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Final

from pasquin.config.access import barred as said_of
from pasquin.config.access import user
from pasquin.doctor.findings import Finding, bytes_said
from pasquin.doctor.reach import Barred, is_full, is_read_only, is_shut
from pasquin.errors import StoreError
from pasquin.store import MOVED
from pasquin.store.schema import VERSION
from pasquin.store.state import DatabaseState, database_state, sqlite_file
from pasquin.workspace import Workspace

_LARGE_LOG: Final = 256 * 10**6
_ELSEWHERE: Final = "Set PASQUIN_DATABASE_URL to the address of a database that can be written."
_REMOTE_DISKS: Final = ("nfs", "cifs", "smb", "fuse.sshfs", "9p", "afs")

_finding = partial(Finding, "database")


def examine(workspace: Workspace, barred: Barred) -> Iterator[Finding]:
    """Everything about the database; it is not migrated, and nothing is written."""
    file = sqlite_file(workspace.database_url)
    if file and is_shut(file):
        if file in barred:
            yield _finding("database", "note", f"{file.name} was not looked at: this user may not read it.")
        else:
            yield _finding("database", "problem", *said_of(file))
        return
    try:
        state = database_state(workspace)
    except StoreError as exc:
        yield _finding("database", "problem", str(exc), _opening(file))
        return
    if state is None:
        yield _none_yet(file)
        return
    yield from _version(state)
    for words in state.damage:
        yield _finding("database", "problem", f"SQLite finds damage: {words}.", f"Keep a copy of it. {_restore()}")
    if state.log_bytes > _LARGE_LOG:
        yield _finding(
            *("database", "warning", f"The write-ahead log has {bytes_said(state.log_bytes)}: a reader never ends."),
            "Restart the game and the publishers.",
        )
    yield from _disk_of(workspace)


def _opening(file: Path | None) -> str:
    """What to do about a database that cannot be opened."""
    if file is None:
        return "Start the server that PASQUIN_DATABASE_URL names, or mend that address."
    if is_full(file.parent):
        return "Free some space on its disk, then look again: it may be whole."
    if is_read_only(file.parent):
        return _ELSEWHERE
    if not all(os.access(path, os.W_OK) for path in (file, file.parent)):
        return f"Give it to this user, with its folder, which SQLite writes: chown {user()} {file.parent} {file}*"
    return f"Keep a copy of it. {_restore()}"


def _none_yet(file: Path | None) -> Finding:
    if file and file.parent.is_dir() and is_read_only(file.parent):
        return _finding(
            "database", "problem", "There is no database, and none can be made on a read-only file system.", _ELSEWHERE
        )
    return _finding("database", "note", "There is no database yet.", "The first command that needs it makes it.")


def _restore() -> str:
    """How a backup comes back: as a new workspace, with its database."""
    empty = " (into the empty database that PASQUIN_DATABASE_URL has to name then)"
    return (
        "Make a new workspace of the last backup, and go on there: pasquin restore BACKUP DIR"
        f"{empty if os.environ.get('PASQUIN_DATABASE_URL') else ''}"
    )


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
            _restore(),
        )
    elif state.version is None or state.version < VERSION:
        yield _finding(
            *("migrations", "note", f"The database is of version {state.version or 'none'}; the newest is {VERSION}."),
            "The next command brings it up to date. Make a backup before: pasquin backup FILE",
        )
    elif state.missing:
        yield _finding(
            *("migrations", "problem", f"The database says {VERSION} and lacks {', '.join(state.missing[:3])}."),
            f"A migration broke off, or somebody changed tables by hand. {_restore()}",
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
