"""What a person sees of bots: each with its switch, its stock, its next slots, and whatever is wrong with it.

Everything here is read from the store and pasquin.toml; no network is asked. A bot that was taken out of pasquin.toml
and has a queue is still shown, as its texts are blocked for every other bot until somebody releases them.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from itertools import takewhile
from typing import Any, Final, Literal
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from pasquin.config import BotSettings
from pasquin.errors import PasquinError
from pasquin.publish import switches
from pasquin.publish.ledger import Entry, aware, entries, utc
from pasquin.publish.schedule import Schedule, read_schedule
from pasquin.publish.troubles import Seen, troubles
from pasquin.store import Store
from pasquin.store.schema import bots, publications

Group = Literal["waiting", "doubt", "failed", "published", "withdrawn"]
GROUPS: Final[Mapping[Group, tuple[str, ...]]] = {
    "waiting": ("approved",),
    "doubt": ("unknown", "claimed", "attempting"),
    "failed": ("failed",),
    "published": ("confirmed", "deleted"),
    "withdrawn": ("withdrawn",),
}
_NEXT_SLOTS: Final = 3
_MOST_SLOTS: Final = 2_000


def names_there(store: Store, configured: Mapping[str, BotSettings]) -> list[str]:
    """The bots of pasquin.toml in its order, then those that are no longer in it and have entries."""
    with store.read() as connection:
        stored = connection.execute(sa.select(publications.c.bot).distinct()).scalars().all()
    return [*configured, *sorted(set(stored) - set(configured))]


def summary(store: Store, name: str, settings: BotSettings | None, now: datetime) -> dict[str, Any]:
    """A bot at a glance; `settings` is None when it is no longer in pasquin.toml.

    `{bot, network, account, configured, state, why, held_until, schedule, time_zone, next_due, next_slots, entries,
    stock, minimum_stock, low, last, run, troubles}`; moments are ISO 8601 in UTC.
    """
    with store.read() as connection:
        counted = sa.select(publications.c.state, sa.func.count()).where(publications.c.bot == name)
        counts = {str(row[0]): int(row[1]) for row in connection.execute(counted.group_by(publications.c.state))}
        shut = switches.closed(connection, name, now)
        row = dict(connection.execute(sa.select(bots).where(bots.c.name == name)).mappings().first() or {})
        last = _last(connection, name)
        unscheduled = settings is not None and settings.schedule is None  # it may have had a schedule before
        due = None if unscheduled else _next_due(connection, name)
        queued_for = _queued_for(connection, name)
    stock = counts.get("approved", 0)
    paused = settings is not None and settings.paused
    state = "gone" if settings is None else "paused" if paused else shut.state if shut else "active"
    why = "It is paused in pasquin.toml." if paused else shut.reason if shut else None
    network, account = (settings.network, settings.account) if settings else next(iter(queued_for), ("", ""))
    seen = Seen(name, settings, state, why, counts, row, due, queued_for, now)
    return {
        "bot": name,
        "network": network,
        "account": account,
        "configured": settings is not None,
        "state": state,
        "why": why,
        "held_until": _iso(shut.until) if shut else None,
        "schedule": settings.schedule if settings else None,
        "time_zone": settings.time_zone if settings else "UTC",
        "next_due": _iso(due),
        "next_slots": _next_slots(name, settings, now),
        "entries": counts,
        "stock": stock,
        "minimum_stock": settings.minimum_stock if settings else 0,
        "low": settings is not None and stock < settings.minimum_stock,
        "last": last,
        "run": {"at": _iso(row.get("run_at")), "state": row.get("run_state"), "why": row.get("run_why")},
        "troubles": troubles(seen),
    }


def kept_checks(store: Store, name: str) -> dict[str, Any]:
    """The checks of a bot's disclosure as they were found last: `{checks, checked_at}`, None where nobody looked."""
    with store.read() as connection:
        row = connection.execute(sa.select(bots.c.checks, bots.c.checked_at).where(bots.c.name == name)).first()
    return {"checks": row.checks if row else None, "checked_at": _iso(row.checked_at) if row else None}


def listed(store: Store, name: str, group: Group, n: int, skip: int = 0) -> list[dict[str, Any]]:
    """Entries of a group: what waits in the order it comes out, the rest newest first; `n` of them after `skip`."""
    mine = (publications.c.bot == name, publications.c.state.in_(GROUPS[group]))
    query = sa.select(publications).where(*mine)
    if group == "waiting":
        query = query.order_by(publications.c.due_at.is_(None), publications.c.due_at, publications.c.place)
    else:
        latest = sa.func.coalesce(publications.c.attempted_at, publications.c.queued_at)
        query = query.order_by(latest.desc(), publications.c.place.desc())
    with store.read() as connection:
        rows = connection.execute(query.limit(n).offset(skip)).mappings().all()
    return [told(dict(row)) for row in rows]


