"""Tables of the store, a module a stage.

A change here comes with a numbered step in `migrations/versions` and a new `VERSION`.
"""

from __future__ import annotations

from pasquin.store.schema.candidates import candidates
from pasquin.store.schema.curation import comparisons, curator_sessions, curators, decisions, sign_in_links
from pasquin.store.schema.metadata import metadata
from pasquin.store.schema.play import guesses, players, trials

__all__ = [
    "VERSION",
    "candidates",
    "comparisons",
    "curator_sessions",
    "curators",
    "decisions",
    "guesses",
    "metadata",
    "players",
    "sign_in_links",
    "trials",
]

VERSION = "0002"
