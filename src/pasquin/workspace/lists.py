"""Source lists: `posts/lists/<name>.json` remembers which accounts a list gave in all runs."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from pasquin.errors import WorkspaceError, disk_errors
from pasquin.workspace import Workspace, check_name
from pasquin.workspace.files import barred_error, write_atomically


def read_list(workspace: Workspace, name: str) -> list[tuple[str, str]]:
    """The (network, account) pairs that the source list `name` gave in all runs, sorted.

    Raises WorkspaceError, naming the lists there are, when it was never collected.
    """
    path = _list_path(workspace, name)
    try:
        pairs = json.loads(path.read_text(encoding="utf-8"))["accounts"]
        return sorted((str(network), str(account)) for network, account in pairs)
    except FileNotFoundError as exc:
        there = ", ".join(sorted(found.stem for found in path.parent.glob("*.json"))) or "none yet"
        raise WorkspaceError(
            f"No source list `{name}` was collected here (there are: {there}). "
            f"Collect it with `pasquin collect @sources/{name}.txt`."
        ) from exc
    except PermissionError as exc:
        raise barred_error(path) from exc
    except (OSError, ValueError, KeyError, TypeError) as exc:
        raise WorkspaceError(f"{path} is damaged. Remove it and collect `@sources/{name}.txt` again.") from exc


def add_to_list(workspace: Workspace, name: str, accounts: Iterable[tuple[str, str]]) -> None:
    """Remember that the source list `name` gave posts of these (network, account) pairs too."""
    path = _list_path(workspace, name)
    known = set(read_list(workspace, name)) if path.exists() else set()
    wanted = known | set(accounts)
    if wanted == known:
        return
    content = {"list": name, "accounts": [list(pair) for pair in sorted(wanted)]}
    with disk_errors("write the source list's accounts"):
        write_atomically(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def _list_path(workspace: Workspace, name: str) -> Path:
    return workspace.posts / "lists" / f"{check_name(name, 'source list')}.json"
