"""The file of a backup: a tar with one file a member, and at its end the header with every checksum.

What is read may have been made by anybody: only plain files are taken, only under names that a workspace has, each
once, none larger than the file it comes in allows, and nothing counts before its SHA-256 was right. The header is last,
so a file that was cut off has none and is refused.
"""

from __future__ import annotations

import hashlib
import re
import tarfile
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Final

import orjson

from pasquin.errors import InputError, WorkspaceError
from pasquin.progress import Task
from pasquin.workspace.files import sync

HEADER: Final = "pasquin-backup.json"
DATABASE: Final = "database"
_PIECE: Final = 2**20
_MOST_FILES: Final = 2_000_000
_MOST_HEADER: Final = 512 * 2**20
_NAME: Final = re.compile(
    r"(?:pasquin\.toml|blocklist\.txt|pasquin-backup\.json|(?:posts|corpora|models|sources|\.lineage|database)"
    r"(?:/(?!\.)[^/\\\x00-\x1f:]{1,255}){1,8})"
)


class Writer:
    """Writes a backup, a file after the other."""

    def __init__(self, path: Path) -> None:
        self._tar = tarfile.open(path, "w", format=tarfile.PAX_FORMAT)  # noqa: SIM115 - closed by __exit__
        self._sums: dict[str, list[object]] = {}

    def __enter__(self) -> Writer:
        """Ready."""
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, at: TracebackType | None) -> None:
        """Write what is left."""
        self._tar.close()

    def add(self, name: str, path: Path) -> None:
        """Add the content of `path` under `name`. Raises WorkspaceError for a name that could not be restored."""
        if not _NAME.fullmatch(name):
            raise WorkspaceError(f"{name} has a name that a backup cannot hold. Rename or remove it.")
        member = tarfile.TarInfo(name)
        member.size = path.stat().st_size
        with path.open("rb") as content:
            hashed = _Hashed(content)
            self._tar.addfile(member, hashed)
        self._sums[name] = [member.size, hashed.digest.hexdigest()]

    def header(self, header: dict[str, Any]) -> None:
        """Add the header, last of all: it makes the backup whole."""
        import io

        content = orjson.dumps(header | {"files": self._sums})
        member = tarfile.TarInfo(HEADER)
        member.size = len(content)
        self._tar.addfile(member, io.BytesIO(content))


def has_database(path: Path) -> bool:
    """Whether a file is a backup with tables in it: they come first."""
    try:
        with tarfile.open(path, "r:") as tar:
            first = tar.next()
    except (OSError, tarfile.TarError, EOFError):
        return False
    return first is not None and first.name.startswith(f"{DATABASE}/")


class _Hashed:
    """A file that hashes what is read from it."""

    def __init__(self, content: IO[bytes]) -> None:
        self._content = content
        self.digest = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        piece = self._content.read(size)
        self.digest.update(piece)
        return piece


class Reader:
    """Reads a backup into a folder, or only looks whether it is whole."""

    def __init__(self, path: Path, folder: Path | None, task: Task) -> None:
        """Without a `folder` nothing is written."""
        self._path, self._folder, self._task = path, folder, task
        self._found: dict[str, list[object]] = {}

    @property
    def files(self) -> int:
        """How many files of the workspace it holds."""
        return sum(not name.startswith(f"{DATABASE}/") for name in self._found)

    def extract(self) -> dict[str, Any]:
        """Read everything; the header. Raises InputError when anything is not as it should be."""
        header: dict[str, Any] | None = None
        try:
            with tarfile.open(self._path, "r:") as tar:
                for member in tar:
                    if header is not None:
                        raise self._bad("something follows its header")
                    content = self._content(tar, member)
                    if member.name == HEADER:
                        header = self._header(content.read(_MOST_HEADER + 1))
                    else:
                        self._take(member, content)
        except (tarfile.TarError, EOFError) as exc:
            raise self._bad(f"it is damaged or no tar file: {exc}") from exc
        except FileNotFoundError as exc:
            if not self._path.exists():
                raise InputError(f"There is no file {self._path}.") from exc
            raise
        if header is None:
            raise self._bad("its end is missing: it was cut off")
        if header.pop("files") != self._found:
            raise self._bad("its files are not those that were put in (checksums differ)")
        return header

    def _content(self, tar: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes]:
        if not member.isreg() or not _NAME.fullmatch(member.name):
            raise self._bad(f"it holds {member.name[:80]!r}, which no workspace has")
        if member.name in self._found or len(self._found) >= _MOST_FILES:
            raise self._bad(f"it holds {member.name[:80]!r} twice, or too much")
        if member.sparse is not None or member.size > self._path.stat().st_size:
            raise self._bad(f"{member.name[:80]!r} claims to be larger than the file it is in")
        content = tar.extractfile(member)
        assert content is not None  # it is a plain file
        return content

    def _take(self, member: tarfile.TarInfo, content: IO[bytes]) -> None:
        digest, target = hashlib.sha256(), None
        if self._folder is not None:
            place = self._folder / member.name
            place.parent.mkdir(parents=True, exist_ok=True)
            target = place.open("xb")
        size = 0
        try:
            while piece := content.read(_PIECE):
                digest.update(piece)
                size += len(piece)
                self._task.advance(len(piece))
                if target is not None:
                    target.write(piece)
        finally:
            if target is not None:
                target.close()
        if size != member.size:
            raise self._bad("its end is missing: it was cut off")
        if self._folder is not None:
            sync(self._folder / member.name)
        self._found[member.name] = [size, digest.hexdigest()]

    def _header(self, content: bytes) -> dict[str, Any]:
        try:
            header = orjson.loads(content)
            number, tables = header["format"], header["tables"]
            sound = (
                isinstance(header["files"], dict)
                and isinstance(header["made_at"], str)
                and (header["database"] is None or re.fullmatch(r"\d{4}", header["database"]))
                and all(isinstance(name, str) and isinstance(rows, int) for name, rows in tables.items())
            )
        except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError) as exc:
            raise self._bad("its header makes no sense") from exc
        if not sound or not isinstance(number, int):
            raise self._bad("its header makes no sense")
        if number != 1:
            raise self._bad(f"it is of a newer Pasquin (format {number}); update Pasquin first")
        return dict(header)

    def _bad(self, why: str) -> InputError:
        return InputError(f"{self._path} cannot be restored: {why}. Nothing was changed; take an older backup.")


def verify(path: Path, task: Task) -> None:
    """Read a backup and compare every checksum. Raises InputError."""
    Reader(path, None, task).extract()
