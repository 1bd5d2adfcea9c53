"""The one way out for all networks: polite, patient, bounded, and never inward.

- Budgets per host and per account are shared by all workers and all proxies; `Retry-After` and rate-limit headers are
  obeyed to the second: no request goes to a host before the time it named (`budgets`, `rates`).
- What may pass (429, 5xx, a lost connection) is tried again with growing, jittered pauses, a few times; what will not
  (401, 403, 404, 410 and other refusals) ends at once with `Refused`.
- Answers are bounded in size and in slowness (`body`); public addresses only, https only (`guard`).
- Passwords and tokens never appear in an error: addresses are shown without user, query or fragment.

Limits: proxies are HTTP forward proxies; a name must resolve on this machine even when a proxy is used, as the proxy
is given the checked address. Nothing here renders pages or signs in.
"""

from __future__ import annotations

import functools
import random
import shutil
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Final, Protocol, TypeVar

import httpx
import orjson
import platformdirs

import pasquin
from pasquin.counts import counted
from pasquin.errors import InwardAddress, NetworkError, RateLimited, Refused
from pasquin.networks.transport.answers import Response, authority, reason_of, refusal, shown, whole
from pasquin.networks.transport.body import Oversized, chunks
from pasquin.networks.transport.budgets import Budgets, Turns
from pasquin.networks.transport.cache import Cache
from pasquin.networks.transport.guard import Guard
from pasquin.networks.transport.rates import wait_asked
from pasquin.networks.transport.routes import Route, Routes, no_way

__all__ = [
    "InwardAddress",
    "NetworkError",
    "Oversized",
    "RateLimited",
    "Refused",
    "Response",
    "Transport",
    "shared",
    "shown",
]

USER_AGENT: Final = f"Pasquin/{pasquin.__version__} (+https://pypi.org/project/pasquin)"
TRIES: Final = 5
"""Times that a request is sent before its source is given up for now."""
MAX_BYTES: Final = 32 * 2**20
"""The largest answer read into memory, unless a caller allows more."""
_REDIRECTS: Final = 5
_ANSWERS: Final = "answers"
_HOLDS: Final = "holds"
_PASSING: Final = frozenset({408, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524, 527, 530})
_TIMEOUT: Final = {"connect": 10.0, "read": 30.0, "write": 30.0, "pool": 60.0}
_LONGEST_BACKOFF: Final = 60.0

_T = TypeVar("_T")


class _Settings(Protocol):
    """What the transport takes from `CollectSettings` (or any other stage's settings)."""

    @property
    def proxies(self) -> tuple[Any, ...]: ...
    @property
    def allow_private_hosts(self) -> tuple[str, ...]: ...
    @property
    def max_wait_seconds(self) -> int: ...


@dataclass(frozen=True)
class _Call:
    """One question: where, how, on whose behalf."""

    method: str
    url: httpx.URL
    headers: Mapping[str, str]
    body: bytes | None
    account: str
    repeatable: bool
    accept: Collection[int]


