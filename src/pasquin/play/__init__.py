"""The game: masked cards, "human or AI?", and what they really were. On the workspace and the store; no web in here.

`Game` issues trials and takes guesses. A trial's id is random, belongs to one player and takes one guess; its answer
leaves this module only when the guess is durable. Everything a player did is in the store; what is kept in memory is a
copy of it, so a restart loses nothing.

Not covered: several server processes on one database would each keep their own copy, and could show a player the same
card twice (never take two guesses for one trial: the store forbids it).
"""

from __future__ import annotations

from pasquin.play.boards import Boards, NickError
from pasquin.play.cards import Card, HumanSource, ModelSource, NearestPost, shown_text
from pasquin.play.daily import Day
from pasquin.play.deck import Deck
from pasquin.play.game import Game
from pasquin.play.players import Player, Score
from pasquin.play.refusals import CategoryError, FinishedError, PlayerError, TrialError
from pasquin.play.results import Result

__all__ = [
    "Boards",
    "Card",
    "CategoryError",
    "Day",
    "Deck",
    "FinishedError",
    "Game",
    "HumanSource",
    "ModelSource",
    "NearestPost",
    "NickError",
    "Player",
    "PlayerError",
    "Result",
    "Score",
    "TrialError",
    "shown_text",
]
