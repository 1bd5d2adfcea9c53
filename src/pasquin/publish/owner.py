"""Who holds a claim: this process, named so that a later one on the same machine can tell whether it still lives.

The name is made of the machine's boot, its namespace of process numbers, the number and the start of the process.
Without Linux's /proc it is a random name, and nobody can tell: claims are then freed by their lease alone.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path

_PROC = Path("/proc")


def this_owner() -> str:
    """The name of this process as an owner of claims; different after a fork."""
    place = _place()
    if place is None:
        return f"?|{secrets.token_hex(8)}"
    return f"{place}|{os.getpid()}|{_start(os.getpid())}"


def surely_dead(owner: str) -> bool:
    """Whether the owner of a claim ran here and runs no more; False whenever that cannot be told."""
    place, _, rest = owner.partition("|")
    number, _, start = rest.partition("|")
    if place != _place() or not number.isdecimal():
        return False
    return _start(int(number)) != start


def _place() -> str | None:
    try:
        boot = (_PROC / "sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}:{(_PROC / 'self/ns/pid').readlink()}".replace("|", "")
    except OSError:
        return None


def _start(number: int) -> str:
    """When the process was started, in clock ticks since boot; empty when there is none, or only its corpse."""
    try:
        fields = (_PROC / str(number) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in "ZX" else fields[19]
