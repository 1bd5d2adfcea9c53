"""Rights and deletion: why collected posts may be used, how they are forgotten, and what learned from them.

    rights(workspace)             the ledger: whose posts, by which right, and what stays out of every corpus
    forget(workspace, target)     a post, or all of an account, leaves everything that holds its words
    lineage(workspace, target)    which corpora, models, candidates and trials a post has reached

A tombstone is written first: from then on nobody sees the post. Removing its words follows, and is completed by the
next `forget` or `collect` when it was interrupted. Not covered: a model that learned a post keeps what it learned.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pasquin.counts import counted
from pasquin.errors import Interrupted, UsageError
from pasquin.progress import Progress, Silent
from pasquin.withdrawal import summary, withdraw
from pasquin.workspace import Workspace
from pasquin.workspace.corpora import account_posts, corpus_splits, read_lineage
from pasquin.workspace.rights import how_to_state, permitted, recorded, statements
from pasquin.workspace.shards import fetch_posts
from pasquin.workspace.tombstones import add_tombstones, read_tombstones, withdrawal_pending

__all__ = ["forget", "lineage", "rights"]

_PATIENCE: Final = 60.0
_X_POST: Final = re.compile(r"https?://(?:www\.|mobile\.)?(?:twitter|x)\.com/\w+(?:/web)?/status(?:es)?/(\d+).*")
_CHUNK: Final = 500
_NAMED: Final = 5


def rights(workspace: Workspace) -> dict[str, Any]:
    """Why the collected posts may be used.

    Returns `{accounts: [{network, account, handle, rights, posts, permitted}], posts: {rights: n}, left_out: {rights:
    n}, remedy: {rights: what to do}, statements, recorded, forgotten: {posts, accounts}}`: `left_out` are the posts
    that no corpus takes, `statements` what `pasquin.toml` states, `recorded` what was stated by collecting.

    Raises UsageError for a statement that says nothing, WorkspaceError when something is damaged.
    """
    stated = statements(workspace)
    rows = fetch_posts(
        workspace,
        "SELECT network, account, max_by(handle, coalesce(created_at, TIMESTAMP '1970-01-01')), rights, count(*) "
        "FROM {posts} GROUP BY network, account, rights ORDER BY network, count(*) DESC, account, rights",
    )
    names = ("network", "account", "handle", "rights", "posts")
    accounts = [{**dict(zip(names, row, strict=True)), "permitted": permitted(row[3], stated)} for row in rows]
    posts: Counter[str] = Counter()
    for entry in accounts:
        posts[entry["rights"]] += entry["posts"]
    left_out = {name: count for name, count in sorted(posts.items()) if not permitted(name, stated)}
    stones = read_tombstones(workspace)
    return {
        "accounts": accounts,
        "posts": dict(sorted(posts.items())),
        "left_out": left_out,
        "remedy": {name: how_to_state(name) for name in left_out},
        "statements": stated,
        "recorded": recorded(workspace),
        "forgotten": {"posts": len(stones.uris), "accounts": len(stones.accounts)},
    }


@dataclass(frozen=True)
class _Found:
    """What a target means: single posts, or accounts (network, account, handle) with all posts known of them."""

    uris: frozenset[str]
    accounts: tuple[tuple[str, str, str], ...] = ()

    def description(self) -> str:
        """For the person who is asked."""
        names = ", ".join(f"{network}:{handle} ({account})" for network, account, handle in self.accounts[:_NAMED])
        more = f" and {counted(len(self.accounts) - _NAMED, 'more account')}" if len(self.accounts) > _NAMED else ""
        what = f"all {counted(len(self.uris), 'post')} of {names}{more}, and whatever they post from now on"
        return what if self.accounts else f"the post {', '.join(sorted(self.uris))}"


def forget(
    workspace: Workspace,
    target: str,
    *,
    confirm: Callable[[str], bool] | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Forget a post (its URI or URL) or an account (handle or id, `network:` in front where that is needed).

    `confirm` is asked with a description of what would go, and nothing is done when it says no (Interrupted).

    Returns `{forgotten, accounts, posts, corpora: {name: n}, candidates, trials, models, complete, seconds}`:
    `forgotten` posts have a tombstone now, `posts` were removed from the collected ones; `models` learned from them
    and are as they were. `complete` is False when other work on the workspace kept us from removing the words yet.

    Raises UsageError when nothing like it was collected, WorkspaceError or ResourceError when the disk refuses.
    """
    began = time.monotonic()
    progress = progress or Silent()
    unfinished = withdrawal_pending(workspace)
    found = _find(workspace, target)
    if found is None and not unfinished:
        raise UsageError(
            f"Nothing of `{target}` is here, perhaps as it was forgotten before. Give a handle, an account's id, or "
            "the address of a post; `pasquin rights` lists the accounts."
        )
    touched: list[str] = []
    if found is not None:
        if confirm is not None and not confirm(found.description()):
            raise Interrupted("Nothing was forgotten.")
        touched = [entry["model"] for entry in _models(workspace, sorted(found.uris)) if entry["learned"]]
        add_tombstones(
            workspace, "forgotten", found.uris, {(network, account) for network, account, _ in found.accounts}
        )
    with progress.task("Removing the words", None, "posts"):
        removed = withdraw(workspace, progress, _PATIENCE)
        _forget_answers()
    progress.say(summary(removed))
    return {
        "forgotten": len(found.uris) if found else 0,
        "accounts": [f"{network}:{account}" for network, account, _ in found.accounts] if found else [],
        "posts": removed.get("posts", 0),
        "corpora": removed.get("corpora", {}),
        "candidates": removed.get("candidates", 0),
        "trials": removed.get("trials", 0),
        "models": touched,
        "complete": bool(removed),
        "seconds": round(time.monotonic() - began, 3),
    }


