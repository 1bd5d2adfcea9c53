"""Watching requests: how many of each route, how fast, which failed. Never who asked, never what.

A route is its template (`/api/game/{name}`), so that no label and no line holds what a client wrote.
"""

from __future__ import annotations

import time
from collections import deque
from datetime import UTC, datetime
from typing import Any, Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pasquin import logs, traces
from pasquin.metrics import Metrics

_HELP: Final = {"pasquin_http_requests_total": "Requests answered, by route and status."}
_KEPT: Final = 50
_WINDOW: Final = 60.0


class Watch:
    """What a server counts, and its latest failures (status 500 and above): `(time, route, status)`."""

    def __init__(self) -> None:
        """All zero."""
        self.metrics = Metrics(_HELP, ("pasquin_http_request_seconds", "Seconds to the end of an answer.", "route"))
        self.failures: deque[tuple[datetime, str, int]] = deque(maxlen=_KEPT)
        self._recent: deque[float] = deque(maxlen=100_000)

    def answered(self, route: str, status: int, seconds: float) -> None:
        """Note an answer."""
        self.metrics.add("http_requests", route=route, status=str(status))
        self.metrics.observe(route, seconds)
        self._recent.append(time.monotonic())
        if status >= 500:
            self.failures.append((datetime.now(UTC), route, status))
        logs.event("request", route=route, status=status, ms=round(seconds * 1000, 1))

    @property
    def per_second(self) -> float:
        """Requests a second over the last minute."""
        since = time.monotonic() - _WINDOW
        while self._recent and self._recent[0] < since:
            self._recent.popleft()
        return len(self._recent) / _WINDOW


class Watched:
    """ASGI middleware that tells a `Watch` of every request."""

    def __init__(self, app: ASGIApp, watch: Watch) -> None:
        self.app, self.watch = app, watch

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and note how it ended."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began, status = time.perf_counter(), 500

        async def send_watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        with traces.span(f"{scope['method']} request") as span:
            try:
                await self.app(scope, receive, send_watched)
            finally:
                route = _route(scope)
                span.rename(f"{scope['method']} {route}")
                span.note(route=route, status=status)
                self.watch.answered(route, status, time.perf_counter() - began)


def _route(scope: Scope) -> str:
    found: Any = scope.get("route")
    return str(getattr(found, "path", None) or "unmatched")
