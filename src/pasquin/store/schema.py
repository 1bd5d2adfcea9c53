"""Tables of the store. A change here comes with a numbered step in `migrations/versions` and a new `VERSION`."""

from __future__ import annotations

import sqlalchemy as sa

VERSION = "0001"

metadata = sa.MetaData()

candidates = sa.Table(
    "candidates",
    metadata,
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("model", sa.String(64), nullable=False),
    sa.Column("model_hash", sa.String(64), nullable=False),
    sa.Column("corpus", sa.String(64), nullable=False),
    sa.Column("account", sa.String(255)),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("text_key", sa.String(64), nullable=False),
    sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("generation", sa.String(64), nullable=False),
    sa.Column("position", sa.Integer, nullable=False),
    sa.Column("seed", sa.BigInteger, nullable=False),
    sa.Column("engine", sa.String(32), nullable=False),
    sa.Column("sampling", sa.JSON, nullable=False),
    sa.Column("prefix", sa.Text, nullable=False),
    sa.Column("tokens", sa.Integer, nullable=False),
    sa.Column("novelty", sa.String(16), nullable=False),
    sa.Column("nearest_uri", sa.Text),
    sa.Column("similarity", sa.Float, nullable=False),
    sa.Column("longest_run", sa.Integer, nullable=False),
    sa.UniqueConstraint("model", "text_key", name="candidates_model_text"),
    sa.UniqueConstraint("generation", "position", name="candidates_generation_position"),
    sa.Index("candidates_model_account", "model", "account"),
)
"""Completions that passed the screen.

`account` is the handle it was conditioned on; `text_key` hashes the normalised text.
"""

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
