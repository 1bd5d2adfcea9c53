"""What publishing stores: switches of bots, publications and what happened to them, sealed sessions."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Make the tables."""
    _bots()
    _publications()
    op.create_table(
        "publication_events",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("publication", sa.String(32), sa.ForeignKey("publications.id", ondelete="CASCADE"), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("fence", sa.Integer, nullable=False),
        sa.Column("note", sa.Text),
    )
    op.create_index("publication_events_publication", "publication_events", ["publication", "id"])


def _bots() -> None:
    op.create_table(
        "bots",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("reason", sa.Text),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("held_until", sa.DateTime(timezone=True)),
        sa.Column("plan", sa.Text),
        sa.Column("last_at", sa.DateTime(timezone=True)),
    )
    op.create_table(
        "bot_sessions",
        sa.Column("bot", sa.String(64), primary_key=True),
        sa.Column("account", sa.String(255), nullable=False),
        sa.Column("sealed", sa.Text),
        sa.Column("generation", sa.Integer, nullable=False),
        sa.Column("renewing_until", sa.DateTime(timezone=True)),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
    )


def _publications() -> None:
    op.create_table(
        "publications",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("bot", sa.String(64), nullable=False),
        sa.Column("network", sa.String(64), nullable=False),
        sa.Column("account", sa.String(255), nullable=False),
        sa.Column("candidate", sa.String(32)),
        sa.Column("decision", sa.Integer),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("text_key", sa.String(64)),
        sa.Column("edited", sa.Boolean, nullable=False),
        sa.Column("curator", sa.String(255)),
        sa.Column("repeat_of", sa.String(32)),
        sa.Column("place", sa.Float, nullable=False),
        sa.Column("queued_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True)),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("reason", sa.Text),
        sa.Column("fence", sa.Integer, nullable=False),
        sa.Column("owner", sa.String(160)),
        sa.Column("lease_until", sa.DateTime(timezone=True)),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("attempted_at", sa.DateTime(timezone=True)),
        sa.Column("check_at", sa.DateTime(timezone=True)),
        sa.Column("request", sa.JSON(none_as_null=True)),
        sa.Column("uri", sa.Text),
        sa.Column("url", sa.Text),
        sa.Column("published_at", sa.DateTime(timezone=True)),
        sa.Column("disclosure", sa.JSON(none_as_null=True)),
        sa.Column("receipt", sa.JSON(none_as_null=True)),
        sa.UniqueConstraint("text_key", name="publications_text"),
        sa.UniqueConstraint("bot", "due_at", name="publications_slot"),
    )
    op.create_index("publications_due", "publications", ["bot", "state", "due_at", "place"])
    op.create_index("publications_uri", "publications", ["uri"])
    op.create_index("publications_candidate", "publications", ["candidate"])


def downgrade() -> None:
    """Drop the tables."""
    for table in ("publication_events", "publications", "bot_sessions", "bots"):
        op.drop_table(table)
