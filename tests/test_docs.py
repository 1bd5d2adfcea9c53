"""The docs agree with the program."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from typer import Exit
from typer._click.exceptions import ClickException, MissingParameter

import docs_commands
from docs_commands import PAGES

ROOT = Path(__file__).resolve().parents[1]


def _script(path: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(Path(path).stem, ROOT / path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _reference() -> ModuleType:
    return _script("docs/make_cli_reference.py")


def test_the_command_reference_is_current() -> None:
    assert (ROOT / "docs/cli.md").read_text() == _reference().reference(), "run python docs/make_cli_reference.py"


def test_the_settings_reference_is_current_and_says_something_of_each() -> None:
    text = _script("docs/make_settings_reference.py").reference()
    assert (ROOT / "docs/settings.md").read_text() == text, "run python docs/make_settings_reference.py"
    assert not re.findall(r"^.*\|  \|$", text, re.M), "a setting without a note under its field in pasquin/config"


def test_the_picture_of_the_layers_is_current() -> None:
    drawn = _script("docs/images/make_architecture_picture.py")
    told = (ROOT / "docs/images/architecture.svg").read_text()
    assert told == drawn.picture(drawn.layers()), "run python docs/images/make_architecture_picture.py"


def test_every_page_is_in_the_menu() -> None:
    menu = (ROOT / "mkdocs.yml").read_text()
    for page in (ROOT / "docs").glob("*.md"):
        assert f": {page.name}\n" in menu, f"add {page.name} to `nav` in mkdocs.yml"


@pytest.mark.real
def test_the_site_builds_without_a_broken_link_and_asks_no_other_host(tmp_path: Path) -> None:
    """Strict: broken links and anchors, pages missing from the menu and functions without docs are errors."""
    pytest.importorskip("mkdocs")
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--site-dir", tmp_path / "site"]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    for page in (tmp_path / "site").rglob("*.html"):
        loaded = re.findall(
            r"<(?:script|img|iframe|link)\b[^>]*?(?:src|href)=[\"']?((?:https?:)?//[^\"' >]+)", page.read_text()
        )
        assert not loaded, page.name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text()):
        assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", [page for page in PAGES if page.name != "cli.md"], ids=lambda page: page.name)
def test_every_command_in_the_docs_is_one(page: Path) -> None:
    """The command line itself takes it: its name, its options, the kind of every value, and nothing is missing."""
    for line in docs_commands.lines(page):
        if line.words[0] != "pasquin":
            continue
        words = tuple("1" if word == "N" else word for word in line.words[1:])
        if line.mention:
            assert docs_commands.resolves(words), f"{page.name}: {line.text}"
            continue
        try:
            docs_commands.parse(words)
        except Exit:
            pass
        except MissingParameter:
            # A sentence may speak of `pasquin generate --engine openai` without naming the model.
            assert not line.fenced, f"{page.name}: {line.text}"
        except ClickException as exc:
            pytest.fail(f"{page.name}: `{line.text}`: {exc.format_message()}")


def test_every_benchmark_is_listed() -> None:
    text = (ROOT / "benchmarks/README.md").read_text()
    for script in (ROOT / "benchmarks").glob("*.py"):
        assert f"`{script.name}`" in text, script.name
