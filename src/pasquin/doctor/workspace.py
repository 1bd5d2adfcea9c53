"""Is a workspace whole, writable, and free of what killed runs leave behind?"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Final

from pasquin.config import (
    CollectSettings,
    CurateSettings,
    GenerateSettings,
    MeasureSettings,
    PlaySettings,
    PrepareSettings,
    PublishSettings,
    ServeSettings,
    StageSettings,
    TrainSettings,
    load,
    read_toml,
)
from pasquin.doctor.collected import examine_collected
from pasquin.doctor.findings import Finding, bytes_said
from pasquin.doctor.made import examine_corpora, examine_models
from pasquin.errors import UsageError
from pasquin.workspace import FORMAT, Workspace
from pasquin.workspace.locks import holders
from pasquin.workspace.secrets_in_file import secrets_of

_SETTINGS: Final[tuple[type[StageSettings], ...]] = (
    *(CollectSettings, PrepareSettings, TrainSettings, GenerateSettings, CurateSettings),
    *(PublishSettings, PlaySettings, ServeSettings, MeasureSettings),
)
_TABLES: Final = frozenset({"workspace", "rights", "bots"})
_LITTLE: Final = 10**9
_NOTHING: Final = 10**8
_FOLDERS: Final = (".", "posts", "corpora", "models", "quarantine", ".locks", ".lineage")

_finding = partial(Finding, "workspace")


def examine(workspace: Workspace) -> Iterator[Finding]:
    """Everything about a workspace but its database and its bots."""
    yield _finding("workspace", "fine", f"{workspace.root} is a workspace.")
    yield from _settings(workspace)
    yield from _permissions(workspace)
    yield from _disk(workspace)
    yield from _locks(workspace)
    yield from examine_collected(workspace)
    yield from examine_corpora(workspace)
    yield from examine_models(workspace)


def _settings(workspace: Workspace) -> Iterator[Finding]:
    try:
        tables = read_toml(workspace.toml)
    except UsageError as exc:
        yield _finding("pasquin.toml", "problem", str(exc), "Mend that line.")
        return
    own = tables.get("workspace")
    number = own.get("format", FORMAT) if isinstance(own, dict) else FORMAT
    if not isinstance(number, int) or number > FORMAT:
        yield _finding(
            *("pasquin.toml", "problem", f"The workspace has format {number}, and this Pasquin knows up to {FORMAT}."),
            "Update Pasquin: pip install --upgrade pasquin",
        )
    for settings in _SETTINGS:
        try:
            load(settings, workspace.toml)
        except UsageError as exc:
            yield _finding("pasquin.toml", "problem", str(exc), "Mend that setting in pasquin.toml or the environment.")
    stages = {one.stage for one in _SETTINGS}
    for name in sorted(set(tables) - stages - _TABLES):
        yield _finding(
            *("pasquin.toml", "warning", f"Nothing reads the table [{name}]."),
            f"Remove it, or mend its name; there are {', '.join(sorted(stages | _TABLES))}.",
        )
    for place in secrets_of(workspace.toml):
        yield _finding(
            *("pasquin.toml", "problem", f"`{place}` looks like a secret, and pasquin.toml is no place for one."),
            "Take it out, replace the secret where it came from, and set it in the environment or the keyring.",
        )


def _permissions(workspace: Workspace) -> Iterator[Finding]:
    fine = True
    for name in _FOLDERS:
        folder = workspace.root / name
        if folder.is_dir() and not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
            fine = False
            yield _finding(
                *("permissions", "problem", f"{folder} cannot be read and written by this user."),
                f"As its owner or root: chown -R {os.getuid()} {workspace.root}",
            )
    others = [path for path in _own_files(workspace) if path.lstat().st_uid != workspace.root.stat().st_uid]
    if others:
        fine = False
        yield _finding(
            *("permissions", "warning", f"{others[0]} belongs to another user than the workspace (a run as root?)."),
            f"chown -R --reference={workspace.toml} {workspace.root}",
        )
    for path in (workspace.toml, workspace.root / "pasquin.db"):
        if path.exists() and path.stat().st_mode & stat.S_IWOTH:
            fine = False
            yield _finding(
                "permissions", "warning", f"Everybody on this machine may write {path}.", f"chmod o-w {path}"
            )
    if fine:
        yield _finding("permissions", "fine", "Everything can be read and written.")


def _own_files(workspace: Workspace) -> Iterator[Path]:
    """A bounded look at files: a run as root leaves so many that the first ones tell."""
    for name in ("*", "posts/*/*", "corpora/*", "models/*", ".locks/*"):
        yield from islice(workspace.root.glob(name), 1_000)


def _disk(workspace: Workspace) -> Iterator[Finding]:
    free = shutil.disk_usage(workspace.root).free
    if free < _LITTLE:
        yield _finding(
            *("disk", "problem" if free < _NOTHING else "warning", f"{bytes_said(free)} are free on the disk."),
            "Free some space, or move the workspace; finished models under models/ are usually the largest.",
        )
    else:
        yield _finding("disk", "fine", f"{bytes_said(free)} are free on the disk.")


def _locks(workspace: Workspace) -> Iterator[Finding]:
    """Locks go with their process, however it ends: a lock file that nobody holds binds nobody."""
    for name, process in holders(workspace):
        who = f"process {process}" if process else "another process"
        yield _finding(f"lock {name}", "note", f"{who} is at work on `{name}`.", "Wait for it, or end it with Ctrl-C.")
