"""Writes docs/cli.md from the program's own help. Run it after changing a command; a test tells when you forgot.

python docs/make_cli_reference.py
"""

from __future__ import annotations

import re
from pathlib import Path

from typer.testing import CliRunner

from pasquin.cli import app

HERE = Path(__file__).parent
HEAD = """# Commands

Made from `pasquin COMMAND --help` by `docs/make_cli_reference.py`. Every command prints data on stdout and talk on
stderr; with `--json`, stdout carries one JSON object. Exit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted.
"""


def help_of(*command: str) -> str:
    """What `pasquin COMMAND --help` prints at 100 columns."""
    done = CliRunner().invoke(app, [*command, "--help"], prog_name="pasquin", terminal_width=98)
    if done.exit_code != 0:
        raise ValueError(f"`pasquin {' '.join(command)} --help` failed: {done.output}")
    return "\n".join(line.rstrip() for line in done.output.strip().splitlines())


def reference() -> str:
    """The whole page."""
    parts = [HEAD, f"## pasquin\n\n```\n{help_of()}\n```\n"]
    for command in re.findall(r"^  (\w+)  ", help_of().split("Commands:")[1], re.M):
        told = help_of(command)
        parts.append(f"## {command}\n\n```\n{told}\n```\n")
        for inner in re.findall(r"^  (\w+)  ", told.partition("Commands:")[2], re.M):
            parts.append(f"### {command} {inner}\n\n```\n{help_of(command, inner)}\n```\n")
    return "\n".join(parts)


if __name__ == "__main__":
    (HERE / "cli.md").write_text(reference(), encoding="utf-8")
