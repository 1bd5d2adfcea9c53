"""Sync: posts, corpora and models of a workspace on an object store (`s3://bucket/prefix`), both ways.

The bucket has the layout of a workspace, so anybody can read the shards in place; `pasquin-sync.json`, written last,
says which files make a whole. What changed on one side since the last sync goes to the other (`plan`); cursors go after
the posts they stand for and manifests after their folders, so that a sync that is killed leaves nothing that only
seems whole, and the next one goes on where it stopped. Tombstones of both sides are kept.

Not covered: the database (that is what PostgreSQL is for), settings and secrets, two machines that collect the same
source at once (both change its cursor: that is a conflict, and said).
"""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path
from typing import Any, Literal

from pasquin.config import read_toml
from pasquin.errors import UsageError, WorkspaceError, disk_errors
from pasquin.progress import Progress, Silent
from pasquin.sync.bucket import Bucket
from pasquin.sync.fetching import fetch
from pasquin.sync.memory import Memory
from pasquin.sync.plan import LOGS, NAME, Entry, Plan, Side, folder_of, make_plan, rank
from pasquin.workspace import Workspace, snapshot

__all__ = ["sync"]


def sync(
    workspace: Workspace,
    url: str | None = None,
    *,
    only: Literal["send", "fetch"] | None = None,
    prefer: Side | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Make a workspace and the bucket at `url` (default: `storage` under [workspace] in pasquin.toml) alike.

    `{url, sent, fetched, removed_here, removed_there, bytes_sent, bytes_fetched, seconds}`. `only` goes one way;
    `prefer` decides for what changed on both sides. Raises UsageError for conflicts and addresses, NetworkError when
    the store does not answer, WorkspaceError when the workspace is busy.
    """
    began = time.monotonic()
    progress = progress or Silent()
    bucket = Bucket(url or _storage(workspace), progress)
    memory = Memory(workspace, bucket.url)
    with disk_errors("sync the workspace"):
        generation, there = bucket.read_index()
        _merge_logs(workspace, bucket, there)
        with snapshot.scratch(workspace) as scratch:
            found = {name: path for name, path in snapshot.take(workspace, scratch) if NAME.fullmatch(name)}
            here = memory.hashed(found)
            plan = make_plan(here, memory.base, there, prefer)
            _refuse_conflicts(plan, bucket)
            plan = plan.only(only)
            fetch(workspace, bucket, plan, found, there, progress)
            now = _send(bucket, plan, found, here, there, generation, progress) if plan.sends else there
        after = {name: entry for name, entry in here.items() if name not in plan.remove_here}
        memory.keep(after | {name: there[name] for name in plan.fetch}, now)
    return {
        "url": bucket.url,
        "sent": len(plan.send),
        "fetched": len(plan.fetch),
        "removed_here": len(plan.remove_here),
        "removed_there": len(plan.remove_there),
        "bytes_sent": sum(here[name][0] for name in plan.send),
        "bytes_fetched": sum(there[name][0] for name in plan.fetch),
        "seconds": round(time.monotonic() - began, 3),
    }


def _storage(workspace: Workspace) -> str:
    table = read_toml(workspace.toml).get("workspace", {})
    found = table.get("storage") if isinstance(table, dict) else None
    if not isinstance(found, str) or not found:
        raise UsageError('Name the place: `pasquin sync s3://BUCKET/PREFIX`, or storage = "s3://…" under [workspace].')
    return found


def _refuse_conflicts(plan: Plan, bucket: Bucket) -> None:
    if plan.conflicts:
        named = ", ".join(plan.conflicts[:3]) + (f" and {len(plan.conflicts) - 3} more" if plan.conflicts[3:] else "")
        raise UsageError(
            f"Both this workspace and {bucket.url} changed {named} since the last sync; nothing was done. "
            "Say whose counts: --prefer here, or --prefer there."
        )


def _merge_logs(workspace: Workspace, bucket: Bucket, there: dict[str, Entry]) -> None:
    """Add the bucket's lines of tombstones and rights that are not here: whatever was forgotten anywhere is."""
    for name in LOGS:
        if name not in there:
            continue
        lines = bucket.read(name, there[name]).splitlines(keepends=True)
        path = workspace.root / name
        path.parent.mkdir(exist_ok=True)
        with path.open("a+b") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            handle.seek(0)
            content = handle.read()
            handle.truncate(content.rfind(b"\n") + 1)
            known = set(content.splitlines(keepends=True))
            handle.write(b"".join(line for line in lines if line not in known and line.endswith(b"\n")))
            handle.flush()
            os.fsync(handle.fileno())


def _send(
    bucket: Bucket,
    plan: Plan,
    found: dict[str, Path],
    here: dict[str, Entry],
    there: dict[str, Entry],
    generation: int,
    progress: Progress,
) -> dict[str, Entry]:
    """Put what is new, remove what is gone, then say so in the index; what is there afterwards."""
    changed = {folder for name in (*plan.send, *plan.remove_there) if (folder := folder_of(name))}
    for folder in sorted(changed):  # a folder that is being changed is not whole
        if f"{folder}/manifest.json" in there:
            bucket.remove(f"{folder}/manifest.json")
    manifests = {f"{folder}/manifest.json" for folder in changed}
    again = [name for name in manifests if name in here and name not in plan.send and name not in plan.remove_there]
    names = sorted({*plan.send, *again}, key=rank)
    with progress.task("Sending", sum(here[name][0] for name in names), "bytes") as task:
        for name in names:
            bucket.send(name, found[name], here[name])
            task.advance(here[name][0], name)
    for name in plan.remove_there:
        bucket.remove(name)
    if bucket.read_index()[0] != generation:
        raise WorkspaceError(f"Another machine synced with {bucket.url} meanwhile. Sync again.")
    now = {name: entry for name, entry in there.items() if name not in plan.remove_there}
    now |= {name: here[name] for name in plan.send}
    bucket.write_index(generation + 1, now)
    return now
