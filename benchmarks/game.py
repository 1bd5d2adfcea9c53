"""How many players the game carries: rounds and durable guesses beside a bare route, 500 players at once, a SIGKILL.

    python benchmarks/game.py [--quick]

One server process with an invented workspace of 6,000 posts and 3,000 candidates, SQLite, `synchronous=FULL`.

- ratios: requests a second over 32 kept-alive connections, of `hello` (a bare route added to the same application), of
  `GET /api/game/round` with a new card each time, of `POST /api/game/guess`, answered when it is on the disk, and of
  both in turn. The four take turns, several times; the median turn of each counts, as others may use the machine.
- load: 500 players take a card, think for 3 seconds, guess, take the next; milliseconds of every answer, and every
  answer that is not what it should be (`hello`, asked 20 times a second meanwhile, shows what the machine is busy with
  otherwise). In the end, in the middle of all that, the server is killed (SIGKILL), and every
  guess that was acknowledged is looked for in the database; the server is started again and asked for them once more.

Client and server share the machine. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import random
import resource
import signal
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

CORPUS = "village"
POSTS, CANDIDATES = 6_000, 3_000
CONNECTIONS, PLAYERS, THINK_SECONDS, WATCH_SECONDS = 32, 500, 3.0, 0.05
CARDS_A_TURN, ASKED_AGAIN = 1_280, 500
GOALS = {"round_ratio": 0.40, "guess_ratio": 0.15, "mix_ratio": 0.25}


def serve(root: Path) -> None:
    """The server's process: the game as `pasquin play` runs it, and `hello` beside it."""
    from pasquin.config import PlaySettings
    from pasquin.server import _listen, _serve
    from pasquin.server.app import create_app
    from pasquin.workspace import Workspace

    settings = PlaySettings(port=0, attention_every=0, player_rate=1e6, address_rate=1e6)
    with _listen("127.0.0.1", 0) as listener:
        app = create_app(Workspace(root), settings=settings)

        async def hello() -> dict[str, str]:
            return {"hello": "world"}

        app.get("/hello")(hello)
        app.router.routes.insert(0, app.router.routes.pop())  # routes are tried in order: nothing before the bare one
        _serve(app, listener, lambda: print(listener.getsockname()[1], flush=True))


def make_workspace(root: Path) -> None:
    """An invented corpus and candidates for it."""
    from invented import HANDLES, add_candidates, make_corpus, posts, texts
    from pasquin.store import Store
    from pasquin.workspace import Workspace

    workspace = Workspace.create(root)
    make_corpus(workspace, CORPUS, posts(POSTS))
    store = Store.of(workspace)
    near = [f"https://posts.invalid/{number}" for number in range(500)]
    add_candidates(store, CORPUS, texts(CANDIDATES, start=POSTS), accounts=HANDLES, nearest=near)
    store.close()


