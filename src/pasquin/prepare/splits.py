"""Which posts are learned from, which measure the learning, and which are kept for the game.

Whole clusters of near-duplicates go to one split, so no near copy straddles two. A cluster so large that it would fill
a good part of a held-out split is trained on. Draws are hashes of seed and uri: when posts are added later, nearly all
posts stay in the split they were in.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pasquin.config import PrepareSettings
from pasquin.errors import CorpusError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MIN_POSTS: Final = 20
"""Fewer posts cannot be split into something to learn from and something to measure and play with."""
SPLITS: Final = ("train", "validation", "test")
"""The names of the numbers that `assign_splits` gives."""

_HELD_OUT: Final = ("test", "validation")
_LEAST: Final = {"test": (20, 5), "validation": (20, 10)}
"""A held-out split has at least so many posts, or this fraction of a small corpus."""
_ACCOUNT_LEAST: Final = (10, 5)
"""The test split has at least so many posts of every account, or this fraction of a small one: the game needs them."""
_AT_A_TIME: Final = 2**16
_LARGEST_CLUSTER: Final = 10
"""A held-out cluster makes up at most one part in so many of its split."""


@dataclass(frozen=True)
class Posts:
    """What splits are made by, of posts from the oldest to the newest, those without a time last.

    `draws` uint64, `owners` a number for each account, `timed` whether they say when they were written: each (n,).
    """

    draws: NDArray[np.uint64]
    owners: NDArray[np.int32]
    timed: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.draws)

    def __getitem__(self, chosen: NDArray[Any]) -> Posts:
        return Posts(self.draws[chosen], self.owners[chosen], self.timed[chosen])


def draw(seed: int, uri: str) -> int:
    """A number drawn for a post, of 64 bits: the same for ever for the same seed."""
    digest = hashlib.blake2b(f"{seed}:{uri}".encode("utf-8", "replace"), digest_size=8).digest()
    return int.from_bytes(digest, "big")


def over_cap(posts: Posts, most: int | None) -> NDArray[np.bool_]:
    """Which posts exceed `most` per account; which ones stay is drawn."""
    import numpy as np

    over = np.zeros(len(posts), bool)
    if most is not None:
        order = np.lexsort((posts.draws, posts.owners))
        owners = posts.owners[order]
        first = np.searchsorted(owners, owners)
        over[order] = np.arange(len(posts)) - first >= most
    return over


def assign_splits(posts: Posts, clusters: NDArray[np.int64], settings: PrepareSettings) -> NDArray[np.uint8]:
    """The split of each post, as its number in `SPLITS`, given the cluster of each (the position of its first member).

    `random` draws clusters, a few of every account first; `time` takes the clusters whose oldest post is newest.
    Raises CorpusError when there are too few posts, or too few with a time for a split by time.
    """
    import numpy as np

    members = np.argsort(clusters, kind="stable")
    names, starts, sizes = np.unique(clusters[members], return_index=True, return_counts=True)
    if settings.split == "time":
        whole = np.logical_and.reduceat(posts.timed[members], starts) if len(names) else np.empty(0, bool)
        order = np.flatnonzero(whole)[::-1]  # posts are in order of time, so clusters are by their oldest
    else:
        order = np.argsort(posts.draws[names], kind="stable")
    filling = _Filling(posts, members, names, starts, sizes, by_account=settings.split == "random")
    for name in _HELD_OUT:
        order = filling.fill(name, _size(name, len(posts), settings), order)
    counts = np.bincount(filling.splits, minlength=len(SPLITS))
    if not counts.all():
        raise CorpusError(_cannot_split(len(posts), settings))
    return filling.splits


def _size(name: str, total: int, settings: PrepareSettings) -> int:
    least, fraction = _LEAST[name]
    share = settings.test_share if name == "test" else settings.validation_share
    return max(round(share * total), min(least, total // fraction))


class _Filling:
    """Puts clusters into splits; `splits` is what came of it."""

    def __init__(
        self,
        posts: Posts,
        members: NDArray[Any],
        names: NDArray[Any],
        starts: NDArray[Any],
        sizes: NDArray[Any],
        *,
        by_account: bool,
    ) -> None:
        import numpy as np

        self.posts, self.members, self.names, self.starts, self.sizes = posts, members, names, starts, sizes
        self.by_account = by_account
        self.splits: NDArray[np.uint8] = np.zeros(len(posts), np.uint8)

    def fill(self, name: str, wanted: int, order: NDArray[Any]) -> NDArray[Any]:
        """Put clusters (numbers, in order) into the split until it has `wanted` posts; those left over are returned."""
        import numpy as np

        floors = self._floors() if self.by_account and name == "test" else {}
        missing = sum(count > 0 for count in floors.values())
        largest = max(1, wanted // _LARGEST_CLUSTER)
        taken = np.zeros(len(self.names), bool)
        filled = 0
        for floors_only in (True, False):
            for cluster, owner, size, begin in self._each(order):
                if missing == 0 if floors_only else filled >= wanted:
                    break
                if taken[cluster] or size > largest or (floors_only and floors.get(owner, 0) <= 0):
                    continue
                inside = self.members[begin : begin + size]
                self.splits[inside] = SPLITS.index(name)
                for member in self.posts.owners[inside].tolist():
                    if member in floors:
                        floors[member] -= 1
                        missing -= floors[member] == 0
                taken[cluster] = True
                filled += size
        left: NDArray[Any] = order[~taken[order]]
        return left

    def _each(self, order: NDArray[Any]) -> Iterator[tuple[int, int, int, int]]:
        """Number, owner, size and start of clusters; as numbers of Python only a few at a time, they are large."""
        for begin in range(0, len(order), _AT_A_TIME):
            few = order[begin : begin + _AT_A_TIME]
            owners = self.posts.owners[self.names[few]]
            columns = (few, owners, self.sizes[few], self.starts[few])
            yield from zip(*(column.tolist() for column in columns), strict=True)

    def _floors(self) -> dict[int, int]:
        import numpy as np

        least, fraction = _ACCOUNT_LEAST
        owners, counts = np.unique(self.posts.owners, return_counts=True)
        return {int(owner): min(least, int(count) // fraction) for owner, count in zip(owners, counts, strict=True)}


def _cannot_split(total: int, settings: PrepareSettings) -> str:
    if settings.split == "time":
        return (
            f"The {total} posts cannot be split by time: too few of them say when they were written, or too many are "
            "near copies of each other. Prepare with `--split random`."
        )
    return (
        f"The {total} posts are nearly all near copies of each other, so none can be held out. "
        "Collect more of different kinds."
    )
