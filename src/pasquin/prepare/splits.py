"""Which posts are learned from, which measure the learning, and which are kept for the game.

Whole clusters of near-duplicates go to one split, so no near copy straddles two. A cluster so large that it would fill
a good part of a held-out split is trained on. Draws are hashes of seed and uri: when posts are added later, nearly all
posts stay in the split they were in.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final, Literal

from pasquin.config import PrepareSettings
from pasquin.errors import CorpusError
from pasquin.records import Post, SplitName

MIN_POSTS: Final = 20
"""Fewer posts cannot be split into something to learn from and something to measure and play with."""

_HELD_OUT: Final[tuple[Literal["test", "validation"], ...]] = ("test", "validation")
_LEAST: Final = {"test": (20, 5), "validation": (20, 10)}
"""A held-out split has at least so many posts, or this fraction of a small corpus."""
_ACCOUNT_LEAST: Final = (10, 5)
"""The test split has at least so many posts of every account, or this fraction of a small one: the game needs them."""
_LARGEST_CLUSTER: Final = 10
"""A held-out cluster makes up at most one part in so many of its split."""


def draw(seed: int, uri: str) -> bytes:
    """A number drawn for a post, as 8 bytes to sort by: the same for ever for the same seed."""
    return hashlib.blake2b(f"{seed}:{uri}".encode("utf-8", "replace"), digest_size=8).digest()


def cap_accounts(posts: Sequence[Post], most: int | None, seed: int) -> set[int]:
    """Positions of the posts that exceed `most` per account; which ones stay is drawn."""
    if most is None:
        return set()
    accounts: dict[tuple[str, str], list[int]] = {}
    for position, post in enumerate(posts):
        accounts.setdefault((post.network, post.account), []).append(position)
    over: set[int] = set()
    for positions in accounts.values():
        over.update(sorted(positions, key=lambda position: draw(seed, posts[position].uri))[most:])
    return over


def assign_splits(posts: Sequence[Post], clusters: Sequence[int], settings: PrepareSettings) -> list[SplitName]:
    """The split of each post, given the cluster of each.

    `random` draws clusters, a few of every account first; `time` takes the clusters whose oldest post is newest.
    Raises CorpusError when there are too few posts, or too few with a time for a split by time.
    """
    members: dict[int, list[int]] = {}
    for position, cluster in enumerate(clusters):
        members.setdefault(cluster, []).append(position)
    wanted = _sizes(len(posts), settings)
    order = _by_time(posts, members) if settings.split == "time" else _by_draw(posts, members, settings.seed)
    splits: list[SplitName] = ["train"] * len(posts)
    left = list(order)
    for name in _HELD_OUT:
        left = _fill(name, wanted[name], left, members, posts, splits, by_account=settings.split == "random")
    counts = Counter(splits)
    if not all(counts[name] for name in ("train", "validation", "test")):
        raise CorpusError(_cannot_split(len(posts), settings))
    return splits


def _sizes(total: int, settings: PrepareSettings) -> dict[str, int]:
    shares = {"test": settings.test_share, "validation": settings.validation_share}
    sizes = {}
    for name, (least, fraction) in _LEAST.items():
        sizes[name] = max(round(shares[name] * total), min(least, total // fraction))
    return sizes


def _by_draw(posts: Sequence[Post], members: dict[int, list[int]], seed: int) -> list[int]:
    return sorted(members, key=lambda cluster: draw(seed, posts[cluster].uri))


def _by_time(posts: Sequence[Post], members: dict[int, list[int]]) -> list[int]:
    """Clusters whose posts all have a time, newest first by their oldest post."""
    oldest = {}
    for cluster, positions in members.items():
        times = [created for position in positions if (created := posts[position].created_at) is not None]
        if len(times) == len(positions):
            oldest[cluster] = min(times)
    return sorted(oldest, key=lambda cluster: (oldest[cluster], posts[cluster].uri), reverse=True)


def _fill(
    name: Literal["test", "validation"],
    wanted: int,
    order: Iterable[int],
    members: dict[int, list[int]],
    posts: Sequence[Post],
    splits: list[SplitName],
    *,
    by_account: bool,
) -> list[int]:
    """Put clusters into the split until it has `wanted` posts; the clusters left over are returned, in order."""
    order = list(order)
    floors = _floors(posts) if by_account and name == "test" else {}
    largest = max(1, wanted // _LARGEST_CLUSTER)
    taken: set[int] = set()
    filled = 0
    for floors_only in (True, False):
        for cluster in order:
            account = (posts[cluster].network, posts[cluster].account)
            if cluster in taken or len(members[cluster]) > largest:
                continue
            if floors.get(account, 0) <= 0 if floors_only else filled >= wanted:
                continue
            for position in members[cluster]:
                splits[position] = name
                owner = (posts[position].network, posts[position].account)
                if owner in floors:
                    floors[owner] -= 1
            taken.add(cluster)
            filled += len(members[cluster])
    return [cluster for cluster in order if cluster not in taken]


def _floors(posts: Sequence[Post]) -> dict[tuple[str, str], int]:
    least, fraction = _ACCOUNT_LEAST
    counts = Counter((post.network, post.account) for post in posts)
    return {account: min(least, count // fraction) for account, count in counts.items()}


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
