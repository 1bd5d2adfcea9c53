"""Reading one source into the workspace, a page at a time.

Of a page the posts come first, then the tombstones of what was deleted upstream, then the cursor: a collector that is
killed in between reads the page again, and finds there what it wrote.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from pasquin.collect.quarantine import Quarantine, open_quarantine
from pasquin.collect.wanted import Wanted
from pasquin.errors import Interrupted
from pasquin.networks import Complete, Page, Quarantined
from pasquin.records import Rights
from pasquin.workspace import Workspace
from pasquin.workspace.cursors import Cursor, read_cursor, write_cursor
from pasquin.workspace.lists import add_to_list
from pasquin.workspace.rights import PROVIDED, record
from pasquin.workspace.shards import ShardWriter
from pasquin.workspace.shown import read_shown, write_shown
from pasquin.workspace.tombstones import add_tombstones

KNOWN: Final = "already collected"
FORGOTTEN: Final = "forgotten"


@dataclass
class Reader:
    """Reads sources into a workspace; many threads may share one."""

    workspace: Workspace
    shards: ShardWriter
    rights: Rights | None = None
    stopped: threading.Event = field(default_factory=threading.Event)
    _lists: threading.Lock = field(default_factory=threading.Lock)

    def read(self, one: Wanted, on_page: Callable[[Page], None]) -> None:
        """Read `one` to its end; `on_page` is called after each page is stored.

        Raises what the source raises, WorkspaceError and ResourceError, and Interrupted once `stopped` is set.
        """
        cursor = read_cursor(self.workspace, one.key)
        self._enlist(one, cursor.accounts)
        try:
            with open_quarantine(self.workspace, one.written) as quarantine:
                for page in one.source.posts(one.what, cursor.position):
                    if self.stopped.is_set():
                        raise Interrupted("Collecting was stopped; what was written so far is kept.")
                    cursor = self._store(page, one, cursor, quarantine)
                    on_page(page)
        finally:
            if one.new and self._is_provided(one):
                record(self.workspace, "provided", source=one.written, posts=one.new, statement=PROVIDED)

    def _store(self, page: Page, one: Wanted, cursor: Cursor, quarantine: Quarantine) -> Cursor:
        unknown = "provided" if self._is_provided(one) else "unknown"
        appended = self.shards.append(page.posts, one.key, rights=self.rights, unknown=unknown, current=page.current)
        for piece in (*page.quarantined, *(Quarantined(post.uri[:200], why, b"") for post, why in appended.refused)):
            quarantine.add(piece)
        posts = len(page.posts) - len(appended.refused)
        one.posts += posts
        one.new += appended.new
        one.updated += appended.updated
        one.quarantined = quarantine.pieces
        one.skipped.update(page.skipped)
        known = posts - appended.new - appended.updated - appended.forgotten
        one.skipped.update({reason: n for reason, n in ((KNOWN, known), (FORGOTTEN, appended.forgotten)) if n > 0})
        self._enlist(one, appended.accounts)
        if gone := set(self._deleted(page)):
            one.deleted += add_tombstones(self.workspace, "deleted upstream", gone)
        after = cursor.after(page.cursor, appended.accounts)
        if after != cursor and after.position is not None:
            write_cursor(self.workspace, one.key, after)
        return after

    def _is_provided(self, one: Wanted) -> bool:
        """Whether a person gave these posts as a file of theirs, which states that they may be used."""
        remote = "://" in one.what and not one.what.startswith("file://")
        return self.rights is None and one.source.reads_files and not remote

    def _enlist(self, one: Wanted, accounts: frozenset[tuple[str, str]]) -> None:
        if accounts:
            with self._lists:
                for name in one.lists:
                    add_to_list(self.workspace, name, accounts)

    def _deleted(self, page: Page) -> Iterator[str]:
        """URIs of stored posts that the page says were deleted upstream."""
        yield from self.shards.there(page.deleted)
        if page.complete is not None:
            yield from self._gone(page.complete)

    def _gone(self, whole: Complete) -> set[str]:
        """URIs of stored posts that the account had and has no more.

        What only its owner's archive has was perhaps deleted long before it was given to us, or is hidden: it stays,
        unless an earlier complete list had it.
        """
        place = (whole.network, whole.account)
        gone = set(missing(whole, self.shards.stored(*place, whole.prefix)))
        own = set(self.shards.stored(*place, whole.prefix, "own-archive"))
        if own:
            before = read_shown(self.workspace, *place)
            gone -= own - before
            now = own & (before | set(whole.uris))  # with those that go now: their tombstones come after this
            if now != before:
                write_shown(self.workspace, *place, now)
        return gone


def missing(whole: Complete, stored: list[str]) -> Iterator[str]:
    """Those of the `stored` URIs that an account has no more, by its own complete list."""
    there = set(whole.uris)
    for uri in stored:
        if uri not in there and not any(low < uri < high for low, high in whole.unknown):
            yield uri
