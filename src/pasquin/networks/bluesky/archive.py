"""Bluesky posts in files: an account's CAR file (what "export my data" gives), and JSON that tools saved.

JSON may be what the API answers (feeds, threads, posts, records), the firehose's commits or Jetstream's lines: whatever
holds posts, as one document, a list, or a line each. Reposts of other people's posts are counted, not read.
"""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import IO, Any, Final

import orjson
from cbrrr import decode_dag_cbor

from pasquin.config import CollectSettings
from pasquin.errors import InputError
from pasquin.networks import Quarantined
from pasquin.networks.bluesky.car import Entry, Gap, Repository, read_repository
from pasquin.networks.bluesky.records import OTHER_KIND, POST, SIGNED_IN_ONLY, to_post
from pasquin.networks.files import FileSource
from pasquin.networks.files.reading import InputFile, Reading, find_files, stem
from pasquin.networks.values import to_name
from pasquin.records import Post

_SUFFIXES: Final = (".car", ".json", ".jsonl", ".ndjson")
_WHOLE: Final = 64 * 2**20
"""A JSON document up to this size is read whole; a longer one must be lines or a list."""


def bluesky_archive(settings: CollectSettings) -> FileSource:
    """CAR files and saved JSON of Bluesky."""
    return FileSource(settings, lambda pattern: find_files(pattern, _SUFFIXES), read_bluesky)


def read_bluesky(file: InputFile, settings: CollectSettings) -> Iterator[Reading]:
    """The posts in one file. Raises InputError when it is neither a CAR file nor JSON."""
    try:
        with file.path.open("rb") as handle:
            start = handle.read(64)
            if b"eroots" in start and b"gversion" in start:
                yield from _car(handle, file, settings)
                file.position = file.size
                return
    except OSError as exc:
        raise file.unreadable(exc) from exc
    yield from _json(file, settings)


def _car(handle: IO[bytes], file: InputFile, settings: CollectSettings) -> Iterator[Reading]:
    repository = read_repository(handle, str(file.path))
    for what in repository.damage:
        yield file.quarantine(None, what)
    yield from _repository(repository, file, settings.account)
    yield from ["repost"] * repository.count_reposts()


def _repository(repository: Repository, file: InputFile, handle: str | None) -> Iterator[Reading]:
    absent: list[tuple[bytes, str]] = []
    for item in repository.posts():
        if isinstance(item, Gap):
            yield file.quarantine(None, f"part of the repository is missing, between {item.after} and {item.before}")
            continue
        uri = f"at://{repository.did}/{item.path}"
        block = repository.block(item.cid)
        if block is None:
            absent.append((item.cid, uri))
            continue
        try:
            yield to_post(decode_dag_cbor(block, cid_ctor=bytes), uri=uri, did=repository.did, handle=handle)
        except ValueError as exc:
            yield file.quarantine(None, f"{uri}: {exc}", block)
    other = repository.elsewhere({cid for cid, _ in absent}) if absent else set()
    for cid, uri in absent:
        yield OTHER_KIND if cid in other else file.quarantine(None, f"{uri}: its content is missing or damaged")


def _json(file: InputFile, settings: CollectSettings) -> Iterator[Reading]:
    """Posts of a document, of the elements of a list, or of lines."""
    unread: list[Quarantined] = []
    found = False
    for number, item in _documents(file, settings):
        if isinstance(item, Quarantined):
            unread.append(item)
            continue
        for reading in _readings(item, file, number, settings.account or stem(file.path)):
            found = True
            yield reading
        yield from unread if found else ()
        unread = [] if found else unread
    if not found:
        raise InputError(f"{file.name} holds no posts of Bluesky that Pasquin understands. Is it the right file?")
    yield from unread


def _documents(file: InputFile, settings: CollectSettings) -> Iterator[tuple[int, Any]]:
    """Numbered documents of a file: the one it is, the elements it lists, or one a line."""
    if file.size <= _WHOLE:
        try:
            whole = orjson.loads(b"".join(file.chunks()))
        except orjson.JSONDecodeError:
            file.position, file.damage = 0, None
        else:
            yield from enumerate(whole if isinstance(whole, list) else [whole], 1)
            return
    for line in file.lines(settings.max_line_bytes):
        if isinstance(line, Quarantined):
            yield 0, line
        elif line[1].strip():
            try:
                yield line[0], orjson.loads(line[1])
            except orjson.JSONDecodeError:
                yield line[0], file.quarantine(line[0], "it is no JSON", line[1])


