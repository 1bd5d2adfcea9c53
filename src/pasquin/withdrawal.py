"""Withdrawal: what has a tombstone leaves everything that holds its words or points at it.

    posts        the shards are written anew without it
    corpora      too, with the removal noted in the manifest (a new `hash`) and the report replaced
    candidates   keep their text, which is no copy of it, but lose the reference to it as their nearest post, and are
                 marked as withdrawn: neither curated nor published any more
    trials       keep their guesses, but no longer say which post was shown

A tombstone hides at once; this removes. Every step can be repeated, so a run that is killed is completed by the next.
Models are not changed: `pasquin lineage` says which of them learned it. Not covered: files that were exported, backups,
and what a source could not read (`quarantine/`, which the next collecting replaces).
"""

from __future__ import annotations

import secrets
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from pasquin.counts import counted
from pasquin.errors import WorkspaceError
from pasquin.progress import Progress
from pasquin.records import CorpusPost
from pasquin.workspace import Workspace
from pasquin.workspace.corpora import SPLITS, clear_leftovers, forgotten_posts, read_corpus, read_dropped, write_corpus
from pasquin.workspace.shards import (
    COLUMNS,
    forgotten_condition,
    glob_literal,
    has_posts,
    rewrite_shard,
    shard_database,
    sql_text,
)
from pasquin.workspace.tombstones import (
    Tombstones,
    mark_withdrawn,
    read_tombstones,
    tombstones_state,
    withdrawal_pending,
)

_CHUNK: Final = 500
_REASON: Final = "withdrawn"


def withdraw(workspace: Workspace, progress: Progress, patience: float = 0.0) -> dict[str, Any]:
    """Remove everything that has a tombstone; `{posts, corpora: {name: posts}, candidates, trials}` say what it was.

    Waits `patience` seconds for other work on the workspace to end. When it goes on longer nothing is lost, the next
    `withdraw` does it: the result is empty then.
    """
    result: dict[str, Any] = {"posts": 0, "corpora": {}, "candidates": 0, "trials": 0}
    if not withdrawal_pending(workspace):
        return result
    size = tombstones_state(workspace)[0]
    try:
        with _lock(workspace, "collect", patience):
            result["posts"] = _remove_from_shards(workspace)
        with _lock(workspace, "prepare", patience):
            clear_leftovers(workspace)
            for name in workspace.corpora():
                if removed := _withdraw_from_corpus(workspace, name):
                    result["corpora"][name] = removed
    except _BusyError as exc:
        progress.say(f"{exc} What was forgotten is hidden already; its words are removed after that.")
        return {}
    stones = read_tombstones(workspace)
    result["candidates"], result["trials"] = _withdraw_from_store(workspace, stones)
    mark_withdrawn(workspace, size)
    return result


def _remove_from_shards(workspace: Workspace) -> int:
    """Write the shards anew that hold something with a tombstone, one after the other; how many posts that were."""
    if not read_tombstones(workspace) or not has_posts(workspace):
        return 0
    condition = forgotten_condition(workspace)
    removed = 0
    with shard_database(workspace) as database:
        pattern = sql_text(f"{glob_literal(workspace.posts)}/*/*/*.parquet")
        touched = database.execute(
            f"SELECT filename, count(*) FROM read_parquet({pattern}, filename = true) AS post "
            f"WHERE {condition} GROUP BY filename ORDER BY filename"
        ).fetchall()
        for name, count in touched:
            rewrite_shard(
                database,
                Path(name),
                f"SELECT {', '.join(COLUMNS)} FROM read_parquet({sql_text(glob_literal(Path(name)))}, "
                f"file_row_number = true) AS post WHERE NOT {condition} ORDER BY file_row_number",
            )
            removed += count
    return removed


class _BusyError(WorkspaceError):
    """Somebody else holds a lock for longer than we wait."""


@contextmanager
def _lock(workspace: Workspace, name: str, patience: float) -> Iterator[None]:
    deadline = time.monotonic() + patience
    while True:
        holding = workspace.lock(name)
        try:
            holding.__enter__()
            break
        except WorkspaceError as exc:
            if time.monotonic() >= deadline:
                raise _BusyError(str(exc)) from exc
            time.sleep(0.2)
    try:
        yield
    finally:
        holding.__exit__(None, None, None)


