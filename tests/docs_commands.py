"""The commands that stand in the docs: found in fenced blocks and in `code`, and parsed by the command line itself."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from typer.main import get_command

from pasquin.cli import app

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
BLOCKS = re.compile(r"^ *```[^`\n]*\n(.*?)^ *```|`(pasquin [a-z][^`\n]*)`", re.S | re.M)
STARTS = re.compile(
    r"^\s*(?:(?:.*[\s/])?pasquin-at \w+|kubectl exec .* -- pasquin|docker (?:run|exec) .* pasquin"
    r"|(?:ExecStart=\S*|/\S*)/pasquin) (?=[a-z])"
)
"""How Pasquin is started but by its name: with `pasquin-at WORKSPACE`, in a pod, in a container, by its path."""


@dataclass(frozen=True)
class Line:
    """One command of a page. `fenced`: it stands in a block, as something to type."""

    words: tuple[str, ...]
    fenced: bool

    @property
    def text(self) -> str:
        """As typed."""
        return " ".join(self.words)

    @property
    def mention(self) -> bool:
        """`pasquin train` in a sentence names a command, it is not one to type."""
        return not self.fenced and all(re.fullmatch(r"[a-z]+", word) for word in self.words)


def lines(page: Path) -> list[Line]:
    """What a page tells people to type, in order: lines of `pasquin`, `cd`, `cp` in blocks, and `pasquin …` in code."""
    found = []
    for block, span in BLOCKS.findall(page.read_text()):
        for line in (block or span).replace("\\\n", " ").splitlines():
            for part in re.split(r"&&|;| [12]?>| \|\|? ", line.split("  #")[0].split(" #")[0]):
                typed = STARTS.sub("pasquin ", part, count=1)
                if re.match(r"\s*(pasquin|cd|cp) ", typed) and "Usage:" not in part and "…" not in part:
                    found.append(Line(tuple(shlex.split(typed)), fenced=bool(block)))
    return found


@cache
def _program() -> Any:
    return get_command(app)


def parse(words: tuple[str, ...]) -> dict[str, Any]:
    """What the command line makes of a command (without `pasquin`); raises what it raises for a wrong one."""
    if words[0] in ("--install-completion", "--show-completion"):
        return {}  # Parsing it would already do it, to the shell of whoever runs the tests.
    context = _program().make_context("pasquin", list(words))
    command, rest = context.command, [*context._protected_args, *context.args]
    while hasattr(command, "commands"):
        name, command, rest = command.resolve_command(context, rest)
        context = command.make_context(name, rest, parent=context)
        rest = [*context._protected_args, *context.args]
    return dict(context.params)


def resolves(words: tuple[str, ...]) -> bool:
    """Whether words name a command (or a group of commands)."""
    command = _program()
    for word in words:
        if not hasattr(command, "commands"):
            return True
        if word not in command.commands:
            return False
        command = command.commands[word]
    return True
