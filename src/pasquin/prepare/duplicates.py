"""Exact and near duplicates among texts: MinHash finds suspects, every one is checked by the real Jaccard similarity.

Two texts are compared by the Jaccard similarity of their shingle sets (`signatures`). On short texts that is strict:
one changed letter takes five shingles along, so a text of ten letters has no near copies but itself.

Suspects agree in a whole band of their digests. Up to `MANY` texts there are 50 bands of 3 orders, and a pair of
similarity s is found with probability 1 - (1 - s^3)^50: 0.998 at 0.5, over 0.999999 at 0.8 (Leskovec, Rajaraman,
Ullman, Mining of Massive Datasets, 3.4.2). Chance agreements grow with the square of the number of texts, so beyond
there are 50 bands of 4, which have a twentieth of them: 0.96 at 0.5, 0.999 at 0.6, over 0.999999 at 0.8.

Of suspects the sketches are compared first, a bit of each place of a digest: three words side by side, so that the many
that agree by chance cost little. Of those left each text keeps the `_CLOSEST` earlier ones in every band, whose digests
are compared, and of what is still left the real similarity.

Texts are judged in order, and each against those kept before it, so every near-duplicate that is dropped is a near copy
of a text that stays. Where more than `MAX_SUSPECTS` texts agree in a band (templates by the thousand), each is first
compared with the first few of them, and of what is left then only with those nearest in length.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

from pasquin.arrays import distinct
from pasquin.prepare.signatures import digests, similarities, sketches
from pasquin.texts import comparable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

STRADDLE_THRESHOLD: Final = 0.5
"""Similarity from which two kept texts belong to the same cluster, and so to the same split."""
MAX_SUSPECTS: Final = 256
MANY: Final = 2_000_000
_LEADERS: Final = 4
"""Of more than `MAX_SUSPECTS` texts that agree, the first so many are what the others are compared with first."""
_DEVIATIONS: Final = 4.0
"""A suspect is not checked when its estimated similarity is so many standard deviations too low (1 in 30,000)."""
_NEAREST: Final = 32
"""And of what is left then, each with so many that are nearest to it in length."""
_CLOSEST: Final = 8
"""In one band a text is compared with so many earlier ones at most: where thousands of texts are all a little alike
there are millions of pairs, and the closest few of each text find its copies and hold the cluster together."""
_HELD: Final = 2**20
"""Pairs of a band that are kept waiting before only the closest stay."""
_PAIRS: Final = 2**15
"""Pairs that are looked at together; what is known of them fits into a core's cache."""


