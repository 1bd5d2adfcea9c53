"""Prepare: collected posts in, a clean, deduplicated, split corpus out, with a report a person can look at.

    clean        one post: mended, stripped of links, or the reason to leave it out
    duplicates   exact and near copies, and clusters of alike posts
    splits       which posts are learned from, measured on, played with
    report       report.html

Everything is decided by the posts, the settings and the seed: the same of them give the same corpus, byte for byte.
Not covered: language, topic and taste; see docs/prepare.md.
"""

from __future__ import annotations

import platform
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, Final

from pasquin import __version__
from pasquin.config import PrepareSettings
from pasquin.errors import CorpusError, Interrupted
from pasquin.prepare.clean import REASONS, clean
from pasquin.prepare.duplicates import find_duplicates
from pasquin.prepare.inputs import input_hash, read_posts, selected_accounts
from pasquin.prepare.report import render
from pasquin.prepare.splits import MIN_POSTS, assign_splits, cap_accounts
from pasquin.progress import Progress, Silent
from pasquin.records import CorpusPost, Post
from pasquin.workspace import Workspace
from pasquin.workspace.corpora import REPORT, SPLITS, write_corpus
from pasquin.workspace.files import read_manifest
from pasquin.workspace.rights import PROVIDED, how_to_state, permitted, statements

__all__ = ["prepare"]

FORMAT: Final = 1
COMFORTABLE_BYTES: Final = 1_000_000
LITTLE_BYTES: Final = 100_000
_STEP: Final = 1_000


