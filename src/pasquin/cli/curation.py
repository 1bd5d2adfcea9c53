"""Commands about which candidates are good: curate."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pasquin.cli import names
from pasquin.cli.command import JsonOption, WorkspaceOption, command, open_workspace, print_result
from pasquin.counts import counted
from pasquin.errors import UsageError, disk_errors

if TYPE_CHECKING:
    from pasquin.config import CurateSettings
    from pasquin.workspace import Workspace

_SHOWN_BROKEN = 50


@command("curate", "pasquin curate vc --port 8080")
def curate(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[MODEL...]",
            autocompletion=names.models_or_corpora,
            help="Models or corpora to curate (default: all).",
        ),
    ] = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on (default 127.0.0.1: only you).")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on (default 8000; 0: any free one).")] = None,
    browser: Annotated[
        bool, typer.Option("--browser/--no-browser", help="Open the page where there is a browser.")
    ] = True,
    invite: Annotated[
        str | None, typer.Option(metavar="NAME", help="Print a link that signs somebody else in, and end.")
    ] = None,
    tui: Annotated[bool, typer.Option("--tui", help="Decide here in the terminal.")] = False,
    curator: Annotated[
        str, typer.Option("--as", metavar="NAME", help="Who decides, for --tui and --import.")
    ] = "owner",
    sheet_in: Annotated[
        Path | None, typer.Option("--import", metavar="FILE", help="Take decisions from a spreadsheet (CSV), and end.")
    ] = None,
    sheet_out: Annotated[
        Path | None, typer.Option("--export", metavar="FILE", help="Write a spreadsheet (CSV) of all, and end.")
    ] = None,
    directory: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Decide which candidates are good: accept, edit, reject, on a page that shows the best first."""
    from pasquin.config import CurateSettings, load

    if sum(map(bool, (invite, tui, sheet_in, sheet_out))) > 1:
        raise UsageError("--invite, --tui, --import and --export each do one thing. Choose one of them.")
    workspace = open_workspace(directory)
    settings = load(CurateSettings, workspace.toml, host=host, port=port)
    if invite is not None:
        from pasquin.server import invite as invitation

        link = invitation(workspace, invite, settings=settings)
        print_result({"curator": invite, "link": link}, as_json, [_INVITED.format(name=invite, link=link)])
    elif sheet_in or sheet_out:
        _sheet(workspace, names or [], settings, curator, sheet_in, sheet_out, as_json)
    elif tui:
        _terminal(workspace, names or [], settings, curator, as_json)
    else:
        _page(workspace, names or [], settings, browser, as_json)


_INVITED = "For {name}, once, within a week:\n{link}"
_PAGE_IS_ON = "Curate on {link}\n(this link signs you in once; Ctrl-C ends the server)"


def _page(workspace: Workspace, names: list[str], settings: CurateSettings, browser: bool, as_json: bool) -> None:
    from pasquin.server import curate as run

    def ready(link: str) -> None:
        print_result({"url": link.partition("/curate#")[0], "link": link}, as_json, [_PAGE_IS_ON.format(link=link)])
        sys.stdout.flush()
        if browser and not as_json and sys.stdout.isatty() and _has_screen():
            import webbrowser

            webbrowser.open(link)

    run(workspace, names, settings=settings, ready=ready)


def _has_screen() -> bool:
    return sys.platform in ("darwin", "win32") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def _sheet(
    workspace: Workspace,
    names: list[str],
    settings: CurateSettings,
    curator: str,
    sheet_in: Path | None,
    sheet_out: Path | None,
    as_json: bool,
) -> None:
    from pasquin.curate import open_desk
    from pasquin.curate.curators import all_curators, curator_named
    from pasquin.curate.sheet import read_sheet, write_sheet
    from pasquin.workspace.files import write_atomically

    with open_desk(workspace, names, settings) as (desk, store):
        if sheet_out is not None:
            content = write_sheet(desk, {each.id: each.name for each in all_curators(store)})
            with disk_errors(f"write {sheet_out}"):
                write_atomically(sheet_out, content)
            count = len(desk.all_cards())
            lines = [f"Wrote {counted(count, 'candidate')} to {sheet_out}. Fill in `decision`, then --import it."]
            print_result({"candidates": count, "output": str(sheet_out)}, as_json, lines)
        elif sheet_in is not None:
            with disk_errors(f"read {sheet_in}"):
                content = sheet_in.read_bytes()
            imported = read_sheet(desk, curator_named(store, curator).id, content)
            lines = [
                f"Took {counted(imported.stored, 'decision')} of {counted(imported.rows, 'row')}; "
                f"{counted(imported.unchanged, 'was', 'were')} here already, "
                f"{counted(imported.undecided, 'says', 'say')} nothing, "
                f"{counted(len(imported.broken), 'is', 'are')} broken."
            ]
            lines += [f"  line {line}: {reason}" for line, reason in imported.broken[:_SHOWN_BROKEN]]
            if len(imported.broken) > _SHOWN_BROKEN:
                lines.append(f"  and {len(imported.broken) - _SHOWN_BROKEN:,} more (all of them with --json)")
            print_result(imported.result(), as_json, lines)


def _terminal(workspace: Workspace, names: list[str], settings: CurateSettings, curator: str, as_json: bool) -> None:
    from pasquin.curate import open_desk
    from pasquin.curate.curators import curator_named
    from pasquin.curate.terminal import decide

    with open_desk(workspace, names, settings) as (desk, store):
        result = decide(desk, curator_named(store, curator))
    print_result(
        result,
        as_json,
        [f"{counted(result['decided'], 'decision')}, {result['kept']:,} kept. Run it again to go on where you were."],
    )
