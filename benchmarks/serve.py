"""How fast, and in how much memory, `pasquin serve` answers on one core, beside the engine it uses.

    python benchmarks/serve.py [MODEL] [--quick]

MODEL is a directory of a llama- or qwen-type model (default: the starter model, fetched once). The server, with the
process its model runs in, is held to one core; so is the peer: the same engine opened the same way, in a process of
its own, without HTTP; and so is OpenVINO GenAI's own pipeline on the model as a GGUF file (Q8_0), one post at a time.
They take turns and the best turn of each counts, as others may be busy on the machine. Clients run on whatever other
cores there are.

- cold start: from starting the program to the last byte of the first post; its graph is there already, as it is
  from a model's first start on.
- one client: posts of up to 28 tokens one after the other, whole, the median: each with a seed of its own, so that it
  is begun when it is asked for; and the same request without a seed again and again, as fast as it is answered, where
  texts are begun ahead (the median and the mean).
- 32 clients: tokens a second, each client asking again as soon as it is answered; meanwhile 500 slow clients hold
  connections on which they send half a request and no more, and `/healthz` is asked every 50 ms.
- memory: the largest of both processes, added up.

The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from generate import make_workspace

CLIENTS, SLOW, TOKENS = 32, 500, 28
SAMPLING = {"temperature": 1.0, "top_k": 200, "top_p": 0.95, "max_tokens": TOKENS}


def one_core() -> None:
    """Hold this process, and those it starts, to one core."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


def engine_turns(folder: Path) -> None:
    """The peer's process: for each line read, seconds of that many single posts, and tokens/s of a full batch."""
    from pasquin.engines.openvino import OpenVINO
    from pasquin.post_format import PostFormat
    from pasquin.records import Prompt, Sampling

    engine, start = OpenVINO.open(folder, CLIENTS), PostFormat.load(folder).start_id

    def tokens(seed: int, texts: int, batch: int) -> int:
        prompts = [Prompt(token_ids=(start,), seed=seed + row) for row in range(texts)]
        return sum(done.tokens for done in engine.generate(prompts, Sampling(**SAMPLING), batch))

    for line in sys.stdin:
        singles, texts, seed = json.loads(line)
        times = [timed(tokens, seed + at, 1, 1)[0] for at in range(singles)]
        seconds, made = timed(tokens, seed, texts, CLIENTS)
        print(json.dumps([statistics.median(times), made / seconds]), flush=True)


def genai_turns(folder: Path) -> None:
    """The other peer's process: for each line read, seconds of that many single posts out of GenAI's pipeline."""
    import numpy as np
    import openvino
    import openvino_genai

    from pasquin.engines.gguf_export import write_gguf
    from pasquin.post_format import PostFormat

    post_format = PostFormat.load(folder)
    with tempfile.TemporaryDirectory() as place:
        write_gguf(folder, Path(place) / "plain.gguf")
        pipeline = openvino_genai.LLMPipeline(Path(place) / "plain.gguf", "CPU")
    config = openvino_genai.GenerationConfig(
        max_new_tokens=TOKENS,
        do_sample=True,
        eos_token_id=post_format.end_id,
        stop_token_ids={post_format.end_id},
        apply_chat_template=False,
        **{name: SAMPLING[name] for name in ("temperature", "top_k", "top_p")},
    )
    start = openvino.Tensor(np.array([[post_format.start_id]], dtype=np.int64))
    prompt = openvino_genai.TokenizedInputs(start, openvino.Tensor(np.ones((1, 1), dtype=np.int64)))

    def post(seed: int) -> None:
        config.rng_seed = seed
        pipeline.generate(prompt, config)

    for line in sys.stdin:
        singles, _, seed = json.loads(line)
        times = [timed(post, seed + at)[0] for at in range(singles)]
        print(json.dumps(statistics.median(times)), flush=True)


def timed(work: Callable[..., Any], *given: Any) -> tuple[float, Any]:
    """Seconds that `work` took, and what it returned."""
    began = time.perf_counter()
    result = work(*given)
    return time.perf_counter() - began, result


class Server:
    """`pasquin serve` on one core."""

    def __init__(self, root: Path) -> None:
        words = [str(Path(sys.executable).parent / "pasquin"), "serve", "benchmark", "--port", "0", "--json"]
        began = time.perf_counter()
        self.process = subprocess.Popen(
            [*words, "--workspace", str(root)], stdout=subprocess.PIPE, text=True, preexec_fn=one_core
        )
        assert self.process.stdout is not None
        self.url = json.loads(self.process.stdout.readline())["url"]
        self.http = httpx.Client(timeout=120, limits=httpx.Limits(max_connections=CLIENTS + 2))
        self.post(0)
        self.cold_start = time.perf_counter() - began

    def post(self, seed: int | None) -> int:
        """Ask for a post; its tokens."""
        body = {"model": "benchmark", "prompt": "", "seed": seed, **SAMPLING}
        answer = self.http.post(f"{self.url}/completions", json=body)
        answer.raise_for_status()
        return int(answer.json()["usage"]["completion_tokens"])

    def turn(self, singles: int, texts: int, seed: int) -> tuple[float, float, list[float]]:
        """Median seconds of a single post, tokens/s of `CLIENTS` clients, and milliseconds of `/healthz` meanwhile."""
        times = [timed(self.post, seed + at)[0] for at in range(singles)]
        health: list[float] = []
        over = threading.Event()
        watching = threading.Thread(target=self._watch, args=(over, health))
        with slow_clients(self.url), ThreadPoolExecutor(CLIENTS) as clients:
            watching.start()
            seconds, made = timed(lambda: sum(clients.map(self.post, range(seed, seed + texts))))
            over.set()
            watching.join()
        return statistics.median(times), made / seconds, health

    def again(self, times: int) -> list[float]:
        """Seconds of the same request without a seed, one after the other."""
        return [timed(self.post, None)[0] for _ in range(times)]

    def _watch(self, over: threading.Event, health: list[float]) -> None:
        with httpx.Client(timeout=30) as client:
            while not over.wait(0.05):
                seconds, answer = timed(client.get, self.url.removesuffix("/v1") + "/healthz")
                answer.raise_for_status()
                health.append(seconds * 1000)

    @property
    def peak_mb(self) -> float:
        """Largest resident memory of the server and of its model's process, added up (10^6 bytes)."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return sum(_peak_mb(int(pid)) for pid in [self.process.pid, *children])

    def end(self) -> None:
        """Stop it as a service manager would."""
        self.process.terminate()
        self.process.wait()


class Peer:
    """A process on one core that takes turns with the server: this program, told to be `kind`."""

    def __init__(self, folder: Path, kind: str) -> None:
        words = [sys.executable, __file__, str(folder), "--peer", kind]
        self._process = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, preexec_fn=one_core
        )

    def turn(self, plan: tuple[int, int, int]) -> Any:
        """What it says of one turn."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(plan) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def end(self) -> None:
        """Let it end."""
        self._process.communicate()


