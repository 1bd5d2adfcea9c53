"""What `serve` stores: API keys."""

from __future__ import annotations

import sqlalchemy as sa

from pasquin.store.schema.metadata import metadata

api_keys = sa.Table(
    "api_keys",
    metadata,
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("key_hash", sa.String(64), nullable=False, unique=True),
    sa.Column("hint", sa.String(16), nullable=False),
    sa.Column("requests_per_minute", sa.Integer),
    sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("revoked_at", sa.DateTime(timezone=True)),
)
"""Who may use the endpoint. Of a key only its SHA-256 is kept, and its first characters to recognise it by."""
