"""How fast collected posts become a corpus: read, cleaned, deduplicated, split, written, with the report.

    python benchmarks/prepare.py [FILE] [--quick]

FILE is a file of twint's JSON lines (default: the real tweets beside the checkout, invented ones where there are
none). Prepare runs in a process of its own; its memory is that process's. The peer is the slowest part alone, done the
usual way: near-duplicates with datasketch's MinHashLSH (128 permutations, threshold 0.8, 5-character shingles, no check
of the real similarity) on the same texts; ours also finds looser clusters for the splits and checks every pair.
`--quick` gives the peer a part of the posts. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import random
import resource
import tempfile
import time
from pathlib import Path

REAL = Path(__file__).resolve().parents[2] / "shared" / "data" / "tweets" / "vc.jsonl.gz"


def prepared(file: Path, folder: Path) -> tuple[dict[str, object], float]:
    """What `prepare` says of a fresh workspace with `file` in it, and its peak megabytes."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        pool.apply(_collect, (file, folder))
    with context.Pool(1) as pool:
        return pool.apply(_prepare, (folder,))


def _collect(file: Path, folder: Path) -> None:
    from pasquin.collect import collect
    from pasquin.workspace import Workspace

    collect(Workspace.create(folder), [f"twint:{file}"])


def _prepare(folder: Path) -> tuple[dict[str, object], float]:
    from pasquin.prepare import prepare
    from pasquin.workspace import Workspace

    result = prepare(Workspace.open(folder), "benchmark")
    return result, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


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


def invent(path: Path, count: int = 50_000) -> Path:
    """A file of invented tweets of about the usual length."""
    draw = random.Random(0)
    words = [
        f"{start}{middle}{end}" for start in "bklmr" for middle in ("a", "ea", "o", "u") for end in ("t", "ck", "st")
    ]
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
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        given = arguments.file or REAL
        file = given if given.exists() else invent(Path(folder) / "invented.jsonl")
        result, peak = prepared(file, Path(folder) / "workspace")
        from pasquin.workspace import Workspace
        from pasquin.workspace.corpora import read_corpus

        texts = [post.text for post in read_corpus(Workspace.open(Path(folder) / "workspace"), "benchmark")]
    some = texts[: 10_000 if arguments.quick else len(texts)]
    ours, theirs = our_duplicates(some), datasketch_duplicates(some)
    dropped = result["dropped"]
    assert isinstance(dropped, dict)
    posts, seconds = int(str(result["kept"])) + sum(dropped.values()), float(str(result["seconds"]))
    print(f"{'posts collected':40} {posts:12,}")
    print(f"{'posts kept':40} {result['kept']:12,}")
    for reason, count in dropped.items():
        print(f"{'  dropped, ' + reason:40} {count:12,}")
    print(f"{'prepare, with the report':40} {seconds:12.1f} s")
    print(f"{'peak memory':40} {peak:12,.0f} MB")
    print(f"{'duplicates, texts a second, ours':40} {ours:12,.0f}")
    print(f"{'duplicates, texts a second, datasketch':40} {theirs:12,.0f}")
    print(
        json.dumps(
            {
                "posts": posts,
                "posts_per_minute": round(60 * posts / seconds),
                "peak_mb": round(peak),
                "seconds": round(seconds, 2),
                "duplicates_ratio_datasketch": round(ours / theirs, 2),
            }
        )
    )


if __name__ == "__main__":
    main()
