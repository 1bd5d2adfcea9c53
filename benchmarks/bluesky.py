"""A Bluesky account of 10,000 posts, read from a real server (PDS) in one request.

    python benchmarks/bluesky.py [--quick]

Starts a server from npm packages (installed once; needs Node 20), makes an account, reads it whole, reads a change, and
reads the same posts as most programs do, a hundred a request. `--quick` makes 3,000 posts. Last line: one JSON object.
"""

from __future__ import annotations

import json
import resource
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from local_pds import LocalAccount, LocalPds, local_pds, post
from pasquin.collect import collect
from pasquin.config import CollectSettings
from pasquin.networks.bluesky import bluesky
from pasquin.workspace import Workspace

TEXT = "An invented post, number {}, of about the length that posts have: a remark, a second thought about it, an end."


def main() -> None:
    """Print a table, then the figures."""
    count = 3_000 if "--quick" in sys.argv else 10_000
    with tempfile.TemporaryDirectory() as folder, local_pds(Path(folder)) as server:
        account = server.account("benchmark")
        began = time.perf_counter()
        account.create([post(TEXT.format(number)) for number in range(count)])
        written = time.perf_counter() - began
        figures = measure(server, account, count, Path(folder))
    print(f"{count:,} posts, written in {written:.1f} s")
    for name, value in figures.items():
        print(f"  {name:32} {value:>10}")
    print(json.dumps({"posts": count, **figures}))


def measure(server: LocalPds, account: LocalAccount, count: int, folder: Path) -> dict[str, float]:
    """Seconds of each way to the same posts, and the most memory (MB) this process took."""
    settings = CollectSettings(**server.settings)
    source = bluesky(settings)
    began = time.perf_counter()
    page = list(source.posts(account.handle, None))[-1]
    read = time.perf_counter() - began
    assert len(page.posts) == count
    account.create([post("One more")])
    began = time.perf_counter()
    assert len(list(source.posts(account.handle, page.cursor))[-1].posts) == 1
    changes = time.perf_counter() - began
    began = time.perf_counter()
    assert len(account.listed()) == count + 1
    listed = time.perf_counter() - began
    workspace = Workspace.create(folder / "workspace")
    began = time.perf_counter()
    result = collect(workspace, [f"bluesky:{account.handle}"], settings=settings)
    collected = time.perf_counter() - began
    assert result["new"] == count + 1
    return {
        "seconds": round(read, 2),
        "changes_seconds": round(changes, 2),
        "collect_seconds": round(collected, 2),
        "list_records_seconds": round(listed, 2),
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }


if __name__ == "__main__":
    main()
