"""The game's modes, rounds and arms; confidence, reasons and marks; attention checks, daily rounds, nicks."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

_TRIALS = ("mode", "round", "position", "arm")
_GUESSES = ("confidence", "reason", "mark")


def upgrade() -> None:
    """Add the columns, make the tables."""
    op.add_column("players", sa.Column("nick", sa.String(24)))
    op.add_column("players", sa.Column("nick_key", sa.String(64)))
    op.create_index("players_nick_key", "players", ["nick_key"], unique=True)
    op.add_column("trials", sa.Column("mode", sa.String(16), nullable=False, server_default="classic"))
    op.add_column("trials", sa.Column("round", sa.String(32)))
    op.add_column("trials", sa.Column("position", sa.Integer))
    op.add_column("trials", sa.Column("arm", sa.String(16)))
    op.add_column("guesses", sa.Column("confidence", sa.String(8)))
    op.add_column("guesses", sa.Column("reason", sa.String(16)))
    op.add_column("guesses", sa.Column("mark", sa.String(16)))
    op.create_table(
        "player_marks",
        sa.Column("player", sa.String(32), sa.ForeignKey("players.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("rule", sa.String(16), primary_key=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_table(
        "attention_checks",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("player", sa.String(32), sa.ForeignKey("players.id", ondelete="CASCADE"), nullable=False),
        sa.Column("wanted", sa.String(8), nullable=False),
        sa.Column("shown_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("answer", sa.String(8)),
        sa.Column("answered_at", sa.DateTime(timezone=True)),
    )
    op.create_index("attention_checks_player", "attention_checks", ["player"])
    op.create_table(
        "daily_items",
        sa.Column("day", sa.String(10), primary_key=True),
        sa.Column("category", sa.String(320), primary_key=True),
        sa.Column("position", sa.Integer, primary_key=True),
        sa.Column("item_key", sa.Text, nullable=False),
    )


def downgrade() -> None:
    """Undo it."""
    for table in ("daily_items", "attention_checks", "player_marks"):
        op.drop_table(table)
    for table, columns in (("guesses", _GUESSES), ("trials", _TRIALS)):
        for column in columns:
            op.drop_column(table, column)
    op.drop_index("players_nick_key", "players")
    op.drop_column("players", "nick_key")
    op.drop_column("players", "nick")
