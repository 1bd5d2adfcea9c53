"""Opening an X archive, whole or in pieces, without unpacking it; damaged and hostile zips are refused."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from pasquin.errors import InputError
from pasquin.networks.files.reading import CHUNK, ZIP_DAMAGE, InputFile, find_files

_BOMB_RATIO: Final = 200
_BOMB_SIZE: Final = 64 * 2**20
_MAX_DIRECTORY: Final = 64 * 2**20
"""Bytes of a zip's table of contents (half a million files); opening it takes about ten times as much memory."""
_MARK: Final = re.compile(
    rb"(?:\xef\xbb\xbf)?\s*(?:window\.YTD\.(?P<kind>\w{1,40})\.part|Grailbird\.data\.tweets_(?P<month>\d{4}_\d\d)\b)"
)
"""What the files of an archive begin with."""
_LOOK: Final = 200


@dataclass(frozen=True)
class Archive:
    """Names of the files in an archive, and how to open one."""

    names: tuple[str, ...]
    open: Callable[[str], IO[bytes]]

    def matching(self, pattern: re.Pattern[str]) -> list[str]:
        return sorted((name for name in self.names if pattern.fullmatch(name)), key=_natural)

    def chunks(self, name: str, file: InputFile) -> Iterator[bytes]:
        """The content of a file of the archive; `file` counts what was read. Raises InputError when it is damaged."""
        try:
            with self.open(name) as handle:
                while chunk := handle.read(CHUNK):
                    file.position += len(chunk)
                    yield chunk
        except (*ZIP_DAMAGE, OSError) as exc:
            raise InputError(
                f"{file.name} is damaged or locked at {name} ({exc}). Download the archive again; nothing was read."
            ) from exc


def find_archives(pattern: str) -> list[Path]:
    """The archives that a path, directory or pattern means."""
    path = Path(pattern).expanduser()
    return [path] if _folder(path) is not None else find_files(pattern, (".zip",))


def _folder(path: Path) -> Path | None:
    """The top of an unpacked archive, also when its `data` folder is named; None when it is none."""
    if (path / "data").is_dir():
        return path
    return path.parent if path.name == "data" and path.is_dir() else None


@contextmanager
def opened(file: InputFile, read: Iterable[re.Pattern[str]]) -> Iterator[Archive]:
    """The archive in `file`; what of it matches `read` is checked to be whole first.

    Raises InputError when it is damaged, hostile or no archive at all.
    """
    if (folder := _folder(file.path)) is not None:
        archive = _unpacked(folder)
        file.size = sum((folder / name).stat().st_size for name in archive.names)
        yield archive
        return
    if file.path.suffix.lower() in (".js", ".csv"):
        yield _single(file)
        return
    if _directory_size(file) > _MAX_DIRECTORY:
        raise InputError(f"{file.name} is no X archive: it lists more files than any account has. Nothing was read.")
    try:
        zipped = zipfile.ZipFile(file.path)
    except (*ZIP_DAMAGE, OSError) as exc:
        raise InputError(
            f"{file.name} is no zip that can be read ({exc}). If it is your X archive, download it again, whole."
        ) from exc
    with zipped:
        archive = Archive(tuple(zipped.namelist()), zipped.open)
        wanted = [name for pattern in read for name in archive.matching(pattern)]
        _refuse_hostile(zipped, wanted, file)
        for name in wanted:  # entries have checksums: damage is found before a post is stored
            for _ in archive.chunks(name, file):
                pass
        file.position, file.size = 0, sum(zipped.getinfo(name).file_size for name in wanted)
        yield archive


def _directory_size(file: InputFile) -> int:
    """Bytes that a zip's last record says its table of contents takes, 0 where there is no such record."""
    try:
        with file.path.open("rb") as handle:
            handle.seek(max(0, file.size - 2**16 - 128))
            tail = handle.read()
    except OSError as exc:
        raise file.unreadable(exc) from exc
    end, large = tail.rfind(b"PK\x05\x06"), tail.rfind(b"PK\x06\x06")
    sizes = [
        int.from_bytes(tail[large + 40 : large + 48], "little") if large >= 0 else 0,
        int.from_bytes(tail[end + 12 : end + 16], "little") if end >= 0 else 0,
    ]
    return max(size for size in sizes if size != 0xFFFFFFFF or large < 0)


def _refuse_hostile(archive: zipfile.ZipFile, wanted: list[str], file: InputFile) -> None:
    """Raise InputError for what a real archive never has: paths that climb out, overlapping entries, bombs."""
    end = 0
    for entry in sorted(archive.infolist(), key=lambda entry: entry.header_offset):
        parts = entry.filename.replace("\\", "/").split("/")
        if ".." in parts or entry.filename.startswith(("/", "\\")) or ":" in parts[0]:
            raise InputError(f"{file.name} is no X archive: it has an entry outside of itself. Nothing was read.")
        if entry.header_offset < end:
            raise InputError(f"{file.name} is no X archive: its entries overlap, as in a zip bomb. Nothing was read.")
        end = entry.header_offset + 30 + entry.compress_size
    for name in wanted:
        entry = archive.getinfo(name)
        if entry.file_size > max(_BOMB_SIZE, _BOMB_RATIO * entry.compress_size):
            raise InputError(
                f"{file.name} is a zip bomb: {name} would swell to {entry.file_size:,} bytes. Nothing was read."
            )
    if len(set(wanted)) != len(wanted):
        raise InputError(f"{file.name} is no X archive: it has two files of one name. Nothing was read.")


def _unpacked(folder: Path) -> Archive:
    """A directory; its files are found where an archive has them."""
    found = [*(folder / "data").rglob("*.js"), *(folder / "data").rglob("*.csv"), folder / "tweets.csv"]
    return Archive(
        tuple(path.relative_to(folder).as_posix() for path in found if path.is_file()),
        lambda name: (folder / name).open("rb"),
    )


def _single(file: InputFile) -> Archive:
    """One file taken out of an archive, called what it would be called there: it says so itself, whatever its name."""
    name = file.path.name
    with file.path.open("rb") as handle:
        mark = _MARK.match(handle.read(_LOOK))
    if mark is not None and mark["kind"]:
        name = f"data/{mark['kind'].decode().replace('_', '-')}.js"
    elif mark is not None:
        name = f"data/js/tweets/{mark['month'].decode()}.js"
    elif file.path.suffix.lower() == ".csv":
        name = "tweets.csv"
    else:
        name = f"data/js/tweets/{name}" if re.fullmatch(r"\d{4}_\d{2}\.js", name) else f"data/{name}"
    return Archive((name,), lambda _: file.path.open("rb"))


def _natural(name: str) -> list[int | str]:
    """Sort key that puts part2 before part10, and a file before its parts."""
    plain = name.removesuffix(".js")
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", plain)]
