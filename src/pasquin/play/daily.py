"""The daily round: ten cards, the same for everybody, drawn ahead of their day and kept in the store."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from pasquin.play.deck import Deck
from pasquin.play.players import DAILY_ROUND
from pasquin.store import Store
from pasquin.store.schema import daily_items, trials


@dataclass(frozen=True, slots=True)
class Day:
    """A player's daily round: for each card whether they were right, None where not answered (yet)."""

    day: str
    results: tuple[bool | None, ...]


@dataclass(frozen=True, slots=True)
class DayCards:
    """The item keys of a day's round in order; `fresh` when nobody had seen any of them when they were drawn."""

    keys: tuple[str, ...]
    fresh: bool


def today() -> str:
    """The day in UTC, as `2026-01-31`."""
    return datetime.now(UTC).date().isoformat()


def plan_days(store: Store, decks: Mapping[str, Deck]) -> dict[tuple[str, str], DayCards]:
    """The daily rounds of today and tomorrow by category and day, drawn and stored where they are not yet.

    Cards that nobody has seen are drawn first, so that hardly anybody knows one; and as nothing is known of how hard
    those are, no choice by difficulty has touched them. Raises StoreError.
    """
    now = datetime.now(UTC)
    days = [(now + timedelta(days=ahead)).date().isoformat() for ahead in (0, 1)]
    wanted = [(deck.key, day) for deck in decks.values() if deck.daily for day in days]
    planned = _stored(store, days)
    for category, day in wanted:
        if (category, day) not in planned:
            _store(store, category, day, _draw(store, decks[category]))
    if any(place not in planned for place in wanted):
        planned = _stored(store, days)
    return planned


def _stored(store: Store, days: list[str]) -> dict[tuple[str, str], DayCards]:
    query = sa.select(daily_items).where(daily_items.c.day.in_(days)).order_by(daily_items.c.position)
    planned: dict[tuple[str, str], DayCards] = {}
    with store.read() as connection:
        for row in connection.execute(query).mappings():
            place = row["category"], row["day"]
            before = planned.get(place, DayCards((), fresh=True))
            planned[place] = DayCards((*before.keys, row["item_key"]), before.fresh and bool(row["fresh"]))
    return planned


def _draw(store: Store, deck: Deck) -> DayCards:
    with store.read() as connection:
        daily = set(connection.execute(sa.select(daily_items.c.item_key)).scalars())
        shown = set(connection.execute(sa.select(trials.c.item_key).distinct()).scalars())
    for avoided in (daily | shown, daily, set[str]()):
        keys = _ten(deck, set(avoided))
        if len(keys) == DAILY_ROUND:
            return DayCards(tuple(keys), fresh=shown <= avoided)
    return DayCards((), fresh=False)


def _ten(deck: Deck, taken: set[str]) -> list[str]:
    """Keys of ten cards (fewer where there are not so many) that do not read like one in `taken`."""
    keys: list[str] = []
    while len(keys) < DAILY_ROUND and (card := deck.draw(lambda card: card.known(taken))) is not None:
        keys.append(card.item.key)
        taken.add(card.item.key)
    return keys


def _store(store: Store, category: str, day: str, cards: DayCards) -> None:
    """Write a round, unless another process was faster: then theirs counts."""
    rows = [
        {"day": day, "category": category, "position": at, "item_key": key, "fresh": cards.fresh}
        for at, key in enumerate(cards.keys)
    ]
    if not rows:
        return
    try:
        with store.write() as connection:
            connection.execute(sa.insert(daily_items), rows)
    except sa.exc.IntegrityError:
        return
