"""What a second node gives: the same corpus made on one machine, on a Ray cluster of one node and of two, and of two of
which one is killed in the middle.

    python benchmarks/scale.py [--quick] [--posts N]

The cluster is real (a head without cores, nodes of one core each with small object stores, every one its own raylet),
on this machine: on two cores a second node is a second core. Posts are made as in `prepare.py`, of the
real tweets beside the checkout or of invented ones.
Beside it, what handing out a piece of work costs: pieces of 1 to 300 ms, and the share of two cores that they get; the
knee is the smallest piece that gets 90% of the most. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import gzip
import json
import logging
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from prepare import REAL, invent, made

STORE = 100 * 2**20
PIECES_MS = (1, 3, 10, 30, 100, 300)


def busy(seconds: float) -> float:
    """Keep a core busy for so much processor time."""
    until = time.process_time() + seconds
    while time.process_time() < until:
        pass
    return seconds


def corpus(folder: Path, on: str | None) -> tuple[float, str]:
    """Seconds and content of the corpus of the workspace in `folder`."""
    from pasquin.config import PrepareSettings
    from pasquin.prepare import prepare
    from pasquin.workspace import Workspace

    shutil.rmtree(folder / "corpora", ignore_errors=True)
    print(f"preparing on {on or 'one process'}", file=sys.stderr, flush=True)
    result = prepare(Workspace.open(folder), "benchmark", settings=PrepareSettings(workers=1), on=on)
    return float(result["seconds"]), str(result["hash"])


class Nodes:
    """A cluster on this machine that grows and shrinks."""

    def __init__(self) -> None:
        import ray
        from ray.cluster_utils import Cluster

        head = {"num_cpus": 0, "object_store_memory": STORE, "include_dashboard": False}
        self.cluster = Cluster(initialize_head=True, head_node_args=head)
        self.nodes: list[Any] = []
        self.add()
        ray.init(address=self.cluster.address, log_to_driver=False, logging_level=logging.CRITICAL)

    def add(self) -> None:
        """One node of one core more, its worker started."""
        self.nodes.append(self.cluster.add_node(num_cpus=1, object_store_memory=STORE))
        self.cluster.wait_for_nodes()

    def warm(self) -> None:
        """Let every node start its Python before anything is measured."""
        from pasquin.workers import open_workers

        with open_workers("ray") as workers:
            list(workers.map(busy, [0.5] * 2 * len(self.nodes)))

    def killing(self, after: float, work: Callable[[], Any]) -> Any:
        """The result of `work`, during which the last node dies."""
        timer = threading.Timer(after, self.cluster.remove_node, [self.nodes.pop()], {"allow_graceful": False})
        timer.start()
        result = work()
        timer.join()
        return result


def shares(cores: int, quick: bool) -> dict[int, float]:
    """For pieces of so many milliseconds, the share of `cores` that is spent on them."""
    from pasquin.workers import open_workers

    found = {}
    with open_workers("ray") as workers:
        for piece in PIECES_MS:
            count = max(2 * cores, int((3_000 if quick else 10_000) / max(piece, 10)))
            began = time.perf_counter()
            list(workers.map(busy, [piece / 1_000] * count))
            found[piece] = count * piece / 1_000 / (time.perf_counter() - began) / cores
    return found


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer posts and pieces")
    parser.add_argument("--posts", type=int, help="posts to prepare (default: 400,000; 120,000 with --quick)")
    arguments = parser.parse_args()
    posts = arguments.posts or (120_000 if arguments.quick else 400_000)
    with tempfile.TemporaryDirectory() as temporary:
        file = REAL if REAL.exists() else invent(Path(temporary) / "invented.jsonl", 20_000)
        with (gzip.open if file.suffix == ".gz" else open)(file, "rt", encoding="utf-8") as lines:
            texts = [json.loads(line)["tweet"] for line in lines]
        folder = Path(temporary) / "workspace"
        made(texts, posts, folder)
        alone, expected = corpus(folder, None)
        nodes = Nodes()
        nodes.warm()
        one, first = corpus(folder, "ray")
        nodes.add()
        nodes.warm()
        two, second = corpus(folder, "ray")
        by_piece = shares(2, arguments.quick)
        killed, third = nodes.killing(two / 3, lambda: corpus(folder, "ray"))
    most = max(by_piece.values())
    knee = next(piece for piece, share in by_piece.items() if share >= 0.9 * most)
    print(f"{posts:,} posts")
    print(f"{'one process, without Ray':44} {alone:8.1f} s")
    print(f"{'one node of one core':44} {one:8.1f} s")
    print(f"{'two nodes of one core':44} {two:8.1f} s")
    print(f"{'two nodes, one killed after a third':44} {killed:8.1f} s")
    for piece, share in by_piece.items():
        print(f"{f'share of two cores for pieces of {piece} ms':44} {share:8.0%}")
    print(
        json.dumps(
            {
                "nodes": 2,
                "speedup": round(one / two, 2),
                "identical": first == second == expected,
                "killed_node_ok": third == expected,
                "overhead": round(one / alone - 1, 2),
                "knee_ms": knee,
                "seconds": {"alone": alone, "one": one, "two": two, "killed": killed},
            }
        )
    )


if __name__ == "__main__":
    main()
