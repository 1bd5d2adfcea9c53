"""Bluesky without a network: CAR files of every kind, records as apps write them, saved JSON, and the samples."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
import random
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from cbrrr import CID, encode_dag_cbor
from hypothesis import given, settings
from hypothesis import strategies as st

from hostile_server import give, hostile_server
from pasquin.config import CollectSettings
from pasquin.errors import InputError
from pasquin.networks.bluesky import BlueskySource
from pasquin.networks.bluesky.archive import bluesky_archive
from pasquin.networks.bluesky.car import POSTS, Entry, Gap, _blocks, _varint_block, read_repository
from pasquin.networks.bluesky.records import SIGNED_IN_ONLY, tid_time, to_post
from pasquin.networks.files.guess import guess_source
from pasquin.networks.transport import Transport
from pasquin.networks.values import to_time
from pasquin.records import Post

SAMPLES = Path(__file__).parents[2] / "shared/data/samples"
DID = "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa"


# --- a small maker of repositories (a tree of the right shape, which the reader does not insist on)


def block(value: object) -> tuple[bytes, bytes]:
    data = encode_dag_cbor(value)
    return bytes(CID.cidv1_dag_cbor_sha256_32_from(data)), data


def section(data: bytes) -> bytes:
    length, out = len(data), b""
    while length >= 0x80:
        out, length = out + bytes([length & 0x7F | 0x80]), length >> 7
    return out + bytes([length]) + data


def car(root: bytes, blocks: list[tuple[bytes, bytes]]) -> bytes:
    header = encode_dag_cbor({"roots": [CID(root)], "version": 1})
    return section(header) + b"".join(section(cid + data) for cid, data in blocks)


def repository(records: dict[str, object], rev: str = "3kaaaaaaaaaa2") -> tuple[bytes, list[tuple[bytes, bytes]]]:
    """Root and blocks of a repository with records by path: two levels, four keys a leaf."""
    blocks = {path: block(record) for path, record in sorted(records.items())}
    paths = list(blocks)
    leaves = [paths[start : start + 4] for start in range(0, len(paths), 5)]
    nodes = [node([(path, blocks[path][0], None) for path in leaf], None) for leaf in leaves]
    between = [paths[start] for start in range(4, len(paths), 5)]
    top = node(
        [
            (path, blocks[path][0], nodes[number + 1][0] if number + 1 < len(nodes) else None)
            for number, path in enumerate(between)
        ],
        nodes[0][0] if nodes else None,
    )
    root = block({"did": DID, "version": 3, "data": CID(top[0]), "rev": rev, "prev": None, "sig": b"0" * 64})
    return root[0], [root, top, *nodes, *blocks.values()]


def node(entries: list[tuple[str, bytes, bytes | None]], left: bytes | None) -> tuple[bytes, bytes]:
    listed, before = [], ""
    for path, cid, link in entries:
        shared = next(
            (n for n, (a, b) in enumerate(zip(path, before, strict=False)) if a != b), min(len(path), len(before))
        )
        key = {"p": shared, "k": path[shared:].encode(), "v": CID(cid), "t": CID(link) if link else None}
        listed.append(key)
        before = path
    return block({"l": CID(left) if left else None, "e": listed})


def record(text: str, **fields: Any) -> dict[str, Any]:
    return {"$type": "app.bsky.feed.post", "text": text, "createdAt": "2026-01-02T03:04:05Z", **fields}


def many(count: int) -> dict[str, object]:
    posts = {
        f"{POSTS}3k{number:011d}".replace("0", "a").replace("1", "b"): record(f"text {number}")
        for number in range(count)
    }
    likes = {
        f"app.bsky.feed.like/3k{number:03d}": {
            "$type": "app.bsky.feed.like",
            "subject": {"uri": f"at://x/{POSTS}{number}"},
        }
        for number in range(7)
    }
    return posts | likes | {"app.bsky.feed.repost/3ka": {"$type": "app.bsky.feed.repost"}}


def read(
    content: bytes, tmp_path: Path, name: str = "a.car", account: str | None = None
) -> tuple[list[Post], Counter[str], list[str]]:
    """Posts, counts of what was skipped, and the reasons of what was quarantined."""
    path = tmp_path / name
    path.write_bytes(content)
    posts: list[Post] = []
    skipped: Counter[str] = Counter()
    reasons: list[str] = []
    for page in bluesky_archive(CollectSettings(account=account)).posts(str(path), None):
        posts += page.posts
        skipped.update(page.skipped)
        reasons += [piece.reason for piece in page.quarantined]
    return posts, skipped, reasons


# --- CAR files


def test_posts_come_out_in_order_whatever_the_order_of_blocks(tmp_path: Path) -> None:
    root, blocks = repository(many(200))
    random.Random(1).shuffle(blocks)
    posts, skipped, reasons = read(car(root, blocks), tmp_path, account="anna.example")
    assert len(posts) == 200
    assert [post.uri for post in posts] == sorted(post.uri for post in posts)
    assert {post.text for post in posts} == {f"text {number}" for number in range(200)}
    assert {(post.account, post.handle) for post in posts} == {(DID, "anna.example")}
    assert (skipped, reasons) == (Counter(repost=1), [])


def test_missing_and_damaged_blocks_cost_what_they_hold_and_no_more(tmp_path: Path) -> None:
    root, blocks = repository(many(100))
    whole = car(root, blocks)
    posts = [number for number, (_, data) in enumerate(blocks) if b"text 40" in data or b"text 41" in data]
    without = [one for number, one in enumerate(blocks) if number != posts[0]]
    found, _, reasons = read(car(root, without), tmp_path)
    assert len(found) == 99
    assert len(reasons) == 1
    assert reasons[0].endswith("its content is missing or damaged")
    flipped = bytearray(whole)
    flipped[whole.index(b"text 41") + 5] ^= 1
    found, _, reasons = read(bytes(flipped), tmp_path)
    assert len(found) == 99
    assert "is damaged" in reasons[0]
    for cut in (len(whole) - 2_000, len(whole) // 2):
        found, _, reasons = read(whole[:cut], tmp_path)
        assert 0 < len(found) < 100
        assert "cut off or damaged" in reasons[0]


@pytest.mark.parametrize(
    "content", [b"", b"\x00", b"PK\x03\x04 no", b"\xff" * 100, b'{"a": 1}', b"\x3aeroots gversion"]
)
def test_what_is_no_archive_is_named(content: bytes, tmp_path: Path) -> None:
    with pytest.raises(InputError):
        read(content, tmp_path)


def test_trees_that_share_or_circle_end() -> None:
    """A tree whose nodes are used many times over would have more posts than atoms in a galaxy."""
    leaf = block(record("once"))
    level = node([(f"{POSTS}m", leaf[0], None)], None)
    blocks = [leaf, level]
    for _ in range(60):
        level = node([(f"{POSTS}{letter}", leaf[0], level[0]) for letter in "abcdefgh"], level[0])
        blocks.append(level)
    root = block({"did": DID, "version": 3, "data": CID(level[0]), "rev": "r", "prev": None, "sig": b""})
    found = list(read_repository(io.BytesIO(car(root[0], [root, *blocks])), "it").posts())
    assert sum(isinstance(one, Entry) for one in found) < 200
    assert any(isinstance(one, Gap) for one in found)


@pytest.mark.parametrize("length", [2**21 + 1, 2**34, 2**63])
def test_lengths_that_lie_take_no_memory(length: int, tmp_path: Path) -> None:
    root, blocks = repository(many(10))
    out = b""
    while length:
        out, length = out + bytes([length & 0x7F | (0x80 if length >> 7 else 0)]), length >> 7
    posts, _, reasons = read(car(root, blocks) + out + b"x" * 50, tmp_path)
    assert len(posts) == 10
    assert "cut off or damaged" in reasons[0]


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_no_damage_crashes_the_reader_or_invents_a_post(data: st.DataObject) -> None:
    root, blocks = repository(many(30))
    content = bytearray(car(root, blocks))
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(content) - 1))
        kind = data.draw(st.sampled_from(["flip", "cut", "insert", "drop", "zero"]))
        if kind == "flip":
            content[place] ^= 1 << data.draw(st.integers(0, 7))
        elif kind == "cut":
            del content[max(place, 1) :]
        elif kind == "insert":
            content[place:place] = data.draw(st.binary(min_size=1, max_size=20))
        elif kind == "drop":
            del content[place : place + data.draw(st.integers(1, 50))]
            content = content or bytearray(b"\0")
        else:
            content[place] = 0
    try:
        found = read_repository(io.BytesIO(bytes(content)), "it")
    except InputError:
        return
    known = {path for path in many(30) if path.startswith(POSTS)}
    for item in found.posts():
        if isinstance(item, Entry):
            assert item.path in known
            inside = found.block(item.cid)
            assert inside is None or hashlib.sha256(inside).digest() == item.cid[4:]


@given(st.binary(max_size=2_000))
@settings(max_examples=300, deadline=None)
def test_any_bytes_behind_a_header_are_survived(content: bytes) -> None:
    root, blocks = repository(many(3))
    with_junk = car(root, blocks[:1]) + content
    found = read_repository(io.BytesIO(with_junk), "it")
    assert all(isinstance(item, Gap) for item in found.posts())


def test_records_of_a_kind_yet_unknown_are_survived(tmp_path: Path) -> None:
    records: dict[str, object] = {
        f"{POSTS}3ka": {"$type": "app.bsky.feed.letter", "text": "not a post"},
        f"{POSTS}3kb": record("with a future embed", embed={"$type": "app.bsky.embed.hologram", "depth": [[[{}]]]}),
        f"{POSTS}3kc": record(
            "tags and more", tags=["a"], langs=["", 5, "pt-BR"], reply={"parent": "odd"}, future={"x": None}
        ),
        f"{POSTS}3kd": {"$type": "app.bsky.feed.post", "text": 7},
        f"{POSTS}3ke": record("   "),
    }
    posts, skipped, reasons = read(car(*repository(records)), tmp_path)
    assert [post.text for post in posts] == ["with a future embed", "tags and more"]
    assert posts[1].lang == "pt-BR"
    assert skipped == Counter({"of another kind": 1, "without text": 1})
    assert len(reasons) == 1


# --- records


def as_post(**fields: Any) -> Post:
    found = to_post({"text": "x", **fields}, uri=f"at://{DID}/{POSTS}3jzfcijpj2z2a", did=DID, handle=None)
    assert isinstance(found, Post)
    return found


def test_links_that_were_shortened_are_whole_again() -> None:
    link = "https://www.example.com/2025/07/a-long-story"
    shown = "example.com/2025/07/a-lo..."
    text = f"👩‍👩‍👦 sehr schön: {shown} — und hier 🙂"
    start = len("👩‍👩‍👦 sehr schön: ".encode())
    index = {"byteStart": start, "byteEnd": start + len(shown)}
    feature = {"$type": "app.bsky.richtext.facet#link", "uri": link}
    facet = {"index": index, "features": [feature]}
    assert as_post(text=text, facets=[facet]).text == f"👩‍👩‍👦 sehr schön: {link} — und hier 🙂"
    units = len("👩‍👩‍👦 sehr schön: ".encode("utf-16-le")) // 2
    entity = {"type": "link", "value": link, "index": {"start": units, "end": units + len(shown)}}
    assert as_post(text=text, entities=[entity]).text == f"👩‍👩‍👦 sehr schön: {link} — und hier 🙂"
    words = {"index": {"byteStart": start - 7, "byteEnd": start - 2}, "features": [feature]}
    for odd in (
        words,
        {"index": {"byteStart": 1, "byteEnd": 3}, "features": [feature]},
        {"index": None},
        None,
        3,
        {"index": {"byteStart": 5, "byteEnd": 10**9}, "features": [feature]},
        {"index": index, "features": [{"uri": "javascript:alert(1)"}, {"uri": 5}, None]},
    ):
        assert as_post(text=text, facets=[odd]).text == text
    assert as_post(text=text, facets=[facet, facet, words]).text.count(link) == 1


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("2024-02-29T10:00:00.123456-05:00", "2024-02-29 15:00:00.123456+00:00"),
        ("2024-02-29T10:00:00+00:00", "2024-02-29 10:00:00+00:00"),
        ("1985-04-12T23:20:50.12345678912345Z", "1985-04-12 23:20:50.123456+00:00"),
        ("2007-07-07T03:04:05", "2007-07-07 03:04:05+00:00"),
        ("", "key"),
        ("9999-12-31T23:59:59Z", "key"),
        ("0000-00-00T00:00:00Z", "key"),
        (12, "key"),
        (None, "key"),
    ],
)
def test_times_in_odd_forms_are_utc_or_the_keys(said: object, meant: str) -> None:
    key_time = tid_time("3jzfcijpj2z2a")
    assert str(key_time).startswith("2023-06-")
    assert str(as_post(createdAt=said).created_at) == (str(key_time) if meant == "key" else meant)


def test_a_label_that_asks_for_sign_in_is_honoured() -> None:
    labels = {"$type": "com.atproto.label.defs#selfLabels", "values": [{"val": "bot"}, {"val": "!no-unauthenticated"}]}
    assert to_post(record("x", labels=labels), uri="at://a/b/c", did=DID, handle=None) == SIGNED_IN_ONLY
    for odd in ({"values": 3}, [], None, {"values": [None, {"val": "porn"}]}):
        assert isinstance(to_post(record("x", labels=odd), uri="at://a/b/c", did=DID, handle=None), Post)


_json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)
_fields = st.sampled_from(
    [
        "text",
        "createdAt",
        "facets",
        "entities",
        "langs",
        "reply",
        "labels",
        "embed",
        "$type",
        "index",
        "features",
        "uri",
    ]
)


@given(st.dictionaries(_fields, _json_values | st.text(max_size=60), max_size=8))
@settings(max_examples=500, deadline=None)
def test_no_record_crashes_the_reader(found: dict[str, Any]) -> None:
    try:
        result = to_post(found, uri="at://a/b/c", did=DID, handle=None)
    except ValueError:
        return
    assert isinstance(result, Post | str)


# --- saved JSON


def test_saved_answers_of_the_api_are_read(tmp_path: Path) -> None:
    def view(key: str, text: str, **more: Any) -> dict[str, Any]:
        author = {"did": DID, "handle": "anna.example"}
        return {"uri": f"at://{DID}/{POSTS}{key}", "author": author, "record": record(text), "likeCount": 5, **more}

    repost = {"post": view("3kz", "not mine"), "reason": {"$type": "app.bsky.feed.defs#reasonRepost"}}
    pinned = {"post": view("3ka", "pinned"), "reason": {"$type": "app.bsky.feed.defs#reasonPin"}}
    thread = {"thread": {"post": view("3kb", "root"), "replies": [{"post": view("3kc", "reply"), "replies": []}]}}
    listed = {"records": [{"uri": f"at://{DID}/{POSTS}3kd", "cid": "b", "value": record("listed")}], "cursor": "x"}
    jetstream = {
        "did": DID,
        "kind": "commit",
        "commit": {
            "operation": "create",
            "collection": "app.bsky.feed.post",
            "rkey": "3ke",
            "record": record("streamed"),
        },
    }
    lines = [{"feed": [repost, pinned]}, thread, listed, jetstream, {"did": DID, "kind": "identity"}, {"other": 1}]
    content = "\n".join(json.dumps(line) for line in lines) + "\n{broken\n"
    posts, skipped, reasons = read(content.encode(), tmp_path, "saved.jsonl")
    assert [post.text for post in posts] == ["pinned", "root", "reply", "listed", "streamed"]
    assert posts[0].likes == 5
    assert skipped == Counter({"repost": 1, "of another kind": 1})
    assert reasons == ["it is no JSON"]
    with pytest.raises(InputError, match="holds no posts of Bluesky"):
        read(b'{"name": "something else"}', tmp_path, "other.json")


def test_counts_come_from_the_appview_where_it_answers() -> None:
    def answer(request: Any, number: int) -> None:
        uris = parse_qs(urlsplit(request.path).query)["uris"]
        assert len(uris) <= 25
        if number == 3:
            give(request, b"<html>", 400)
        else:
            give(
                request,
                json.dumps({"posts": [{"uri": uri, "likeCount": 7, "repostCount": 2} for uri in uris]}).encode(),
            )

    posts = [replace(as_post(), uri=f"at://{DID}/{POSTS}{number}") for number in range(60)]
    with hostile_server() as server:
        server.answers["/xrpc/app.bsky.feed.getPosts"] = answer
        chosen = CollectSettings(
            bluesky_api=server.url(""), allow_private_hosts=(server.host,), bluesky_engagement=True, max_wait_seconds=1
        )
        counted = BlueskySource(chosen, Transport(chosen))._counted(posts)
    assert [post.likes for post in counted] == [7] * 50 + [None] * 10
    assert [post.uri for post in counted] == [post.uri for post in posts]


def test_bare_paths_are_recognised(tmp_path: Path) -> None:
    (tmp_path / "repo.car").write_bytes(car(*repository(many(1))))
    (tmp_path / "saved.json").write_text(json.dumps({"records": [{"uri": "at://x", "value": record("x")}]}))
    for name in ("repo.car", "saved.json"):
        assert guess_source(str(tmp_path / name), CollectSettings()) == "bluesky-archive"


@pytest.mark.skipif(not SAMPLES.is_dir(), reason="the sample files are not here")
def test_samples_have_as_many_posts_as_their_index_says(tmp_path: Path) -> None:
    with (SAMPLES / "INDEX.tsv").open(encoding="utf-8") as handle:
        rows = [row for row in csv.DictReader(handle, delimiter="\t") if row["format"].startswith("bluesky_")]
    assert len(rows) >= 11
    for row in rows:
        path = SAMPLES / row["file"]
        posts, skipped, _ = read(path.read_bytes(), tmp_path, path.name)
        expected = int(row["number_of_posts"])
        if "getPostThread" in row["file"]:
            expected = 4  # the index counts the thread, whose four posts are one author's
        other_people, other_things = skipped["repost"], skipped["of another kind"]
        is_repository = path.suffix == ".car"
        assert len(posts) + (0 if is_repository else other_people) == expected, (row["file"], other_things)


@pytest.mark.skipif(not SAMPLES.is_dir(), reason="the sample files are not here")
def test_times_of_the_reference_tests_are_understood() -> None:
    lines = (SAMPLES / "conformance/bluesky-social__atproto__datetime_syntax_valid.txt").read_text().splitlines()
    valid = [line for line in lines if line and not line.startswith("#")]
    assert len(valid) >= 20
    assert [line for line in valid if to_time(line) is None] == []


@pytest.mark.skipif(not SAMPLES.is_dir(), reason="the sample files are not here")
def test_car_files_of_the_reference_tests_are_read() -> None:
    path = SAMPLES / "conformance/bluesky-social__atproto__car-file-fixtures.json"
    for case in json.loads(path.read_text()):
        handle = io.BytesIO(base64.b64decode(case["car"] + "=="))
        with pytest.raises(InputError, match="the commit"):  # blocks, but no repository
            read_repository(handle, "it")
        handle.seek(0)
        _varint_block(handle)
        found = [(CID(cid).encode(), data) for _, cid, data in _blocks(handle)]
        assert found == [(one["cid"], base64.b64decode(one["bytes"] + "==")) for one in case["blocks"]]
