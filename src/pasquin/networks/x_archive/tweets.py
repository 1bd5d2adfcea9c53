"""What stands in an X archive: tweets of all its generations, whose they are, long texts, rows of tables."""

from __future__ import annotations

import codecs
import csv
import html
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

import orjson

from pasquin.config import CollectSettings
from pasquin.networks.files.reading import InputFile
from pasquin.networks.json_stream import Oversized, Unfinished, elements
from pasquin.networks.values import (
    is_retweet_text,
    text_problem,
    to_count,
    to_flag,
    to_name,
    to_time,
    without_nul,
    x_id_time,
    x_uri,
)
from pasquin.networks.x_archive.zips import Archive
from pasquin.networks.x_status import with_links, x_id
from pasquin.records import Post

_ABOUT: Final = re.compile(r"(?:.*/)?data/(?:account|manifest|js/user_details)\.js")
_NAMES: Final = re.compile(r"(?:.*/)?data/screen-name-change\.js")
_NOTES: Final = re.compile(r"(?:.*/)?data/note-tweet(?:-part\d+)?\.js")
READ: Final = (_ABOUT, _NAMES, _NOTES)
"""The files that are read here."""
_SMALL_FILE: Final = 16 * 2**20
_NOTE_PREFIX: Final = 60
"""Characters in which a cut post and its full text must agree; links in them differ, so not all of it."""


@dataclass(frozen=True)
class Owner:
    """Whose archive it is. `names` are former handles, each with the moment until which it was in use, oldest first."""

    id: str
    handle: str
    names: tuple[tuple[datetime, str], ...] = ()

    def handle_at(self, moment: datetime | None) -> str:
        """The handle at a moment."""
        return next((name for until, name in self.names if moment is not None and moment < until), self.handle)


def tweet_in(found: bytes, settings: CollectSettings) -> dict[str, Any] | str:
    """The tweet in one element of a file of tweets, or why there is none."""
    if isinstance(found, Oversized):
        return f"the tweet is longer than {settings.max_line_bytes:,} bytes"
    if isinstance(found, Unfinished):
        return "the file is cut off here"
    try:
        record = orjson.loads(found)
    except orjson.JSONDecodeError as exc:
        return f"it is not JSON: {exc.msg}"
    if isinstance(record, dict) and isinstance(record.get("tweet"), dict):
        record = record["tweet"]
    return record if isinstance(record, dict) else "it is no tweet"


def table_rows(chunks: Iterable[bytes], limit: int) -> Iterator[dict[str, Any] | str]:
    """The rows of one of Grailbird's CSV files as tweets; links are left out, as their columns are ragged."""
    rows = csv.reader(_lines(chunks, limit))
    columns = {"tweet_id": "id_str", "timestamp": "created_at", "retweeted_status_id": "retweeted"}
    header: list[str] | None = None
    while True:
        try:
            row = next(rows)
        except StopIteration:
            return
        except csv.Error as exc:
            yield f"it is no CSV record ({exc})"
            continue
        if header is None:
            header = [columns.get(name, name) for name in row]
        elif any("\udc80" <= letter <= "\udcff" for value in row for letter in value):
            yield "it is not UTF-8"
        elif row:
            record: dict[str, Any] = dict(zip(header, row, strict=False))
            yield record | {"retweeted": bool(record.get("retweeted"))}


def _lines(chunks: Iterable[bytes], limit: int) -> Iterator[str]:
    """Lines with their ends; of one that is longer than `limit` characters, no more than that."""
    decoder = codecs.getincrementaldecoder("utf-8-sig")("surrogateescape")
    rest = ""
    for chunk in chunks:
        *lines, rest = (rest + decoder.decode(chunk)).split("\n")
        yield from (f"{line}\n" for line in lines)
        rest = rest[:limit]
    if rest:
        yield rest


def tweet_post(record: dict[str, Any], owner: Owner | None) -> Post | str:
    """The post in a tweet of an archive, or why there is none."""
    id = x_id(record.get("id_str")) or x_id(record.get("id"))
    if id is None:
        return "it has no id"
    text = record["full_text"] if "full_text" in record else record.get("text")
    if problem := text_problem(text):
        return problem
    owner = owner or _author(record)
    if owner is None:
        return "it does not say whose it is; name the account with --account"
    created_at = to_time(record.get("created_at")) or x_id_time(int(id))
    handle = owner.handle_at(created_at)
    return Post(
        uri=x_uri(id),
        network="x",
        account=owner.id,
        handle=handle,
        text=without_nul(with_links(str(text), record.get("entities"), record.get("extended_entities"))),
        created_at=created_at,
        lang=to_name(record.get("lang")),
        reply_to=_reply_to(record, owner),
        is_repost=isinstance(record.get("retweeted_status"), dict)
        or to_flag(record.get("retweeted"))
        or is_retweet_text(str(text)),
        likes=to_count(record.get("favorite_count")),
        reposts=to_count(record.get("retweet_count")),
        url=f"https://x.com/{handle}/status/{id}",
        rights="own-archive",
    )


