"""Posts in the shapes X gives them in: its API v2 (old and new field names), its API v1.1, and its archives' links.

The text of a repost is cut in the answer itself; it is put together from the post that comes along, where one does.
Texts stay HTML-escaped, as X writes them; `prepare` unescapes. Short links become what they stand for, links to a
post's own pictures go.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from pasquin.networks.values import (
    is_retweet_text,
    text_problem,
    to_count,
    to_name,
    to_time,
    without_nul,
    x_id_time,
    x_uri,
)
from pasquin.records import Post

_SHORT_LINK: Final = re.compile(r"https?://t\.co/\w+")


def x_id(value: object) -> str | None:
    """An id of X: up to 19 digits, never 0."""
    id = to_name(value)
    return id if id and id.isascii() and id.isdigit() and len(id) < 20 and int(id) else None


def with_links(text: str, entities: object, extended: object = None) -> str:
    """The text with its short links written out and those to its own pictures removed.

    Links are found by their letters and not by their indices, which count differently in each of X's formats.
    Where nothing else would be left, the text stays as it is.
    """
    links: dict[str, str] = {}
    for link in _items(entities, "urls"):
        short, long = to_name(link.get("url") or link.get("shortUrl")), to_name(_long(link))
        if short and long and not link.get("media_key"):
            links[short] = html.escape(long, quote=False)
        elif short and link.get("media_key"):
            links[short] = ""
    for picture in (*_items(entities, "media"), *_items(extended, "media")):
        if (short := to_name(picture.get("url"))) is not None:
            links[short] = ""
    if not links:
        return text
    written = _SHORT_LINK.sub(lambda found: links.get(found[0], found[0]), text)
    return (written.rstrip() if written != text else text) or text


def _long(link: Mapping[str, Any]) -> object:
    return link.get("unwound_url") or link.get("expanded_url") or link.get("expandedUrl")


def _items(value: object, key: str) -> Iterator[Mapping[str, Any]]:
    found = value.get(key) if isinstance(value, dict) else None
    if isinstance(found, list):
        yield from (item for item in found if isinstance(item, dict))


@dataclass(frozen=True)
class Includes:
    """What came along with an answer of the API v2: other posts and people, by their ids."""

    posts: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    handles: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, answer: Mapping[str, Any]) -> Includes:
        """Those of an answer; `posts` were called `tweets` until 2026."""
        includes = answer.get("includes")
        posts = {
            id: post for key in ("tweets", "posts") for post in _items(includes, key) if (id := x_id(post.get("id")))
        }
        users = {id: user for user in _items(includes, "users") if (id := x_id(user.get("id")))}
        return cls(posts, {id: name for id, user in users.items() if (name := to_name(user.get("username")))})


def v2_post(status: object, includes: Includes, handle: str | None = None) -> Post | str:
    """The post in one status of an answer of the API v2, or why there is none."""
    if not isinstance(status, dict):
        return "it is no post"
    id, author = x_id(status.get("id")), x_id(status.get("author_id"))
    if id is None or author is None:
        return "it has no id or no author"
    text = _v2_text(status)
    if problem := text_problem(text):
        return problem
    references = {
        str(reference.get("type")): other
        for key in ("referenced_tweets", "referenced_posts")
        for reference in _items(status, key)
        if (other := x_id(reference.get("id")))
    }
    original = references.get("retweeted") or references.get("reposted")
    if original and (known := includes.posts.get(original)) is not None:
        text = _repost_text(text, _v2_text(known), includes.handles.get(str(known.get("author_id"))))
    metrics = status.get("public_metrics")
    metrics = metrics if isinstance(metrics, dict) else {}
    name = includes.handles.get(author) or handle or author
    to_self = to_name(status.get("in_reply_to_user_id")) == author
    answered = references.get("replied_to")
    return Post(
        uri=x_uri(id),
        network="x",
        account=author,
        handle=name,
        text=without_nul(text),
        created_at=to_time(status.get("created_at")) or x_id_time(int(id)),
        lang=to_name(status.get("lang")),
        reply_to=x_uri(answered) if answered and not to_self else None,
        is_repost=original is not None or is_retweet_text(text),
        likes=to_count(metrics.get("like_count")),
        reposts=to_count(metrics.get("repost_count", metrics.get("retweet_count"))),
        url=f"https://x.com/{name}/status/{id}",
        rights="x-api",
    )


def earlier_versions(status: Mapping[str, Any]) -> Iterator[str]:
    """URIs of what a post was before it was edited: each version has an id of its own."""
    id = x_id(status.get("id"))
    for key in ("edit_history_tweet_ids", "edit_history_post_ids"):
        versions = status.get(key)
        for version in versions if isinstance(versions, list) else ():
            if (older := x_id(version)) and id and int(older) < int(id):
                yield x_uri(older)


def _v2_text(status: Mapping[str, Any]) -> Any:
    """The whole text of a status: long posts have it apart, as `note_tweet` or (since 2026) `note_post`."""
    for key in ("note_tweet", "note_post"):
        note = status.get(key)
        if isinstance(note, dict) and isinstance(note.get("text"), str):
            return with_links(note["text"], note.get("entities") or status.get("entities"), status.get("entities"))
    text = status.get("text")
    return with_links(text, status.get("entities")) if isinstance(text, str) else text


def _repost_text(text: str, original: object, author: str | None) -> str:
    """A repost with the whole text of the original, after the `RT @name: ` that X begins it with."""
    begin = re.match(r"RT @\w+: ", text)
    lead = begin[0] if begin else f"RT @{author}: " if author else "RT "
    return f"{lead}{original}" if isinstance(original, str) else text


def v1_post(status: object) -> Post | str:
    """The post in one status of the API v1.1 (compatible, extended or streamed), or why there is none."""
    if not isinstance(status, dict):
        return "it is no post"
    user = status.get("user")
    user = user if isinstance(user, dict) else {}
    id, author = x_id(status.get("id_str")) or x_id(status.get("id")), x_id(user.get("id_str")) or x_id(user.get("id"))
    if id is None or author is None:
        return "it has no id or no author"
    text = _v1_text(status)
    if problem := text_problem(text):
        return problem
    original = status.get("retweeted_status")
    if isinstance(original, dict):
        by = original.get("user")
        text = _repost_text(text, _v1_text(original), to_name(by.get("screen_name")) if isinstance(by, dict) else None)
    handle = to_name(user.get("screen_name")) or author
    answered = x_id(status.get("in_reply_to_status_id_str")) or x_id(status.get("in_reply_to_status_id"))
    person = x_id(status.get("in_reply_to_user_id_str")) or x_id(status.get("in_reply_to_user_id"))
    return Post(
        uri=x_uri(id),
        network="x",
        account=author,
        handle=handle,
        text=without_nul(text),
        created_at=to_time(status.get("created_at")) or x_id_time(int(id)),
        lang=to_name(status.get("lang")),
        reply_to=x_uri(answered) if answered and person != author else None,
        is_repost=isinstance(original, dict) or is_retweet_text(text),
        likes=to_count(status.get("favorite_count")),
        reposts=to_count(status.get("retweet_count")),
        url=f"https://x.com/{handle}/status/{id}",
        rights="x-api",
    )


def _v1_text(status: Mapping[str, Any]) -> Any:
    whole = status.get("extended_tweet")
    for place in (whole if isinstance(whole, dict) else {}, status):
        text = place.get("full_text") if isinstance(place.get("full_text"), str) else place.get("text")
        if isinstance(text, str):
            return with_links(text, place.get("entities"), place.get("extended_entities"))
    return None
