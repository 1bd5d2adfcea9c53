"""Reading JSON lines in bulk: what is plain goes through DuckDB, the rest a line at a time, with the same result.

A format's SQL says which rows are of the plain shape for which it gives exactly what the format's own function would;
every other line goes through that function. Lines for which DuckDB refuses a block (bad UTF-8, lone surrogates,
repeated keys, values of another kind) are taken out and the block is tried once more; what still fails is read line by
line. So speed depends on the input, and results do not.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Final

import orjson

from pasquin.errors import disk_errors
from pasquin.networks import Quarantined
from pasquin.networks.files.reading import EXCERPT, InputFile, Reading
from pasquin.records import Post
from pasquin.workspace.post_table import PostTable, open_memory
from pasquin.workspace.shards import COLUMNS, glob_literal, sql_text

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

BLOCK: Final = 24 * 2**20
"""Bytes of lines that are read together."""
SMALL: Final = 256 * 2**10
"""A smaller block is not worth the effort."""
_LONGEST: Final = 2 * 2**20
"""Bytes of a line that DuckDB is given; it reads in pieces of twice that, one a core."""

LineParser = Callable[[InputFile, int, bytes], Reading | None]
"""What a numbered line is; None for a blank one."""


@dataclass(frozen=True)
class BulkFormat:
    """How DuckDB reads a format: `keys` with their types; `prepare`, a SELECT of what the next two use; the columns
    of a shard; and what is `plain`. `parse` reads a line without it.
    """

    keys: Mapping[str, str]
    prepare: str
    select: str
    plain: str
    parse: LineParser


@dataclass(frozen=True)
class Block:
    """Whole lines in pieces, and the number of the first; or the one line there, when it was too long."""

    pieces: Sequence[bytes]
    first: int
    too_long: Quarantined | None = None

    @cached_property
    def count(self) -> int:
        """How many lines there are."""
        ended = sum(len(BytesIO(piece).readlines()) for piece in self.pieces)  # takes a third of what bytes.count does
        return ended - sum(piece[-1:] not in (b"\n", b"") for piece in self.pieces[:-1])

    @property
    def size(self) -> int:
        """How many bytes there are."""
        return sum(map(len, self.pieces))

    def lines(self) -> list[bytes]:
        """All the lines, without their ends."""
        return b"".join(self.pieces).removesuffix(b"\n").split(b"\n")


@dataclass
class BlockReading:
    """What a block held."""

    posts: Sequence[Post] = ()
    skipped: Counter[str] = field(default_factory=Counter)
    quarantined: list[Quarantined] = field(default_factory=list)

    def sort(self, found: Reading | None) -> Post | None:
        """Note a reading that is no post to keep; the post that is one."""
        if isinstance(found, Post) and found.text.strip():
            return found
        if isinstance(found, Quarantined):
            self.quarantined.append(found)
        elif isinstance(found, Post | str):
            self.skipped["empty" if isinstance(found, Post) else found] += 1
        return None


def blocks(file: InputFile, limit: int, most: int, size: int = BLOCK) -> Iterator[Block]:
    """The lines of a file in blocks of about `size` bytes and at most `most` lines.

    A line longer than `limit` is cut to a quarantined excerpt without being held, and the unfinished last line of a
    damaged file is left out.
    """
    pieces: list[bytes] = []
    held, unfinished, first, too_long = 0, 0, 1, False
    for chunk in file.chunks():
        if too_long:
            end = chunk.find(b"\n")
            if end < 0:
                continue
            yield Block((), first, _too_long(file, first, limit, pieces[0]))
            pieces, held, unfinished, first, too_long = [], 0, 0, first + 1, False
            chunk = chunk[end + 1 :]
        pieces.append(chunk)
        held += len(chunk)
        end = chunk.rfind(b"\n") + 1
        unfinished = len(chunk) - end if end else unfinished + len(chunk)
        too_long = unfinished > limit
        if held < size and not too_long:
            continue
        rest = pieces[-1][end:] if end else b"".join(pieces)
        whole = [*pieces[:-1], pieces[-1][:end]] if end else []
        if not end and held > unfinished:  # the last line began in an earlier piece
            data, rest = rest, rest[held - unfinished :]
            whole = [data[: held - unfinished]]
        if whole:
            block = Block(whole, first)
            first += block.count
            yield from _cut(block, most)
        pieces = [rest[:EXCERPT] if too_long else rest]
        held = len(pieces[0])
    rest = b"".join(pieces)
    if file.damage:
        rest, too_long = rest[: rest.rfind(b"\n") + 1], False
    if too_long:
        yield Block((), first, _too_long(file, first, limit, rest))
    elif rest:
        yield from _cut(Block([rest], first), most)


def _cut(block: Block, most: int) -> Iterator[Block]:
    """Blocks of at most `most` lines."""
    if block.count <= most:
        yield block
        return
    lines = block.lines()
    for begin in range(0, len(lines), most):
        yield Block([b"\n".join(lines[begin : begin + most])], block.first + begin)


def _too_long(file: InputFile, number: int, limit: int, line: bytes) -> Quarantined:
    return file.quarantine(number, f"the line is longer than {limit:,} bytes", line)


class BulkReader:
    """Loads lines into tables of the process's own database; make one with `open_bulk`."""

    def __init__(self, database: DuckDBPyConnection, folder: Path) -> None:
        """`database` is one of `open_memory`; `folder`, an empty one, is for the file that DuckDB reads."""
        self.database = database
        self._file = folder / "0.jsonl"
        self._number = 0

    def load(self, pieces: Sequence[bytes], count: int, format: BulkFormat) -> str | None:
        """The name of a new table of `count` lines in their order; None when DuckDB does not like them."""
        import duckdb

        name = PostTable.new_name()
        keys = ", ".join(f"{key}: '{kind}'" for key, kind in format.keys.items())
        self._write(pieces)
        try:
            lines = (
                f"read_json({sql_text(glob_literal(self._file))}, format = 'newline_delimited', "
                f"maximum_object_size = {_LONGEST}, columns = {{{keys}}})"
            )
            rows = self.database.execute(
                f"CREATE TABLE {name} AS SELECT {format.select}, coalesce({format.plain}, false) AS plain "
                f"FROM ({format.prepare} FROM {lines})"
            ).fetchall()
        except (duckdb.InvalidInputException, duckdb.ConversionException):
            return None
        if rows[0][0] == count:
            return name
        self.database.execute(f"DROP TABLE {name}")  # blank lines have no row
        return None

    def _write(self, pieces: Sequence[bytes]) -> None:
        """Put the pieces in the place of those before.

        The same file is written over, as pages that the disk's cache has to find anew cost five times what copying
        does, and gets another name, so that nothing remembered of it is taken for what is there now.
        """
        with disk_errors("write a temporary file"):
            before, self._number = self._file, self._number + 1
            self._file = before.with_stem(str(self._number))
            if self._number > 1:
                before.rename(self._file)
            with self._file.open("r+b" if self._number > 1 else "wb") as file:
                file.writelines(pieces)
                file.truncate()


