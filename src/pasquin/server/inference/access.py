"""Who may ask, how often, and for how much at a time."""

from __future__ import annotations

import ipaddress
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from pasquin.config import ServeSettings
from pasquin.counts import counted
from pasquin.server.inference.errors import ApiError
from pasquin.server.inference.keys import Key, hash_key

_MINUTE: Final = 60.0


def is_loopback(host: str) -> bool:
    """Whether a host name or address can only be this machine."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


@dataclass(slots=True)
class Caller:
    """Who asks. `allowance` is how many requests may come at once now; it fills up by `per_minute`."""

    name: str
    per_minute: float
    allowance: float
    since: float
    sequences: int = 0


class Access:
    """Recognises callers by their key, and holds them to their limits."""

    def __init__(self, settings: ServeSettings, clock: Callable[[], float] = time.monotonic) -> None:
        """Keys are required when `settings` say so or the host is not this machine's own; `keys` is set by the app."""
        self.required = settings.require_key or not is_loopback(settings.host)
        self.keys: dict[str, Key] = {}
        self._settings, self._clock = settings, clock
        self._callers: dict[str, Caller] = {}
        self._anybody = Caller("anybody", math.inf, math.inf, clock())

    def caller(self, authorization: str | None, host: str) -> Caller:
        """The caller of a request by its `Authorization` and `Host` headers. Raises ApiError 401 or 403."""
        if not self.required:
            if not is_loopback(_host_name(host)):
                # A page of another site whose name was made to point here would say its own name.
                raise ApiError(403, "This endpoint takes requests to 127.0.0.1 or localhost only.")
            return self._anybody
        scheme, _, key = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not key.strip():
            raise ApiError(401, "Send an API key, as `Authorization: Bearer KEY`.", code="invalid_api_key")
        known = self.keys.get(hash_key(key.strip()))
        if known is None:
            raise ApiError(401, "This API key is not valid (any more).", code="invalid_api_key")
        limit = float(known.requests_per_minute or self._settings.key_requests_per_minute)
        caller = self._callers.get(known.name)
        if caller is None or caller.per_minute != limit:
            caller = self._callers[known.name] = Caller(known.name, limit, limit, self._clock())
        return caller

    def count(self, caller: Caller) -> None:
        """Take one request off the caller's allowance. Raises ApiError 429 when there is none left."""
        if math.isinf(caller.per_minute):
            return
        now = self._clock()
        gained = max(0.0, now - caller.since) * caller.per_minute / _MINUTE
        caller.allowance, caller.since = min(caller.per_minute, caller.allowance + gained), now
        if caller.allowance < 1:
            wait = math.ceil((1 - caller.allowance) * _MINUTE / caller.per_minute)
            raise ApiError(
                429,
                f"This key may ask {counted(int(caller.per_minute), 'time')} a minute. Try again in {wait} s.",
                code="rate_limit_exceeded",
                retry_after=max(1, wait),
            )
        caller.allowance -= 1

    @contextmanager
    def sequences(self, caller: Caller, wanted: int) -> Iterator[None]:
        """Let the caller have `wanted` more sequences under way in the block. Raises ApiError: 429, or 400 if never."""
        most = self._settings.key_sequences
        if not math.isinf(caller.per_minute):
            if wanted > most:
                raise ApiError(400, f"A key may ask for {counted(most, 'text')} at a time, not {wanted}.", "n")
            if caller.sequences + wanted > most:
                raise ApiError(
                    429,
                    f"This key has {counted(caller.sequences, 'text')} under way and may have {most}. "
                    "Wait for some to end.",
                    code="rate_limit_exceeded",
                    retry_after=1,
                )
        caller.sequences += wanted
        try:
            yield
        finally:
            caller.sequences -= wanted


def _host_name(host: str) -> str:
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""