def _reply_to(record: dict[str, Any], owner: Owner) -> str | None:
    """What a tweet answers. An author going on under their own tweet answers nobody."""
    user = to_name(record.get("in_reply_to_user_id_str")) or to_name(record.get("in_reply_to_user_id"))
    status = to_name(record.get("in_reply_to_status_id_str")) or to_name(record.get("in_reply_to_status_id"))
    if user == owner.id or not (user or status):
        return None
    return x_uri(status) if status else f"https://x.com/i/user/{user}"


def _author(record: dict[str, Any]) -> Owner | None:
    user = record.get("user")
    if not isinstance(user, dict):
        return None
    handle = to_name(user.get("screen_name"))
    id = to_name(user.get("id_str")) or to_name(user.get("id")) or handle
    return Owner(id, handle or id) if id else None


def owner_of(archive: Archive, file: InputFile, settings: CollectSettings) -> Owner | None:
    """Whose archive it is; None when only the tweets themselves can say."""
    for name in archive.matching(_ABOUT):
        for place in objects_in(archive, name, file):
            id, handle = (
                to_name(place.get("accountId") or place.get("id")),
                to_name(place.get("username") or place.get("userName") or place.get("screen_name")),
            )
            if id:
                return Owner(id, handle or id, _former_names(archive, file))
    return Owner(settings.account, settings.account) if settings.account else None


def _former_names(archive: Archive, file: InputFile) -> tuple[tuple[datetime, str], ...]:
    """The handles that the account had before, each with the end of its use, oldest first."""
    names: list[tuple[datetime, str]] = []
    for name in archive.matching(_NAMES):
        for place in objects_in(archive, name, file):
            change = place.get("screenName")
            change = change if isinstance(change, dict) else place
            until, old = to_time(change.get("changedAt")), to_name(change.get("changedFrom"))
            if until is not None and old is not None:
                names.append((until, old))
    return tuple(sorted(names))


def objects_in(archive: Archive, name: str, file: InputFile) -> Iterator[dict[str, Any]]:
    """The objects of a small descriptive file in which what we look for may stand."""
    content = b""
    for chunk in archive.chunks(name, file):
        content += chunk
        if len(content) > _SMALL_FILE:
            return
    try:
        value = orjson.loads(content.partition(b"=")[2].strip().removesuffix(b";"))
    except orjson.JSONDecodeError:
        return
    for item in value if isinstance(value, list) else [value]:
        if isinstance(item, dict):
            inside = (item.get(key) for key in ("account", "userInfo", "screenNameChange"))
            yield from (inner for inner in inside if isinstance(inner, dict))
            yield item


Notes = dict[int, dict[str, str | None]]
"""Full texts of long posts: second of creation -> beginning of the text -> text (None once it found its tweet)."""


def notes_of(archive: Archive, file: InputFile, settings: CollectSettings) -> Notes:
    """The full texts of long posts."""
    notes: Notes = {}
    for name in archive.matching(_NOTES):
        for found in elements(archive.chunks(name, file), settings.max_line_bytes):
            try:
                note = orjson.loads(found)["noteTweet"]
                text, created_at = note["core"]["text"], to_time(note["createdAt"])
            except (orjson.JSONDecodeError, KeyError, TypeError):
                continue  # the post itself is still read from tweets.js, cut
            if created_at is not None and text_problem(text) is None:
                # Notes are not HTML-escaped as tweets are; from here on they are alike.
                whole = with_links(html.escape(text, quote=False), note["core"])
                notes.setdefault(int(created_at.timestamp()), {})[_beginning(text)] = whole
    return notes


def with_note(post: Post, cut: str, notes: Notes) -> Post:
    """The post with its full text, where a long post of the same second begins like its text as it was `cut`."""
    group = notes.get(int(post.created_at.timestamp())) if post.created_at else None
    beginning = _beginning(html.unescape(cut))
    if not group or (text := group.get(beginning)) is None:
        return post
    group[beginning] = None
    return replace(post, text=without_nul(text))


def _beginning(text: str) -> str:
    """What a cut post and its full text have in common: letters up to the first link or the cut."""
    plain = re.split(r"https?://|…$", text)[0]
    return "".join(plain.split())[:_NOTE_PREFIX]
