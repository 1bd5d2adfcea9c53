"""Publishing while the n-th write fails, n rising until nothing fails any more. Run with `nth_write.c` preloaded.

    LD_PRELOAD=nth_write.so python failing_disk.py FOLDER ERRNO STEP

After each failure the same workspace publishes the rest on a disk that is well again. Prints one JSON object:
`{points, whole, acknowledged, duplicates, lost}`; `whole` says that the database passed its own check every time.
"""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import sys
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from pasquin.errors import PasquinError
from pasquin.publish import publish, show
from pasquin.workspace import Workspace
from publish_fakes import whole, workspace_with

BOT = {"network": "file", "account": "out.jsonl", "rest_minutes": 0.0, "minimum_stock": 0}
TEXTS = [f"Text {number} goes out once." for number in range(3)]
disk = ctypes.CDLL(None)
disk.fault_arm.argtypes = [ctypes.c_long, ctypes.c_int]
disk.fault_left.restype = ctypes.c_long


def main(folder: Path, code: int, step: int) -> None:
    """Print the figures."""
    origin = workspace_with(folder / "origin", {"b": BOT}, {"b": TEXTS}).root
    figures = {"points": 0, "whole": True, "acknowledged": 0, "duplicates": 0, "lost": 0}
    n, clean = 1, False
    while not clean:
        root = folder / "w"
        shutil.rmtree(root, ignore_errors=True)
        shutil.copytree(origin, root)
        acknowledged, clean = failing(root, n, code)
        _publish(root)
        figures["whole"] = figures["whole"] and whole(root)
        out = Counter(json.loads(line)["text"] for line in (root / "out.jsonl").read_text().splitlines())
        figures["duplicates"] += sum(count - 1 for count in out.values())
        confirmed = {
            entry["text"] for entry in show(Workspace.open(root), "b")[0]["queue"] if entry["state"] == "confirmed"
        }
        figures["lost"] += len(set(TEXTS) - set(out)) + len(set(acknowledged) - confirmed)
        figures["acknowledged"] += len(acknowledged)
        figures["points"] += 1
        n += step
    print(json.dumps(figures))


def failing(root: Path, n: int, code: int) -> tuple[list[str], bool]:
    """Publish in a child whose n-th write fails: what it was told is published, and whether no write failed."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        disk.fault_arm(n, code)
        told = _publish(root)
        os.write(write, json.dumps([told, disk.fault_left() > 0]).encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as answer:
        told, clean = json.loads(answer.read())
    os.waitpid(child, 0)
    return told, clean


def _publish(root: Path) -> list[str]:
    published: list[str] = []
    for _ in range(6):
        try:
            result = publish(
                Workspace.open(root), "b", limit=3, change=lambda bot: setattr(bot, "rest", lambda _: None)
            )
        except PasquinError:
            continue
        published += [one["text"] for one in result["published"]]
        if result["state"] == "nothing_due":
            break
    return published


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