def _peak_mb(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024 / 1e6


@contextmanager
def slow_clients(url: str) -> Iterator[None]:
    """`SLOW` connections on which half a request was sent."""
    place = urlsplit(url)
    sockets = [socket.create_connection((place.hostname or "", place.port or 80)) for _ in range(SLOW)]
    try:
        for at, one in enumerate(sockets):
            head = "POST /v1/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
            one.sendall((head + ("Content-Length: 100\r\n\r\n{" if at % 2 else "")).encode())
        yield
    finally:
        for one in sockets:
            one.close()


def compare(source: Path | None, quick: bool) -> dict[str, float]:
    """Take turns; returns the figures."""
    turns, singles, texts = (2, 10, 64) if quick else (6, 40, 320)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(max(soft, 4 * SLOW), hard), hard))
    with tempfile.TemporaryDirectory() as root:
        folder = make_workspace(Path(root), source, posts=False)
        Peer(folder, "engine").end()  # writes the graph
        server = Server(Path(root))
        engine_alone, plain = Peer(folder, "engine"), Peer(folder, "genai")
        ours, theirs, plainly, health = [], [], [], []
        for turn in range(turns + 1):
            plan = (2, CLIENTS, 10**6) if turn == 0 else (singles, texts, turn * 10_000)  # the first is a warm-up
            alone, genai = engine_alone.turn(plan), plain.turn(plan)
            seconds, rate, waits = server.turn(*plan)
            if turn:
                ours.append((seconds, rate))
                theirs.append(alone)
                plainly.append(genai)
                health += waits
        again = server.again(3 * singles)
        peak_mb = server.peak_mb
        server.end()
        engine_alone.end()
        plain.end()
    mine, engine = max(rate for _, rate in ours), max(rate for _, rate in theirs)
    post = min(seconds for seconds, _ in ours)
    return {
        "first_post_p50_seconds": round(post, 4),
        "same_again_p50_seconds": round(statistics.median(again), 4),
        "same_again_mean_seconds": round(statistics.mean(again), 4),
        "engine_post_p50_seconds": round(min(seconds for seconds, _ in theirs), 4),
        "genai_post_p50_seconds": round(min(plainly), 4),
        "post_ratio": round(post / min(plainly), 3),
        "cold_start_seconds": round(server.cold_start, 2),
        "peak_mb": round(peak_mb, 1),
        "tokens_per_second": round(mine, 1),
        "engine_tokens_per_second": round(engine, 1),
        "throughput_ratio": round(mine / engine, 3),
        "health_p99_ms": round(sorted(health)[int(0.99 * (len(health) - 1))], 1),
    }


def main() -> None:
    """Parse the arguments; run everything, or the peer in its own process."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, nargs="?")
    parser.add_argument("--quick", action="store_true", help="at most 5 minutes on 2 cores")
    parser.add_argument("--peer", choices=["engine", "genai"], help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.peer:
        return {"engine": engine_turns, "genai": genai_turns}[given.peer](given.model)
    figures = compare(given.model, given.quick)
    print(f"one core; posts of up to {TOKENS} tokens")
    print(f"  a post, one client      {figures['first_post_p50_seconds']:8.3f} s   (goal: 0.2)")
    print(f"  the same again, median  {figures['same_again_p50_seconds']:8.3f} s   (goal: 0.2)")
    print(f"  the same again, mean    {figures['same_again_mean_seconds']:8.3f} s")
    print(f"  the engine alone        {figures['engine_post_p50_seconds']:8.3f} s")
    print(f"  plain OpenVINO GenAI    {figures['genai_post_p50_seconds']:8.3f} s   (0.100 where 0.2 is the goal)")
    print(f"  ours, of that           {figures['post_ratio']:8.2f}     (goal: 2)")
    print(f"  cold start              {figures['cold_start_seconds']:8.2f} s   (goal: 4)")
    print(f"  peak memory             {figures['peak_mb']:8,.0f} MB  (goal: 1,000)")
    print(f"  {CLIENTS} clients              {figures['tokens_per_second']:8,.0f} tokens/s")
    print(f"  the engine alone        {figures['engine_tokens_per_second']:8,.0f} tokens/s")
    print(f"  of the engine's own     {figures['throughput_ratio']:8.0%}     (goal: 80%)")
    print(f"  /healthz meanwhile, p99 {figures['health_p99_ms']:8.0f} ms  (goal: 250)")
    return print(json.dumps(figures))


if __name__ == "__main__":
    main()
