"""What is clickable in a post's text: links and hashtags, at offsets in bytes of UTF-8, the end exclusive.

https://docs.bsky.app/docs/advanced-guides/post-richtext. Mentions are never made: a bot calls nobody.
"""

from __future__ import annotations

from typing import Any, Final

import regex

MAX_GRAPHEMES: Final = 300
MAX_BYTES: Final = 3_000
_MAX_TAG_GRAPHEMES: Final = 64
_MAX_TAG_BYTES: Final = 640
_LINK: Final = regex.compile(r"(?<![^\s(\"'“‘«])https?://[^\s<>\"“”«»]+", regex.IGNORECASE)
_TAG: Final = regex.compile(r"(?<!\S)[#＃](?!\uFE0F)([^\s#＃\u00AD\u2060\u200A\u200B\u200C\u200D\u20E2]+)")
_TRAILING: Final = ".,;:!?'’\"”»…"


def graphemes(text: str) -> int:
    """How many characters a person would count (extended grapheme clusters, Unicode UAX 29)."""
    return len(regex.findall(r"\X", text))


def facets(text: str) -> list[dict[str, Any]]:
    """The facets of a post, in order."""
    found: list[tuple[int, int, str | None]] = [
        (*_trimmed(text, one.start(), one.end()), None) for one in _LINK.finditer(text)
    ]
    links = [(start, end) for start, end, _ in found]
    for one in _TAG.finditer(text):
        start, end = one.start(), one.end()
        while end > one.start(1) and regex.match(r"\p{P}", text[end - 1]):
            end -= 1
        tag = text[one.start(1) : end]
        inside = any(left < end and start < right for left, right in links)
        if tag and not inside and not regex.fullmatch(r"[\d\p{P}]+", tag) and _fits(tag):
            found.append((start, end, tag))
    return [_facet(text, *one) for one in sorted(found, key=lambda one: one[0])]


def _fits(tag: str) -> bool:
    return graphemes(tag) <= _MAX_TAG_GRAPHEMES and len(tag.encode()) <= _MAX_TAG_BYTES


def _trimmed(text: str, start: int, end: int) -> tuple[int, int]:
    """A link without the punctuation of the sentence around it."""
    while text[end - 1] in _TRAILING or (
        text[end - 1] == ")" and text.count("(", start, end) < text.count(")", start, end)
    ):
        end -= 1
    return start, end


def _facet(text: str, start: int, end: int, tag: str | None) -> dict[str, Any]:
    feature: dict[str, Any] = {"$type": "app.bsky.richtext.facet#link", "uri": text[start:end]}
    if tag is not None:
        feature = {"$type": "app.bsky.richtext.facet#tag", "tag": tag}
    byte_start = len(text[:start].encode())
    return {
        "$type": "app.bsky.richtext.facet",
        "index": {"byteStart": byte_start, "byteEnd": byte_start + len(text[start:end].encode())},
        "features": [feature],
    }
