"""The bots' routes, `/api/bots/*`: signed-in curators see every bot and its queue, anybody the public page of each.

Everybody who is signed in may order the queue, take entries out, pause and stop. Letting a bot publish again, telling
what became of an entry in doubt and writing the profile are the owner's. A run is started by the owner, or over HTTP
with the bot's token (`bot_trigger`). Nothing here reveals a secret: tokens and passwords are not even read.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any, Literal, TypeVar

from fastapi import APIRouter, Depends, Path, Query, Request

from pasquin.config import BotSettings, load_bots
from pasquin.errors import InputError, NetworkError, PasquinError, ResourceError, UsageError
from pasquin.publish import check, desk, receipt, setup, switches
from pasquin.publish.board import Group, calendar, kept_checks, listed, names_there, summary
from pasquin.publish.family import family_of
from pasquin.publish.openly import openly
from pasquin.server.bot_answers import (
    BotChecks,
    BotDetail,
    BotEntry,
    BotSetUp,
    BotsState,
    BotSummary,
    CalendarDay,
    EditBody,
    MoveBody,
    PublicBot,
    ResolveBody,
    SwitchBody,
)
from pasquin.server.limits import Limits
from pasquin.server.sign_in import PROBLEMS, CuratorDependency, SignedIn
from pasquin.store import Store
from pasquin.texts import normalise
from pasquin.workspace import Workspace

BotName = Annotated[str, Path(pattern="^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")]
EntryId = Annotated[str, Path(pattern="^[0-9a-f]{1,32}$")]
_MOST_DAYS = 42
T = TypeVar("T")


class NoBotError(PasquinError):
    """There is no bot, or no publication, of that name."""


class NotNowError(PasquinError):
    """What was asked for cannot be done with a bot or an entry as it is now."""


class NotOwnerError(PasquinError):
    """Only the owner of the workspace may do that."""


class OutOfReachError(PasquinError):
    """The bot's network, or what reaching it needs, is not there now."""


class Bots:
    """The bots of a workspace, for its server."""

    def __init__(self, workspace: Workspace, store: Store) -> None:
        self.workspace, self.store = workspace, store

    def configured(self) -> dict[str, BotSettings]:
        """Those of pasquin.toml as it is now. Raises UsageError when it makes no sense."""
        return load_bots(self.workspace.toml)

    def there(self, name: str) -> BotSettings | None:
        """The settings of a bot, None when only its queue is left. Raises NoBotError."""
        configured = self.configured()
        if name not in configured and name not in names_there(self.store, configured):
            raise NoBotError(f"There is no bot `{name}`.")
        return configured.get(name)


def bots_of(request: Request) -> Bots:
    """The bots of the running server."""
    bots: Bots = request.app.state.bots
    return bots


async def owner(curator: CuratorDependency) -> None:
    """Let only the owner pass. Raises NotOwnerError."""
    if not curator.owner:
        raise NotOwnerError("Only the owner of this workspace may do that.")


BotsDependency = Annotated[Bots, Depends(bots_of)]
OwnerOnly = Depends(owner)

router = APIRouter(prefix="/api/bots", tags=["bots"])
_PROBLEMS: dict[int | str, dict[str, Any]] = dict.fromkeys((401, 403, 404, 409, 413, 422, 502, 503), PROBLEMS[422])


@router.get("", responses=_PROBLEMS)
async def all_bots(bots: BotsDependency, curator: CuratorDependency) -> BotsState:
    """Every bot: switch, stock, next slots, last publication, troubles."""
    return await asyncio.to_thread(_all, bots, SignedIn.model_validate(curator))


def _all(bots: Bots, curator: SignedIn) -> BotsState:
    now, problem = datetime.now(UTC), None
    try:
        configured = bots.configured()
    except UsageError as exc:
        configured, problem = {}, str(exc)
    switches.register(bots.store, list(configured))
    with bots.store.read() as connection:
        shut = switches.closed(connection, switches.ALL, now)
    names = list(configured) if problem else names_there(bots.store, configured)
    found = [summary(bots.store, name, configured.get(name), now) for name in names]
    return BotsState(
        curator=curator,
        stopped=shut is not None,
        why=shut.reason if shut else None,
        problem=problem,
        bots=[BotSummary.model_validate(one) for one in found],
    )


