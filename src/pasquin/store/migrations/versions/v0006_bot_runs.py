"""What became of a bot's latest run and check, who may start one over HTTP, and what such a start was answered."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

_BOTS = ("run_at", "run_state", "run_why", "checks", "checked_at", "trigger_hash", "trigger_hint")


def upgrade() -> None:
    """Add the columns, make the table."""
    op.add_column("bots", sa.Column("run_at", sa.DateTime(timezone=True)))
    op.add_column("bots", sa.Column("run_state", sa.String(24)))
    op.add_column("bots", sa.Column("run_why", sa.Text))
    op.add_column("bots", sa.Column("checks", sa.JSON(none_as_null=True)))
    op.add_column("bots", sa.Column("checked_at", sa.DateTime(timezone=True)))
    op.add_column("bots", sa.Column("trigger_hash", sa.String(64)))
    op.add_column("bots", sa.Column("trigger_hint", sa.String(16)))
    op.create_table(
        "bot_triggers",
        sa.Column("bot", sa.String(64), primary_key=True),
        sa.Column("key", sa.String(64), primary_key=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("result", sa.JSON(none_as_null=True)),
    )


def downgrade() -> None:
    """Undo it."""
    op.drop_table("bot_triggers")
    for column in _BOTS:
        op.drop_column("bots", column)
