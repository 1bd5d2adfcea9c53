"""What is said of a path that this user may not read: which it is, who we are, and the remedy."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from pasquin.counts import counted

if sys.platform != "win32":  # where files have other kinds of owners
    import pwd


def may_not_read(path: Path) -> str:
    """What happened and what to do, for an error."""
    return " ".join(barred(path))


def barred(path: Path, more: int = 0) -> tuple[str, str]:
    """What happened (also to so many `more` files of the same folder), and what to do about it."""
    place, folder = _place(path), barred_folder(path)
    others = f" and {counted(more, 'more file')} there" if more else ""
    return f"{place}{others} may not be read by the user `{user()}`, who runs this.", remedy(place, folder)


def barred_folder(path: Path) -> Path:
    """The folder that may not be read, or holds the file that may not."""
    place = _place(path)
    return place if place.is_dir() else place.parent


def user(number: int | None = None) -> str:
    """The name of a user, by default of who we are; the number where it has none."""
    if sys.platform == "win32":
        return os.environ.get("USERNAME", "this one")
    number = os.geteuid() if number is None else number
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


def remedy(place: Path, folder: Path) -> str:
    """How this user comes to have the right to a place, and to all else in a folder."""
    if sys.platform == "win32":
        return f"Run it as a user who may read {folder}, or give this one that right."
    owner = place.stat().st_uid
    if owner == os.geteuid():
        return f"Give its owner that right: chmod -R u+rwX {folder}"
    return f"Run it as its owner, `{user(owner)}`, or change the owner: chown -R {user()} {folder}"


def _place(path: Path) -> Path:
    """The first folder on the way to `path` that may not be entered, else the path itself; links are followed."""
    real = path.resolve()
    shut = (folder for folder in reversed(real.parents) if folder.is_dir() and not os.access(folder, os.X_OK))
    return next(shut, real)
