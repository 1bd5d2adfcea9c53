"""The ledger: each entry of a queue is published at most once, whoever publishes it and whenever they are killed.

    approved -> claimed (lease, fence) -> attempting (frozen request) -> confirmed | unknown | failed

- The intent is on the disk before the network is asked, the outcome after it has answered.
- A bot has one entry between `claimed` and an outcome at a time, so what was interrupted is settled before the next.
- A claim has a lease and a fence. Every later write names the fence; once another publisher has taken over (the lease
  ran out, or the owner is surely dead), the fence is higher and the write of the first is refused: `StaleClaimError`.
- All changes happen in one transaction that holds the bot's row: SQLite and PostgreSQL alike.

What was claimed but not attempted goes back to the queue. What was attempted is never simply sent again: it is taken
over as `attempting`, and whoever took it over settles it by looking.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal

import sqlalchemy as sa

from pasquin.errors import StoreError
from pasquin.publish.owner import surely_dead, this_owner
from pasquin.publish.switches import closed, seen
from pasquin.store import Store
from pasquin.store.schema import bots, publication_events, publications

State = Literal["approved", "claimed", "attempting", "confirmed", "unknown", "failed", "withdrawn", "deleted"]
IN_FLIGHT: Final = ("claimed", "attempting")


class StaleClaimError(StoreError):
    """A write came after its claim was lost to another publisher; it changed nothing."""


@dataclass(frozen=True)
class Entry:
    """A publication as it is in the store, with its `row`."""

    id: str
    bot: str
    text: str
    state: State
    fence: int
    row: Mapping[str, Any]

    @property
    def request(self) -> Mapping[str, Any]:
        """The frozen request; empty before the attempt."""
        return self.row["request"] or {}


@dataclass(frozen=True)
class Claim:
    """What `claim` gives: an entry that is ours now (`claimed` anew, or `attempting` when it was taken over), or why
    there is none (`paused`, `stopped`, `held`, `busy`, `nothing_due`, `resting`)."""

    entry: Entry | None
    why: str | None = None
    until: datetime | None = None


@dataclass(frozen=True)
class Ledger:
    """The ledger of a store, for one process; `lease_seconds` is how long a claim lasts."""

    store: Store
    lease_seconds: float

    def claim(self, bot: str, now: datetime, *, scheduled: bool, rest: timedelta = timedelta()) -> Claim:
        """Take over what was interrupted, else claim the entry that has been due longest.

        Without a schedule the first of the queue is due, `rest` after the bot's last attempt.
        """
        with self.store.write() as connection:
            lock_bot(connection, bot)
            if shut := closed(connection, bot, now):
                return Claim(None, shut.state, shut.until)
            seen(connection, bot, now)
            for entry in _select(connection, publications.c.bot == bot, publications.c.state.in_(IN_FLIGHT)):
                if not _abandoned(entry, now):
                    return Claim(None, "busy", aware(entry.row["lease_until"]))
                if entry.state == "attempting":
                    return Claim(self._take(connection, entry, "attempting", now, "taken over"))
                self._release(connection, entry, now, "its publisher went away before it began")
            if not scheduled and (wait := _resting(connection, bot, now, rest)):
                return Claim(None, "resting", wait)
            entry_due = _first_due(connection, bot, now, scheduled)
            if entry_due is None:
                return Claim(None, "nothing_due")
            return Claim(self._take(connection, entry_due, "claimed", now, None))

    def attempt(
        self,
        entry: Entry,
        request: Mapping[str, Any],
        disclosure: Mapping[str, Any],
        where: tuple[str, str],
        now: datetime,
    ) -> Entry:
        """Store the intent: after this the network may be asked. `where` are the network and the account that will be,
        which may have changed since the entry was queued. Raises StaleClaimError."""
        values = {
            "network": where[0],
            "account": where[1],
            "request": dict(request),
            "disclosure": dict(disclosure),
            "attempts": entry.row["attempts"] + 1,
            "attempted_at": entry.row["attempted_at"] or now,
            "lease_until": now + timedelta(seconds=self.lease_seconds),
        }
        return self._move(entry, "attempting", now, None, values)

    def confirm(self, entry: Entry, found: Mapping[str, Any], receipt: Mapping[str, Any], now: datetime) -> Entry:
        """Store that it is published: `found` are `uri`, `url`, `published_at`. Raises StaleClaimError."""
        values = {**found, "receipt": dict(receipt), "reason": None, "check_at": None, **_FREE}
        return self._move(entry, "confirmed", now, str(found["uri"]), values)

    def unknown(self, entry: Entry, reason: str, check_at: datetime | None, now: datetime) -> Entry:
        """Store that nobody knows; look again at `check_at`, or ask the person when it is None."""
        return self._move(entry, "unknown", now, reason, {"reason": reason, "check_at": check_at, **_FREE})

    def fail(self, entry: Entry, reason: str, now: datetime) -> Entry:
        """Store that it was not published, and will not be."""
        return self._move(entry, "failed", now, reason, {"reason": reason, "check_at": None, **_FREE})

    def put_back(self, entry: Entry, reason: str, now: datetime) -> Entry:
        """Store that it surely was not published, and may be later; it keeps its slot."""
        values = {"reason": reason, "request": None, "attempted_at": None, "check_at": None, **_FREE}
        return self._move(entry, "approved", now, reason, values)

    def take_unknown(self, bot: str, now: datetime, *, publication: str | None = None) -> Entry | None:
        """Take an `unknown` that is to be looked at now (or the named one), as `attempting`; None when there is none,
        or the bot has another entry in flight."""
        with self.store.write() as connection:
            lock_bot(connection, bot)
            if _select(connection, publications.c.bot == bot, publications.c.state.in_(IN_FLIGHT)):
                return None
            which = publications.c.id == publication if publication else publications.c.check_at <= now
            found = _select(connection, publications.c.bot == bot, publications.c.state == "unknown", which)
            return self._take(connection, found[0], "attempting", now, "looked at again") if found else None

    def _take(self, connection: sa.Connection, entry: Entry, state: State, now: datetime, note: str | None) -> Entry:
        values = {
            "owner": this_owner(),
            "lease_until": now + timedelta(seconds=self.lease_seconds),
            "fence": entry.fence + 1,
        }
        return _change(connection, entry, state, now, note, values)

    def _release(self, connection: sa.Connection, entry: Entry, now: datetime, note: str) -> None:
        _change(connection, entry, "approved", now, note, {"fence": entry.fence + 1, **_FREE})

    def _move(self, entry: Entry, state: State, now: datetime, note: str | None, values: Mapping[str, Any]) -> Entry:
        with self.store.write() as connection:
            return _change(connection, entry, state, now, note, values)


_FREE: Final[Mapping[str, Any]] = {"owner": None, "lease_until": None}


def lock_bot(connection: sa.Connection, bot: str) -> None:
    """Hold the bot's row until the transaction ends: nobody else changes its queue meanwhile."""
    if connection.dialect.name == "sqlite":
        return  # a write transaction holds the whole database
    connection.execute(sa.select(bots.c.name).where(bots.c.name == bot).with_for_update())


