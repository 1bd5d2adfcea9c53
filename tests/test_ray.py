"""On a Ray cluster of several nodes the results are those of one machine, also when a node is killed in the middle."""

from __future__ import annotations

import json
import os
import pickle
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import openai
import pytest

from hostile_server import HostileServer, give, hostile_server
from pasquin import __version__
from pasquin.collect import collect
from pasquin.collect.cluster import Desk
from pasquin.config import CollectSettings, PrepareSettings, TrainSettings
from pasquin.engines import open_engine
from pasquin.engines.spread import Spread
from pasquin.errors import Interrupted, ResourceError, UsageError
from pasquin.networks.mastodon.profile import InstanceRules, RulesNotAccepted
from pasquin.post_format import PostFormat
from pasquin.prepare import prepare
from pasquin.records import Prompt, Sampling
from pasquin.train import train
from pasquin.workers import open_workers
from pasquin.workspace import Workspace
from pasquin.workspace.files import file_hash
from pasquin.workspace.shards import fetch_posts
from test_prepare import invented, workspace_with
from test_serve import PASQUIN, put_model, serving
from tiny_model import make_tiny_model

pytestmark = pytest.mark.real
STORE = 80 * 2**20
in_soak = pytest.mark.skipif("PASQUIN_SOAK" not in os.environ, reason="takes most of a minute: `make soak` runs it")


