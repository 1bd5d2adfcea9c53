"""Tables of the store, a module a stage.

A change here comes with a numbered step in `migrations/versions` and a new `VERSION`.
"""

from __future__ import annotations

from pasquin.store.schema.candidates import candidates
from pasquin.store.schema.curation import comparisons, curator_sessions, curators, decisions, sign_in_links
from pasquin.store.schema.metadata import metadata
from pasquin.store.schema.play import guesses, players, trials
from pasquin.store.schema.publish import bot_sessions, bots, publication_events, publications
from pasquin.store.schema.serve import api_keys

__all__ = [
    "VERSION",
    "api_keys",
    "bot_sessions",
    "bots",
    "candidates",
    "comparisons",
    "curator_sessions",
    "curators",
    "decisions",
    "guesses",
    "metadata",
    "players",
    "publication_events",
    "publications",
    "sign_in_links",
    "trials",
]

VERSION = "0004"
