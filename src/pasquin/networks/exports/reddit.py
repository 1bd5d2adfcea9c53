"""Reddit's submissions and comments: listings as its API gives them, and dumps with one of them a line.

A submission is its title and, below, what its author wrote; a comment answers what it stands under. Usernames never
change on Reddit, so they are the accounts.
"""

from __future__ import annotations

import html
from collections.abc import Iterator
from typing import Any, Final

from pasquin.config import CollectSettings
from pasquin.networks import Quarantined
from pasquin.networks.exports.documents import OTHERS, documents, is_wanted
from pasquin.networks.files.reading import InputFile, Reading
from pasquin.networks.values import text_problem, to_count, to_name, to_time, without_nul
from pasquin.records import Post

_GONE: Final = frozenset(("[deleted]", "[removed]", "[ Removed by Reddit ]"))
_DEPTH: Final = 100
"""Listings in listings (answers to answers) that are gone into."""


def read_reddit(file: InputFile, settings: CollectSettings) -> Iterator[Reading]:
    """The submissions and comments of one file."""
    for found in documents(file, settings):
        if isinstance(found, Quarantined):
            yield found
            continue
        number, value = found
        for thing in _things(value, 0):
            reading = _post(thing)
            if isinstance(reading, Post):
                yield reading if is_wanted(settings, reading.account) else OTHERS
            elif reading in ("deleted", "no submission or comment"):
                yield reading
            else:
                yield file.quarantine(number, reading, str(thing))


def _things(value: Any, depth: int) -> Iterator[Any]:
    """What listings hold, answers to comments included."""
    if depth > _DEPTH:
        return
    if isinstance(value, list):
        for item in value:
            yield from _things(item, depth + 1)
        return
    data = value.get("data") if isinstance(value, dict) else None
    if isinstance(data, dict) and value.get("kind") == "Listing":
        yield from _things(data.get("children"), depth + 1)
        return
    yield value
    replies = data.get("replies") if isinstance(data, dict) else None
    if isinstance(replies, dict):
        yield from _things(replies, depth + 1)


def _post(thing: Any) -> Post | str:
    if not isinstance(thing, dict):
        return "it is no submission or comment"
    kind, data = thing.get("kind"), thing.get("data")
    if isinstance(kind, str) and isinstance(data, dict):
        if kind not in ("t1", "t3"):
            return "no submission or comment"
        thing = data
    id, author = to_name(thing.get("id")), to_name(thing.get("author"))
    name = to_name(thing.get("name")) or (f"{'t1' if 'body' in thing else 't3'}_{id}" if id else None)
    if name is None or author is None or not ("body" in thing or "title" in thing):
        return "it is no submission or comment as Reddit writes them"
    text = _text(thing)
    if author in _GONE or text is None:
        return "deleted"
    if problem := text_problem(text):
        return problem
    parent, link = to_name(thing.get("parent_id")), to_name(thing.get("permalink"))
    return Post(
        uri=f"reddit:{name}",
        network="reddit",
        account=author,
        handle=author,
        text=without_nul(text),
        created_at=to_time(_seconds(thing.get("created_utc"))),
        reply_to=f"reddit:{parent}" if parent else None,
        is_repost=bool(thing.get("crosspost_parent")),
        likes=to_count(thing.get("score")),
        url=f"https://www.reddit.com{link}" if link and link.startswith("/") else None,
    )


def _text(thing: dict[str, Any]) -> str | None:
    """What the author wrote, None when it was deleted. Reddit escapes `<`, `>` and `&`."""
    parts = [part for key in ("body", "title", "selftext") if isinstance(part := thing.get(key), str)]
    if not parts or _GONE & set(parts):
        return None
    return "\n\n".join(html.unescape(part.strip()) for part in parts if part.strip())


def _seconds(value: object) -> object:
    """Older dumps write the time as a text."""
    return float(value) if isinstance(value, str) and value.replace(".", "", 1).isdigit() else value
