"""Can each bot publish: settings, packages, secrets, schedule, models, stock, entries in doubt, disclosure?"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final

import sqlalchemy as sa

from pasquin.config import BotSettings, PublishSettings, load, load_bots
from pasquin.doctor.findings import Finding, Level
from pasquin.errors import PasquinError, UsageError, WorkspaceError
from pasquin.networks.publishing import Access, open_publisher
from pasquin.publish import check, switches
from pasquin.publish.ledger import IN_FLIGHT, utc
from pasquin.publish.owner import surely_dead
from pasquin.publish.schedule import read_schedule
from pasquin.store import Store
from pasquin.store.schema import candidates, publications
from pasquin.workspace import Workspace

_LATE: Final = timedelta(minutes=15)

_finding = partial(Finding, "bots")


def examine(workspace: Workspace, *, usable: bool, online: bool) -> Iterator[Finding]:
    """Every bot of a workspace; what the database says of them only when it is `usable` as it is."""
    try:
        bots = load_bots(workspace.toml)
        settings = load(PublishSettings, workspace.toml)
    except UsageError as exc:
        yield _finding("bots", "problem", str(exc), "Mend the bot's table in pasquin.toml.")
        return
    if not bots:
        return
    for name, bot in bots.items():
        yield from _settings(name, bot)
    if not usable:
        for name, bot in bots.items():
            yield from _sources(workspace, None, name, bot)
        return
    with closing(Store.of(workspace)) as store:
        for name, bot in bots.items():
            yield from _sources(workspace, store, name, bot)
            opened = True
            for finding in _opens(Access(name, bot, settings, store, workspace.root)):
                opened = opened and finding.level != "problem"
                yield finding
            yield from _switch(store, name, bot)
            yield from _queue(store, name, bot)
            if opened and online:
                yield from _disclosure(workspace, name)
        yield from _strangers(store, set(bots))


def _settings(name: str, bot: BotSettings) -> Iterator[Finding]:
    about, table = f"bot {name}", f"[bots.{name}]"
    if bot.schedule is not None:
        try:
            read_schedule(name, bot.schedule, bot.time_zone)
        except PasquinError as exc:
            yield _finding(about, "problem", str(exc), f"Mend the schedule or the time zone in {table}.")
    if not bot.models and bot.corpus is None:
        yield _finding(
            *(about, "note", "It names no model and no corpus, so it publishes only what is queued by hand."),
            f"Set models or corpus in {table}.",
        )
    if bot.network in ("bluesky", "mastodon", "x") and not bot.maintainer:
        yield _finding(
            *(about, "problem", "It does not say who answers for it, which its bio must."),
            f"Set maintainer in {table}.",
        )


def _sources(workspace: Workspace, store: Store | None, name: str, bot: BotSettings) -> Iterator[Finding]:
    """Whether the models and the corpus it names are here, or what they wrote is in the database all the same."""
    about, table = f"bot {name}", f"[bots.{name}]"
    with suppress(WorkspaceError):  # what may not be read was said of the workspace
        models, corpora = workspace.models(), workspace.corpora()
        elsewhere = not (models or corpora or workspace.posts.is_dir())  # only bots are here
        for model in sorted(set(bot.models) - set(models)):
            known = elsewhere or _has_written(store, candidates.c.model == model)
            yield _finding(
                *(about, *_missing(f"It publishes what `{model}` wrote, and there is no such model here", known)),
                "" if known else f"pasquin train {model}, or mend models in {table}.",
            )
        if bot.corpus is not None and bot.corpus not in corpora:
            known = elsewhere or _has_written(store, candidates.c.corpus == bot.corpus)
            yield _finding(
                *(about, *_missing(f"It names the corpus `{bot.corpus}`, and there is none", known)),
                "" if known else f"pasquin prepare {bot.corpus}, or mend corpus in {table}.",
            )


def _missing(said: str, known: bool) -> tuple[Level, str]:
    return ("note", f"{said}: fine where only bots run.") if known else ("warning", f"{said}.")


def _has_written(store: Store | None, which: sa.ColumnElement[bool]) -> bool:
    if store is None:
        return False
    with store.read() as connection:
        return bool(connection.execute(sa.select(sa.exists().where(which))).scalar())


def _opens(access: Access) -> Iterator[Finding]:
    """Whether the publisher can be made: its network is known, its packages are there, and so are its secrets."""
    about = f"bot {access.bot}"
    try:
        open_publisher(access)
    except PasquinError as exc:
        yield _finding(about, "problem", str(exc), f"Then try: pasquin bot check {access.bot}")
    else:
        yield _finding(
            about, "fine", f"Its settings are understood and its secrets for {access.settings.network} found."
        )


def _switch(store: Store, name: str, bot: BotSettings) -> Iterator[Finding]:
    with store.read() as connection:
        shut = switches.closed(connection, name, datetime.now(UTC))
    about = f"bot {name}"
    if bot.paused:
        yield _finding(about, "note", "It is paused in pasquin.toml.", f"Remove paused from [bots.{name}].")
    elif shut is not None and shut.state == "clock":
        yield _finding(about, "problem", f"{shut.reason} Nothing is published.", "Set the machine's clock right.")
    elif shut is not None and shut.state == "held":
        yield _finding(about, "note", f"Its network asked it to wait until {shut.until:%Y-%m-%d %H:%M} UTC.", "Wait.")
    elif shut is not None:
        why = f": {shut.reason}" if shut.reason else "."
        yield _finding(about, "warning", f"It is {shut.state}{why}", f"pasquin bot resume {name}, or resume --all")


def _queue(store: Store, name: str, bot: BotSettings) -> Iterator[Finding]:
    now, about = datetime.now(UTC), f"bot {name}"
    with store.read() as connection:
        rows = connection.execute(sa.select(publications).where(publications.c.bot == name)).mappings().all()
    state: dict[str, list[Any]] = {}
    for row in rows:
        state.setdefault(row["state"], []).append(row)
    waiting = state.get("approved", [])
    if len(waiting) < bot.minimum_stock:
        yield _finding(
            *(about, "warning", f"{len(waiting)} left in the queue, fewer than the {bot.minimum_stock} wanted."),
            "Generate and curate some more: pasquin generate, pasquin curate",
        )
    late = [row for row in waiting if row["due_at"] is not None and utc(row["due_at"]) < now - _LATE]
    if late and not bot.paused:
        yield _finding(
            *(
                about,
                "warning",
                f"Overdue posts: {len(late)}. No publisher is running for it, or it may not publish.",
            ),
            f"Run `pasquin publish {name}` as a service, or `pasquin publish {name} --once` every few minutes.",
        )
    for row in state.get("unknown", []):
        if row["check_at"] is None:
            yield _finding(
                *(about, "problem", f"Nobody knows whether the entry {row['id']} was published."),
                f"Look at the account, then: pasquin bot resolve {name} {row['id']} --uri URI (or --not-published)",
            )
    settling = sum(row["check_at"] is not None for row in state.get("unknown", []))
    if settling:
        yield _finding(
            *(about, "note", f"Posts in doubt that are looked for again: {settling}."), "The next publish settles them."
        )
    if failed := state.get("failed", []):
        yield _finding(
            *(about, "warning", f"Posts that failed: {len(failed)}, the last: {failed[-1]['reason']}"),
            f"pasquin bot show {name}, then bot retry or bot withdraw",
        )
    for row in [*state.get(IN_FLIGHT[0], []), *state.get(IN_FLIGHT[1], [])]:
        if (row["lease_until"] and utc(row["lease_until"]) < now) or surely_dead(row["owner"] or ""):
            yield _finding(
                *(about, "warning", f"The publisher of the entry {row['id']} died while it held it ({row['state']})."),
                f"The next `pasquin publish {name} --once` takes it over, and looks before it sends anything.",
            )


def _disclosure(workspace: Workspace, name: str) -> Iterator[Finding]:
    about = f"bot {name}"
    try:
        disclosure = check(workspace, name)
    except PasquinError as exc:
        yield _finding(about, "problem", f"Its profile could not be read: {exc}", f"Then: pasquin bot check {name}")
        return
    for one in disclosure.checks:
        if not one.holds:
            yield _finding(about, "problem", f"Disclosure, {one.name}: {one.found}", one.do)
    if disclosure.compliant:
        yield _finding(about, "fine", "It says of itself what it must.")


def _strangers(store: Store, known: set[str]) -> Iterator[Finding]:
    counted = sa.select(publications.c.bot, sa.func.count()).where(publications.c.state == "approved")
    with store.read() as connection:
        rows = connection.execute(counted.group_by(publications.c.bot).order_by(publications.c.bot)).all()
    for name, number in rows:
        if name not in known:
            yield _finding(
                *(
                    f"bot {name}",
                    "warning",
                    f"Posts waiting for the bot `{name}`, which pasquin.toml does not have: {number}.",
                ),
                f"Put [bots.{name}] back, or withdraw them: pasquin bot withdraw {name} ENTRY",
            )
