"""Curation: curators, their sign-in, decisions, comparisons; candidates that were withdrawn."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Make the tables."""
    op.add_column("candidates", sa.Column("withdrawn_at", sa.DateTime(timezone=True)))
    op.create_table(
        "curators",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("name", sa.String(64), nullable=False, unique=True),
        sa.Column("owner", sa.Boolean, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_table(
        "sign_in_links",
        sa.Column("token_hash", sa.String(64), primary_key=True),
        sa.Column("curator", sa.String(32), sa.ForeignKey("curators.id", ondelete="CASCADE"), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_table(
        "curator_sessions",
        sa.Column("token_hash", sa.String(64), primary_key=True),
        sa.Column("curator", sa.String(32), sa.ForeignKey("curators.id", ondelete="CASCADE"), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_table(
        "decisions",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("key", sa.String(64), nullable=False),
        sa.Column("candidate", sa.String(32), sa.ForeignKey("candidates.id", ondelete="CASCADE"), nullable=False),
        sa.Column("curator", sa.String(32), sa.ForeignKey("curators.id"), nullable=False),
        sa.Column("decision", sa.String(8), nullable=False),
        sa.Column("undoes", sa.Integer, sa.ForeignKey("decisions.id", ondelete="CASCADE"), unique=True),
        sa.Column("text", sa.Text),
        sa.Column("reason", sa.String(200)),
        sa.Column("seconds", sa.Float, nullable=False),
        sa.Column("via", sa.String(16), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.UniqueConstraint("curator", "key", name="decisions_curator_key"),
    )
    op.create_index("decisions_candidate", "decisions", ["candidate", "id"])
    op.create_index("decisions_curator", "decisions", ["curator", "id"])
    op.create_table(
        "comparisons",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("key", sa.String(64), nullable=False),
        sa.Column("curator", sa.String(32), sa.ForeignKey("curators.id"), nullable=False),
        sa.Column("better", sa.String(32), sa.ForeignKey("candidates.id", ondelete="CASCADE"), nullable=False),
        sa.Column("worse", sa.String(32), sa.ForeignKey("candidates.id", ondelete="CASCADE"), nullable=False),
        sa.Column("seconds", sa.Float, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.UniqueConstraint("curator", "key", name="comparisons_curator_key"),
    )


def downgrade() -> None:
    """Drop the tables."""
    for table in ("comparisons", "decisions", "curator_sessions", "sign_in_links", "curators"):
        op.drop_table(table)
    op.drop_column("candidates", "withdrawn_at")
