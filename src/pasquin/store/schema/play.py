"""What `play` stores: players, the trials they were shown, their guesses."""

from __future__ import annotations

import sqlalchemy as sa

from pasquin.store.schema.metadata import metadata

players = sa.Table(
    "players",
    metadata,
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("token_hash", sa.String(64), nullable=False, unique=True),
    sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
)
"""Pseudonymous participants: a random id and the hash of the cookie that proves it. No address, no name."""

trials = sa.Table(
    "trials",
    metadata,
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("player", sa.String(32), sa.ForeignKey("players.id", ondelete="CASCADE"), nullable=False),
    sa.Column("category", sa.String(320), nullable=False),
    sa.Column("origin", sa.String(8), nullable=False),
    sa.Column("item_key", sa.Text, nullable=False),
    sa.Column("shown_at", sa.DateTime(timezone=True), nullable=False),
    sa.Index("trials_player", "player", "item_key"),
)
"""Items shown. The item is referred to, not copied, so that a deleted post is gone here too."""

guesses = sa.Table(
    "guesses",
    metadata,
    sa.Column("trial", sa.String(32), sa.ForeignKey("trials.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("player", sa.String(32), sa.ForeignKey("players.id", ondelete="CASCADE"), nullable=False),
    sa.Column("guess", sa.String(8), nullable=False),
    sa.Column("correct", sa.Boolean, nullable=False),
    sa.Column("response_ms", sa.Integer, nullable=False),
    sa.Column("server_ms", sa.Integer, nullable=False),
    sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
    sa.Index("guesses_player", "player"),
)
"""One guess a trial, for ever: the primary key says so. `response_ms` by the browser's clock, `server_ms` by ours."""
