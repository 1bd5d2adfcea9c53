"""What lies on the table: all cards, the rounds of the days; and dealing from it, mode by mode."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from pasquin.play.cards import Card
from pasquin.play.coins import COINS
from pasquin.play.daily import Day, today
from pasquin.play.deck import Deck, Known, Liking
from pasquin.play.players import LoadedTrial, Player
from pasquin.play.refusals import FinishedError
from pasquin.play.results import Tallies
from pasquin.records import Mode

_EASIEST: Final = 0.85
_HARDEST: Final = 0.2
_HARDER: Final = 0.06
"""Share of players who get the first card of an endless run right, of the hardest ones, and what each right answer
takes off it."""


@dataclass(frozen=True, slots=True)
class Table:
    """Decks by key, cards by item key, and the item keys of daily rounds by category and day."""

    decks: Mapping[str, Deck]
    cards: Mapping[str, Card]
    days: Mapping[tuple[str, str], tuple[str, ...]]
    attention_every: int

    @classmethod
    def of(
        cls, decks: Mapping[str, Deck], days: Mapping[tuple[str, str], tuple[str, ...]], attention_every: int
    ) -> Table:
        """The table with these decks on it, and an attention check about every so many cards."""
        strata = [stratum for deck in decks.values() for stratum in deck.strata]
        cards = {card.item.key: card for each in strata for card in (*each.human, *each.model)}
        return cls(decks, cards, days, attention_every)

    def day(self, player: Player, category: str) -> Day | None:
        """The player's daily round in `category`, None where there is none."""
        day = today()
        keys = self.days.get((category, day))
        answered = player.days.get((category, day), {})
        return Day(day, tuple(answered.get(at) for at in range(len(keys)))) if keys else None

    def playable(self, trial: LoadedTrial) -> bool:
        """Whether an open trial can still be shown: its cards are there, and its day is not over."""
        if trial.mode == "daily" and trial.round != today():
            return False
        return all(one.check or one.item_key in self.cards for one in (trial, trial.partner) if one)


def deal(table: Table, tallies: Tallies, player: Player, deck: Deck, mode: Mode) -> tuple[LoadedTrial, ...]:
    """The next card for `player`, or pair of cards, noted as open but not yet written. Raises FinishedError."""
    if mode == "daily":
        return (_daily(table, player, deck),)
    if mode == "pair":
        return _pair(player, deck, _known(table, deck, player))
    run, at = player.runs.get(deck.key) or (secrets.token_hex(16), 0)
    card = deck.draw(_known(table, deck, player), _as_hard_as(at, tallies) if mode == "endless" else None)
    if card is None:
        raise FinishedError(_finished(deck, player))
    if player.check_is_due(table.attention_every):
        return (_check(player, deck.key, mode),)
    return (_issue(player, deck.key, card, mode, *((run, at) if mode == "endless" else (None, None))),)


def _known(table: Table, deck: Deck, player: Player) -> Known:
    """Cards the player has seen, those of today's round, which are held back for it, and those near to either."""
    day, seen = today(), player.seen
    held = frozenset(table.days.get((deck.corpus, day), ()))
    return lambda card: card.known(held) or card.known(seen)


def _as_hard_as(run: int, tallies: Tallies) -> Liking:
    """Prefers cards that as few got right as the run is long."""
    wanted = max(_HARDEST, _EASIEST - _HARDER * run)
    return lambda card: -abs(tallies.ease(card.item.key) - wanted)


def _daily(table: Table, player: Player, deck: Deck) -> LoadedTrial:
    """The first card of the day that is not answered, still exists, and is not known from another day or mode."""
    day = today()
    keys = table.days.get((deck.key, day))
    if not keys:
        raise FinishedError("Today's cards are being drawn. Try again in a few seconds.")
    last = max(player.days.get((deck.key, day), {}), default=-1)
    for at, key in enumerate(keys):
        card = table.cards.get(key)
        if at > last and card is not None and not card.known(player.seen):
            return _issue(player, deck.key, card, "daily", day, at)
    raise FinishedError("That was today's round. The next one comes at midnight, universal time.")


def _pair(player: Player, deck: Deck, known: Known) -> tuple[LoadedTrial, LoadedTrial]:
    cards = deck.draw_pair(known)
    if cards is None:
        raise FinishedError(_finished(deck, player))
    name = secrets.token_hex(16)
    first, second = (_issue(player, deck.key, card, "pair", name, at) for at, card in enumerate(cards))
    first.partner, second.partner = second, first
    player.open["pair", deck.key] = first
    return first, second


def _issue(
    player: Player, category: str, card: Card, mode: Mode, name: str | None, position: int | None
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
        shown_clock=time.monotonic(),
    )
    player.add(trial)
    return trial


def _check(player: Player, category: str, mode: Mode) -> LoadedTrial:
    trial = LoadedTrial(
        id=secrets.token_hex(16),
        category=category,
        item_key="",
        origin=COINS.choice(("human", "model")),
        shown_at=datetime.now(UTC),
        mode=mode,
        check=True,
        shown_clock=time.monotonic(),
    )
    player.add(trial)
    return trial


def _finished(deck: Deck, player: Player) -> str:
    seen = sum(1 for trial in player.trials.values() if trial.category == deck.key)
    name = deck.account or deck.corpus
    return f"You have seen every card of “{name}” that can be shown fairly ({seen} of them here)."
