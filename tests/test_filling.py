"""The pool filled ahead of the players: by a process of its own, bounded; the game goes on whatever becomes of it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from invented import HANDLES, make_corpus, posts, texts
from pasquin.config import PlaySettings
from pasquin.errors import UsageError
from pasquin.generate.more import generate_more
from pasquin.play import Game
from pasquin.server import filling as module
from pasquin.server.filling import Filling
from pasquin.server.operator import Operation, gauges
from pasquin.server.operator_page import render
from pasquin.server.watching import Watch
from pasquin.store import Store
from pasquin.workspace import Workspace
from pasquin.workspace.locks import is_held
from test_generate import add_model
from test_play import play_out, start

STEPS = 60
"""After so many a tiny model ends its texts and spells, though it says nothing."""


@pytest.fixture(scope="module")
def writer(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model that learned some invented texts."""
    import torch
    from tokenizers import Tokenizer
    from transformers import LlamaForCausalLM

    folder = tmp_path_factory.mktemp("writer")
    tokenizer = Tokenizer.from_file(str(tiny_model / "tokenizer.json"))
    rows = [torch.tensor([1, *tokenizer.encode(text).ids, 2]) for text in texts(300, start=2_000)]
    ids, labels = (torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=value) for value in (0, -100))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # for so little, several would only wait for each other
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = LlamaForCausalLM.from_pretrained(tiny_model)
        optimiser = torch.optim.AdamW(model.parameters(), lr=1e-2)
        for _ in range(STEPS):
            some = torch.randint(len(rows), (16,))
            model(input_ids=ids[some], labels=labels[some]).loss.backward()
            optimiser.step()
            optimiser.zero_grad()
    torch.set_num_threads(threads)
    model.save_pretrained(folder)
    shutil.copy(tiny_model / "tokenizer.json", folder)
    return folder


@pytest.fixture
def workspace(tmp_path: Path, writer: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.setattr(module, "_LOOK_SECONDS", 0.1)
    monkeypatch.setattr(module, "only_when_idle", lambda _: None)  # where many tests run, nobody is ever idle
    place = Workspace.create(tmp_path / "ws")
    make_corpus(place, "village", posts(120, handles=HANDLES[:1]))
    add_model(place, "village", writer)
    place.toml.write_text('[generate]\nallow = ["language"]\nmax_characters = 400\n')
    return place


def until(holds: Callable[[], bool], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@contextmanager
def game_filled_ahead(workspace: Workspace, settings: PlaySettings) -> Iterator[tuple[Store, Game, Filling]]:
    """A game, and what fills its pool, not started yet; both are closed at the end."""
    store = Store.of(workspace)
    game = Game(workspace, store, settings=settings)
    try:
        yield store, game, Filling(game, settings)
    finally:
        game.close()
        store.close()


def test_the_pool_is_filled_ahead_of_the_players_and_outlives_its_model(workspace: Workspace) -> None:
    with game_filled_ahead(workspace, PlaySettings(fill=12, attention_every=0)) as (store, game, filling):
        assert "no AI texts yet" in (game.decks["village"].reason or "")
        filling.start()
        until(lambda: any(each.state == "filled" for each in filling.standings))
        deck = game.decks["village"]
        assert 12 <= deck.model <= 2 * deck.human
        _, player = start(game)
        seen = sum(result.origin == "model" for result in play_out(game, player, "village", limit=20))
        assert game.most_seen("village") == seen > 0
        until(lambda: game.decks["village"].model >= seen + 12 or filling.standings[0].state == "waiting")
        shutil.rmtree(workspace.model_dir("village"))
        until(lambda: filling.standings[0].state == "no model")
        _, another = start(game)  # the first one may have seen every card there is
        assert play_out(game, another, "village", limit=1)
        sight = Operation(workspace, store, game, filling, Watch()).sight()
        assert "no model" in render(sight, [], "nonce")
        assert any(name == "pasquin_game_ahead" for name, _, _ in gauges(sight))
        filling.stop()


def test_stopping_ends_the_writing_and_keeps_what_was_written(workspace: Workspace) -> None:
    with game_filled_ahead(workspace, PlaySettings(fill=5_000)) as (_, game, filling):
        filling.start()
        until(lambda: is_held(workspace, "generate-village"))
        began = time.monotonic()
        filling.stop()
        assert time.monotonic() - began < module._GRACE_SECONDS + 2
        assert not is_held(workspace, "generate-village")
        assert game.refresh() in (True, False)


def test_what_cannot_be_filled_says_why_and_is_not_tried_at_once(workspace: Workspace) -> None:
    with game_filled_ahead(workspace, PlaySettings(fill=12)) as (_, game, filling):
        with workspace.lock("generate-village"):
            filling._look_after("village")
        assert filling.standings[0].state == "waiting"
        assert "busy with generate-village" in filling.standings[0].why
        filling._look_after("village")
        assert filling.standings[0].why
        assert game.decks["village"].model == 0
        assert Filling(game, PlaySettings()).standings == []


def test_what_writes_gives_way_to_everybody() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        module.only_when_idle(process.pid)
        assert os.getpriority(os.PRIO_PROCESS, process.pid) == 19
        assert os.sched_getscheduler(process.pid) == os.SCHED_IDLE
        process.kill()
    module.only_when_idle(process.pid)  # one that is gone is no trouble


def test_nobody_elses_money_is_spent_unasked(workspace: Workspace) -> None:
    workspace.toml.write_text('[generate]\nengine = "openai"\nbase_url = "http://localhost:1/v1"\nmodel = "m"\n')
    with pytest.raises(UsageError, match="by itself"):
        generate_more(workspace, "village", 5)
