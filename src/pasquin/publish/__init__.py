"""Publish: the accepted candidates of a bot, once each, on its schedule, and only while it says openly what it is.

`publish` does what is due and returns: for cron, for a job runner, for a trigger over HTTP. `watch` does the same again
and again. Both may run as often and at as many places at once as one likes: the ledger in the store sees to it that
each entry is published once. Where the state must live outside the machine, `PASQUIN_DATABASE_URL` names a PostgreSQL.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import sqlalchemy as sa

from pasquin.config import BotSettings, PublishSettings, load, load_bots
from pasquin.errors import PasquinError, TextRefused, UsageError
from pasquin.lengths.links import has_link
from pasquin.networks.publishing import Prices
from pasquin.networks.tids import new_tid
from pasquin.progress import Progress, Silent
from pasquin.publish import board, queue, runs, switches
from pasquin.publish.decided import follow
from pasquin.publish.disclosure import Disclosure, disclosure_of
from pasquin.publish.family import family_of
from pasquin.publish.ledger import entries, utc
from pasquin.publish.mentions import without_mentions
from pasquin.publish.queue import Accepted
from pasquin.publish.receipts import receipt
from pasquin.publish.running import Bot, frozen, open_bot, run
from pasquin.publish.setup import set_up
from pasquin.publish.told import telling
from pasquin.store import Store
from pasquin.store.schema import publications
from pasquin.traces import span
from pasquin.workspace import Workspace

__all__ = [
    "Accepted",
    "bot_named",
    "check",
    "dry_run",
    "enqueue",
    "publish",
    "receipt",
    "setup",
    "show",
    "switch_bot",
    "watch",
]

FAILED: Final = frozenset({"not_compliant", "account_refused", "clock", "not_sent", "unsettled"})
"""Why a run ended that a person, or whoever runs it, should look at."""


def publish(
    workspace: Workspace,
    name: str,
    *,
    limit: int | None = None,
    settings: PublishSettings | None = None,
    change: Callable[[Bot], None] | None = None,
) -> dict[str, Any]:
    """Publish what is due of a bot (without a schedule: one), at most `limit`, and say what happened.

    `{bot, state, published, failed, unknown, waiting, stock, next_due, warnings, ok, seconds}`. `state` is `published`,
    or why nothing was: `nothing_due`, `resting`, `busy`, `held`, `paused`, `stopped`, `not_compliant`,
    `account_refused`, `not_sent`, `unsettled`, `clock`. `change` may alter the opened bot (its clock, its steps).
    Raises UsageError when there is no such bot, StoreError when the database cannot be written.
    """
    began = time.monotonic()
    store = Store.of(workspace)
    try:
        try:
            bot = _open(workspace, store, name, settings)
        except PasquinError as exc:
            runs.note_run(store, name, "error", str(exc), None, datetime.now(UTC))
            raise
        if change is not None:
            change(bot)
        if bot.settings.paused:
            bot.stop, bot.why = "paused", "It is paused in pasquin.toml."
        else:
            _fill(bot)
            run(bot, 1 if limit is None and bot.settings.schedule is None else limit)
        told = _told(bot)
        runs.note_run(store, name, told["state"], told["why"], bot.disclosure, bot.clock())
        return {**told, "seconds": round(time.monotonic() - began, 3)}
    finally:
        store.close()


def watch(
    workspace: Workspace,
    name: str,
    *,
    settings: PublishSettings | None = None,
    progress: Progress | None = None,
    ended: Callable[[], bool] = lambda: False,
    happened: Callable[[dict[str, Any]], None] = lambda _: None,
) -> None:
    """Publish what is due of a bot until `ended()` or Ctrl-C, looking every `poll_seconds`; call `happened` with each
    result in which something did. An error of the network or the database is told, and the next look tries again.
    """
    settings = settings or load(PublishSettings, workspace.toml)
    progress = progress or Silent()
    _settings_of(workspace, name)
    last = ""
    with telling(workspace, settings.metrics_port) as tell:
        while not ended():
            began = time.monotonic()
            result = _look(workspace, name, settings)
            tell(result, time.monotonic() - began)
            if result["published"] or result["failed"] or result["unknown"]:
                happened(result)
            said = f"{name}: {result['state']}" + (f" ({result['why']})" if result.get("why") else "")
            if said != last and result["state"] not in ("published", "limit"):
                progress.say(said)
            last = said
            _pause(settings.poll_seconds, ended)


def _look(workspace: Workspace, name: str, settings: PublishSettings) -> dict[str, Any]:
    """One look of the daemon at the queue; an error that may pass is a result, too."""
    try:
        with span("publish", bot=name) as look:
            result = publish(workspace, name, settings=settings)
            look.note(state=result["state"], published=len(result["published"]))
            return result
    except UsageError:
        raise
    except PasquinError as exc:
        return {"bot": name, "state": "error", "why": str(exc), "published": [], "failed": [], "unknown": []}


def dry_run(workspace: Workspace, name: str, *, settings: PublishSettings | None = None) -> dict[str, Any]:
    """What would go out next, as the exact request without secrets; nothing is sent or claimed.

    `{bot, text, request, price, compliant, checks, due_at, note}`; `text` is None when the queue is empty.
    """
    store = Store.of(workspace)
    try:
        bot = _open(workspace, store, name, settings)
        told: dict[str, Any] = {"bot": name, "text": None, "request": None, "price": None, "due_at": None, "note": None}
        disclosure = disclosure_of(name, bot.settings, bot.publisher, bot.family, workspace.root)
        told |= {"compliant": disclosure.compliant, "checks": disclosure.told()}
        _follow(store, name, bot.settings, bot.clock())
        with store.read() as connection:
            waiting = entries(connection, publications.c.bot == name, publications.c.state == "approved")
        if not waiting:
            return {**told, "note": "The queue is empty."}
        text, due = without_mentions(waiting[0].text), waiting[0].row["due_at"]
        told |= {"text": text, "due_at": utc(due).isoformat() if due else None}
        if has_link(text) and not bot.settings.urls:
            return {**told, "note": "It has a link, and this bot publishes none."}
        if isinstance(bot.publisher, Prices):
            told["price"] = bot.publisher.price(text)
        try:
            return {**told, "request": frozen(bot.publisher, text, new_tid(bot.clock()))}
        except TextRefused as exc:
            return {**told, "note": str(exc)}
    finally:
        store.close()


def enqueue(workspace: Workspace, name: str, accepted: Sequence[Accepted]) -> dict[str, Any]:
    """Put accepted texts into a bot's queue and give them slots; `{bot, queued, skipped, stock}`."""
    settings = _settings_of(workspace, name)
    store = Store.of(workspace)
    try:
        switches.register(store, [name])
        now = datetime.now(UTC)
        result = queue.add(store, name, settings, accepted, now)
        queue.plan(store, name, settings, now)
        return {"bot": name, **result, "stock": queue.stock(store, name)}
    finally:
        store.close()