def lineage(workspace: Workspace, target: str) -> dict[str, Any]:
    """What a post (or all posts of an account) has reached.

    Returns `{posts, collected, forgotten, corpora: [{corpus, hash, splits}], models: [{model, corpus, corpus_hash,
    splits, learned, known}], candidates, nearest, trials}`. `splits` counts the posts in each split; a model has
    `learned` those of `train`. `known` is False for a model whose version of the corpus is not on record. `candidates`
    were written by models that learned the posts, `nearest` counts candidates that name one as their nearest post.

    Raises UsageError when nothing like it is known here: of what was forgotten only the URIs are.
    """
    found = _find(workspace, target)
    stones = read_tombstones(workspace)
    gone = next((uri for uri in _spellings(target) if uri in stones.uris), _canonical(target))
    uris = sorted(found.uris) if found else [gone]
    corpora = [
        {
            "corpus": name,
            "hash": str(workspace.corpus_manifest(name).get("hash", "")),
            "splits": dict(Counter(splits.values())),
        }
        for name in workspace.corpora()
        if (splits := corpus_splits(workspace, name, uris))
    ]
    models = _models(workspace, uris)
    learned = [entry["model"] for entry in models if entry["learned"]]
    if found is None and not corpora and not any(entry["splits"] for entry in models) and uris[0] not in stones.uris:
        raise UsageError(
            f"Nothing of `{target}` is here. Give the URI of a post, or an account; of what was forgotten only the "
            "URIs of posts are still known."
        )
    return {
        "posts": len(uris),
        "collected": found is not None,
        "forgotten": sum(uri in stones.uris for uri in uris),
        "corpora": corpora,
        "models": models,
        **_references(workspace, uris, learned),
    }


def _spellings(target: str) -> set[str]:
    """How the URI may stand in the posts: networks' readers write the canonical one, a file's own stays as it was."""
    address = _canonical(target)
    return {address, address.rstrip("/"), target.split("?")[0]}


