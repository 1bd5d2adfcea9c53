"""The command that measures the game."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pasquin.cli import names
from pasquin.cli.command import JsonOption, WorkspaceOption, command, open_workspace, print_result, terminal


@command("measure", "pasquin measure vc --html report.html --detectors")
def measure(
    corpora: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[CORPUS...]", autocompletion=names.corpora, help="Corpora that were played with (default: all)."
        ),
    ] = None,
    html: Annotated[Path | None, typer.Option(help="Write the report with its plots to this file.")] = None,
    export: Annotated[
        Path | None, typer.Option(help="Write the anonymised guesses to this .csv or .parquet, with a codebook.")
    ] = None,
    detectors: Annotated[bool, typer.Option("--detectors", help="Let programs guess, too; needs no players.")] = False,
    directory: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Fool rate, human pass rate, d' and the rest of the game's figures, with 95% intervals clustered by player."""
    from pasquin.measure import measure as run
    from pasquin.measure import printed

    workspace = open_workspace(directory)
    result = run(workspace, corpora or [], html=html, export=export, detectors=detectors, progress=terminal())
    lines = printed(result)
    lines += [f"Report: {html}"] if html else []
    lines += [f"Guesses: {export}, explained in {export.with_suffix('.codebook.md')}"] if export else []
    print_result(result, as_json, lines)
