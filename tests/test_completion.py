"""The shell completes commands, options, and the names of what the workspace has."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pasquin.cli import app

PASQUIN = Path(sys.executable).parent / "pasquin"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("corpora/vc", "models/vc", "models/vc-lora", "models/village"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "manifest.json").write_text("{}")
    (tmp_path / "models/vanished").mkdir()
    (tmp_path / "pasquin.toml").write_text("[bots.mybot]\n[bots.other]\n")
    (tmp_path / "posts").mkdir()
    monkeypatch.chdir(tmp_path / "posts")
    return tmp_path


def _completed(typed: str) -> list[str]:
    """What bash is offered after `typed`."""
    words = typed.split(" ")
    environment = {"_PASQUIN_COMPLETE": "complete_bash", "COMP_WORDS": typed, "COMP_CWORD": str(len(words) - 1)}
    return CliRunner().invoke(app, [], prog_name="pasquin", env=environment).output.split()


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("pasquin gen", ["generate"]),
        ("pasquin generate v", ["vc", "vc-lora", "village"]),
        ("pasquin generate vc-", ["vc-lora"]),
        ("pasquin train v", ["vc"]),
        ("pasquin curate vc", ["vc", "vc-lora"]),
        ("pasquin publish m", ["mybot"]),
        ("pasquin bot pause ", ["mybot", "other"]),
        ("pasquin train vc --min", ["--minutes"]),
    ],
)
def test_names_are_completed(typed: str, offered: list[str]) -> None:
    assert _completed(typed) == offered


@pytest.mark.parametrize("toml", [None, "[bots\n", "bots = 3\n", "\xff"])
def test_without_a_workspace_that_can_be_read_nothing_is_offered(
    toml: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if toml is not None:
        (tmp_path / "pasquin.toml").write_text(toml, encoding="latin-1")
    monkeypatch.chdir(tmp_path)
    assert _completed("pasquin publish m") == []
    assert _completed("pasquin generate v") == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_for_a_shell_is_shown(shell: str) -> None:
    shown = subprocess.run([PASQUIN, "--show-completion", shell], capture_output=True, text=True, check=True).stdout
    assert "_PASQUIN_COMPLETE" in shown
