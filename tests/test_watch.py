"""Watching: rounds that keep an archive current, whatever happens in between, until Ctrl-C."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from invented import texts
from networks_fake import FakeNetwork, install
from pasquin.collect import collect
from pasquin.config import CollectSettings
from pasquin.errors import NetworkError, UsageError
from pasquin.progress import Silent
from pasquin.workspace import Workspace
from pasquin.workspace.shards import fetch_posts


class Listening(Silent):
    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.chdir(tmp_path)
    return Workspace.create(tmp_path / "bot")


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> FakeNetwork:
    return install(monkeypatch, FakeNetwork())


def watch(
    workspace: Workspace,
    sources: list[str],
    between: list[Callable[[], object]],
    monkeypatch: pytest.MonkeyPatch,
) -> tuple[dict[str, Any], list[str]]:
    """Watch through as many pauses as there are functions in `between`, one called in each, then press Ctrl-C."""
    steps = iter(between)

    def sleep(seconds: float) -> None:
        assert 0 < seconds <= 60
        try:
            next(steps)()
        except StopIteration:
            raise KeyboardInterrupt from None

    clock = SimpleNamespace(sleep=sleep, monotonic=time.monotonic, strftime=time.strftime)
    monkeypatch.setattr("pasquin.collect.watch.time", clock)
    progress = Listening()
    result = collect(workspace, sources, watch=True, settings=CollectSettings(watch_minutes=1), progress=progress)
    return result, progress.said


def test_rounds_bring_what_is_new_until_ctrl_c(
    workspace: Workspace, network: FakeNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    network.add("ada", texts(15))
    network.add("bo", texts(5, start=50))
    more = [lambda: network.add("ada", texts(2, start=20)), lambda: None, lambda: network.add("bo", texts(1, start=60))]
    result, said = watch(workspace, ["fake:ada", "fake:bo"], more, monkeypatch)
    assert (result["new"], result["rounds"], result["failed"]) == (23, 4, 0)
    rounds = [line.partition("  ")[2] for line in said if "Round" in line]
    assert rounds == [
        "Round 1: 20 new posts of 2 sources; next in 1 min.",
        "Round 2: 2 new posts of 1 source; next in 1 min.",
        "Round 3: 0 new posts of 0 sources; next in 1 min.",
        "Round 4: 1 new post of 1 source; next in 1 min.",
    ]
    assert sorted(since for who, since in network.asked if who == "ada" and since) == ["15", "17", "17"]
    assert len(fetch_posts(workspace, "SELECT * FROM {posts}")) == 23
    assert said[-1].startswith("Watching ended")


def test_a_network_that_is_away_is_said_once_and_tried_again(
    workspace: Workspace, network: FakeNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    network.add("ada", texts(15))
    away = NetworkError("The network is away.")
    network.dead["ada"] = away
    result, said = watch(workspace, ["fake:ada"], [lambda: None, network.dead.clear], monkeypatch)
    assert (result["new"], result["failed"], result["rounds"]) == (15, 0, 3)
    assert [line for line in said if line.startswith("fake:ada")] == [
        "fake:ada: The network is away.",
        "fake:ada can be read again.",
    ]


def test_lists_are_read_anew_and_other_work_is_waited_for(
    workspace: Workspace, network: FakeNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    network.add("ada", texts(5))
    network.add("bo", texts(5, start=5))
    Path("vc.txt").write_text("fake:ada\n")
    busy = workspace.lock("collect")

    def grow() -> None:
        Path("vc.txt").write_text("fake:ada\nfake:bo\n")
        busy.__enter__()

    def spoil() -> None:
        busy.__exit__(None, None, None)
        Path("vc.txt").write_text("what is this\n")

    result, said = watch(workspace, ["@vc.txt"], [grow, spoil], monkeypatch)
    assert (result["new"], result["rounds"]) == (10, 2)
    assert any("busy with collect" in line and "Trying again" in line for line in said)
    assert any("vc.txt, line 1" in line and "Going on" in line for line in said)


def test_a_mistake_in_the_beginning_ends_it(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="no source"):
        watch(workspace, ["gopher:ada"], [], monkeypatch)
