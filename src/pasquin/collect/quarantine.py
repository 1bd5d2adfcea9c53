"""What could not be read: `quarantine/<source>.jsonl`, one JSON object a piece. It always shows the last run."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import IO, Final

import orjson

from pasquin.errors import disk_errors
from pasquin.networks import Quarantined
from pasquin.workspace import Workspace
from pasquin.workspace.files import make_folder, replacing

MAX_PIECES: Final = 10_000
"""Lines of a quarantine file; beyond, pieces are only counted."""


@dataclass
class Quarantine:
    """An open quarantine file."""

    handle: IO[bytes]
    pieces: int = 0

    def add(self, piece: Quarantined) -> None:
        """Count a piece, and keep where it stood, why it could not be read and how it begins."""
        self.pieces += 1
        if self.pieces > MAX_PIECES:
            return
        row = {
            "where": piece.where.encode("utf-8", "backslashreplace").decode(),
            "reason": piece.reason,
            "excerpt": piece.excerpt.decode("utf-8", "backslashreplace"),
        }
        with disk_errors("write the quarantine"):
            self.handle.write(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE))


def quarantine_path(workspace: Workspace, written: str) -> Path:
    """The quarantine file of a source."""
    readable = re.sub(r"[^A-Za-z0-9._-]+", "-", written).strip("-.")[-60:]
    return workspace.quarantine / f"{readable}-{sha256(written.encode()).hexdigest()[:8]}.jsonl"


@contextmanager
def open_quarantine(workspace: Workspace, written: str) -> Iterator[Quarantine]:
    """Where the unreadable pieces of a source go: replaces what an earlier run left, and is removed when empty."""
    path = quarantine_path(workspace, written)
    with disk_errors("write the quarantine"):
        make_folder(path.parent)
        for leftover in path.parent.glob(f".{path.name}.*.tmp"):  # of a collector that was killed
            leftover.unlink(missing_ok=True)
    with replacing(path) as temporary:
        with temporary.open("wb") as handle:
            quarantine = Quarantine(handle)
            yield quarantine
        empty = not quarantine.pieces
    if empty:
        path.unlink(missing_ok=True)
