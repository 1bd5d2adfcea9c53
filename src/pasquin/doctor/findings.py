"""A finding: what was looked at, how it is, and the remedy where it is not well."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

Level = Literal["fine", "note", "warning", "problem"]
"""A `note` is no fault; a `warning` may become a problem; a `problem` keeps something from working."""


@dataclass(frozen=True, slots=True)
class Finding:
    """`about` is what was looked at (`torch`, `corpus vc`, `bot mybot`), `found` a sentence, `do` the remedy."""

    area: Literal["installation", "workspace", "database", "bots"]
    about: str
    level: Level
    found: str
    do: str = ""

    def told(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)


def out_of_a_backup(root: Path, path: Path) -> str:
    """The command that takes a file or folder of the workspace at `root` out of a backup, which is a plain tar file.

    With `m` its files count as new: a backup holds no times, and engines go by them.
    """
    return f"tar -xmf BACKUP -C {root} {path.relative_to(root).as_posix()}"


def bytes_said(number: float) -> str:
    """A size for people: 1.4 GB, 320 MB, 12 kB."""
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if number >= size:
            return f"{number / size:.1f} {unit}" if number < 10 * size else f"{number / size:,.0f} {unit}"
    return f"{number:.0f} bytes"