@dataclass(frozen=True)
class Banding:
    """How digests are cut into bands: two texts that agree in a whole one are suspects."""

    bands: int
    rows: int

    @property
    def orders(self) -> int:
        """Places of a digest: those of the bands, and some to make up whole words of eight bytes."""
        return -(-self.bands * self.rows // 8) * 8


def banding(texts: int) -> Banding:
    """The bands for so many texts."""
    return Banding(50, 3) if texts <= MANY else Banding(50, 4)


def band_keys(found: NDArray[np.uint16], bands: Banding) -> NDArray[np.uint32]:
    """What the bands of digests (n, orders) are compared by: uint32 (bands, n), different ones alike once in 2^32."""
    import numpy as np

    used = np.ascontiguousarray(found[:, : bands.bands * bands.rows].T)
    result = np.empty((bands.bands, len(found)), np.uint32)
    for band, rows in enumerate(used.reshape(bands.bands, bands.rows, len(found))):
        keys = np.zeros(len(found), np.uint64)  # those of one band fit into a core's cache
        for row in rows:
            keys += row
            keys += np.uint64(1)
            keys *= np.uint64(0x9E3779B97F4A7C15)
            keys ^= keys >> np.uint64(29)
        result[band] = keys >> np.uint64(16)
    return result


@dataclass(frozen=True)
class Agreeing:
    """The texts that agree with others in one band, group by group: `places` are their numbers, in each group in order;
    group i begins at `begins[i]` and has `lengths[i]`, at least two.
    """

    places: NDArray[np.int64]
    begins: NDArray[np.int64]
    lengths: NDArray[np.int64]
    crowded: NDArray[np.uint32]
    """The keys that more than `MAX_SUSPECTS` texts have."""


def agreeing(keys: NDArray[np.uint32]) -> Agreeing:
    """Group texts by their `keys` (n,) of a band."""
    import numpy as np

    marked = (keys.astype(np.uint64) << np.uint64(32)) | np.arange(len(keys), dtype=np.uint64)
    marked.sort()
    agreed = (marked >> np.uint64(32)).astype(np.uint32)
    same = np.zeros(len(keys) + 1, bool)  # whether a text agrees with the one before it
    np.equal(agreed[1:], agreed[:-1], out=same[1:-1])
    begins = np.flatnonzero(same[1:] & ~same[:-1])
    lengths = np.flatnonzero(same[:-1] & ~same[1:]) + 1 - begins
    places = (marked[same[1:] | same[:-1]] & np.uint64(2**32 - 1)).astype(np.int64)
    crowded = agreed[begins[lengths > MAX_SUSPECTS]]
    return Agreeing(places, np.cumsum(lengths) - lengths, lengths, crowded)


def suspects(
    band: Agreeing, sizes: NDArray[Any], sketches: NDArray[np.uint64], least: float, *, leaders: bool
) -> NDArray[np.int64]:
    """Pairs (m, 2) of texts that agree in a band and whose `sizes` (n,) and `sketches` (n, words) allow the similarity
    `least`; of each text only those with the `_CLOSEST` earlier ones.

    Where more than `MAX_SUSPECTS` agree, they are looked for among the first `_LEADERS` of them (`leaders`), or the
    `_NEAREST` in size (not `leaders`).
    """
    import numpy as np

    pairs, distances, held = [np.empty((0, 2), np.int64)], [np.empty(0, np.uint16)], 0
    for some, away in _looked_at(band, sizes, sketches, least, leaders=leaders):
        pairs.append(some)
        distances.append(away)
        held += len(some)
        if held > _HELD:
            few, away = _closest(np.concatenate(pairs), np.concatenate(distances))
            pairs, distances, held = [few], [away], 0
    return _closest(np.concatenate(pairs), np.concatenate(distances))[0]


def _closest(pairs: NDArray[Any], distances: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[Any]]:
    """For each later text of `pairs` the `_CLOSEST` earlier ones."""
    import numpy as np

    order = np.argsort((pairs[:, 1] << 16) | distances, kind="stable")
    later = pairs[order, 1]
    begins = np.flatnonzero(np.append(True, later[1:] != later[:-1])) if len(later) else later
    rank = np.arange(len(later)) - np.repeat(begins, np.diff(np.append(begins, len(later))))
    few = order[rank < _CLOSEST]
    return pairs[few], distances[few]


def _looked_at(
    band: Agreeing, sizes: NDArray[Any], sketches: NDArray[np.uint64], least: float, *, leaders: bool
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.uint16]]]:
    """Possible pairs of a band and their distances, in pieces, the same ones in the same order every time."""
    import numpy as np

    places, last = band.places, np.repeat(band.begins + band.lengths, band.lengths)
    large = band.lengths > MAX_SUSPECTS
    inside = np.repeat(large, band.lengths)
    if not leaders:
        group = np.repeat(np.arange(len(large)), band.lengths)
        places = places[np.lexsort((places, np.where(inside, sizes[places], 0), group))]
    looks = _Looks(places, sizes[places], sketches[places], least)
    if leaders:
        members = np.flatnonzero(inside)
        for number in range(_LEADERS):
            yield from looks.possible(np.repeat(band.begins[large] + number, band.lengths[large]), members)
    active = np.flatnonzero(~inside if leaders else np.ones(len(places), bool))
    for step in range(1, MAX_SUSPECTS):
        active = active[(active + step < last[active]) & (~inside[active] | (step <= _NEAREST))]
        if not len(active):
            break
        yield from looks.possible(active, active + step)


