"""A network in memory: accounts with posts, that can be slow, break, edit and delete. A public fake of `Source`."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest

from pasquin.errors import NetworkError
from pasquin.networks import Complete, Page
from pasquin.records import Post, Rights


@dataclass
class FakeNetwork:
    """A network called `fake`. Safe to share between threads."""

    page: int = 10
    rights: Rights = "public-network"
    delay: float = 0.0
    posts_of: dict[str, dict[int, str]] = field(default_factory=dict)
    dead: dict[str, Exception] = field(default_factory=dict)
    deleted: dict[str, list[int]] = field(default_factory=dict)
    on_page: Callable[[str, int], None] | None = None
    at_once: int = 0
    most_at_once: int = 0
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    reads_files: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, account: str, texts: list[str]) -> None:
        """Publish `texts` as `account`."""
        there = self.posts_of.setdefault(account, {})
        first = max(there, default=-1) + 1
        there.update(enumerate(texts, first))

    def uri(self, account: str, number: int) -> str:
        """What identifies a post."""
        return f"fake://{account}/{number:06d}"

    def posts(self, account: str, since: str | None) -> Iterator[Page]:
        """Pages from number `since` on."""
        with self._lock:
            self.asked.append((account, since))
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            if account in self.dead:
                raise self.dead[account]
            if account not in self.posts_of:
                raise NetworkError(f"There is no account {account}. Check the name.")
            yield from self._pages(account, int(since or 0))
        finally:
            with self._lock:
                self.at_once -= 1

    def _pages(self, account: str, since: int) -> Iterator[Page]:
        numbers = [number for number in sorted(self.posts_of[account]) if number >= since]
        gone = tuple(self.uri(account, number) for number in self.deleted.get(account, ()))
        for start in range(0, max(1, len(numbers)), self.page):
            chosen = numbers[start : start + self.page]
            time.sleep(self.delay)
            if self.on_page:
                self.on_page(account, start)
            posts = tuple(
                Post(
                    uri=self.uri(account, number),
                    network="fake",
                    account=f"id-{account}",
                    handle=account,
                    text=self.posts_of[account][number],
                    rights=self.rights,
                )
                for number in chosen
            )
            cursor = str(chosen[-1] + 1) if chosen else str(since)
            yield Page(posts, cursor, deleted=gone, current=True)

    def complete(self, account: str) -> Complete:
        """All posts that the account still has."""
        uris = tuple(self.uri(account, number) for number in sorted(self.posts_of[account]))
        return Complete("fake", f"id-{account}", f"fake://{account}/", uris)


def install(monkeypatch: pytest.MonkeyPatch, network: FakeNetwork) -> FakeNetwork:
    """Make `fake:` a source of this process."""
    from pasquin import networks

    real_sources, real_open = networks.sources, networks.open_source
    monkeypatch.setattr(networks, "sources", lambda: {**real_sources(), "fake": "tests"})
    monkeypatch.setattr(
        networks, "open_source", lambda name, settings: network if name == "fake" else real_open(name, settings)
    )
    return network
