"""What `curate` stores: curators and how they sign in, their decisions, their choices between two."""

from __future__ import annotations

import sqlalchemy as sa

from pasquin.store.schema.metadata import metadata

curators = sa.Table(
    "curators",
    metadata,
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("name", sa.String(64), nullable=False, unique=True),
    sa.Column("owner", sa.Boolean, nullable=False),
    sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
)
"""People who decide. The owner is whoever can run commands in the workspace; others were invited."""

sign_in_links = sa.Table(
    "sign_in_links",
    metadata,
    sa.Column("token_hash", sa.String(64), primary_key=True),
    sa.Column("curator", sa.String(32), sa.ForeignKey("curators.id", ondelete="CASCADE"), nullable=False),
    sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
)
"""Links that sign in once: using one deletes it. The token itself is nowhere."""

curator_sessions = sa.Table(
    "curator_sessions",
    metadata,
    sa.Column("token_hash", sa.String(64), primary_key=True),
    sa.Column("curator", sa.String(32), sa.ForeignKey("curators.id", ondelete="CASCADE"), nullable=False),
    sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
)
"""Browsers that are signed in, by the hash of their cookie."""

decisions = sa.Table(
    "decisions",
    metadata,
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
    sa.Index("decisions_candidate", "candidate", "id"),
    sa.Index("decisions_curator", "curator", "id"),
)
"""Append-only: accept, edit, reject, skip, or undo of the row in `undoes`; `id` is their order.

`key` is made where the decision is (a page without connection), so that sending it again changes nothing. `text` is the
text after an edit, `seconds` how long the candidate was looked at, `via` where (card, grid, terminal, sheet).
`pasquin.store.decided` says which of them stands.
"""

comparisons = sa.Table(
    "comparisons",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("key", sa.String(64), nullable=False),
    sa.Column("curator", sa.String(32), sa.ForeignKey("curators.id"), nullable=False),
    sa.Column("better", sa.String(32), sa.ForeignKey("candidates.id", ondelete="CASCADE"), nullable=False),
    sa.Column("worse", sa.String(32), sa.ForeignKey("candidates.id", ondelete="CASCADE"), nullable=False),
    sa.Column("seconds", sa.Float, nullable=False),
    sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
    sa.UniqueConstraint("curator", "key", name="comparisons_curator_key"),
)
"""Which of two a curator preferred; the order of the candidates learns from it."""
