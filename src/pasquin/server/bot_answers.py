"""What the bots' routes answer and take, from which the pages' client is made."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from pasquin.server.sign_in import SignedIn

Uri = Annotated[str, Field(pattern=r"^(https://|at://)[^\u0000-\u0020\u007f-\u00a0]+$", max_length=2_000)]


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True)


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class BotEntry(_Answer):
    """An entry of a queue; `curator` is who accepted it."""

    id: str
    state: Literal["approved", "claimed", "attempting", "confirmed", "unknown", "failed", "withdrawn", "deleted"]
    text: str
    due_at: datetime | None
    uri: str | None
    url: str | None
    published_at: datetime | None
    reason: str | None
    edited: bool
    curator: str | None


class BotRun(_Answer):
    """What became of the latest run, wherever that was."""

    at: datetime | None
    state: str | None
    why: str | None


class BotTrouble(_Answer):
    """What is wrong with a bot, and what helps."""

    kind: str
    message: str
    do: str


class BotSummary(_Answer):
    """A bot at a glance; `gone` is one that is no longer in pasquin.toml."""

    bot: str
    network: str
    account: str
    configured: bool
    state: Literal["active", "paused", "stopped", "held", "clock", "gone"]
    why: str | None
    held_until: datetime | None
    schedule: str | None
    time_zone: str
    next_due: datetime | None
    next_slots: list[datetime]
    entries: dict[str, int]
    stock: int
    minimum_stock: int
    low: bool
    last: BotEntry | None
    run: BotRun
    troubles: list[BotTrouble]


class BotsState(_Answer):
    """All bots. `stopped` says that the switch of all is off, `why` so."""

    curator: SignedIn
    stopped: bool
    why: str | None
    problem: str | None
    bots: list[BotSummary]


class BotCheck(_Answer):
    """One thing a bot must say of itself: whether it holds, what was found, what to do."""

    name: str
    holds: bool
    found: str
    do: str


class BotChecks(_Answer):
    """The disclosure as it was found last; null where nobody has looked yet."""

    checks: list[BotCheck] | None
    checked_at: datetime | None


class BotDetail(_Answer):
    """A bot with what waits (in the order it comes out), what is in doubt and what has failed."""

    summary: BotSummary
    waiting: list[BotEntry]
    doubt: list[BotEntry]
    failed: list[BotEntry]
    disclosure: BotChecks


class CalendarItem(_Answer):
    """A slot: `free`, or the state of the entry that has it. `time` is on the wall of the bot."""

    at: datetime
    time: str
    state: str
    id: str | None
    text: str | None


class CalendarDay(_Answer):
    """A day in the bot's time zone."""

    date: date
    items: list[CalendarItem]


class BotSetUp(_Answer):
    """What setting up did, and what is left to do by hand."""

    bio: str
    done: list[str]
    by_hand: list[str]


class BotOutcome(_Answer):
    """What became of a text in a run; `reason` where it was not published."""

    id: str
    state: str
    text: str
    uri: str | None = None
    url: str | None = None
    reason: str | None = None


class BotPublished(_Answer):
    """A run of a bot: what was published, what has failed, what is in doubt. `checks` where one does not hold."""

    bot: str
    state: str
    why: str | None
    published: list[BotOutcome]
    failed: list[BotOutcome]
    unknown: list[BotOutcome]
    waiting: list[BotOutcome]
    stock: int
    next_due: datetime | None
    warnings: list[str]
    ok: bool
    seconds: float
    checks: list[BotCheck] | None = None


class BotStuck(BotPublished):
    """A run that did not do all it should have, and a sentence that says why."""

    message: str


class PublicCheck(_Answer):
    """One thing a bot must say of itself, and whether it did when it was looked at."""

    name: str
    holds: bool


class PublicPublication(_Answer):
    """A text that was published, and where it came from; `text` is null when it was deleted."""

    text: str | None
    published_at: datetime | None
    uri: str | None
    url: str | None
    deleted: bool
    edited: bool
    curated: bool
    repeated: bool
    origin: dict[str, Any] | None
    novelty: dict[str, Any] | None
    compliant: bool | None


class PublicBot(_Answer):
    """What anybody may know of a bot."""

    bot: str
    network: str
    account: str | None
    running: bool
    maintainer: str | None
    parodies: list[str]
    model_family: str | None
    curated: bool | None
    checks: list[PublicCheck] | None
    checked_at: datetime | None
    published: int
    publications: list[PublicPublication]


class SwitchBody(_Body):
    """Which way to turn a switch, and why."""

    state: Literal["active", "paused", "stopped"]
    reason: Annotated[str, Field(max_length=300)] | None = None


class MoveBody(_Body):
    """The entry it goes before; null: at the end."""

    before: Annotated[str, Field(pattern="^[0-9a-f]{1,32}$")] | None = None


class ResolveBody(_Body):
    """Where it was published; null: it was not."""

    uri: Uri | None = None


class EditBody(_Body):
    """The words it shall have."""

    text: Annotated[str, Field(min_length=1, max_length=3_000)]
