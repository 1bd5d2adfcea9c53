"""Training that is killed at any moment, or finds the disk full, ends where an uninterrupted one ends.

    python benchmarks/train_kills.py [--quick] [--kills N] [--seed N]

A tiny model learns invented posts, with a checkpoint after every step, in a process of its own. Again and again it gets
SIGKILL at a random moment, or every write of a checkpoint past a random number of bytes fails as on a full disk
(RLIMIT_FSIZE); each time `resume="auto"` goes on. When a training ends, its weights must be those of one that was left
alone, bit for bit; then the next begins, until there were N kills. `lost` counts trainings that did not resume or did
not end so, `steps_lost` the steps that were made again.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import resource
import signal
import sys
import tempfile
import time
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path

STEPS = 12
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))


def _workspace(root: Path) -> None:
    from invented import make_corpus, posts
    from pasquin.workspace import Workspace
    from pasquin.workspace.files import file_hash, read_manifest, write_manifest

    made = Workspace.create(root)
    every = [replace(post, split="validation") if i < 8 else post for i, post in enumerate(posts(80))]
    make_corpus(made, "village", every)
    folder = made.corpus_dir("village")
    manifest = read_manifest(folder) or {}
    write_manifest(folder, {**manifest, "hash": file_hash(folder / "posts.parquet"), "dropped": {}})


def _train(root: Path, model: Path, name: str, steps: Connection | None, most: int | None) -> str:
    """Train with a checkpoint after every step; the finished model's hash, or `full` when the disk was."""
    import torch

    from pasquin.config import TrainSettings
    from pasquin.errors import ResourceError
    from pasquin.train import execution, loop, train
    from pasquin.workspace import Workspace

    torch.set_num_threads(1)
    loop._CHECKPOINT_SECONDS = loop._CHECKPOINT_SHARE = 0  # type: ignore[misc,assignment]
    real_step, real_save = loop.Run.step, execution.save_checkpoint

    def step(self: loop.Run) -> int:
        if steps is not None:
            steps.send(self.state.step)
        return real_step(self)

    def save(*given: object) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most or resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        try:
            real_save(*given)  # type: ignore[arg-type]
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))

    loop.Run.step, execution.save_checkpoint = step, save  # type: ignore[method-assign]
    try:
        workspace = Workspace.open(root)
        settings = TrainSettings(model=str(model), batch_tokens=300, steps=STEPS, learning_rate=3e-3)
        train(workspace, "village", name=name, resume="auto", settings=settings)
        return str(workspace.model_manifest(name)["hash"])
    except ResourceError:
        return "full"
    finally:
        loop.Run.step, execution.save_checkpoint = real_step, real_save  # type: ignore[method-assign]


def _forked(root: Path, model: Path, name: str, most: int | None, connection: Connection) -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    connection.send(_train(root, model, name, connection, most))
    os._exit(0)


def run(root: Path, kills: int, seed: int) -> dict[str, object]:
    """Kill `kills` times below `root`; the figures."""
    from pasquin.train import learner
    from tiny_model import make_tiny_model

    learner.bf16_is_faster = lambda _: True  # a measurement, which may come out differently on a busy machine
    import pasquin.train.execution  # noqa: F401  what a fork inherits it need not import

    model = make_tiny_model(root / "model")
    _workspace(root / "ws")
    expected = _alone(root / "ws", model)
    draw, context = random.Random(seed), multiprocessing.get_context("fork")
    killed = full = trainings = lost = steps_lost = 0
    took, name, last = 2.0, "one", -1
    while killed + full < kills:
        by_disk = draw.random() < 0.25
        most = draw.randrange(1, 2_000_000) if by_disk else None
        ours, theirs = context.Pipe()
        process = context.Process(target=_forked, args=(root / "ws", model, name, most, theirs))
        began = time.monotonic()
        process.start()
        theirs.close()
        process.join(None if by_disk else draw.uniform(0, 1.3 * took))
        if process.is_alive():
            process.kill()
        process.join()
        heard: list[object] = []
        try:
            while ours.poll():
                heard.append(ours.recv())
        except (EOFError, OSError):
            pass
        made = [each for each in heard if isinstance(each, int)]
        if made:
            steps_lost += max(0, last + 1 - made[0]) if last >= 0 else 0
            last = made[-1]
        ended = heard[-1] if heard and isinstance(heard[-1], str) else None
        if ended is None:
            killed += 1
        elif ended == "full":
            full += 1
        else:
            trainings += 1
            lost += ended != expected
            took, last = 0.5 * took + 0.5 * (time.monotonic() - began), -1
            name = f"m{trainings}"
    return {
        "kills": killed,
        "full_disks": full,
        "trainings": trainings + 1,
        "lost": lost + (_train_alone(root / "ws", model, name) != expected),
        "steps_lost": steps_lost,
    }


def _alone(root: Path, model: Path) -> str:
    return _train_alone(root, model, "alone")


def _train_alone(root: Path, model: Path, name: str) -> str:
    """A training in a process of its own that nobody disturbs."""
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    process = context.Process(target=_forked, args=(root, model, name, None, theirs))
    process.start()
    theirs.close()
    heard: list[object] = []
    try:
        while True:
            heard.append(ours.recv())
    except EOFError:
        process.join()
    return str(heard[-1]) if heard else "nothing"


def main() -> None:
    """Kill, print the figures and the JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="20 kills instead of 200")
    parser.add_argument("--kills", type=int, default=None)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        result = run(Path(folder), given.kills or (20 if given.quick else 200), given.seed)
    for key, value in result.items():
        print(f"{key.replace('_', ' '):14} {value}")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
