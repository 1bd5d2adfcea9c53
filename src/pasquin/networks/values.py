"""From what inputs contain to what a post holds: times, counts, flags, texts and X identities, strictly bounded.

Every function takes whatever a file may hold and answers None (or a reason) where it makes no sense; none raises.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Final

MAX_TEXT: Final = 1_000_000
"""Characters; a longer text is no short post, and is quarantined."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_MILLISECONDS_FROM: Final = 100_000_000_000
"""Numbers of this size are milliseconds since 1970, not seconds (as seconds they would lie after the year 5000)."""
_SNOWFLAKE_FROM: Final = 29_700_859_247
"""The first X id that carries its time (November 2010); ids before it were counted one by one."""
_SNOWFLAKE_EPOCH_MS: Final = 1_288_834_974_657
_RETWEET: Final = re.compile(r"RT @\w")


def text_problem(text: object) -> str | None:
    """Why `text` cannot be the text of a post, None when it can."""
    if not isinstance(text, str):
        return "it has no text"
    if len(text) > MAX_TEXT:
        return f"its text is longer than {MAX_TEXT:,} characters"
    return None


def without_nul(text: str) -> str:
    """The text without NUL characters: some posts on X have them, nothing shows them, and databases choke on them."""
    return text.replace("\0", "")


def to_time(value: object) -> datetime | None:
    """A point in time, UTC, from seconds or milliseconds since 1970, ISO 8601, X's or e-mail's way of writing it.

    A time without a zone is taken as UTC.
    """
    if isinstance(value, datetime):
        return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)
    if isinstance(value, str):
        return _time_from_text(value.strip())
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            return _EPOCH + timedelta(seconds=value / 1000 if abs(value) >= _MILLISECONDS_FROM else value)
        except (OverflowError, ValueError):
            return None
    return None


def _time_from_text(text: str) -> datetime | None:
    if len(text) > 64:
        return None
    if text.isascii() and text.isdigit():
        return to_time(int(text))
    try:
        return to_time(datetime.fromisoformat(text))
    except (ValueError, OverflowError):
        pass
    try:
        return _x_time(text) or to_time(parsedate_to_datetime(text))
    except (ValueError, OverflowError, TypeError, IndexError):
        return None


def _x_time(text: str) -> datetime | None:
    """`Fri Feb 01 04:12:21 +0000 2013`, and Grailbird's `2009-07-30 00:00:00 +0000`."""
    parts = text.split()
    if len(parts) == 6 and parts[1] in _MONTHS:
        zone, year = parts[4], parts[5]
        date, clock = (int(year), _MONTHS.index(parts[1]) + 1, int(parts[2])), parts[3]
    elif len(parts) == 3 and len(parts[0]) == 10:
        zone, clock = parts[2], parts[1]
        date = (int(parts[0][:4]), int(parts[0][5:7]), int(parts[0][8:]))
    else:
        return None
    offset = zone_offset(zone)
    if offset is None:
        return None
    hour, minute, second = (int(part) for part in clock.split(":"))
    return datetime(*date, hour, minute, second, tzinfo=UTC) - offset


def zone_offset(zone: str) -> timedelta | None:
    """Distance from UTC of a zone written as `+hhmm`, `UTC`, or one of the American abbreviations; else None."""
    if re.fullmatch(r"[+-]\d{4}", zone):
        offset = timedelta(hours=int(zone[1:3]), minutes=int(zone[3:]))
        return -offset if zone[0] == "-" else offset
    hours = {"UTC": 0, "GMT": 0, "EDT": -4, "EST": -5, "CDT": -5, "CST": -6, "MDT": -6, "MST": -7, "PDT": -7, "PST": -8}
    return timedelta(hours=hours[zone]) if zone in hours else None


def to_count(value: object) -> int | None:
    """A number of likes or reposts, also when written as text (`"12"`, `"1,234"`)."""
    if isinstance(value, str):
        digits = value.strip().replace(",", "")
        if not (digits.isascii() and digits.isdigit() and len(digits) < 19):
            return None
        return int(digits)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(value) if 0 <= value < 2**62 else None


def to_flag(value: object) -> bool:
    """Whether a value says yes: true, 1, "true", "yes"."""
    if isinstance(value, str):
        return value.strip().lower() in {"true", "yes", "1"}
    return isinstance(value, bool | int) and bool(value)


def to_name(value: object) -> str | None:
    """A short identifying text (a handle, an id, a link, a language), None when empty or no such thing."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    name = str(value).strip()
    return name if name and len(name) <= 2_000 and "\0" not in name else None


def x_uri(id: int | str) -> str:
    """The identity of a post on X, the same for every way it was read."""
    return f"https://x.com/i/status/{id}"


def x_id_time(id: int) -> datetime | None:
    """When a post on X was made, from its id (milliseconds in its upper bits); None for ids before November 2010."""
    if id < _SNOWFLAKE_FROM or id >= 2**63:
        return None
    return to_time((id >> 22) + _SNOWFLAKE_EPOCH_MS)


def is_retweet_text(text: str) -> bool:
    """Whether a text on X repeats somebody else's the old way, `RT @name: …`."""
    return _RETWEET.match(text) is not None
