"""One bot publishing: settle what is open, then what is due, one after the other, until something says stop.

The steps of one publication, each durable before the next begins: `claimed`, `attempting` (the request is frozen),
the network is asked, the outcome. `on_step` is called between them; tests and benchmarks end the process there.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa

from pasquin.config import BotSettings, PublishSettings
from pasquin.errors import AccountRefused, NetworkError, NotSent, PasquinError, RateLimited, TextRefused
from pasquin.lengths.links import has_link
from pasquin.networks.publishing import Access, Freezes, Publisher, Recalls, Settled, Settles, open_publisher
from pasquin.networks.tids import new_tid
from pasquin.publish import queue, switches
from pasquin.publish.disclosure import Disclosure, disclosure_of
from pasquin.publish.ledger import IN_FLIGHT, Entry, Ledger, StaleClaimError, aware
from pasquin.publish.mentions import without_mentions
from pasquin.publish.receipts import make_receipt
from pasquin.records import Publication
from pasquin.store import Store
from pasquin.store.schema import publications

_RESENDS: Final = 3
_PAUSE_SECONDS: Final = (0.0, 1.0, 4.0)
_HOLD: Final = timedelta(minutes=15)


def _now() -> datetime:
    return datetime.now(UTC)


def _no_step(_: str) -> None:
    return None


@dataclass
class Bot:
    """A bot that is to publish, with everything it needs. `clock` gives UTC, `rest` sleeps (seconds)."""

    name: str
    settings: BotSettings
    publish: PublishSettings
    store: Store
    publisher: Publisher
    ledger: Ledger
    root: Path
    family: str | None = None
    clock: Callable[[], datetime] = _now
    rest: Callable[[float], None] = time.sleep
    on_step: Callable[[str], None] = _no_step
    stop: str | None = None
    """Why nothing more is published in this run; None while it goes on."""
    why: str | None = None
    """The same in a sentence, where there is one."""
    outcomes: list[dict[str, Any]] = field(default_factory=list)
    disclosure: Disclosure | None = None


def open_bot(
    name: str, settings: BotSettings, publish: PublishSettings, store: Store, root: Path, family: str | None
) -> Bot:
    """A bot with its publisher. Raises UsageError when its network or a secret is missing."""
    publisher = open_publisher(Access(name, settings, publish, store, root))
    return Bot(name, settings, publish, store, publisher, Ledger(store, publish.lease_seconds), root, family)


def run(bot: Bot, limit: int | None = None) -> list[dict[str, Any]]:
    """Settle and publish what is due, at most `limit` new ones; one outcome for each entry that was touched.

    `bot.stop` says afterwards why it ended: `nothing_due`, `paused`, `stopped`, `held`, `busy`, `resting`, `clock`,
    `not_compliant`, `account_refused`, `not_sent`, `unsettled`, `limit`.
    """
    published = 0
    while bot.stop is None:
        if limit is not None and published >= limit:
            bot.stop = "limit"
        elif not _compliant(bot):
            bot.stop = bot.stop or "not_compliant"
        elif entry := bot.ledger.take_unknown(bot.name, bot.clock()):
            _guarded(bot, entry, _settle)
        elif getattr(bot.publisher, "in_order", False) and _unsettled(bot):
            bot.stop = "unsettled"  # the next may only be sent when it is known what became of this one
        else:
            published += _next(bot)
    return bot.outcomes


def _next(bot: Bot) -> int:
    """Claim one entry and publish it; whether there was one."""
    scheduled = bot.settings.schedule is not None
    rest = timedelta(minutes=bot.settings.rest_minutes)
    claim = bot.ledger.claim(bot.name, bot.clock(), scheduled=scheduled, rest=rest)
    if claim.entry is None:
        bot.stop = claim.why or "nothing_due"
        return 0
    _guarded(bot, claim.entry, _settle if claim.entry.state == "attempting" else _attempt)
    return 1


def _guarded(bot: Bot, entry: Entry, work: Callable[[Bot, Entry], None]) -> None:
    try:
        work(bot, entry)
    except StaleClaimError as exc:
        bot.outcomes.append({"id": entry.id, "state": "stale", "text": entry.text, "reason": str(exc)})


def _attempt(bot: Bot, entry: Entry) -> None:
    """Publish a claimed entry for the first time."""
    began = _elapsed()
    bot.on_step("claimed")
    text = without_mentions(entry.text)
    if has_link(text) and not bot.settings.urls:
        _fail(bot, entry, "It has a link, and this bot publishes none. Edit the text, or set urls = true.")
        return
    try:
        if there := _said_before(bot, entry, text):
            _fail(
                bot,
                entry,
                f"The account has said this already, and not from here ({there}). Does another workspace "
                "publish there? Withdraw the entry, or edit it.",
            )
            return
        request = frozen(bot.publisher, text, new_tid(bot.clock()))
    except NetworkError as exc:
        _not_published(bot, entry, exc)
        return
    bot.on_step("frozen")
    state = bot.disclosure.summary() if bot.disclosure else {}
    where = (bot.settings.network, bot.settings.account)
    entry = bot.ledger.attempt(entry, request, state, where, bot.clock())
    bot.on_step("attempting")
    if _elapsed() - began > bot.publish.lease_seconds - bot.publish.timeout_seconds:
        bot.ledger.put_back(entry, "its publisher was too slow to be sure of its claim", bot.clock())
        bot.stop = "not_sent"
        return
    _send(bot, entry)


def _said_before(bot: Bot, entry: Entry, text: str) -> str | None:
    """Where the account has this text already, though this ledger does not know of it; evergreens are meant to be."""
    if entry.row["repeat_of"] is not None or not isinstance(bot.publisher, Recalls):
        return None
    return bot.publisher.said_before(text)


def _send(bot: Bot, entry: Entry) -> None:
    """Ask the network for the first time, and store what it said."""
    try:
        found = send(bot.publisher, entry.request)
    except (NotSent, RateLimited, TextRefused, AccountRefused) as exc:
        _not_published(bot, entry, exc)
    except Exception as exc:  # noqa: BLE001 - whatever it was, the text may be out: only looking tells
        reason = str(exc) if isinstance(exc, PasquinError) else f"{type(exc).__name__} while publishing"
        bot.on_step("in doubt")
        _look(bot, entry, reason, _RESENDS)
    else:
        bot.on_step("answered")
        _confirm(bot, entry, found)


def _not_published(bot: Bot, entry: Entry, exc: NetworkError) -> None:
    """Store that an entry surely was not published."""
    if isinstance(exc, TextRefused):
        _fail(bot, entry, str(exc))
        return
    entry = bot.ledger.put_back(entry, str(exc), bot.clock())
    if isinstance(exc, RateLimited):
        until = datetime.fromtimestamp(exc.until, UTC) if exc.until else bot.clock() + _HOLD
        switches.hold(bot.store, bot.name, until, str(exc))
        bot.stop = "held"
    elif isinstance(exc, AccountRefused):
        switches.switch(bot.store, bot.name, "paused", str(exc), bot.clock())
        bot.stop = "account_refused"
    else:
        bot.stop = "not_sent"
    bot.why = str(exc)
    _tell(bot, entry, str(exc))


def _send_again(bot: Bot, entry: Entry, reason: str, resends: int) -> None:
    """Send a request once more that the network takes once. Whatever it refuses now says nothing of the first time."""
    try:
        found = send(bot.publisher, entry.request)
    except (RateLimited, AccountRefused) as exc:
        _unknown(bot, entry, f"{reason} Then: {exc}")
        if isinstance(exc, AccountRefused):
            switches.switch(bot.store, bot.name, "paused", str(exc), bot.clock())
        bot.stop = "account_refused" if isinstance(exc, AccountRefused) else "unsettled"
    except Exception as exc:  # noqa: BLE001 - as the first time
        told = str(exc) if isinstance(exc, PasquinError) else type(exc).__name__
        _look(bot, entry, f"{reason} Then: {told}" if resends == _RESENDS - 1 else reason, resends)
    else:
        bot.on_step("answered")
        _confirm(bot, entry, found)


def _settle(bot: Bot, entry: Entry) -> None:
    """Find out what became of an entry that was attempted before."""
    bot.on_step("settling")
    _look(bot, entry, entry.row["reason"] or "its publisher was interrupted", _RESENDS)


def _look(bot: Bot, entry: Entry, reason: str, resends: int) -> None:
    """Look for the publication; send the same request again only where that cannot make a second one."""
    bot.rest(_PAUSE_SECONDS[min(_RESENDS - resends, len(_PAUSE_SECONDS) - 1)])
    try:
        found = settled(bot.publisher, entry)
    except AccountRefused as exc:
        _unknown(bot, entry, f"{reason} Looking was refused: {exc}")
        switches.switch(bot.store, bot.name, "paused", str(exc), bot.clock())
        bot.stop = "account_refused"
    except Exception as exc:  # noqa: BLE001 - a look that fails tells nothing
        told = str(exc) if isinstance(exc, NetworkError) else type(exc).__name__
        if resends > 0 and not isinstance(exc, RateLimited):
            _look(bot, entry, reason, resends - 1)
        else:
            _unknown(bot, entry, f"{reason} It could not be looked up: {told}")
            bot.stop = "unsettled"
    else:
        if isinstance(found, Publication):
            bot.on_step("answered")
            _confirm(bot, entry, found)
        elif found == "absent" and resends > 0:
            _send_again(bot, entry, reason, resends - 1)
        else:
            _unknown(bot, entry, reason)


def frozen(publisher: Publisher, text: str, key: str) -> dict[str, Any]:
    """What the ledger stores before the network is asked."""
    if isinstance(publisher, Freezes):
        return {"key": key, "text": text, "request": dict(publisher.freeze(text, key))}
    return {"key": key, "text": text}


def send(publisher: Publisher, request: Mapping[str, Any]) -> Publication:
    """Send what `frozen` made."""
    if isinstance(publisher, Freezes):
        return publisher.send(request["request"])
    return publisher.publish(request["text"], request["key"])


def settled(publisher: Publisher, entry: Entry) -> Settled:
    """What became of an attempted entry; `undecided` where the network cannot be asked."""
    if not isinstance(publisher, Settles):
        return "undecided"
    attempted = aware(entry.row["attempted_at"]) or datetime.now(UTC)
    return publisher.settle(entry.request.get("request", entry.request), attempted)


def _confirm(bot: Bot, entry: Entry, found: Publication) -> None:
    values = {"uri": found.uri, "url": found.url, "published_at": found.published_at}
    receipt = make_receipt(bot.store, entry, found, bot.family)
    entry = bot.ledger.confirm(entry, values, receipt, bot.clock())
    bot.on_step("confirmed")
    _tell(bot, entry, None)


def _fail(bot: Bot, entry: Entry, reason: str) -> None:
    _tell(bot, bot.ledger.fail(entry, reason, bot.clock()), reason)


def _unknown(bot: Bot, entry: Entry, reason: str) -> None:
    attempted = aware(entry.row["attempted_at"]) or bot.clock()
    pause = timedelta(minutes=bot.publish.settle_minutes)
    again: datetime | None = bot.clock() + pause
    if not isinstance(bot.publisher, Settles) or bot.clock() - attempted > pause * bot.publish.settle_times:
        again = None
    _tell(bot, bot.ledger.unknown(entry, reason, again, bot.clock()), reason)


def _tell(bot: Bot, entry: Entry, reason: str | None) -> None:
    told: dict[str, Any] = {"id": entry.id, "state": entry.state, "text": entry.text}
    if entry.row.get("uri"):
        told |= {"uri": entry.row["uri"], "url": entry.row["url"]}
    bot.outcomes.append(told | ({"reason": reason} if reason else {}))


def _compliant(bot: Bot) -> bool:
    """Whether the bot may publish: its switches are on, and (looked up only when something is due) it says of itself
    what it must."""
    now = bot.clock()
    with bot.store.read() as connection:
        if shut := switches.closed(connection, bot.name, now):
            bot.stop, bot.why = shut.state, shut.reason
            return False
        if not queue.entries_exist(connection, publications.c.bot == bot.name, _due(bot, now)):
            return True
    try:
        bot.disclosure = disclosure_of(bot.name, bot.settings, bot.publisher, bot.family, bot.root)
    except NetworkError as exc:
        return _unread(bot, exc)
    return bot.disclosure.compliant


def _unread(bot: Bot, exc: NetworkError) -> bool:
    """A profile that cannot be read holds everything back."""
    bot.why = f"The bot's profile cannot be read: {exc}"
    bot.stop = "not_sent"
    if isinstance(exc, RateLimited):
        bot.stop = "held"
        until = datetime.fromtimestamp(exc.until, UTC) if exc.until else bot.clock() + _HOLD
        switches.hold(bot.store, bot.name, until, str(exc))
    elif isinstance(exc, AccountRefused):
        bot.stop = "account_refused"
        switches.switch(bot.store, bot.name, "paused", str(exc), bot.clock())
    return False


def _due(bot: Bot, now: datetime) -> sa.ColumnElement[bool]:
    state = publications.c.state
    approved = state == "approved"
    if bot.settings.schedule is not None:
        approved = sa.and_(approved, publications.c.due_at <= now)
    unknown = sa.and_(state == "unknown", publications.c.check_at <= now)
    return sa.or_(approved, unknown, state.in_(IN_FLIGHT))


def _unsettled(bot: Bot) -> bool:
    waits = (publications.c.bot == bot.name, publications.c.state == "unknown", publications.c.check_at.is_not(None))
    with bot.store.read() as connection:
        return queue.entries_exist(connection, *waits)


def _elapsed() -> float:
    """Seconds that also pass while the machine sleeps, where the system can tell."""
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if clock is None else time.clock_gettime(clock)
