"""What to send and what to fetch: three states compared, name by name.

`base` is how both sides were after the last sync. What changed on one side only goes to the other; what changed on both
alike is in order; what changed on both differently is a conflict, and nothing happens until a person says who is right.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

Side = Literal["here", "there"]
Entry = tuple[int, str]
"""Bytes and SHA-256 of a file."""
Files = Mapping[str, Entry]

NAME: Final = re.compile(r"(?:posts|corpora|models|\.lineage)(?:/(?!\.)[^/\\\x00-\x1f:]{1,255}){1,8}")
LOGS: Final = ("posts/tombstones.jsonl", "posts/rights.jsonl")
"""Only ever added to: both sides' lines are kept, so they never conflict."""
_NOTES: Final = ("posts/cursors/", "posts/lists/", "posts/shown/")


@dataclass(frozen=True)
class Plan:
    """Names to send, to fetch, and to remove on either side, and those that changed on both."""

    send: tuple[str, ...] = ()
    fetch: tuple[str, ...] = ()
    remove_there: tuple[str, ...] = ()
    remove_here: tuple[str, ...] = ()
    conflicts: tuple[str, ...] = ()

    def only(self, way: Literal["send", "fetch"] | None) -> Plan:
        """The part of it that goes one way; all of it for None."""
        if way == "send":
            return Plan(self.send, (), self.remove_there, ())
        return self if way is None else Plan((), self.fetch, (), self.remove_here)

    @property
    def sends(self) -> bool:
        """Whether the other side is to change."""
        return bool(self.send or self.remove_there)

    @property
    def fetches(self) -> bool:
        """Whether this side is to change."""
        return bool(self.fetch or self.remove_here)


def make_plan(here: Files, base: Files, there: Files, prefer: Side | None = None) -> Plan:
    """The plan for both directions; with `prefer` a conflict is decided for that side."""
    send, fetch, remove_there, remove_here, conflicts = list[str](), list[str](), list[str](), list[str](), list[str]()
    for name in sorted(set(here) | set(base) | set(there)):
        mine, before, theirs = here.get(name), base.get(name), there.get(name)
        if mine == theirs:
            continue
        if name in LOGS:
            send.append(name)  # they were merged before
        elif theirs == before or (mine != before and prefer == "here"):
            (send if mine else remove_there).append(name)
        elif mine == before or prefer == "there":
            (fetch if theirs else remove_here).append(name)
        else:
            conflicts.append(name)
    ordered = [tuple(sorted(names, key=rank)) for names in (send, fetch, remove_there, remove_here)]
    return Plan(ordered[0], ordered[1], ordered[2], ordered[3], tuple(conflicts))


def rank(name: str) -> tuple[int, str]:
    """The order in which files are written: what notes speak of, manifests, then notes (cursors, lists, tombstones)."""
    if name.startswith(_NOTES) or name in LOGS:
        return 2, name
    return int(name.endswith("/manifest.json")), name


def folder_of(name: str) -> str | None:
    """The corpus or model that a file belongs to (`corpora/vc`), None for others."""
    parts = name.split("/")
    return "/".join(parts[:2]) if parts[0] in ("corpora", "models") else None
