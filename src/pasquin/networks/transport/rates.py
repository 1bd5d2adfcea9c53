"""What an answer's headers say about when to ask again: `Retry-After` and the many forms of rate-limit headers."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

_LONGEST: Final = 366 * 86_400.0
_EPOCH_FROM: Final = 1_000_000_000
"""Larger numbers are a point in time (seconds since 1970), smaller ones seconds from now."""
_DRAFT: Final = re.compile(r"(?:^|[;,\s])(r|remaining|t|reset)\s*=\s*(\d{1,12})")
_PREFIXES: Final = ("ratelimit", "x-ratelimit", "x-rate-limit")


def wait_asked(status: int, headers: Mapping[str, str]) -> float | None:
    """Seconds for which an answer asks not to be followed by another request; None when it does not say.

    Times are read against the answer's own `Date`, so a wrong clock on this machine does not matter.
    """
    waits = [_quota_wait(headers)]
    if status in (429, 503) or 300 <= status < 400 or status >= 500:
        waits.append(_seconds(headers.get("retry-after"), headers))
    if status == 429 and all(wait is None for wait in waits):
        waits.append(_reset(headers))
    known = [wait for wait in waits if wait is not None]
    return max(known) if known else None


def _quota_wait(headers: Mapping[str, str]) -> float | None:
    """Until the reset, when nothing remains."""
    for prefix in _PREFIXES:
        remaining = (headers.get(f"{prefix}-remaining") or "").strip()
        if re.fullmatch(r"-?\d{1,12}(?:\.0+)?", remaining) and float(remaining) <= 0:
            return _reset(headers)
    parts = dict(_DRAFT.findall(headers.get("ratelimit") or ""))
    reset = parts.get("t", parts.get("reset"))
    return float(reset) if reset is not None and parts.get("r", parts.get("remaining")) == "0" else None


def _reset(headers: Mapping[str, str]) -> float | None:
    for prefix in _PREFIXES:
        seconds = _seconds(headers.get(f"{prefix}-reset"), headers)
        if seconds is not None:
            return seconds
    return None


def _seconds(value: str | None, headers: Mapping[str, str]) -> float | None:
    """Seconds from now that a header means: a number of them, a point in time as a number, an HTTP or ISO date."""
    value = (value or "").strip()
    if not value or len(value) > 64:
        return None
    if re.fullmatch(r"\d{1,15}(?:\.\d{1,9})?", value):
        number = float(value)
        number /= 1000 if number > 100 * _EPOCH_FROM else 1
        return _bounded(number - _now(headers)) if number >= _EPOCH_FROM else _bounded(number)
    moment = _moment(value)
    return None if moment is None else _bounded(moment - _now(headers))


def _now(headers: Mapping[str, str]) -> float:
    date = headers.get("date") or ""
    moment = _moment(date) if len(date) <= 64 else None
    return time.time() if moment is None else moment


def _moment(text: str) -> float | None:
    for parse in (datetime.fromisoformat, parsedate_to_datetime):
        try:
            moment = parse(text)
            return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
        except (ValueError, TypeError, OverflowError, IndexError):
            continue
    return None


def _bounded(seconds: float) -> float:
    return min(max(seconds, 0.0), _LONGEST)
