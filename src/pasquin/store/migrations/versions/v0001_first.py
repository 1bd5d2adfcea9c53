"""The first tables: candidates, players, trials, guesses."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "candidates",
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
    )
    op.create_index("candidates_model_account", "candidates", ["model", "account"])
    op.create_table(
        "players",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("token_hash", sa.String(64), nullable=False, unique=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_table(
        "trials",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("player", sa.String(32), sa.ForeignKey("players.id", ondelete="CASCADE"), nullable=False),
        sa.Column("category", sa.String(320), nullable=False),
        sa.Column("origin", sa.String(8), nullable=False),
        sa.Column("item_key", sa.Text, nullable=False),
        sa.Column("shown_at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_index("trials_player", "trials", ["player", "item_key"])
    op.create_table(
        "guesses",
        sa.Column("trial", sa.String(32), sa.ForeignKey("trials.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("player", sa.String(32), sa.ForeignKey("players.id", ondelete="CASCADE"), nullable=False),
        sa.Column("guess", sa.String(8), nullable=False),
        sa.Column("correct", sa.Boolean, nullable=False),
        sa.Column("response_ms", sa.Integer, nullable=False),
        sa.Column("server_ms", sa.Integer, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_index("guesses_player", "guesses", ["player"])


def downgrade() -> None:
    """Drop the tables."""
    for table in ("guesses", "trials", "players", "candidates"):
        op.drop_table(table)
