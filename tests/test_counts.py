"""What is counted is said grammatically."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pasquin.cli import app
from pasquin.counts import counted
from pasquin.progress import Terminal


@pytest.mark.parametrize(
    ("number", "said"), [(0, "0 pieces are"), (1, "1 piece is"), (2, "2 pieces are"), (1_200, "1,200 pieces are")]
)
def test_one_is_one_and_all_others_are_many(number: int, said: str) -> None:
    assert counted(number, "piece is", "pieces are") == said
    assert counted(number, "post") == said.replace("pieces are", "posts").replace("piece is", "post")


def test_a_single_post_is_collected_and_forgotten_in_the_singular(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "one.csv").write_text("text\nThe only thing I ever posted.\n")
    (tmp_path / "two.csv").write_text("text\nA first thing.\nA second thing.\n")

    def said(*command: str) -> str:
        told = CliRunner().invoke(app, list(command))
        assert told.exit_code == 0, told.output
        return told.output

    said("init")
    assert "1 new post, 1 read" in said("collect", "csv:one.csv")
    several = said("collect", "csv:one.csv", "csv:two.csv")
    assert "0 new posts, 1 read" in several
    assert "2 new posts, 2 read" in several
    assert "1 post, collected." in said("lineage", "one")
    assert "Forgotten: 1 post of " in said("forget", "one", "--yes")


def test_a_log_gives_an_estimate_once_enough_is_done_to_tell(capsys: pytest.CaptureFixture[str]) -> None:
    with Terminal(every=0.0).task("Writing", 1_000, "candidates") as task:
        for _ in range(10):
            time.sleep(0.002)
            task.advance(10)
    lines = capsys.readouterr().err.splitlines()
    assert ["s left" in line for line in lines[:10]] == [False] * 4 + [True] * 6
    assert lines[-1].startswith("Writing: 100 of 1,000 candidates, ")
