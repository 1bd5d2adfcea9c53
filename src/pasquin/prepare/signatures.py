"""What near-duplicates are found by: the shingles of a text as numbers, and MinHash digests of them, by the batch.

A shingle is any 5 consecutive characters of the text as `texts.comparable` writes it (no case, no punctuation); a text
shorter than that is one shingle. Shingles are 64-bit hashes of their characters, so two different ones are taken for
the same once in 10^19. A digest holds, for each of a number of random orders of all shingles, the first shingle of
the text (Broder 1997): the share of places in which two digests agree estimates their Jaccard similarity.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SHINGLE: Final = 5
_MULTIPLIERS: Final = (
    0x9E3779B97F4A7C15,
    0xC2B2AE3D27D4EB4F,
    0x165667B19E3779F9,
    0x27D4EB2F165667C5,
    0x85EBCA77C2B2AE63,
)
_SEED: Final = 1
_BATCH: Final = 500
"""Texts whose shingles fit into a core's cache together."""


def shingles(keys: Sequence[str]) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """The shingles of all texts, one behind the other and with repetitions, and where each text's begin.

    `keys` are comparable texts. Returns uint64 (m,) and int64 (len(keys) + 1,), the last entry being m.
    """
    import numpy as np

    padded = [key.ljust(SHINGLE, "\0") for key in keys]
    lengths = np.fromiter(map(len, padded), np.int64, len(padded))
    joined = "".join(padded).encode("utf-32-le", "surrogatepass")
    characters = np.frombuffer(joined, np.uint32).astype(np.uint64)
    count = max(0, len(characters) - SHINGLE + 1)
    hashes = np.zeros(count, np.uint64)
    for place, multiplier in enumerate(_MULTIPLIERS):
        hashes += characters[place : place + count] * np.uint64(multiplier)
    # The finaliser of MurmurHash3 (Appleby): every bit of the sum reaches every bit of the hash.
    for shift, multiplier in ((33, 0xFF51AFD7ED558CCD), (33, 0xC4CEB9FE1A85EC53)):
        hashes ^= hashes >> np.uint64(shift)
        hashes *= np.uint64(multiplier)
    hashes ^= hashes >> np.uint64(33)
    inside = np.ones(count, bool)  # runs across the end of a text are none of its shingles
    ends = np.cumsum(lengths)
    for back in range(1, SHINGLE):
        inside[ends[:-1] - back] = False
    starts = np.zeros(len(padded) + 1, np.int64)
    np.cumsum(lengths - SHINGLE + 1, out=starts[1:])
    return hashes[inside], starts


def digests(keys: Sequence[str], orders: int) -> tuple[NDArray[np.uint16], NDArray[np.int32]]:
    """MinHash digests of comparable texts: uint16 (len(keys), orders), and the number of different shingles of each.

    Only 16 bits of each minimum are kept, so two that differ agree by chance once in 65,536.
    """
    import numpy as np

    draw = np.random.default_rng(_SEED)
    factors = draw.integers(0, 2**31, orders, np.uint32) * np.uint32(2) + np.uint32(1)
    found = np.empty((len(keys), orders), np.uint16)
    sizes = np.empty(len(keys), np.int32)
    for begin in range(0, len(keys), _BATCH):
        hashes, starts = shingles(keys[begin : begin + _BATCH])
        part = slice(begin, begin + len(starts) - 1)
        found[part] = _minima(hashes, starts[:-1], factors).T
        sizes[part] = np.diff(_distinct(hashes, starts)[1])
    return found, sizes


def sketches(found: NDArray[np.uint16]) -> NDArray[np.uint64]:
    """One bit of each place of digests (n, orders), in whole words: uint64 (n, orders // 64).

    Two sketches of texts of the Jaccard similarity s agree in (1 + s) / 2 of their bits (Li, Koenig: b-Bit Minwise
    Hashing, 2010).
    """
    import numpy as np

    used = found[:, : found.shape[1] // 64 * 64]
    return np.packbits((used & 1).astype(bool), axis=1).view(np.uint64)


def _minima(hashes: NDArray[Any], starts: NDArray[Any], factors: NDArray[Any]) -> NDArray[Any]:
    """For each order (factor * x, x being a good hash already) 16 bits of the least place of a shingle of each text."""
    import numpy as np

    places = (hashes >> np.uint64(32)).astype(np.uint32)
    least = np.empty((len(factors), len(starts)), np.uint32)
    room = np.empty_like(places)
    for number, factor in enumerate(factors):
        np.multiply(places, factor, out=room)
        np.minimum.reduceat(room, starts, out=least[number])
    # The minimum of a hundred is small: its middle bits tell more than its upper ones.
    return ((least * np.uint32(0x9E3779B1)) >> np.uint32(16)).astype(np.uint16)


def _distinct(hashes: NDArray[Any], starts: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """The shingles of each text in order and once each, as (text << 48 | 48 bits of it), and where a text's begin."""
    import numpy as np

    texts = np.repeat(np.arange(len(starts) - 1, dtype=np.uint64), np.diff(starts))
    marked = (texts << np.uint64(48)) | (hashes >> np.uint64(16))
    marked.sort()
    marked = marked[np.concatenate([[True], marked[1:] != marked[:-1]])] if len(marked) else marked
    counts = np.bincount((marked >> np.uint64(48)).astype(np.int64), minlength=len(starts) - 1)
    return marked, np.concatenate([[0], np.cumsum(counts)])


def similarities(keys: Sequence[str], ones: NDArray[Any], others: NDArray[Any]) -> NDArray[np.float64]:
    """The Jaccard similarity of the shingles of pairs of texts, at positions `ones` and `others` of `keys`."""
    import numpy as np

    result = np.empty(len(ones))
    for begin in range(0, len(ones), 4 * _BATCH):
        some = slice(begin, begin + 4 * _BATCH)
        used, places = np.unique(np.concatenate([ones[some], others[some]]), return_inverse=True)
        marked, starts = _distinct(*shingles([keys[position] for position in used]))
        left, right = np.split(places, 2)
        sizes = np.diff(starts)
        pairs = np.arange(len(left), dtype=np.uint64)
        rows = np.concatenate([_rows(marked, starts, side, pairs) for side in (left, right)])
        rows.sort()
        same = rows[1:][rows[1:] == rows[:-1]]
        shared = np.bincount((same >> np.uint64(48)).astype(np.int64), minlength=len(left))
        result[some] = shared / (sizes[left] + sizes[right] - shared)
    return result


def _rows(marked: NDArray[Any], starts: NDArray[Any], texts: NDArray[Any], pairs: NDArray[Any]) -> NDArray[Any]:
    """The shingles of `texts`, marked with the pair instead of the text."""
    import numpy as np

    lengths = np.diff(starts)[texts]
    offsets = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    chosen = marked[np.repeat(starts[texts], lengths) + offsets] & np.uint64(2**48 - 1)
    marked_anew: NDArray[Any] = chosen | (np.repeat(pairs, lengths) << np.uint64(48))
    return marked_anew
