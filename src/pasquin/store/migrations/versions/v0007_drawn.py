"""How the card of a trial was drawn, and whether anybody had seen a card of a day before it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Add the columns."""
    op.add_column("trials", sa.Column("drawn", sa.String(16)))
    op.add_column("daily_items", sa.Column("fresh", sa.Boolean))


def downgrade() -> None:
    """Undo it."""
    op.drop_column("trials", "drawn")
    op.drop_column("daily_items", "fresh")
