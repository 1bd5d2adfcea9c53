"""The command line: one command a stage. Parse, call, print; no decisions here.

Data goes to stdout, talk and progress bars to stderr. With `--json` stdout carries one JSON object and nothing else.
Exit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted (safely). Stages are imported by the command that runs
them, so that `pasquin --help` stays instant.
"""

from __future__ import annotations

from typing import Annotated

import typer

from pasquin import __version__
from pasquin.cli.command import app

# Importing these registers their commands, so their order (that in which data flows) is the order of the help.
# isort: off
from pasquin.cli import posts as posts
from pasquin.cli import models as models
from pasquin.cli import handing as handing
from pasquin.cli import curation as curation
from pasquin.cli import bots as bots
from pasquin.cli import endpoint as endpoint
from pasquin.cli import pages as pages
from pasquin.cli import figures as figures
from pasquin.cli import operation as operation

# isort: on


def main() -> None:
    """Entry point of the `pasquin` program."""
    app()


def _version(show: bool) -> None:
    if show:
        typer.echo(f"pasquin {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    return None
