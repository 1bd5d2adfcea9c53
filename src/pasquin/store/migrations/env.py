"""Runs the migrations on the connection that `Store` hands over."""

from __future__ import annotations

from alembic import context

from pasquin.store.schema import metadata

connection = context.config.attributes["connection"]
context.configure(
    connection=connection, target_metadata=metadata, render_as_batch=True, transaction_per_migration=False
)
context.run_migrations()
