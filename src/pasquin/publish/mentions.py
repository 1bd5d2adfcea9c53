"""A bot never speaks to people by itself: @mentions are made harmless, links are found."""

from __future__ import annotations

from typing import Final

import regex

# Before a name an at sign calls somebody; networks do not take it for a mention where something stands between.
_MENTION: Final = regex.compile(r"[@\uFF20](?=[\p{L}\p{N}_])")
_APART: Final = "\u200b"
_LINK: Final = regex.compile(
    r"https?://\S+|(?<![\p{L}\p{N}@_.-])(?:[\p{L}\p{N}](?:[\p{L}\p{N}-]{0,61}[\p{L}\p{N}])?\.)+"
    r"(?:com|org|net|io|co|ai|app|dev|edu|gov|info|me|ly|gg|tv|uk|de|fr|it|es|eu|us|xyz|social|blog|news|link)(?![\p{L}\p{N}-])",
    regex.IGNORECASE,
)


def without_mentions(text: str) -> str:
    """The text with a zero-width space behind each at sign that would call somebody; it looks the same."""
    return str(_MENTION.sub(lambda found: found[0] + _APART, text))


def has_link(text: str) -> bool:
    """Whether networks would make a link of some of the text."""
    return _LINK.search(text) is not None
