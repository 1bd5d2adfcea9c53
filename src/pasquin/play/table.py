"""What lies on the table: all cards, the rounds of the days; and dealing from it, mode by mode."""

from __future__ import annotations

import math
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from pasquin.config import PlaySettings
from pasquin.play.cards import Card
from pasquin.play.coins import COINS
from pasquin.play.daily import Day, DayCards, today
from pasquin.play.deck import Deck, Known, Liking
from pasquin.play.players import LoadedTrial, Player
from pasquin.play.ratings import Ratings
from pasquin.play.refusals import FinishedError
from pasquin.play.shares import by_difficulty, draw, draw_pair
from pasquin.records import Drawn, Mode

_EASIEST: Final = 0.85
_HARDEST: Final = 0.2
_HARDER: Final = 0.06
"""Share of players who get the first card of an endless run right, of the hardest ones, and what each right answer
takes off it."""
_SUITS: Final = math.log(2)
"""How far below a player's ability a card is that suits them, in logits: two of three such cards they get right."""


@dataclass(frozen=True, slots=True)
class Table:
    """Decks by key, cards by item key, and the daily rounds by category and day.

    An attention check comes about every `attention_every` cards; `adapt` is the share of cards that may be chosen by
    difficulty.
    """

    decks: Mapping[str, Deck]
    cards: Mapping[str, Card]
    days: Mapping[tuple[str, str], DayCards]
    attention_every: int
    adapt: float

    @classmethod
    def of(cls, decks: Mapping[str, Deck], days: Mapping[tuple[str, str], DayCards], settings: PlaySettings) -> Table:
        """The table with these decks on it."""
        strata = [stratum for deck in decks.values() for stratum in deck.strata]
        cards = {card.item.key: card for each in strata for card in (*each.human, *each.model)}
        return cls(decks, cards, days, settings.attention_every, settings.adapt)

    def day(self, player: Player, category: str) -> Day | None:
        """The player's daily round in `category`, None where there is none."""
        day = today()
        cards = self.days.get((category, day))
        answered = player.days.get((category, day), {})
        return Day(day, tuple(answered.get(at) for at in range(len(cards.keys)))) if cards else None

    def playable(self, trial: LoadedTrial) -> bool:
        """Whether an open trial can still be shown: its cards are there, and its day is not over."""
        if trial.mode == "daily" and trial.round != today():
            return False
        return all(one.check or one.item_key in self.cards for one in (trial, trial.partner) if one)


def deal(table: Table, ratings: Ratings, player: Player, deck: Deck, mode: Mode) -> tuple[LoadedTrial, ...]:
    """The next card for `player`, or pair of cards, noted as open but not yet written. Raises FinishedError."""
    if mode == "daily":
        return (_daily(table, player, deck),)
    if mode == "pair":
        return _pair(table, player, deck)
    run, at = player.runs.get(deck.key) or (secrets.token_hex(16), 0)
    liking: Liking | None = None
    if mode == "endless":
        liking = _as_hard_as(at, ratings)
    elif COINS.random() < table.adapt:
        liking = _that_suits(player, ratings)
    found = draw(deck, _known(table, deck, player), player.lot, table.adapt, liking)
    if found is None:
        raise FinishedError(_finished(deck, player))
    if player.check_is_due(table.attention_every):
        return (_check(player, deck.key, mode, at if mode == "endless" else None),)
    card, drawn = found
    return (_issue(player, deck.key, card, drawn, mode, *((run, at) if mode == "endless" else (None, None))),)


def _known(table: Table, deck: Deck, player: Player) -> Known:
    """Cards the player has seen, those of the daily rounds to come, which are held back for them, and those near to
    either."""
    seen = player.seen
    held = frozenset(key for (category, _), day in table.days.items() if category == deck.corpus for key in day.keys)
    return lambda card: card.known(held) or card.known(seen)


def _as_hard_as(run: int, ratings: Ratings) -> Liking:
    """Prefers cards that as few get right as the run is long."""
    wanted = max(_HARDEST, _EASIEST - _HARDER * run)
    return lambda card: -abs(ratings.ease(card.item.key) - wanted)


def _that_suits(player: Player, ratings: Ratings) -> Liking:
    """Prefers cards that this player probably gets right two times of three."""
    wanted = player.ability.value - _SUITS
    return lambda card: -abs(ratings.difficulty(card.item.key) - wanted)


def _daily(table: Table, player: Player, deck: Deck) -> LoadedTrial:
    """The first card of the day that is not answered, still exists, and is not known from another day or mode."""
    day = today()
    cards = table.days.get((deck.key, day))
    if not cards:
        raise FinishedError("Today's cards are being drawn. Try again in a few seconds.")
    last = max(player.days.get((deck.key, day), {}), default=-1)
    for at, key in enumerate(cards.keys):
        card = table.cards.get(key)
        if at > last and card is not None and not card.known(player.seen):
            even = cards.fresh or not by_difficulty(card, player.lot, table.adapt)
            return _issue(player, deck.key, card, "evenly" if even else "by_difficulty", "daily", day, at)
    raise FinishedError("That was today's round. The next one comes at midnight, universal time.")


def _pair(table: Table, player: Player, deck: Deck) -> tuple[LoadedTrial, LoadedTrial]:
    found = draw_pair(deck, _known(table, deck, player), player.lot, table.adapt)
    if found is None:
        raise FinishedError(_finished(deck, player))
    cards, drawn = found
    name = secrets.token_hex(16)
    first, second = (_issue(player, deck.key, card, drawn, "pair", name, at) for at, card in enumerate(cards))
    first.partner, second.partner = second, first
    player.open["pair", deck.key] = first
    return first, second


def _issue(
    player: Player, category: str, card: Card, drawn: Drawn, mode: Mode, name: str | None, position: int | None
) -> LoadedTrial:
    trial = LoadedTrial(
        id=secrets.token_hex(16),
        category=category,
        item_key=card.item.key,
        origin=card.item.origin,
        shown_at=datetime.now(UTC),
        mode=mode,
        round=name,
        position=position,
        arm=card.arm,
        drawn=drawn,
        shown_clock=time.monotonic(),
    )
    player.add(trial)
    return trial


def _check(player: Player, category: str, mode: Mode, position: int | None) -> LoadedTrial:
    trial = LoadedTrial(
        id=secrets.token_hex(16),
        category=category,
        item_key="",
        origin=COINS.choice(("human", "model")),
        shown_at=datetime.now(UTC),
        mode=mode,
        position=position,
        check=True,
        shown_clock=time.monotonic(),
    )
    player.add(trial)
    return trial


def _finished(deck: Deck, player: Player) -> str:
    seen = sum(1 for trial in player.trials.values() if trial.category == deck.key)
    name = deck.account or deck.corpus
    return f"You have seen every card of “{name}” that can be shown fairly ({seen} of them here)."
