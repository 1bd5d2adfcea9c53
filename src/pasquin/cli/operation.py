"""Commands for whoever runs it: doctor, db, backup, restore, sync."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Final

import typer

from pasquin.cli.command import JsonOption, WorkspaceOption, command, group, open_workspace, print_result, terminal
from pasquin.counts import counted
from pasquin.errors import UsageError, WorkspaceError

_SIGNS: Final = {"fine": "✓", "note": "·", "warning": "!", "problem": "✗"}


@command("doctor", "pasquin doctor --online")
def doctor(
    online: Annotated[bool, typer.Option("--online", help="Also ask the bots' networks what their profiles say.")] = (
        False
    ),
    directory: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Find what is wrong with the installation, the workspace, its database and bots, and say the remedy.

    Changes nothing and sends nothing. Exits 1 when there is a problem; warnings and notes are no problem.
    """
    from pasquin.doctor import doctor as run

    try:
        workspace = open_workspace(directory)
    except WorkspaceError:
        if directory is not None:
            raise
        workspace = None
    result = run(workspace, online=online)
    print_result(result, as_json, _lines(result))
    if not result["ok"]:
        raise typer.Exit(1)


def _lines(result: dict[str, Any]) -> list[str]:
    lines, area = [], ""
    for one in result["findings"]:
        if one["area"] != area:
            area = one["area"]
            lines.append(area.capitalize())
        lines.append(f"  {_SIGNS[one['level']]} {one['about']}: {one['found']}")
        if one["do"] and one["level"] != "fine":
            lines.append(f"      → {one['do']}")
    problems, warnings = result["problems"], result["warnings"]
    counts = f"{counted(problems, 'problem')}, {counted(warnings, 'warning')}."
    return [*lines, "All is well." if not problems + warnings else counts]


db = group("db", "The database: where everything that people do is kept.")


@command("move", "pasquin db move postgresql+psycopg://pasquin@db.example.org/pasquin", of=db)
def move(
    to: Annotated[
        str | None,
        typer.Argument(
            metavar="[URL]",
            help="Address of an empty database (a password may stand in PGPASSWORD); `sqlite` is the workspace's file. "
            "Without it, PASQUIN_MOVE_TO in the environment.",
            envvar="PASQUIN_MOVE_TO",
            show_envvar=False,
        ),
    ],
    directory: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Move everything to another database without loss, and retire the old one. Stop game and publishers before."""
    from pasquin.store.move import move_database

    workspace = open_workspace(directory)
    if to is None:
        raise UsageError("Name the database to move to, or set PASQUIN_MOVE_TO.")
    own = f"sqlite:///{workspace.root / 'pasquin.db'}"
    result = move_database(workspace.database_url, own if to == "sqlite" else to, progress=terminal())
    said = "unset PASQUIN_DATABASE_URL" if to == "sqlite" else f"set PASQUIN_DATABASE_URL to {result['to']}"
    print_result(
        result,
        as_json,
        [f"{counted(result['rows'], 'row is', 'rows are')} in {result['to']} now.", f"From here on, {said}."],
    )


def _amount(result: dict[str, Any]) -> str:
    return f"{counted(result['files'], 'file')} and {counted(sum(result['tables'].values()), 'row')}"


@command("backup", "pasquin backup mybot-2026-11-24.tar")
def backup(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where it goes; an older backup there is replaced.")],
    directory: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write posts, corpora, models, settings and the database into one verified file, while others go on working."""
    from pasquin.backup import backup as run

    result = run(open_workspace(directory), file, progress=terminal())
    lines = [
        f"{file}: {_amount(result)}, {result['bytes'] / 1e6:,.1f} MB, verified.",
        f"It holds people's posts: keep it where nobody else reads. Try it now: pasquin restore {file} DIR",
    ]
    print_result(result, as_json, lines)


@command("restore", "pasquin restore mybot-2026-11-24.tar mybot-again")
def restore(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What `pasquin backup` wrote.")],
    into: Annotated[Path, typer.Argument(metavar="DIR", help="A directory that isn't there yet, or is empty.")],
    as_json: JsonOption = False,
) -> None:
    """Make a workspace again from a backup; the database goes to PASQUIN_DATABASE_URL where that is set."""
    from pasquin.backup import restore as run

    result = run(file, into, progress=terminal())
    made = f"{result['workspace']}: {_amount(result)}, as of {result['made_at']}."
    print_result(result, as_json, [made, "Bots and curators sign in anew. What is not right? pasquin doctor"])


@command("sync", "pasquin sync s3://my-bucket/mybot")
def sync(
    url: Annotated[
        str | None, typer.Argument(metavar="[URL]", help="s3://BUCKET/PREFIX (default: storage under [workspace]).")
    ] = None,
    only: Annotated[str | None, typer.Option(metavar="WAY", help="send or fetch: go one way only.")] = None,
    prefer: Annotated[
        str | None, typer.Option(metavar="SIDE", help="here or there: who is right where both sides changed a file.")
    ] = None,
    directory: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make posts, corpora and models here and on an object store alike; what was interrupted goes on."""
    from pasquin.sync import sync as run

    way, side = _one_of(only, ("send", "fetch"), "--only"), _one_of(prefer, ("here", "there"), "--prefer")
    result = run(open_workspace(directory), url, only=way, prefer=side, progress=terminal())
    lines = [
        f"Sent {counted(result['sent'], 'file')} ({result['bytes_sent'] / 1e6:,.1f} MB), "
        f"fetched {result['fetched']:,} ({result['bytes_fetched'] / 1e6:,.1f} MB).",
        f"Removed {result['removed_there']:,} there and {result['removed_here']:,} here.",
    ]
    print_result(result, as_json, lines)


def _one_of(value: str | None, known: tuple[str, str], option: str) -> Any:
    if value is not None and value not in known:
        raise UsageError(f"{option} takes {known[0]} or {known[1]}, not `{value}`.")
    return value
