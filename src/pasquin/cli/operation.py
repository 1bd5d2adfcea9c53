"""Commands for whoever runs it: doctor."""

from __future__ import annotations

from typing import Annotated, Any, Final

import typer

from pasquin.cli.command import JsonOption, WorkspaceOption, command, open_workspace, print_result
from pasquin.errors import WorkspaceError

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
    counts = f"{problems} problem{'s' * (problems != 1)}, {warnings} warning{'s' * (warnings != 1)}."
    return [*lines, "All is well." if not problems + warnings else counts]
