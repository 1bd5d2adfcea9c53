"""The switches of bots: active, paused or stopped, one by one and all at once, and what holds a bot for a while.

`paused` is for a while (a person, or an account that was refused, did it); `stopped` is the kill switch: what is due
meanwhile is not made up for without a word. The switch of all bots is the row named `*`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal

import sqlalchemy as sa

from pasquin.store import Store
from pasquin.store.schema import bots

Switch = Literal["active", "paused", "stopped"]
ALL: Final = "*"
CLOCK_SLACK: Final = timedelta(minutes=2)
"""How much earlier than the latest moment seen a clock may be: machines differ a little."""

_NO_PLAN: Final = ""
"""Words of no schedule: the next run finds that the queue was planned by others."""


@dataclass(frozen=True)
class Shut:
    """Why a bot publishes nothing now: `paused`, `stopped`, `held` (until a time) or `clock`."""

    state: str
    reason: str | None = None
    until: datetime | None = None


def register(store: Store, names: list[str]) -> None:
    """Make sure that the bots, and the switch of all, have a row."""
    with store.read() as connection:
        there = set(connection.execute(sa.select(bots.c.name)).scalars())
    for name in [ALL, *names]:
        if name in there:
            continue
        row = {"name": name, "state": "active", "changed_at": datetime.now(UTC)}
        try:
            with store.write() as connection:
                connection.execute(sa.insert(bots).values(row))
        except sa.exc.IntegrityError:
            continue  # another process made it meanwhile


def switch(store: Store, name: str, state: Switch, reason: str | None, now: datetime) -> None:
    """Set the switch of a bot, or of all (`*`). A bot that is switched on forgets what its clock said, and its queue is
    planned anew: slots that a clock in the future gave it would come too late."""
    register(store, [] if name == ALL else [name])
    values: dict[str, Any] = {"state": state, "reason": reason, "changed_at": now}
    if state == "active":
        values |= {"held_until": None, "last_at": None, "plan": _NO_PLAN}
    with store.write() as connection:
        connection.execute(sa.update(bots).where(bots.c.name == name).values(values))


def hold(store: Store, name: str, until: datetime, reason: str) -> None:
    """Let a bot be quiet until a time, as its network asked for."""
    with store.write() as connection:
        connection.execute(sa.update(bots).where(bots.c.name == name).values(held_until=until, reason=reason))


def closed(connection: sa.Connection, name: str, now: datetime) -> Shut | None:
    """What keeps a bot from publishing now, None when nothing does."""
    rows = {
        row["name"]: row for row in connection.execute(sa.select(bots).where(bots.c.name.in_([name, ALL]))).mappings()
    }
    for which in (ALL, name):
        row = rows.get(which)
        if row is not None and row["state"] != "active":
            return Shut(row["state"], row["reason"])
    own = rows.get(name)
    if own is None:
        return None
    if (held := _aware(own["held_until"])) and held > now:
        return Shut("held", own["reason"], held)
    last = _aware(own["last_at"])
    if last is not None and now < last - CLOCK_SLACK:
        return Shut(
            "clock",
            f"This machine's clock says {now:%Y-%m-%d %H:%M}, but the bot published at {last:%Y-%m-%d %H:%M} already.",
        )
    return None


def seen(connection: sa.Connection, name: str, now: datetime) -> None:
    """Remember the latest moment at which a bot published."""
    later = sa.or_(bots.c.last_at.is_(None), bots.c.last_at < now)
    connection.execute(sa.update(bots).where(bots.c.name == name, later).values(last_at=now))


def _aware(moment: datetime | None) -> datetime | None:
    if moment is None:
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
