"""Finding and opening input files: directories and patterns, gzip, encodings, lines of bounded length.

Whatever a file holds, memory stays within the longest allowed line and a chunk.
"""

from __future__ import annotations

import codecs
import glob
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pasquin.config import CollectSettings
from pasquin.errors import InputError
from pasquin.networks import Quarantined
from pasquin.records import Post


@dataclass(frozen=True, slots=True)
class Deleted:
    """Word that a post was deleted: never taken, and no longer wanted where it was collected before."""

    uri: str


Reading = Post | Quarantined | Deleted | str
"""What a reader finds: a post, something unreadable, word of a deletion, or (a text) why something is no post."""

CHUNK: Final = 2**20
EXCERPT: Final = 200
ZIP_DAMAGE: Final = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, ValueError)
"""What the reader of zips raises, beside OSError, for files that are damaged, locked or made to do harm."""
_GZIP: Final = b"\x1f\x8b"
_BOMS: Final = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


def find_files(pattern: str, suffixes: tuple[str, ...]) -> list[Path]:
    """The files that a path, a directory (searched for `suffixes`, also with `.gz`) or a glob pattern means, sorted.

    A suffix `""` stands for names without one. Raises InputError when there is none.
    """
    path = Path(pattern).expanduser()
    try:
        if path.is_file():
            return [path]
        if path.is_dir():
            return _in_folder(path, suffixes)
        found = sorted(Path(name) for name in glob.glob(str(path), recursive=True) if Path(name).is_file())
    except (OSError, ValueError) as exc:
        raise InputError(
            f"`{pattern[:200]}` is no path that can be read ({exc.__class__.__name__}). Check it."
        ) from exc
    if found:
        return found
    if path.exists():
        raise InputError(
            f"{path} is not a file or a directory that can be read. Name a file, a directory or a pattern."
        )
    raise InputError(f"There is no file {path}. Check the path; quote patterns such as '*.jsonl' from the shell.")


def _in_folder(folder: Path, suffixes: tuple[str, ...]) -> list[Path]:
    found = sorted(
        path
        for path in folder.rglob("*")
        if not any(part.startswith(".") for part in path.relative_to(folder).parts)
        and plain_suffix(path) in suffixes
        and path.is_file()
    )
    if not found:
        wanted = ", ".join(suffix or "(no suffix)" for suffix in suffixes)
        raise InputError(f"There is no {wanted} file in the directory {folder}. Name the file itself, or a pattern.")
    return found


def plain_suffix(path: Path) -> str:
    """The suffix of a name, lower case, without a final `.gz`."""
    return Path(path.name.removesuffix(".gz")).suffix.lower()


def stem(path: Path) -> str:
    """The name of a file without folders, suffix, `.gz` and the `_tweets` that the 2020 tools appended."""
    name = Path(path.name.removesuffix(".gz")).stem.removesuffix("_tweets") or path.name
    return name.encode("utf-8", "backslashreplace").decode()  # file names need not be UTF-8


def decoded(raw: bytes) -> str:
    """A line or text of a plain text file; ValueError, whose message is the reason, when it cannot be one."""
    if b"\0" in raw:
        raise ValueError("it contains NUL bytes")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as exc:
        raise ValueError("it is not UTF-8") from exc


