"""What `generate` stores."""

from __future__ import annotations

import sqlalchemy as sa

from pasquin.store.schema.metadata import metadata

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
    sa.Column("withdrawn_at", sa.DateTime(timezone=True)),
    sa.UniqueConstraint("model", "text_key", name="candidates_model_text"),
    sa.UniqueConstraint("generation", "position", name="candidates_generation_position"),
    sa.Index("candidates_model_account", "model", "account"),
)
"""Completions that passed the screen.

`account` is the handle it was conditioned on; `text_key` hashes the normalised text. `withdrawn_at` says when the post
it came closest to was forgotten: it is not shown to curators and not published from then on.
"""
