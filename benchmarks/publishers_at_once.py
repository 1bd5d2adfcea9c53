"""Eight publishers and a cron at once on the queues of eight bots, one of them paused past its lease again and again.

    python benchmarks/publishers_at_once.py [--quick] [--slots 10000] [--seconds 10800]

Every publisher is a process on one SQLite database; the cron starts a new one every half second. One publisher is
stopped (SIGSTOP) in the middle of a publication for longer than its lease, then goes on: what it writes then must be
refused, as another has taken over. The clock of all runs from 2031 on, so that every slot is due. Last line: one JSON
object, `{slots, publishers, published, duplicates, missed, stale_blocked, pauses, seconds, per_second}`.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from pasquin.config import PublishSettings
from pasquin.errors import PasquinError
from pasquin.publish import publish
from pasquin.publish.running import Bot
from pasquin.workspace import Workspace
from publish_fakes import workspace_with

BOTS = 8
PUBLISHERS = 8
LEASE_SECONDS = 5.0
DUE = datetime(2031, 1, 1, tzinfo=UTC)
BEGAN = datetime.now(UTC)
STEPS = ("claimed", "frozen", "attempting", "answered")
SETTINGS = PublishSettings(lease_seconds=LEASE_SECONDS, timeout_seconds=1.0)


def main() -> None:
    """Print the figures."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--quick", action="store_true")
    options.add_argument("--slots", type=int)
    options.add_argument("--seconds", type=float, default=3 * 3_600.0)
    chosen = options.parse_args()
    print(json.dumps(measure(chosen.slots or (400 if chosen.quick else 10_000), chosen.seconds)))


def measure(slots: int, seconds: float) -> dict[str, Any]:
    """Drain so many due slots; what came of it."""
    names = [f"b{number}" for number in range(BOTS)]
    texts = {name: [f"{name} says {number}." for number in range(slots // BOTS)] for name in names}
    bot = {"network": "file", "rest_minutes": 0.0, "minimum_stock": 0, "schedule": "*/5 * * * *", "grace_hours": 99999}
    with tempfile.TemporaryDirectory() as folder:
        bots = {name: {**bot, "account": f"{name}.jsonl"} for name in names}
        root = workspace_with(Path(folder) / "w", bots, texts).root
        began = time.monotonic()
        stale, pauses = _drain(root, names, began + seconds)
        took = time.monotonic() - began
        out: Counter[str] = Counter()
        for name in names:
            out.update(json.loads(line)["text"] for line in (root / f"{name}.jsonl").read_text().splitlines())
    wanted = {text for some in texts.values() for text in some}
    return {
        "slots": len(wanted),
        "publishers": PUBLISHERS,
        "published": sum(out.values()),
        "duplicates": sum(count - 1 for count in out.values()),
        "missed": len(wanted - set(out)),
        "stale_blocked": stale,
        "pauses": pauses,
        "seconds": round(took, 1),
        "per_second": round(len(wanted) / took, 1),
    }


def _drain(root: Path, names: list[str], until: float) -> tuple[int, int]:
    context = multiprocessing.get_context("fork")
    stale, pauses = context.Value("i", 0), context.Value("i", 0)
    done = context.Event()
    work = [
        context.Process(target=_publisher, args=(root, names[place:] + names[:place], until, stale, pauses, place == 0))
        for place in range(PUBLISHERS)
    ]
    cron = context.Process(target=_cron, args=(root, names, until, done, stale))
    waker = context.Process(target=_waker, args=(work_ids := context.Array("i", 1), done))
    for process in (*work, cron):
        process.start()
    work_ids[0] = work[0].pid or 0
    waker.start()
    for process in work:
        process.join()
    done.set()
    cron.join()
    waker.join()
    return stale.value, pauses.value


def _publisher(root: Path, names: list[str], until: float, stale: Any, pauses: Any, paused: bool) -> None:
    """Publish until nothing is left; `paused`: stop in the middle of every sixth publication or so."""
    workspace, chance = Workspace.open(root), random.Random(5)

    def step(now: str) -> None:
        if paused and now in STEPS and chance.random() < 0.05:
            with pauses.get_lock():
                pauses.value += 1
            os.kill(os.getpid(), signal.SIGSTOP)

    left = dict.fromkeys(names, 1)
    while any(left.values()) and time.monotonic() < until:
        for name in names:
            if left[name]:
                left[name] = _run(workspace, name, stale, step, 10)


def _run(workspace: Workspace, name: str, stale: Any, step: Any, limit: int | None) -> int:
    """One run of a bot; how many are left, or are being published by another."""
    opened: list[Bot] = []

    def change(bot: Bot) -> None:
        bot.clock, bot.rest, bot.on_step = lambda: DUE + (datetime.now(UTC) - BEGAN), lambda _: None, step
        opened.append(bot)

    try:
        result = publish(workspace, name, limit=limit, settings=SETTINGS, change=change)
    except PasquinError as exc:
        print(f"{name}: {exc}", file=sys.stderr)
        return 1
    gone = sum(outcome["state"] == "stale" for outcome in opened[0].outcomes)
    with stale.get_lock():
        stale.value += gone
    if result["state"] == "busy":
        time.sleep(0.05)
    return int(result["stock"]) + (result["state"] in ("busy", "clock") or gone > 0 or bool(result["unknown"]))


def _cron(root: Path, names: list[str], until: float, done: Any, stale: Any) -> None:
    """Start a process for every bot in turn, twice a second, as cron would."""
    turn = 0
    while not done.is_set() and time.monotonic() < until:
        child = os.fork()
        if child == 0:
            try:
                _run(Workspace.open(root), names[turn % len(names)], stale, lambda _: None, 1)
            finally:
                os._exit(0)
        os.waitpid(child, 0)
        turn += 1
        done.wait(0.5)


def _waker(ids: Any, done: Any) -> None:
    """Let the stopped publisher go on, a while after its lease ran out."""
    while not done.is_set():
        if _stopped(ids[0]):
            done.wait(LEASE_SECONDS + 1.5)
            os.kill(ids[0], signal.SIGCONT)
        done.wait(0.2)


def _stopped(number: int) -> bool:
    try:
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] == "T"
    except OSError:
        return False


if __name__ == "__main__":
    main()
