"""What publishers share about the servers they talk to: https only, a name of our own, and obeying `Retry-After`."""

from __future__ import annotations

import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Final
from urllib.parse import urlsplit

import pasquin
from pasquin.counts import counted
from pasquin.errors import RateLimited, UsageError
from pasquin.networks.publishing import Access

_LONGEST_WAIT: Final = 24 * 3600.0


def user_agent() -> str:
    """How we name ourselves."""
    return f"Pasquin/{pasquin.__version__} (+https://pypi.org/project/pasquin)"


def check_server(access: Access, url: str) -> str:
    """`url` without a slash at its end; UsageError unless it is https, or a host of `allow_private_hosts`."""
    try:
        parts = urlsplit(url)
        host, netloc = parts.hostname or "", parts.netloc.lower()
    except ValueError:
        host, netloc, parts = "", "", urlsplit("")
    own = {netloc, host} & {allowed.lower() for allowed in access.publish.allow_private_hosts}
    if not host or "@" in netloc or (parts.scheme != "https" and not (parts.scheme == "http" and own)):
        raise UsageError(
            f"The bot `{access.bot}` cannot use that address: it must begin with https:// and hold no password. "
            "One's own servers are named in allow_private_hosts of [publish]."
        )
    return url.rstrip("/")


def limited(headers: Mapping[str, str], what: str, *, at_least: float = 0.0) -> RateLimited | None:
    """The error for a request to wait, from `Retry-After` (seconds or a date) or `X-RateLimit-Reset`; None when
    nothing was asked and `at_least` (seconds) is 0."""
    wait = _seconds(headers) or at_least
    if not wait:
        return None
    error = RateLimited(
        f"{what}, {counted(round(min(wait, _LONGEST_WAIT)), 'second')}. The bot goes on by itself after that."
    )
    error.until = time.time() + min(wait, _LONGEST_WAIT)
    return error


def _seconds(headers: Mapping[str, str]) -> float:
    lower = {name.lower(): value.strip() for name, value in headers.items()}
    if (asked := lower.get("retry-after")) is not None:
        if asked.isdecimal():
            return float(asked)
        try:
            return max(1.0, parsedate_to_datetime(asked).timestamp() - time.time())
        except (ValueError, TypeError):
            return 0.0
    for name in ("ratelimit-reset", "x-rate-limit-reset", "x-ratelimit-reset"):
        value = lower.get(name, "")
        if value.isdecimal():
            return max(1.0, float(value) - time.time())
        if value:
            try:
                from datetime import datetime

                return max(1.0, datetime.fromisoformat(value).timestamp() - time.time())
            except ValueError:
                continue
    return 0.0
