"""What `play` stores: players, the trials they were shown, their guesses, and what tells of noise."""

from __future__ import annotations

import sqlalchemy as sa

from pasquin.store.schema.metadata import metadata

players = sa.Table(
    "players",
    metadata,
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("token_hash", sa.String(64), nullable=False, unique=True),
    sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("nick", sa.String(24)),
    sa.Column("nick_key", sa.String(64)),
    sa.Index("players_nick_key", "nick_key", unique=True),
)
"""Pseudonymous participants: a random id and the hash of the cookie that proves it. No address, no name.

`nick` is what a player chose to be called on the boards, None for nearly everybody; `nick_key` is what it is compared
by, so that no two look the same.
"""

trials = sa.Table(
    "trials",
    metadata,
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("player", sa.String(32), sa.ForeignKey("players.id", ondelete="CASCADE"), nullable=False),
    sa.Column("category", sa.String(320), nullable=False),
    sa.Column("origin", sa.String(8), nullable=False),
    sa.Column("item_key", sa.Text, nullable=False),
    sa.Column("shown_at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("mode", sa.String(16), nullable=False, server_default="classic"),
    sa.Column("round", sa.String(32)),
    sa.Column("position", sa.Integer),
    sa.Column("arm", sa.String(16)),
    sa.Column("drawn", sa.String(16)),
    sa.Index("trials_player", "player", "item_key"),
)
"""Items shown. The item is referred to, not copied, so that a deleted post is gone here too.

`mode` is `classic`, `pair`, `daily` or `endless`. `round` names the series a trial belongs to and `position` its place
in it, from 0: in `pair` both cards of a pair (one of each origin), in `daily` the day (`2026-01-31`), in `endless` a
run until the first wrong guess; both are None in `classic`. `arm` is what stood behind a model item when it was shown:
`screened`, `curated` (accepted as it is) or `edited`; None for human items and trials of before there were arms.
`drawn` is `evenly`, or `by_difficulty` for cards that may have been chosen by how hard they are, and those such choices
left over: they are no fair sample. None in trials of before that was stored, when only `endless` chose so.
"""

guesses = sa.Table(
    "guesses",
    metadata,
    sa.Column("trial", sa.String(32), sa.ForeignKey("trials.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("player", sa.String(32), sa.ForeignKey("players.id", ondelete="CASCADE"), nullable=False),
    sa.Column("guess", sa.String(8), nullable=False),
    sa.Column("correct", sa.Boolean, nullable=False),
    sa.Column("response_ms", sa.Integer, nullable=False),
    sa.Column("server_ms", sa.Integer, nullable=False),
    sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("confidence", sa.String(8)),
    sa.Column("reason", sa.String(16)),
    sa.Column("mark", sa.String(16)),
    sa.Index("guesses_player", "player"),
)
"""One guess a trial, for ever: the primary key says so. `response_ms` by the browser's clock, `server_ms` by ours.

A choice in mode `pair` is two rows of the same `round`, both right or both wrong: count the round once. `confidence`
is `sure`, `unsure` or None (not said), given with the guess; `reason` is said after the answer was shown, if at all:
`sense`, `style`, `facts`, `feeling`, or `knew` (the player knew the post). `mark` is the rule of `play/marks.py` that
speaks against counting this guess, None for most.
"""

player_marks = sa.Table(
    "player_marks",
    metadata,
    sa.Column("player", sa.String(32), sa.ForeignKey("players.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("rule", sa.String(16), primary_key=True),
    sa.Column("at", sa.DateTime(timezone=True), nullable=False),
)
"""Rules of `play/marks.py` that speak against counting a player, from when on. Marked players play on as before."""

attention_checks = sa.Table(
    "attention_checks",
    metadata,
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("player", sa.String(32), sa.ForeignKey("players.id", ondelete="CASCADE"), nullable=False),
    sa.Column("wanted", sa.String(8), nullable=False),
    sa.Column("shown_at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("answer", sa.String(8)),
    sa.Column("answered_at", sa.DateTime(timezone=True)),
    sa.Index("attention_checks_player", "player"),
)
"""Cards that say which button to press, and which was pressed. They are no trials and count in no score."""

daily_items = sa.Table(
    "daily_items",
    metadata,
    sa.Column("day", sa.String(10), primary_key=True),
    sa.Column("category", sa.String(320), primary_key=True),
    sa.Column("position", sa.Integer, primary_key=True),
    sa.Column("item_key", sa.Text, nullable=False),
    sa.Column("fresh", sa.Boolean),
)
"""The items of a day's round, the same for everybody; `day` in UTC. `fresh`: nobody had been shown it before."""