@router.post("/switch", responses=_PROBLEMS, status_code=204)
async def switch_all(bots: BotsDependency, curator: CuratorDependency, body: SwitchBody) -> None:
    """Turn the switch of all bots; each one's own stays as it is."""
    await _turn(bots, switches.ALL, curator.owner, curator.name, body)


@router.get("/{name}", responses=_PROBLEMS)
async def one_bot(name: BotName, bots: BotsDependency, _: CuratorDependency) -> BotDetail:
    """A bot with its queue, what is in doubt, what has failed, and its disclosure."""
    return await asyncio.to_thread(_detail, bots, name)


def _detail(bots: Bots, name: str) -> BotDetail:
    settings = bots.there(name)
    groups: dict[Group, list[BotEntry]] = {
        group: [BotEntry.model_validate(one) for one in listed(bots.store, name, group, 500)]
        for group in ("waiting", "doubt", "failed")
    }
    return BotDetail(
        summary=BotSummary.model_validate(summary(bots.store, name, settings, datetime.now(UTC))),
        waiting=groups["waiting"],
        doubt=groups["doubt"],
        failed=groups["failed"],
        disclosure=BotChecks.model_validate(kept_checks(bots.store, name)),
    )


@router.post("/{name}/switch", responses=_PROBLEMS, status_code=204)
async def switch_one(name: BotName, bots: BotsDependency, curator: CuratorDependency, body: SwitchBody) -> None:
    """Turn the switch of a bot."""
    await asyncio.to_thread(bots.there, name)
    await _turn(bots, name, curator.owner, curator.name, body)


async def _turn(bots: Bots, name: str, owns: bool, who: str, body: SwitchBody) -> None:
    if body.state == "active" and not owns:
        raise NotOwnerError("Everybody may stop a bot; only the owner lets it publish again.")
    reason = None if body.state == "active" else normalise(body.reason or "") or f"{who} did it on the page"
    await asyncio.to_thread(switches.switch, bots.store, name, body.state, reason, datetime.now(UTC))


@router.get("/{name}/entries", responses=_PROBLEMS)
async def entries_of(
    name: BotName,
    bots: BotsDependency,
    _: CuratorDependency,
    group: Annotated[Literal["waiting", "doubt", "failed", "published", "withdrawn"], Query()] = "published",
    n: Annotated[int, Query(ge=1, le=200)] = 50,
    skip: Annotated[int, Query(ge=0, le=10_000_000)] = 0,
) -> list[BotEntry]:
    """Entries of one kind: what waits in its order, everything else newest first."""

    def read() -> list[BotEntry]:
        bots.there(name)
        return [BotEntry.model_validate(one) for one in listed(bots.store, name, group, n, skip)]

    return await asyncio.to_thread(read)


@router.get("/{name}/calendar", responses=_PROBLEMS)
async def calendar_of(
    name: BotName,
    bots: BotsDependency,
    _: CuratorDependency,
    first: date,
    days: Annotated[int, Query(ge=1, le=_MOST_DAYS)] = _MOST_DAYS,
) -> list[CalendarDay]:
    """Day by day in the bot's time zone: what was published, what is planned, which slots are free."""

    def read() -> list[CalendarDay]:
        settings, now = bots.there(name), datetime.now(UTC)
        begin = min(max(first, date(2000, 1, 1)), now.date() + timedelta(days=800))
        found = _tried(lambda: calendar(bots.store, name, settings, begin, days, now))
        return [CalendarDay.model_validate(day) for day in found]

    return await asyncio.to_thread(read)


@router.get("/{name}/entries/{entry}/receipt", responses=_PROBLEMS)
async def receipt_of(name: BotName, entry: EntryId, bots: BotsDependency, _: CuratorDependency) -> dict[str, Any]:
    """Where a published text came from, whole."""

    def read() -> dict[str, Any]:
        try:
            told = receipt(bots.store, entry)
        except InputError as exc:
            raise NoBotError("Nothing that was published here has this id.") from exc
        if told["bot"] != name:
            raise NoBotError("Nothing that this bot published has this id.")
        return told

    return await asyncio.to_thread(read)


@router.post("/{name}/entries/{entry}/move", responses=_PROBLEMS, status_code=204)
async def move(name: BotName, entry: EntryId, bots: BotsDependency, _: CuratorDependency, body: MoveBody) -> None:
    """Put a waiting entry before another; the slots follow."""
    await _changed(bots, name, lambda workspace: desk.move(workspace, name, entry, body.before))


