"""An account's posts from its server, newest first, in a way that may stop anywhere.

A run first reads what is newer than the newest known status, then the gaps that earlier runs left. The cursor says
`newest`, and for each gap where it goes on and where it ends. It is handed on with the posts read before it, so a
kill costs at most the pages in hand, which the next run asks for again.

Ids are compared by length and then letter by letter, which is their order on all these servers (numbers on Mastodon,
letters elsewhere). The server's `Link` is heeded only for the id in it, and only when it leads on.

Once a day everything is read again: edited posts are replaced, and deleted ones become known as such.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Generator, Iterable, Iterator
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final
from urllib.parse import parse_qs, quote, urlsplit

from pasquin.config import CollectSettings
from pasquin.errors import NetworkError, Refused
from pasquin.networks import Complete, Page, Quarantined
from pasquin.networks.mastodon.profile import NO, InstanceRules, Profiles, Wanted, gone, moved_to, sign_in
from pasquin.networks.mastodon.statuses import Owner, Unreadable, status_post
from pasquin.networks.transport import Response, Transport
from pasquin.networks.values import to_count, to_name
from pasquin.records import Post

PAGE: Final = 40
"""Statuses asked for at a time: the most that Mastodon gives."""
BATCH: Final = 400
"""Posts held before they are handed on."""
RECHECK_SECONDS: Final = 24 * 3600
"""How long after reading everything it is read again."""


def _order(id: str) -> tuple[int, str]:
    return len(id), id


_Gap = tuple[str, str | None]
"""What is not read yet: below this id, down to (and without) that one, or to the end."""


@dataclass(frozen=True)
class _Cursor:
    """Where reading stands: everything from `oldest` to `newest` is read but for the `gaps`."""

    account: str
    newest: str | None = None
    oldest: str | None = None
    gaps: tuple[_Gap, ...] = ()
    checked: int = 0
    """When everything was last read (seconds since 1970), 0 for never."""

    @classmethod
    def parse(cls, written: str | None, account: str) -> _Cursor:
        """The cursor as it was committed; a fresh one when it is of another account or makes no sense."""
        try:
            value = json.loads(written or "null")
            gaps = tuple((str(below), None if down_to is None else str(down_to)) for below, down_to in value["gaps"])
            newest, oldest = to_name(value["newest"]), to_name(value["oldest"])
            cursor = cls(str(value["account"]), newest, oldest, gaps, int(value["checked"]))
        except (ValueError, KeyError, TypeError):
            return cls(account)
        return cursor if cursor.account == account else cls(account)

    def text(self) -> str:
        """As it is committed."""
        return json.dumps(asdict(self))

    def seen(self, statuses: Iterable[object]) -> _Cursor:
        """The cursor once these statuses are read."""
        ids = [id for status in statuses if (id := _id(status))]
        newest = max([*ids, *filter(None, [self.newest])], key=_order, default=None)
        oldest = min([*ids, *filter(None, [self.oldest])], key=_order, default=None)
        return replace(self, newest=newest, oldest=oldest)


@dataclass
class _Batch:
    """What was read and not yet handed on. `total` is how many statuses the account says it has."""

    total: int | None
    posts: list[Post] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)
    quarantined: list[Quarantined] = field(default_factory=list)
    seen: int = 0

    def add(self, status: Any, owner: Owner) -> None:
        self.seen += 1
        found = status_post(status, owner)
        if isinstance(found, Post):
            self.posts.append(found)
        elif isinstance(found, Unreadable):
            self.refuse(f"{owner.handle} {_id(status) or 'without an id'}", found, str(status))
        else:
            self.skipped[found] += 1

    def refuse(self, where: str, reason: str, excerpt: str = "") -> None:
        self.quarantined.append(Quarantined(where, reason, excerpt[:200].encode("utf-8", "backslashreplace")))

    def page(self, cursor: _Cursor, complete: Complete | None = None) -> Page:
        """Hand on what there is; the batch is empty then."""
        page = Page(
            tuple(self.posts),
            cursor.text(),
            dict(self.skipped),
            tuple(self.quarantined),
            share=min(1.0, self.seen / self.total) if self.total else None,
            complete=complete,
            current=True,
        )
        self.posts, self.skipped, self.quarantined = [], Counter(), []
        return page


class MastodonSource:
    """Accounts on Mastodon and servers like it."""

    reads_files = False

    def __init__(self, settings: CollectSettings, transport: Transport) -> None:
        """`settings.accepted_rules` are the servers whose rules the person has accepted."""
        self._transport = transport
        self._profiles = Profiles(transport, settings.accepted_rules)

    def rules(self) -> list[InstanceRules]:
        """The rules of the servers that were asked, all of them accepted: for the record."""
        return self._profiles.accepted_rules()

    def posts(self, account: str, since: str | None) -> Iterator[Page]:
        """Pages of the public posts of `@user@host`; what was read before an error is handed on first.

        Raises UsageError when it is no such name or the server's rules are not accepted, Refused when the account is
        gone, private, suspended or asks not to be collected, NetworkError when the server cannot be reached.
        """
        owner, profile = self._profiles.find(Wanted.parse(account))
        self._profiles.check_wish(owner, profile)
        self._profiles.check_rules(owner.server)
        cursor = _Cursor.parse(since, f"{owner.server} {owner.id}")
        batch = _Batch(to_count(profile.get("statuses_count")))
        if (moved := moved_to(profile, owner)) is not None:
            batch.skipped[f"(the account moved to {moved})"] += 1
        if cursor.checked and not cursor.gaps and cursor.checked + RECHECK_SECONDS <= time.time():
            yield from self._everything(owner, cursor, batch)
        else:
            yield from self._news(owner, cursor, batch)

    def _news(self, owner: Owner, cursor: _Cursor, batch: _Batch) -> Iterator[Page]:
        """What is newer than the cursor, then its gaps."""
        began, gaps = int(time.time()), cursor.gaps
        cursor = yield from self._gap(owner, cursor, batch, None, cursor.newest)
        for below, down_to in gaps:
            cursor = yield from self._gap(owner, cursor, batch, below, down_to)
        if not cursor.gaps and not cursor.checked:
            cursor = replace(cursor, checked=began)
        yield batch.page(cursor)

    def _gap(
        self, owner: Owner, cursor: _Cursor, batch: _Batch, below: str | None, down_to: str | None
    ) -> Generator[Page, None, _Cursor]:
        """Read the statuses between two ids; returns the cursor after that."""
        others = tuple(gap for gap in cursor.gaps if gap != (below, down_to))
        at: str | None = None
        try:
            for statuses, at in self._walk(owner, below, down_to):
                if len(batch.posts) >= BATCH:
                    yield batch.page(cursor)
                for status in statuses:
                    batch.add(status, owner)
                rest: tuple[_Gap, ...] = () if at is None else ((at, down_to),)
                cursor = replace(cursor.seen(statuses), gaps=(*rest, *others))
        except NetworkError:
            yield batch.page(cursor)
            raise
        if at is not None:
            batch.refuse(owner.handle, f"the server gives the same page again below {at}; it is asked again next time")
        return cursor

    def _everything(self, owner: Owner, cursor: _Cursor, batch: _Batch) -> Iterator[Page]:
        """All there is, with the new and the edited, and which posts the account still has."""
        began, before = int(time.time()), cursor
        uris: set[str] = set()
        left: str | None = None
        try:
            for statuses, left in self._walk(owner, None, None):  # noqa: B007 - the last one counts
                if len(batch.posts) >= BATCH:
                    yield batch.page(before)
                for status in statuses:
                    batch.add(status, owner)
                    uris.update(_addresses(status))
                cursor = cursor.seen(statuses)
        except NetworkError:
            yield batch.page(before)
            raise
        complete = None
        if left is None and uris and self._reached(owner, before.oldest, uris):
            complete = Complete("mastodon", owner.actor, "", tuple(sorted(uris)))
        yield batch.page(replace(cursor, checked=began), complete)

    def _walk(self, owner: Owner, below: str | None, down_to: str | None) -> Iterator[tuple[list[Any], str | None]]:
        """Statuses a page at a time, each with the id below which to go on: None at the end.

        When the last id is not None, the server did not go on below it and repeated itself.
        """
        while True:
            statuses, linked = self._page(owner, below, down_to)
            ids = [id for status in statuses if (id := _id(status))]
            lower = [id for id in (*ids, linked) if id and (below is None or _order(id) < _order(below))]
            if not lower:
                yield [], below if set(ids) - {below} else None
                return
            at = min(lower, key=_order)
            ended = down_to is not None and _order(at) <= _order(down_to)
            yield [status for status in statuses if _is_between(_id(status), below, down_to)], None if ended else at
            if ended:
                return
            below = at

    def _page(self, owner: Owner, below: str | None, down_to: str | None) -> tuple[list[Any], str | None]:
        """One page of statuses, and the id below which the server's `Link` goes on."""
        params: dict[str, str | int] = {"limit": PAGE, "exclude_reblogs": "true"}
        params |= {"max_id": below} if below else {}
        params |= {"since_id": down_to} if down_to else {}
        answer = self._asked(owner, f"/api/v1/accounts/{quote(owner.id, safe='')}/statuses", params)
        if answer.status in (401, 403):
            raise Refused(sign_in(owner.server), status=answer.status)
        if answer.status in (404, 410):
            raise Refused(gone(owner.handle), status=answer.status)
        statuses = answer.json()
        if answer.status != 200 or not isinstance(statuses, list):
            raise NetworkError(
                f"{owner.server} did not answer with the posts of {owner.handle} ({answer.status}). Try again later.",
                status=answer.status,
            )
        query = parse_qs(urlsplit(answer.link("next") or "").query)
        return statuses, to_name(query.get("max_id", [""])[0])

    def _reached(self, owner: Owner, oldest: str | None, uris: set[str]) -> bool:
        """Whether reading everything came down to what was once the oldest status, or that one was deleted.

        Servers may show less to those who have no account on them: what is only hidden must not count as deleted.
        """
        if oldest is None:
            return True
        answer = self._asked(owner, f"/api/v1/statuses/{quote(oldest, safe='')}", {})
        if answer.status in (404, 410):
            return True
        try:
            return answer.status == 200 and not uris.isdisjoint(_addresses(answer.json()))
        except NetworkError:
            return False

    def _asked(self, owner: Owner, path: str, params: dict[str, str | int]) -> Response:
        headers = self._profiles.headers(owner.server)
        return self._transport.get(owner.server + path, params=params, headers=headers, account=owner.handle, accept=NO)


def _id(status: object) -> str | None:
    return to_name(status.get("id")) if isinstance(status, dict) else None


def _addresses(status: object) -> set[str]:
    """The names under which a status may have been collected."""
    return {name for key in ("uri", "url") if isinstance(status, dict) and (name := to_name(status.get(key)))}


def _is_between(id: str | None, below: str | None, down_to: str | None) -> bool:
    """Whether a status is one that was asked for; one without an id is, so that it is counted."""
    if id is None:
        return True
    return (below is None or _order(id) < _order(below)) and (down_to is None or _order(id) > _order(down_to))
