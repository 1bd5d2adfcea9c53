"""What a person does with single entries of a queue: move, withdraw, edit, retry, resolve; and with all of it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from pasquin.config import load_bots
from pasquin.publish import queue
from pasquin.publish.ledger import Entry
from pasquin.store import Store
from pasquin.workspace import Workspace


def move(workspace: Workspace, bot: str, entry: str, before: str | None) -> dict[str, Any]:
    """Put a waiting entry before another (None: at the end) and give the queue its slots anew."""
    store = Store.of(workspace)
    try:
        now = datetime.now(UTC)
        queue.move_entry(store, bot, entry, before, now)
        settings = load_bots(workspace.toml).get(bot)
        if settings is not None:
            queue.plan(store, bot, settings, now, anew=True)
        return {"bot": bot, "id": entry, "before": before}
    finally:
        store.close()


def withdraw(workspace: Workspace, bot: str, entry: str, reason: str | None) -> dict[str, Any]:
    """Take an entry out of the queue. Works for a bot that is no longer in pasquin.toml, too."""
    why = reason or "withdrawn by a person"
    return _done(workspace, lambda store, now: queue.withdraw_entry(store, bot, entry, why, now), anew=True)


def release(workspace: Workspace, bot: str, reason: str | None) -> dict[str, Any]:
    """Take all that waits out of the queue, so that other bots may publish it: `{bot, released}`."""
    store = Store.of(workspace)
    try:
        released = queue.release(store, bot, reason or "its bot lets it go", datetime.now(UTC))
        return {"bot": bot, "released": released}
    finally:
        store.close()


def edit(workspace: Workspace, bot: str, entry: str, text: str, curator: str | None) -> dict[str, Any]:
    """Give an entry that waits, or has failed, other words."""
    return _done(workspace, lambda store, now: queue.edit_entry(store, bot, entry, text, curator, now))


def retry(workspace: Workspace, bot: str, entry: str) -> dict[str, Any]:
    """Put an entry that has failed back into the queue."""
    return _done(workspace, lambda store, now: queue.retry_entry(store, bot, entry, now))


def resolve(workspace: Workspace, bot: str, entry: str, uri: str | None) -> dict[str, Any]:
    """What a person found out about an unknown entry: published at `uri`, or (None) not published."""
    return _done(workspace, lambda store, now: queue.resolve_entry(store, bot, entry, uri=uri, now=now))


def _done(workspace: Workspace, work: Callable[[Store, datetime], Entry], *, anew: bool = False) -> dict[str, Any]:
    """Do it, and give slots to what has none; `anew`: what comes later moves up into a slot that was set free."""
    store = Store.of(workspace)
    try:
        now = datetime.now(UTC)
        entry = work(store, now)
        settings = load_bots(workspace.toml).get(entry.bot)
        if settings is not None:
            queue.plan(store, entry.bot, settings, now, anew=anew)
        return {"bot": entry.bot, "id": entry.id, "state": entry.state}
    finally:
        store.close()
