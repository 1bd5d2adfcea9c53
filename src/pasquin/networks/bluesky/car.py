"""Reading an account's repository out of a CAR file: blocks checked against their hashes, the tree walked in order.

A CAR file is a header and a sequence of blocks, each named by the hash of its content (CID). The root block is the
signed commit; it points to a search tree (MST) whose nodes list `collection/record-key` and the CID of the record.
Blocks may come in any order: the file is read once to check and index those that matter, then the tree is walked.

Memory: about 150 bytes for each post and tree node; likes, follows and the rest are checked and forgotten. That the
account signed the root is another matter: see `signature`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import IO, Any, Final

from cbrrr import decode_dag_cbor

from pasquin.errors import InputError

POSTS: Final = "app.bsky.feed.post/"
_REPOSTS: Final = "app.bsky.feed.repost/"
_END: Final = "\U0010ffff"
_HASHED: Final = b"\x01\x71\x12\x20"
"""How the CID of a record or node begins: version 1, DAG-CBOR, SHA-256, 32 bytes."""
_CID_BYTES: Final = 36
_LARGEST_BLOCK: Final = 2 * 2**20
"""Bytes; records have 1 MB at most, and tree nodes are small."""
_NODE: Final = b"\xa2\x61e"
_POST: Final = b"\x65$type\x72app.bsky.feed.post"


@dataclass(frozen=True, slots=True)
class Entry:
    """A record of the tree: its path (`collection/record-key`) and the CID of its content."""

    path: str
    cid: bytes


@dataclass(frozen=True, slots=True)
class Gap:
    """Part of the tree that is not in the file: paths strictly between `after` and `before` may or may not exist."""

    after: str
    before: str


@dataclass
class Repository:
    """The repository in one CAR file. `damage` says what was wrong with the file, piece by piece (20 at most)."""

    handle: IO[bytes]
    did: str = ""
    rev: str = ""
    commit: bytes = b""
    """The signed block at the root."""
    damage: list[str] = field(default_factory=list)
    _tree: bytes = b""
    _blocks: dict[bytes, int] = field(default_factory=dict)

    def block(self, cid: bytes) -> bytes | None:
        """The content of a tree node or post, None when the file does not have it (whole)."""
        position = self._blocks.get(cid)
        if position is None:
            return None
        self.handle.seek(position)
        length = _varint(self.handle)
        assert length is not None
        return self.handle.read(length)[_CID_BYTES:]

    def posts(self) -> Iterator[Entry | Gap]:
        """The posts in the tree, in order of their record keys."""
        return self._walk(POSTS, POSTS + _END)

    def is_whole(self) -> bool:
        """Whether every post that the tree names is in the file."""
        return not self.damage and all(isinstance(one, Entry) and one.cid in self._blocks for one in self.posts())

    def count_reposts(self) -> int:
        """How many reposts of other people's posts the tree has."""
        return sum(isinstance(found, Entry) for found in self._walk(_REPOSTS, _REPOSTS + _END))

    def elsewhere(self, cids: set[bytes]) -> set[bytes]:
        """Which of `cids` are whole in the file though they are no posts: one more pass over it."""
        self.handle.seek(0)
        _varint_block(self.handle)
        return {cid for _, cid, data in _blocks(self.handle) if cid in cids and _is_whole(cid, data)}

    def _walk(self, first: str, end: str) -> Iterator[Entry | Gap]:
        """Entries and gaps between two paths. Nodes whose keys contradict the tree's order count as missing."""
        waiting: list[tuple[bytes, str, str] | Entry] = [(self._tree, "", _END)]
        visits = 0
        while waiting:
            item = waiting.pop()
            if isinstance(item, Entry):
                if first <= item.path < end:
                    yield item
                continue
            cid, after, before = item
            if before <= first or after >= end:
                continue
            block = self.block(cid) if visits <= len(self._blocks) else None  # no real tree visits a node twice
            visits += block is not None
            parts = None if block is None else _node(block, after, before)
            if parts is None:
                yield Gap(max(after, first), min(before, end))
            else:
                waiting.extend(reversed(parts))


