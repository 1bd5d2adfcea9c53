"""What a workspace remembers of its last sync: `.sync/<place>.json`."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import orjson

from pasquin.sync.plan import LOGS, Entry
from pasquin.workspace import Workspace
from pasquin.workspace.files import write_atomically

FOLDER: Final = ".sync"


class Memory:
    """What a workspace remembers of a bucket: the files after the last sync, and hashes it need not compute again."""

    def __init__(self, workspace: Workspace, url: str) -> None:
        """What is damaged is forgotten: then everything is compared anew."""
        self.base: dict[str, Entry]
        self._known: dict[str, tuple[Any, ...]]
        self._path = workspace.root / FOLDER / f"{hashlib.sha256(url.encode()).hexdigest()[:16]}.json"
        try:
            kept = orjson.loads(self._path.read_bytes())
            self.base = {name: (size, digest) for name, (size, digest) in kept["base"].items()}
            self._known = {name: tuple(marks) for name, marks in kept["known"].items()}
        except (OSError, orjson.JSONDecodeError, KeyError, TypeError, ValueError, AttributeError):
            self.base, self._known = {}, {}

    def hashed(self, found: dict[str, Path]) -> dict[str, Entry]:
        """Bytes and hash of every file; those that are the same file as last time are not read again."""
        entries, known = {}, {}
        for name, path in found.items():
            status = path.stat()
            marks = (status.st_ino, status.st_size, status.st_mtime_ns)
            old = self._known.get(name)
            if old is not None and old[:3] == marks and name not in LOGS:
                digest = str(old[3])
            else:
                with path.open("rb") as handle:
                    digest = hashlib.file_digest(handle, "sha256").hexdigest()
            entries[name] = (status.st_size, digest)
            known[name] = (*marks, digest)
        self._known = known
        return entries

    def keep(self, here: Mapping[str, Entry], there: Mapping[str, Entry]) -> None:
        """Remember the state after a sync; what still differs (one way only) keeps its old base."""
        base = {name: entry for name, entry in self.base.items() if here.get(name) != there.get(name)}
        base |= {name: entry for name, entry in there.items() if here.get(name) == entry}
        self._path.parent.mkdir(exist_ok=True)
        write_atomically(self._path, orjson.dumps({"base": base, "known": self._known}))
