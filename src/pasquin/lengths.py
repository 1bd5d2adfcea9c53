"""How long a text is by the rules of each network, which all count differently.

    bluesky    at most 300 graphemes (what a person calls a character) and 3,000 bytes of UTF-8
    mastodon   at most 500 characters (or what the instance says), graphemes again, a link counts 23, a mention without
               its server
    x          at most 280 by weight: most Latin and European letters 1, everything else 2, an emoji 2 however it is
               composed, a link 23, after NFC (twitter-text, configuration 3)

The page counts by the same rules while somebody types (`web/src/curate/lengths.ts`); a test holds the two together.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import Final, Literal

import regex

Target = Literal["bluesky", "mastodon", "x"]
TARGETS: Final[tuple[Target, ...]] = ("bluesky", "mastodon", "x")

BLUESKY_GRAPHEMES: Final = 300
BLUESKY_BYTES: Final = 3_000
MASTODON_CHARACTERS: Final = 500
X_WEIGHT: Final = 280
LINK_COST: Final = 23

_TLD: Final = (
    "com|net|org|edu|gov|info|news|blog|app|dev|page|social|io|co|ai|am|be|de|es|eu|fm|fr|gd|gl|im|in|is|it|la|li|ly|me|nl|"
    "ps|sh|so|st|to|tv|uk|us|vc|ws"
)
_WITH_SCHEME: Final = r"https?://[^\s<>\"]*[^\s<>\".,;:!?)'\]]"
_LINK: Final = regex.compile(_WITH_SCHEME, regex.IGNORECASE)
_LINK_X: Final = regex.compile(
    rf"{_WITH_SCHEME}|(?<![\w@.#$/-])(?:[a-z0-9][a-z0-9-]{{0,62}}\.)+(?:{_TLD})(?![\w@-])(?:/[^\s<>\"]*[^\s<>\".,;:!?)'\]])?",
    regex.IGNORECASE,
)
_MENTION: Final = regex.compile(r"(?<![\w/])@(\w+(?:[\w.-]*\w)?)@[\w.-]*\w")
_GRAPHEME: Final = regex.compile(r"\X")
_EMOJI: Final = regex.compile(
    r"\p{Emoji_Presentation}|\p{Extended_Pictographic}\ufe0f|[0-9#*]\ufe0f?\u20e3|\p{RI}\p{RI}"
)
_LIGHT: Final = ((0, 4351), (8192, 8205), (8208, 8223), (8242, 8247))


@dataclass(frozen=True, slots=True)
class Length:
    """How long a text is for a network, of how much; `fits` is False as well where another of its limits is broken."""

    target: Target
    length: int
    limit: int
    fits: bool


def graphemes(text: str) -> int:
    """Number of characters as a person counts them (extended grapheme clusters, UAX #29)."""
    return len(text) if text.isascii() and "\r" not in text else sum(1 for _ in _GRAPHEME.finditer(text))


def bluesky_length(text: str) -> int:
    """Graphemes of the text: links and mentions count as they are written."""
    return graphemes(text)


def mastodon_length(text: str, link_cost: int = LINK_COST) -> int:
    """Characters as Mastodon counts them: graphemes, a link costs `link_cost`, a mention only its name."""
    links = len(_LINK.findall(text))
    shorter: str = _MENTION.sub(r"@\1", _LINK.sub("", text))
    return graphemes(shorter) + links * link_cost


def x_length(text: str) -> int:
    """Weight of the text on X, where 280 is the most."""
    composed = unicodedata.normalize("NFC", text)
    links, shorter = len(_LINK_X.findall(composed)), str(_LINK_X.sub("", composed))
    if shorter.isascii():
        return len(shorter) + links * LINK_COST
    weight = sum(_weight(match[0]) for match in _GRAPHEME.finditer(shorter))
    return weight + links * LINK_COST


def _weight(cluster: str) -> int:
    if _EMOJI.search(cluster):
        return 2
    return sum(1 if any(first <= ord(letter) <= last for first, last in _LIGHT) else 2 for letter in cluster)


def length_for(target: Target, text: str, limit: int | None = None) -> Length:
    """How long `text` is for a network; `limit` replaces the usual one where an instance has its own."""
    if target == "bluesky":
        length, most = bluesky_length(text), limit or BLUESKY_GRAPHEMES
        return Length(target, length, most, length <= most and len(text.encode("utf-8", "replace")) <= BLUESKY_BYTES)
    length, most = (
        (mastodon_length(text), limit or MASTODON_CHARACTERS)
        if target == "mastodon"
        else (x_length(text), limit or X_WEIGHT)
    )
    return Length(target, length, most, length <= most)
