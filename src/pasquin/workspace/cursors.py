"""How far each source was read: `posts/cursors/<source>.json`, written after the posts up to there are stored.

A collector killed in between reads that page again and finds its posts there: nothing is lost, nothing twice. A page
without a new post moves the cursor as well.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from pasquin.errors import WorkspaceError, disk_errors
from pasquin.workspace import Workspace
from pasquin.workspace.files import barred_error, write_atomically


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where reading a source stands (None: at its beginning), and whose posts it gave."""

    position: str | None = None
    accounts: frozenset[tuple[str, str]] = field(default_factory=frozenset)

    def after(self, position: str | None, accounts: Iterable[tuple[str, str]]) -> Cursor:
        """The cursor after a page of posts by `accounts`; a page without a position leaves that where it was."""
        return Cursor(position if position is not None else self.position, self.accounts | set(accounts))


def read_cursor(workspace: Workspace, source: str) -> Cursor:
    """The cursor of `source`, a fresh one when it was never read. Raises WorkspaceError when it is damaged."""
    path = _path(workspace, source)
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        return Cursor(
            str(kept["cursor"]), frozenset((str(network), str(account)) for network, account in kept["accounts"])
        )
    except FileNotFoundError:
        return Cursor()
    except PermissionError as exc:
        raise barred_error(path) from exc
    except (OSError, ValueError, KeyError, TypeError) as exc:
        raise WorkspaceError(
            f"{path} is damaged. Remove it: the source is then read from its beginning, and no post is stored twice."
        ) from exc


def write_cursor(workspace: Workspace, source: str, cursor: Cursor) -> None:
    """Keep `cursor`; it is on the disk when this returns. Raises ResourceError or WorkspaceError."""
    content = {
        "source": source,
        "cursor": cursor.position,
        "accounts": [list(pair) for pair in sorted(cursor.accounts)],
    }
    with disk_errors("write how far a source was read"):
        write_atomically(_path(workspace, source), json.dumps(content, ensure_ascii=False) + "\n")


def _path(workspace: Workspace, source: str) -> Path:
    readable = "".join(letter if letter.isalnum() and letter.isascii() else "-" for letter in source)[:60].strip("-")
    digest = sha256(source.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    return workspace.posts / "cursors" / f"{readable}-{digest}.json"
