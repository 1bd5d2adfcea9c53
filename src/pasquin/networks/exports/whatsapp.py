"""A chat as WhatsApp exports it: text whose dates look as the phone that wrote it likes them.

Which number of a date is the day is seen from the whole file: from a number above 12, else from the order of the
messages. The times are the phone's local ones and are taken as UTC, as the file does not say its zone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from hashlib import sha256
from typing import Final, NamedTuple

from pasquin.config import CollectSettings
from pasquin.errors import InputError
from pasquin.networks import Quarantined
from pasquin.networks.exports.documents import OTHERS, is_wanted
from pasquin.networks.files.reading import InputFile, Reading, decoded
from pasquin.networks.values import MAX_TEXT
from pasquin.records import Post

_MARKS: Final = "\u200e\u200f\u202a\u202c\ufeff"
_HEADER: Final = re.compile(
    r"\[?(?P<stamp>(?P<a>\d{1,4})[/.-](?P<b>\d{1,2})[/.-](?P<c>\d{1,4})[.,]?\s{1,3}(?:\w{1,4}\s)?"
    r"(?P<hour>\d{1,2})[:.](?P<minute>\d{2})(?:[:.](?P<second>\d{2}))?(?:\s{0,2}(?P<half>[aApP])\.?\s?[mM]\.?)?)"
    r"(?:\]\s?|\s-\s)(?P<rest>.*)",
    re.DOTALL,
)
_MESSAGE: Final = re.compile(r'(?P<name>[^:"“”]{1,100}): ?(?!//)(?P<text>.*)', re.DOTALL)
_MEDIA: Final = re.compile(r"<[^<>\n]{3,60}>|[\w-]{1,100}\.\w{2,4} \([^()\n]{3,60}\)")
_DELETED: Final = frozenset(
    ("This message was deleted", "This message was deleted.", "You deleted this message", "You deleted this message.")
)
_EDITED: Final = "<This message was edited>"


class _Order(NamedTuple):
    """Which of a date's three numbers is which."""

    year: int
    month: int
    day: int


_DAY_FIRST: Final = _Order(2, 1, 0)
_MONTH_FIRST: Final = _Order(2, 0, 1)
_YEAR_FIRST: Final = _Order(0, 1, 2)


def read_whatsapp(file: InputFile, settings: CollectSettings) -> Iterator[Reading]:
    """The messages of one chat; system lines, media and deleted messages are counted."""
    order = _date_order(InputFile(file.path), settings)
    head: re.Match[str] | None = None
    held: list[str] = []
    size, begin = 0, 1
    for item in file.lines(settings.max_line_bytes):
        if isinstance(item, Quarantined):
            yield item
            continue
        number, raw = item
        try:
            line = decoded(raw.removesuffix(b"\r"))
        except ValueError as exc:
            yield file.quarantine(number, str(exc), raw)
            continue
        if found := _HEADER.fullmatch(line.lstrip(_MARKS)):
            if head:
                yield _reading(file, begin, head, held, order, settings)
            head, held, size, begin = found, [], 0, number
        elif head is None:
            yield file.quarantine(number, "it stands before the first message", raw)
        elif size <= MAX_TEXT:  # beyond, what is held is enough to see that the text is too long
            held.append(line)
            size += len(line) + 1
    if head and not file.damage:
        yield _reading(file, begin, head, held, order, settings)


def _reading(
    file: InputFile, number: int, head: re.Match[str], held: list[str], order: _Order, settings: CollectSettings
) -> Reading:
    message = _MESSAGE.fullmatch(head["rest"])
    if message is None:
        return "system line"
    name = message["name"].strip(_MARKS + " ~\u00a0")
    text = "\n".join([message["text"], *held]).strip()
    if not name:
        return file.quarantine(number, "it has no author", head.string)
    if text.startswith("\u200e") or (not held and _is_media(text)):
        return "media or system line"
    text = text.removesuffix(_EDITED).strip(_MARKS + " \n")
    if text in _DELETED:
        return "deleted"
    if not is_wanted(settings, name):
        return OTHERS
    if len(text) > MAX_TEXT:
        return file.quarantine(number, f"its text is longer than {MAX_TEXT:,} characters", text[:200])
    identity = sha256(f"{head['stamp']}\0{name}\0{text}".encode()).hexdigest()[:32]
    return Post(
        uri=f"whatsapp:{identity}",
        network="whatsapp",
        account=name,
        handle=name,
        text=text,
        created_at=_time(head, order),
    )


def _is_media(text: str) -> bool:
    return _MEDIA.fullmatch(text.strip(_MARKS)) is not None


def _date_order(file: InputFile, settings: CollectSettings) -> _Order:
    """How this file writes dates. Raises InputError when no line of it begins with one."""
    backwards = {_DAY_FIRST: 0, _MONTH_FIRST: 0}
    last: dict[_Order, datetime | None] = {_DAY_FIRST: None, _MONTH_FIRST: None}
    found = half_days = False
    for item in file.lines(settings.max_line_bytes):
        if not isinstance(item, tuple):
            continue
        line = item[1][:200].decode("utf-8", "replace").lstrip(_MARKS)
        if not (head := _HEADER.fullmatch(line)):
            continue
        found, half_days = True, half_days or head["half"] is not None
        if len(head["a"]) == 4:
            return _YEAR_FIRST
        for order in backwards:
            time, before = _time(head, order), last[order]
            backwards[order] += 1_000 if time is None else before is not None and time < before
            last[order] = time or before
    if not found:
        raise InputError(f"{file.name} is no chat as WhatsApp exports it: no line begins with a date and a time.")
    if backwards[_DAY_FIRST] != backwards[_MONTH_FIRST]:
        return min(backwards, key=lambda order: backwards[order])
    return _MONTH_FIRST if half_days else _DAY_FIRST


def _time(head: re.Match[str], order: _Order) -> datetime | None:
    date = (int(head["a"]), int(head["b"]), int(head["c"]))
    year, hour = date[order.year], int(head["hour"])
    if head["half"]:
        hour = hour % 12 + (12 if head["half"] in "pP" else 0) if hour <= 12 else hour
    try:
        return datetime(
            year + 2000 if year < 100 else year,
            date[order.month],
            date[order.day],
            hour,
            int(head["minute"]),
            int(head["second"] or 0),
            tzinfo=UTC,
        )
    except ValueError:
        return None
