"""Are the collected posts whole: shards, cursors, lists, tombstones, and what is in quarantine?"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Final

from pasquin.counts import counted
from pasquin.doctor.findings import Finding, bytes_said, out_of_a_backup
from pasquin.doctor.reach import Barred
from pasquin.errors import PasquinError
from pasquin.workspace import Workspace
from pasquin.workspace.corpora import forgotten_posts
from pasquin.workspace.files import MANIFEST, read_manifest
from pasquin.workspace.locks import is_held
from pasquin.workspace.shards import COLUMNS, glob_literal
from pasquin.workspace.tombstones import read_tombstones, tombstones_path, withdrawal_pending

_MARK: Final = b"PAR1"
_MOST_NAMED: Final = 5

_finding = partial(Finding, "workspace")


def examine_collected(workspace: Workspace, barred: Barred) -> Iterator[Finding]:
    """Everything under `posts/` and `quarantine/`."""
    if workspace.posts.is_dir():
        for check in (_shards, _leftovers, _notes, _tombstones):
            yield from barred.past(check(workspace, barred))
    else:
        yield _finding("posts", "note", "Nothing was collected yet.", "pasquin collect SOURCE")
    yield from barred.past(_quarantine(workspace, barred))


def _shards(workspace: Workspace, barred: Barred) -> Iterator[Finding]:
    shards = [path for path in sorted(workspace.posts.glob("*/*/*.parquet")) if path not in barred]
    damaged = {path: reason for path in shards if (reason := damage_of_shard(path))}
    for path, reason in list(damaged.items())[:_MOST_NAMED]:
        yield _finding(
            *("posts", "problem", f"The shard {path.relative_to(workspace.root)} is damaged: {reason}."),
            "Move it away and collect its source again, or take it out of a backup: "
            f"{out_of_a_backup(workspace.root, path)}",
        )
    if len(damaged) > _MOST_NAMED:
        yield _finding(
            "posts",
            "problem",
            f"{counted(len(damaged) - _MOST_NAMED, 'more shard is', 'more shards are')} damaged.",
            "Look at the disk.",
        )
    if shards and not damaged:
        yield _finding("posts", "fine", f"{counted(len(shards), 'shard is', 'shards are')} whole.")


def damage_of_shard(path: Path) -> str | None:
    """What is wrong with a shard, by its marks and its table of contents (the posts are not read); None: nothing."""
    import duckdb

    try:
        with path.open("rb") as handle:
            start = handle.read(4)
            handle.seek(-min(8, path.stat().st_size), 2)
            end = handle.read()[-4:]
    except OSError as exc:
        return str(exc.strerror or exc)
    if start != _MARK or end != _MARK:
        return "it is cut off or no Parquet file"
    try:
        with duckdb.connect() as database:
            query = "SELECT name FROM parquet_schema(?)"
            columns = {name for (name,) in database.execute(query, [glob_literal(path)]).fetchall()}
    except duckdb.Error as exc:
        return str(exc).splitlines()[0]
    missing = sorted(set(COLUMNS) - columns)
    return f"it has no column {', '.join(missing)}" if missing else None


def _leftovers(workspace: Workspace, _: Barred) -> Iterator[Finding]:
    if is_held(workspace, "collect"):
        return  # what is half written now is somebody's work
    found = [path for pattern in (".*.tmp", "*/*/.*.tmp", "lists/.*.tmp") for path in workspace.posts.glob(pattern)]
    if found:
        size = bytes_said(sum(path.stat().st_size for path in found))
        yield _finding(
            "posts",
            "note",
            f"A killed collector left {counted(len(found), 'half-written file')} ({size}), which nobody reads.",
            "The next `pasquin collect` removes what it left, and collects what was in it.",
        )


def _notes(workspace: Workspace, barred: Barred) -> Iterator[Finding]:
    remedies = {
        "cursors": "Remove it: the source is read from its beginning, and no post is stored twice.",
        "lists": "Remove it, and collect that list again.",
    }
    for folder, remedy in remedies.items():
        for path in sorted((workspace.posts / folder).glob("*.json")):
            if path in barred:
                continue
            try:
                whole = isinstance(json.loads(path.read_text(encoding="utf-8")), dict)
            except (OSError, ValueError):
                whole = False
            if not whole:
                yield _finding("posts", "problem", f"{path.relative_to(workspace.root)} is damaged.", remedy)


def _tombstones(workspace: Workspace, barred: Barred) -> Iterator[Finding]:
    path = tombstones_path(workspace)
    if path in barred:
        return
    try:
        stones = read_tombstones(workspace)
    except PasquinError as exc:
        yield _finding(
            *("tombstones", "problem", str(exc)),
            "Mend that line, or take the file out of a backup and forget again what was forgotten since: "
            f"{out_of_a_backup(workspace.root, path)}",
        )
        return
    if not stones:
        return
    if withdrawal_pending(workspace):
        yield _finding(
            *("tombstones", "warning", "Something was forgotten, and its words are hidden but not yet removed."),
            "The next `pasquin collect` (of any source) removes them.",
        )
    for name in _readable_corpora(workspace):
        try:
            left = len(forgotten_posts(workspace, name))
        except PasquinError:
            continue  # said of the corpus itself
        if left:
            yield _finding(
                "tombstones",
                "warning",
                f"{counted(left, 'forgotten post still stands', 'forgotten posts still stand')} in the corpus "
                f"`{name}` (hidden).",
                f"pasquin prepare {name}",
            )


def _readable_corpora(workspace: Workspace) -> Iterator[str]:
    for path in sorted(workspace.root.glob(f"corpora/[!.]*/{MANIFEST}")):  # passes over what may not be read
        try:
            read_manifest(path.parent)
        except PasquinError:
            continue
        yield path.parent.name


def _quarantine(workspace: Workspace, barred: Barred) -> Iterator[Finding]:
    files = [path for path in sorted(workspace.quarantine.glob("*.jsonl")) if path not in barred]
    for path in files[:_MOST_NAMED]:
        try:
            with path.open("rb") as handle:
                pieces = sum(1 for _ in handle)
        except OSError:
            pieces = 0
        yield _finding(
            "quarantine",
            "warning",
            f"{counted(pieces, 'piece')} of {path.stem.rpartition('-')[0]} could not be read.",
            f"Look into {path.relative_to(workspace.root)}: each line says where and why. Mend the source and collect "
            "it again, or remove the file.",
        )
    if len(files) > _MOST_NAMED:
        yield _finding(
            "quarantine",
            "warning",
            f"{counted(len(files) - _MOST_NAMED, 'more source has', 'more sources have')} unreadable pieces.",
            "Look into quarantine/.",
        )
