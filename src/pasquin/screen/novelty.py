"""How far a text is from every collected post: the nearest post, how alike they are, and the longest run they share.

Texts are compared as `texts.comparable` writes them, without case, punctuation and links, so lengths and runs count
those characters. A text is

- `verbatim` when it equals a post, stands whole in one, or contains one whole that makes up half of it or more
  (the part in common has at least `SUBSTANTIAL` characters);
- `near` when it is a post with edits, or a piece of one: `similarity` is at least `NEAR_SIMILARITY` (`NEAR_WINDOW`
  against a window of a longer post, `NEAR_SHORT` for a text of fewer than `SUBSTANTIAL` characters); or when it shares
  one run with a post that has `LONG_RUN` characters, or `SUBSTANTIAL` characters and covers `RUN_SHARE` of it;
- `novel` otherwise: common phrases are everybody's.

`similarity` is 1 - the normalised Indel distance (rapidfuzz `ratio`: twice the longest common subsequence's length,
divided by both lengths) between the text and the nearest post, or the best-matching window of that post when the text
is shorter and shares a quarter of its n-grams with it. Posts are found through an inverted index of character n-grams;
the `SHORTLIST` posts that share most of the rarer n-grams are compared in full. Not covered: paraphrase, translation.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from pasquin.records import Novelty, NoveltyCertificate
from pasquin.texts import comparable, normalise, remove_links

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SUBSTANTIAL: Final = 30
LONG_RUN: Final = 60
RUN_SHARE: Final = 0.6
NEAR_SIMILARITY: Final = 0.8
NEAR_WINDOW: Final = 0.85
NEAR_SHORT: Final = 0.9
SHORTLIST: Final = 8
LONGEST_POST: Final = 20_000
"""Of a longer post only so many characters are indexed."""

_RANK: Final[tuple[Novelty, ...]] = ("novel", "near", "verbatim")
_BETWEEN: Final = "\0"  # stands in no comparable text
_N: Final = 6
_BUCKETS: Final = 1 << 22
_MULTIPLIER: Final = 0x9E3779B1
_WINDOW_SHARE: Final = 0.25
_MOST_HITS: Final = 60_000


class NoveltyIndex:
    """An index of posts, built once; `certificate` may be called from several threads."""

    def __init__(self, posts: Iterable[tuple[str, str]]) -> None:
        """Index `(uri, text)` pairs; of posts that compare equal the first one stands for all."""
        import numpy as np

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
        owner = np.repeat(np.arange(len(self._texts), dtype=np.int64), self._lengths)[: len(grams)]
        if len(grams):
            # An n-gram that begins in the last n-1 characters of a text runs into the next one: it is none.
            ends = np.repeat(np.cumsum(self._lengths), self._lengths)[: len(grams)]
            inside = np.arange(len(grams)) + _N <= ends
            grams, owner = grams[inside], owner[inside]
        pairs = (grams.astype(np.uint64) << np.uint64(32)) | owner.astype(np.uint64)
        pairs.sort()
        pairs = pairs[np.flatnonzero(np.diff(pairs, prepend=np.uint64(2**64 - 1)))]  # once a post
        buckets = (pairs >> np.uint64(32)).astype(np.int64)
        self._postings = (pairs & np.uint64(0xFFFFFFFF)).astype(np.int32)
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
        run = longest_shared_run(key, _BETWEEN.join(self._texts[post] for post, _ in shortlist))
        kind: Novelty = "novel"
        nearest, similarity = shortlist[0][0], -1.0
        for post, share in shortlist:
            alike, found = _alike(key, self._texts[post], share, similarity)
            kind = max(kind, found, key=_RANK.index)
            if alike > similarity:
                nearest, similarity = post, alike
        if kind == "novel" and (len(run) >= LONG_RUN or len(run) >= max(SUBSTANTIAL, RUN_SHARE * len(key))):
            kind = "near"
            nearest = next(post for post, _ in shortlist if run in self._texts[post])
            similarity = _alike(key, self._texts[nearest], 1.0, 0.0)[0]
        return NoveltyCertificate(
            kind=kind, nearest_uri=self._uris[nearest], similarity=round(similarity, 4), longest_run=len(run)
        )

    def _shortlist(self, key: str) -> list[tuple[int, float]]:
        """Posts sharing most n-grams with `key` and the share of them, best first, ties in index order.

        The rarest n-grams are looked up, as many as have `_MOST_HITS` postings together.
        """
        import numpy as np

        grams = np.unique(_grams(key))
        if not len(grams) or not self._texts:
            return []
        sizes = self._starts[grams + 1] - self._starts[grams]
        rarest = np.argsort(sizes, kind="stable")
        affordable = int(np.searchsorted(np.cumsum(sizes[rarest]), _MOST_HITS, side="right"))
        chosen = grams[rarest[: max(1, affordable)]]
        hits = np.concatenate([self._postings[self._starts[gram] : self._starts[gram + 1]] for gram in chosen])
        if not len(hits):
            return []
        shared = np.bincount(hits)
        at_least = np.cumsum(np.bincount(shared)[::-1])[::-1]  # at_least[k]: posts that share k n-grams or more
        level = max(1, int(np.count_nonzero(at_least >= SHORTLIST)) - 1)
        best = np.flatnonzero(shared >= level)
        best = best[np.argsort(-shared[best], kind="stable")][:SHORTLIST]
        return [(int(post), float(shared[post] / len(chosen))) for post in best]


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


def _alike(key: str, text: str, share: float, floor: float) -> tuple[float, Novelty]:
    """Similarity of a candidate to a post, and what that makes it; windows less alike than `floor` don't count.

    `share` is the share of the candidate's n-grams that stand in the post.
    """
    from rapidfuzz import fuzz

    inner, outer = sorted((key, text), key=len)
    if len(inner) >= SUBSTANTIAL and inner in outer and (inner is key or 2 * len(inner) >= len(key)):
        return 1.0, "verbatim"
    whole = fuzz.ratio(key, text) / 100
    if len(key) < SUBSTANTIAL:
        return whole, "near" if whole >= NEAR_SHORT else "novel"
    window = 0.0
    if len(key) < len(text) and share >= _WINDOW_SHARE:
        window = fuzz.partial_ratio(key, text, score_cutoff=100 * max(whole, floor)) / 100
    return max(whole, window), "near" if whole >= NEAR_SIMILARITY or window >= NEAR_WINDOW else "novel"


def longest_shared_run(one: str, other: str) -> str:
    """The longest string found in both texts, the first of them in `one`."""
    length = begin = best = 0
    while begin + length < len(one):
        if one[begin : begin + length + 1] in other:
            length, best = length + 1, begin
        else:
            begin += 1
    return one[best : best + length]