def check(workspace: Workspace, name: str) -> Disclosure:
    """Every check of a bot's disclosure, as its network shows it now."""
    store = Store.of(workspace)
    try:
        bot = _open(workspace, store, name, None)
        found = disclosure_of(name, bot.settings, bot.publisher, bot.family, workspace.root)
        runs.note_check(store, name, found, datetime.now(UTC))
        return found
    finally:
        store.close()


def setup(workspace: Workspace, name: str, *, picture: bool = True) -> dict[str, Any]:
    """Write a bot's bio, flag and picture where its network's API can, and say what is left to do by hand."""
    store = Store.of(workspace)
    try:
        bot = _open(workspace, store, name, None)
        return set_up(name, bot.settings, bot.publisher, bot.family, workspace.root, picture=picture)
    finally:
        store.close()


def show(workspace: Workspace, name: str | None = None) -> list[dict[str, Any]]:
    """All bots, or the named one with its `queue`: switch, stock, next slots, counts by state, troubles.

    Those that are no longer in pasquin.toml and have entries are among them. Raises UsageError when there is none.
    """
    configured = load_bots(workspace.toml)
    store = Store.of(workspace)
    try:
        switches.register(store, list(configured))
        there = board.names_there(store, configured)
        if name is not None and name not in there:
            _settings_of(workspace, name)
        now = datetime.now(UTC)
        for bot, settings in configured.items():
            if name in (None, bot):
                _follow(store, bot, settings, now)
        shown = [board.summary(store, bot, configured.get(bot), now) for bot in there if name in (None, bot)]
        if name is not None:
            with store.read() as connection:
                shown[0]["queue"] = [board.told(entry.row) for entry in entries(connection, publications.c.bot == name)]
        return shown
    finally:
        store.close()


