"""What the game refuses, each a sentence for the player."""

from __future__ import annotations

from pasquin.errors import PasquinError


class PlayerError(PasquinError):
    """The token belongs to no player: it was never given out, or the player was erased."""


class CategoryError(PasquinError):
    """There is no such category, or it cannot be played now."""


class TrialError(PasquinError):
    """There is no such trial for this player."""


class FinishedError(PasquinError):
    """The player has seen every card of the category, or of the day."""
