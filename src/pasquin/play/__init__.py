"""The game: a masked card, "human or AI?", and what it really was. On the workspace and the store; no web in here.

`Game` issues trials and takes guesses. A trial's id is random, belongs to one player and takes one guess; its answer
leaves this module only when the guess is durable. Everything a player did is in the store; what is kept in memory is a
copy of it, so a restart loses nothing.

Not covered: several server processes on one database would each keep their own copy, and could show a player the same
card twice (never take two guesses for one trial: the store forbids it).
"""

from __future__ import annotations

from pasquin.play.game import (
    CategoryError,
    FinishedError,
    Game,
    PlayerError,
    Result,
    TrialError,
)
from pasquin.play.items import Card, Deck, HumanSource, ModelSource, NearestPost, shown_text
from pasquin.play.players import Player, Score

__all__ = [
    "Card",
    "CategoryError",
    "Deck",
    "FinishedError",
    "Game",
    "HumanSource",
    "ModelSource",
    "NearestPost",
    "Player",
    "PlayerError",
    "Result",
    "Score",
    "TrialError",
    "shown_text",
]
