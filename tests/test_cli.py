"""The command line: help with examples, one JSON object, sentences instead of tracebacks, exit codes."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PASQUIN = Path(sys.executable).parent / "pasquin"
COMMANDS = (
    *("init", "collect", "rights", "forget", "lineage", "prepare", "export", "push", "train", "generate"),
    *(
        "curate",
        "publish",
        "receipt",
        "serve",
        "play",
        "measure",
        "demo",
        "doctor",
        "backup",
        "restore",
        "sync",
        "tune",
    ),
)
GROUPS = ("bot", "key", "db")


def pasquin(*words: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the program as a person would."""
    return subprocess.run(
        [PASQUIN, *words], cwd=cwd, capture_output=True, text=True, env={**os.environ, "COLUMNS": "100", **environment}
    )


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(command: str, tmp_path: Path) -> None:
    run = pasquin(command, "--help", cwd=tmp_path)
    assert run.returncode == 0
    assert f"Example:  pasquin {command}" in run.stdout
    assert "--json" in run.stdout


def test_help_names_every_command(tmp_path: Path) -> None:
    run = pasquin("--help", cwd=tmp_path)
    assert set(re.findall(r"^  (\w+)  ", run.stdout.split("Commands:")[1], re.M)) == {*COMMANDS, *GROUPS}


def test_version(tmp_path: Path) -> None:
    assert re.fullmatch(r"pasquin \d+\.\d+\.\d+\n", pasquin("--version", cwd=tmp_path).stdout)


def test_init_prints_one_json_object_and_nothing_else(tmp_path: Path) -> None:
    run = pasquin("init", "bot", "--json", cwd=tmp_path)
    assert json.loads(run.stdout) == {"workspace": str(tmp_path / "bot")}
    assert run.returncode == 0
    assert (tmp_path / "bot" / "pasquin.db").is_file()


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("collect", "twint:x.jsonl"), 1, "pasquin init"),
        (("prepare", "x"), 1, "pasquin init"),
        (("train", "x"), 1, "pasquin init"),
        (("frobnicate",), 2, "frobnicate"),
        (("train", "x", "--minutes", "soon"), 2, "--minutes"),
        (("train",), 2, "corpus"),
    ],
)
def test_mistakes_outside_a_workspace(words: tuple[str, ...], code: int, says: str, tmp_path: Path) -> None:
    run = pasquin(*words, cwd=tmp_path)
    assert (run.returncode, run.stdout) == (code, "")
    assert says in run.stderr
    assert "Traceback" not in run.stderr


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("collect", "twint:missing.jsonl"), 1, "missing.jsonl"),
        (("collect", "gopher:x"), 2, "gopher"),
        (("collect", "@someone"), 2, "bluesky:someone"),
        (("forget", "ada"), 2, "pasquin rights"),
        (("lineage", "ada"), 2, "Nothing of `ada` is here"),
        (("collect", "csv:x.csv", "--map", "text"), 2, "FIELD=COLUMN"),
        (("prepare", "../up"), 2, "../up"),
        (("prepare", "x", "--split", "alphabetical"), 2, "split"),
        (("prepare", "x"), 1, "pasquin collect"),
        (("train", "x"), 1, "pasquin prepare x"),
        (("train", "x", "--full", "--lora"), 2, "exclude"),
        (("train", "x", "--minutes", "-1"), 2, "minutes"),
        (("train", "x", "--resume"), 1, "pasquin"),
        (("generate", "x"), 1, "pasquin train x"),
        (("generate", "x", "-n", "0"), 2, "`n`"),
        (("export", "x", "-o", "x.csv"), 1, "pasquin prepare x"),
        (("curate", "x"), 1, "pasquin generate x"),
        (("curate", "--tui", "--invite", "ada"), 2, "one of them"),
        (("curate", "--invite", "<b>"), 2, "name"),
        (("curate", "--import", "missing.csv"), 1, "missing.csv"),
        (("play", "x"), 1, "pasquin prepare x"),
    ],
)
def test_mistakes_inside_an_empty_workspace(words: tuple[str, ...], code: int, says: str, tmp_path: Path) -> None:
    pasquin("init", cwd=tmp_path)
    run = pasquin(*words, cwd=tmp_path)
    assert (run.returncode, run.stdout) == (code, ""), run.stderr
    assert says in run.stderr
    assert "Traceback" not in run.stderr


def test_broken_settings_are_a_sentence(tmp_path: Path) -> None:
    pasquin("init", cwd=tmp_path)
    (tmp_path / "pasquin.toml").write_text("[train\n")
    run = pasquin("train", "x", cwd=tmp_path)
    assert run.returncode == 2
    assert "not valid TOML" in run.stderr
