"""How far a text is from every collected post: the nearest post, how alike they are, and the longest run they share.

Texts are compared as `texts.comparable` writes them, without case, punctuation and links, so lengths and runs count
those characters. A text is

- `verbatim` when it equals a post, stands whole in one, or contains one whole that makes up half of it or more
  (the part in common has at least `SUBSTANTIAL` characters);
- `near` when it is a post with edits, or a piece of one: `similarity` is at least `near_similarity` of `Thresholds`
  (`near_window` against a window of a longer post, `near_short` for a text of fewer than `SUBSTANTIAL` characters); or
  when it shares one run with a post that has `long_run` characters, or `SUBSTANTIAL` characters and covers `run_share`
  of it;
- `novel` otherwise: common phrases are everybody's.

`similarity` is 1 - the normalised Indel distance (rapidfuzz `ratio`: twice the longest common subsequence's length,
divided by both lengths) between the text and the nearest post, or the best-matching window of that post when the text
is shorter and shares a quarter of its n-grams with it. Posts are found through an inverted index of character n-grams;
the `SHORTLIST` posts that share most of the rarer n-grams are compared in full. Not covered: paraphrase, translation.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pasquin.arrays import distinct
from pasquin.records import Novelty, NoveltyCertificate
from pasquin.texts import comparable, normalise, remove_links

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SUBSTANTIAL: Final = 30
SHORTLIST: Final = 8
LONGEST_POST: Final = 20_000
"""Of a longer post only so many characters are indexed."""

_RANK: Final[tuple[Novelty, ...]] = ("novel", "near", "verbatim")
_BETWEEN: Final = "\0"  # stands in no comparable text
_N: Final = 6
_BUCKETS: Final = 1 << 22
_MULTIPLIER: Final = 0x9E3779B1
_WINDOW_SHARE: Final = 0.25
_MOST_HITS: Final = 20_000


@dataclass(frozen=True, slots=True)
class Thresholds:
    """From where on a text is `near` a post: similarities from 0 to 1, runs in comparable characters."""

    near_similarity: float = 0.8
    """With a whole post."""
    near_window: float = 0.85
    """With the best window of a longer post."""
    near_short: float = 0.9
    """With a whole post, for a text of fewer than `SUBSTANTIAL` characters."""
    long_run: int = 60
    """A shared run of this length, whatever else the text says."""
    run_share: float = 0.6
    """A shared run of `SUBSTANTIAL` characters that is this share of the text."""


USUAL: Final = Thresholds()


class NoveltyIndex:
    """An index of posts, built once; `certificate` may be called from several threads."""

    def __init__(self, posts: Iterable[tuple[str, str]], thresholds: Thresholds = USUAL) -> None:
        """Index `(uri, text)` pairs; of posts that compare equal the first one stands for all."""
        import numpy as np
        from rapidfuzz import fuzz

        self.thresholds = thresholds
        self._ratio, self._window_ratio = fuzz.ratio, fuzz.partial_ratio
        self._by_text: dict[str, int] = {}
        self._uris: list[str] = []
        for uri, text in posts:
            key = comparable(remove_links(normalise(text[:LONGEST_POST])))
            if key and key not in self._by_text:
                self._by_text[key] = len(self._uris)
                self._uris.append(uri)
        self._texts = list(self._by_text)
        self._lengths = np.array([len(text) for text in self._texts], dtype=np.int64)
        self._build()

    def __len__(self) -> int:
        """Number of different texts in the index."""
        return len(self._texts)

    def _build(self) -> None:
        """Postings: for every hashed n-gram the posts it stands in, as one array cut at `_starts`."""
        import numpy as np

        grams = _grams("".join(self._texts))
        owner = np.repeat(np.arange(len(self._texts), dtype=np.uint64), self._lengths)[: len(grams)]
        # An n-gram that begins in the last n-1 characters of a text runs into the next one: it is none.
        inside = np.ones(len(grams), dtype=bool)
        ends = np.cumsum(self._lengths)
        for back in range(1, _N):
            begin = ends - back
            inside[begin[(begin >= 0) & (begin < len(grams))]] = False
        pairs = grams[inside].astype(np.uint64)
        pairs <<= np.uint64(32)
        pairs |= owner[inside]
        pairs.sort()
        if len(pairs):
            pairs = pairs[np.concatenate(([True], pairs[1:] != pairs[:-1]))]  # once a post
        buckets = (pairs >> np.uint64(32)).view(np.int64)
        self._postings = pairs.astype(np.uint32).view(np.int32)  # the lower half
        self._starts = np.zeros(_BUCKETS + 1, dtype=np.int32)
        np.cumsum(np.bincount(buckets, minlength=_BUCKETS), out=self._starts[1:])

    def certificate(self, text: str) -> NoveltyCertificate:
        """How far `text` is from every post of the index."""
        key = comparable(remove_links(normalise(text)))
        same = self._by_text.get(key)
        if same is not None:
            return NoveltyCertificate(
                kind="verbatim", nearest_uri=self._uris[same], similarity=1.0, longest_run=len(key)
            )
        shortlist = self._shortlist(key)
        if not shortlist:
            return NoveltyCertificate(kind="novel", nearest_uri=None, similarity=0.0, longest_run=0)
        return self._compare(key, shortlist)

    def _compare(self, key: str, shortlist: list[tuple[int, float]]) -> NoveltyCertificate:
        limits = self.thresholds
        run = longest_shared_run(key, _BETWEEN.join(self._texts[post] for post, _ in shortlist))
        kind: Novelty = "novel"
        nearest, similarity = shortlist[0][0], -1.0
        for post, share in shortlist:
            alike, found = self._alike(key, self._texts[post], share, similarity)
            kind = max(kind, found, key=_RANK.index)
            if alike > similarity:
                nearest, similarity = post, alike
        if kind == "novel" and (
            len(run) >= limits.long_run or len(run) >= max(SUBSTANTIAL, limits.run_share * len(key))
        ):
            kind = "near"
            nearest = next(post for post, _ in shortlist if run in self._texts[post])
            similarity = self._alike(key, self._texts[nearest], 1.0, 0.0)[0]
        return NoveltyCertificate(
            kind=kind, nearest_uri=self._uris[nearest], similarity=round(similarity, 4), longest_run=len(run)
        )

    def _alike(self, key: str, text: str, share: float, floor: float) -> tuple[float, Novelty]:
        """Similarity of a candidate to a post, and what that makes it; windows less alike than `floor` don't count.

        `share` is the share of the candidate's n-grams that stand in the post.
        """
        limits = self.thresholds
        inner, outer = (key, text) if len(key) <= len(text) else (text, key)
        if len(inner) >= SUBSTANTIAL and inner in outer and (inner is key or 2 * len(inner) >= len(key)):
            return 1.0, "verbatim"
        whole = self._ratio(key, text) / 100
        if len(key) < SUBSTANTIAL:
            return whole, "near" if whole >= limits.near_short else "novel"
        window = 0.0
        if len(key) < len(text) and share >= _WINDOW_SHARE:
            window = self._window_ratio(key, text, score_cutoff=100 * max(whole, floor)) / 100
        near = whole >= limits.near_similarity or window >= limits.near_window
        return max(whole, window), "near" if near else "novel"

    def _shortlist(self, key: str) -> list[tuple[int, float]]:
        """Posts sharing most n-grams with `key` and the share of them, best first, ties in index order.

        The rarest n-grams are looked up, as many as have `_MOST_HITS` postings together.
        """
        import numpy as np

        grams = distinct(_grams(key))
        if not len(grams) or not self._texts:
            return []
        begins = self._starts[grams]
        sizes = self._starts[grams + 1] - begins
        rarest = sizes.argsort(kind="stable")
        affordable = int(sizes[rarest].cumsum().searchsorted(_MOST_HITS, side="right"))
        chosen = rarest[: max(1, affordable)]
        postings = self._postings
        hits = np.concatenate(
            [postings[at : at + size] for at, size in zip(begins[chosen].tolist(), sizes[chosen].tolist(), strict=True)]
        )
        if not len(hits):
            return []
        # Sorted, what a post shares is how far apart two equal numbers are: no array as long as the index is touched.
        hits.sort()
        first = np.flatnonzero(hits[1:] != hits[:-1]) + 1
        bounds = np.concatenate(([0], first, [len(hits)]))
        posts, shared = hits[bounds[:-1]], bounds[1:] - bounds[:-1]
        if len(posts) > SHORTLIST:
            least = np.partition(shared, -SHORTLIST)[-SHORTLIST]
            enough = shared >= least
            posts, shared = posts[enough], shared[enough]
        best = (-shared).argsort(kind="stable")[:SHORTLIST]
        return [(int(posts[at]), float(shared[at] / len(chosen))) for at in best]


def _grams(text: str) -> NDArray[np.int64]:
    """Hashes (bucket numbers) of all character n-grams of `text`, in order; empty when it is shorter than n."""
    import numpy as np

    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
    count = len(codes) - _N + 1
    if count <= 0:
        return np.zeros(0, dtype=np.int64)
    hashes = np.zeros(count, dtype=np.uint32)
    for offset in range(_N):
        hashes = hashes * np.uint32(_MULTIPLIER) + codes[offset : offset + count]
    hashes ^= hashes >> np.uint32(15)
    return (hashes * np.uint32(0x85EBCA6B) >> np.uint32(32 - 22)).astype(np.int64)


def longest_shared_run(one: str, other: str) -> str:
    """The longest string found in both texts, the first of them in `one`."""
    length = begin = best = 0
    while begin + length < len(one):
        while begin + length < len(one) and one[begin : begin + length + 1] in other:
            length, best = length + 1, begin
        begin += 1
    return one[best : best + length]
