"""Publishing to a file: one JSON line a post, each once.

The line is appended and synced under a lock; its key is looked for first, so a retry adds nothing. A line without an
end (the machine went down while it was written) was never acknowledged, and is cut off before the next is written.
"""

from __future__ import annotations

import fcntl
import mmap
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

import orjson

from pasquin.errors import NotSent, disk_errors
from pasquin.networks.publishing import Access, Request, Settled
from pasquin.networks.statement import statement
from pasquin.networks.tids import tid_time
from pasquin.records import Publication
from pasquin.workspace.files import sync


class FilePublisher:
    """Appends to the file named by `account`, relative to the workspace when it is not absolute."""

    def __init__(self, path: Path, said: dict[str, Any]) -> None:
        """`said` is the statement that goes with each text."""
        self.path, self.said = path, said

    def publish(self, text: str, key: str) -> Publication:
        """Append the text unless its key is there."""
        return self.send(self.freeze(text, key))

    def freeze(self, text: str, key: str) -> Request:
        """The line that will be written."""
        return {"key": key, "text": text, "created_at": tid_time(key).isoformat(), "disclosure": self.said}

    def send(self, request: Request) -> Publication:
        """Append the line. Raises ResourceError or WorkspaceError when it cannot be written."""
        with disk_errors(f"publish to {self.path}"), self._open() as file:
            _cut_torn_line(file)
            if not _has(file, str(request["key"])):
                file.seek(0, os.SEEK_END)
                file.write(orjson.dumps(dict(request)) + b"\n")
                file.flush()
            self._sync(file)
        return self._publication(request)

    def settle(self, request: Request, attempted_at: datetime) -> Settled:
        """Whether the line is there, on the disk: who wrote it may have been killed before it was synced."""
        with disk_errors(f"read {self.path}"), self._open() as file:
            if not _has(file, str(request["key"])):
                return "absent"
            self._sync(file)
        return self._publication(request)

    def said_before(self, text: str) -> str | None:
        """The URI of a line that has this text."""
        with disk_errors(f"read {self.path}"), self._open() as file:
            size = file.seek(0, os.SEEK_END)
            if not size:
                return None
            with mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ) as content:
                found = content.rfind(b'","text":' + orjson.dumps(text) + b',"created_at":')
                if found < 0:
                    return None
                line = content[content.rfind(b"\n", 0, found) + 1 : found]
        key = line.removeprefix(b'{"key":"').decode()
        return f"{self.path.as_uri()}#{key}"

    def _sync(self, file: IO[bytes]) -> None:
        os.fsync(file.fileno())
        sync(self.path.parent)  # the file may be new: its name is to outlive a power cut, too

    def _publication(self, request: Request) -> Publication:
        key = str(request["key"])
        return Publication(uri=f"{self.path.as_uri()}#{key}", published_at=tid_time(key).astimezone(UTC))

    @contextmanager
    def _open(self) -> Iterator[IO[bytes]]:
        if not self.path.parent.is_dir():
            raise NotSent(f"There is no folder {self.path.parent} to publish to. Make it, or change the bot's account.")
        with self.path.open("a+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield file


def _cut_torn_line(file: IO[bytes]) -> None:
    size = file.seek(0, os.SEEK_END)
    end = size
    while end > 0:
        start = max(0, end - 4096)
        file.seek(start)
        block = file.read(end - start)
        if b"\n" in block:
            end = start + block.rindex(b"\n") + 1
            break
        end = start
    if end != size:
        file.truncate(end)


def _has(file: IO[bytes], key: str) -> bool:
    """Whether a whole line has the key."""
    size = file.seek(0, os.SEEK_END)
    if not size:
        return False
    with mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ) as content:
        start = content.rfind(b'{"key":"' + key.encode() + b'"')  # the newest are at the end
        return start >= 0 and content.find(b"\n", start) >= 0


def file(access: Access) -> FilePublisher:
    """The publisher of `network = "file"`."""
    path = Path(access.settings.account)
    return FilePublisher(path if path.is_absolute() else access.root / path, statement(access.bot, access.settings))
