"""How long a text is by the rules of each network, as its publisher counts when it comes to that.

    bluesky    at most 300 graphemes (what a person calls a character) and 3,000 bytes of UTF-8
    mastodon   at most 500 graphemes (or what the instance says), a link counts 23
    x          at most 280 by weight (`lengths.x_weight`)

The page counts by the same rules while somebody types (`web/src/curate/lengths.ts`); a test holds the two together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import regex

from pasquin.lengths.links import with_links_as
from pasquin.lengths.x_weight import MAX_WEIGHT, x_weight

Target = Literal["bluesky", "mastodon", "x"]
TARGETS: Final[tuple[Target, ...]] = ("bluesky", "mastodon", "x")

BLUESKY_GRAPHEMES: Final = 300
BLUESKY_BYTES: Final = 3_000
MASTODON_CHARACTERS: Final = 500
X_WEIGHT: Final = MAX_WEIGHT
_LINK: Final = "x" * 23
_GRAPHEME: Final = regex.compile(r"\X")


@dataclass(frozen=True, slots=True)
class Length:
    """How long a text is for a network, of how much; `fits` is False as well where another of its limits is broken."""

    target: Target
    length: int
    limit: int
    fits: bool


def graphemes(text: str) -> int:
    """Number of characters as a person counts them (extended grapheme clusters, UAX #29)."""
    return sum(1 for _ in _GRAPHEME.finditer(text))


def length_for(target: Target, text: str, limit: int | None = None) -> Length:
    """How long `text` is for a network; `limit` replaces the usual one where an instance has its own."""
    if target == "bluesky":
        length, most = graphemes(text), limit or BLUESKY_GRAPHEMES
        return Length(target, length, most, length <= most and len(text.encode("utf-8", "replace")) <= BLUESKY_BYTES)
    if target == "mastodon":
        length, most = graphemes(with_links_as(text, _LINK)), limit or MASTODON_CHARACTERS
    else:
        length, most = x_weight(text), limit or X_WEIGHT
    return Length(target, length, most, length <= most)
