"""A workspace whose place is a bucket: a working copy of it here, brought up to date before work and sent after it.

The copy is in the user's cache folder (`PASQUIN_CACHE_DIR`) and stays there, so a second command fetches only what
changed, and what a command that failed or was killed had done goes along with the next one. What people do is in the
database, which is not in the bucket: a database of its own is required, or decisions would stay behind in a cache.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from platformdirs import user_cache_path

from pasquin.errors import UsageError
from pasquin.progress import Progress
from pasquin.sync import sync
from pasquin.workspace import Workspace


def check_out(url: str, progress: Progress) -> Workspace:
    """The working copy of the workspace at `url` (`s3://BUCKET/PREFIX`), as new as what is there; it may be empty.

    Raises UsageError when no database is set or `url` is no address, and what `sync` raises.
    """
    if not os.environ.get("PASQUIN_DATABASE_URL"):
        raise UsageError(
            f"A bucket does not hold what people do. Set PASQUIN_DATABASE_URL to the database of the workspace {url}."
        )
    cache = Path(os.environ.get("PASQUIN_CACHE_DIR") or user_cache_path("pasquin")).expanduser()
    workspace = Workspace.create(cache / "workspaces" / hashlib.sha256(url.encode()).hexdigest()[:24])
    sync(workspace, url, progress=progress)
    return workspace