class Server:
    """The server's process."""

    def __init__(self, root: Path) -> None:
        words = [sys.executable, __file__, "--serve", str(root)]
        self.process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline())

    @property
    def peak_mb(self) -> float:
        """Its largest resident memory (10^6 bytes)."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024 / 1e6

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self.end(signal.SIGINT)

    def end(self, how: signal.Signals) -> None:
        """Stop it."""
        self.process.send_signal(how)
        self.process.wait()


class Connection:
    """A kept-alive connection that costs the client as little as possible: the client must not be what is measured."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self.given = ""

    async def ask(
        self, method: str, path: str, cookie: str = "", body: dict[str, object] | None = None
    ) -> tuple[int, bytes]:
        """Send a request; status and body, and in `given` a cookie that came with it.

        Raises OSError or IncompleteReadError when the server is gone.
        """
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._streams
        content = b"" if body is None else json.dumps(body).encode()
        head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{self._port}\r\nCookie: {cookie}\r\n"
        if body is not None:
            head += f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n"
        writer.write(head.encode() + b"\r\n" + content)
        answer = await reader.readuntil(b"\r\n\r\n")
        length = 0
        for line in answer.split(b"\r\n"):
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
            elif name.lower() == b"set-cookie":
                self.given = value.strip().split(b";")[0].decode()
        return int(answer[9:12]), await reader.readexactly(length)

    def close(self) -> None:
        """Hang up."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


@dataclass
class Player:
    """One player, and what they were told."""

    number: int
    cookie: str = ""
    trial: str = ""
    times: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    acknowledged: dict[str, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.random = random.Random(self.number)

    async def start(self, connection: Connection) -> None:
        """Agree, and get a cookie."""
        await self._ask(connection, "POST", "/api/game/start", {})
        self.cookie = connection.given

    async def take(self, connection: Connection) -> None:
        """Take the card."""
        answer = await self._ask(connection, "GET", f"/api/game/round?category={CORPUS}")
        self.trial = (json.loads(answer).get("trial") or {}).get("id", "") if answer else ""

    async def guess(self, connection: Connection) -> None:
        """Answer it."""
        if not self.trial:
            return
        said = self.random.choice(("human", "model"))
        body: dict[str, object] = {"trial": self.trial, "guess": said, "response_ms": 3_000, "confidence": "sure"}
        if answer := await self._ask(connection, "POST", "/api/game/guess", body):
            self.acknowledged[self.trial] = answer

    async def both(self, connection: Connection) -> None:
        """Take a card and answer it."""
        await self.take(connection)
        await self.guess(connection)

    async def _ask(
        self, connection: Connection, method: str, path: str, body: dict[str, object] | None = None
    ) -> bytes:
        began = time.perf_counter()
        status, answer = await connection.ask(method, path, self.cookie, body)
        self.times.append(time.perf_counter() - began)
        if status != 200:
            self.errors.append(f"{status} {path} {answer[:200]!r}")
            return b""
        return answer

    async def play(self, connection: Connection, over: asyncio.Event) -> None:
        """Card, thought, guess, until it is over or the server is gone."""
        try:
            await asyncio.sleep(self.random.uniform(0, THINK_SECONDS))
            while not over.is_set():
                await self.take(connection)
                await asyncio.sleep(THINK_SECONDS * self.random.uniform(0.7, 1.3))
                await self.guess(connection)
        except (OSError, asyncio.IncompleteReadError) as exc:
            if not over.is_set():
                self.errors.append(f"{type(exc).__name__} {exc}")


Request = Callable[[Connection], Awaitable[object]]


@asynccontextmanager
async def connections(port: int, number: int) -> AsyncIterator[list[Connection]]:
    """Connections, hung up in the end."""
    there = [Connection(port) for _ in range(number)]
    yield there
    for one in there:
        one.close()


async def shared_out(there: list[Connection], work: Iterable[Request]) -> float:
    """Do `work` with as many at a time as there are connections; requests a second."""
    todo, done = iter(work), 0

    async def worker(connection: Connection) -> None:
        nonlocal done
        for request in todo:
            await request(connection)
            done += 1

    began = time.perf_counter()
    await asyncio.gather(*(worker(connection) for connection in there))
    return done / (time.perf_counter() - began)


async def hello(connection: Connection) -> None:
    """Ask the bare route."""
    await connection.ask("GET", "/hello")


async def ratios(port: int, turns: int) -> dict[str, float]:
    """Requests a second of each kind, the median of `turns` turns, and beside `hello`."""
    rates: dict[str, list[float]] = {kind: [] for kind in ("hello", "round", "guess", "mix")}
    there = [Player(number) for number in range(CARDS_A_TURN)]
    async with connections(port, CONNECTIONS) as open_ones:
        await shared_out(open_ones, [player.start for player in there])
        for turn in range(turns + 1):
            measured = {
                "hello": await shared_out(open_ones, [hello] * CARDS_A_TURN),
                "round": await shared_out(open_ones, [player.take for player in there]),
                "guess": await shared_out(open_ones, [player.guess for player in there]),
                "mix": 2 * await shared_out(open_ones, [player.both for player in there]),
            }
            if turn:  # the first is a warm-up
                for kind, rate in measured.items():
                    rates[kind].append(rate)
    if wrong := [error for player in there for error in player.errors]:
        raise SystemExit(f"{len(wrong)} answers were wrong, the first: {wrong[0]}")
    figures = {f"{kind}_per_second": statistics.median(found) for kind, found in rates.items()}
    for kind in ("round", "guess", "mix"):
        shares = [one / bare for one, bare in zip(rates[kind], rates["hello"], strict=True)]
        figures[f"{kind}_ratio"] = statistics.median(shares)
    return figures


async def load(server: Server, seconds: float) -> dict[str, Any]:
    """Players who think; then the kill. What they were told, and how long it took."""
    there, over = [Player(number) for number in range(PLAYERS)], asyncio.Event()
    async with connections(server.port, PLAYERS) as own:
        await shared_out(own[:CONNECTIONS], [player.start for player in there])
        playing = [
            asyncio.create_task(player.play(connection, over)) for player, connection in zip(there, own, strict=True)
        ]
        await asyncio.sleep(THINK_SECONDS)
        for player in there:
            player.times.clear()
        bare: list[float] = []
        until = time.perf_counter() + seconds
        async with connections(server.port, 1) as (watching,):
            while (began := time.perf_counter()) < until:
                await hello(watching)
                bare.append(time.perf_counter() - began)
                await asyncio.sleep(WATCH_SECONDS)
        times = sorted(took for player in there for took in player.times)
        peak = server.peak_mb
        over.set()
        server.end(signal.SIGKILL)
        await asyncio.gather(*playing)
    return {
        "requests_per_second": len(times) / seconds,
        "p50_ms": 1000 * times[len(times) // 2],
        "p99_ms": 1000 * _p99(times),
        "hello_p99_ms": 1000 * _p99(sorted(bare)),
        "peak_mb": peak,
        "errors": sum(len(player.errors) for player in there),
        "first_error": next((error for player in there for error in player.errors), None),
        "told": {trial: (player, answer) for player in there for trial, answer in player.acknowledged.items()},
    }


def _p99(times: list[float]) -> float:
    return times[math.ceil(0.99 * len(times)) - 1]


async def lost(root: Path, told: dict[str, tuple[Player, bytes]], port: int) -> int:
    """How many acknowledged guesses are not in the database, or are answered otherwise by a server started anew."""
    with sqlite3.connect(root / "pasquin.db") as database:
        stored = {trial for (trial,) in database.execute("SELECT trial FROM guesses")}
    missing = set(told) - stored
    async with connections(port, 1) as (connection,):
        for trial in random.Random(0).sample(sorted(told), min(ASKED_AGAIN, len(told))):
            player, before = told[trial]
            body: dict[str, object] = {"trial": trial, "guess": "human", "response_ms": 1}
            status, answer = await connection.ask("POST", "/api/game/guess", player.cookie, body)
            if status != 200 or any(json.loads(answer)[key] != json.loads(before)[key] for key in ("guess", "origin")):
                missing.add(trial)
    return len(missing)


def measure(quick: bool) -> dict[str, Any]:
    """All of it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(max(soft, 4 * PLAYERS), hard), hard))
    turns, seconds = (5, 60.0) if quick else (15, 600.0)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        make_workspace(root)
        with Server(root) as server:
            figures: dict[str, Any] = asyncio.run(ratios(server.port, turns))
        with Server(root) as server:
            figures |= asyncio.run(load(server, seconds))
        told = figures.pop("told")
        with Server(root) as server:
            figures |= {"acknowledged": len(told), "lost_guesses": asyncio.run(lost(root, told, server.port))}
    return figures


def main() -> None:
    """Measure, print a table for people, then one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="at most 5 minutes on 2 cores")
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        return serve(given.serve)
    figures = measure(given.quick)
    print(f"{'a bare route':24}{figures['hello_per_second']:10,.0f} requests/s")
    for kind, goal in GOALS.items():
        name = kind.removesuffix("_ratio")
        print(
            f"{name:24}{figures[f'{name}_per_second']:10,.0f} requests/s  {figures[kind]:.2f} of it (goal: {goal:.2f})"
        )
    print(f"{PLAYERS} players             {figures['requests_per_second']:10,.0f} requests/s")
    print(f"  half of them within   {figures['p50_ms']:10,.0f} ms")
    print(f"  99% within            {figures['p99_ms']:10,.0f} ms  (goal: 100; hello: {figures['hello_p99_ms']:.0f})")
    print(f"errors                  {figures['errors']:10,} {figures['first_error'] or ''}")
    print(f"lost after SIGKILL      {figures['lost_guesses']:10,} of {figures['acknowledged']:,} acknowledged guesses")
    print(f"peak memory             {figures['peak_mb']:10,.0f} MB")
    return print(json.dumps(figures))


if __name__ == "__main__":
    main()
