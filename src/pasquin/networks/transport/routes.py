"""The ways to a host: directly, or through forward proxies. Those that fail are left alone for a while.

Proxies make a host reachable; they never buy more requests, as budgets count by host and not by way.
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.request import getproxies_environment

import httpcore
import httpx
from pydantic import SecretStr

from pasquin.errors import NetworkError, UsageError
from pasquin.networks.transport.guard import CheckedBackend, Guard
from pasquin.networks.transport.tunnel import TunnelBackend

_REST: Final = 60.0
"""Seconds for which a way that failed is not taken; doubles with each failure, up to 64 times."""
_CONNECTIONS: Final = 64


@dataclass
class Route:
    """One way: for encrypted connections, and for plain ones (to one's own hosts)."""

    encrypted: httpx.HTTPTransport
    plain: httpx.HTTPTransport
    is_proxy: bool = True
    failures: int = 0
    rests_until: float = 0.0
    seconds: float = 0.0

    def failed(self) -> None:
        """Leave this way alone for a while."""
        self.rests_until = time.monotonic() + _REST * 2 ** min(self.failures, 6)
        self.failures += 1

    def worked(self, seconds: float) -> None:
        """An answer came this way after `seconds`."""
        self.failures, self.rests_until = 0, 0.0
        self.seconds = seconds if not self.seconds else 0.7 * self.seconds + 0.3 * seconds


class Routes:
    """All the ways there are."""

    def __init__(self, proxies: Sequence[SecretStr], guard: Guard) -> None:
        """Raises UsageError when a proxy makes no sense."""
        self._guard = guard
        direct = _Connecting(CheckedBackend(guard))
        self._direct = Route(direct, direct, is_proxy=False)
        self._proxies = [_proxy(url, position, guard) for position, url in enumerate(_listed(proxies), 1)]
        self._surrounding = [] if self._proxies else [_proxy(url, 1, guard) for url in _from_environment()]
        self._lock = threading.Lock()

    def pick(self, host: str, port: int, avoid: Iterable[Route]) -> Route:
        """A way to `host`: of two live ones the quicker, not one of `avoid` while there are others."""
        ways = self._proxies or ([] if self._guard.is_allowed(host, port) else self._surrounding)
        if not ways:
            return self._direct
        with self._lock:
            shunned = {id(route) for route in avoid}
            live = [route for route in ways if route.rests_until <= time.monotonic()]
            choice = [route for route in live if id(route) not in shunned] or live
            if not choice:  # all of them failed: try the one that has rested longest
                return min(ways, key=lambda route: (id(route) in shunned, route.rests_until))
            return min(random.sample(choice, min(2, len(choice))), key=lambda route: route.seconds)

    def count(self) -> int:
        """How many proxies there are."""
        return len(self._proxies or self._surrounding)

    def close(self) -> None:
        """Close all connections."""
        for route in (self._direct, *self._proxies, *self._surrounding):
            route.encrypted.close()
            route.plain.close()


class _Connecting(httpx.HTTPTransport):
    """httpx's transport over our own ways of connecting."""

    def __init__(self, backend: httpcore.NetworkBackend) -> None:
        self._pool = httpcore.ConnectionPool(
            ssl_context=httpx.create_ssl_context(),
            max_connections=_CONNECTIONS,
            max_keepalive_connections=_CONNECTIONS,
            keepalive_expiry=15.0,
            network_backend=backend,
        )


def _proxy(written: str, position: int, guard: Guard) -> Route:
    """A proxy as written; its password is never part of an error."""
    try:
        url = httpx.URL(written if "://" in written else f"http://{written}")
        if url.scheme not in ("http", "https") or not url.host:
            raise ValueError
        limits = httpx.Limits(max_connections=_CONNECTIONS, max_keepalive_connections=_CONNECTIONS, keepalive_expiry=15)
        plain = httpx.HTTPTransport(proxy=httpx.Proxy(url), limits=limits)
    except (httpx.InvalidURL, ValueError, TypeError, UnicodeError):
        raise UsageError(
            f"Proxy {position} is no address of a proxy: write http://user:password@host:port."
        ) from None  # the cause would show the password
    return Route(_Connecting(TunnelBackend(guard, url)), plain)


def _listed(proxies: Sequence[SecretStr]) -> list[str]:
    """The proxies named by a setting: addresses, and files with one a line."""
    found: list[str] = []
    for secret in proxies:
        written = secret.get_secret_value().strip()
        path = Path(written).expanduser()
        if "://" in written or "@" in written or not path.is_file():
            found.append(written)
            continue
        try:
            lines = [line.partition("#")[0].strip() for line in path.read_text(encoding="utf-8-sig").splitlines()]
        except (OSError, ValueError) as exc:
            raise UsageError(f"The list of proxies {path} cannot be read. Check the path.") from exc
        found += [line for line in lines if line]
        if not any(lines):
            raise UsageError(f"The list of proxies {path} names none. Write one a line: http://user:password@host:port")
    return found


def _from_environment() -> list[str]:
    """The proxy that this machine's environment asks all programs to use, if any."""
    if os.environ.get("NO_PROXY", os.environ.get("no_proxy", "")).strip() == "*":
        return []
    found = getproxies_environment()
    url = found.get("https") or found.get("all")
    return [url] if url and url.startswith(("http://", "https://")) else []


def no_way(host: str, count: int, reason: str) -> NetworkError:
    """What to raise when every try failed."""
    through = f" through {count} proxies" if count > 1 else " through the proxy" if count else ""
    return NetworkError(
        f"{host} could not be reached{through}: {reason}. Check the connection (and the address), and run the same "
        "command again; what was collected is kept."
    )
