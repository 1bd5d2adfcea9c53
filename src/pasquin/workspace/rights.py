"""Why collected posts may be used: what the owner of the workspace has stated, and the record of it.

Two kinds of statement. In `pasquin.toml`, for what would otherwise stay out of every corpus:

    [rights]
    x-api = "X gave me permission in writing on 2026-03-01, for this bot."
    unknown = "All of these are my own posts."

and in `posts/rights.jsonl`, to which collecting adds a line for every file that was given, and for every server whose
rules were accepted. Lines are only ever added.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import orjson

from pasquin.config import read_toml
from pasquin.errors import UsageError, WorkspaceError, disk_errors
from pasquin.records import Rights
from pasquin.workspace import Workspace
from pasquin.workspace.files import barred_error, make_folder, sync

GATED: Final = ("x-api", "unknown")
"""Rights that keep a post out of every corpus unless a statement in `pasquin.toml` says otherwise."""
PROVIDED: Final = "Given as a file by the owner of this workspace, who answers for the right to use it."
"""What giving a file states."""
_FILE: Final = "rights.jsonl"
_LEAST_WORDS: Final = 3


def statements(workspace: Workspace) -> dict[str, str]:
    """What the table `[rights]` of `pasquin.toml` states, by the rights it is about.

    Raises UsageError for a statement that says nothing, or is about something that needs none.
    """
    table = read_toml(workspace.toml).get("rights", {})
    if not isinstance(table, dict):
        raise UsageError(f"[rights] in {workspace.toml} must be a table of statements.")
    stated = {}
    for key, value in table.items():
        name = key.replace("_", "-")
        if name not in GATED:
            raise UsageError(
                f"[rights] in {workspace.toml} knows {' and '.join(GATED)}; there is nothing like `{key}`."
            )
        if not isinstance(value, str) or len(value.split()) < _LEAST_WORDS:
            raise UsageError(
                f"`{key}` under [rights] in {workspace.toml} must say, in a sentence, why these posts may be used."
            )
        stated[name] = " ".join(value.split())
    return stated


def permitted(rights: Rights, stated: Mapping[str, str]) -> bool:
    """Whether a post with these rights may enter a corpus."""
    return rights not in GATED or rights in stated


def how_to_state(rights: Rights) -> str:
    """What to say to somebody whose posts stay out."""
    why = (
        "X's terms forbid learning from its API; if X permits you"
        if rights == "x-api"
        else "it is not known why they may be used; if you know"
    )
    return f'{why}, state it in pasquin.toml: [rights] {rights} = "…"'


def record(workspace: Workspace, kind: str, **entry: object) -> None:
    """Add a line to `posts/rights.jsonl`; it is on the disk when this returns."""
    path = _path(workspace)
    line = orjson.dumps(
        {"at": datetime.now(UTC), "kind": kind, **entry},
        option=orjson.OPT_APPEND_NEWLINE | orjson.OPT_UTC_Z | orjson.OPT_OMIT_MICROSECONDS,
    )
    with disk_errors("write the record of rights"):
        make_folder(path.parent)
        with path.open("a+b") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            handle.seek(0)
            handle.truncate(handle.read().rfind(b"\n") + 1)  # what a killed writer left unfinished
            handle.write(line)
            handle.flush()
            os.fsync(handle.fileno())
        sync(path.parent)


def recorded(workspace: Workspace, kind: str | None = None) -> list[dict[str, Any]]:
    """The lines of `posts/rights.jsonl`, oldest first, of one `kind` or all. Raises WorkspaceError when damaged."""
    path = _path(workspace)
    try:
        content = path.read_bytes()
        entries = [orjson.loads(line) for line in content[: content.rfind(b"\n") + 1].splitlines()]
    except FileNotFoundError:
        return []
    except PermissionError as exc:
        raise barred_error(path) from exc
    except (OSError, orjson.JSONDecodeError) as exc:
        raise WorkspaceError(f"{path} is damaged ({exc}). Mend that line, or bring the file back.") from exc
    return [entry for entry in entries if kind is None or entry.get("kind") == kind]


def _path(workspace: Workspace) -> Path:
    return workspace.posts / _FILE
