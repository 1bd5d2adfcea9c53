"""The game's dealing without a web, a disk or people: decks whose difficulties are known, players who are simulated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from pasquin.config import PlaySettings
from pasquin.play.cards import Card, HumanSource, ModelSource
from pasquin.play.deck import make_deck
from pasquin.play.players import Player
from pasquin.play.ratings import Ratings
from pasquin.play.refusals import FinishedError
from pasquin.play.shares import lot
from pasquin.play.table import Table, deal
from pasquin.records import Item, Mode, Origin


@dataclass(frozen=True, slots=True)
class Dealt:
    """One guess: whose (a number), on what, drawn how, whether right, and how likely the player was to be wrong."""

    player: int
    key: str
    origin: Origin
    drawn: str
    right: bool
    fooled: float


def deck_of(
    size: int, random: np.random.Generator, *, adapt: float = 0.5, card_sd: float = 1.0, ease: float = 0.0
) -> tuple[Table, dict[str, float]]:
    """A table with one deck `village` of `size` cards of each origin, and the true difficulty of each card."""
    cards: dict[str, list[Card]] = {"human": [], "model": []}
    for origin in ("human", "model"):
        for at in range(size):
            key = f"{origin} {at}"
            source: Any = (
                HumanSource("ada", None, None, None)
                if origin == "human"
                else ModelSource("village", None, 0.1, 3, None)
            )
            text = "a" * int(random.integers(40, 120))
            item = Item(key=key, origin=origin, category="village", text=text)
            cards[origin].append(Card(item, None, source, lot=lot(key)))
    deck = make_deck("village", None, cards["human"], cards["model"], 8, "village")
    table = Table.of({"village": deck}, {}, PlaySettings(adapt=adapt, attention_every=0))
    return table, {card.item.key: float(random.normal(-ease, card_sd)) for card in table.cards.values()}


def play_on(
    table: Table,
    difficulty: dict[str, float],
    ability: np.ndarray,
    lengths: np.ndarray,
    random: np.random.Generator,
    *,
    ratings: Ratings | None = None,
    mode: Mode = "classic",
) -> list[Dealt]:
    """All guesses of players of these abilities, each as many as `lengths` says or there are cards for."""
    ratings, found = ratings or Ratings(), []
    deck = table.decks["village"]
    for number, (skill, length) in enumerate(zip(ability, lengths, strict=True)):
        player = Player(random.bytes(16).hex())
        for _ in range(int(length)):
            try:
                (trial,) = deal(table, ratings, player, deck, mode)
            except FinishedError:
                break
            wrong = float(1 / (1 + np.exp(skill - difficulty[trial.item_key])))
            right = bool(random.random() > wrong)
            guess: Origin = trial.origin if right else ("human" if trial.origin == "model" else "model")
            player.answer(trial, guess, 3_000, None)
            player.ability = ratings.learn(trial.item_key, player.ability, correct=right)
            found.append(Dealt(number, trial.item_key, trial.origin, trial.drawn or "", right, wrong))
    return found
