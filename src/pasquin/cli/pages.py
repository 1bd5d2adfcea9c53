"""Commands that serve pages: play, demo."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pasquin.cli import names
from pasquin.cli.command import JsonOption, WorkspaceOption, command, open_workspace, print_result, terminal
from pasquin.counts import counted

if TYPE_CHECKING:
    from pasquin.workspace import Workspace


@command("play", "pasquin play vc --port 8080")
def play(
    corpora: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[CORPUS...]", autocompletion=names.corpora, help="Corpora to play with (default: all)."
        ),
    ] = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on (default 127.0.0.1: only you).")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on (default 8000; 0: any free one).")] = None,
    export: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Write the game as a folder for any web space instead; it collects nothing."),
    ] = None,
    fill: Annotated[
        int | None,
        typer.Option(
            min=0, help="Have models write on in the background: so many AI cards ahead of the players (0: none)."
        ),
    ] = None,
    directory: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Serve the game "human or AI?" until Ctrl-C."""
    if export is not None:
        from pasquin.server.export import export_game

        result = export_game(open_workspace(directory), corpora or [], export)
        there = f"{counted(result['cards'], 'card is', 'cards are')} in {result['folder']}."
        print_result(result, as_json, [f"{there} Put the folder on any web space."])
        return

    def ready(url: str) -> None:
        print_result({"url": url}, as_json, [_GAME_IS_ON.format(url=url)])
        sys.stdout.flush()

    _serve(open_workspace(directory), corpora or [], ready, host=host, port=port, fill=fill)


_GAME_IS_ON = "The game is on {url}  (Ctrl-C ends it)"


def _serve(
    workspace: Workspace,
    corpora: list[str],
    ready: Callable[[str], None],
    *,
    host: str | None,
    port: int | None,
    fill: int | None = None,
) -> None:
    from pasquin.config import PlaySettings, load
    from pasquin.server import play as run

    run(workspace, corpora, settings=load(PlaySettings, workspace.toml, host=host, port=port, fill=fill), ready=ready)


@command("demo", "pasquin demo --minutes 2")
def demo(
    directory: Annotated[Path, typer.Option("--workspace", metavar="DIR", help="Where the demo lives.")] = Path(
        "pasquin-demo"
    ),
    minutes: Annotated[float, typer.Option(help="Training time.", min=0.05)] = 6.0,
    serve: Annotated[bool, typer.Option("--serve/--no-serve", help="Serve the game at the end.")] = True,
    port: Annotated[int | None, typer.Option(help="Port of the game (default 8000; 0: any free one).")] = None,
    as_json: JsonOption = False,
) -> None:
    """The whole path on data and a model from the package registry: collect to game, in about ten minutes."""
    from pasquin.demo import CORPUS, NEXT
    from pasquin.demo import demo as run

    workspace, result = run(directory, minutes=minutes, progress=terminal())
    if as_json:
        print_result(result, True, [])
    if serve:
        typer.echo(NEXT.format(directory=directory), err=True)
        _serve(workspace, [CORPUS], lambda url: typer.echo(_GAME_IS_ON.format(url=url), err=True), host=None, port=port)
