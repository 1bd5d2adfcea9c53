"""What of the disk can be reached: places this user may not read, file systems that are read-only or full."""

from __future__ import annotations

import os
import shutil
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from pasquin.config.access import barred as said_of
from pasquin.config.access import barred_folder, user
from pasquin.counts import counted
from pasquin.doctor.findings import Finding
from pasquin.workspace import TOML, Workspace

FOLDERS: Final = (".", "posts", "corpora", "models", "quarantine", ".locks", ".lineage")
"""What a workspace's user must be able to write."""
NOTHING: Final = 10**8
"""Free bytes under which a disk is as good as full."""
_FILES: Final = (TOML, "blocklist.txt", "pasquin.db", "pasquin.db-wal", "pasquin.db-shm")
_MOST_NAMED: Final = 5


def is_shut(path: Path) -> bool:
    """Whether this user may not read a file, or list and enter a folder, that is there.

    Asked, not tried: closing a file lets go of SQLite's locks on it, and the game may run in this process.
    """
    try:
        return path.exists() and not os.access(path, os.R_OK | (os.X_OK if path.is_dir() else 0))
    except PermissionError:
        return True


def is_read_only(folder: Path) -> bool:
    """Whether a folder is on a file system that nobody can write, as one that is mounted so."""
    return bool(os.statvfs(folder).f_flag & os.ST_RDONLY)


def is_full(folder: Path) -> bool:
    """Whether the disk of a folder has no room left."""
    return shutil.disk_usage(folder).free < NOTHING


class Barred:
    """Places of a workspace that this user may not read: told once a folder, and left out of the other checks."""

    def __init__(self, workspace: Workspace) -> None:
        self._root = workspace.root
        self._places = set(_shut_places(workspace.root))

    def __contains__(self, path: Path) -> bool:
        """Whether a path may not be read, or is in a folder that may not."""
        return not self._places.isdisjoint((path, *path.parents))

    def touches(self, folder: Path) -> bool:
        """Whether a folder, or anything in it, may not be read."""
        return folder in self or any(place.is_relative_to(folder) for place in self._places)

    def told(self) -> Iterator[Finding]:
        """A finding for each folder with something that may not be read."""
        folders: dict[Path, list[Path]] = defaultdict(list)
        for place in sorted(self._places):
            folders[barred_folder(place)].append(place)
        for places in list(folders.values())[:_MOST_NAMED]:
            yield _finding(*said_of(places[0], len(places) - 1))
        if (more := len(folders) - _MOST_NAMED) > 0:
            yield _finding(
                f"{counted(more, 'more folder holds', 'more folders hold')} what this user may not read.",
                f"The same, or for the whole workspace: chown -R {user()} {self._root}",
            )

    def past(self, checks: Iterable[Finding]) -> Iterator[Finding]:
        """What checks find, up to where they may not read on; that is told here when it was not known."""
        try:
            yield from checks
        except PermissionError as exc:
            place = Path(exc.filename or self._root)
            if place not in self:
                self._places.add(place)
                yield _finding(*said_of(place))


def _finding(found: str, do: str) -> Finding:
    return Finding("workspace", "permissions", "problem", found, do)


def _shut_places(root: Path) -> Iterator[Path]:
    """Folders of a workspace that this user may not list and enter, and files in the others that may not be read."""
    if is_shut(root):
        yield root
        return
    yield from (root / name for name in _FILES if is_shut(root / name))
    for top in (*FOLDERS[1:], "sources"):
        if is_shut(root / top):
            yield root / top
            continue
        for place, folders, names in os.walk(root / top):
            shut = [name for name in (*folders, *names) if is_shut(Path(place, name))]
            folders[:] = [name for name in folders if name not in shut]
            yield from (Path(place, name) for name in shut)
