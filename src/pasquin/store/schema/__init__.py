"""Tables of the store, a module a stage.

A change here comes with a numbered step in `migrations/versions` and a new `VERSION`.
"""

from __future__ import annotations

from pasquin.store.schema.candidates import candidates
from pasquin.store.schema.curation import comparisons, curator_sessions, curators, decisions, sign_in_links
from pasquin.store.schema.metadata import metadata
from pasquin.store.schema.play import attention_checks, daily_items, guesses, player_marks, players, trials
from pasquin.store.schema.publish import bot_sessions, bot_triggers, bots, publication_events, publications
from pasquin.store.schema.serve import api_keys

__all__ = [
    "VERSION",
    "api_keys",
    "attention_checks",
    "bot_sessions",
    "bot_triggers",
    "bots",
    "candidates",
    "comparisons",
    "curator_sessions",
    "curators",
    "daily_items",
    "decisions",
    "guesses",
    "metadata",
    "player_marks",
    "players",
    "publication_events",
    "publications",
    "sign_in_links",
    "trials",
]

VERSION = "0007"