def prepare(
    workspace: Workspace,
    name: str,
    *,
    accounts: Sequence[str] = (),
    lists: Sequence[str] = (),
    settings: PrepareSettings | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Make the corpus `name` of the posts collected in `workspace`, replacing an older one of that name.

    `accounts` (handles or ids, `network:` in front where that is needed) and `lists` (source lists) choose whose posts;
    all of them when neither is given. When nothing changed since the last time the corpus is left as it is.

    Returns `corpus, kept, dropped {reason: n}, splits {train, validation, test}, seconds`, and `report` (path),
    `characters`, `verdict` (a sentence on whether that is enough), `hash`, `up_to_date`.
    Raises CorpusError when there is too little, UsageError for an unknown account, Interrupted on Ctrl-C.
    """
    began = time.monotonic()
    settings = settings or PrepareSettings()
    progress = progress or Silent()
    workspace.corpus_dir(name)  # a name that cannot be is refused before any work
    try:
        with workspace.lock("prepare"):
            manifest, fresh = _prepared(workspace, name, accounts, lists, settings, progress)
    except KeyboardInterrupt as exc:
        raise Interrupted(
            f"Preparing was interrupted; nothing was changed. Go on with `pasquin prepare {name}`."
        ) from exc
    for rights, count in manifest["rights"]["left_out"].items():
        progress.say(f"{count:,} posts ({rights}) stay out: {how_to_state(rights)}")
    progress.say(manifest["verdict"])
    return {
        "corpus": name,
        "kept": manifest["counts"]["kept"],
        "dropped": manifest["dropped"],
        "splits": manifest["splits"],
        "seconds": round(time.monotonic() - began, 3),
        "report": str(workspace.corpus_dir(name) / REPORT),
        "characters": manifest["counts"]["characters"],
        "verdict": manifest["verdict"],
        "hash": manifest["hash"],
        "up_to_date": not fresh,
    }


def _prepared(
    workspace: Workspace,
    name: str,
    accounts: Sequence[str],
    lists: Sequence[str],
    settings: PrepareSettings,
    progress: Progress,
) -> tuple[dict[str, Any], bool]:
    """The manifest of the corpus, and whether it had to be made."""
    posts = read_posts(workspace, selected_accounts(workspace, accounts, lists))
    inputs = {
        "posts": len(posts),
        "hash": input_hash(posts),
        "accounts": sorted(accounts),
        "lists": sorted(lists),
    }
    versions = {"pasquin": __version__, "python": platform.python_version()} | {
        package: version(package) for package in ("duckdb", "ftfy", "rensa")
    }
    rights = Counter(post.rights for post in posts)
    stated = {name: text for name, text in ({"provided": PROVIDED} | statements(workspace)).items() if name in rights}
    origin = {"inputs": inputs, "settings": settings.model_dump(), "versions": versions, "statements": stated}
    there: dict[str, Any] | None = read_manifest(workspace.corpus_dir(name))
    if there is not None and {key: there.get(key) for key in origin} == origin:
        return there, False
    made = _make(posts, settings, stated, progress)
    counts = _counts(made.kept, len(posts))
    manifest: dict[str, Any] = {
        "kind": "corpus",
        "format": FORMAT,
        "name": name,
        **origin,
        "counts": counts,
        "dropped": made.dropped_counts(),
        "splits": {split: sum(post.split == split for post in made.kept) for split in SPLITS},
        "accounts": _account_counts(made.kept),
        "rights": {
            "kept": dict(sorted(Counter(post.rights for post in made.kept).items())),
            "left_out": {name: rights[name] for name in sorted(rights) if not permitted(name, stated)},
        },
        "verdict": _verdict(counts),
    }
    with progress.task("Writing the corpus", len(made.kept), "posts") as task:
        report = render(name, manifest, made.kept)
        complete = write_corpus(workspace, name, made.kept, made.dropped, report, manifest)
        task.advance(len(made.kept))
    return complete, True


@dataclass(frozen=True)
class _Made:
    kept: list[CorpusPost]
    dropped: dict[str, str]

    def dropped_counts(self) -> dict[str, int]:
        counts = Counter(self.dropped.values())
        return {reason: counts[reason] for reason in REASONS if counts[reason]}


def _make(posts: Sequence[Post], settings: PrepareSettings, stated: Mapping[str, str], progress: Progress) -> _Made:
    dropped = {post.uri: "no_right" for post in posts if not permitted(post.rights, stated)}
    kept, texts = _cleaned([post for post in posts if post.uri not in dropped], settings, dropped, progress)
    with progress.task("Finding duplicates", len(texts), "posts") as task:
        found = find_duplicates(texts, settings.near_threshold, task.advance)
    _drop(kept, dict(enumerate(found.reasons)), dropped)
    remaining = [position for position, reason in enumerate(found.reasons) if reason is None]
    over = cap_accounts([kept[position] for position in remaining], settings.max_per_account, settings.seed)
    for index in over:
        dropped[kept[remaining[index]].uri] = "account_cap"
    remaining = [position for index, position in enumerate(remaining) if index not in over]
    if len(remaining) < MIN_POSTS:
        raise CorpusError(_too_few(len(remaining), len(posts), Counter(dropped.values())))
    chosen = [kept[position] for position in remaining]
    clusters = _renumbered([found.clusters[position] for position in remaining])
    splits = assign_splits(chosen, clusters, settings)
    corpus = [
        CorpusPost(
            uri=post.uri,
            account=post.account,
            handle=post.handle,
            text=texts[position],
            split=split,
            cluster=cluster,
            created_at=post.created_at,
            lang=post.lang,
            likes=post.likes,
            reposts=post.reposts,
            url=post.url,
            rights=post.rights,
        )
        for post, position, split, cluster in zip(chosen, remaining, splits, clusters, strict=True)
    ]
    return _Made(corpus, dropped)


def _cleaned(
    posts: Sequence[Post], settings: PrepareSettings, dropped: dict[str, str], progress: Progress
) -> tuple[list[Post], list[str]]:
    """The posts that pass cleaning, and their texts; the others are added to `dropped`."""
    own: dict[tuple[str, str], set[str]] = {}
    for post in posts:
        own.setdefault((post.network, post.account), set()).add(post.uri)
    kept, texts = [], []
    with progress.task("Cleaning", len(posts), "posts") as task:
        for count, post in enumerate(posts, 1):
            text, reason = clean(post, settings, own[post.network, post.account])
            if reason is None:
                kept.append(post)
                texts.append(text)
            else:
                dropped[post.uri] = reason
            if count % _STEP == 0 or count == len(posts):
                task.advance(count % _STEP or _STEP)
    return kept, texts


def _drop(posts: Sequence[Post], reasons: dict[int, str | None], dropped: dict[str, str]) -> None:
    dropped.update({posts[position].uri: reason for position, reason in reasons.items() if reason is not None})


def _renumbered(clusters: Sequence[int]) -> list[int]:
    """Clusters named by the position of their first member in this list."""
    first: dict[int, int] = {}
    return [first.setdefault(cluster, position) for position, cluster in enumerate(clusters)]


def _counts(kept: Sequence[CorpusPost], collected: int) -> dict[str, int]:
    return {
        "collected": collected,
        "kept": len(kept),
        "clusters": len({post.cluster for post in kept}),
        "characters": sum(len(post.text) for post in kept),
        "bytes": sum(len(post.text.encode()) for post in kept),
    }


def _account_counts(kept: Sequence[CorpusPost]) -> list[dict[str, Any]]:
    """Each account with its newest handle and its posts in each split, most posts first."""
    accounts: dict[str, dict[str, Any]] = {}
    for post in kept:  # oldest first: the last handle is the newest
        entry = accounts.setdefault(post.account, {"account": post.account, "handle": "", "posts": 0})
        entry["handle"] = post.handle
        entry["posts"] += 1
        entry[post.split] = entry.get(post.split, 0) + 1
    ordered = sorted(accounts.values(), key=lambda entry: (-entry["posts"], entry["account"]))
    return [{**entry, **{split: entry.get(split, 0) for split in SPLITS}} for entry in ordered]


def _verdict(counts: dict[str, int]) -> str:
    amount = f"{counts['kept']:,} posts, {counts['bytes'] / 1e6:.2f} MB of text"
    if counts["bytes"] >= COMFORTABLE_BYTES:
        return f"That is comfortable: {amount}."
    if counts["bytes"] >= LITTLE_BYTES:
        return (
            f"That is little: {amount}. 1 MB, tens of thousands of posts, is comfortable; "
            "below that expect copies of the posts, and train briefly."
        )
    return (
        f"That is very little: {amount}. A model can hardly learn more from it than to repeat it: "
        "expect copies, and collect more (1 MB, tens of thousands of posts, is comfortable)."
    )


def _too_few(left: int, collected: int, dropped: Counter[str]) -> str:
    why = "; ".join(f"{REASONS[reason]}: {count:,}" for reason, count in dropped.most_common(3))
    lost = f" Dropped were {why}." if why else ""
    return (
        f"Only {left:,} of the {collected:,} collected posts can be used, and a corpus needs at least {MIN_POSTS}."
        f"{lost} Collect more posts, or keep more of them (see `pasquin prepare --help`)."
    )
