"""Chats as Telegram Desktop and DiscordChatExporter write them: JSON with an array of messages, however long."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, Final

from pasquin.config import CollectSettings
from pasquin.errors import InputError
from pasquin.networks import Quarantined
from pasquin.networks.exports.documents import OTHERS, array_items, is_wanted
from pasquin.networks.files.reading import InputFile, Reading
from pasquin.networks.json_stream import named_arrays
from pasquin.networks.values import text_problem, to_name, to_time, without_nul
from pasquin.records import Post

_CHAT_ID: Final = re.compile(rb'"id":\s{0,9}"?(-?\d{1,20})"?\s{0,9},')
_SERVICE: Final = "service message"
_Parse = Callable[[dict[str, Any], str], Post | tuple[str, bool]]
"""A message of the chat with that id: its post, or why it is none and whether that is a fault of the file."""


def read_telegram(file: InputFile, settings: CollectSettings) -> Iterator[Reading]:
    """The messages of one `result.json`; a forwarded message is a repost."""
    return _messages(file, settings, _telegram_post, "result.json of Telegram Desktop")


def read_discord(file: InputFile, settings: CollectSettings) -> Iterator[Reading]:
    """The messages of one channel."""
    return _messages(file, settings, _discord_post, "JSON of DiscordChatExporter")


def _messages(file: InputFile, settings: CollectSettings, parse: _Parse, kind: str) -> Iterator[Reading]:
    found = False
    for before, array in named_arrays(file.chunks(), "messages"):
        found = True
        ids = _CHAT_ID.findall(before)
        chat = ids[-1].decode() if ids else "unknown"
        for item in array_items(file, array, settings):
            if isinstance(item, Quarantined):
                yield item
                continue
            number, message = item
            post = parse(message, chat) if isinstance(message, dict) else ("it is no message", True)
            if isinstance(post, Post):
                yield post if is_wanted(settings, post.account, post.handle, *_names(message)) else OTHERS
            else:
                reason, faulty = post
                yield file.quarantine(number, reason, str(message)) if faulty else reason
    if not found:
        raise InputError(f"{file.name} is no {kind}: it has no messages. Is it the right file?")


def _names(message: dict[str, Any]) -> Iterator[str | None]:
    """Other names under which a message's author may be chosen."""
    author = message.get("author")
    if isinstance(author, dict):
        yield to_name(author.get("nickname"))
    yield (to_name(message.get("from_id")) or "").removeprefix("user") or None


def _telegram_post(message: dict[str, Any], chat: str) -> Post | tuple[str, bool]:
    if message.get("type") == "service":
        return _SERVICE, False
    id, account = to_name(message.get("id")), to_name(message.get("from_id")) or to_name(message.get("from"))
    if id is None or account is None:
        return "it is no message as Telegram writes them", True
    text = _joined(message.get("text"))
    if problem := text_problem(text):
        return problem, True
    answered = to_name(message.get("reply_to_message_id"))
    return Post(
        uri=f"telegram:{chat}/{id}",
        network="telegram",
        account=account,
        handle=to_name(message.get("from")) or account,
        text=without_nul(str(text)),
        created_at=to_time(message.get("date_unixtime")) or to_time(message.get("date")),
        reply_to=f"telegram:{chat}/{answered}" if answered else None,
        is_repost="forwarded_from" in message,
    )


def _joined(text: object) -> str | None:
    """A Telegram text: a string, or a list of strings and of objects (links, bold …) that have one."""
    if not isinstance(text, list):
        return text if isinstance(text, str) else None
    pieces = [piece.get("text") if isinstance(piece, dict) else piece for piece in text]
    return "".join(piece for piece in pieces if isinstance(piece, str))


def _discord_post(message: dict[str, Any], chat: str) -> Post | tuple[str, bool]:
    author = message.get("author")
    id = to_name(message.get("id"))
    account = to_name(author.get("id")) if isinstance(author, dict) else None
    if id is None or account is None or not isinstance(author, dict):
        return "it is no message as DiscordChatExporter writes them", True
    if message.get("type") not in ("Default", "Reply"):
        return _SERVICE, False
    if author.get("isBot") is True:
        return "by a bot", False
    if problem := text_problem(text := message.get("content")):
        return problem, True
    reference = message.get("reference")
    answered = to_name(reference.get("messageId")) if isinstance(reference, dict) else None
    return Post(
        uri=f"discord:{id}",
        network="discord",
        account=account,
        handle=to_name(author.get("name")) or account,
        text=without_nul(str(text)),
        created_at=to_time(message.get("timestamp")),
        reply_to=f"discord:{answered}" if answered and message.get("type") == "Reply" else None,
        is_repost=isinstance(message.get("forwardedMessage"), dict),
    )
