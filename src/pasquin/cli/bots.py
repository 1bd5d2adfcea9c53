"""Commands of bots: publish, receipt, and `bot` with its own."""

from __future__ import annotations

import getpass
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pasquin.cli import names
from pasquin.cli.command import JsonOption, WorkspaceOption, command, group, open_workspace, print_result, terminal
from pasquin.counts import counted
from pasquin.errors import UsageError

if TYPE_CHECKING:
    from pasquin.publish.disclosure import Disclosure
    from pasquin.publish.switches import Switch

bot = group("bot", "Bots: what they publish, when, and what they say of themselves.")

BotArgument = Annotated[
    str, typer.Argument(metavar="BOT", autocompletion=names.bots, help="Name of the bot, [bots.NAME] in pasquin.toml.")
]
EntryArgument = Annotated[str, typer.Argument(metavar="ENTRY", help="Id of the entry, as `bot show` tells it.")]
BotOrAll = Annotated[str | None, typer.Argument(metavar="[BOT]", autocompletion=names.bots, help="Name of the bot.")]
AllOption = Annotated[bool, typer.Option("--all", help="All bots of the workspace.")]
ReasonOption = Annotated[str | None, typer.Option(help="Why, for whoever looks next.")]


@command("publish", "pasquin publish mybot --once --json")
def publish(
    name: BotArgument,
    once: Annotated[bool, typer.Option("--once", help="Publish what is due, and end (for cron and the like).")] = False,
    limit: Annotated[int | None, typer.Option(min=1, help="At most this many posts in one go.")] = None,
    dry: Annotated[bool, typer.Option("--dry-run", help="Show the exact request of the next post; send nothing.")] = (
        False
    ),
    directory: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Publish what is due of a bot's queue, each text once; without --once, go on until Ctrl-C."""
    from pasquin.publish import dry_run, watch
    from pasquin.publish import publish as run

    workspace = open_workspace(directory)
    if dry:
        told = dry_run(workspace, name)
        print_result(told, as_json, _dry_lines(told))
        return
    if once:
        result = run(workspace, name, limit=limit)
        print_result(result, as_json, _lines(result))
        if not result["ok"]:
            raise typer.Exit(1)
        return

    def happened(result: dict[str, Any]) -> None:
        print_result(result, as_json, _lines(result))
        sys.stdout.flush()

    watch(workspace, name, progress=terminal(), happened=happened)


def _lines(result: dict[str, Any]) -> list[str]:
    lines = [f"Published: {one['text']}\n  {one.get('url') or one['uri']}" for one in result["published"]]
    lines += [f"Failed: {one['text']}\n  {one['reason']}" for one in result["failed"]]
    for one in result["unknown"]:
        lines.append(f"Unknown whether it was published: {one['text']}\n  {one['reason']}")
        lines.append(
            f"  If nobody finds out: pasquin bot resolve {result['bot']} {one['id']} --uri URI (or --not-published)"
        )
    lines += [f"Waits: {one['text']}\n  {one['reason']}" for one in result.get("waiting", []) if one.get("reason")]
    if not lines:
        lines.append(_STATES.get(result["state"], result["state"]) + (f" {result['why']}" if result.get("why") else ""))
    lines += [
        f"  {'✓' if one['holds'] else '✗'} {one['name']}: {one['found']}" + ("" if one["holds"] else f" {one['do']}")
        for one in result.get("checks", [])
    ]
    lines += [f"Note: {warning}" for warning in result.get("warnings", [])]
    return lines


_STATES = {
    "nothing_due": "Nothing is due.",
    "resting": "The bot has just published; it rests a little.",
    "busy": "Another publisher is at work for this bot.",
    "held": "The network asked this bot to wait.",
    "paused": "The bot is paused.",
    "stopped": "The bot is stopped.",
    "clock": "Nothing is published while the clock is wrong.",
    "not_compliant": "Nothing is published: the bot does not say of itself what it must.",
    "account_refused": "The network refuses the bot's account; the bot is paused.",
    "not_sent": "The network could not be reached; it is tried again with the next run.",
    "unsettled": "It is not known yet what became of the last post; the next waits for it.",
}


def _dry_lines(told: dict[str, Any]) -> list[str]:
    if told["request"] is None:
        return [told["note"]]
    price = [] if told["price"] is None else [f"It will cost about ${told['price']:.3f}."]
    warning = [] if told["compliant"] else [f"It would not be published: see `pasquin bot check {told['bot']}`."]
    return [json.dumps(told["request"], ensure_ascii=False, indent=2), *price, *warning]


@command("receipt", "pasquin receipt at://did:plc:abc/app.bsky.feed.post/3kabc")
def receipt(
    uri: Annotated[str, typer.Argument(help="URI of the post, the address of its page, or the id of its entry.")],
    directory: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Where a published text came from: model, seed, novelty, curator, and what the bot said of itself then."""
    from pasquin.publish import receipt as read
    from pasquin.store import Store

    store = Store.of(open_workspace(directory))
    try:
        told = read(store, uri)
    finally:
        store.close()
    print_result(told, as_json, [json.dumps(told, ensure_ascii=False, indent=2, default=str)])


@command("list", "pasquin bot list", of=bot)
def list_bots(directory: WorkspaceOption = None, as_json: JsonOption = False) -> None:
    """The bots of the workspace: switch, stock, and when each publishes next."""
    from pasquin.publish import show as read

    told = read(open_workspace(directory))
    lines = [_summary(one) for one in told] or ["No bots yet. Add a table [bots.NAME] to pasquin.toml."]
    print_result({"bots": told}, as_json, lines)


@command("show", "pasquin bot show mybot", of=bot)
def show(name: BotArgument, directory: WorkspaceOption = None, as_json: JsonOption = False) -> None:
    """A bot's queue and what it has published, with the id of each entry."""
    from pasquin.publish import show as read

    told = read(open_workspace(directory), name)[0]
    lines = [_summary(told)]
    for entry in told["queue"]:
        when = entry["published_at"] or entry["due_at"] or ""
        lines.append(f"{entry['id']}  {entry['state']:<10} {when[:16]:<16}  {entry['text']}")
        if entry["reason"]:
            lines.append(f"    {entry['reason']}")
    print_result(told, as_json, lines)


def _summary(told: dict[str, Any]) -> str:
    waiting = told["entries"].get("approved", 0)
    counts = ", ".join(f"{number} {state}" for state, number in sorted(told["entries"].items()) if state != "approved")
    due = f", next {told['next_due'][:16]} UTC" if told["next_due"] else ""
    why = f" ({told['why']})" if told["why"] else ""
    low = ", low" if told["low"] else ""
    return (
        f"{told['bot']}: {told['state']}{why}, {told['network']} {told['account']}, {waiting} in the queue{low}{due}"
        + (f"; {counts}" if counts else "")
        + "".join(f"\n    ! {one['message']} {one['do']}" for one in told["troubles"])
    )


@command("queue", "pasquin bot queue mybot 3f2a... 9bc1...", of=bot)
def queue(
    name: BotArgument,
    candidates: Annotated[list[str] | None, typer.Argument(metavar="[CANDIDATE...]", help="Ids of candidates.")] = None,
    file: Annotated[Path | None, typer.Option("--from", help="A file with one candidate id a line.")] = None,
    curator: Annotated[str | None, typer.Option(help="Who accepts them (default: your user name).")] = None,
    directory: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Accept candidates by hand, and put them at the end of a bot's queue."""
    from pasquin.publish import enqueue
    from pasquin.publish.queue import chosen_candidates
    from pasquin.store import Store

    workspace = open_workspace(directory)
    ids = [*(candidates or []), *_ids(file)]
    if not ids:
        raise UsageError("Name the candidates to queue, or a file with their ids (--from FILE).")
    store = Store.of(workspace)
    try:
        accepted = chosen_candidates(store, ids, curator or getpass.getuser())
    finally:
        store.close()
    result = enqueue(workspace, name, accepted)
    skipped = f" Skipped: {sum(result['skipped'].values())} already queued or published." if result["skipped"] else ""
    print_result(
        result, as_json, [f"Queued {result['queued']}; {counted(result['stock'], 'waits', 'wait')} now.{skipped}"]
    )


def _ids(file: Path | None) -> list[str]:
    if file is None:
        return []
    try:
        return file.read_text(encoding="utf-8").split()
    except (OSError, UnicodeDecodeError) as exc:
        raise UsageError(f"{file} cannot be read as a list of ids. Name a text file with one id a line.") from exc


@command("move", "pasquin bot move mybot ENTRY --before OTHER", of=bot)
def move(
    name: BotArgument,
    entry: EntryArgument,
    before: Annotated[str | None, typer.Option(help="The entry it goes before (default: to the end).")] = None,
    directory: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Move an entry within the queue; the slots follow."""
    from pasquin.publish.desk import move as run

    print_result(run(open_workspace(directory), name, entry, before), as_json, ["Moved."])


@command("withdraw", "pasquin bot withdraw mybot ENTRY", of=bot)
def withdraw(
    name: BotArgument,
    entry: Annotated[
        str | None, typer.Argument(metavar="[ENTRY]", help="Id of the entry, as `bot show` tells it.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="All that waits, so that other bots may have it.")] = False,
    reason: ReasonOption = None,
    directory: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take an entry, or all that waits, out of the queue. Works for a bot that is no longer in pasquin.toml, too."""
    from pasquin.publish.desk import release
    from pasquin.publish.desk import withdraw as run

    if (entry is None) != every:
        raise UsageError("Name an entry, or say --all.")
    if entry is None:
        told = release(open_workspace(directory), name, reason)
        print_result(told, as_json, [f"Taken out of the queue: {told['released']}."])
        return
    print_result(run(open_workspace(directory), name, entry, reason), as_json, ["Taken out of the queue."])


@command("edit", 'pasquin bot edit mybot ENTRY "Said shorter."', of=bot)
def edit(
    name: BotArgument,
    entry: EntryArgument,
    text: Annotated[str, typer.Argument(help="The words it shall have.")],
    curator: Annotated[str | None, typer.Option(help="Who edits it (default: your user name).")] = None,
    directory: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Give an entry that waits, or has failed, other words; it is marked as edited, and waits again."""
    from pasquin.publish.desk import edit as run

    told = run(open_workspace(directory), name, entry, text, curator or getpass.getuser())
    print_result(told, as_json, ["Edited; it waits in the queue."])


@command("token", "pasquin bot token mybot", of=bot)
def token(
    name: BotArgument,
    revoke: Annotated[bool, typer.Option("--revoke", help="Make the token invalid, and make none.")] = False,
    directory: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make the token that starts a run of the bot over HTTP, and print it, once; the one before is valid no more."""
    from pasquin.publish import bot_named
    from pasquin.publish.triggers import make_token, revoke_token
    from pasquin.store import Store

    workspace = open_workspace(directory)
    bot_named(workspace, name)
    store = Store.of(workspace)
    try:
        made = None if revoke else make_token(store, name)
        if revoke:
            revoke_token(store, name)
    finally:
        store.close()
    print_result({"bot": name, "token": made}, as_json, [made or f"The token of `{name}` is revoked."])
    if made:
        typer.echo("Keep it now: it cannot be shown again.", err=True)


@command("retry", "pasquin bot retry mybot ENTRY", of=bot)
def retry(
    name: BotArgument, entry: EntryArgument, directory: WorkspaceOption = None, as_json: JsonOption = False
) -> None:
    """Put an entry that has failed back into the queue."""
    from pasquin.publish.desk import retry as run

    print_result(run(open_workspace(directory), name, entry), as_json, ["Back in the queue."])


@command("resolve", "pasquin bot resolve mybot ENTRY --not-published", of=bot)
def resolve(
    name: BotArgument,
    entry: EntryArgument,
    uri: Annotated[str | None, typer.Option(help="It was published: this is its URI or address.")] = None,
    not_published: Annotated[
        bool, typer.Option("--not-published", help="You looked, and it was not: back into the queue.")
    ] = False,
    directory: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say what became of an entry of which nobody knows whether it was published."""
    from pasquin.publish.desk import resolve as run

    if (uri is None) == (not not_published):
        raise UsageError("Look at the account, then say --uri URI, or --not-published.")
    told = run(open_workspace(directory), name, entry, uri)
    print_result(told, as_json, ["Noted as published." if uri else "Back in the queue."])


@command("pause", "pasquin bot pause mybot --reason holidays", of=bot)
def pause(
    name: BotOrAll = None,
    every: AllOption = False,
    reason: ReasonOption = None,
    directory: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let a bot, or all, publish nothing for a while."""
    _switch(name, every, "paused", reason, directory, as_json)


@command("stop", "pasquin bot stop --all", of=bot)
def stop(
    name: BotOrAll = None,
    every: AllOption = False,
    reason: ReasonOption = None,
    directory: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """The kill switch: from now on a bot, or all, publish nothing, wherever they run."""
    _switch(name, every, "stopped", reason, directory, as_json)


@command("resume", "pasquin bot resume mybot", of=bot)
def resume(
    name: BotOrAll = None, every: AllOption = False, directory: WorkspaceOption = None, as_json: JsonOption = False
) -> None:
    """Let a bot publish again; --all turns off the switch of all, and leaves each bot's own as it is."""
    _switch(name, every, "active", None, directory, as_json)


def _switch(
    name: str | None, every: bool, state: Switch, reason: str | None, directory: Path | None, as_json: bool
) -> None:
    from pasquin.publish import switch_bot

    if (name is None) != every:
        raise UsageError("Name a bot, or say --all.")
    told = switch_bot(open_workspace(directory), name or "*", state, reason)
    lines = [f"Bot `{name}`: {state}." if name else f"All bots: {state}."]
    if state == "active" and told["now"] != "active":
        why = told["why"] or "the switch of all bots says so"
        lines.append(f"But it publishes nothing yet, it is {told['now']}: {why.rstrip('.')}.")
        lines.append("See `pasquin bot list`; `pasquin bot resume --all` turns the switch of all on again.")
    print_result(told, as_json, lines)


@command("check", "pasquin bot check mybot", of=bot)
def check(name: BotArgument, directory: WorkspaceOption = None, as_json: JsonOption = False) -> None:
    """What a bot must say of itself before it may publish, point by point, and what to do where it does not."""
    from pasquin.publish import check as run

    _print_disclosure(name, run(open_workspace(directory), name), as_json)


def _print_disclosure(name: str, disclosure: Disclosure, as_json: bool) -> None:
    lines = []
    for one in disclosure.checks:
        lines.append(f"{'✓' if one.holds else '✗'} {one.name}: {one.found}")
        if not one.holds:
            lines.append(f"    {one.do}")
    lines.append("It may publish." if disclosure.compliant else "Until this is mended, nothing is published.")
    print_result({"bot": name, "compliant": disclosure.compliant, "checks": disclosure.told()}, as_json, lines)
    if not disclosure.compliant:
        raise typer.Exit(1)


@command("setup", "pasquin bot setup mybot", of=bot)
def setup(
    name: BotArgument,
    picture: Annotated[bool, typer.Option("--picture/--no-picture", help="Make and upload a picture, too.")] = True,
    directory: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write a bot's bio, flag and picture where its network lets us, and say what is left to do by hand."""
    from pasquin.publish import setup as run

    told = run(open_workspace(directory), name, picture=picture)
    lines = [f"Bio: {told['bio']}", *(f"Done: {one}" for one in told["done"])]
    lines += [f"By hand: {one}" for one in told["by_hand"]] + [f"Next: pasquin bot check {name}"]
    print_result(told, as_json, lines)
