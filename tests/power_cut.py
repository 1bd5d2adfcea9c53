"""A power cut at any moment: what was written and not synced is gone, or partly there. `power_cut.c` is preloaded.

    LD_PRELOAD=power_cut.so python power_cut.py FOLDER STEP

One process collects posts, decides and publishes, while everything that it writes, syncs and tells is recorded. Then
the power is cut after every STEP-th record: a workspace is made of what a disk must have kept by then (a name that was
not synced with its folder is not kept), once without anything that was not synced and once with a part of that, torn in
the middle. On each the work is done again. Prints one JSON object: `{points, acknowledged, whole, lost, duplicates}`;
`lost` counts what was told before the cut and is not there after it, or is not published in the end.
"""

from __future__ import annotations

import ctypes
import json
import os
import random
import shutil
import struct
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from pasquin.collect import collect
from pasquin.curate.curators import curator_named
from pasquin.curate.ledger import Entry, Ledger
from pasquin.publish import publish, show
from pasquin.store import Store
from pasquin.store.decided import accepted_candidates
from pasquin.workspace import Workspace
from pasquin.workspace.shards import fetch_posts, has_posts, posts_query
from publish_fakes import accepted, whole, workspace_with

BOT = {"network": "file", "account": "out.jsonl", "rest_minutes": 0.0, "minimum_stock": 0}
TEXTS = [f"Text {number} goes out once." for number in range(3)]
HEAD = struct.Struct("4Q")
DECIDED = [f"Candidate {number} was decided on." for number in range(3)]
POSTS = 3
SECTOR = 512


def main(folder: Path, step: int) -> None:
    """Print the figures."""
    root = folder / "origin"
    prepared(root, folder / "posts.jsonl")
    before = Disk.of(root)
    record(root, folder)
    events = list(recorded(folder / "record"))
    figures = {"points": 0, "acknowledged": 0, "whole": True, "lost": 0, "duplicates": 0}
    chance = random.Random(7)
    for kept in (0.0, 0.5):
        disk, told = before.copy(), Counter[str]()
        for number, event in enumerate(events):
            if number % step == 0 or number == len(events) - 1:
                disk.write_to(folder / "w", chance, kept)
                judge(folder / "w", folder / "posts.jsonl", told, figures)
            if event[0] == "n":
                told[event[3].decode()] += 1
            else:
                disk.take(*event)
    print(json.dumps(figures))


def prepared(root: Path, posts: Path) -> None:
    """A workspace with a bot that has a queue, and candidates to decide on."""
    workspace = workspace_with(root, {"b": BOT}, {"b": TEXTS})
    accepted(workspace, DECIDED)
    store = Store.of(workspace)
    curator_named(store, "ann")
    store.close()
    said = [f"Post {number} was collected." for number in range(POSTS)]
    rows = [{"id": number, "text": text, "created_at": "2026-01-01"} for number, text in enumerate(said)]
    posts.write_text("".join(json.dumps(row) + "\n" for row in rows))


# -- the work ----------------------------------------------------------------------------------------------------------


def record(root: Path, folder: Path) -> None:
    """Do the work in a child whose writes are recorded."""
    disk = ctypes.CDLL(None)
    child = os.fork()
    if child == 0:
        disk.cut_record(os.fsencode(folder / "record"))
        try:
            work(Workspace.open(root), folder / "posts.jsonl", lambda what: disk.cut_note(what.encode()))
        finally:
            os._exit(0)
    os.waitpid(child, 0)


def work(workspace: Workspace, posts: Path, tell: Callable[[str], object]) -> None:
    """Collect, decide, publish; `tell` is called with each thing that somebody is told."""
    result = collect(workspace, [f"jsonl:{posts}"], account="ann", rights="consented")
    tell(f"posts {result['new']}")
    store = Store.of(workspace)
    ledger = Ledger(store)
    curator = curator_named(store, "ann").id
    for number, one in enumerate(accepted(workspace, DECIDED)):
        ledger.record(curator, [Entry(key=f"key-{number:08}", candidate=one.candidate, decision="accept")]).result()
        tell(f"decided {one.text}")
    ledger.close()
    store.close()
    for one in published(workspace):
        tell(f"published {one}")


def published(workspace: Workspace) -> Iterator[str]:
    """Publish until nothing is due; each text once it is acknowledged."""
    for _ in range(6):
        result = publish(workspace, "b", limit=1, change=lambda bot: setattr(bot, "rest", lambda _: None))
        yield from (one["text"] for one in result["published"])
        if result["state"] == "nothing_due":
            return


