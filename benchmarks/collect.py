"""How fast tweets are collected: twint's JSON lines to deduplicated shards on the disk.

    python benchmarks/collect.py [FILE] [--quick] [--megabytes N ...]

The peer is DuckDB's `read_json` of the same file with the same columns named, in the same run, in its own process like
ours: it only reads, where Pasquin also checks every line, finds identities, looks for what is there already and syncs
what it writes. Both find their byte code cached, as anybody does from the second start on. Megabytes are those of the
decompressed lines; processor seconds are of all threads together, and say more than seconds when the machine does
other work meanwhile. Without FILE the real tweets beside the checkout are used, or invented ones where there are none,
and an invented plain file of 200 MB beside it: the last line is about that one. `--megabytes 100 1000 5000` takes
invented files of these sizes instead, one run each: the memory curve.
"""

from __future__ import annotations

import argparse
import gzip
import json
import multiprocessing
import os
import random
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

REAL = Path(__file__).resolve().parents[2] / "shared" / "data" / "tweets" / "vc.jsonl.gz"
COLUMNS = {
    "id": "BIGINT", "conversation_id": "VARCHAR", "created_at": "BIGINT", "user_id": "BIGINT", "username": "VARCHAR",
    "tweet": "VARCHAR", "likes_count": "BIGINT", "retweets_count": "BIGINT", "link": "VARCHAR", "retweet": "BOOLEAN",
}  # fmt: skip


def ours(file: Path, folder: Path) -> int:
    """Collect `file` into a fresh workspace; posts."""
    from pasquin.collect import collect
    from pasquin.workspace import Workspace

    return int(str(collect(Workspace.create(folder), [f"twint:{file}"])["new"]))


def duckdb_reads(file: Path, folder: Path) -> int:
    """Read `file` into a table; rows."""
    import duckdb

    columns = ", ".join(f"{name}: '{kind}'" for name, kind in COLUMNS.items())
    with duckdb.connect() as database:
        query = f"CREATE TABLE t AS FROM read_json(?, format = 'newline_delimited', columns = {{{columns}}})"
        database.execute(query, [str(file)])
        return int(database.execute("SELECT count(*) FROM t").fetchall()[0][0])


@dataclass(frozen=True)
class Run:
    """What one run took, imports included: seconds, processor seconds of all threads, peak megabytes; and its posts."""

    seconds: float
    processor: float
    peak: float
    posts: int


def measured(work: Callable[[Path, Path], int], file: Path) -> Run:
    """A run of `work` in a process of its own."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool, tempfile.TemporaryDirectory() as folder:
        return pool.apply(_timed, (work, file, Path(folder)))


def cache_byte_code(folder: Path) -> None:
    """Let all further processes find byte code in `folder`, whatever the environment says, and make it with one run."""
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ["PYTHONPYCACHEPREFIX"] = str(folder / "byte-code")
    file = invent(folder / "few.jsonl", 0.5)
    for work in (ours, duckdb_reads):
        measured(work, file)


def _timed(work: Callable[[Path, Path], int], file: Path, folder: Path) -> Run:
    began, worked = time.perf_counter(), time.process_time()
    posts = work(file, folder)
    seconds, processor = time.perf_counter() - began, time.process_time() - worked
    return Run(seconds, processor, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6, posts)


def invent(path: Path, megabytes: float) -> Path:
    """A file of invented tweets of about the usual length, account after account as twint writes them."""
    draw = random.Random(0)
    words = ["kettle", "umbrella", "choir", "pigeon", "lighthouse", "button", "bench", "gnome", "sock", "newsletter"]
    texts = [" ".join(draw.choices(words, k=draw.randrange(5, 40))) for _ in range(5_000)]
    opener = gzip.open if path.suffix == ".gz" else open
    number = size = 0
    with opener(path, "wt") as handle:
        while size < megabytes * 1e6:
            number += 1
            user = f"user{number // 40_000 + 1}"
            record = {
                "id": number, "conversation_id": str(number + 10**18),
                "created_at": 1_500_000_000_000 + number * 60_000, "date": "2017-07-14", "time": "02:40:00",
                "timezone": "UTC", "user_id": number // 40_000 + 1,
                "username": user, "name": user.title(), "place": "", "tweet": f"{draw.choice(texts)} {draw.random()}",
                "mentions": [], "urls": [], "photos": [], "replies_count": number % 7, "retweets_count": number % 11,
                "likes_count": number % 13, "hashtags": [], "cashtags": [], "near": "", "geo": "", "source": "",
                "link": f"https://twitter.com/{user}/status/{number + 10**18}", "retweet": False, "quote_url": "",
                "video": 0, "user_rt_id": "", "user_rt": "", "retweet_id": "", "retweet_date": "",
                "reply_to": [{"user_id": str(number // 40_000 + 1), "username": user}],
            }  # fmt: skip
            line = json.dumps(record) + "\n"
            size += len(line)
            handle.write(line)
    return path


def compared(file: Path, runs: int) -> dict[str, float]:
    """Measure both on one file, print a table, and give the figures."""
    opener = gzip.open if file.suffix == ".gz" else open
    with opener(file, "rb") as handle:
        megabytes = sum(len(chunk) for chunk in iter(lambda: handle.read(2**20), b"")) / 1e6
    rows = {"pasquin collect": ours, "duckdb read_json": duckdb_reads}
    results: dict[str, list[Run]] = {name: [] for name in rows}
    for _ in range(runs):
        for name, work in rows.items():
            results[name].append(measured(work, file))
    print(f"{file.name}: {megabytes:,.1f} MB, median of {runs} runs")
    speeds, efforts, peaks = {}, {}, {}
    for name, found in results.items():
        seconds = statistics.median(run.seconds for run in found)
        efforts[name] = statistics.median(run.processor for run in found)
        speeds[name], peaks[name] = megabytes / seconds, max(run.peak for run in found)
        print(
            f"{name:18} {seconds:7.2f} s {efforts[name]:7.2f} processor s {speeds[name]:9.1f} MB/s "
            f"{found[0].posts / seconds:11,.0f} posts/s {peaks[name]:7.0f} MB"
        )
    mine, peer = speeds["pasquin collect"], speeds["duckdb read_json"]
    return {
        "mb_per_second": round(mine, 2),
        "duckdb_mb_per_second": round(peer, 2),
        "ratio": round(mine / peer, 4),
        "peak_mb": round(peaks["pasquin collect"], 1),
        "mb_per_processor_second": round(megabytes / efforts["pasquin collect"], 2),
        "processor_ratio": round(efforts["duckdb read_json"] / efforts["pasquin collect"], 4),
    }


def main() -> None:
    """Measure, print a table for people, then one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", nargs="?", type=Path, help="twint JSON lines")
    parser.add_argument("--quick", action="store_true", help="fewer runs")
    parser.add_argument("--megabytes", nargs="+", type=float, metavar="N", help="sizes of invented files")
    arguments = parser.parse_args()
    runs = 3 if arguments.quick else 9
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        cache_byte_code(Path(folder))
        if arguments.megabytes:
            for megabytes in arguments.megabytes:
                file = invent(Path(folder) / f"invented-{megabytes:.0f}.jsonl", megabytes)
                figures = compared(file, 1)
                file.unlink()
        elif arguments.file:
            figures = compared(arguments.file, runs)
        else:
            small = REAL if REAL.exists() else invent(Path(folder) / "invented.jsonl.gz", 34)
            compared(small, runs)
            figures = compared(invent(Path(folder) / "invented.jsonl", 200), runs)
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