def switch_bot(workspace: Workspace, name: str, state: switches.Switch, reason: str | None) -> dict[str, Any]:
    """Set the switch of a bot, or of all at once (`*`), also of one that is no longer in pasquin.toml.

    `{bot, state, now, why}`: `now` is what holds of the bot then, as the switch of all, or pasquin.toml, may say
    otherwise. Raises UsageError when there is no such bot.
    """
    configured = load_bots(workspace.toml)
    store = Store.of(workspace)
    try:
        if name != switches.ALL and name not in board.names_there(store, configured):
            _settings_of(workspace, name)
        moment = datetime.now(UTC)
        switches.switch(store, name, state, reason, moment)
        told: dict[str, Any] = {"bot": name, "state": state, "now": state, "why": reason}
        if name in configured:
            summary = board.summary(store, name, configured[name], moment)
            told |= {"now": summary["state"], "why": summary["why"]}
        return told
    finally:
        store.close()


def bot_named(workspace: Workspace, name: str) -> BotSettings:
    """The settings of a bot; UsageError when there is none of that name."""
    return _settings_of(workspace, name)


def _settings_of(workspace: Workspace, name: str) -> BotSettings:
    bots = load_bots(workspace.toml)
    if name not in bots:
        there = ", ".join(sorted(bots)) or "none yet"
        raise UsageError(f"There is no bot `{name}` in pasquin.toml (there are: {there}). Add a table [bots.{name}].")
    return bots[name]


def _open(workspace: Workspace, store: Store, name: str, settings: PublishSettings | None) -> Bot:
    chosen = _settings_of(workspace, name)
    settings = settings or load(PublishSettings, workspace.toml)
    switches.register(store, [name])
    return open_bot(name, chosen, settings, store, workspace.root, family_of(workspace, chosen))


def _fill(bot: Bot) -> None:
    _follow(bot.store, bot.name, bot.settings, bot.clock(), repeat=bot.settings.evergreen)


def _follow(store: Store, name: str, settings: BotSettings, now: datetime, *, repeat: bool = False) -> None:
    """Put into the queue what was accepted meanwhile, so that it is seen also before a publisher runs, who alone may
    `repeat` what is old.
    """
    gone = follow(store, name, settings, now)["withdrawn"]
    if repeat:
        queue.repeat_oldest(store, name, settings, now)
    queue.plan(store, name, settings, now, anew=gone > 0)


def _told(bot: Bot) -> dict[str, Any]:
    by_state: dict[str, list[dict[str, Any]]] = {"confirmed": [], "failed": [], "unknown": []}
    for outcome in bot.outcomes:
        by_state.setdefault(outcome["state"], []).append(outcome)
    stock, due = queue.stock(bot.store, bot.name), _next_due(bot.store, bot.name)
    stopped = bot.stop or "nothing_due"
    state = "published" if by_state["confirmed"] and stopped not in FAILED else stopped
    told: dict[str, Any] = {
        "bot": bot.name,
        "state": state,
        "why": bot.why,
        "published": by_state["confirmed"],
        "failed": by_state["failed"],
        "unknown": by_state["unknown"],
        "waiting": by_state.get("approved", []),
        "stock": stock,
        "next_due": due.isoformat() if due else None,
        "warnings": _warnings(bot, stock),
        "ok": state not in FAILED and not by_state["failed"] and not by_state["unknown"],
    }
    if stopped == "not_compliant" and bot.disclosure is not None:
        told["checks"] = bot.disclosure.told()
    return told


def _warnings(bot: Bot, stock: int) -> list[str]:
    if stock >= bot.settings.minimum_stock:
        return []
    return [f"{stock} left in the queue, fewer than the {bot.settings.minimum_stock} wanted. Curate some more."]


def _next_due(store: Store, name: str) -> datetime | None:
    waits = (publications.c.bot == name, publications.c.state == "approved")
    with store.read() as connection:
        due = connection.execute(sa.select(sa.func.min(publications.c.due_at)).where(*waits)).scalar()
    return utc(due) if due else None


def _pause(seconds: float, ended: Callable[[], bool]) -> None:
    until = time.monotonic() + seconds
    while not ended() and (left := until - time.monotonic()) > 0:
        time.sleep(min(0.5, left))
