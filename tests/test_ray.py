"""On a Ray cluster of several nodes the results are those of one machine, also when a node is killed in the middle."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from pasquin.config import PrepareSettings, TrainSettings
from pasquin.engines import open_engine
from pasquin.engines.spread import Spread
from pasquin.errors import ResourceError, UsageError
from pasquin.post_format import PostFormat
from pasquin.prepare import prepare
from pasquin.records import Prompt, Sampling
from pasquin.train import train
from pasquin.workers import open_workers
from pasquin.workspace import Workspace
from pasquin.workspace.files import file_hash
from test_prepare import invented, workspace_with
from tiny_model import make_tiny_model

pytestmark = pytest.mark.real
STORE = 80 * 2**20


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A head without cores, and two nodes of one core."""
    ray = pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    os.environ["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    small = {"object_store_memory": STORE, "include_dashboard": False}
    nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, **small})
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
