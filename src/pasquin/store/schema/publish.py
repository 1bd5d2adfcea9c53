"""What `publish` stores: the switches of bots, their queue and ledger, what happened to each entry, sealed sessions."""

from __future__ import annotations

import sqlalchemy as sa

from pasquin.store.schema.metadata import metadata

bots = sa.Table(
    "bots",
    metadata,
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("reason", sa.Text),
    sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("held_until", sa.DateTime(timezone=True)),
    sa.Column("plan", sa.Text),
    sa.Column("last_at", sa.DateTime(timezone=True)),
    sa.Column("run_at", sa.DateTime(timezone=True)),
    sa.Column("run_state", sa.String(24)),
    sa.Column("run_why", sa.Text),
    sa.Column("checks", sa.JSON(none_as_null=True)),
    sa.Column("checked_at", sa.DateTime(timezone=True)),
    sa.Column("trigger_hash", sa.String(64)),
    sa.Column("trigger_hint", sa.String(16)),
)
"""Switches: `active`, `paused` or `stopped` with the reason. The row named `*` is the switch of all bots.

`held_until` is when a network that asked to wait may be asked again; `plan` the schedule its queue was planned with;
`last_at` the latest time seen while it published, by which a clock that was turned back is noticed. `run_*` is what
became of the latest run, wherever that was, `checks` the latest look at its disclosure: whoever looks at the page sees
why nothing comes. Of the token that may start a run over HTTP only the SHA-256 is kept, and its first characters.
"""

bot_triggers = sa.Table(
    "bot_triggers",
    metadata,
    sa.Column("bot", sa.String(64), primary_key=True),
    sa.Column("key", sa.String(64), primary_key=True),
    sa.Column("at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("result", sa.JSON(none_as_null=True)),
)
"""Starts over HTTP that named a key, and what they were answered (null while they run): again, they start nothing."""

publications = sa.Table(
    "publications",
    metadata,
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
    sa.Index("publications_due", "bot", "state", "due_at", "place"),
    sa.Index("publications_uri", "uri"),
    sa.Index("publications_candidate", "candidate"),
)
"""The queue and the ledger: what a bot is to publish, tries to, and has published.

`approved -> claimed -> attempting -> confirmed | unknown | failed`; `withdrawn` is what a person took out of the queue,
`deleted` the tombstone of a post that is gone from its network. `fence` counts claims: a write with an older number is
refused. `request` is frozen before the network is asked. `text_key` is unique: no text is published twice, by whatever
bot; it is null for what may be repeated (evergreens) and what was withdrawn. `due_at` is the slot: one entry each.
`decision` is the row of `decisions` that accepted it, null where somebody queued it by hand.
"""

publication_events = sa.Table(
    "publication_events",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("publication", sa.String(32), sa.ForeignKey("publications.id", ondelete="CASCADE"), nullable=False),
    sa.Column("at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("fence", sa.Integer, nullable=False),
    sa.Column("note", sa.Text),
    sa.Index("publication_events_publication", "publication", "id"),
)
"""Every change of state of a publication, in order; rows are only ever added."""

bot_sessions = sa.Table(
    "bot_sessions",
    metadata,
    sa.Column("bot", sa.String(64), primary_key=True),
    sa.Column("account", sa.String(255), nullable=False),
    sa.Column("sealed", sa.Text),
    sa.Column("generation", sa.Integer, nullable=False),
    sa.Column("renewing_until", sa.DateTime(timezone=True)),
    sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
)
"""Sessions of bots, sealed with a key made from the bot's password, which is not here."""
