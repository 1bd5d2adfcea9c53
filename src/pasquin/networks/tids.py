"""TIDs: keys of 13 characters that hold a time in microseconds and sort by it (atproto.com/specs/tid)."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime, timedelta
from typing import Final

_ALPHABET: Final = "234567abcdefghijklmnopqrstuvwxyz"
_LENGTH: Final = 13
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def new_tid(now: datetime) -> str:
    """A TID for a moment: microseconds since 1970, then ten bits of chance. Up to a second of the time is chance, too,
    so that many publishers, or a clock that stands still, make no key twice."""
    number = ((now - _EPOCH) // timedelta(microseconds=1) - secrets.randbelow(2**20) << 10) | secrets.randbelow(1024)
    return "".join(_ALPHABET[number >> 5 * place & 31] for place in reversed(range(_LENGTH)))


def tid_time(tid: str) -> datetime:
    """The moment in a TID, in UTC. Raises ValueError when it is none."""
    number = 0
    for character in tid:
        number = number << 5 | _ALPHABET.index(character)
    if len(tid) != _LENGTH or number >= 1 << 63:
        raise ValueError(f"{tid} is no TID")
    return _EPOCH + timedelta(microseconds=number >> 10)
