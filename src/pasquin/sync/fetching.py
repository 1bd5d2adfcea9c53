"""Fetching: into `.sync/incoming` by hash, so that a transfer goes on where it stopped; then into place at once."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from pasquin.errors import WorkspaceError
from pasquin.progress import Progress
from pasquin.sync.bucket import Bucket
from pasquin.sync.memory import FOLDER
from pasquin.sync.plan import LOGS, Files, Plan, folder_of
from pasquin.workspace import Workspace
from pasquin.workspace.files import replacing, sync
from pasquin.workspace.snapshot import link

_CHECKPOINTS: Final = "checkpoints"


def fetch(
    workspace: Workspace, bucket: Bucket, plan: Plan, found: Mapping[str, Path], there: Files, progress: Progress
) -> None:
    """Bring here what the plan says; `found` is the snapshot the plan was made of.

    Raises WorkspaceError when others are at work on what is to change, or have changed it meanwhile.
    """
    if not plan.fetches:
        return
    incoming = workspace.root / FOLDER / "incoming"
    incoming.mkdir(parents=True, exist_ok=True)
    with progress.task("Fetching", sum(there[name][0] for name in plan.fetch), "bytes") as task:
        for name in plan.fetch:
            size, digest = there[name]
            if not (incoming / digest).exists():
                bucket.fetch(name, incoming / f".{digest}.tmp", there[name])
                os.replace(incoming / f".{digest}.tmp", incoming / digest)
            task.advance(size, name)
    with ExitStack() as locks:
        for lock in sorted({_lock_of(name) for name in (*plan.fetch, *plan.remove_here)}):
            locks.enter_context(workspace.lock(lock))
        _check_unchanged(workspace, plan, found)
        _apply(workspace, plan, there, incoming)
    shutil.rmtree(incoming)


def _lock_of(name: str) -> str:
    parts = name.split("/")
    return {"posts": "collect", "models": f"train-{parts[1]}"}.get(parts[0], "prepare")


def _check_unchanged(workspace: Workspace, plan: Plan, found: Mapping[str, Path]) -> None:
    for name in (*plan.fetch, *plan.remove_here):
        path, before = workspace.root / name, found.get(name)
        if path.exists() != (before is not None) or (before is not None and _marks(path) != _marks(before)):
            raise WorkspaceError(f"{name} changed while it was synced. Sync again.")


def _marks(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_size, status.st_mtime_ns


def _apply(workspace: Workspace, plan: Plan, there: Files, incoming: Path) -> None:
    root = workspace.root
    folders = sorted({folder for name in (*plan.fetch, *plan.remove_here) if (folder := folder_of(name))})
    for folder in folders:
        files = {name: incoming / there[name][1] for name in plan.fetch if folder_of(name) == folder}
        gone = {name for name in plan.remove_here if folder_of(name) == folder}
        _replace_folder(root, folder, files, gone)
    for name in plan.fetch:
        if folder_of(name) is None and name not in LOGS:
            with replacing(root / name) as temporary:
                shutil.copyfile(incoming / there[name][1], temporary)
    for name in plan.remove_here:
        if folder_of(name) is None:
            (root / name).unlink(missing_ok=True)


def _replace_folder(root: Path, folder: str, files: Mapping[str, Path], gone: set[str]) -> None:
    """Build a corpus or model beside its place out of what stays and what came, and swap it in."""
    final = root / folder
    building, old = final.with_name(f".{final.name}.building"), final.with_name(f".{final.name}.old")
    shutil.rmtree(building, ignore_errors=True)
    shutil.rmtree(old, ignore_errors=True)
    building.mkdir(parents=True)
    for path in sorted(final.rglob("*")) if final.is_dir() else ():
        name = path.relative_to(root).as_posix()
        inside = path.relative_to(final)
        hidden = any(part.startswith(".") for part in inside.parts) or inside.parts[0] == _CHECKPOINTS
        if path.is_file() and not hidden and name not in gone and name not in files:
            (building / inside).parent.mkdir(parents=True, exist_ok=True)
            link(path, building / inside)
    for name, content in files.items():
        target = building / Path(name).relative_to(folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(content, target)
        sync(target)
    if final.exists():
        os.replace(final, old)
    if any(building.iterdir()):
        os.replace(building, final)
        if (old / _CHECKPOINTS).is_dir():
            os.replace(old / _CHECKPOINTS, final / _CHECKPOINTS)
    else:
        building.rmdir()
    sync(final.parent)
    shutil.rmtree(old, ignore_errors=True)