def read_repository(handle: IO[bytes], where: str) -> Repository:
    """Check and index the CAR file open in `handle` (seekable); `where` names it in errors.

    Raises InputError when it is no CAR file or its commit is missing. Damage further in is listed, not raised.
    """
    handle.seek(0)
    root = _root(_varint_block(handle), where)
    repository = Repository(handle)
    for position, cid, data in _blocks(handle):
        wanted = cid == root or data.startswith(_NODE) or _POST in data
        if not _is_whole(cid, data):
            _note(repository, f"the block at byte {position:,} is damaged")
        elif wanted:
            repository._blocks[cid] = position
    ends = handle.tell()
    if handle.read(1) not in (b"", b"\0"):
        _note(repository, f"the file is cut off or damaged from byte {ends:,} on")
    _read_commit(repository, root, where)
    return repository


def _note(repository: Repository, what: str) -> None:
    if len(repository.damage) < 20:
        repository.damage.append(what)


def _root(header: bytes | None, where: str) -> bytes:
    try:
        content: Any = decode_dag_cbor(header or b"", cid_ctor=bytes)
        root = content["roots"][0]
        if content["version"] == 1 and isinstance(root, bytes):
            return root
    except (ValueError, LookupError, TypeError):
        pass
    raise InputError(f"{where} is no CAR file of a repository. Check the address, or download the file again.")


def _read_commit(repository: Repository, root: bytes, where: str) -> None:
    try:
        repository.commit = repository.block(root) or b""
        commit: Any = decode_dag_cbor(repository.commit, cid_ctor=bytes)
        repository.did, repository.rev = commit["did"], commit.get("rev") or ""
        repository._tree = commit["data"]
        if isinstance(repository.did, str) and isinstance(repository.rev, str) and type(commit["data"]) is bytes:
            return
    except (ValueError, LookupError, TypeError, AttributeError):
        pass
    raise InputError(f"{where} is damaged: the commit that says what belongs to it is missing. Download it again.")


def _blocks(handle: IO[bytes]) -> Iterator[tuple[int, bytes, bytes]]:
    """(position, CID, content) of each block from here on, until the end or the first thing that is no block.

    Ends with the handle where it stopped understanding; nothing else may move the handle meanwhile.
    """
    while True:
        position = handle.tell()
        section = _varint_block(handle)
        if section is None or not section.startswith(_HASHED) or len(section) < _CID_BYTES:
            handle.seek(position)
            return
        yield position, section[:_CID_BYTES], section[_CID_BYTES:]


def _varint_block(handle: IO[bytes]) -> bytes | None:
    """The next length and as many bytes; None when they are not there or make no sense."""
    length = _varint(handle)
    if not length or length > _LARGEST_BLOCK:
        return None
    section = handle.read(length)
    return section if len(section) == length else None


def _varint(handle: IO[bytes]) -> int | None:
    value = 0
    for shift in range(0, 35, 7):
        byte = handle.read(1)
        if not byte:
            return None
        value |= (byte[0] & 0x7F) << shift
        if byte[0] < 0x80:
            return value
    return None


def _is_whole(cid: bytes, data: bytes) -> bool:
    return hashlib.sha256(data).digest() == cid[4:]


def _node(block: bytes, after: str, before: str) -> list[tuple[bytes, str, str] | Entry] | None:
    """What a tree node holds, in order: entries, and subtrees with the range of their paths; None when it is none."""
    try:
        node: Any = decode_dag_cbor(block, cid_ctor=bytes)
        key, paths, records, links = b"", [after], list[Any](), [node["l"]]
        for entry in node["e"]:
            key = key[: entry["p"]] + entry["k"]
            paths.append(key.decode("ascii"))
            records.append(entry["v"])
            links.append(entry["t"])
    except (ValueError, LookupError, TypeError):
        return None
    paths.append(before)
    in_order = all(low < high for low, high in pairwise(paths))
    if not in_order or any(type(cid) is not bytes for cid in (*records, *filter(None, links))):
        return None
    parts: list[tuple[bytes, str, str] | Entry] = []
    for number, link in enumerate(links):
        if number:
            parts.append(Entry(paths[number], records[number - 1]))
        if link is not None:
            parts.append((link, paths[number], paths[number + 1]))
    return parts