def free_port() -> int:
    with socket.socket() as place:
        place.bind(("127.0.0.1", 0))
        return int(place.getsockname()[1])


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A head without cores, and two nodes of one core."""
    ray = pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    os.environ["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    small = {"object_store_memory": STORE, "include_dashboard": False}
    if "PASQUIN_SOAK" in os.environ:
        small["ray_client_server_port"] = free_port()
    nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, **small})
    nodes.door = f"ray://127.0.0.1:{small.get('ray_client_server_port')}"
    for _ in range(2):
        nodes.add_node(num_cpus=1, object_store_memory=STORE)
    ray.init(address=nodes.address, log_to_driver=False, logging_level="ERROR")
    yield nodes
    ray.shutdown()
    nodes.shutdown()


@contextmanager
def killing_a_node(cluster: Any, after: float) -> Iterator[None]:
    """Kill one of the two nodes, as a power cut would, so many seconds into the block; another is there after it."""
    victim, begun = next(iter(cluster.worker_nodes)), threading.Event()

    def kill() -> None:
        begun.set()
        cluster.remove_node(victim, allow_graceful=False)

    timer = threading.Timer(after, kill)
    timer.start()
    try:
        yield
        assert begun.is_set(), "the block was done before the node was killed"
    finally:
        timer.join()
        cluster.add_node(num_cpus=1, object_store_memory=STORE)


def slow_square(item: tuple[Path, int]) -> int:
    """Square a number, slowly, and leave a trace."""
    folder, number = item
    (folder / f"{number}-{os.getpid()}").touch()
    time.sleep(0.2)
    return number * number


def failing(number: int) -> int:
    """Raise one of our errors."""
    raise UsageError(f"not {number}")


def test_a_corpus_is_the_same_on_a_cluster(cluster: Any, tmp_path: Path) -> None:
    posts, hashes = invented(1_000), []
    for on in (None, "ray"):
        workspace = workspace_with(tmp_path / str(on), posts)
        prepare(workspace, "vc", settings=PrepareSettings(near_threshold=0.9), on=on)
        hashes.append({file.name: file_hash(file) for file in workspace.corpus_dir("vc").iterdir()})
    assert hashes[0] == hashes[1]


def test_work_of_a_killed_node_is_done_elsewhere(cluster: Any, tmp_path: Path) -> None:
    with open_workers("ray") as workers:
        assert workers.count == 2
        with killing_a_node(cluster, 1.0):
            assert list(workers.map(slow_square, [(tmp_path, n) for n in range(16)])) == [n * n for n in range(16)]
        with pytest.raises(UsageError, match="not 1"):
            list(workers.map(failing, [1]))


def test_a_node_of_another_version_is_refused(cluster: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pasquin.workers.cluster.__version__", "0.0.0")
    with open_workers("ray") as workers, pytest.raises(ResourceError, match=r"0\.0\.0 is wanted\. Install that"):
        list(workers.map(failing, [1]))


PAGES = 6


class Feeds:
    """Three feeds of six pages on a server that answers slowly, and once asks for two seconds of patience."""

    def __init__(self, server: HostileServer) -> None:
        self.server, self.lock = server, threading.Lock()
        self.now = self.most_at_once = self.patience = 0
        for name in ("ada", "ben", "cy"):
            for page in range(PAGES):
                server.answers[f"/{name}{page}"] = self.answering(name, page)

    def sources(self) -> list[str]:
        return [f"feed:{self.server.url(f'/{name}0')}" for name in ("ada", "ben", "cy")]

    def answering(self, name: str, page: int) -> Any:
        def answer(request: Any, _: int) -> None:
            with self.lock:
                self.now += 1
                self.most_at_once = max(self.most_at_once, self.now)
                asks_patience = (name, page) == ("ben", 2) and not self.patience
                self.patience += asks_patience
            time.sleep(0.15)
            with self.lock:
                self.now -= 1
            if asks_patience:
                self.server.close_for(1.9)
                give(request, status=429, Retry_After="2")
                return
            items = [
                {"id": f"{name}-{page}-{number}", "content_text": f"{name} wrote page {page}, post {number}"}
                for number in range(5)
            ]
            following = {"next_url": self.server.url(f"/{name}{page + 1}")} if page + 1 < PAGES else {}
            feed = {"version": "https://jsonfeed.org/version/1.1", "title": name, "items": items, **following}
            give(request, json.dumps(feed).encode())

        return answer


def test_nodes_collect_what_one_machine_does_with_one_budget(cluster: Any, tmp_path: Path) -> None:
    stored, figures = [], []
    for on in (None, "ray"):
        with hostile_server() as first, hostile_server() as second:
            feeds = [Feeds(first), Feeds(second)]
            sources = [*feeds[0].sources(), *feeds[1].sources(), f"feed:{first.url('/nothing')}"]
            workspace = Workspace.create(tmp_path / str(on))
            settings = CollectSettings(allow_private_hosts=(first.host, second.host))
            with killing_a_node(cluster, 2.0) if on else nullcontext():
                found = collect(workspace, sources, settings=settings, on=on)
            assert max(one.most_at_once for one in feeds) == 1, "a host was asked twice at once"
            assert [one.patience for one in feeds] == [1, 1]
            assert first.violations + second.violations == 0, "a host was asked before the time it named"
        rows = fetch_posts(workspace, "SELECT text, handle FROM {posts} ORDER BY ALL")
        stored.append(rows)
        figures.append([(one["new"], bool(one["error"])) for one in found["sources"]])
        again = fetch_posts(workspace, "SELECT count(*), count(DISTINCT uri) FROM {posts}")[0]
        assert again == (6 * PAGES * 5, 6 * PAGES * 5)
    assert stored[0] == stored[1]
    assert figures[0] == figures[1] == [(PAGES * 5, False)] * 6 + [(0, True)]


def test_a_reader_that_is_gone_gives_back_its_turns() -> None:
    desk = Desk(CollectSettings(), __version__)
    desk.begin("one", "village.example", "")
    waiting = ThreadPoolExecutor(2)
    of_the_dead = waiting.submit(desk.begin, "one", "village.example", "")
    time.sleep(0.05)
    desk.drop("one")
    ticket = waiting.submit(desk.begin, "two", "village.example", "").result(5)
    desk.end(ticket)
    desk.end(ticket)
    of_the_dead.result(5)
    desk.hold("village.example", 30.0)
    late = waiting.submit(desk.begin, "two", "village.example", "")
    assert "asks for patience" in desk.heard(5.0)[0]
    desk.stop()
    with pytest.raises(Interrupted):
        late.result(5)


def test_errors_come_whole_from_another_process() -> None:
    refusal = RulesNotAccepted(InstanceRules("village.example", ("Be kind.",)))
    again = pickle.loads(pickle.dumps(refusal))
    assert (str(again), again.rules, type(again)) == (str(refusal), refusal.rules, RulesNotAccepted)


def test_completions_are_the_same_on_a_cluster(cluster: Any, tmp_path: Path) -> None:
    model = make_tiny_model(tmp_path / "model")
    PostFormat(1, 2).save(model)
    prompts = [Prompt(token_ids=(1, 5 + number), seed=number) for number in range(96)]
    sampling = Sampling(top_p=0.9, max_tokens=60)
    alone = list(open_engine(model, "transformers").generate(prompts, sampling))
    spread = Spread(model, "transformers")
    with killing_a_node(cluster, 0.1):
        together = list(spread.generate(prompts, sampling))
    spread.close()
    assert len(together) == len(prompts)
    assert sorted(together, key=lambda one: one.index) == sorted(alone, key=lambda one: one.index)


def test_training_on_two_nodes_ends_at_the_weights_of_one(cluster: Any, tmp_path: Path) -> None:
    from safetensors.torch import load_file

    workspace = workspace_with(tmp_path, invented(120))
    prepare(workspace, "vc", settings=PrepareSettings(near_threshold=1))
    base = make_tiny_model(tmp_path / "base")
    settings = TrainSettings(model=str(base), steps=4, batch_tokens=512, learning_rate=1e-3, method="full")
    weights, bits = [], []
    for name, on in (("alone", None), ("together", "ray")):
        bits.append(train(workspace, "vc", name=name, settings=settings, on=on)["bits_per_byte"])
        weights.append(load_file(workspace.model_dir(name) / "model.safetensors"))
    assert bits[1]["before"] == pytest.approx(bits[0]["before"], rel=1e-6)
    assert bits[1]["after"] == pytest.approx(bits[0]["after"], rel=1e-3)
    assert bits[0]["after"] < bits[0]["before"]
    for name, weight in weights[0].items():
        assert (weight.float() - weights[1][name].float()).abs().max() < 5e-3, name


@in_soak
def test_a_cluster_is_used_through_the_door_of_its_head(cluster: Any, tmp_path: Path) -> None:
    """By its address (`ray://…`), from a process that is none of the cluster's."""
    posts, hashes = invented(1_000), []
    for on in ([], ["--on", cluster.door]):
        workspace = workspace_with(tmp_path / str(len(on)), posts)
        command = [PASQUIN, "prepare", "vc", "--json", "--workspace", str(workspace.root), *on]
        hashes.append(json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)["hash"])
    assert hashes[0] == hashes[1]
    command = [PASQUIN, "train", "vc", "--workspace", str(workspace.root), "--on", cluster.door, "--steps", "2"]
    base = make_tiny_model(tmp_path / "base")
    subprocess.run([*command, "--model", str(base)], check=True)
    assert workspace.model_manifest("vc")