@dataclass
class InputFile:
    """One file being read: `position` counts the bytes taken from it, `damage` says why reading ended early.

    `shown` is what it is called to people, where that is not its path.
    """

    path: Path
    position: int = 0
    damage: str | None = None
    shown: str = ""
    size: int = field(init=False)

    def __post_init__(self) -> None:
        try:
            self.size = self.path.stat().st_size
        except OSError as exc:
            raise self.unreadable(exc) from exc

    @property
    def name(self) -> str:
        """What the file is called to people."""
        return self.shown or str(self.path)

    def unreadable(self, exc: OSError) -> InputError:
        """The error for a file the system will not let us read."""
        return InputError(f"{self.path} cannot be read: {exc.strerror or exc}. Check the path and its permissions.")

    def quarantine(self, number: int | None, reason: str, excerpt: bytes | str = b"") -> Quarantined:
        """A piece of this file, at line or entry `number`, that cannot be read."""
        where = self.name if number is None else f"{self.name}:{number}"
        shown = excerpt.encode("utf-8", "backslashreplace") if isinstance(excerpt, str) else excerpt
        return Quarantined(where, reason, bytes(shown[:EXCERPT]))

    def chunks(self) -> Iterator[bytes]:
        """The content as UTF-8, decompressed, without a byte order mark; UTF-16 and UTF-32 that have one are converted.

        Where the file is cut off or damaged, iteration ends with what came before and sets `damage`.
        Raises InputError when the file cannot be opened or is empty.
        """
        raw = self._raw()
        first = next(raw, b"")
        if not first:
            raise InputError(f"{self.path} is empty. Check that its download or export has finished.")
        if first.startswith(_GZIP):
            raw = self._inflated(_chain(first, raw))
            first = next(raw, b"")
        for mark, encoding in _BOMS:
            if first.startswith(mark):
                return self._decoded(_chain(first[len(mark) :], raw), encoding)
        return _chain(first.removeprefix(codecs.BOM_UTF8), raw)

    def lines(self, limit: int) -> Iterator[tuple[int, bytes] | Quarantined]:
        """Numbered lines without their line feed; one longer than `limit` bytes comes out quarantined.

        The unfinished last line of a damaged file is left out.
        """
        number, pieces, held, too_long = 0, [], 0, False
        for chunk in self.chunks():
            first, *rest = chunk.split(b"\n")
            pieces.append(first)
            held += len(first)
            if rest:
                number += 1
                yield self._line(number, b"".join(pieces), limit, too_long)
                for line in rest[:-1]:
                    number += 1
                    yield self._line(number, line, limit, False)
                pieces, held, too_long = [rest[-1]], len(rest[-1]), False
            elif held > limit:
                pieces, too_long = [b"".join(pieces)[:EXCERPT]], True
                held = len(pieces[0])
        if held and not self.damage:
            yield self._line(number + 1, b"".join(pieces), limit, too_long)

    def _line(self, number: int, line: bytes, limit: int, too_long: bool) -> tuple[int, bytes] | Quarantined:
        if too_long or len(line) > limit:
            return self.quarantine(number, f"the line is longer than {limit:,} bytes", line)
        return number, line

    def _raw(self) -> Iterator[bytes]:
        try:
            with self.path.open("rb") as handle:
                while chunk := handle.read(CHUNK):
                    self.position += len(chunk)
                    yield chunk
        except OSError as exc:
            raise self.unreadable(exc) from exc

    def _inflated(self, raw: Iterator[bytes]) -> Iterator[bytes]:
        member, begun = zlib.decompressobj(31), False
        try:
            for chunk in raw:
                data = chunk if begun else chunk.lstrip(b"\0")  # zeros behind the end are padding
                while data:
                    begun = True
                    yield member.decompress(data, CHUNK)
                    data = member.unconsumed_tail
                    if member.eof:
                        data = member.unused_data.lstrip(b"\0")
                        member, begun = zlib.decompressobj(31), False
                while begun and not member.eof and (more := member.decompress(b"", CHUNK)):
                    yield more
        except zlib.error:
            self.damage = "the compressed file is damaged; what came before the damage was read"
            return
        if begun:
            self.damage = "the compressed file is cut off; what came before the cut was read"

    def _decoded(self, raw: Iterator[bytes], encoding: str) -> Iterator[bytes]:
        decoder = codecs.getincrementaldecoder(encoding)("surrogatepass")
        try:
            for chunk in raw:
                yield decoder.decode(chunk).encode("utf-8", "surrogatepass")
            decoder.decode(b"", final=True)
        except UnicodeError:
            self.damage = f"the file says it is {encoding.upper()}, but is not from here on; what came before was read"


def _chain(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from rest


Reader = Callable[[InputFile, CollectSettings], Iterable[Reading]]
"""Reads one file. May raise InputError before the first reading, never after it."""