@router.post("/{name}/entries/{entry}/withdraw", responses=_PROBLEMS, status_code=204)
async def withdraw(name: BotName, entry: EntryId, bots: BotsDependency, curator: CuratorDependency) -> None:
    """Take an entry out of the queue."""
    why = f"{curator.name} took it out"
    await _changed(bots, name, lambda workspace: desk.withdraw(workspace, name, entry, why))


@router.post("/{name}/entries/{entry}/edit", responses=_PROBLEMS, status_code=204)
async def edit(name: BotName, entry: EntryId, bots: BotsDependency, curator: CuratorDependency, body: EditBody) -> None:
    """Give an entry that waits, or has failed, other words; it is marked as edited."""
    text = normalise(body.text)
    await _changed(bots, name, lambda workspace: desk.edit(workspace, name, entry, text, curator.name))


@router.post("/{name}/entries/{entry}/retry", responses=_PROBLEMS, status_code=204)
async def retry(name: BotName, entry: EntryId, bots: BotsDependency, _: CuratorDependency) -> None:
    """Put an entry that has failed back into the queue."""
    await _changed(bots, name, lambda workspace: desk.retry(workspace, name, entry))


@router.post("/{name}/entries/{entry}/resolve", responses=_PROBLEMS, status_code=204, dependencies=[OwnerOnly])
async def resolve(name: BotName, entry: EntryId, bots: BotsDependency, body: ResolveBody) -> None:
    """Say what became of an entry in doubt."""
    await _changed(bots, name, lambda workspace: desk.resolve(workspace, name, entry, body.uri))


@router.post("/{name}/release", responses=_PROBLEMS, status_code=204, dependencies=[OwnerOnly])
async def release(name: BotName, bots: BotsDependency) -> None:
    """Take everything that waits out of the queue, so that other bots may publish it."""
    await _changed(bots, name, lambda workspace: desk.release(workspace, name, None))


@router.post("/{name}/check", responses=_PROBLEMS)
async def check_(name: BotName, bots: BotsDependency, _: CuratorDependency) -> BotChecks:
    """Look at the bot's profile on its network now, and check its disclosure."""
    await asyncio.to_thread(bots.there, name)
    await asyncio.to_thread(_tried, lambda: check(bots.workspace, name))
    return BotChecks.model_validate(await asyncio.to_thread(kept_checks, bots.store, name))


@router.post("/{name}/setup", responses=_PROBLEMS, dependencies=[OwnerOnly])
async def set_up(name: BotName, bots: BotsDependency) -> BotSetUp:
    """Write bio, flag and picture where the network's API can; say what is left to do by hand."""
    await asyncio.to_thread(bots.there, name)
    told = await asyncio.to_thread(_tried, lambda: setup(bots.workspace, name))
    return BotSetUp(bio=told["bio"], done=told["done"], by_hand=told["by_hand"])


@router.get("/{name}/public", responses=dict.fromkeys((404, 422, 429, 503), PROBLEMS[422]))
async def public(
    request: Request,
    name: BotName,
    bots: BotsDependency,
    n: Annotated[int, Query(ge=1, le=100)] = 30,
    skip: Annotated[int, Query(ge=0, le=10_000_000)] = 0,
) -> PublicBot:
    """What anybody may know of a bot: what it is, what it published, where each text came from."""

    def read() -> PublicBot:
        try:
            settings = bots.configured().get(name)
        except UsageError:
            settings = None  # the page stays up while pasquin.toml is being edited
        family = family_of(bots.workspace, settings) if settings else None
        told = openly(bots.store, name, settings, family, n, skip)
        if told is None:
            raise NoBotError("There is no such bot.")
        return PublicBot.model_validate(told)

    limits: Limits = request.app.state.limits
    limits.take(None, request.client.host if request.client else None)
    return await asyncio.to_thread(read)


async def _changed(bots: Bots, name: str, work: Callable[[Workspace], object]) -> None:
    await asyncio.to_thread(bots.there, name)
    await asyncio.to_thread(_tried, lambda: work(bots.workspace))


def _tried(work: Callable[[], T]) -> T:
    """What a stage does; where it cannot with things as they are, a sentence and a status that fits."""
    try:
        return work()
    except (UsageError, InputError) as exc:
        raise NotNowError(str(exc)) from exc
    except (NetworkError, ResourceError) as exc:
        raise OutOfReachError(str(exc)) from exc
