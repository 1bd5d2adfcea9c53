"""Exact and near duplicates among texts: MinHash over character shingles, every suspicion checked by the real Jaccard.

A shingle is any 5 consecutive characters of the text as `texts.comparable` writes it (no case, no punctuation); a text
shorter than that is one shingle. Two texts are compared by the Jaccard similarity of their shingle sets. On short
texts that is strict: one changed letter takes five shingles along, so a text of ten letters has no near copies but
itself.

Suspects come from MinHash with 42 bands of 3 (rensa): a pair of similarity s is found with probability
1 - (1 - s^3)^42, which is 0.996 at 0.5 and over 0.999999 at 0.8 (Leskovec, Rajaraman, Ullman, Mining of Massive
Datasets, 3.4.2). Texts are taken in order, and each is compared with those kept before it, so every near-duplicate
that is dropped is a near copy of a text that stays. Where a text has more than `MAX_SUSPECTS` (templates by the
thousand), only the ones nearest in length are checked.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from pasquin.texts import comparable

SHINGLE: Final = 5
STRADDLE_THRESHOLD: Final = 0.5
"""Similarity from which two kept texts belong to the same cluster, and so to the same split."""
MAX_SUSPECTS: Final = 256

_BANDS: Final = 42
_ROWS: Final = 3
_SEED: Final = 1
_BATCH: Final = 1_000


@dataclass(frozen=True)
class Duplicates:
    """For each text: the reason to drop it (`duplicate`, `near_duplicate`, None), and the cluster it belongs to.

    A cluster is named by its first text's position. Dropped texts are in the cluster of the text they copy.
    """

    reasons: list[str | None]
    clusters: list[int]


def find_duplicates(
    texts: Sequence[str], near_threshold: float, advance: Callable[[int], None] = lambda _: None
) -> Duplicates:
    """Duplicates and clusters among `texts`, of which the first of each kind stays.

    `near_threshold` is the Jaccard similarity from which a text is a near-duplicate; `advance` is told how many more
    texts are done.
    """
    from rensa import RMinHash, RMinHashLSH

    keys = [comparable(text) for text in texts]
    reasons: list[str | None] = [None] * len(texts)
    groups = _Groups(len(texts))
    first = _mark_exact(keys, reasons, groups)
    advance(len(texts) - len(first))
    lsh = RMinHashLSH(threshold=STRADDLE_THRESHOLD, num_perm=_BANDS * _ROWS, num_bands=_BANDS)
    shingles = lru_cache(maxsize=4 * _BATCH)(lambda position: shingle_set(keys[position]))
    sizes = [0] * len(texts)
    straddle = min(STRADDLE_THRESHOLD, near_threshold)
    for begin in range(0, len(first), _BATCH):
        batch = first[begin : begin + _BATCH]
        hashes = RMinHash.from_token_sets([list(shingles(position)) for position in batch], _BANDS * _ROWS, _SEED)
        for position in batch:
            sizes[position] = len(shingles(position))
        for position, minhash in zip(batch, hashes, strict=True):
            similar = _similar(position, lsh.query(minhash), sizes, shingles, straddle)
            original = max(similar, key=lambda other: (similar[other], -other), default=None)
            if original is not None and similar[original] >= near_threshold:
                reasons[position] = "near_duplicate"
                groups.join(original, position)
                continue
            for other in similar:
                groups.join(other, position)
            lsh.insert(position, minhash)
        advance(len(batch))
    return Duplicates(reasons, [groups.first(position) for position in range(len(texts))])


def shingle_set(key: str) -> frozenset[str]:
    """All runs of `SHINGLE` characters in a comparable text; the text itself when it is shorter."""
    return frozenset(key[i : i + SHINGLE] for i in range(max(1, len(key) - SHINGLE + 1)))


def jaccard(one: frozenset[str], other: frozenset[str]) -> float:
    """Size of the intersection over size of the union, between 0 and 1."""
    shared = len(one & other)
    return shared / (len(one) + len(other) - shared)


def _mark_exact(keys: list[str], reasons: list[str | None], groups: _Groups) -> list[int]:
    """Mark repeated keys as duplicates of the first; the positions of the others are returned."""
    first: dict[str, int] = {}
    for position, key in enumerate(keys):
        original = first.setdefault(key, position)
        if original != position:
            reasons[position] = "duplicate"
            groups.join(original, position)
    return list(first.values())


def _similar(
    position: int,
    suspects: list[int],
    sizes: list[int],
    shingles: Callable[[int], frozenset[str]],
    threshold: float,
) -> dict[int, float]:
    """The suspects that really are `threshold` or more similar to the text at `position`, with their similarity."""
    size = sizes[position]
    # Sets of sizes a < b have a Jaccard of at most a / b.
    suspects = [other for other in suspects if threshold * size <= sizes[other] <= size / threshold]
    if len(suspects) > MAX_SUSPECTS:
        suspects = sorted(suspects, key=lambda other: (abs(sizes[other] - size), other))[:MAX_SUSPECTS]
    found = {other: jaccard(shingles(position), shingles(other)) for other in sorted(suspects)}
    return {other: similarity for other, similarity in found.items() if similarity >= threshold}


class _Groups:
    """Union-find; a group is named by its smallest member."""

    def __init__(self, size: int) -> None:
        self._parent = list(range(size))

    def first(self, member: int) -> int:
        while self._parent[member] != member:
            self._parent[member] = self._parent[self._parent[member]]
            member = self._parent[member]
        return member

    def join(self, one: int, other: int) -> None:
        a, b = self.first(one), self.first(other)
        self._parent[max(a, b)] = min(a, b)
