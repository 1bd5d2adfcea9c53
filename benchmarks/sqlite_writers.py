"""Sixteen processes writing the ledger of one SQLite database: nobody may hear "database is locked".

    python benchmarks/sqlite_writers.py [--quick] [--seconds 600] [--writers 16]

Each writer claims, attempts and confirms entries of a bot of its own, three durable transactions a publication, with
no network in between. Last line: one JSON object, `{writers, seconds, writes, writes_per_second, p50_ms, p99_ms,
slowest_ms, locked}`.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sys
import tempfile
import time
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from pasquin.errors import StoreError
from pasquin.publish.ledger import Ledger
from pasquin.store import Store
from pasquin.workspace import Workspace
from publish_fakes import workspace_with

ENTRIES = 20


def main() -> None:
    """Print the figures."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--quick", action="store_true")
    options.add_argument("--seconds", type=float)
    options.add_argument("--writers", type=int, default=16)
    chosen = options.parse_args()
    print(json.dumps(measure(chosen.writers, chosen.seconds or (20.0 if chosen.quick else 600.0))))


def measure(writers: int, seconds: float) -> dict[str, Any]:
    """Write for so long; how fast it was, and how often somebody was locked out."""
    bots = {f"b{number}": {"network": "file", "account": "out.jsonl"} for number in range(writers)}
    texts = {name: [f"{name} says {number}." for number in range(ENTRIES)] for name in bots}
    with tempfile.TemporaryDirectory() as folder:
        root = workspace_with(Path(folder) / "w", bots, texts).root
        context = multiprocessing.get_context("fork")
        answers: Any = context.SimpleQueue()
        until = time.monotonic() + seconds
        work = [context.Process(target=_write, args=(root, name, until, answers)) for name in bots]
        for process in work:
            process.start()
        found = [answers.get() for _ in work]
        for process in work:
            process.join()
    times = sorted(took for one in found for took in one["times"])
    return {
        "writers": writers,
        "seconds": seconds,
        "writes": len(times),
        "writes_per_second": round(len(times) / seconds, 1),
        "p50_ms": round(1_000 * times[len(times) // 2], 1),
        "p99_ms": round(1_000 * times[int(len(times) * 0.99)], 1),
        "slowest_ms": round(1_000 * times[-1], 1),
        "locked": sum(one["locked"] for one in found),
    }


def _write(root: Path, bot: str, until: float, answers: Any) -> None:
    store = Store.of(Workspace.open(root))
    ledger = Ledger(store, 60)
    times: list[float] = []
    locked = 0

    def timed(work: Any) -> Any:
        began = time.monotonic()
        try:
            return work()
        finally:
            times.append(time.monotonic() - began)

    while time.monotonic() < until:
        try:
            now = datetime.now(UTC)
            entry = timed(partial(ledger.claim, bot, now, scheduled=False)).entry
            if entry is None:
                break
            entry = timed(partial(ledger.attempt, entry, {"key": "k"}, {}, ("file", "out.jsonl"), now))
            timed(partial(ledger.put_back, entry, "again", now))
        except StoreError as exc:
            if "locked" not in str(exc):
                raise
            locked += 1
    store.close()
    answers.put({"times": times, "locked": locked})


if __name__ == "__main__":
    main()
