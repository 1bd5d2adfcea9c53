"""The whole path, as a person walks it: the program, its files, a real server, a round of the game.

The first walk uses invented posts and a tiny random model, so it is quick; the real ones use the starter model, the
demo's posts and, where they lie beside the checkout, real tweets.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from invented import posts

PASQUIN = Path(sys.executable).parent / "pasquin"
TWEETS = Path(__file__).resolve().parents[2] / "shared" / "data" / "tweets" / "vc.jsonl.gz"


def run(*words: str | Path, cwd: Path, code: int = 0) -> dict[str, Any]:
    """Run a command with --json in `cwd` and return its object; its stdout must be nothing else."""
    done = subprocess.run([PASQUIN, *words, "--json"], cwd=cwd, capture_output=True, text=True)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    result: dict[str, Any] = json.loads(done.stdout) if done.stdout else {}
    return result


@contextmanager
def game(cwd: Path, *words: str) -> Iterator[httpx.Client]:
    """A client of `pasquin play`, which must end well on Ctrl-C."""
    command = [PASQUIN, "play", *words, "--port", "0", "--json"]
    with subprocess.Popen(command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        assert server.stderr is not None
        first = server.stdout.readline()
        assert first, server.stderr.read()
        url = json.loads(first)["url"]
        try:
            with httpx.Client(base_url=url, headers={"Origin": url}) as client:
                yield client
        finally:
            server.send_signal(signal.SIGINT)
            code = server.wait(20)
        assert code in (0, 130)
        assert "Traceback" not in server.stderr.read()


def play(client: httpx.Client, category: str, cards: int) -> list[dict[str, Any]]:
    """Guess `human` for each of `cards` cards and return the reveals, each with the text that was shown."""
    assert client.post("/api/game/start").status_code == 200
    reveals = []
    for _ in range(cards):
        card = client.get("/api/game/round", params={"category": category})
        assert card.status_code == 200, card.text
        trial = card.json()["trial"]
        assert trial, card.text
        answer = client.post("/api/game/guess", json={"trial": trial["id"], "guess": "human", "response_ms": 900})
        reveals.append({**answer.json(), "text": trial["text"]})
    return reveals


def write_csv(path: Path, count: int) -> None:
    import csv

    with path.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.writer(handle)
        writer.writerow(["tweets"])
        writer.writerows([post.text] for post in posts(count))


@pytest.fixture(scope="module")
def walked(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Path:
    """A workspace in which everything up to `generate` was done by the program, with a tiny model."""
    place = tmp_path_factory.mktemp("walk")
    write_csv(place / "someone_tweets.csv", 600)
    run("init", "bot", cwd=place)
    bot = place / "bot"
    collected = run("collect", "csv:../someone_tweets.csv", cwd=bot)
    assert collected["new"] == 600
    prepared = run("prepare", "me", cwd=bot)
    assert prepared["kept"] + sum(prepared["dropped"].values()) == 600
    trained = run("train", "me", "--model", tiny_model, "--steps", "200", "--learning-rate", "3e-3", cwd=bot)
    assert trained["bits_per_byte"]["after"] < trained["bits_per_byte"]["before"]
    made = run("generate", "me", "-n", "90", "--max-tokens", "60", "-o", "texts.txt", cwd=bot)
    assert made["candidates"] == 90, made
    return bot


@pytest.mark.real
def test_each_stage_leaves_what_it_promises(walked: Path) -> None:
    assert (walked / "corpora/me/report.html").read_text().startswith("<!doctype html>")
    model = walked / "models" / "me"
    for name in ("config.json", "model.safetensors", "tokenizer.json", "README.md", "loss.svg", "manifest.json"):
        assert (model / name).stat().st_size > 0, name
    texts = (walked / "texts.txt").read_text().split("=" * 20 + "\n")
    assert len([text for text in texts if text.strip()]) == 90


@pytest.mark.real
def test_no_candidate_is_a_collected_post(walked: Path) -> None:
    known = {post.text for post in posts(600)}
    texts = {text.strip() for text in (walked / "texts.txt").read_text().split("=" * 20)} - {""}
    assert texts
    assert not texts & known


@pytest.mark.real
def test_a_round_is_played_and_human_items_are_from_the_test_split(walked: Path) -> None:
    from pasquin import Workspace
    from pasquin.workspace.corpora import read_corpus

    workspace = Workspace.open(walked)
    test = {post.text for post in read_corpus(workspace, "me", "test")}
    with game(walked) as client:
        assert client.get("/healthz").status_code == 200
        assert "<title>" in client.get("/").text
        reveals = play(client, "me", 10)
    assert {reveal["origin"] for reveal in reveals} == {"human", "model"}
    assert all(reveal["text"] in test for reveal in reveals if reveal["origin"] == "human")
    assert [reveal["correct"] for reveal in reveals] == [reveal["origin"] == "human" for reveal in reveals]
    import sqlite3

    with sqlite3.connect(walked / "pasquin.db") as database:
        assert database.execute("SELECT count(*), min(response_ms) FROM guesses").fetchone() == (10, 900)


@pytest.mark.real
def test_a_port_in_use_is_a_sentence(walked: Path) -> None:
    with game(walked) as client:
        port = str(client.base_url.port)
        done = subprocess.run([PASQUIN, "play", "--port", port], cwd=walked, capture_output=True, text=True)
    assert done.returncode == 1
    assert f"Port {port} is in use" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.real
def test_training_interrupted_by_ctrl_c_goes_on(walked: Path, tiny_model: Path) -> None:
    words = ["train", "me", "--name", "later", "--model", tiny_model, "--steps", "4000"]
    with subprocess.Popen([PASQUIN, *words], cwd=walked, stderr=subprocess.PIPE, text=True) as training:
        assert training.stderr is not None
        for line in training.stderr:
            if line.startswith("Before training"):
                break
        time.sleep(2)
        training.send_signal(signal.SIGINT)
        talk = training.stderr.read()
        assert training.wait(60) == 130, talk
    assert "--resume" in talk
    assert "Traceback" not in talk
    run("generate", "later", "-n", "1", cwd=walked, code=1)
    assert run("train", "me", "--name", "later", "--steps", "1", "--resume", cwd=walked)["model"] == "later"


@pytest.mark.real
def test_a_corpus_of_three_posts_is_a_sentence(tmp_path: Path) -> None:
    write_csv(tmp_path / "few.csv", 3)
    run("init", cwd=tmp_path)
    run("collect", "csv:few.csv", cwd=tmp_path)
    done = subprocess.run([PASQUIN, "prepare", "few"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1
    assert "3" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.real
@pytest.mark.timeout(900)
def test_the_demo_runs_and_runs_again_in_no_time(tmp_path: Path) -> None:
    words = ("demo", "--minutes", "1", "--no-serve", "--port", "0")
    first = run(*words, cwd=tmp_path)
    assert list(first) == ["collect", "prepare", "train", "generate"]
    assert first["train"]["bits_per_byte"]["after"] < first["train"]["bits_per_byte"]["before"]
    assert first["generate"]["candidates"] == 240
    second = run(*words, cwd=tmp_path)
    assert second["collect"]["new"] == 0
    assert second["train"] == first["train"]
    assert second["generate"]["candidates"] == first["generate"]["candidates"]
    with game(tmp_path / "pasquin-demo") as client:
        categories = {category["key"]: category["reason"] for category in client.get("/api/game").json()["categories"]}
        assert {"fortunes", "fortunes/computers", "fortunes/science"} <= set(categories)
        assert categories["fortunes"] is None
        assert len(play(client, "fortunes", 4)) == 4


@pytest.mark.real
@pytest.mark.timeout(900)
@pytest.mark.skipif(not TWEETS.exists(), reason="no real tweets beside the checkout (../shared/data/tweets)")
def test_the_path_on_real_tweets(tmp_path: Path) -> None:
    run("init", cwd=tmp_path)
    assert run("collect", f"twint:{TWEETS}", cwd=tmp_path)["new"] == 48_844
    prepared = run("prepare", "vc", cwd=tmp_path)
    assert prepared["kept"] > 40_000
    trained = run("train", "vc", "--steps", "12", cwd=tmp_path)
    assert trained["bits_per_byte"]["after"] < trained["bits_per_byte"]["before"] - 0.1
    made = run("generate", "vc", "-n", "60", cwd=tmp_path)
    assert made["candidates"] == 60
    with game(tmp_path, "vc") as client:
        assert len(play(client, "vc", 4)) == 4


def test_nothing_is_written_outside_workspace_and_cache(tmp_path: Path) -> None:
    """A home that is read only must not matter to the first stages."""
    home = tmp_path / "home"
    home.mkdir()
    write_csv(tmp_path / "few.csv", 200)
    environment = {**os.environ, "HOME": str(home), "XDG_CACHE_HOME": str(home / "cache")}
    for words in (
        ["init", "bot"],
        ["collect", "few.csv", "--workspace", "bot"],
        ["prepare", "me", "--workspace", "bot"],
    ):
        done = subprocess.run([PASQUIN, *words], cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    assert list(home.iterdir()) == []
