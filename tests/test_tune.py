"""Tuning: both sides of the trade are measured, nothing that copies is recommended, and `generate` heeds it if told."""

from __future__ import annotations

import json
import random
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import pasquin.tune as stage
from invented import make_corpus, posts
from invented import texts as invented_texts
from pasquin.config import SAMPLING_FILE, GenerateSettings, load, model_sampling
from pasquin.engines import Drawn
from pasquin.errors import CorpusError, Interrupted, UsageError
from pasquin.post_format import load_tokenizer
from pasquin.records import Prompt, Sampling
from pasquin.tune import GRID, Setting, tune
from pasquin.workspace import Workspace
from test_generate import add_model

TEXTS = invented_texts(900, start=5_000)


class Talker:
    """An engine whose session says invented texts; nonsense when it is hot, a real post when it is cold."""

    context = 200

    def __init__(self, folder: Path, copied: str, interrupt_after: int = 99) -> None:
        self.tokenizer, self.copied, self.sessions, self.last = load_tokenizer(folder), copied, 0, interrupt_after
        self.ready: list[Drawn] = []

    def session(self, batch: int = 128) -> Talker:
        self.sessions += 1
        if self.sessions > self.last:
            raise KeyboardInterrupt
        return self

    def fits(self, prompt: Prompt, sampling: Sampling) -> bool:
        return len(self.ready) < 50

    def add(self, prompt: Prompt, sampling: Sampling, *, follow: bool = False, log_probs: bool = False) -> int:
        draw = random.Random(prompt.seed)
        text = draw.choice(TEXTS)
        if sampling.temperature > 1:
            text = " ".join("".join(draw.sample(word, len(word))) for word in text.split())
        if sampling.temperature < 1:
            text = self.copied
        ids = (*self.tokenizer.encode(text).ids, 2)
        self.ready.append(Drawn(prompt.seed, ids, tuple(draw.gauss(-3, 1) for _ in ids), True))
        return prompt.seed

    def step(self) -> list[Drawn]:
        ready, self.ready = self.ready, []
        return ready

    def close(self) -> None:
        self.ready = []


@pytest.fixture
def workspace(tmp_path: Path, tiny_model: Path) -> Workspace:
    place = Workspace.create(tmp_path / "ws")
    make_corpus(place, "village", posts(900, test_share=0.4))
    add_model(place, "village", tiny_model, ("ada", "bo"))
    return place


@pytest.fixture
def talker(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> Talker:
    from pasquin.collect import collect

    source = workspace.root / "posts.txt"
    copied = "The committee for benches was never introduced to the night bus, it seems."
    source.write_text(copied)
    collect(workspace, [f"fortune:{source}"])
    engine = Talker(workspace.model_dir("village"), copied)
    monkeypatch.setattr(stage, "choose_engine", lambda *_: ("talker", SimpleNamespace(open=lambda _: engine)))
    monkeypatch.setattr(stage, "human_losses", lambda *_: None)
    grid = (Setting(1.0, 200, 0.95, 0.0), Setting(1.5, 0, 1.0, 0.0), Setting(0.5, 200, 0.9, 0.0))
    monkeypatch.setattr(stage, "GRID", grid)
    return engine


def run(place: Workspace, **values: Any) -> dict[str, Any]:
    return tune(place, "village", **{"n": 80, **values})


def test_sense_and_copies_decide_and_generate_heeds_it_only_when_told(workspace: Workspace, talker: Talker) -> None:
    folder = workspace.model_dir("village")
    result = run(workspace, apply=True)
    plain, hot, cold = result["settings"]
    assert result["recommended"] == {"temperature": 1.0, "top_k": 200, "top_p": 0.95, "min_p": 0.0}
    assert plain["unknown_words"] < 0.1 < 0.5 < hot["unknown_words"]
    assert plain["score"] > hot["score"] >= 0
    assert cold["copied"] == 1.0
    assert cold["score"] is None
    assert "<svg" in (folder / stage.PAGE).read_text()
    assert json.loads((folder / stage.TABLE).read_text())["recommended"] == result["recommended"]
    assert result["applied"]
    assert model_sampling(folder) == result["recommended"]


def test_the_models_sampling_gives_way_to_what_anybody_says(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = workspace.model_dir("village")
    (folder / SAMPLING_FILE).write_text('{"temperature": 0.7, "top_k": 9, "top_p": 0.5, "min_p": 0.1}')
    workspace.toml.write_text("[generate]\ntop_k = 40\n")
    monkeypatch.setenv("PASQUIN_GENERATE_TOP_P", "0.8")
    found = load(GenerateSettings, workspace.toml, defaults=model_sampling(folder), min_p=0.2)
    assert (found.temperature, found.top_k, found.top_p, found.min_p) == (0.7, 40, 0.8, 0.2)
    (folder / SAMPLING_FILE).write_text("[1]")
    with pytest.raises(UsageError, match="--apply"):
        model_sampling(folder)


def test_ctrl_c_keeps_what_was_measured_and_applies_nothing(workspace: Workspace, talker: Talker) -> None:
    talker.last = 1
    with pytest.raises(Interrupted, match="1 of 3 settings"):
        run(workspace, apply=True)
    folder = workspace.model_dir("village")
    assert json.loads((folder / stage.TABLE).read_text())["tried"] == 1
    assert not (folder / SAMPLING_FILE).exists()
    with pytest.raises(Interrupted, match="0 of 3 settings"):
        run(workspace)
    assert json.loads((folder / stage.TABLE).read_text())["tried"] == 1, "nothing measured, nothing overwritten"
    talker.last = 99
    assert run(workspace, minutes=1e-9)["tried"] == 1, "time is short, one setting is measured all the same"
    assert model_sampling(folder) == {}


def test_what_cannot_be_tuned_is_told_first(workspace: Workspace, talker: Talker) -> None:
    with pytest.raises(UsageError, match="60 texts"):
        run(workspace, n=5)
    make_corpus(workspace, "village", posts(60))
    with pytest.raises(CorpusError, match="test_share"):
        run(workspace)
    assert not talker.sessions


def test_the_grid_begins_with_the_defaults() -> None:
    found = GenerateSettings()
    assert GRID[0] == (found.temperature, found.top_k, found.top_p, found.min_p)
    assert len(set(GRID)) == len(GRID)