@dataclass(frozen=True)
class _Looks:
    """What is known of texts at a glance, in the order in which pairs are formed of them."""

    places: NDArray[np.int64]
    sizes: NDArray[Any]
    sketches: NDArray[np.uint64]
    least: float

    def possible(
        self, ones: NDArray[Any], others: NDArray[Any]
    ) -> Iterator[tuple[NDArray[np.int64], NDArray[np.uint16]]]:
        """Pairs that may be similar enough, and in how many bits they differ: sets of sizes a < b have a Jaccard of at
        most a / b, and sketches of a similarity s differ in (1 - s) / 2 of their bits, more or less.
        """
        import numpy as np

        bits, differing = 64 * self.sketches.shape[1], (1 - self.least) / 2
        most = bits * differing + _DEVIATIONS * math.sqrt(bits * differing * (1 - differing))
        for begin in range(0, len(ones), _PAIRS):
            one, other = ones[begin : begin + _PAIRS], others[begin : begin + _PAIRS]
            a, b = self.sizes[one], self.sizes[other]
            good = (np.minimum(a, b) >= self.least * np.maximum(a, b)) & (one != other)
            one, other = one[good], other[good]
            distances = np.bitwise_count(self.sketches[one] ^ self.sketches[other]).sum(1, dtype=np.uint16)
            good = distances <= most
            if good.any():
                one, other = self.places[one[good]], self.places[other[good]]
                yield np.stack([np.minimum(one, other), np.maximum(one, other)], 1), distances[good]


class Digests(Protocol):
    """Digests of texts, in memory or not: uint16 (texts, orders)."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Texts and orders."""

    def __getitem__(self, rows: NDArray[Any], /) -> NDArray[np.uint16]:
        """The digests of some texts."""


def promising(pairs: NDArray[Any], found: Digests, least: float) -> NDArray[Any]:
    """Those pairs of which the digests do not say clearly that they are less similar than `least`."""
    orders = found.shape[1]
    import numpy as np

    bound = least - _DEVIATIONS * math.sqrt(least * (1 - least) / orders)
    likely = [np.empty((0, 2), np.int64)]
    for begin in range(0, len(pairs), _PAIRS):
        some = pairs[begin : begin + _PAIRS]
        same = found[some[:, 0]] == found[some[:, 1]]
        agree = np.bitwise_count(same.view(np.uint64)).sum(1, dtype=np.uint16)  # eight places at a time
        likely.append(some[agree >= bound * orders])
    return np.concatenate(likely)


def unique_pairs(pairs: Sequence[NDArray[Any]]) -> NDArray[np.int64]:
    """All pairs once, in the order of the later and then the earlier text."""
    import numpy as np

    if not pairs:
        return np.empty((0, 2), np.int64)
    every = np.concatenate(pairs)
    marks = distinct((every[:, 1] << 32) | every[:, 0])
    return np.stack([marks & (2**32 - 1), marks >> 32], 1)


def exact_duplicates(marks: NDArray[Any]) -> NDArray[np.int64]:
    """For each text the first that is compared alike, itself mostly. `marks` uint64 (n, 2) are 128 bits of a hash."""
    import numpy as np

    first = np.arange(len(marks))
    likely = np.argsort(marks[:, 0])
    ordered = marks[likely, 0]
    same = np.zeros(len(marks) + 1, bool)
    np.equal(ordered[1:], ordered[:-1], out=same[1:-1])
    likely = likely[same[1:] | same[:-1]]  # few, and only they have to be in order
    likely = likely[np.lexsort((likely, marks[likely, 1], marks[likely, 0]))]
    new = np.ones(len(likely), bool)
    new[1:] = (marks[likely[1:]] != marks[likely[:-1]]).any(1)
    first[likely] = np.repeat(likely[new], np.diff(np.append(np.flatnonzero(new), len(likely))))
    return first


@dataclass(frozen=True)
class Duplicates:
    """For each text: the reason to drop it (`duplicate`, `near_duplicate`, None), and the cluster it belongs to.

    A cluster is named by its first text's position. Dropped texts are in the cluster of the text they copy.
    """

    reasons: list[str | None]
    clusters: list[int]


