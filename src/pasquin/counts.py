"""Counts in sentences for people: one post, two posts."""

from __future__ import annotations


def counted(number: int, one: str, many: str = "") -> str:
    """`number` and what is counted: "1 post", "1,200 posts". `many` where it is not `one` with an s: ("piece is",
    "pieces are")."""
    return f"{number:,} {one if number == 1 else many or f'{one}s'}"
