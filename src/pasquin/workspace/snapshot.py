"""The files of a workspace as they stood at one moment, while others go on writing.

Shards, corpora and models are replaced by renaming and never changed in place, so a hard link keeps what was there.
A folder is linked until it looks the same before and after, as shards may be merged meanwhile. Cursors are taken before
the shards: a cursor is written after the posts it stands for. Tombstones, which are appended to, are copied last, up to
their last whole line: what was forgotten meanwhile is hidden after a restore, too.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from pasquin.errors import WorkspaceError
from pasquin.workspace import TOML, Workspace
from pasquin.workspace.files import MANIFEST

FOLDER: Final = ".backup-"
_PLAIN: Final = (TOML, "blocklist.txt")
_APPENDED: Final = ("tombstones.jsonl", "rights.jsonl")
_TRIES: Final = 50


@contextmanager
def scratch(workspace: Workspace) -> Iterator[Path]:
    """A folder on the workspace's own disk, where hard links are possible; what a killed process left goes."""
    for old in workspace.root.glob(f"{FOLDER}*"):
        if not _runs(old):
            shutil.rmtree(old, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=f"{FOLDER}{os.getpid()}-", dir=workspace.root))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _runs(folder: Path) -> bool:
    number = folder.name.removeprefix(FOLDER).partition("-")[0]
    return number.isdecimal() and Path(f"/proc/{number}").exists()


def take(workspace: Workspace, scratch: Path) -> list[tuple[str, Path]]:
    """Names in the backup and where their content is now, under `scratch`. Raises WorkspaceError."""
    root = workspace.root
    for name in _PLAIN:
        if (root / name).is_file():
            shutil.copyfile(root / name, scratch / name)
    for folder in ("posts/cursors", "posts/lists", "posts/shown", "sources", *_account_folders(root)):
        _stable(root / folder, scratch / folder)
    for kind in ("corpora", "models"):
        for path in sorted((root / kind).iterdir()) if (root / kind).is_dir() else ():
            if path.is_dir() and not path.name.startswith(".") and (path / MANIFEST).is_file():
                _stable(path, scratch / kind / path.name)
    _stable(root / ".lineage", scratch / ".lineage")
    for name in _APPENDED:
        if (root / "posts" / name).is_file():
            content = (root / "posts" / name).read_bytes()
            (scratch / "posts").mkdir(exist_ok=True)
            (scratch / "posts" / name).write_bytes(content[: content.rfind(b"\n") + 1])
    return [(path.relative_to(scratch).as_posix(), path) for path in sorted(scratch.rglob("*")) if path.is_file()]


def _account_folders(root: Path) -> list[str]:
    aside = {"cursors", "lists", "shown"}
    return sorted(
        path.relative_to(root).as_posix()
        for path in (root / "posts").glob("*/*")
        if path.is_dir() and path.parent.name not in aside and not path.parent.name.startswith(".")
    )


def _stable(source: Path, target: Path) -> None:
    """Link all files of a folder, again and again until it did not change meanwhile."""
    for attempt in range(_TRIES):
        before = _state(source)
        shutil.rmtree(target, ignore_errors=True)
        try:
            for name in before:
                (target / name).parent.mkdir(parents=True, exist_ok=True)
                link(source / name, target / name)
        except FileNotFoundError:
            pass  # it was replaced just now: once more
        else:
            if _state(source) == before:
                return
        time.sleep(min(0.02 * (attempt + 1), 0.5))
    raise WorkspaceError(f"{source} changes without end, so it cannot be backed up. Try again when less is going on.")


def _state(folder: Path) -> dict[str, tuple[int, int, int]]:
    """Whole files of a folder, those of subfolders too, with what tells whether they are the same."""
    return dict(sorted(_files(folder)))


def _files(folder: Path) -> Iterator[tuple[str, tuple[int, int, int]]]:
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".") and name != "checkpoints"]
        for name in names:
            path = Path(place, name)
            if name.startswith(".") or path.is_symlink():
                continue
            try:
                status = path.stat()
            except FileNotFoundError:
                continue
            yield path.relative_to(folder).as_posix(), (status.st_ino, status.st_size, status.st_mtime_ns)


def link(source: Path, target: Path) -> None:
    """A second name for a file, or a copy on a disk without hard links."""
    try:
        os.link(source, target)
    except FileNotFoundError:
        raise
    except OSError:  # a disk without hard links
        shutil.copyfile(source, target)