def _readings(item: object, file: InputFile, number: int, account: str) -> Iterator[Reading]:
    """The posts in one document, wherever in it they are."""
    waiting = [item]
    while waiting:
        item = waiting.pop()
        if not isinstance(item, Mapping):
            continue
        if isinstance(item.get("blocks"), Mapping) and isinstance(item.get("repo"), str):
            yield from _commit(item, file, number)
            continue
        try:
            reading = _reading(item, account)
        except ValueError as exc:
            yield file.quarantine(number, str(exc), orjson.dumps(item))
            continue
        if reading is not None:
            yield reading
            continue
        for name in ("replies", "parent", "thread", "posts", "records", "feed", "post"):
            inside = item.get(name)
            waiting.extend(reversed(inside) if isinstance(inside, list) else [inside])


def _reading(item: Mapping[str, Any], account: str) -> Post | str | None:
    """The post (or the reason why it is none) that an object is; None when posts can only be further in."""
    if isinstance(item.get("reason"), Mapping) and str(item["reason"].get("$type")).endswith("#reasonRepost"):
        return "repost"
    if item.get("kind") in ("commit", "identity", "account") and isinstance(item.get("did"), str):
        return _jetstream(item)
    uri = to_name(item.get("uri"))
    if isinstance(item.get("record"), Mapping):
        return _view(item, item["record"], uri, account)
    if uri and isinstance(item.get("value"), Mapping):
        return to_post(item["value"], uri=uri, did=uri.removeprefix("at://").partition("/")[0], handle=None)
    return _nameless(item, account) if item.get("$type") == POST else None


def _nameless(record: Mapping[str, Any], account: str) -> Post | str:
    """A record that came without its address: its content is its identity."""
    key = hashlib.sha256(orjson.dumps(record, option=orjson.OPT_SORT_KEYS)).hexdigest()[:32]
    post = to_post(record, uri=f"file:{key}", did=account, handle=account)
    return replace(post, url=None) if isinstance(post, Post) else post


def _view(item: Mapping[str, Any], record: Mapping[str, Any], uri: str | None, account: str) -> Post | str:
    """A post as the API shows it, with its author and counts beside the record."""
    author: Mapping[str, Any] = item["author"] if isinstance(item.get("author"), Mapping) else {}
    labels = author.get("labels")
    for label in labels if isinstance(labels, list) else ():
        if isinstance(label, Mapping) and label.get("val") == "!no-unauthenticated":
            return SIGNED_IN_ONLY
    if uri is None:
        return _nameless(record, account)
    did = to_name(author.get("did")) or uri.removeprefix("at://").partition("/")[0]
    counts = {"likes": item.get("likeCount"), "reposts": item.get("repostCount")}
    return to_post(record, uri=uri, did=did, handle=to_name(author.get("handle")), **counts)


def _jetstream(item: Mapping[str, Any]) -> Post | str:
    """One line of Jetstream: an event of an account, which may be a new post."""
    commit = item.get("commit")
    if not isinstance(commit, Mapping) or commit.get("collection") != POST:
        return OTHER_KIND
    if commit.get("operation") == "delete":
        return "deleted"
    did, key = item["did"], to_name(commit.get("rkey"))
    if key is None:
        raise ValueError("it does not say which post it is")
    return to_post(commit.get("record"), uri=f"at://{did}/{POST}/{key}", did=did, handle=None)


def _commit(item: Mapping[str, Any], file: InputFile, number: int) -> Iterator[Reading]:
    """The posts in one commit of the firehose, whose blocks are a small CAR file; other posts are not in it."""
    text = item["blocks"].get("$bytes")
    try:
        content = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
        repository = read_repository(io.BytesIO(content), "It")
    except (ValueError, TypeError, InputError):
        yield file.quarantine(number, "the blocks of a commit are damaged")
        return
    written = {found.path: found.cid for found in repository.posts() if isinstance(found, Entry)}
    operations = item.get("ops")
    for operation in operations if isinstance(operations, list) else ():
        path = str(operation.get("path")) if isinstance(operation, Mapping) else ""
        block = repository.block(written.get(path, b""))
        if block is None:
            yield "repost" if path.startswith("app.bsky.feed.repost/") else OTHER_KIND
            continue
        try:
            record, uri = decode_dag_cbor(block, cid_ctor=bytes), f"at://{repository.did}/{path}"
            yield to_post(record, uri=uri, did=repository.did, handle=None)
        except ValueError as exc:
            yield file.quarantine(number, f"{path}: {exc}", block)
