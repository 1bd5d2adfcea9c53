"""Who holds the locks of a workspace."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from pasquin.workspace import Workspace


def holders(workspace: Workspace) -> Iterator[tuple[str, int | None]]:
    """The locks that are held now, by name, with the process that holds each, where the system tells.

    A lock file that a dead process left is held by nobody: the lock went with the process.
    """
    for path in sorted((workspace.root / ".locks").glob("*.lock")):
        with suppress(OSError), path.open("rb") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                yield path.stem, _process(path)


def is_held(workspace: Workspace, name: str) -> bool:
    """Whether some process holds the lock `name` now."""
    return any(held == name for held, _ in holders(workspace))


def _process(path: Path) -> int | None:
    """The number of the process that holds a lock, from Linux's list of locks."""
    with suppress(OSError, ValueError):
        status = path.stat()
        wanted = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
        for line in Path("/proc/locks").read_text().splitlines():
            fields = line.split()
            if wanted in fields and "->" not in fields:
                return int(fields[fields.index(wanted) - 1])
    return None