@in_soak
def test_the_endpoint_answers_on_every_node_and_past_one_that_is_killed(
    cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ray import serve

    monkeypatch.setenv("RAY_ADDRESS", cluster.address)
    workspace = Workspace.create(tmp_path)
    put_model(workspace, "village", make_tiny_model(tmp_path / "tiny"))
    with serving(workspace, "--on", "ray", models=("village",)) as server:
        client = openai.OpenAI(base_url=server.url, api_key="none", max_retries=8)

        def ask(seed: int) -> str:
            asked = {"model": "village", "prompt": "the cat", "max_tokens": 12, "seed": seed}
            return client.completions.create(**asked).choices[0].text

        copies = serve.status().applications["pasquin"].deployments["pasquin"].replica_states
        assert copies == {"RUNNING": 2}
        alone = [ask(seed) for seed in range(4)]
        with ThreadPoolExecutor(8) as threads, killing_a_node(cluster, 0.2):
            together = list(threads.map(ask, [seed % 4 for seed in range(80)]))
        assert [ask(seed) for seed in range(4)] == alone  # beside others a text may be another: docs/serve.md
    assert len(together) == 80
    assert all(together)


def test_a_place_that_is_none_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--on ray"):
        prepare(Workspace.create(tmp_path), "vc", on="moon")


def test_a_worker_process_that_dies_is_replaced_and_errors_come_back(tmp_path: Path) -> None:
    with open_workers(None, 2) as workers:
        assert list(workers.map(dies_once, [(tmp_path, number) for number in range(6)])) == list(range(6))
        with pytest.raises(UsageError, match="not 3"):
            list(workers.map(failing, [3]))
        with pytest.raises(ResourceError, match="died twice"):
            list(workers.map(dies, [1]))


def dies_once(item: tuple[Path, int]) -> int:
    """Kill the process the first time that it is asked for 3."""
    folder, number = item
    if number == 3 and not (folder / "died").exists():
        (folder / "died").touch()
        os.kill(os.getpid(), 9)
    return number


def dies(_: int) -> int:
    """Kill the process."""
    os.kill(os.getpid(), 9)
    return 0