class Transport:
    """Asks services; safe to use from many threads at once. Make one a process with `shared`."""

    def __init__(
        self,
        settings: _Settings,
        *,
        folder: Path | None = None,
        backoff: float = 1.0,
        tries: int = TRIES,
        turns: Turns | None = None,
    ) -> None:
        """`folder` keeps the cache and the holds; None keeps nothing. `backoff` seconds are the first pause. `turns`
        says when a host may be asked, budgets of its own where there are none.

        Raises UsageError when a proxy makes no sense.
        """
        self._guard = Guard(settings.allow_private_hosts)
        self._routes = Routes(settings.proxies, self._guard)
        self._budgets = turns or Budgets(settings.max_wait_seconds, folder / _HOLDS if folder else None)
        self._cache = Cache(folder / _ANSWERS) if folder else None
        self._backoff = backoff
        self._tries = tries

    def on_wait(self, say: Callable[[str], None]) -> None:
        """Call `say` with a sentence whenever a long wait begins (from the waiting thread)."""
        self._budgets.on_wait = say

    def say(self, text: str) -> None:
        """Say that a long wait begins, as `on_wait` was asked to."""
        if self._budgets.on_wait:
            self._budgets.on_wait(text)

    def pause(self, seconds: float) -> None:
        """Sleep; Interrupted once `stop` was called."""
        self._budgets.pause(seconds)

    def limit(self, url: str, requests: int, seconds: float, account: str = "") -> None:
        """Ask the host of `url` at most `requests` times in `seconds`, for all or on behalf of one `account`.

        Without it a host is asked at most 300 times in 5 minutes. What is said first counts.
        """
        self._budgets.limit(authority(self._guard.check(url)), requests, seconds, account)

    def stop(self) -> None:
        """End all waiting in all threads with Interrupted; the transport is of no more use then."""
        self._budgets.stop()

    def close(self) -> None:
        """Close all connections."""
        self._routes.close()

    def get(
        self,
        url: str,
        *,
        params: Mapping[str, str | int] | None = None,
        headers: Mapping[str, str] | None = None,
        account: str = "",
        max_bytes: int = MAX_BYTES,
        keep: bool = False,
        accept: Collection[int] = (),
    ) -> Response:
        """Get an answer whole.

        `account` is whose budget it is on, beside the host's; `keep` asks only for what changed since the last time
        (not for requests with a token); `accept` are refusals (400, 404, …) to return instead of raising.

        Raises Refused, RateLimited, InwardAddress, or NetworkError when nothing else helped.
        """
        secret = _has_secret(headers)
        kept = self._cache.get(_full(url, params)) if keep and self._cache and not secret else None
        wanted = dict(headers or {}) | (kept.conditions() if kept else {})
        call = self._call("GET", url, params, wanted, account, accept=(*accept, 304) if kept else accept)
        response = self._ask(call, lambda answer: whole(answer, max_bytes))
        if kept and response.status == 304:
            return Response(response.url, 200, kept.headers, kept.content, unchanged=True)
        if keep and self._cache and not secret and response.status == 200:
            self._cache.put(_full(url, params), response.headers, response.content)
        return response

    def get_json(self, url: str, **options: Any) -> Any:
        """`get(...).json()`."""
        return self.get(url, **options).json()

    def post(
        self,
        url: str,
        body: object,
        *,
        headers: Mapping[str, str] | None = None,
        account: str = "",
        max_bytes: int = MAX_BYTES,
        repeatable: bool = False,
        accept: Collection[int] = (),
    ) -> Response:
        """Post `body` as JSON and get the answer whole.

        Only a `repeatable` post (one that reads, or carries a key) is sent again after it may have arrived.
        """
        wanted = dict(headers or {}) | {"Content-Type": "application/json"}
        call = self._call("POST", url, None, wanted, account, orjson.dumps(body), repeatable, accept)
        return self._ask(call, lambda answer: whole(answer, max_bytes))

    def download(
        self,
        url: str,
        into: IO[bytes],
        *,
        params: Mapping[str, str | int] | None = None,
        headers: Mapping[str, str] | None = None,
        account: str = "",
        max_bytes: int,
        accept: Collection[int] = (),
    ) -> Response:
        """Get an answer of any size into a file (from its beginning); the Response has no content.

        A broken transfer is begun anew.
        """

        def read(answer: httpx.Response) -> Response:
            into.seek(0)
            into.truncate()
            for piece in chunks(answer, max_bytes):
                into.write(piece)
            return Response(str(answer.request.url), answer.status_code, answer.headers, b"")

        return self._ask(self._call("GET", url, params, headers, account, accept=accept), read)

    def _call(
        self,
        method: str,
        url: str,
        params: Mapping[str, str | int] | None,
        headers: Mapping[str, str] | None,
        account: str,
        body: bytes | None = None,
        repeatable: bool = True,
        accept: Collection[int] = (),
    ) -> _Call:
        sent = {"User-Agent": USER_AGENT, "Accept-Encoding": "gzip", "Accept": "*/*", **(headers or {})}
        target = self._guard.check(_full(url, params))
        return _Call(method, target, sent, body, account, repeatable, frozenset(accept))

    def _ask(self, call: _Call, read: Callable[[httpx.Response], _T]) -> _T:
        """Ask until there is an answer, or no hope for one."""
        reason, tries, failed, hops = "", 0, list[Route](), 0
        while tries < self._tries:
            if tries:
                self._budgets.pause(self._pause(tries))
            try:
                with self._sent(call, failed) as answer:
                    if answer.status_code in (301, 302, 303, 307, 308) and "location" in answer.headers:
                        hops += 1
                        call = self._redirected(call, answer, hops)
                        continue
                    if answer.is_success or answer.status_code in call.accept:
                        return read(answer)
                    if answer.status_code not in _PASSING:
                        raise refusal(answer)
                    reason = f"it answered {answer.status_code}"
                    if answer.status_code != 429 and not call.repeatable:
                        break
                    if answer.status_code == 429 and wait_asked(429, answer.headers) is None:
                        self._budgets.hold(authority(call.url), self._pause(tries + 1) * 2)
            except httpx.TransportError as exc:
                reason = reason_of(exc)
                lost = not isinstance(exc, httpx.ConnectError | httpx.ConnectTimeout | httpx.ProxyError)
                if lost and not call.repeatable:
                    raise no_way(call.url.host, self._routes.count(), reason) from exc
                # A proxy that is no use costs no try while there are others: the host has not been asked.
                if not lost and failed and len(failed) < self._routes.count():
                    continue
            tries += 1
        raise no_way(call.url.host, self._routes.count(), f"{reason} ({counted(tries, 'try', 'tries')})")

    def _pause(self, tries: int) -> float:
        """Seconds before another try: doubling, half of it by chance."""
        return float(min(_LONGEST_BACKOFF, self._backoff * 2 ** (tries - 1)) * random.uniform(0.5, 1.0))

    @contextmanager
    def _sent(self, call: _Call, failed: list[Route]) -> Iterator[httpx.Response]:
        """Send a request when it is its host's turn; the answer's body is read in the block."""
        host = authority(call.url)
        with self._budgets.turn(host, call.account):
            port = call.url.port or (443 if call.url.scheme == "https" else 80)
            route = self._routes.pick(call.url.host, port, failed)
            began = time.monotonic()
            try:
                way = route.encrypted if call.url.scheme == "https" else route.plain
                answer = way.handle_request(_request(call))
                if route.is_proxy and answer.status_code == 407:
                    answer.close()
                    raise httpx.ProxyError("the proxy wants another password")
            except (httpx.TransportError, OSError) as exc:
                if route.is_proxy:
                    route.failed()
                    failed.append(route)
                raise exc if isinstance(exc, httpx.TransportError) else httpx.ConnectError(str(exc)) from exc
            answer.request = httpx.Request(call.method, call.url)
            route.worked(time.monotonic() - began)
            wait = wait_asked(answer.status_code, answer.headers)
            if wait:
                self._budgets.hold(host, wait + random.uniform(0.05, 0.5))
        try:
            yield answer
        finally:
            answer.close()

    def _redirected(self, call: _Call, answer: httpx.Response, hops: int) -> _Call:
        """The call after a redirect: checked anew, without secrets when it leads to another host."""
        if hops > _REDIRECTS:
            raise NetworkError(f"{shown(call.url)} sends us round in circles. Check the address.")
        if not call.repeatable:
            raise NetworkError(f"{shown(call.url)} has moved. Look up the service's present address.")
        try:
            joined = call.url.join(answer.headers["location"])
        except (httpx.InvalidURL, ValueError) as exc:
            raise NetworkError(f"{shown(call.url)} sends us to an address that is none.") from exc
        target = self._guard.check(joined)
        headers = dict(call.headers)
        if authority(target) != authority(call.url):
            headers = {name: value for name, value in headers.items() if name.lower() not in _SECRET_HEADERS}
        method, body = (call.method, call.body) if answer.status_code in (307, 308) else ("GET", None)
        return _Call(method, target, headers, body, call.account, call.repeatable, call.accept)


