"""What is counted is said grammatically."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from pasquin.cli import app
from pasquin.counts import counted


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
