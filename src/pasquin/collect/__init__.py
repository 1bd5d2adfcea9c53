"""Collect: read posts from sources into the workspace, each post once.

A source is `NAME:WHAT` (`bluesky:someone.bsky.social`, `twint:vc.jsonl.gz`, `x-archive:twitter.zip`), a bare path where
its kind is plain, or `@sources/list.txt` with a source a line. Posts are stored a page at a time, so a collector may be
killed at any moment: run again, it adds what is missing and repeats nothing.

    wanted       what sources as written mean
    reading      one source into the workspace
    rounds       all of them: files one after the other, networks many at a time (`threads`)
    watch        rounds without end
    cluster      networks read by the nodes of a Ray cluster, with one budget
    quarantine   what could not be read
"""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any

from pasquin.collect.rounds import accepted_before, interrupted, one_round
from pasquin.collect.wanted import Wanted, resolve
from pasquin.collect.watch import keep_watching
from pasquin.config import CollectSettings
from pasquin.counts import counted
from pasquin.errors import InputError, UsageError
from pasquin.networks import Source
from pasquin.progress import Progress, Silent
from pasquin.records import Rights
from pasquin.workers import check_place
from pasquin.workspace import Workspace

if TYPE_CHECKING:
    from pasquin.collect.cluster import ReadingNodes

__all__ = ["collect"]

_RIGHTS = re.compile(r"own-archive|consented|licence:\S.*|public-network")
_NAMED = 5


def collect(
    workspace: Workspace,
    sources: Sequence[str],
    *,
    account: str | None = None,
    columns: Mapping[str, str] | None = None,
    rights: Rights | None = None,
    watch: bool = False,
    on: str | None = None,
    settings: CollectSettings | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Read `sources` into the workspace and say what came of it.

    `account` names whose posts they are, for files that do not say; `columns` maps fields of a post to columns of csv,
    jsonl and parquet; `rights` (`own-archive`, `consented`, `licence:NAME` or `public-network`) says why they may be
    used, in the place of what the sources know. With `watch` the sources are read again every
    `settings.watch_minutes` until Ctrl-C, and the sums of all rounds returned. `on` is a Ray cluster whose nodes read
    the networks (as `workers.open_workers` takes it), each `settings.workers` at a time.

    Returns `{posts, new, skipped: {reason: n}, quarantined, seconds, updated, deleted, failed, sources: [the same for
    each, and its error]}`: `posts` were read, `new` of them were not there before, `updated` had changed, `deleted`
    are gone upstream and so from here, `skipped` counts the others and what is no post, `quarantined` the pieces of
    input that could not be read. Of several sources those that fail are passed over and counted (`failed`).

    Raises UsageError for a source or a place that makes no sense, and what the source failed with (InputError,
    NetworkError, …) when there is only one, InputError when all failed; WorkspaceError or ResourceError when the
    workspace cannot be written or the cluster is lost, Interrupted on Ctrl-C. What was read before stays.
    """
    began = time.monotonic()
    progress = progress or Silent()
    settings = _settings(workspace, settings or CollectSettings(), account, columns)
    if rights is not None and not _RIGHTS.fullmatch(rights):
        raise UsageError(
            f"`{rights}` is no right to use posts: own-archive, consented, licence:NAME or public-network."
        )
    if not sources:
        raise UsageError("There is nothing to collect: name a source, for example `twint:tweets.jsonl`.")
    opened: dict[str, Source] = {}
    with _nodes(on, settings) as nodes:
        found = partial(_found, sources, settings, opened, nodes)
        wanted = found()
        if nodes is not None:
            settings = settings.model_copy(update={"workers": nodes.at_once})
        if watch:
            wanted, rounds = keep_watching(workspace, wanted, found, rights, settings, progress)
            return {**_sums(wanted, time.monotonic() - began), "rounds": rounds}
        try:
            one_round(workspace, wanted, rights, settings, progress)
        except KeyboardInterrupt as exc:
            raise interrupted() from exc
    _refuse_nothing(workspace, wanted)
    return _sums(wanted, time.monotonic() - began)


def _nodes(on: str | None, settings: CollectSettings) -> AbstractContextManager[ReadingNodes | None]:
    if on is None:
        return nullcontext()
    check_place(on)
    from pasquin.collect.cluster import open_nodes

    return open_nodes(on, settings)


def _found(
    sources: Sequence[str], settings: CollectSettings, opened: dict[str, Source], nodes: ReadingNodes | None
) -> list[Wanted]:
    """What is wanted, read by the nodes where there are some."""
    wanted = resolve(sources, settings, opened)
    return wanted if nodes is None else nodes.over(wanted)


def _settings(
    workspace: Workspace, settings: CollectSettings, account: str | None, columns: Mapping[str, str] | None
) -> CollectSettings:
    accepted = (*settings.accepted_rules, *accepted_before(workspace))
    chosen = {"account": account, "columns": dict(columns) if columns is not None else None, "accepted_rules": accepted}
    return settings.model_copy(update={name: value for name, value in chosen.items() if value is not None})


def _refuse_nothing(workspace: Workspace, wanted: Sequence[Wanted]) -> None:
    """Raise when nothing at all could be read."""
    failed = [one for one in wanted if one.error is not None]
    if len(failed) == len(wanted):
        if len(failed) == 1 and failed[0].error is not None:
            raise failed[0].error
        reasons = "".join(f"\n  {one.written}: {one.error}" for one in failed[:_NAMED])
        more = f"\n  and {len(failed) - _NAMED:,} more" if len(failed) > _NAMED else ""
        raise InputError(f"None of the {len(failed):,} sources could be collected:{reasons}{more}")
    quarantined = sum(one.quarantined for one in wanted)
    if quarantined and not any(one.posts for one in wanted):
        raise InputError(
            f"No post could be read from {wanted[0].written if len(wanted) == 1 else 'these sources'}: "
            f"{counted(quarantined, 'piece is', 'pieces are')} in {workspace.quarantine} with the reasons. "
            "Is it the right kind of source?"
        )


def _sums(wanted: Sequence[Wanted], seconds: float) -> dict[str, Any]:
    skipped: Counter[str] = Counter()
    for one in wanted:
        skipped.update(one.skipped)
    return {
        "posts": sum(one.posts for one in wanted),
        "new": sum(one.new for one in wanted),
        "skipped": dict(skipped),
        "quarantined": sum(one.quarantined for one in wanted),
        "seconds": round(seconds, 3),
        "updated": sum(one.updated for one in wanted),
        "deleted": sum(one.deleted for one in wanted),
        "failed": sum(one.error is not None for one in wanted),
        "sources": [one.result() for one in wanted],
    }
