"""The queue of a bot: accepted candidates in order, each with the slot in which it is due.

`plan` gives slots to what has none. What is later than `grace_hours` (the machine slept) moves to the next free slots,
but the oldest is published at once: a queue never stands still, and a bot never floods.
"""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from pasquin.config import BotSettings
from pasquin.errors import UsageError
from pasquin.publish.ledger import Entry, aware, change, entries, lock_bot
from pasquin.publish.schedule import Schedule, read_schedule
from pasquin.store import Store
from pasquin.store.schema import bots, candidates, publication_events, publications
from pasquin.texts import text_key

_CHUNK = 500


@dataclass(frozen=True, slots=True)
class Accepted:
    """A candidate that may be published: its text (edited or not), who accepted it, and by which row of `decisions`."""

    candidate: str | None
    text: str
    curator: str | None = None
    edited: bool = False
    decision: int | None = None


def chosen_candidates(store: Store, ids: Sequence[str], curator: str | None) -> list[Accepted]:
    """Candidates by id, as accepted by `curator`. Raises UsageError naming the first that is not there."""
    found: dict[str, str] = {}
    with store.read() as connection:
        for start in range(0, len(ids), _CHUNK):
            chunk = candidates.c.id.in_(ids[start : start + _CHUNK])
            found |= {row.id: row.text for row in connection.execute(sa.select(candidates).where(chunk))}
    for id in ids:
        if id not in found:
            raise UsageError(f"There is no candidate `{id}`. `pasquin generate MODEL -o FILE.jsonl` writes their ids.")
    return [Accepted(id, found[id], curator) for id in ids]


def add(store: Store, bot: str, settings: BotSettings, accepted: Iterable[Accepted], now: datetime) -> dict[str, Any]:
    """Put texts at the end of a bot's queue; `{queued, skipped: {reason: n}}`.

    A text that any bot has published, or has in its queue, is skipped: identical posts across accounts are spam.
    """
    skipped: Counter[str] = Counter()
    queued = 0
    with store.write() as connection:
        lock_bot(connection, bot)
        place = _last_place(connection, bot)
        for one in accepted:
            key = text_key(one.text)
            if not one.text.strip():
                skipped["empty"] += 1
                continue
            if _there(connection, one.candidate, key):
                skipped["already_queued_or_published"] += 1
                continue
            place += 1.0
            _insert(connection, bot, settings, one, key, place, now)
            queued += 1
    return {"queued": queued, "skipped": dict(skipped)}


def plan(store: Store, bot: str, settings: BotSettings, now: datetime, *, anew: bool = False) -> int:
    """Give slots to the entries that have none; how many got one. `anew` (and a changed schedule) plans all again."""
    if settings.schedule is None:
        return 0
    schedule = read_schedule(bot, settings.schedule, settings.time_zone)
    words = f"{settings.time_zone} {settings.schedule}"
    late = now - timedelta(hours=settings.grace_hours)
    approved = (publications.c.bot == bot, publications.c.state == "approved")
    homeless = sa.or_(publications.c.due_at.is_(None), publications.c.due_at < late)
    with store.read() as connection:
        planned = connection.execute(sa.select(bots.c.plan).where(bots.c.name == bot)).scalar()
        if planned == words and not anew and not entries_exist(connection, *approved, homeless):
            return 0
    with store.write() as connection:
        lock_bot(connection, bot)
        connection.execute(sa.update(bots).where(bots.c.name == bot).values(plan=words))
        waiting = entries(connection, *approved)
        again = anew or planned not in (None, words)
        moving = [entry for entry in waiting if _moves(entry, now, late, again)]
        overdue = [entry for entry in moving if (due := aware(entry.row["due_at"])) and due <= now]
        if overdue and not any((due := aware(entry.row["due_at"])) and late <= due <= now for entry in waiting):
            moving.remove(overdue[0])
        return _assign(connection, bot, schedule, sorted(moving, key=lambda entry: entry.row["place"]), now)


def entries_exist(connection: sa.Connection, *conditions: sa.ColumnElement[bool]) -> bool:
    """Whether there is an entry that meets all conditions."""
    return connection.execute(sa.select(publications.c.id).where(*conditions).limit(1)).first() is not None