def judge(root: Path, posts: Path, told: Counter[str], figures: dict[str, int]) -> None:
    """What is there after a cut of what was told before, and whether the work can be done again."""
    workspace = Workspace.open(root)
    store = Store.of(workspace)
    with store.read() as connection:
        there = {f"decided {row['text']}" for row in connection.execute(accepted_candidates()).mappings()}
    store.close()
    count = posts_there(workspace)
    there |= {f"posts {count}"} if count else set()
    there |= {f"published {one}" for one in confirmed(workspace) & set(lines(root))}
    figures["lost"] += len(set(told) - there)
    figures["acknowledged"] += len(told)
    work(workspace, posts, lambda _: None)
    out = Counter(lines(root))
    figures["whole"] = figures["whole"] and whole(root) and posts_there(workspace) == POSTS
    figures["duplicates"] += sum(count - 1 for count in out.values())
    figures["lost"] += len(set(TEXTS) - (set(out) & confirmed(workspace)))
    figures["points"] += 1


def posts_there(workspace: Workspace) -> int:
    """How many posts the workspace has."""
    if not has_posts(workspace):
        return 0
    return int(fetch_posts(workspace, f"SELECT count(*) FROM ({posts_query(workspace)})")[0][0])


def confirmed(workspace: Workspace) -> set[str]:
    """What the ledger says is published."""
    return {entry["text"] for entry in show(workspace, "b")[0]["queue"] if entry["state"] == "confirmed"}


def lines(root: Path) -> list[str]:
    """The texts of the whole lines in the bot's file."""
    path = root / "out.jsonl"
    content = path.read_text(errors="replace") if path.exists() else ""
    return [json.loads(line)["text"] for line in content.splitlines(keepends=True) if line.endswith("\n")]


# -- the disk ----------------------------------------------------------------------------------------------------------


@dataclass
class Disk:
    """What a disk has for sure, and what it may have: by inode, contents, writes not synced yet, and folders."""

    root: int
    files: dict[int, bytes] = field(default_factory=dict)
    waiting: dict[int, list[tuple[str, int, bytes]]] = field(default_factory=dict)
    folders: dict[int, dict[str, int]] = field(default_factory=dict)

    @classmethod
    def of(cls, root: Path) -> Disk:
        """Everything as it is now, synced."""
        disk = cls(root.stat().st_ino)
        for folder, _, names in os.walk(root):
            disk.folders[Path(folder).stat().st_ino] = {one.name: one.inode() for one in os.scandir(folder)}
            for name in names:
                disk.files[(Path(folder) / name).stat().st_ino] = (Path(folder) / name).read_bytes()
        return disk

    def copy(self) -> Disk:
        """Another one with the same content."""
        return Disk(self.root, dict(self.files), {}, dict(self.folders))

    def take(self, kind: str, inode: int, offset: int, content: bytes) -> None:
        """A recorded call."""
        if kind == "d":
            names = (line.split(" ", 1) for line in content.decode().splitlines())
            self.folders[inode] = {name: int(number) for number, name in names if name not in (".", "..")}
        elif kind == "s":
            for change in self.waiting.pop(inode, []):
                self.files[inode] = changed(self.files.get(inode, b""), *change)
        else:
            self.waiting.setdefault(inode, []).append((kind, offset, content))

    def write_to(self, root: Path, chance: random.Random, kept: float) -> None:
        """Make a folder of what is left after a cut; of what was not synced a share of `kept`, the last of it torn."""
        shutil.rmtree(root, ignore_errors=True)
        self._folder(root, self.root, chance, kept)

    def _folder(self, path: Path, inode: int, chance: random.Random, kept: float) -> None:
        path.mkdir()
        for name, number in self.folders.get(inode, {}).items():
            if number in self.folders:
                self._folder(path / name, number, chance, kept)
            elif number in self.files or number in self.waiting:
                (path / name).write_bytes(self._content(number, chance, kept))

    def _content(self, inode: int, chance: random.Random, kept: float) -> bytes:
        content = self.files.get(inode, b"")
        for kind, offset, wanted in self.waiting.get(inode, []):
            if chance.random() >= kept:
                continue
            torn = wanted[: chance.randrange(len(wanted) // SECTOR + 1) * SECTOR] if chance.random() < 0.5 else wanted
            content = changed(content, kind, offset, torn)
        return content


def changed(content: bytes, kind: str, offset: int, wanted: bytes) -> bytes:
    """A file after a write, or cut to a length."""
    if kind == "t":
        return content[:offset].ljust(offset, b"\0")
    return content[:offset].ljust(offset, b"\0") + wanted + content[offset + len(wanted) :]


def recorded(path: Path) -> Iterator[tuple[str, int, int, bytes]]:
    """The records: kind, inode, offset, content."""
    with path.open("rb") as file:
        while head := file.read(HEAD.size):
            kind, inode, offset, size = HEAD.unpack(head)
            yield chr(kind), inode, offset, file.read(size)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