@contextmanager
def open_bulk() -> Iterator[BulkReader]:
    """A reader of blocks, with its temporary file; it is for one thread, and several may be open.

    Meanwhile each query of the process's own database keeps to the thread that asks: blocks side by side cost less than
    the threads of one block do, which wait for one another. Raises ResourceError when there is no room for the file.
    """
    with disk_errors("write a temporary file"):
        folder = tempfile.TemporaryDirectory(prefix="pasquin-", ignore_cleanup_errors=True)
    with folder, open_memory() as database:
        database.execute("SET threads = 1")
        try:
            yield BulkReader(database, Path(folder.name))
        finally:
            database.execute("RESET threads")


def read_block(
    reader: BulkReader, file: InputFile, block: Block, format: BulkFormat, limit: int, small: int = SMALL
) -> BlockReading:
    """All that a block holds. Raises ResourceError when the disk is full."""
    if block.too_long is not None:
        return BlockReading(quarantined=[block.too_long])

    def parsed(position: int, line: bytes) -> Reading | None:
        number = block.first + position
        return _too_long(file, number, limit, line) if len(line) > limit else format.parse(file, number, line)

    if block.size >= small:
        name = reader.load(block.pieces, block.count, format)
        positions: Sequence[int] = range(block.count)
        found: dict[int, Reading | None] = {}
        if name is None:
            good, broken = _sorted_out(block.lines(), format)
            positions = list(good)
            found = {position: parsed(position, line) for position, line in broken.items()}
            # A post in a line that is not in the table would come out of its turn, so there is none then.
            if good and not any(isinstance(reading, Post) for reading in found.values()):
                name = reader.load([b"\n".join(good.values())], len(good), format)
        if name is not None:
            return _joined(reader.database, name, block, positions, found, parsed)
    reading = BlockReading()
    readings = (reading.sort(parsed(position, line)) for position, line in enumerate(block.lines()))
    reading.posts = tuple(post for post in readings if post is not None)
    return reading


def _sorted_out(lines: Sequence[bytes], format: BulkFormat) -> tuple[dict[int, bytes], dict[int, bytes]]:
    """The lines that DuckDB will probably take, and the others, by their positions."""
    lists = [key for key, kind in format.keys.items() if kind.endswith("[]")]
    good: dict[int, bytes] = {}
    broken: dict[int, bytes] = {}
    for position, line in enumerate(lines):
        try:
            record = orjson.loads(line)
            fits = len(line) <= _LONGEST and all(_is_list_of_objects(record.get(key)) for key in lists)
        except (orjson.JSONDecodeError, AttributeError):
            fits = False
        (good if fits else broken)[position] = line
    return good, broken


def _is_list_of_objects(value: object) -> bool:
    return value is None or (isinstance(value, list) and all(isinstance(item, dict) for item in value))


def _joined(
    database: DuckDBPyConnection,
    name: str,
    block: Block,
    positions: Sequence[int],
    found: dict[int, Reading | None],
    parsed: Callable[[int, bytes], Reading | None],
) -> BlockReading:
    """The table `name` as posts, its rows that are not plain made what they really are; `positions` are its lines'."""
    odd = [row for (row,) in database.execute(f"SELECT rowid FROM {name} WHERE NOT plain").fetchall()]
    lines = block.lines() if odd else []
    rows = {positions[row]: row for row in odd}
    found |= {position: parsed(position, lines[position]) for position in rows}
    reading = BlockReading()
    kept: list[dict[str, object]] = []
    for position in sorted(found):
        if (post := reading.sort(found[position])) is not None:
            kept.append({"row": rows[position], "post": post})
    if odd:
        fields = ", ".join(f'"{column}": "{kind}"' for column, kind in COLUMNS.items())
        values = ", ".join(f"{column} = new.post.{column}" for column in COLUMNS)
        database.execute(
            f"UPDATE {name} SET {values}, plain = true "
            f'FROM (SELECT unnest(from_json($1, \'[{{"row": "BIGINT", "post": {{{fields}}}}}]\')) AS new) '
            f"WHERE {name}.rowid = new.row",
            [orjson.dumps(kept, option=orjson.OPT_UTC_Z).decode()],
        )
        database.execute(f"DELETE FROM {name} WHERE NOT plain")
    reading.posts = PostTable(name, len(positions) - len(odd) + len(kept))
    return reading
