"""How bots stand, in figures: for whoever watches them (`/metrics`, the operator's page)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from pasquin.config import BotSettings, load_bots
from pasquin.metrics import Gauge
from pasquin.publish import switches
from pasquin.publish.ledger import utc
from pasquin.store import Store
from pasquin.store.schema import publication_events, publications
from pasquin.workspace import Workspace

STATES = ("approved", "claimed", "attempting", "confirmed", "unknown", "failed", "withdrawn", "deleted")


@dataclass(frozen=True)
class Standing:
    """How one bot stands. `overdue` is the age in seconds of the oldest post that should be out, `spent` US dollars."""

    bot: str
    network: str
    state: str
    why: str | None
    entries: dict[str, int]
    minimum_stock: int
    next_due: datetime | None
    last_at: datetime | None
    overdue: float
    published_day: int
    spent_month: float

    @property
    def low(self) -> bool:
        """Whether fewer entries are left than wanted."""
        return self.entries.get("approved", 0) < self.minimum_stock


def standings(workspace: Workspace, store: Store, now: datetime | None = None) -> list[Standing]:
    """Every bot of pasquin.toml. Raises UsageError, StoreError."""
    now = now or datetime.now(UTC)
    with store.read() as connection:
        return [_standing(connection, name, bot, now) for name, bot in load_bots(workspace.toml).items()]


def _standing(connection: sa.Connection, name: str, bot: BotSettings, now: datetime) -> Standing:
    mine = publications.c.bot == name
    counted = sa.select(publications.c.state, sa.func.count()).where(mine).group_by(publications.c.state)
    entries = {row[0]: row[1] for row in connection.execute(counted)}
    waits = (mine, publications.c.state == "approved")
    first = sa.select(sa.func.min(publications.c.due_at)).where(*waits)
    due = connection.execute(first).scalar() if bot.schedule is not None else None
    last = connection.execute(sa.select(sa.func.max(publications.c.published_at)).where(mine)).scalar()
    shut = switches.closed(connection, name, now)
    done = sa.select(sa.func.count()).where(mine, publications.c.state == "confirmed")
    day = connection.execute(done.where(publications.c.published_at > now - timedelta(days=1))).scalar_one()
    month = connection.execute(done.where(publications.c.published_at > now - timedelta(days=30))).scalar_one()
    return Standing(
        bot=name,
        network=bot.network,
        state="paused" if bot.paused else shut.state if shut else "active",
        why=shut.reason if shut else None,
        entries=entries,
        minimum_stock=bot.minimum_stock,
        next_due=utc(due) if due else None,
        last_at=utc(last) if last else None,
        overdue=max(0.0, (now - utc(due)).total_seconds()) if due else 0.0,
        published_day=day,
        spent_month=month * bot.post_cost if bot.network == "x" else 0.0,
    )


def troubles(store: Store, most: int = 10) -> list[dict[str, Any]]:
    """The newest entries that failed or are in doubt: `{at, bot, id, state, note}`, no words of the post."""
    query = (
        sa.select(publication_events.c.at, publications.c.bot, publications.c.id)
        .add_columns(publication_events.c.state, publication_events.c.note)
        .join(publications, publications.c.id == publication_events.c.publication)
        .where(publication_events.c.state.in_(("failed", "unknown")))
        .order_by(publication_events.c.id.desc())
        .limit(most)
    )
    with store.read() as connection:
        return [{**row, "at": utc(row["at"])} for row in connection.execute(query).mappings()]


def gauges(bots: list[Standing]) -> list[Gauge]:
    """The same for Prometheus."""

    def each(name: str, says: str, value: Any) -> Gauge:
        return name, says, [((("bot", one.bot),), float(value(one))) for one in bots]

    counts = [
        ((("bot", one.bot), ("state", state)), float(one.entries.get(state, 0))) for one in bots for state in STATES
    ]
    return [
        ("pasquin_bot_entries", "Entries of a bot's queue and ledger, by state.", counts),
        each("pasquin_bot_active", "1 when the bot's switches let it publish.", lambda one: one.state == "active"),
        each("pasquin_bot_minimum_stock", "Entries that should be left at least.", lambda one: one.minimum_stock),
        each("pasquin_bot_overdue_seconds", "Age of the oldest post that should be out.", lambda one: one.overdue),
        each(
            *("pasquin_bot_last_published_timestamp_seconds", "When the bot published last; 0: never."),
            lambda one: one.last_at.timestamp() if one.last_at else 0,
        ),
        each(
            "pasquin_bot_spent_month_dollars", "US dollars of the last 30 days, as X asks.", lambda one: one.spent_month
        ),
    ]