def _withdraw_from_corpus(workspace: Workspace, name: str) -> int:
    """Write a corpus anew without what has a tombstone; how many posts that were."""
    removed = forgotten_posts(workspace, name)
    if not removed:
        return 0
    manifest: dict[str, Any] = workspace.corpus_manifest(name)
    posts = read_corpus(workspace, name)
    note = {"at": datetime.now(UTC).isoformat(timespec="seconds"), "posts": len(removed), "hash": manifest.get("hash")}
    changed = {
        **manifest,
        "counts": {**manifest.get("counts", {}), "kept": len(posts)},
        "dropped": {
            **manifest.get("dropped", {}),
            _REASON: manifest.get("dropped", {}).get(_REASON, 0) + len(removed),
        },
        "splits": {split: sum(post.split == split for post in posts) for split in SPLITS},
        "accounts": _accounts(manifest.get("accounts", []), posts),
        "withdrawn": [*manifest.get("withdrawn", []), note],
    }
    dropped = read_dropped(workspace, name)
    dropped.update(dict.fromkeys(removed, _REASON))
    write_corpus(workspace, name, posts, dropped, _report(name), changed)
    return len(removed)


def _accounts(accounts: list[dict[str, Any]], posts: list[CorpusPost]) -> list[dict[str, Any]]:
    """The manifest's accounts with the numbers of posts that are left, without those that have none."""
    left = Counter((post.account, post.split) for post in posts)
    counted = []
    for entry in accounts:
        splits: dict[str, Any] = {split: left[entry["account"], split] for split in SPLITS}
        if any(splits.values()):
            counted.append({**entry, **splits, "posts": sum(splits.values())})
    return counted


def _report(name: str) -> str:
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{name}</title>'
        "<p>Posts were withdrawn from this corpus, and the report that quoted them was removed. "
        f"<code>pasquin prepare {name}</code> makes the corpus and its report anew.</p></html>\n"
    )


def _withdraw_from_store(workspace: Workspace, stones: Tombstones) -> tuple[int, int]:
    """Take references to forgotten posts out of candidates and trials; how many rows of each."""
    import sqlalchemy as sa

    from pasquin.store import Store
    from pasquin.store.schema import candidates, trials

    database = workspace.database_url.removeprefix("sqlite:///")
    if workspace.database_url.startswith("sqlite:///") and not Path(database).exists():
        return 0, 0
    store = Store.of(workspace)
    try:
        with store.write() as connection:
            nearest = _forgotten(connection, candidates.c.nearest_uri, stones)
            shown = _forgotten(connection, trials.c.item_key, stones)
            changed = 0
            for start in range(0, len(nearest), _CHUNK):
                chunk = nearest[start : start + _CHUNK]
                named = candidates.c.nearest_uri.in_(chunk)
                marked = sa.update(candidates).where(named).values(nearest_uri=None, withdrawn_at=datetime.now(UTC))
                changed += connection.execute(marked).rowcount
            guessed = 0
            for key in shown:
                anonymous = f"{_REASON}:{secrets.token_hex(8)}"
                update = sa.update(trials).where(trials.c.item_key == key).values(item_key=anonymous)
                guessed += connection.execute(update).rowcount
            return changed, guessed
    finally:
        store.close()


def _forgotten(connection: Any, column: Any, stones: Tombstones) -> list[str]:
    import sqlalchemy as sa

    return [uri for (uri,) in connection.execute(sa.select(column).distinct()) if uri in stones.uris]


def summary(result: Mapping[str, Any]) -> str:
    """What a withdrawal removed, in a sentence."""
    if not result:
        return "It is hidden everywhere; its words are removed once the other work on the workspace has ended."
    corpora = ", ".join(f"{posts:,} from the corpus `{name}`" for name, posts in result["corpora"].items())
    return f"Removed {counted(result['posts'], 'collected post')}" + (f", {corpora}" if corpora else "") + "."
