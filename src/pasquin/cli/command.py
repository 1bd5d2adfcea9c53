"""What all commands share: the program, its options, how results and errors are told."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pasquin import logs, traces
from pasquin.errors import Interrupted, PasquinError, UsageError

if TYPE_CHECKING:
    from pasquin.progress import Progress
    from pasquin.workspace import Workspace

app = typer.Typer(
    help="From somebody's short posts to an honest parody bot, and a measure of how human it sounds.",
    epilog="The whole path: pasquin init mybot; cd mybot; pasquin collect …; pasquin prepare NAME; "
    "pasquin train NAME; pasquin generate NAME; pasquin play NAME.  To see it all first: pasquin demo",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)

WorkspaceOption = Annotated[
    Path | None,
    typer.Option(
        "--workspace",
        metavar="DIR",
        help="The workspace (default: the nearest pasquin.toml upward), or s3://BUCKET/PREFIX.",
    ),
]
OnOption = Annotated[
    str | None,
    typer.Option("--on", metavar="PLACE", help="Work on a Ray cluster: ray, or ray://HEAD:10001."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout and nothing else.")]


def _reporting(command: Callable[..., None]) -> Callable[..., None]:
    """Turn our errors into a sentence on stderr and the right exit code."""

    @functools.wraps(command)
    def run(*args: Any, **kwargs: Any) -> None:
        try:
            traces.start()
            with traces.span(f"pasquin {command.__name__.rstrip('_')}"):
                command(*args, **kwargs)
                _send_back()
        except PasquinError as exc:
            _tell(str(exc) if isinstance(exc, Interrupted) else f"Error: {exc}", type(exc).__name__)
            raise typer.Exit(exc.exit_code) from exc
        except KeyboardInterrupt as exc:
            _tell("Stopped. Run the same command again to go on; what was finished is kept.", "Interrupted")
            raise typer.Exit(Interrupted.exit_code) from exc
        except MemoryError as exc:
            _tell("Error: the machine ran out of memory. Close other programs or give it less to do.", "MemoryError")
            raise typer.Exit(1) from exc

    return run


def _tell(words: str, kind: str) -> None:
    """An error, for people or for a log."""
    if logs.wanted():
        logs.event("error", kind=kind, text=words)
    else:
        typer.echo(words, err=True)


def group(name: str, help: str) -> typer.Typer:
    """A command with commands of its own: `pasquin NAME COMMAND`."""
    made = typer.Typer(help=help, no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False)
    app.add_typer(made, name=name)
    return made


def command(name: str, example: str, of: typer.Typer = app) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Register a command (of the program, or of a group) whose `--help` ends with an example."""

    def register(function: Callable[..., None]) -> Callable[..., None]:
        run = _reporting(function)
        of.command(name, epilog=f"Example:  {example}", no_args_is_help=False)(run)
        return run

    return register


def terminal() -> Progress:
    """Progress on stderr: bars for people, JSON lines where `PASQUIN_LOG=json` asks for them."""
    from pasquin.progress import Terminal

    return logs.JsonLines() if logs.wanted() else Terminal()


_checked_out: list[tuple[Workspace, str]] = []
"""Working copies of workspaces in buckets, which are sent back when the command is done."""


def open_workspace(directory: Path | None) -> Workspace:
    """The workspace in `directory` (or bucket), or the nearest one upward. Raises WorkspaceError when there is none."""
    from pasquin.workspace import Workspace

    bucket = re.fullmatch(r"s3:/+(.*)", str(directory or ""))  # a Path has one slash where two were
    if not bucket:
        return Workspace.open(directory)
    from pasquin.sync.remote import check_out

    url = f"s3://{bucket[1]}"
    workspace = check_out(url, terminal())
    _checked_out.append((workspace, url))
    return workspace


def _send_back() -> None:
    while _checked_out:
        from pasquin.sync import sync

        sync(*_checked_out.pop(), progress=terminal())


def print_result(result: Mapping[str, object], as_json: bool, lines: list[str]) -> None:
    """Print a stage's result: the JSON object, or lines for people."""
    typer.echo(json.dumps(result, ensure_ascii=False, default=str) if as_json else "\n".join(lines))


def reasons(counts: object) -> str:
    """`{reason: n}` as "n reason, n reason", most first."""
    if not isinstance(counts, Mapping) or not counts:
        return "none"
    ordered = sorted(counts.items(), key=lambda pair: -pair[1])
    return ", ".join(f"{number:,} {str(reason).replace('_', ' ')}" for reason, number in ordered if number)


def pairs(values: list[str] | None, option: str) -> dict[str, str]:
    """`FIELD=COLUMN` options as a mapping; UsageError when one has no equals sign."""
    pairs = {}
    for value in values or []:
        field, equals, column = value.partition("=")
        if not equals or not field or not column:
            raise UsageError(f"{option} wants FIELD=COLUMN, for example {option} text=body; it got `{value}`.")
        pairs[field] = column
    return pairs
