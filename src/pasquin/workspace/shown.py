"""Which posts of an owner's archive the network has shown, too: `posts/shown/<account>.txt`, a URI a line.

An archive holds more than its network shows: what its author deleted since, what a server hides from strangers or has
lost. That such a post is missing on the network says nothing, unless the network showed it once: then it was deleted.
"""

from __future__ import annotations

from collections.abc import Collection
from hashlib import sha256
from pathlib import Path

from pasquin.errors import WorkspaceError, disk_errors
from pasquin.workspace import Workspace
from pasquin.workspace.files import barred_error, write_atomically


def read_shown(workspace: Workspace, network: str, account: str) -> frozenset[str]:
    """URIs of the posts that are noted; none when there is nothing. Raises WorkspaceError when that cannot be read."""
    path = _path(workspace, network, account)
    try:
        return frozenset(path.read_text(encoding="utf-8").splitlines())
    except FileNotFoundError:
        return frozenset()
    except PermissionError as exc:
        raise barred_error(path) from exc
    except (OSError, ValueError) as exc:
        raise WorkspaceError(f"{path} is damaged. Remove it: it is written again by the next runs.") from exc


def write_shown(workspace: Workspace, network: str, account: str, uris: Collection[str]) -> None:
    """Note these in the place of what is noted. Raises ResourceError or WorkspaceError."""
    with disk_errors("write which posts were shown"):
        write_atomically(_path(workspace, network, account), "".join(f"{uri}\n" for uri in sorted(uris)))


def _path(workspace: Workspace, network: str, account: str) -> Path:
    digest = sha256(f"{network} {account}".encode("utf-8", "surrogatepass")).hexdigest()[:24]
    return workspace.posts / "shown" / f"{network}-{digest}.txt"
