"""How often a host, and an account at it, may be asked: one budget for all workers and all proxies.

A host is asked by one worker at a time: the next request goes out when the head of the last answer was read. So when a
host says "not before ten past", no request of ours is under way to it, and none leaves before. Answers' bodies are
read side by side. What a host said is remembered on the disk, for a collector that is started again.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

from pasquin.errors import Interrupted, RateLimited
from pasquin.workspace.files import write_atomically

DEFAULT_LIMIT: Final = (300, 300.0)
"""Requests and seconds for a host nothing is known of."""
_REMEMBERED_FROM: Final = 0.5
"""Seconds; a shorter hold is not written to the disk: a collector takes about as long to start."""


@dataclass
class _Window:
    """A quota: at most `requests` in any `seconds`."""

    requests: int
    seconds: float
    sent: deque[float] = field(default_factory=deque)

    def wait(self, now: float) -> float:
        while self.sent and self.sent[0] <= now - self.seconds:
            self.sent.popleft()
        return self.sent[0] + self.seconds - now if len(self.sent) >= self.requests else 0.0


@dataclass
class _Host:
    gate: threading.Lock = field(default_factory=threading.Lock)
    windows: dict[str, _Window] = field(default_factory=dict)
    held_until: float = 0.0


class Turns(Protocol):
    """Who says when a host may be asked: the budgets of this process, or those of a cluster."""

    on_wait: Callable[[str], None] | None
    """Called with a sentence when a long wait begins."""

    def limit(self, host: str, requests: int, seconds: float, account: str = "") -> None:
        """Ask `host` (on behalf of `account`) at most so often; it keeps to what was said first of several."""

    def hold(self, host: str, seconds: float) -> None:
        """Do not ask `host` before `seconds` have passed."""

    def turn(self, host: str, account: str = "") -> AbstractContextManager[None]:
        """Wait until `host` may be asked on behalf of `account`, and hold the turn until the block ends."""

    def pause(self, seconds: float) -> None:
        """Sleep; Interrupted when collecting is stopped meanwhile."""

    def stop(self) -> None:
        """End all waiting."""


class Budgets:
    """Quotas and holds of every host; shared by all threads."""

    def __init__(self, max_wait: float, folder: Path | None = None) -> None:
        """`max_wait` seconds are waited for a turn at most; holds are remembered in `folder`."""
        self.on_wait: Callable[[str], None] | None = None
        self._max_wait = max_wait
        self._folder = folder
        self._hosts: dict[str, _Host] = {}
        self._lock = threading.Lock()
        self._stopped = threading.Event()

    def limit(self, host: str, requests: int, seconds: float, account: str = "") -> None:
        """Ask `host` (on behalf of `account`) at most so often; it keeps to what was said first of several."""
        with self._lock:
            window = self._host(host).windows.setdefault(account, _Window(requests, seconds))
            if (window.requests, window.seconds) == DEFAULT_LIMIT:
                window.requests, window.seconds = requests, seconds

    def hold(self, host: str, seconds: float) -> None:
        """Do not ask `host` before `seconds` have passed."""
        with self._lock:
            entry = self._host(host)
            entry.held_until = max(entry.held_until, time.monotonic() + seconds)
        if seconds >= _REMEMBERED_FROM and self._folder is not None:
            with suppress(OSError):  # only a later run would miss it
                self._folder.mkdir(parents=True, exist_ok=True)
                write_atomically(self._note(host), json.dumps({"until": time.time() + seconds}))

    def stop(self) -> None:
        """End all waiting: every `turn` raises Interrupted from now on."""
        self._stopped.set()

    @contextmanager
    def turn(self, host: str, account: str = "") -> Iterator[None]:
        """Wait until `host` may be asked on behalf of `account`, and hold the turn until the block ends.

        Raises RateLimited when that is further away than the longest wait, Interrupted after `stop`.
        """
        with self._lock:
            entry = self._host(host)
            entry.windows.setdefault("", _Window(*DEFAULT_LIMIT))
            windows = [entry.windows[key] for key in dict.fromkeys(("", account)) if key in entry.windows]
        with entry.gate:
            while (wait := self._wait(entry, windows)) > 0:
                if wait > self._max_wait:
                    raise _too_long(host, wait)
                if wait > 10 and self.on_wait:
                    self.on_wait(f"{host} asks for patience: going on in {wait:,.0f} s.")
                self.pause(wait)
            self.pause(0)
            for window in windows:
                window.sent.append(time.monotonic())
            yield

    def pause(self, seconds: float) -> None:
        """Sleep; Interrupted when collecting is stopped meanwhile."""
        if self._stopped.wait(seconds) if seconds > 0 else self._stopped.is_set():
            raise Interrupted("Collecting was stopped. Run the same command again to go on.")

    def _wait(self, entry: _Host, windows: list[_Window]) -> float:
        now = time.monotonic()
        return max([entry.held_until - now, *(window.wait(now) for window in windows)])

    def _host(self, host: str) -> _Host:
        if host not in self._hosts:
            self._hosts[host] = _Host(held_until=time.monotonic() + self._remembered(host))
        return self._hosts[host]

    def _remembered(self, host: str) -> float:
        """Seconds for which an earlier run was told to wait, from now."""
        if self._folder is None:
            return 0.0
        try:
            until = json.loads(self._note(host).read_bytes())["until"]
            return min(max(0.0, float(until) - time.time()), 86_400.0)
        except (OSError, ValueError, KeyError, TypeError):
            return 0.0

    def _note(self, host: str) -> Path:
        assert self._folder is not None
        return self._folder / f"{hashlib.sha256(host.encode()).hexdigest()[:32]}.json"


def _too_long(host: str, wait: float) -> RateLimited:
    until = time.time() + wait
    clock = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(until))
    error = RateLimited(
        f"{host} wants no request before {clock}. What was collected is kept; run the same command again then.",
        status=429,
    )
    error.until = until
    return error
