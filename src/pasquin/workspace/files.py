"""Files that are either whole or not there: atomic writes, manifests, content hashes."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from pasquin.errors import WorkspaceError

MANIFEST = "manifest.json"


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; when the block ends well it is synced and renamed onto `path`.

    When the block fails the temporary file is removed and `path` is untouched. Leading dot: readers skip it.
    """
    make_folder(path.parent)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        sync(temporary)
        os.replace(temporary, path)
        sync(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write a small file so that readers see the old one or the new one, never a half."""
    with replacing(path) as temporary:
        if isinstance(content, str):
            temporary.write_text(content, encoding="utf-8")
        else:
            temporary.write_bytes(content)


def make_folder(path: Path) -> None:
    """Make a folder, and those above it, that are there after a power cut: a new name is synced with its folder."""
    if path.is_dir():
        return
    make_folder(path.parent)
    path.mkdir(exist_ok=True)
    sync(path.parent)


def sync(path: Path) -> None:
    """Flush a file's (or a folder's) content to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_manifest(folder: Path, manifest: Mapping[str, object]) -> None:
    """Write `manifest.json` into `folder`, last of all its files: it marks the folder complete."""
    write_atomically(folder / MANIFEST, json.dumps(manifest, indent=2, ensure_ascii=False, sort_keys=False) + "\n")


def read_manifest(folder: Path) -> dict[str, object] | None:
    """The manifest of a complete folder, None when there is none; WorkspaceError when it cannot be read or parsed."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except PermissionError as exc:
        raise barred_error(folder / MANIFEST) from exc
    except (json.JSONDecodeError, UnicodeDecodeError, OSError) as exc:
        raise WorkspaceError(f"{folder / MANIFEST} is damaged ({exc}). Make {folder.name} again.") from exc
    if not isinstance(manifest, dict):
        raise WorkspaceError(f"{folder / MANIFEST} is damaged (not an object). Make {folder.name} again.")
    return manifest


def barred_error(path: Path) -> WorkspaceError:
    """The error for a path that this user may not read."""
    from pasquin.config.access import may_not_read

    return WorkspaceError(may_not_read(path))


def file_hash(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
