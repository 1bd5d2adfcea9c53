"""Timelines as X's own pages receive them (saved GraphQL answers), turned into the shape of the API v1.1.

Only what stands in a timeline counts, pinned posts included: what was quoted or reposted is inside its post, and
promoted posts are left out. Nothing here asks X for anything.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

_DEEPEST: Final = 12
"""Objects between the top of an answer and its timeline, or within an entry of it."""


def web_statuses(answer: Mapping[str, Any]) -> list[dict[str, Any]] | None:
    """The posts of a saved timeline as `v1_post` reads them; None when the answer has no timeline."""
    instructions = _instructions(answer.get("data"), 0)
    if instructions is None:
        return None
    entries: list[Any] = []
    for instruction in instructions:
        if isinstance(instruction, dict):
            several = instruction.get("entries")
            entries.extend([instruction.get("entry"), *(several if isinstance(several, list) else [])])
    return [status for entry in entries for result in _results(entry, 0) if (status := _status(result, 0)) is not None]


def _instructions(value: Any, depth: int) -> list[Any] | None:
    """The instructions of a timeline: objects that say which entries to add."""
    if not isinstance(value, dict) or depth > _DEEPEST:
        return None
    found = value.get("instructions")
    if isinstance(found, list):
        return found
    return next((inside for one in value.values() if (inside := _instructions(one, depth + 1)) is not None), None)


def _results(value: Any, depth: int) -> Iterator[Mapping[str, Any]]:
    """What an entry shows: one post, or those of a conversation."""
    if depth > _DEEPEST:
        return
    if isinstance(value, list):
        for one in value:
            yield from _results(one, depth + 1)
    elif isinstance(value, dict) and "promotedMetadata" not in value:
        shown = value.get("tweet_results")
        if isinstance(shown, dict):
            if isinstance(shown.get("result"), dict):
                yield shown["result"]
            return
        for name in ("content", "items", "item", "itemContent"):
            yield from _results(value.get(name), depth + 1)


def _status(result: Any, depth: int) -> dict[str, Any] | None:
    """One post in the shape of the API v1.1; None for what is no post any more (a tombstone)."""
    if isinstance(result, dict) and isinstance(result.get("tweet"), dict):  # TweetWithVisibilityResults
        result = result["tweet"]
    legacy = result.get("legacy") if isinstance(result, dict) else None
    if not isinstance(legacy, dict) or depth > 1:
        return None
    person = _inside(result, "core", "user_results", "result")
    status = {name: legacy.get(name) for name in _KEPT} | {
        "id_str": result.get("rest_id") or legacy.get("id_str"),
        "user": {
            "id_str": person.get("rest_id") or legacy.get("user_id_str"),
            "screen_name": _inside(person, "core").get("screen_name") or _inside(person, "legacy").get("screen_name"),
        },
    }
    note = _inside(result, "note_tweet", "note_tweet_results", "result")
    if note:
        status["extended_tweet"] = {"full_text": note.get("text"), "entities": note.get("entity_set")}
    original = _inside(legacy, "retweeted_status_result").get("result")
    if isinstance(original, dict):
        status["retweeted_status"] = _status(original, depth + 1) or {}
    return status


_KEPT: Final = (
    "created_at",
    "full_text",
    "entities",
    "extended_entities",
    "lang",
    "in_reply_to_status_id_str",
    "in_reply_to_user_id_str",
    "favorite_count",
    "retweet_count",
)


def _inside(value: Any, *names: str) -> Mapping[str, Any]:
    """The object at the end of a path of names, empty when there is none."""
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else {}