class Judge:
    """Decides which texts are near copies of earlier ones, and keeps the clusters; pairs may come in several rounds."""

    def __init__(self, texts: int, near_threshold: float) -> None:
        """All `texts` stay and are alone at first."""
        import numpy as np

        self.near = np.zeros(texts, bool)
        self._threshold = near_threshold
        self._pairs = np.empty((0, 2), np.int64)
        self._similarities = np.empty(0)

    def add(self, pairs: NDArray[Any], alike: NDArray[Any]) -> None:
        """Judge again, with more pairs of the similarities `alike`, `least_similarity` or more."""
        import numpy as np

        both = np.concatenate([self._pairs, pairs])
        marks, places = np.unique((both[:, 1] << 32) | both[:, 0], return_index=True)
        self._pairs, self._similarities = both[places], np.concatenate([self._similarities, alike])[places]
        self.near[:] = False
        near = self.near
        ends: list[int] = []
        if len(marks):
            ends = (np.flatnonzero(np.append(np.diff(marks >> 32) != 0, True)) + 1).tolist()
        earlier, alike_all, later = self._pairs[:, 0].tolist(), self._similarities.tolist(), self._pairs[:, 1]
        begin = 0
        for end in ends:
            kept = [number for number in range(begin, end) if not near[earlier[number]]]
            best = max(kept, key=lambda number: (alike_all[number], -earlier[number]), default=None)
            if best is not None and alike_all[best] >= self._threshold:
                near[later[begin]] = True
            begin = end

    def clusters(self, first: NDArray[Any]) -> NDArray[np.int64]:
        """The cluster of each text, with exact copies joined to their `first`."""
        import numpy as np

        groups = _Groups()
        near = self.near
        originals: dict[int, tuple[float, int]] = {}
        for (earlier, later), alike in zip(self._pairs.tolist(), self._similarities.tolist(), strict=True):
            if near[earlier]:
                continue
            if near[later]:
                originals[later] = max(originals.get(later, (-1.0, 0)), (alike, -earlier))
            else:
                groups.join(earlier, later)
        for later, (_, earlier) in originals.items():
            groups.join(-earlier, later)
        result = np.array(first)
        involved = groups.members()
        if involved:
            names = np.arange(len(result))
            names[involved] = [groups.first(member) for member in involved]
            result = names[result]
        return result


def least_similarity(near_threshold: float) -> float:
    """The similarity from which a pair of texts matters at all."""
    return min(STRADDLE_THRESHOLD, near_threshold)


def find_duplicates(
    texts: Sequence[str], near_threshold: float, advance: Callable[[int], None] = lambda _: None
) -> Duplicates:
    """Duplicates and clusters among `texts` in memory, of which the first of each kind stays.

    `near_threshold` is the Jaccard similarity from which a text is a near-duplicate; `advance` is told how many more
    texts are done.
    """
    import numpy as np

    keys = [comparable(text) for text in texts]
    firsts: dict[str, int] = {}
    first = np.array([firsts.setdefault(key, position) for position, key in enumerate(keys)], np.int64)
    alone = np.array(list(firsts.values()), np.int64)
    bands = banding(len(alone))
    found, sizes = digests([keys[position] for position in alone], bands.orders)
    every_key, sketched, least = band_keys(found, bands), sketches(found), least_similarity(near_threshold)
    judge = Judge(len(texts), near_threshold)
    wanted = list(every_key)  # then of each band the keys that are worth a second look
    for leaders in (True, False):
        some = []
        for number, band in enumerate(every_key):
            looked_at = np.flatnonzero(~judge.near[alone] & np.isin(band, wanted[number]))
            groups = agreeing(band[looked_at])
            wanted[number] = groups.crowded
            pairs = suspects(groups, sizes[looked_at], sketched[looked_at], least, leaders=leaders)
            some.append(promising(looked_at[pairs], found, least))
        every_pair = alone[unique_pairs(some)]
        alike = similarities(keys, every_pair[:, 0], every_pair[:, 1])
        judge.add(every_pair[alike >= least], alike[alike >= least])
    advance(len(texts))
    reasons = ["duplicate" if first[i] != i else "near_duplicate" if judge.near[i] else None for i in range(len(texts))]
    return Duplicates(reasons, judge.clusters(first).tolist())


def shingle_set(key: str) -> frozenset[str]:
    """All runs of 5 characters in a comparable text; the text itself when it is shorter."""
    from pasquin.prepare.signatures import SHINGLE

    return frozenset(key[i : i + SHINGLE] for i in range(max(1, len(key) - SHINGLE + 1)))


def jaccard(one: frozenset[str], other: frozenset[str]) -> float:
    """Size of the intersection over size of the union, between 0 and 1."""
    shared = len(one & other)
    return shared / (len(one) + len(other) - shared)


class _Groups:
    """Union-find over the few texts that have company; a group is named by its smallest member."""

    def __init__(self) -> None:
        self._parent: dict[int, int] = {}

    def members(self) -> list[int]:
        return list(self._parent)

    def first(self, member: int) -> int:
        parent = self._parent
        parent.setdefault(member, member)
        while parent[member] != member:
            parent[member] = parent[parent[member]]
            member = parent[member]
        return member

    def join(self, one: int, other: int) -> None:
        a, b = self.first(one), self.first(other)
        self._parent[max(a, b)] = min(a, b)
