"""What the owner of a workspace should run next so that the game has cards."""

from __future__ import annotations

from dataclasses import dataclass

from pasquin.play import Game


@dataclass(frozen=True, slots=True)
class SetupStep:
    """One sentence and one command."""

    message: str
    command: str


def setup_step(game: Game) -> SetupStep:
    """The next step for a game in which no category can be played."""
    workspace = game.workspace
    decks = [deck for deck in game.decks.values() if deck.account is None]
    if not decks:
        return SetupStep(
            "There is no corpus to play with yet. Collect some posts, then prepare them.", "pasquin prepare NAME"
        )
    deck = max(decks, key=lambda deck: (min(deck.human, game.settings.min_items), deck.model))
    if deck.human < game.settings.min_items:
        return SetupStep(deck.reason or "", f"pasquin prepare {deck.corpus}")
    learned = workspace.models_of(deck.corpus)
    if deck.model == 0 and not learned:
        return SetupStep(f"No model has learned “{deck.corpus}” yet.", f"pasquin train {deck.corpus}")
    return SetupStep(
        "The model has not written enough texts yet. This page notices by itself when it has.",
        f"pasquin generate {(learned or [deck.corpus])[0]}",
    )
