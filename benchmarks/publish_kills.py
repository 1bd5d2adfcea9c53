"""Publishing while it is killed: SIGKILL at every step, and servers that commit and then drop their answer.

    python benchmarks/publish_kills.py [--quick] [--kills 3000] [--lanes 4] [--networks file webhook bluesky mastodon x]

Each run is a process of its own that publishes one text and is killed: after the claim, before or after the intent is
stored, while the request is on its way, when it is carried out and not answered, after the answer, while it looks what
became of an earlier one, or at any moment. At the end everything is published without kills, and what the network has
is compared with the queue. Bluesky is a real server (PDS; needs Node 20), Mastodon `mastodon-mock`, X and the webhook
are servers with a memory. A lane is a bot with a workspace and a server of its own; the lanes of a network run at once
and share its kills. `--quick` kills 150 times a network. Last line: one JSON object,
`{network: {kills, duplicates, lost, unknown}}`; no failure in 3,000 bounds the rate below 0.1% (95%).
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
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import httpx

from fake_x_posting import FakeX
from lossy_wire import LossyWire
from pasquin.publish import enqueue, publish, setup, show
from pasquin.publish.running import Bot
from pasquin.workspace import Workspace
from publish_fakes import accepted, compliant_settings, workspace_with

STEPS = ("claimed", "frozen", "attempting", "answered", "confirmed", "settling", "in doubt")
LOSSES = ("drop before", "drop after", "reset after", "500 after", "503 before")
NETWORKS = ("file", "webhook", "bluesky", "mastodon", "x")
STUCK_SECONDS = 120.0
BATCH = 50
"""How many texts are queued at a time, so that few are left when the last kill is done."""


@dataclass
class Place:
    """A network to publish to: the workspace of its bot, what it has, and the wire in front of it."""

    workspace: Workspace
    texts: Callable[[], Counter[str]]
    wire: Wire | None = None


class Wire(LossyWire):
    """A lossy wire that can also kill whoever asks, before or after the request was carried out."""

    def __init__(self, target: str, posts: str) -> None:
        self.plan, self.child = "none", 0
        super().__init__(target, lambda method, path: method == "POST" and posts in path, self._fault)
        self.after = self._after
        self._watching = False

    def _fault(self) -> str:
        plan, self.plan = self.plan, "none"
        self._watching = plan == "kill after"
        if plan == "kill before":
            self._kill()
            return "drop before"
        return "drop after" if plan == "kill after" else plan

    def _after(self) -> None:
        if self._watching:
            self._watching = False
            self._kill()

    def _kill(self) -> None:
        if self.child:
            os.kill(self.child, signal.SIGKILL)


def main() -> None:
    """Print a table, then the figures."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--quick", action="store_true")
    options.add_argument("--kills", type=int, default=3_000)
    options.add_argument("--networks", nargs="*", default=list(NETWORKS), choices=NETWORKS)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--lanes", type=int, default=4, help="how many bots are killed at once")
    chosen = options.parse_args()
    kills = 150 if chosen.quick else chosen.kills
    figures: dict[str, dict[str, int]] = {}
    print(f"{'network':<10}{'kills':>8}{'duplicates':>12}{'lost':>8}{'unknown':>9}{'seconds':>9}")
    for network in chosen.networks:
        began = time.monotonic()
        figures[network] = measure(network, kills, chosen.lanes, chosen.seed)
        row = figures[network]
        cells = f"{row['kills']:>8}{row['duplicates']:>12}{row['lost']:>8}{row['unknown']:>9}"
        print(f"{network:<10}{cells}{time.monotonic() - began:>9.0f}", flush=True)
    print(json.dumps(figures))