def entries(connection: sa.Connection, *conditions: sa.ColumnElement[bool]) -> list[Entry]:
    """Entries that meet all conditions, in the order of their slots and places."""
    return _select(connection, *conditions)


def aware(moment: datetime | None) -> datetime | None:
    """A moment as it comes from the store (SQLite forgets the zone), in UTC."""
    return None if moment is None else utc(moment)


def utc(moment: datetime) -> datetime:
    """The same of a moment that is there."""
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _select(connection: sa.Connection, *conditions: sa.ColumnElement[bool], limit: int | None = None) -> list[Entry]:
    query = sa.select(publications).where(*conditions)
    order = (publications.c.due_at.is_(None), publications.c.due_at, publications.c.place, publications.c.id)
    rows = connection.execute(query.order_by(*order).limit(limit)).mappings()
    return [_entry(dict(row)) for row in rows]


def _entry(row: dict[str, Any]) -> Entry:
    return Entry(row["id"], row["bot"], row["text"], row["state"], row["fence"], row)


def _change(
    connection: sa.Connection, entry: Entry, state: State, now: datetime, note: str | None, values: Mapping[str, Any]
) -> Entry:
    """Change an entry that is still as `entry` says: same state, same fence."""
    same = sa.and_(
        publications.c.id == entry.id, publications.c.fence == entry.fence, publications.c.state == entry.state
    )
    changed = {"state": state, **values}
    if connection.execute(sa.update(publications).where(same).values(changed)).rowcount != 1:
        raise StaleClaimError(
            f"The entry {entry.id} was taken over by another publisher meanwhile. Nothing was changed here; "
            "the other one finishes it."
        )
    fence = changed.get("fence", entry.fence)
    event = {"publication": entry.id, "at": now, "state": state, "fence": fence, "note": note}
    connection.execute(sa.insert(publication_events).values(event))
    return replace(entry, state=state, fence=fence, row={**entry.row, **changed})


def change(connection: sa.Connection, entry: Entry, state: State, now: datetime, note: str, **values: Any) -> Entry:
    """Change an entry on a person's behalf, inside a transaction; StaleClaimError when it is no longer as it was."""
    return _change(connection, entry, state, now, note, values)


def _abandoned(entry: Entry, now: datetime) -> bool:
    lease = aware(entry.row["lease_until"])
    return lease is None or lease <= now or surely_dead(entry.row["owner"] or "")


def _resting(connection: sa.Connection, bot: str, now: datetime, rest: timedelta) -> datetime | None:
    """When the bot may publish again, None when it may now."""
    query = sa.select(sa.func.max(publications.c.attempted_at)).where(publications.c.bot == bot)
    last = aware(connection.execute(query).scalar())
    return last + rest if last is not None and last + rest > now else None


def _first_due(connection: sa.Connection, bot: str, now: datetime, scheduled: bool) -> Entry | None:
    conditions = [publications.c.bot == bot, publications.c.state == "approved"]
    if scheduled:
        conditions.append(publications.c.due_at <= now)
    found = _select(connection, *conditions, limit=1)
    return found[0] if found else None
