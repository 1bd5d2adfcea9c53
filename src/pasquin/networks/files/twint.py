"""Tweets as twint wrote them: one JSON object a line. They are posts of the network `x`.

Their numeric `id` often went through JavaScript and lost its last digits, so the identity comes from `link`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final

import orjson

from pasquin.config import CollectSettings
from pasquin.networks.files import twint_sql
from pasquin.networks.files.bulk import BulkFormat
from pasquin.networks.files.reading import InputFile, Reading
from pasquin.networks.json_stream import lenient_json
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
    zone_offset,
)
from pasquin.records import Post

_STATUS: Final = re.compile(r"/status(?:es)?/(\d{1,19})(?!\d)")
_EXACT_IN_JAVASCRIPT: Final = 2**53


def read_twint(file: InputFile, settings: CollectSettings) -> Iterator[Reading]:
    """The tweets of one file of JSON lines."""
    for item in file.lines(settings.max_line_bytes):
        reading = read_line(file, *item) if isinstance(item, tuple) else item
        if reading is not None:
            yield reading


def read_line(file: InputFile, number: int, line: bytes) -> Reading | None:
    """The tweet in one line; None when it is blank."""
    if not line.strip():
        return None
    try:
        record = orjson.loads(line)
    except orjson.JSONDecodeError as exc:
        record = lenient_json(line)
        if record is None:
            return file.quarantine(number, f"it is not JSON: {exc.msg}", line)
    post = _post(record)
    return post if isinstance(post, Post) else file.quarantine(number, post, line)


def _post(record: Any) -> Post | str:
    """The post in one twint object, or why there is none."""
    if not isinstance(record, dict) or "tweet" not in record:
        return "it is no tweet as twint writes them"
    text = record["tweet"]
    if problem := text_problem(text):
        return problem
    id = _exact_id(record)
    if id is None:
        return "it has no exact id: no link, and the id lost its last digits"
    username = to_name(record.get("username"))
    user_id = to_name(record.get("user_id"))
    account = user_id or username
    if account is None:
        return "it has no user_id and no username"
    return Post(
        uri=x_uri(id),
        network="x",
        account=account,
        handle=username or account,
        text=without_nul(text),
        created_at=_time(record, id),
        lang=to_name(record.get("language")),
        reply_to=_reply_to(record, id, user_id, username),
        is_repost=to_flag(record.get("retweet")) or is_retweet_text(text),
        likes=to_count(record.get("likes_count")),
        reposts=to_count(record.get("retweets_count")),
        url=to_name(record.get("link")),
    )


def _exact_id(record: dict[str, Any]) -> int | None:
    link = record.get("link")
    if isinstance(link, str) and (found := _STATUS.search(link)):
        return int(found[1])
    id = record.get("id")
    if isinstance(id, str) and id.isascii() and id.isdigit() and len(id) < 20:
        return int(id)
    if not isinstance(id, int) or isinstance(id, bool) or not 0 < id < 2**63:
        return None
    if id < _EXACT_IN_JAVASCRIPT or id % 100:
        return id
    conversation = record.get("conversation_id")  # of the tweet that began the conversation: perhaps this one
    if isinstance(conversation, str) and conversation.isascii() and conversation.isdigit() and len(conversation) < 20:
        return int(conversation) if float(conversation) == float(id) else None
    return None


def _time(record: dict[str, Any], id: int) -> datetime | None:
    created_at = record.get("created_at")
    if isinstance(created_at, int) or (isinstance(created_at, str) and created_at.isascii() and created_at.isdigit()):
        return to_time(created_at)
    offset = zone_offset(str(record.get("timezone")))
    local = to_time(f"{record.get('date')} {record.get('time')}")
    if local is not None and offset is not None:
        return local - offset
    return x_id_time(id) or to_time(created_at)


def _reply_to(record: dict[str, Any], id: int, user_id: str | None, username: str | None) -> str | None:
    """What the tweet answers. An author going on under their own tweet answers nobody."""
    answered = record.get("reply_to")
    others = [
        user
        for user in (answered if isinstance(answered, list) else ())
        if isinstance(user, dict)
        and to_name(user.get("user_id") or user.get("id")) != user_id
        and (user.get("username") or user.get("screen_name")) != username
    ]
    conversation = to_name(record.get("conversation_id"))
    if not others or conversation is None or conversation == str(id):
        return None
    return x_uri(conversation)


TWINT: Final = BulkFormat(twint_sql.KEYS, twint_sql.PREPARE, twint_sql.SELECT, twint_sql.PLAIN, read_line)
"""twint's lines, for reading in bulk."""
