"""What is wrong with a bot, in words: each trouble says what it is and what helps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from pasquin.config import BotSettings
from pasquin.counts import counted
from pasquin.errors import PasquinError
from pasquin.publish.ledger import aware
from pasquin.publish.schedule import read_schedule

_OVERDUE: Final = timedelta(minutes=20)
"""So long after a slot somebody should have run the bot: cron comes every quarter of an hour."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What is known of a bot: `row` is its row of `bots`, `queued_for` how many entries wait for which account."""

    name: str
    settings: BotSettings | None
    state: str
    why: str | None
    counts: Mapping[str, int]
    row: Mapping[str, Any]
    due: datetime | None
    queued_for: Mapping[tuple[str, str], int]
    now: datetime


def troubles(bot: Seen) -> list[dict[str, str]]:
    """All of them, the gravest first: `{kind, message, do}`."""
    found = (
        _gone(bot) if bot.settings is None else None,
        _schedule(bot),
        _account(bot),
        _doubt(bot),
        _disclosure(bot),
        _run(bot),
        _overdue(bot),
        _other_account(bot),
        _failed(bot),
        _stock(bot),
    )
    return [{"kind": one[0], "message": one[1], "do": one[2]} for one in found if one is not None]


_Told = tuple[str, str, str] | None


def _gone(bot: Seen) -> _Told:
    waiting = bot.counts.get("approved", 0)
    return (
        "gone",
        f"It is no longer in pasquin.toml, so nothing is published. {_texts(waiting)} in its queue, which no other "
        "bot may publish meanwhile.",
        f"Put [bots.{bot.name}] back, or release its queue.",
    )


def _schedule(bot: Seen) -> _Told:
    if bot.settings is None or bot.settings.schedule is None:
        return None
    try:
        read_schedule(bot.name, bot.settings.schedule, bot.settings.time_zone)
    except PasquinError as exc:
        return "schedule", str(exc), f"Mend it in [bots.{bot.name}] of pasquin.toml."
    return None


def _account(bot: Seen) -> _Told:
    if bot.row.get("run_state") != "account_refused" or bot.state != "paused":
        return None
    message = f"The network refuses its account: {bot.why or bot.row.get('run_why') or 'it did not say why'}"
    return "account", message, "Mend the account or its key, then resume the bot. Its queue is whole."


def _doubt(bot: Seen) -> _Told:
    number = bot.counts.get("unknown", 0)
    if not number:
        return None
    return (
        "doubt",
        f"Of {_texts(number, 'it is', 'it is')} not known whether the network has {'them' if number > 1 else 'it'}.",
        "Look at the account, then say under In doubt what you found. Nothing is sent twice meanwhile.",
    )


def _disclosure(bot: Seen) -> _Told:
    missing = [str(check["name"]) for check in bot.row.get("checks") or () if not check["holds"]]
    if not missing:
        return None
    return (
        "disclosure",
        f"It does not say of itself what it must ({', '.join(missing)}), so nothing is published.",
        "See under Disclosure what to do, then check again.",
    )


_RUNS: Final[Mapping[str, tuple[str, str]]] = {
    "clock": ("The clock of the machine it runs on is wrong", "Set that clock; if the later time was wrong, resume."),
    "not_sent": ("The network could not be reached at the latest run", "The next run tries again."),
    "error": ("The latest run could not begin", "Mend that where it runs."),
}


def _run(bot: Seen) -> _Told:
    state = str(bot.row.get("run_state"))
    if state not in _RUNS:
        return None
    message, do = _RUNS[state]
    return "run", f"{message}: {bot.row.get('run_why') or 'it did not say why.'}", do


def _overdue(bot: Seen) -> _Told:
    ran = aware(bot.row.get("run_at"))
    if bot.due is None or bot.state != "active" or bot.now - bot.due < _OVERDUE or (ran is not None and ran > bot.due):
        return None
    since = f"since {ran:%Y-%m-%d %H:%M} UTC" if ran else "yet"
    return (
        "overdue",
        f"An entry has been due since {bot.due:%Y-%m-%d %H:%M} UTC, and nobody has run this bot {since}.",
        f"Run `pasquin publish {bot.name}`, from cron for example; docs/runners.md has recipes.",
    )


def _other_account(bot: Seen) -> _Told:
    if bot.settings is None:
        return None
    own = (bot.settings.network, bot.settings.account)
    others = sorted(f"{network} {account}" for network, account in bot.queued_for if (network, account) != own)
    if not others:
        return None
    return (
        "account changed",
        f"Some of its queue was made for {', '.join(others)}; now it goes to {' '.join(own)}.",
        "Where two workspaces share this database, give their bots different names.",
    )


def _failed(bot: Seen) -> _Told:
    number = bot.counts.get("failed", 0)
    if not number:
        return None
    it = "it" if number == 1 else "them"
    return (
        "failed",
        f"The network will not have {_texts(number, '', '').strip()}.",
        f"Edit {it}, try again, or take {it} out.",
    )


def _stock(bot: Seen) -> _Told:
    waiting = bot.counts.get("approved", 0)
    if bot.settings is None or waiting >= bot.settings.minimum_stock:
        return None
    return (
        "stock",
        f"{_texts(waiting)} in its queue, fewer than the {bot.settings.minimum_stock} wanted.",
        "Curate some more.",
    )


def _texts(number: int, one: str = "waits", many: str = "wait") -> str:
    told = counted(number, f"text {one}", f"texts {many}") if number else f"No texts {many}"
    return told.rstrip()
