"""Answers kept on the disk so that the next question can be "has it changed?" (ETag, Last-Modified).

Only public answers are kept: never one that was asked for with a token. Addresses are kept as hashes.
"""

from __future__ import annotations

import hashlib
import json
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx

from pasquin.workspace.files import write_atomically

_MOST_BYTES: Final = 64 * 2**20
_LARGEST: Final = 8 * 2**20
_KEPT_HEADERS: Final = ("etag", "last-modified", "content-type", "link")


@dataclass(frozen=True)
class Kept:
    """A kept answer."""

    url: str
    headers: httpx.Headers
    content: bytes

    def conditions(self) -> dict[str, str]:
        """Headers that ask for the answer only if it has changed."""
        etag, modified = self.headers.get("etag"), self.headers.get("last-modified")
        return ({"If-None-Match": etag} if etag else {}) | ({"If-Modified-Since": modified} if modified else {})


class Cache:
    """A folder of kept answers; damage and races only cost a full answer."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()

    def get(self, url: str) -> Kept | None:
        """The kept answer of `url`, None when there is none that is whole."""
        with suppress(OSError, ValueError, KeyError, TypeError):
            head, _, content = self._path(url).read_bytes().partition(b"\n")
            about = json.loads(head)
            if hashlib.sha256(content).hexdigest() == about["sha256"]:
                return Kept(url, httpx.Headers(about["headers"]), content)
        return None

    def put(self, url: str, headers: httpx.Headers, content: bytes) -> None:
        """Keep an answer that can be asked for conditionally."""
        kept = {name: headers[name] for name in _KEPT_HEADERS if name in headers}
        if not (kept.keys() & {"etag", "last-modified"}) or len(content) > _LARGEST:
            return
        about = json.dumps({"headers": kept, "sha256": hashlib.sha256(content).hexdigest()})
        with self._lock, suppress(OSError):
            self._folder.mkdir(parents=True, exist_ok=True)
            write_atomically(self._path(url), about.encode() + b"\n" + content)
            self._prune()

    def _prune(self) -> None:
        """Remove the oldest until what is kept is small enough."""
        files = sorted((path.stat().st_mtime, path.stat().st_size, path) for path in self._folder.glob("*.http"))
        size = sum(size for _, size, _ in files)
        for _, freed, path in files:
            if size <= _MOST_BYTES:
                break
            path.unlink(missing_ok=True)
            size -= freed

    def _path(self, url: str) -> Path:
        return self._folder / f"{hashlib.sha256(url.encode('utf-8', 'replace')).hexdigest()[:40]}.http"