def measure(network: str, kills: int, lanes: int, seed: int) -> dict[str, int]:
    """Kill a network's publishers so many times, in so many lanes; what came of it."""
    shares = [kills // lanes + (lane < kills % lanes) for lane in range(lanes)]
    context = multiprocessing.get_context("spawn")
    with context.Pool(lanes, maxtasksperchild=1) as pool:
        wanted = [(network, share, seed * 1_000 + lane) for lane, share in enumerate(shares) if share]
        found = sum((Counter(one) for one in pool.starmap(measure_lane, wanted, chunksize=1)), Counter())
    return {key: found[key] for key in ("kills", "duplicates", "lost", "unknown")}


def measure_lane(network: str, kills: int, seed: int) -> dict[str, int]:
    """Kill the publishers of one bot so many times, then let it finish."""
    queue = _texts(network, 0)
    with tempfile.TemporaryDirectory() as folder, PLACES[network](Path(folder), queue) as place:
        publish(place.workspace, "b", limit=1)  # what is imported once need not be imported by every child
        done = _kill_often(place, kills, random.Random(f"{network} {seed}"), queue)
        while publish(place.workspace, "b", limit=200, change=_at_once)["published"]:
            continue
        entries = show(place.workspace, "b")[0]["queue"]
        there = place.texts()
    unknown = {entry["text"] for entry in entries if entry["state"] == "unknown"}
    return {
        "kills": done,
        "duplicates": sum(count - 1 for count in there.values() if count > 1),
        "lost": sum(1 for text in queue if text not in there and text not in unknown),
        "unknown": len(unknown),
    }


def _texts(network: str, start: int) -> list[str]:
    return [f"{network} text {start + number}: a remark & what it leads to 👍🏽." for number in range(BATCH)]


def _kill_often(place: Place, kills: int, chance: random.Random, queue: list[str]) -> int:
    """Kill so many times; `queue` grows by a batch for every batch of runs, as each run takes one text at most."""
    done = runs = 0
    while done < kills:
        if runs % BATCH == 0:
            more = _texts(queue[0].split()[0], len(queue))
            enqueue(place.workspace, "b", accepted(place.workspace, more))
            queue += more
        plan = chance.choice((*STEPS, "kill before", "kill after", "kill after", "at any time", "nothing"))
        loss = chance.choice(LOSSES) if plan in ("in doubt", "settling") else "none"
        done += _run(place, plan, loss, chance.uniform(0.0, 0.15))
        runs += 1
    return done


def _run(place: Place, plan: str, loss: str, seconds: float) -> bool:
    """One publisher, as planned; whether it was killed."""
    wire = place.wire
    if wire is not None:
        wire.child, wire.plan = 0, "none"
    child = os.fork()
    if child == 0:
        _publish_in_child(place.workspace, plan)
    if wire is not None:
        wire.child = child
        wire.plan = plan if plan.startswith("kill") else loss
    if plan == "at any time":
        time.sleep(seconds)
        os.kill(child, signal.SIGKILL)
    stuck = threading.Timer(STUCK_SECONDS, os.kill, (child, signal.SIGABRT))
    stuck.start()
    status = os.waitpid(child, 0)[1]
    stuck.cancel()
    if wire is not None:
        wire.child = 0
    if os.WTERMSIG(status) == signal.SIGABRT:
        raise TimeoutError("a publisher was stuck")
    return os.WTERMSIG(status) == signal.SIGKILL


def _publish_in_child(workspace: Workspace, plan: str) -> None:
    def change(bot: Bot) -> None:
        _at_once(bot)
        bot.on_step = lambda step: os.kill(os.getpid(), signal.SIGKILL) if step == plan else None

    try:
        publish(workspace, "b", limit=1, change=change)
    finally:
        os._exit(0)


def _at_once(bot: Bot) -> None:
    bot.rest = lambda _: None


# -- the networks ------------------------------------------------------------------------------------------------------


@contextmanager
def _file(folder: Path, queue: list[str]) -> Iterator[Place]:
    workspace = workspace_with(folder / "w", {"b": compliant_settings("file", "out.jsonl")}, {"b": queue})

    def texts() -> Counter[str]:
        return Counter(json.loads(line)["text"] for line in (workspace.root / "out.jsonl").read_text().splitlines())

    yield Place(workspace, texts)


class Receiver:
    """A webhook's receiver: it has each key once."""

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                receiver.texts[self.headers["Idempotency-Key"]] = body["text"]
                self.send_response(200)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, *_: object) -> None:
                return None

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@contextmanager
def _webhook(folder: Path, queue: list[str]) -> Iterator[Place]:
    with closing(Receiver()) as receiver, closing(Wire(receiver.url, "/hook")) as wire:
        _settle(wire)
        settings = compliant_settings("webhook", f"{wire.url}/hook")
        workspace = workspace_with(folder / "w", {"b": settings}, {"b": queue})
        yield Place(workspace, lambda: Counter(receiver.texts.values()), wire)


