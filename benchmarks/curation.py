"""How fast the curation API answers eight curators at once on SQLite, and whether the page ever makes anybody wait.

    python benchmarks/curation.py [--quick]

A server of its own with 10,000 invented candidates. Eight curators decide through the API as the page does: a decision
every quarter of a second each (faster than people), candidates fetched 60 at a time after every eighth. Every decision
is on the disk before it is answered; at the end they are counted in the database, and sending all of them a second time
must add none. The peer is a bare route (`/healthz`, which asks the database for 1) under the same load in the same run.

Then 500 decisions in a real browser (where Chromium is): the time from a key until the next candidate has been painted,
and every task of the page that held up its thread for longer than 50 ms (the browser's own `longtask` entries). What is
being done, and since when, goes to stderr. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import secrets
import shutil
import statistics
import sys
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import sqlalchemy as sa

from pasquin.curate.curators import curator_named, make_link
from pasquin.store import Store
from pasquin.store.schema import decisions
from pasquin.workspace import Workspace

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from invented import add_candidates, make_corpus, posts, texts

CURATORS = 8
CANDIDATES = 10_000
THINKING_SECONDS = 0.25
FETCH_EVERY = 8
AHEAD = 60
BROWSER_DECISIONS = 500
BROWSER_ROUND = 100
PAGE_SECONDS = 30
BEGAN = time.monotonic()


def serve(root: Path, ready: Connection) -> None:
    """The server that `pasquin curate` runs, in a process of its own."""
    from pasquin.config import CurateSettings
    from pasquin.server import curate

    def answering(link: str) -> None:
        ready.send(urlsplit(link).port)

    curate(Workspace.open(root), settings=CurateSettings(overlap=10, port=0), ready=answering)


class Curator:
    """One person at work."""

    def __init__(self, url: str, token: str) -> None:
        self.client = httpx.AsyncClient(base_url=url, timeout=30)
        self.token = token
        self.writes: list[float] = []
        self.reads: list[float] = []
        self.hellos: list[float] = []
        self.sent: list[dict[str, object]] = []
        self.errors = 0

    async def timed(self, times: list[float], method: str, path: str, **more: object) -> httpx.Response:
        """A request, its milliseconds noted."""
        began = time.perf_counter()
        answer = await self.client.request(method, path, **more)
        times.append((time.perf_counter() - began) * 1000)
        self.errors += answer.status_code != 200
        return answer

    async def work(self, count: int) -> None:
        """Decide `count` times."""
        await self.client.post("/api/curation/sign-in", json={"token": self.token})
        queue: list[dict[str, object]] = []
        for number in range(count):
            if number % FETCH_EVERY == 0 or not queue:
                have = ",".join(str(card["id"]) for card in queue[:4])
                answer = await self.timed(self.reads, "GET", "/api/curation/cards", params={"n": AHEAD, "have": have})
                queue = queue[:4] + answer.json()
            await self.timed(self.hellos, "GET", "/healthz")
            entry = {
                "key": secrets.token_hex(16),
                "candidate": queue.pop(0)["id"],
                "decision": ("accept", "reject", "reject", "reject", "skip")[number % 5],
                "seconds": THINKING_SECONDS,
            }
            self.sent.append(entry)
            await self.timed(self.writes, "POST", "/api/curation/decisions", json={"entries": [entry]})
            await asyncio.sleep(THINKING_SECONDS)

    async def send_again(self) -> None:
        """Everything a second time, as after a lost connection."""
        for start in range(0, len(self.sent), 50):
            answer = await self.client.post("/api/curation/decisions", json={"entries": self.sent[start : start + 50]})
            self.errors += any(each["outcome"] != "known" for each in answer.json()["outcomes"])
        await self.client.aclose()


async def load(url: str, tokens: list[str], count: int) -> list[Curator]:
    """All curators at once."""
    curators = [Curator(url, token) for token in tokens]
    await asyncio.gather(*(curator.work(count) for curator in curators))
    await asyncio.gather(*(curator.send_again() for curator in curators))
    return curators


def in_browser(url: str, token: str, count: int) -> tuple[list[float], list[float]] | None:
    """Milliseconds from a key until the next candidate was painted, and the page's tasks of more than 50 ms.

    None where there is no Chromium. Raises TimeoutError when the page stands still, or keeps decisions to itself.
    """
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        return None
    if chromium is None:
        return None
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page()
        page.goto(f"{url}/curate#sign-in={token}")
        page.locator(".preview").wait_for()
        page.wait_for_timeout(2_000)
        page.evaluate(WATCH_TASKS)
        times: list[float] = []
        while len(times) < count:
            times += page.evaluate(DECIDE, [min(BROWSER_ROUND, count - len(times)), len(times), PAGE_SECONDS])
            say(f"{len(times)} decisions in the browser, the longest pause {max(times):.0f} ms")
        tasks: list[float] = page.evaluate("window.longTasks")
        _all_sent(page)
        browser.close()
    return times, tasks


WATCH_TASKS = """() => {
    window.longTasks = [];
    new PerformanceObserver((list) => window.longTasks.push(...list.getEntries().map((one) => one.duration)))
        .observe({ entryTypes: ['longtask'] });
}"""
DECIDE = """async ([count, first, patience]) => {
    const times = [];
    const shown = () => document.querySelector('[data-candidate]')?.dataset.candidate;
    const painted = () => new Promise((done) => requestAnimationFrame(() => setTimeout(done, 0)));
    for (let number = first; number < first + count; number += 1) {
        const before = shown(), began = performance.now();
        window.dispatchEvent(new KeyboardEvent('keydown', { key: number % 5 ? 'r' : 'a' }));
        do {
            await painted();
            if (performance.now() - began > patience * 1000) throw new Error('no next candidate');
        } while (!shown() || shown() === before);
        times.push(performance.now() - began);
        await new Promise((next) => setTimeout(next, 100));
    }
    return times;
}"""


def _all_sent(page: Any) -> None:
    """Wait until the page has sent what it decided."""
    until = time.monotonic() + PAGE_SECONDS
    while page.evaluate("Object.keys(localStorage).some((name) => name.startsWith('pasquin-decision:'))"):
        if time.monotonic() > until:
            raise TimeoutError(f"After {PAGE_SECONDS} s the page had not sent all decisions.")
        page.wait_for_timeout(100)


def say(what: str) -> None:
    """What is being done now, to stderr, with the seconds since the start."""
    print(f"{time.monotonic() - BEGAN:6.1f} s  {what}", file=sys.stderr, flush=True)


def share(times: list[float], part: float) -> float:
    """The value that `part` of the times do not exceed."""
    ordered = sorted(times)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))]


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="80 decisions a curator instead of 500")
    count = 80 if parser.parse_args().quick else 500
    with tempfile.TemporaryDirectory() as folder:
        say(f"making a corpus and {CANDIDATES} candidates")
        workspace = Workspace.create(Path(folder))
        make_corpus(workspace, "village", posts(240))
        store = Store.of(workspace)
        nearest = tuple(f"https://posts.invalid/{number}" for number in range(100))
        add_candidates(store, "village", texts(CANDIDATES, start=240), accounts=("ada", "bo"), nearest=nearest)
        tokens = [make_link(store, curator_named(store, f"curator {number}")) for number in range(CURATORS + 1)]
        context = multiprocessing.get_context("spawn")
        here, there = context.Pipe()
        server = context.Process(target=serve, args=(workspace.root, there))
        server.start()
        try:
            url = f"http://127.0.0.1:{here.recv()}"
            httpx.get(f"{url}/healthz", timeout=60)
            say(f"{CURATORS} curators decide {count} times each")
            curators = asyncio.run(load(url, tokens[:-1], count))
            say(f"{BROWSER_DECISIONS} decisions in a browser")
            pauses, tasks = in_browser(url, tokens[-1], BROWSER_DECISIONS) or ([], [])
            with store.read() as connection:
                stored = connection.execute(sa.select(sa.func.count()).select_from(decisions)).scalar() or 0
        finally:
            server.terminate()
            server.join()
        store.close()
    made = CURATORS * count + len(pauses)
    writes = [each for curator in curators for each in curator.writes]
    reads = [each for curator in curators for each in curator.reads[1:]]
    hellos = [each for curator in curators for each in curator.hellos]
    for name, times in (("a decision", writes), ("60 candidates", reads), ("bare route", hellos)):
        print(f"{name:16} p50 {statistics.median(times):7.1f} ms   p99 {share(times, 0.99):7.1f} ms   n {len(times)}")
    if pauses:
        middle, longest = statistics.median(pauses), max(pauses)
        print(f"{'in the browser':16} p50 {middle:7.1f} ms   longest {longest:7.1f} ms   n {len(pauses)}")
        print(f"{'tasks > 50 ms':16} {len(tasks)}, the longest {max(tasks, default=0.0):.0f} ms")
    else:
        print("There is no Chromium here: the page was not measured.")
    print(
        json.dumps(
            {
                "curators": CURATORS,
                "candidates": CANDIDATES,
                "p50_ms": round(statistics.median(writes + reads), 2),
                "p99_ms": round(share(writes + reads, 0.99), 2),
                "decision_p99_ms": round(share(writes, 0.99), 2),
                "cards_p99_ms": round(share(reads, 0.99), 2),
                "bare_p99_ms": round(share(hellos, 0.99), 2),
                "longest_pause_ms": round(max(pauses), 1) if pauses else None,
                "pause_p99_ms": round(share(pauses, 0.99), 1) if pauses else None,
                "longest_task_ms": round(max(tasks, default=0.0), 1) if pauses else None,
                "errors": sum(curator.errors for curator in curators),
                "lost_decisions": max(0, made - stored),
                "extra_decisions": max(0, stored - made),
            }
        )
    )


if __name__ == "__main__":
    main()