def told(row: Mapping[str, Any]) -> dict[str, Any]:
    """An entry as people and programs read it; moments are ISO 8601 in UTC."""
    shown = ("id", "state", "text", "due_at", "uri", "url", "published_at", "reason", "edited", "curator")
    return {key: _iso(row[key]) if isinstance(row[key], datetime) else row[key] for key in shown}


def calendar(
    store: Store, name: str, settings: BotSettings | None, first: date, days: int, now: datetime
) -> list[dict[str, Any]]:
    """What a bot published and what comes, day by day in its time zone: `{date, items: [{at, time, state, id, text}]}`.

    A slot that nothing has yet is `free`. Raises UsageError when the schedule cannot be read.
    """
    zone = ZoneInfo(settings.time_zone) if settings and _zone_known(settings) else ZoneInfo("UTC")
    begin = datetime.combine(first, time(), zone).astimezone(UTC)
    end = datetime.combine(first + timedelta(days=days), time(), zone).astimezone(UTC)
    moment = sa.func.coalesce(publications.c.published_at, publications.c.due_at)
    shown = publications.c.state.in_(("approved", "claimed", "attempting", "unknown", "failed", "confirmed", "deleted"))
    with store.read() as connection:
        found = entries(connection, publications.c.bot == name, shown, moment >= begin, moment < end)
    items: list[tuple[datetime, str, str | None, str | None]]
    items = [(_when(entry), entry.state, entry.id, entry.text) for entry in found]
    taken = {due for entry in found if (due := aware(entry.row["due_at"]))}
    if settings is not None and settings.schedule is not None:
        schedule = read_schedule(name, settings.schedule, settings.time_zone)
        free = _slots(schedule, max(begin - timedelta(seconds=1), now), end)
        items += [(slot, "free", None, None) for slot in free if slot not in taken]
    by_day: dict[date, list[dict[str, Any]]] = {first + timedelta(days=number): [] for number in range(days)}
    for at, state, id, text in sorted(items, key=lambda item: item[0]):
        local = at.astimezone(zone)
        item = {"at": at.isoformat(), "time": f"{local:%H:%M}", "state": state, "id": id, "text": text}
        by_day.setdefault(local.date(), []).append(item)
    return [{"date": day.isoformat(), "items": held} for day, held in sorted(by_day.items())]


def _slots(schedule: Schedule, after: datetime, end: datetime) -> list[datetime]:
    found = []
    for slot in takewhile(lambda one: one < end, schedule.slots(after)):
        found.append(slot)
        if len(found) >= _MOST_SLOTS:
            break
    return found


def _zone_known(settings: BotSettings) -> bool:
    try:
        ZoneInfo(settings.time_zone)
    except (KeyError, ValueError, OSError):
        return False
    return True


def _when(entry: Entry) -> datetime:
    return utc(entry.row["published_at"] or entry.row["due_at"])


def _next_slots(name: str, settings: BotSettings | None, now: datetime) -> list[str]:
    if settings is None or settings.schedule is None:
        return []
    try:
        slots = read_schedule(name, settings.schedule, settings.time_zone).slots(now)
    except PasquinError:
        return []  # troubles say what is wrong with it
    return [slot.isoformat() for slot, _ in zip(slots, range(_NEXT_SLOTS), strict=False)]


def _last(connection: sa.Connection, name: str) -> dict[str, Any] | None:
    mine = (publications.c.bot == name, publications.c.state == "confirmed")
    query = sa.select(publications).where(*mine).order_by(publications.c.attempted_at.desc())
    row = connection.execute(query.limit(1)).mappings().first()
    return told(dict(row)) if row is not None else None


def _next_due(connection: sa.Connection, name: str) -> datetime | None:
    waits = (publications.c.bot == name, publications.c.state == "approved")
    return aware(connection.execute(sa.select(sa.func.min(publications.c.due_at)).where(*waits)).scalar())


def _queued_for(connection: sa.Connection, name: str) -> dict[tuple[str, str], int]:
    """How many entries wait for which network and account: what they were when these were queued."""
    where = (publications.c.network, publications.c.account)
    waits = (publications.c.bot == name, publications.c.state == "approved")
    rows = connection.execute(sa.select(*where, sa.func.count()).where(*waits).group_by(*where))
    return {(str(row[0]), str(row[1])): int(row[2]) for row in rows}


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else utc(moment).isoformat()
