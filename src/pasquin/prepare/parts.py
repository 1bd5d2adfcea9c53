"""The two steps that many workers do at once, each on a part of the posts: cleaning, and finding near-duplicates.

A step reads what earlier ones left in the working folder and leaves files there that appear whole, so that it can be
done again, by another worker or in another run. What it returns is small.

    kept-00007.npz       reason of each post of the part; of the kept ones a hash, a draw, and how many shingles
    texts-00007.parquet  position and text of the kept ones
    digests-00007.npy    their MinHash digests: uint16 (n, orders)
    bands-00007.npy      what the bands of those are compared by: uint32 (bands, n)
    sketches-00007.npy   a bit of each place of the digests: uint64 (n, orders // 64)
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pasquin.config import PrepareSettings
from pasquin.prepare.clean import REASONS, clean
from pasquin.prepare.duplicates import Banding, agreeing, band_keys, promising, suspects, unique_pairs
from pasquin.prepare.inputs import ORDERED, database
from pasquin.prepare.signatures import digests, similarities, sketches
from pasquin.prepare.splits import draw
from pasquin.texts import comparable
from pasquin.workspace.files import replacing
from pasquin.workspace.shards import glob_literal, sql_text

if TYPE_CHECKING:
    import numpy as np
    from duckdb import DuckDBPyConnection
    from numpy.typing import NDArray

CODES: Final = {reason: number for number, reason in enumerate(REASONS, 1)}
"""How reasons are written in arrays; 0 is none."""
PART: Final = 20_480
"""Posts of a part."""


@dataclass(frozen=True)
class CleanJob:
    """Clean the posts from position `begin` to `end` of the ordered ones, of which only `usable` rights are."""

    folder: Path
    parts: Path
    number: int
    begin: int
    end: int
    usable: frozenset[str]
    settings: PrepareSettings
    bands: Banding
    memory_mb: int


@dataclass(frozen=True)
class Part:
    """What is known of a cleaned part: reasons (codes) of its posts; `marks` (n, 2), `draws`, `sizes` of the kept ones.

    A mark is 128 bits of a hash of what a text is compared by.
    """

    reasons: NDArray[np.uint8]
    marks: NDArray[np.uint64]
    draws: NDArray[np.uint64]
    sizes: NDArray[np.int32]


def cleaned(job: CleanJob) -> Part:
    """Clean a part, unless that is done already."""
    import numpy as np

    path = _path(job.parts, "kept", job.number)
    if not path.exists():
        _clean(job)
    with np.load(path) as arrays:
        return Part(**{name: arrays[name] for name in ("reasons", "marks", "draws", "sizes")})


def _clean(job: CleanJob) -> None:
    import numpy as np

    reasons = np.zeros(job.end - job.begin, np.uint8)
    positions, texts, keys, draws = [], [], [], []
    ordered = job.folder / ORDERED
    with _database(job.folder, job.memory_mb, ordered.stat().st_mtime_ns).cursor() as connection:
        rows = connection.execute(
            f"SELECT uri, text, rights, is_repost, is_reply FROM read_parquet({sql_text(str(ordered))}, "
            "file_row_number = true) WHERE file_row_number BETWEEN ? AND ? ORDER BY file_row_number",
            [job.begin, job.end - 1],
        ).fetchall()
        for offset, (uri, raw, rights, is_repost, is_reply) in enumerate(rows):
            if rights not in job.usable:
                reasons[offset] = CODES["no_right"]
                continue
            text, reason = clean(raw, job.settings, is_repost=is_repost, is_reply=is_reply)
            if reason is not None:
                reasons[offset] = CODES[reason]
                continue
            positions.append(job.begin + offset)
            texts.append(text)
            keys.append(comparable(text))
            draws.append(draw(job.settings.seed, uri))
        found, sizes = digests(keys, job.bands.orders)
        marks = b"".join(hashlib.blake2b(key.encode("utf-8", "replace"), digest_size=16).digest() for key in keys)
        _save(_path(job.parts, "digests", job.number), found)
        _save(_path(job.parts, "bands", job.number), band_keys(found, job.bands))
        _save(_path(job.parts, "sketches", job.number), sketches(found))
        columns = {"position": np.array(positions, np.int64), "text": np.array(texts, object)}
        connection.register("kept", columns)
        with replacing(_path(job.parts, "texts", job.number)) as temporary:
            select = "SELECT position::BIGINT AS position, text::VARCHAR AS text FROM kept"
            connection.execute(f"COPY ({select}) TO {sql_text(str(temporary))} (FORMAT parquet, COMPRESSION snappy)")
    with replacing(_path(job.parts, "kept", job.number)) as temporary, temporary.open("wb") as handle:
        np.savez(
            handle,
            reasons=reasons,
            marks=np.frombuffer(marks, np.uint64).reshape(-1, 2),
            draws=np.array(draws, np.uint64),
            sizes=sizes,
        )


@lru_cache(maxsize=1)
def _database(folder: Path, memory_mb: int, _: int) -> DuckDBPyConnection:
    """One for all parts that a worker cleans: opening it, and reading where the rows of a large file are, take longer
    than reading those of a part.

    The last argument is when the file was written, so that what is remembered of another in its place is not taken.
    """
    connection = database(folder, memory_mb, 1)
    connection.execute("SET parquet_metadata_cache = true")
    return connection


def _save(path: Path, array: NDArray[Any]) -> None:
    import numpy as np

    with replacing(path) as temporary, temporary.open("wb") as handle:
        np.save(handle, array)


def _path(folder: Path, kind: str, number: int) -> Path:
    suffix = {"kept": "npz", "texts": "parquet"}.get(kind, "npy")
    return folder / f"{kind}-{number:05d}.{suffix}"


@dataclass(frozen=True)
class BandJob:
    """Find the suspects in one `band` among the texts whose rows (over all parts) are in the file `rows`, and of these
    among those whose keys are in one slice of `slices`: all that agree are in the same.
    """

    parts: Path
    number_of_parts: int
    rows: Path
    known: Path
    least: float
    leaders: bool
    band: int
    slice: int
    slices: int
    only: NDArray[np.uint32] | None = None
    """Keys of the band that are worth a second look; all when None."""


def put_together(parts: Path, number_of_parts: int, sizes: NDArray[np.int32], known: Path) -> None:
    """Leave sizes and sketches of all texts in the folder `known`, where the workers look at them."""
    import numpy as np

    known.mkdir(exist_ok=True)
    _save(known / "sizes.npy", sizes)
    pieces = [_mapped(_path(parts, "sketches", number)) for number in range(number_of_parts)]
    with replacing(known / "sketches.npy") as temporary, temporary.open("wb") as handle:
        np.lib.format.write_array_header_1_0(
            handle, {"descr": "<u8", "fortran_order": False, "shape": (len(sizes), pieces[0].shape[1])}
        )
        for piece in pieces:
            handle.write(np.ascontiguousarray(piece).data)


def band_pairs(job: BandJob) -> tuple[NDArray[np.int64], NDArray[np.uint32]]:
    """Promising pairs of rows (n, 2), and the keys that more texts have than can all be compared."""
    import numpy as np

    written = job.rows.stat().st_mtime_ns
    rows, keys = _keys(job.parts, job.number_of_parts, job.rows, written, job.band)
    if job.slices > 1:
        width = -(-(2**32) // job.slices)
        chosen = keys - np.uint32(job.slice * width) < width  # smaller ones become large ones
        rows, keys = rows[chosen], keys[chosen]
    if job.only is not None:
        chosen = np.isin(keys, job.only)
        rows, keys = rows[chosen], keys[chosen]
    groups = agreeing(keys)
    groups = replace(groups, places=rows[groups.places].astype(np.int64))
    sizes, sketched = _mapped(job.known / "sizes.npy"), _mapped(job.known / "sketches.npy")
    pairs = suspects(groups, sizes, sketched, job.least, leaders=job.leaders)
    _, found = _opened(job.parts, job.number_of_parts, written)
    return unique_pairs([promising(pairs, found, job.least)]), groups.crowded


@lru_cache(maxsize=1)
def _keys(parts: Path, number: int, rows: Path, written: int, band: int) -> tuple[NDArray[Any], NDArray[np.uint32]]:
    """The rows and their keys in a band, which the slices of a band share."""
    import numpy as np

    chosen = _mapped(rows)
    bands, _ = _opened(parts, number, written)
    return chosen, np.concatenate([part[band] for part in bands])[chosen]


@lru_cache(maxsize=1)
def _opened(parts: Path, number: int, _: int) -> tuple[list[NDArray[np.uint32]], _Digests]:
    """Bands and digests of all parts: opening a thousand files takes as long as a job does, and a worker has hundreds.

    The last argument is when the rows were written, so that what another run left in the same place is not taken.
    """
    return [_mapped(_path(parts, "bands", part)) for part in range(number)], _Digests(parts, number)


def _mapped(path: Path) -> NDArray[Any]:
    """A saved array, read where it is looked at (and not `memmap`, whose indexing costs more than the reading)."""
    import numpy as np

    return np.asarray(np.load(path, mmap_mode="r"))


class _Digests:
    """The digests of all parts, by row."""

    def __init__(self, folder: Path, parts: int) -> None:
        import numpy as np

        self._parts = [_mapped(_path(folder, "digests", number)) for number in range(parts)]
        self._starts = np.concatenate([[0], np.cumsum([len(part) for part in self._parts])])
        self.shape = (int(self._starts[-1]), self._parts[0].shape[1])

    def __getitem__(self, rows: NDArray[Any]) -> NDArray[np.uint16]:
        import numpy as np

        result = np.empty((len(rows), self.shape[1]), np.uint16)
        order = np.argsort(rows)
        bounds = np.searchsorted(rows[order], self._starts)
        for number in np.flatnonzero(np.diff(bounds)).tolist():
            chosen = order[bounds[number] : bounds[number + 1]]
            result[chosen] = self._parts[number][rows[chosen] - self._starts[number]]
        return result


@dataclass(frozen=True)
class CheckJob:
    """Compare the texts at pairs of positions (n, 2)."""

    folder: Path
    parts: Path
    pairs: NDArray[np.int64]
    memory_mb: int


def checked(job: CheckJob) -> NDArray[np.float64]:
    """The Jaccard similarity of each pair."""
    import numpy as np

    wanted, places = np.unique(job.pairs, return_inverse=True)
    places = places.reshape(job.pairs.shape)
    texts = texts_at(job.folder, job.parts, wanted, job.memory_mb)
    return similarities([comparable(text) for text in texts], places[:, 0], places[:, 1])


def texts_at(folder: Path, parts: Path, positions: NDArray[Any], memory_mb: int) -> Sequence[str]:
    """The cleaned texts at sorted `positions`."""
    with database(folder, memory_mb, 1) as connection:
        connection.register("wanted", {"position": positions})
        found = connection.execute(
            f"SELECT text FROM read_parquet({texts_pattern(parts)}) SEMI JOIN wanted USING (position) ORDER BY position"
        ).fetchall()
    return [text for (text,) in found]


def texts_pattern(parts: Path) -> str:
    """SQL text of a pattern for the files with the texts."""
    return sql_text(f"{glob_literal(parts)}/texts-*.parquet")
