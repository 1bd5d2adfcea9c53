"""The docs agree with the program."""

from __future__ import annotations

import importlib.util
import re
import shlex
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])


def _reference() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_cli_reference", ROOT / "docs" / "make_cli_reference.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_command_reference_is_current() -> None:
    assert (ROOT / "docs/cli.md").read_text() == _reference().reference(), "run python docs/make_cli_reference.py"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text()):
        assert (page.parent / target).exists(), target


def _commands(page: Path) -> list[list[str]]:
    text, found = page.read_text(), []
    blocks = re.findall(r"```[a-z]*\n(.*?)```", text, re.S)
    spans = re.findall(r"`(pasquin [a-z][^`\n]*)`", re.sub(r"```.*?```", "", text, flags=re.S))
    for block in [*blocks, *spans]:
        for line in block.splitlines():
            for part in re.split(r"&&|;", line.split("  #")[0]):
                if part.strip().startswith("pasquin ") and "Usage:" not in part and "…" not in part:
                    found.append(shlex.split(part)[1:])
    return found


@pytest.mark.parametrize("page", [page for page in PAGES if page.name != "cli.md"], ids=lambda page: page.name)
def test_every_option_in_the_docs_exists(page: Path) -> None:
    reference = _reference()
    for words in _commands(page):
        known = reference.help_of(words[0]) if not words[0].startswith("-") else reference.help_of()
        if "Commands:" in known and len(words) > 1 and not words[0].startswith("-"):
            known = reference.help_of(*words[:2])
        for word in words:
            if re.match(r"--?[a-z]", word):
                option = word.split("=")[0]
                assert re.search(rf"(?<![\w-]){re.escape(option)}(?![\w-])", known), f"{page.name}: {' '.join(words)}"


def test_every_benchmark_is_listed() -> None:
    text = (ROOT / "benchmarks/README.md").read_text()
    for script in (ROOT / "benchmarks").glob("*.py"):
        assert f"`{script.name}`" in text, script.name
