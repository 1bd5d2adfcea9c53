"""One collected post in, its cleaned text out, or the reason why it is left out."""

from __future__ import annotations

import re
from typing import Final

from pasquin.config import PrepareSettings
from pasquin.screen.language import language
from pasquin.screen.safety import is_personal
from pasquin.texts import normalise, remove_links

REASONS: Final = {
    "no_right": "may not be used as things stand (see `pasquin rights`)",
    "repost": "reposts",
    "reply": "replies",
    "leading_at": "begin with @",
    "truncated": "cut off by the network",
    "garbled": "damaged characters",
    "link_only": "nothing but a link",
    "empty": "nothing left after cleaning",
    "too_short": "too short",
    "too_long": "too long",
    "language": "in another language",
    "personal": "with private data",
    "duplicate": "exact copies",
    "near_duplicate": "near copies",
    "account_cap": "over the cap per account",
}
"""Why a post is not in a corpus, in the order in which it is looked at, and what to call that in front of people."""

# Cleaning is linear, but nobody needs a megabyte cleaned to learn that it is too long.
_RAW_FACTOR: Final = 8
_RAW_LEAST: Final = 4_096

_REPOST: Final = re.compile(r"(?:^|[^\w])RT ?@\w")
_LEADING_AT: Final = re.compile(r"[\s\"'“”‘’(\[]*[@＠]\w")
_CUT_BEFORE_LINK: Final = re.compile(r"…\s?https?://\S*$")
_CUT_WORD: Final = re.compile(r"\w…$")
_CUT_LENGTHS: Final = (range(137, 141), range(276, 281))
"""Where networks cut texts: 140 and 280 characters, less what a half surrogate pair or a space took away."""
_USERTAG: Final = re.compile(r"(?<![\w@＠])[@＠]\w+(?:[.-][a-z0-9]+)*(?:@[a-z0-9]+(?:[.-][a-z0-9]+)+)?")
_HASHTAG: Final = re.compile(r"(?<!\w)[#＃]\w*[^\W\d]\w*")
_BEFORE_STOP: Final = re.compile(r" +(?=[.,;:!?](?:\s|$))")


def clean(
    text: str, settings: PrepareSettings, *, is_repost: bool = False, is_reply: bool = False
) -> tuple[str, str | None]:
    """The cleaned text of a post, and the reason (a key of `REASONS`) to drop it, None to keep it.

    `is_reply` says that it answers somebody else: going on under one's own post is a thread and no reply.
    """
    if not settings.include_reposts and (is_repost or ("RT" in text and _REPOST.search(text[:_RAW_LEAST]))):
        return "", "repost"
    if not settings.include_replies and is_reply:
        return "", "reply"
    if len(text) > max(_RAW_LEAST, _RAW_FACTOR * settings.max_characters):
        return "", "too_long"
    text = normalise(text)
    if "\ufffd" in text:
        return text, "garbled"
    if _is_cut(text):
        return text, "truncated"
    if not settings.include_replies and _LEADING_AT.match(text):
        return text, "leading_at"
    if not settings.include_links:
        without = remove_links(text)
        if without != text and not any(character.isalnum() for character in without):
            return without, "link_only"
        text = without
    text = _without_tags(text, settings)
    reason = _length_reason(text, settings)
    if reason is None and settings.languages and language(text) not in (None, *settings.languages):
        reason = "language"
    if reason is None and settings.drop_personal and is_personal(text):
        reason = "personal"
    return text, reason


def _is_cut(text: str) -> bool:
    """Whether the network cut the text: an ellipsis and a link to the rest, or an ellipsis in a word at its limit."""
    if "…" not in text:
        return False
    if _CUT_BEFORE_LINK.search(text):
        return True
    return bool(_CUT_WORD.search(text)) and any(len(text) in lengths for lengths in _CUT_LENGTHS)


def _without_tags(text: str, settings: PrepareSettings) -> str:
    stripped = text
    if settings.strip_usertags:
        stripped = _USERTAG.sub("", stripped)
    if settings.strip_hashtags:
        stripped = _HASHTAG.sub("", stripped)
    return text if stripped == text else normalise(_BEFORE_STOP.sub("", stripped))


def _length_reason(text: str, settings: PrepareSettings) -> str | None:
    if not text:
        return "empty"
    if len(text) < settings.min_characters:
        return "too_short"
    return "too_long" if len(text) > settings.max_characters else None