@contextmanager
def _bluesky(folder: Path, queue: list[str]) -> Iterator[Place]:
    from local_pds import PASSWORD, local_pds

    with local_pds(folder) as pds:
        account = pds.account("kills")
        with closing(Wire(pds.pds, "putRecord")) as wire:
            _settle(wire, PASSWORD=PASSWORD)
            settings = compliant_settings("bluesky", account.handle, server=wire.url)
            workspace = workspace_with(folder / "w", {"b": settings}, {"b": queue})
            setup(workspace, "b", picture=False)
            yield Place(workspace, lambda: Counter(one["text"] for one in account.listed().values()), wire)


@contextmanager
def _mastodon(folder: Path, queue: list[str]) -> Iterator[Place]:
    from test_mastodon_server import Mock

    mock = Mock(folder, [])
    mock.start()
    with closing(mock), closing(Wire(f"http://127.0.0.1:{mock.port}", "/api/v1/statuses")) as wire:
        _settle(wire, TOKEN="of_alice")
        client = httpx.Client(
            base_url=f"http://127.0.0.1:{mock.port}", headers={"Authorization": "Bearer of_alice"}, timeout=30
        )
        client.patch("/api/v1/accounts/update_credentials", data={"display_name": "Vee (AI parody)"})
        settings = compliant_settings("mastodon", "@alice@127.0.0.1", server=wire.url)
        workspace = workspace_with(folder / "w", {"b": settings}, {"b": queue})
        setup(workspace, "b", picture=False)
        with closing(client):
            yield Place(workspace, lambda: _statuses(client), wire)


def _statuses(client: httpx.Client) -> Counter[str]:
    from pasquin.networks.html_text import html_text

    me = client.get("/api/v1/accounts/verify_credentials").raise_for_status().json()["id"]
    found: Counter[str] = Counter()
    older: dict[str, Any] = {}
    while page := client.get(f"/api/v1/accounts/{me}/statuses", params={"limit": 40, **older}).json():
        found.update(html_text(one["content"]) for one in page)
        older = {"max_id": page[-1]["id"]}
    return found


@contextmanager
def _x(folder: Path, queue: list[str]) -> Iterator[Place]:
    with closing(FakeX()) as fake, closing(Wire(fake.url, "/2/tweets")) as wire:
        keys = ("API_KEY", "API_SECRET", "ACCESS_TOKEN", "ACCESS_SECRET")
        _settle(wire, **dict.fromkeys(keys, "not a secret"))
        settings = compliant_settings("x", "@vee_ai", server=wire.url, confirmed=["automated"])
        workspace = workspace_with(folder / "w", {"b": settings}, {"b": queue})
        yield Place(workspace, lambda: Counter(text for _, text, _ in fake.posts), wire)


def _settle(wire: Wire, **secrets: str) -> None:
    """What publishers must be told to use a server on this machine."""
    os.environ["PASQUIN_PUBLISH_ALLOW_PRIVATE_HOSTS"] = f"127.0.0.1:{wire.port},127.0.0.1"
    for name, value in secrets.items():
        os.environ[f"PASQUIN_BOT_B_{name}"] = value


PLACES = {"file": _file, "webhook": _webhook, "bluesky": _bluesky, "mastodon": _mastodon, "x": _x}

if __name__ == "__main__":
    main()