def _moves(entry: Entry, now: datetime, late: datetime, again: bool) -> bool:
    due = aware(entry.row["due_at"])
    return due is None or due < late or (again and due > now)


def _assign(connection: sa.Connection, bot: str, schedule: Schedule, moving: Sequence[Entry], now: datetime) -> int:
    if not moving:
        return 0
    ids = [{"entry": entry.id} for entry in moving]
    named = publications.c.id == sa.bindparam("entry")
    connection.execute(sa.update(publications).where(named).values(due_at=None), ids)
    query = sa.select(publications.c.due_at).where(publications.c.bot == bot, publications.c.due_at > now)
    taken = {aware(due) for due in connection.execute(query).scalars()}
    free = (slot for slot in schedule.slots(now) if slot not in taken)
    given = [{"entry": entry.id, "slot": slot} for entry, slot in zip(moving, free, strict=False)]
    if given:
        connection.execute(sa.update(publications).where(named).values(due_at=sa.bindparam("slot")), given)
    return len(given)


def repeat_oldest(store: Store, bot: str, settings: BotSettings, now: datetime) -> bool:
    """For an evergreen bot whose queue is empty: queue the text again that was published longest ago."""
    waits = sa.and_(
        publications.c.bot == bot, publications.c.state.in_(("approved", "claimed", "attempting", "unknown"))
    )
    with store.write() as connection:
        lock_bot(connection, bot)
        if entries_exist(connection, waits):
            return False
        done = sa.and_(publications.c.bot == bot, publications.c.state == "confirmed")
        first = sa.func.coalesce(publications.c.repeat_of, publications.c.id)
        query = sa.select(first, sa.func.max(publications.c.attempted_at)).where(done).group_by(first)
        oldest = connection.execute(query.order_by(sa.func.max(publications.c.attempted_at)).limit(1)).first()
        if oldest is None:
            return False
        entry = entries(connection, publications.c.id == oldest[0])[0]
        again = Accepted(entry.row["candidate"], entry.text, entry.row["curator"], entry.row["edited"])
        _insert(connection, bot, settings, again, None, _last_place(connection, bot) + 1.0, now, repeat_of=entry.id)
    return True


def stock(store: Store, bot: str) -> int:
    """How many entries wait in a bot's queue."""
    query = sa.select(sa.func.count()).where(publications.c.bot == bot, publications.c.state == "approved")
    with store.read() as connection:
        return int(connection.execute(query).scalar() or 0)


def withdraw_entry(store: Store, bot: str, id: str, reason: str, now: datetime) -> Entry:
    """Take an entry out of the queue. Raises UsageError when it is not waiting (any more)."""
    with store.write() as connection:
        lock_bot(connection, bot)
        entry = _named(connection, bot, id, ("approved", "failed"), "withdrawn: it is not waiting in the queue")
        return change(connection, entry, "withdrawn", now, reason, text_key=None, due_at=None, reason=reason)


def release(store: Store, bot: str, reason: str, now: datetime) -> int:
    """Take everything that waits, or has failed, out of a bot's queue, so that other bots may have it; how much."""
    with store.write() as connection:
        lock_bot(connection, bot)
        found = entries(connection, publications.c.bot == bot, publications.c.state.in_(("approved", "failed")))
        for entry in found:
            change(connection, entry, "withdrawn", now, reason, text_key=None, due_at=None, reason=reason)
        return len(found)


def edit_entry(store: Store, bot: str, id: str, text: str, curator: str | None, now: datetime) -> Entry:
    """Give an entry that waits, or has failed, other words; it is marked as edited, by `curator`, and waits again.

    The candidate keeps what the model wrote. Raises UsageError when it is neither, the text is empty, or some bot has
    it.
    """
    if not text.strip():
        raise UsageError("An entry needs words. Take it out of the queue instead.")
    with store.write() as connection:
        lock_bot(connection, bot)
        entry = _named(connection, bot, id, ("approved", "failed"), "edited: it is not waiting in the queue")
        key = text_key(text)
        if entries_exist(connection, publications.c.text_key == key, publications.c.id != id):
            raise UsageError("Another entry says just that already. Write it differently, or withdraw this one.")
        values = {"text": text, "text_key": key, "edited": True, "curator": curator or entry.row["curator"], **_FRESH}
        due = entry.row["due_at"] if entry.state == "approved" else None
        return change(connection, entry, "approved", now, "edited by a person", **values, due_at=due)


