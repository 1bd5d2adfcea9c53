"""Writes docs/cli.md from the program's own help. Run it after changing a command; a test tells when you forgot.

python docs/make_cli_reference.py
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
PASQUIN = Path(sys.executable).parent / "pasquin"
HEAD = """# Commands

Made from `pasquin COMMAND --help` by `docs/make_cli_reference.py`. Every command prints data on stdout and talk on
stderr; with `--json`, stdout carries one JSON object. Exit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted.
"""


def help_of(*command: str) -> str:
    """What `pasquin COMMAND --help` prints at 100 columns."""
    environment = {**os.environ, "COLUMNS": "100", "TERMINAL_WIDTH": "100", "NO_COLOR": "1"}
    run = subprocess.run([PASQUIN, *command, "--help"], capture_output=True, text=True, check=True, env=environment)
    return "\n".join(line.rstrip() for line in run.stdout.strip().splitlines())


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
