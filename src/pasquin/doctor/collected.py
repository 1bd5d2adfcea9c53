"""Are the collected posts whole: shards, cursors, lists, tombstones, and what is in quarantine?"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Final

from pasquin.counts import counted
from pasquin.doctor.findings import Finding, bytes_said
from pasquin.errors import PasquinError
from pasquin.workspace import Workspace
from pasquin.workspace.corpora import forgotten_posts
from pasquin.workspace.files import read_manifest
from pasquin.workspace.locks import is_held
from pasquin.workspace.shards import COLUMNS, glob_literal
from pasquin.workspace.tombstones import read_tombstones, withdrawal_pending

_MARK: Final = b"PAR1"
_MOST_NAMED: Final = 5

_finding = partial(Finding, "workspace")


def examine_collected(workspace: Workspace) -> Iterator[Finding]:
    """Everything under `posts/` and `quarantine/`."""
    if workspace.posts.is_dir():
        yield from _shards(workspace)
        yield from _leftovers(workspace)
        yield from _notes(workspace)
        yield from _tombstones(workspace)
    else:
        yield _finding("posts", "note", "Nothing was collected yet.", "pasquin collect SOURCE")
    yield from _quarantine(workspace)


def _shards(workspace: Workspace) -> Iterator[Finding]:
    shards = sorted(workspace.posts.glob("*/*/*.parquet"))
    damaged = {path: reason for path in shards if (reason := damage_of_shard(path))}
    for path, reason in list(damaged.items())[:_MOST_NAMED]:
        yield _finding(
            *("posts", "problem", f"The shard {path.relative_to(workspace.root)} is damaged: {reason}."),
            "Move it away and collect its source again, or bring it back with `pasquin restore`.",
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


def _leftovers(workspace: Workspace) -> Iterator[Finding]:
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


def _notes(workspace: Workspace) -> Iterator[Finding]:
    remedies = {
        "cursors": "Remove it: the source is read from its beginning, and no post is stored twice.",
        "lists": "Remove it, and collect that list again.",
    }
    for folder, remedy in remedies.items():
        for path in sorted((workspace.posts / folder).glob("*.json")):
            try:
                whole = isinstance(json.loads(path.read_text(encoding="utf-8")), dict)
            except (OSError, ValueError):
                whole = False
            if not whole:
                yield _finding("posts", "problem", f"{path.relative_to(workspace.root)} is damaged.", remedy)


def _tombstones(workspace: Workspace) -> Iterator[Finding]:
    try:
        stones = read_tombstones(workspace)
    except PasquinError as exc:
        yield _finding("tombstones", "problem", str(exc), "Mend that line, or restore the file from a backup.")
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
    for name in workspace.corpora():
        try:
            read_manifest(workspace.corpus_dir(name))
        except PasquinError:
            continue
        yield name


def _quarantine(workspace: Workspace) -> Iterator[Finding]:
    files = sorted(workspace.quarantine.glob("*.jsonl"))
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
