"""Which collected posts a corpus is made of."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import orjson

from pasquin.errors import CorpusError, UsageError
from pasquin.records import Post
from pasquin.workspace import Workspace
from pasquin.workspace.lists import read_list
from pasquin.workspace.shards import COLUMNS, fetch_posts, has_posts

_NAMED = 8


def selected_accounts(
    workspace: Workspace, accounts: Sequence[str], lists: Sequence[str]
) -> set[tuple[str, str]] | None:
    """The (network, account) pairs that handles, ids and source lists stand for; None, all, when none is given.

    Raises UsageError when an account was never collected, and CorpusError when nothing was.
    """
    if not has_posts(workspace):
        raise CorpusError("Nothing was collected here yet. Collect posts first, with `pasquin collect SOURCE`.")
    if not accounts and not lists:
        return None
    chosen: set[tuple[str, str]] = set()
    for name in lists:
        chosen.update(read_list(workspace, name))
    if accounts:
        known = fetch_posts(workspace, "SELECT DISTINCT network, account, handle FROM {posts} ORDER BY ALL")
        for wanted in accounts:
            chosen.update(_matching(wanted, known))
    return chosen


def _matching(wanted: str, known: Iterable[tuple[str, str, str]]) -> set[tuple[str, str]]:
    name = wanted.casefold().lstrip("@")
    found = {
        (network, account)
        for network, account, handle in known
        if name in {part.casefold().lstrip("@") for part in (handle, account)}
        or wanted.casefold() in {f"{network}:{part}".casefold() for part in (handle, account)}
    }
    if not found:
        handles = sorted({handle for _, _, handle in known})
        more = f" and {len(handles) - _NAMED:,} more" if len(handles) > _NAMED else ""
        raise UsageError(
            f"No posts of an account `{wanted}` were collected here; there are {', '.join(handles[:_NAMED])}{more}."
        )
    return found


def read_posts(workspace: Workspace, accounts: set[tuple[str, str]] | None) -> list[Post]:
    """Collected posts of `accounts` (None: of all), oldest first, those without a time last.

    Raises WorkspaceError when a shard is damaged.
    """
    rows = fetch_posts(workspace, "SELECT * FROM {posts} ORDER BY created_at NULLS LAST, uri")
    posts = (_post(row) for row in rows)
    return [post for post in posts if accounts is None or (post.network, post.account) in accounts]


def _post(row: tuple[Any, ...]) -> Post:
    values = dict(zip(COLUMNS, row, strict=True))
    created_at: datetime | None = values["created_at"]
    values["created_at"] = created_at.replace(tzinfo=UTC) if created_at else None
    return Post(**values)


def input_hash(posts: Iterable[Post]) -> str:
    """SHA-256, in hexadecimal, of all that is in the posts, in their order."""
    digest = hashlib.sha256()
    for post in posts:
        digest.update(orjson.dumps(post))
        digest.update(b"\n")
    return digest.hexdigest()
