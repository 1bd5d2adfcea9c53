"""How often one may ask, without accounts: token buckets for each player and each address prefix, in memory only.

An address is cut to its network (/24, or /48 of IPv6) and hashed with a salt that is replaced every hour and never
leaves this process; nothing of it is stored or logged.
"""

from __future__ import annotations

import hashlib
import ipaddress
import math
import re
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from pasquin.counts import counted
from pasquin.errors import PasquinError

_BURST_SECONDS: Final = 10.0
_SALT_SECONDS: Final = 3_600.0
_MOST_BUCKETS: Final = 50_000
_IPV4: Final = re.compile(r"\d{1,3}(?:\.\d{1,3}){3}", re.ASCII)


class TooFastError(PasquinError):
    """Somebody asks too often; `retry_after` says in how many seconds to come back."""

    def __init__(self, retry_after: int) -> None:
        """Say when it goes on."""
        super().__init__(f"That was too fast. Wait {counted(retry_after, 'second')}, then go on.")
        self.retry_after = retry_after


class Limits:
    """Buckets that hold ten seconds' worth of requests and fill at `player_rate` and `address_rate` a second."""

    def __init__(self, player_rate: float, address_rate: float, clock: Callable[[], float] = time.monotonic) -> None:
        """All buckets begin full."""
        self._rates = (player_rate, address_rate)
        self._clock = clock
        self._buckets: OrderedDict[bytes, tuple[float, float]] = OrderedDict()
        self._salt, self._salted_at = secrets.token_bytes(16), clock()

    def take(self, token: str | None, address: str | None, cost: float = 1.0) -> None:
        """Count a request of the player with cookie `token` from `address`. Raises TooFastError."""
        now = self._clock()
        if now - self._salted_at > _SALT_SECONDS:
            self._buckets.clear()
            self._salt, self._salted_at = secrets.token_bytes(16), now
        player_rate, address_rate = self._rates
        waits = [self._take(f"a{_network(address)}", address_rate, cost, now)]
        if token:
            waits.append(self._take(f"p{token[:64]}", player_rate, cost, now))
        if max(waits) > 0:
            raise TooFastError(math.ceil(max(waits)))

    def _take(self, name: str, rate: float, cost: float, now: float) -> float:
        """Take from one bucket; how many seconds are missing (0: none are)."""
        key = hashlib.blake2b(name.encode("utf-8", "replace"), digest_size=16, key=self._salt).digest()
        room = max(rate * _BURST_SECONDS, cost)
        left, at = self._buckets.get(key, (room, now))
        left = min(room, left + max(0.0, now - at) * rate)
        missing = max(0.0, cost - left) / rate
        self._buckets[key] = (left - cost if missing == 0 else left, now)
        self._buckets.move_to_end(key)
        if len(self._buckets) > _MOST_BUCKETS:
            self._buckets.popitem(last=False)
        return missing


def _network(address: str | None) -> str:
    if address and _IPV4.fullmatch(address):
        return address.rpartition(".")[0]
    try:
        found = ipaddress.ip_address(address or "")
    except ValueError:
        return address or ""
    return str(ipaddress.ip_network((found, 48), strict=False)) if found.version == 6 else ""
