"""From decisions to the queue: what curators accept comes in, what they take back goes out again.

A bot with `models` or a `corpus` follows the decisions on their candidates. An entry that waits and is no longer
accepted (undone, rejected, edited anew, or close to a post that was forgotten) is withdrawn; what was claimed already
is not called back. What a person withdrew stays out until somebody decides on it again.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa

from pasquin.config import BotSettings
from pasquin.publish import queue
from pasquin.publish.ledger import change, entries, lock_bot
from pasquin.publish.queue import Accepted
from pasquin.store import Store
from pasquin.store.decided import accepted_candidates
from pasquin.store.schema import candidates, curators, publications


def follow(store: Store, bot: str, settings: BotSettings, now: datetime) -> dict[str, int]:
    """Bring a bot's queue up to date with the decisions; `{queued, withdrawn}`."""
    withdrawn = _withdraw(store, bot, now)
    if not settings.models and settings.corpus is None:
        return {"queued": 0, "withdrawn": withdrawn}
    accepted = accepted_candidates().subquery("accepted")
    mine: sa.ColumnElement[bool] = accepted.c.model.in_(settings.models)
    if settings.corpus is not None:
        mine = sa.or_(mine, accepted.c.corpus == settings.corpus)
    known = sa.exists().where(
        publications.c.candidate == accepted.c.id,
        sa.or_(publications.c.state != "withdrawn", publications.c.decision == accepted.c.decision),
    )
    query = (
        sa.select(accepted.c.id, accepted.c.text, accepted.c.edited, accepted.c.decision, curators.c.name)
        .join(curators, curators.c.id == accepted.c.curator, isouter=True)
        .where(mine, ~known)
        .order_by(accepted.c.decision)
    )
    with store.read() as connection:
        found = [
            Accepted(row.id, row.text, row.name, bool(row.edited), row.decision) for row in connection.execute(query)
        ]
    queued = queue.add(store, bot, settings, found, now)["queued"] if found else 0
    return {"queued": queued, "withdrawn": withdrawn}


def _withdraw(store: Store, bot: str, now: datetime) -> int:
    """Take out what waits and is no longer accepted; how many that were."""
    standing = accepted_candidates().subquery("accepted")
    stands = sa.exists().where(standing.c.decision == publications.c.decision)
    forgotten = sa.exists().where(candidates.c.id == publications.c.candidate, candidates.c.withdrawn_at.is_not(None))
    gone = sa.or_(sa.and_(publications.c.decision.is_not(None), ~stands), forgotten)
    waits: tuple[Any, ...] = (publications.c.bot == bot, publications.c.state == "approved", gone)
    with store.read() as connection:
        if not queue.entries_exist(connection, *waits):
            return 0
    with store.write() as connection:
        lock_bot(connection, bot)
        found = entries(connection, *waits)
        for entry in found:
            why = "it is no longer accepted"
            change(connection, entry, "withdrawn", now, why, text_key=None, due_at=None, reason=why)
        return len(found)