def _find(workspace: Workspace, target: str) -> _Found | None:
    """What of the collected posts and the corpora `target` means; None when nothing."""
    wanted = _spellings(target)
    listed = ", ".join("'" + text.replace("'", "''") + "'" for text in sorted(wanted))
    single = {
        uri
        for (uri,) in fetch_posts(workspace, f"SELECT uri FROM {{posts}} WHERE uri IN ({listed}) OR url IN ({listed})")
    }
    single |= {uri for name in workspace.corpora() for uri in corpus_splits(workspace, name, sorted(wanted))}
    if single:
        return _Found(frozenset(single))
    known = fetch_posts(workspace, "SELECT DISTINCT network, account, handle FROM {posts} ORDER BY ALL")
    matching = {
        (network, account): handle for network, account, handle in known if _is(target, network, account, handle)
    }
    if not matching:
        return None
    return _Found(
        _posts_of(workspace, set(matching)), tuple((*pair, handle) for pair, handle in sorted(matching.items()))
    )


def _posts_of(workspace: Workspace, accounts: set[tuple[str, str]]) -> frozenset[str]:
    """URIs of all posts of some accounts, in the collected posts and in every corpus."""
    rows = fetch_posts(workspace, "SELECT uri, network, account FROM {posts}")
    uris = {uri for uri, network, account in rows if (network, account) in accounts}
    for name in workspace.corpora():
        for _, account in accounts:
            uris.update(account_posts(workspace, name, account))
    return frozenset(uris)


def _is(target: str, network: str, account: str, handle: str) -> bool:
    """Whether an account is meant by `target`: its id or handle, in any case, with or without @ and network."""
    name = target.casefold()
    names = {part.casefold() for part in (account, handle)}
    return name.lstrip("@") in {part.lstrip("@") for part in names} or name in {
        f"{network}:{mark}{part.lstrip('@')}" for part in names for mark in ("", "@")
    }


def _canonical(target: str) -> str:
    """The URI of a post on X whichever way its address is written; anything else as it is."""
    found = _X_POST.fullmatch(target)
    return f"https://x.com/i/status/{found[1]}" if found else target


def _models(workspace: Workspace, uris: Sequence[str]) -> list[dict[str, Any]]:
    """The models that have seen any of `uris`, and those of which it can no longer be said."""
    entries = []
    for name in workspace.models():
        manifest = workspace.model_manifest(name)
        corpus, content = str(manifest.get("corpus", "")), str(manifest.get("corpus_hash", ""))
        splits = read_lineage(workspace, content, uris) if content else None
        if splits is None or splits:
            counts = dict(Counter((splits or {}).values()))
            entries.append(
                {
                    "model": name,
                    "corpus": corpus,
                    "corpus_hash": content,
                    "splits": counts,
                    "learned": counts.get("train", 0) > 0,
                    "known": splits is not None,
                }
            )
    return entries


def _references(workspace: Workspace, uris: Sequence[str], learned: Sequence[str]) -> dict[str, int]:
    """How many candidates and trials lead back to the posts."""
    import sqlalchemy as sa

    from pasquin.store import Store
    from pasquin.store.schema import candidates, trials

    counts = {"candidates": 0, "nearest": 0, "trials": 0}
    url = workspace.database_url
    if url.startswith("sqlite:///") and not Path(url.removeprefix("sqlite:///")).exists():
        return counts
    store = Store.of(workspace)
    try:
        with store.read() as connection:

            def count(column: Any, values: Sequence[str]) -> int:
                chunks = (values[start : start + _CHUNK] for start in range(0, len(values), _CHUNK))
                query = sa.select(sa.func.count())
                return sum(connection.execute(query.where(column.in_(chunk))).scalar_one() for chunk in chunks)

            counts["candidates"] = count(candidates.c.model, learned)
            counts["nearest"] = count(candidates.c.nearest_uri, uris)
            counts["trials"] = count(trials.c.item_key, uris)
    finally:
        store.close()
    return counts


def _forget_answers() -> None:
    from pasquin.networks.transport import forget_answers

    forget_answers()
