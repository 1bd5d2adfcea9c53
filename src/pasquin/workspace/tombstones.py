"""Tombstones: posts and accounts that are gone for good. `posts/tombstones.jsonl`, a JSON object a line.

    {"uri": "https://x.com/i/status/1", "reason": "forgotten", "at": "2026-03-01T09:30:00Z"}
    {"network": "x", "account": "42", "reason": "forgotten", "at": "2026-03-01T09:30:00Z"}

Lines are only ever added. From the moment one is on the disk nobody who reads posts or corpora sees what it names, and
collecting it again brings nothing back. It holds no words, only the identity that has to be recognised. What is left
of the words themselves is removed afterwards (`pasquin.withdrawal`); up to where that is done is in `posts/.withdrawn`.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Final, Literal

import orjson

from pasquin.errors import WorkspaceError, disk_errors
from pasquin.records import Post
from pasquin.workspace import Workspace
from pasquin.workspace.files import make_folder, sync, write_atomically

Reason = Literal["forgotten", "deleted upstream"]

_FILE: Final = "tombstones.jsonl"
_WITHDRAWN: Final = ".withdrawn"


@dataclass(frozen=True, slots=True)
class Tombstones:
    """URIs of single posts, and (network, account) pairs of which nothing may be kept."""

    uris: frozenset[str] = frozenset()
    accounts: frozenset[tuple[str, str]] = frozenset()

    def __bool__(self) -> bool:
        """Whether there is any."""
        return bool(self.uris or self.accounts)

    def covers(self, post: Post) -> bool:
        """Whether `post` may not be stored."""
        return post.uri in self.uris or (post.network, post.account) in self.accounts


def tombstones_path(workspace: Workspace) -> Path:
    """The file of tombstones, whether or not there is one yet."""
    return workspace.posts / _FILE


def tombstones_state(workspace: Workspace) -> tuple[int, int]:
    """A value that changes when tombstones are added; cheap enough to ask every second."""
    try:
        status = tombstones_path(workspace).stat()
    except FileNotFoundError:
        return 0, 0
    return status.st_size, status.st_mtime_ns


def read_tombstones(workspace: Workspace) -> Tombstones:
    """All tombstones of a workspace. Raises WorkspaceError when their file is damaged."""
    state = tombstones_state(workspace)
    return _parsed(tombstones_path(workspace), state) if state[0] else Tombstones()


@lru_cache(maxsize=4)
def _parsed(path: Path, _state: tuple[int, int]) -> Tombstones:
    with disk_errors("read the tombstones"):
        return _parse(path, path.read_bytes())


def _parse(path: Path, content: bytes) -> Tombstones:
    """The tombstones in `content`; a last line without its end was never acknowledged and doesn't count."""
    uris, accounts = set(), set()
    for number, line in enumerate(content[: content.rfind(b"\n") + 1].splitlines(), 1):
        try:
            entry = orjson.loads(line)
            if "uri" in entry:
                uris.add(str(entry["uri"]))
            else:
                accounts.add((str(entry["network"]), str(entry["account"])))
        except (orjson.JSONDecodeError, KeyError, TypeError) as exc:
            raise WorkspaceError(
                f"{path} is damaged in line {number}, so what was forgotten is no longer known. Mend the line "
                "or bring the file back from a backup."
            ) from exc
    return Tombstones(frozenset(uris), frozenset(accounts))


def add_tombstones(
    workspace: Workspace, reason: Reason, uris: Iterable[str] = (), accounts: Iterable[tuple[str, str]] = ()
) -> int:
    """Add tombstones that are not there yet, and return how many; they are on the disk then.

    Needs no lock of the workspace. Raises ResourceError or WorkspaceError when the disk refuses.
    """
    path = tombstones_path(workspace)
    with disk_errors("write the tombstones"):
        make_folder(path.parent)
        with path.open("a+b") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            handle.seek(0)
            content = handle.read()
            handle.truncate(content.rfind(b"\n") + 1)  # what a killed writer left unfinished
            known = _parse(path, content)
            marks = {"reason": reason, "at": datetime.now(UTC)}
            entries = [{"uri": uri, **marks} for uri in sorted(set(uris) - known.uris)]
            entries += [
                {"network": network, "account": account, **marks}
                for network, account in sorted(set(accounts) - known.accounts)
            ]
            options = orjson.OPT_APPEND_NEWLINE | orjson.OPT_UTC_Z | orjson.OPT_OMIT_MICROSECONDS
            handle.write(b"".join(orjson.dumps(entry, option=options) for entry in entries))
            handle.flush()
            os.fsync(handle.fileno())
        sync(path.parent)
    return len(entries)


def withdrawal_pending(workspace: Workspace) -> bool:
    """Whether words of something with a tombstone may still be on the disk."""
    size = tombstones_state(workspace)[0]
    try:
        return size != int((workspace.posts / _WITHDRAWN).read_text())
    except FileNotFoundError:
        return size != 0
    except ValueError:
        return True


def mark_withdrawn(workspace: Workspace, size: int) -> None:
    """Note that everything named in the first `size` bytes of the tombstones is removed."""
    with disk_errors("write the tombstones"):
        write_atomically(workspace.posts / _WITHDRAWN, f"{size}\n")