def retry_entry(store: Store, bot: str, id: str, now: datetime) -> Entry:
    """Put an entry that has failed back into the queue. Raises UsageError when it has not."""
    with store.write() as connection:
        lock_bot(connection, bot)
        entry = _named(connection, bot, id, ("failed",), "tried again: only what has failed can be")
        return change(connection, entry, "approved", now, "tried again", due_at=None, **_FRESH)


def resolve_entry(store: Store, bot: str, id: str, *, uri: str | None, now: datetime) -> Entry:
    """What a person says of an `unknown` entry: it is published, at `uri`, or (None) it is not, and goes back.

    Raises UsageError when the entry is not unknown.
    """
    with store.write() as connection:
        lock_bot(connection, bot)
        entry = _named(connection, bot, id, ("unknown",), "resolved: only what is unknown can be")
        if uri is None:
            return change(
                connection, entry, "approved", now, "a person says it was not published", due_at=None, **_FRESH
            )
        found = {
            "uri": uri,
            "url": uri if uri.startswith("https://") else None,
            "published_at": entry.row["attempted_at"],
        }
        return change(connection, entry, "confirmed", now, f"a person found it: {uri}", check_at=None, **found)


_FRESH: dict[str, Any] = {"request": None, "attempted_at": None, "check_at": None, "reason": None}


def move_entry(store: Store, bot: str, id: str, before: str | None, now: datetime) -> None:
    """Put a waiting entry before another one (None: at the end). The order of slots follows with the next plan."""
    with store.write() as connection:
        lock_bot(connection, bot)
        entry = _named(connection, bot, id, ("approved",), "moved: it is not waiting in the queue")
        waiting = entries(connection, publications.c.bot == bot, publications.c.state == "approved")
        others = sorted(one.row["place"] for one in waiting if one.id != id)
        if before is None:
            place = (others[-1] if others else 0.0) + 1.0
        else:
            next_place = _named(connection, bot, before, ("approved",), "a place: it is not waiting").row["place"]
            earlier = [one for one in others if one < next_place]
            place = (earlier[-1] + next_place) / 2 if earlier else next_place - 1.0
        connection.execute(sa.update(publications).where(publications.c.id == entry.id).values(place=place))


def _named(connection: sa.Connection, bot: str, id: str, states: tuple[str, ...], cannot: str) -> Entry:
    found = entries(connection, publications.c.bot == bot, publications.c.id == id)
    if not found:
        raise UsageError(f"The bot `{bot}` has no entry `{id}`. `pasquin bot show {bot}` lists them.")
    if found[0].state not in states:
        raise UsageError(f"The entry `{id}` cannot be {cannot}, it is {found[0].state}.")
    return found[0]


def _there(connection: sa.Connection, candidate: str | None, key: str) -> bool:
    same = publications.c.text_key == key
    if candidate is not None:
        same = sa.or_(same, sa.and_(publications.c.candidate == candidate, publications.c.state != "withdrawn"))
    return entries_exist(connection, same)


def _last_place(connection: sa.Connection, bot: str) -> float:
    last = connection.execute(sa.select(sa.func.max(publications.c.place)).where(publications.c.bot == bot)).scalar()
    return float(last or 0.0)


def _insert(
    connection: sa.Connection,
    bot: str,
    settings: BotSettings,
    one: Accepted,
    key: str | None,
    place: float,
    now: datetime,
    repeat_of: str | None = None,
) -> None:
    id = secrets.token_hex(16)
    row = {
        "id": id,
        "bot": bot,
        "network": settings.network,
        "account": settings.account,
        "candidate": one.candidate,
        "decision": one.decision,
        "text": one.text,
        "text_key": key,
        "edited": one.edited,
        "curator": one.curator,
        "repeat_of": repeat_of,
        "place": place,
        "queued_at": now,
        "state": "approved",
        "fence": 0,
        "attempts": 0,
    }
    connection.execute(sa.insert(publications).values(row))
    event = {"publication": id, "at": now, "state": "approved", "fence": 0, "note": None}
    connection.execute(sa.insert(publication_events).values(event))
