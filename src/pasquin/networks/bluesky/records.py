"""From a Bluesky post record to a `Post`: text with its links whole, time, language, reply, and what its labels ask.

A post's text is plain; `facets` say which bytes of its UTF-8 form are a link, a mention or a hashtag (older posts have
`entities`, which count UTF-16 units). Apps shorten the links they show, so a shown link is written out again. Images,
cards, videos, quotes and embeds of kinds yet unknown carry other things than the author's words and are left aside.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from pasquin.networks.values import text_problem, to_count, to_name, to_time, without_nul
from pasquin.records import Post

POST: Final = "app.bsky.feed.post"
SIGNED_IN_ONLY: Final = "its author asks not to show it to people who are not signed in"
NO_TEXT: Final = "without text"
OTHER_KIND: Final = "of another kind"
_TID_LETTERS: Final = "234567abcdefghijklmnopqrstuvwxyz"
_LANGUAGE: Final = re.compile(r"[A-Za-z]{2,3}(?:-[A-Za-z0-9]{1,8}){0,6}")
_LONGEST_LINK: Final = 2_000


def to_post(
    record: object, *, uri: str, did: str, handle: str | None, likes: object = None, reposts: object = None
) -> Post | str:
    """The post that a record is, or the reason why it is none.

    `handle` is its author's (the DID stands in where it is not known); `likes` and `reposts` are counts, where known.
    Raises ValueError, whose message is the reason, when it should be a post and cannot be read.
    """
    if not isinstance(record, Mapping) or record.get("$type", POST) != POST:
        return OTHER_KIND
    problem = text_problem(record.get("text"))
    if problem:
        raise ValueError(problem)
    if asks_for_sign_in(record):
        return SIGNED_IN_ONLY
    text = without_nul(_with_whole_links(record["text"], record))
    if not text.strip():
        return NO_TEXT
    key = uri.rpartition("/")[2]
    return Post(
        uri=uri,
        network="bluesky",
        account=did,
        handle=handle or did,
        text=text,
        created_at=_created_at(record.get("createdAt"), key),
        lang=_language(record.get("langs")),
        reply_to=_reply_to(record.get("reply")),
        likes=to_count(likes),
        reposts=to_count(reposts),
        url=f"https://bsky.app/profile/{did}/post/{key}",
        rights="public-network",
    )


def asks_for_sign_in(record: Mapping[str, Any]) -> bool:
    """Whether a record (a profile or a post) has the self-label that asks to hide it from the signed-out."""
    labels = record.get("labels")
    values = labels.get("values") if isinstance(labels, Mapping) else None
    return any(isinstance(one, Mapping) and one.get("val") == "!no-unauthenticated" for one in _list(values))


def tid_time(key: str) -> datetime | None:
    """When a record key of the usual kind (a TID: microseconds since 1970 in base 32) was made; None for others."""
    if len(key) != 13 or not set(key) <= set(_TID_LETTERS) or key[0] not in _TID_LETTERS[:16]:
        return None
    value = 0
    for letter in key:
        value = value << 5 | _TID_LETTERS.index(letter)
    return to_time((value >> 10) / 1e6)


def _created_at(value: object, key: str) -> datetime | None:
    """When a post says it was made; when that is nonsense or in the future, when its key says so."""
    said = to_time(value)
    if said is not None and datetime(1970, 1, 2, tzinfo=UTC) < said < datetime.now(UTC) + timedelta(days=1):
        return said
    return tid_time(key) or said


def _language(langs: object) -> str | None:
    """The first of a post's languages; people rarely give several, and they are not ranked."""
    return next((one for one in _list(langs) if isinstance(one, str) and _LANGUAGE.fullmatch(one)), None)


def _reply_to(reply: object) -> str | None:
    parent = reply.get("parent") if isinstance(reply, Mapping) else None
    return to_name(parent.get("uri")) if isinstance(parent, Mapping) else None


def _with_whole_links(text: str, record: Mapping[str, Any]) -> str:
    """The text with shortened links written out; ranges that make no sense are left as they are."""
    raw = text.encode("utf-8", "surrogatepass")
    found = _facet_links(record.get("facets")) or _entity_links(record.get("entities"), text)
    end = len(raw)
    for start, stop, link in sorted(found, reverse=True):
        if not 0 <= start < stop <= end:
            continue
        try:
            shown = raw[start:stop].decode("utf-8")
        except UnicodeDecodeError:
            continue
        end = start
        if _is_shortened(shown, link):
            raw = raw[:start] + link.encode("utf-8") + raw[stop:]
    return raw.decode("utf-8", "surrogatepass")


def _is_shortened(shown: str, link: str) -> bool:
    """Whether a shown text is (the beginning of) the link itself and not words that lead there."""
    bare = shown.strip().lower()
    for ellipsis in ("…", "..."):
        bare = bare.removesuffix(ellipsis)
    return len(bare) >= 4 and "." in bare and shown.strip() != link and _bare(link).startswith(_bare(bare))


def _bare(link: str) -> str:
    return link.lower().removeprefix("https://").removeprefix("http://").removeprefix("www.")


def _facet_links(facets: object) -> list[tuple[int, int, str]]:
    """(start, end, link) in UTF-8 bytes."""
    found = []
    for facet in _list(facets):
        index = facet.get("index") if isinstance(facet, Mapping) else None
        for feature in _list(facet.get("features")) if isinstance(index, Mapping) else ():
            link = _link(feature.get("uri")) if isinstance(feature, Mapping) else None
            start, stop = (index.get("byteStart"), index.get("byteEnd")) if isinstance(index, Mapping) else (None, None)
            if link and type(start) is int and type(stop) is int:
                found.append((start, stop, link))
    return found


def _entity_links(entities: object, text: str) -> list[tuple[int, int, str]]:
    """The same from the `entities` of 2022 and 2023, which count UTF-16 units."""
    units = text.encode("utf-16-le", "surrogatepass")
    found = []
    for entity in _list(entities):
        index = entity.get("index") if isinstance(entity, Mapping) and entity.get("type") == "link" else None
        link = _link(entity.get("value")) if isinstance(index, Mapping) else None
        start, stop = (index.get("start"), index.get("end")) if isinstance(index, Mapping) else (None, None)
        if link and type(start) is int and type(stop) is int and 0 <= start < stop <= len(units) // 2:
            before = len(units[: 2 * start].decode("utf-16-le", "replace").encode())
            shown = len(units[2 * start : 2 * stop].decode("utf-16-le", "replace").encode())
            found.append((before, before + shown, link))
    return found


def _link(value: object) -> str | None:
    """A web address that can stand in a text."""
    if (
        not isinstance(value, str)
        or len(value) > _LONGEST_LINK
        or not value.lower().startswith(("https://", "http://"))
    ):
        return None
    return value if value.isprintable() and " " not in value else None


def _list(value: object) -> list[Any]:
    """At most 1,000 things of a list, none of anything else."""
    return value[:1_000] if isinstance(value, list) else []
