"""Is a workspace whole, writable, and free of what killed runs leave behind?"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import suppress
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
from pasquin.config.access import remedy, user
from pasquin.counts import counted
from pasquin.doctor.collected import examine_collected
from pasquin.doctor.findings import Finding, bytes_said
from pasquin.doctor.made import examine_corpora, examine_models
from pasquin.doctor.reach import FOLDERS, NOTHING, Barred, is_read_only
from pasquin.errors import UsageError
from pasquin.workspace import UPDATE, Workspace, later_format
from pasquin.workspace.locks import holders
from pasquin.workspace.secrets_in_file import secrets_of

_SETTINGS: Final[tuple[type[StageSettings], ...]] = (
    *(CollectSettings, PrepareSettings, TrainSettings, GenerateSettings, CurateSettings),
    *(PublishSettings, PlaySettings, ServeSettings, MeasureSettings),
)
_TABLES: Final = frozenset({"workspace", "rights", "bots"})
_LITTLE: Final = 10**9

_finding = partial(Finding, "workspace")


def examine(workspace: Workspace, barred: Barred) -> Iterator[Finding]:
    """Everything about a workspace but its database and its bots."""
    yield _finding("workspace", "fine", f"{workspace.root} is a workspace.")
    yield from barred.told()
    if workspace.toml not in barred:
        yield from barred.past(_settings(workspace))
    yield from barred.past(_permissions(workspace, barred))
    yield from _disk(workspace)
    yield from barred.past(_locks(workspace))
    yield from examine_collected(workspace, barred)
    yield from barred.past(examine_corpora(workspace, barred))
    yield from barred.past(examine_models(workspace, barred))


def _settings(workspace: Workspace) -> Iterator[Finding]:
    try:
        tables = read_toml(workspace.toml)
    except UsageError as exc:
        yield _finding("pasquin.toml", "problem", str(exc), "Mend that line.")
        return
    if later := later_format(workspace.toml):
        yield _finding("pasquin.toml", "problem", later, UPDATE)
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


def _permissions(workspace: Workspace, barred: Barred) -> Iterator[Finding]:
    found = list(_writing(workspace, barred))
    if not is_read_only(workspace.root):
        found += _strangers(workspace)
    yield from found
    if not found and not barred.touches(workspace.root):
        yield _finding("permissions", "fine", "Everything can be read and written.")


def _writing(workspace: Workspace, barred: Barred) -> Iterator[Finding]:
    shut = [folder for folder in (workspace.root / name for name in FOLDERS) if _unwritable(folder, barred)]
    read_only = [folder for folder in shut if is_read_only(folder)]
    if read_only:
        yield _finding(
            "permissions",
            "note",
            f"{read_only[0]} is on a read-only file system: fine for publishing and playing with a database elsewhere "
            "(PASQUIN_DATABASE_URL).",
            "To collect, prepare, train or generate here, mount it writable.",
        )
    if others := [folder for folder in shut if folder not in read_only]:
        more = f" and {counted(len(others) - 1, 'more folder')}" if others[1:] else ""
        yield _finding(
            *("permissions", "problem", f"{others[0]}{more} cannot be written by the user `{user()}`, who runs this."),
            remedy(others[0], workspace.root),
        )


def _unwritable(folder: Path, barred: Barred) -> bool:
    return folder.is_dir() and folder not in barred and not os.access(folder, os.W_OK)


def _strangers(workspace: Workspace) -> Iterator[Finding]:
    """Files of another user, and files that everybody may write."""
    mine = workspace.root.stat().st_uid
    foreign = [path for path in _own_files(workspace) if _owner(path) not in (mine, None)]
    if foreign:
        yield _finding(
            *("permissions", "warning", f"{foreign[0]} belongs to another user than the workspace (a run as root?)."),
            f"chown -R --reference={workspace.toml} {workspace.root}",
        )
    for path in (workspace.toml, workspace.root / "pasquin.db"):
        if path.exists() and path.stat().st_mode & stat.S_IWOTH:
            yield _finding(
                "permissions", "warning", f"Everybody on this machine may write {path}.", f"chmod o-w {path}"
            )


def _own_files(workspace: Workspace) -> Iterator[Path]:
    """A bounded look at files: a run as root leaves so many that the first ones tell."""
    for name in ("*", "posts/*/*", "corpora/*", "models/*", ".locks/*"):
        yield from islice(workspace.root.glob(name), 1_000)


def _owner(path: Path) -> int | None:
    with suppress(OSError):
        return path.lstat().st_uid
    return None  # it went meanwhile, or may not be looked at


def _disk(workspace: Workspace) -> Iterator[Finding]:
    if is_read_only(workspace.root):
        return  # such a file system may be as large as what is in it
    free = shutil.disk_usage(workspace.root).free
    if free < _LITTLE:
        yield _finding(
            *("disk", "problem" if free < NOTHING else "warning", f"{bytes_said(free)} are free on the disk."),
            "Free some space, or move the workspace; finished models under models/ are usually the largest.",
        )
    else:
        yield _finding("disk", "fine", f"{bytes_said(free)} are free on the disk.")


def _locks(workspace: Workspace) -> Iterator[Finding]:
    """Locks go with their process, however it ends: a lock file that nobody holds binds nobody."""
    for name, process in holders(workspace):
        who = f"process {process}" if process else "another process"
        yield _finding(f"lock {name}", "note", f"{who} is at work on `{name}`.", "Wait for it, or end it with Ctrl-C.")
