"""What became of a bot's latest run, kept for whoever looks: a page, or the next person who wonders why nothing comes.

A run may end on another machine, in a job that nobody watches. Its state and the sentence with it stand in the bot's
row; so do the checks of its disclosure when they were looked at last. A daemon looks often, so what has not changed is
written once a minute at most.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final

import sqlalchemy as sa

from pasquin.publish.disclosure import Disclosure
from pasquin.publish.ledger import aware
from pasquin.store import Store
from pasquin.store.schema import bots

_EVERY: Final = timedelta(minutes=1)
_LONGEST: Final = 1_000


def note_run(
    store: Store, name: str, state: str, why: str | None, disclosure: Disclosure | None, now: datetime
) -> None:
    """Keep what a run of the bot came to, and the disclosure where it was looked at."""
    why = why[:_LONGEST] if why else None
    columns = (bots.c.run_at, bots.c.run_state, bots.c.run_why)
    with store.read() as connection:
        row = connection.execute(sa.select(*columns).where(bots.c.name == name)).mappings().first()
    last = aware(row["run_at"]) if row is not None else None
    same = row is not None and (row["run_state"], row["run_why"]) == (state, why)
    if disclosure is None and same and last is not None and timedelta() <= now - last < _EVERY:
        return
    _set(store, name, {"run_at": now, "run_state": state, "run_why": why, **_checked(disclosure, now)})


def note_check(store: Store, name: str, disclosure: Disclosure, now: datetime) -> None:
    """Keep what a look at the bot's disclosure found."""
    _set(store, name, _checked(disclosure, now))


def _checked(disclosure: Disclosure | None, now: datetime) -> dict[str, Any]:
    return {} if disclosure is None else {"checks": disclosure.told(), "checked_at": now}


def _set(store: Store, name: str, values: dict[str, Any]) -> None:
    with store.write() as connection:
        connection.execute(sa.update(bots).where(bots.c.name == name).values(values))
