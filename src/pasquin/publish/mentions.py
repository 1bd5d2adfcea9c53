"""A bot never speaks to people by itself: @mentions are made harmless."""

from __future__ import annotations

from typing import Final

import regex

# Before a name an at sign calls somebody; networks do not take it for a mention where something stands between.
_MENTION: Final = regex.compile(r"[@\uFF20](?=[\p{L}\p{N}_])")
_APART: Final = "\u200b"


def without_mentions(text: str) -> str:
    """The text with a zero-width space behind each at sign that would call somebody; it looks the same."""
    return str(_MENTION.sub(lambda found: found[0] + _APART, text))