_SECRET_HEADERS: Final = frozenset({"authorization", "cookie", "proxy-authorization", "x-api-key"})


def shared(settings: _Settings) -> Transport:
    """The process's one transport for these settings, so that all sources and workers share its budgets."""
    with _making:
        return _shared(_reach(settings))


def take_turns_from(turns: Turns) -> None:
    """From now on this process asks hosts when `turns` says so: it is a reader of a cluster, and keeps no answers."""
    global _turns
    with _making:
        _turns = turns
        _shared.cache_clear()


def open_budgets(settings: _Settings) -> Budgets:
    """Budgets with what hosts told earlier runs on this machine."""
    return Budgets(settings.max_wait_seconds, _folder() / _HOLDS)


def stop_shared(settings: _Settings) -> None:
    """End all waiting of the process's transport with Interrupted; who asks for it afterwards gets a new one."""
    with _making:
        stopping = _shared(_reach(settings))
        _shared.cache_clear()
    stopping.stop()


@dataclass(frozen=True)
class _Reach:
    """The settings that make two transports differ."""

    passwords: tuple[str, ...] = field(repr=False)
    allow_private_hosts: tuple[str, ...]
    max_wait_seconds: int

    @property
    def proxies(self) -> tuple[Any, ...]:
        from pydantic import SecretStr

        return tuple(SecretStr(one) for one in self.passwords)


def forget_answers() -> None:
    """Remove every answer that is kept: they hold people's words. Services are asked for them anew."""
    shutil.rmtree(_folder() / _ANSWERS, ignore_errors=True)


def _reach(settings: _Settings) -> _Reach:
    proxies = tuple(secret.get_secret_value() for secret in settings.proxies)
    return _Reach(proxies, settings.allow_private_hosts, settings.max_wait_seconds)


_making = threading.Lock()
_turns: Turns | None = None


@functools.cache
def _shared(reach: _Reach) -> Transport:
    return Transport(reach, turns=_turns) if _turns is not None else Transport(reach, folder=_folder())


def _folder() -> Path:
    return Path(platformdirs.user_cache_dir("pasquin")) / "http"


def _full(url: str, params: Mapping[str, str | int] | None) -> str:
    try:
        return str(httpx.URL(url).copy_merge_params(params)) if params else url
    except (httpx.InvalidURL, TypeError, ValueError) as exc:
        raise NetworkError("A web address cannot be understood. Check it.") from exc


def _request(call: _Call) -> httpx.Request:
    return httpx.Request(
        call.method, call.url, headers=call.headers, content=call.body, extensions={"timeout": _TIMEOUT}
    )


def _has_secret(headers: Mapping[str, str] | None) -> bool:
    return any(name.lower() in _SECRET_HEADERS for name in headers or {})
