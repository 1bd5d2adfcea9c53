"""How hard cards are and how able players, on one scale, from the guesses as they come.

P(right) = logistic(ability - difficulty), the model of Rasch (1960), kept current after each guess by Elo's rule
(Elo 1978; Pelánek 2016 for cards): both move by the surprise, times a step that shrinks as more is known. The step
v/(1 + v·n/4) after n guesses is that of a normal prior of variance v (a guess tells at most a quarter; Glickman 1999).

It decides which cards a player is shown, and nothing else: `measure` fits a model of its own, and takes its rates from
cards that were not chosen by this one (see `shares`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa

from pasquin.store import Store
from pasquin.store.schema import guesses, trials

_PLAYER_VARIANCE: Final = 0.5
_CARD_VARIANCE: Final = 1.0
_LEAST_STEP: Final = 0.05
"""Players learn, so what they did long ago never settles everything."""


@dataclass(frozen=True, slots=True)
class Rating:
    """Where a player or a card stands on the scale (logits; 0: in the middle), after how many guesses."""

    value: float = 0.0
    guesses: int = 0

    def moved(self, surprise: float, variance: float, least: float = 0.0) -> Rating:
        """The rating after one more guess."""
        step = max(variance / (1 + variance * self.guesses / 4), least)
        return Rating(self.value + step * surprise, self.guesses + 1)


_UNKNOWN: Final = Rating()


class Ratings:
    """The difficulty of every card that somebody guessed on alone (not in a pair). One thread at a time may learn."""

    def __init__(self) -> None:
        """Nothing is known yet."""
        self._cards: dict[str, Rating] = {}

    @classmethod
    def of(cls, store: Store) -> Ratings:
        """What the guesses of `store` say, in the order they were made, without those a rule speaks against."""
        found = cls()
        query = (
            sa.select(trials.c.player, trials.c.item_key, guesses.c.correct)
            .join(guesses, guesses.c.trial == trials.c.id)
            .where(trials.c.mode != "pair", guesses.c.mark.is_(None))
            .order_by(guesses.c.created_at, guesses.c.trial)
        )
        abilities: dict[str, Rating] = {}
        with store.read() as connection:
            for player, item_key, correct in connection.execute(query):
                abilities[player] = found.learn(item_key, abilities.get(player, _UNKNOWN), correct=bool(correct))
        return found

    def difficulty(self, item_key: str) -> float:
        """How hard a card is, in logits: 0 is right half of the time, for a player in the middle."""
        return self._cards.get(item_key, _UNKNOWN).value

    def ease(self, item_key: str) -> float:
        """How likely a player in the middle is right, between 0 and 1; a half where nothing is known."""
        return _logistic(-self.difficulty(item_key))

    def learn(self, item_key: str, ability: Rating, *, correct: bool) -> Rating:
        """Move a card's difficulty by a guess of a player of this ability; the ability after it."""
        card = self._cards.get(item_key, _UNKNOWN)
        surprise = correct - _logistic(ability.value - card.value)
        self._cards[item_key] = card.moved(-surprise, _CARD_VARIANCE)
        return ability.moved(surprise, _PLAYER_VARIANCE, _LEAST_STEP)

    def ability(self, answers: Iterable[tuple[str, bool]]) -> Rating:
        """The ability of a player with these answers (item key, right or wrong), by difficulties as they are now."""
        found = _UNKNOWN
        for item_key, correct in answers:
            surprise = correct - _logistic(found.value - self.difficulty(item_key))
            found = found.moved(surprise, _PLAYER_VARIANCE, _LEAST_STEP)
        return found


def _logistic(logit: float) -> float:
    return 1 / (1 + math.exp(-max(-30.0, min(30.0, logit))))
