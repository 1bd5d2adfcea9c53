"""Doctor: what is wrong with an installation, a workspace, its database and its bots, and the remedy for each.

Nothing is changed, nothing is sent: not even a database is migrated. Only with `online` are the bots' networks asked
what the profiles say. No secret is shown, only whether it is there.

    findings       what one is
    reach          what this user may not read; disks that are read-only or full
    installation   Python, extras, torch's build, memory, temporary space, the built pages
    workspace      settings, permissions, disk, locks, leftovers of killed runs, posts, corpora, models
    database       reachable, migrated, whole; claims of publishers that died
    bots           settings, secrets, schedule, stock, overdue and doubtful entries, disclosure
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pasquin.doctor.findings import Finding
from pasquin.errors import WorkspaceError
from pasquin.workspace import Workspace

__all__ = ["Finding", "doctor"]


def doctor(workspace: Workspace | None = None, *, online: bool = False) -> dict[str, Any]:
    """Examine this installation and a workspace: the one given, or the nearest from the current directory upward.

    `{ok, problems, warnings, findings: [{area, about, level, found, do}]}`; `ok` says that there is no problem.
    """
    findings = [finding.told() for finding in _examine(workspace, online)]
    count = {level: sum(finding["level"] == level for finding in findings) for level in ("problem", "warning")}
    return {
        "ok": not count["problem"],
        "problems": count["problem"],
        "warnings": count["warning"],
        "findings": findings,
    }


def _examine(workspace: Workspace | None, online: bool) -> Iterator[Finding]:
    from pasquin.doctor import bots, database, installation
    from pasquin.doctor import workspace as workspaces
    from pasquin.doctor.reach import Barred

    yield from installation.examine()
    try:
        workspace = workspace or Workspace.nearest()  # none is given when it does not open, as one of a later format
    except WorkspaceError as exc:
        yield Finding("workspace", "workspace", "problem", str(exc))
        return
    if workspace is None:
        yield Finding(
            *("workspace", "workspace", "note", "There is no workspace here or above; only the installation was seen."),
            do="Change into a workspace, name one with --workspace DIR, or make one with `pasquin init NAME`.",
        )
        return
    barred = Barred(workspace)
    yield from workspaces.examine(workspace, barred)
    usable = True
    for finding in barred.past(database.examine(workspace, barred)):
        usable = usable and finding.level in ("fine", "warning")
        yield finding
    if workspace.toml not in barred:
        yield from barred.past(bots.examine(workspace, usable=usable, online=online))
