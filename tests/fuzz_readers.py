"""Every reader, with valid documents to begin from, and a way to spoil them: what all forms of fuzzing share.

    python tests/fuzz_readers.py SECONDS [SEED]      mutations by chance
    python tests/fuzz_guided.py                      mutations that look for new code (needs atheris)

A reader may refuse a document (InputError) and may quarantine pieces of it; anything else it raises, and any document
that takes over five seconds, is printed with the document and makes the exit status 1.
"""

from __future__ import annotations

import io
import json
import random
import re
import sys
import tarfile
import tempfile
import time
import traceback
import zipfile
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from cbrrr import CID, CbrrrDecodeError, decode_dag_cbor, encode_dag_cbor

import test_bluesky
import test_exports
import test_feeds
import test_mastodon
import test_networks_files
import test_x_archive
from pasquin.config import CollectSettings
from pasquin.errors import InputError
from pasquin.networks import exports, files
from pasquin.networks.bluesky.archive import bluesky_archive
from pasquin.networks.bluesky.car import POSTS
from pasquin.networks.bluesky.records import to_post
from pasquin.networks.html_text import html_text
from pasquin.networks.mastodon import mastodon_archive
from pasquin.networks.mastodon.profile import opt_out
from pasquin.networks.mastodon.statuses import status_post
from pasquin.networks.x_archive import x_archive
from pasquin.networks.x_saved import x_api_file

SETTINGS = CollectSettings(max_line_bytes=1024)
TOKENS = [
    *(b'"', b"{", b"}", b"[", b"]", b",", b":", b"null", b"true", b"-1", b"1e999", b"NaN", b"9" * 30, b"\\u0000"),
    *(b"\\ud800", b"\0", b"\xff", b"\n", b"\r", b"<", b">", b"&", b"\xe2\x80\x8e", b'"messages": [', b"{}", b"[]"),
    *(b'""', b"<![CDATA[", b"</item>", b"x" * 2000),
]
VALUES = [b"null", b"{}", b"[]", b"0", b'""', b'"x"', b"[{}]", b"true", b"-5", b'"\\u0000"', b'{"a": 1}']
Run = Callable[[bytes], None]


def reading(make: test_exports.Make, path: Path) -> Run:
    def run(content: bytes) -> None:
        path.write_bytes(content)
        for page in make(SETTINGS).posts(str(path), None):
            for post in page.posts:
                assert post.text.strip()
                assert post.uri
                assert post.account

    return run


def read_status(content: bytes) -> None:
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        return
    status_post(value, test_mastodon.OWNER)
    opt_out(value if isinstance(value, dict) else {})


def read_html(content: bytes) -> None:
    html_text(content.decode("utf-8", "replace"))


def read_record(content: bytes) -> None:
    """A record of Bluesky as it stands in a block."""
    try:
        record = decode_dag_cbor(content, cid_ctor=bytes)
        to_post(record, uri=f"at://{test_bluesky.DID}/{POSTS}3kabcdefghij2", did=test_bluesky.DID, handle=None)
    except (CbrrrDecodeError, ValueError):
        return


def in_a_repository(run: Run) -> Run:
    """The content is the one tree node of a repository whose hashes are right."""

    def wrapped(content: bytes) -> None:
        top = bytes(CID.cidv1_dag_cbor_sha256_32_from(content))
        commit = {"did": test_bluesky.DID, "version": 3, "data": CID(top), "rev": "3kaaaaaaaaaa2", "sig": b"0" * 64}
        root = test_bluesky.block(commit)
        post = test_bluesky.block(test_bluesky.record("a post"))
        run(test_bluesky.car(root[0], [root, (top, content), post]))

    return wrapped


def in_an_archive(run: Run) -> Run:
    """The content is the file of tweets in an archive of X that is whole."""

    def wrapped(content: bytes) -> None:
        held = io.BytesIO()
        with zipfile.ZipFile(held, "w") as archive:
            archive.writestr("data/account.js", test_x_archive.ACCOUNT)
            archive.writestr("data/tweets.js", content)
            archive.writestr("data/note-tweet.js", content)
        run(held.getvalue())

    return wrapped


def repositories() -> tuple[bytes, bytes, bytes]:
    """A CAR file, a tree node and a record."""
    record = test_bluesky.block(test_bluesky.record("a post"))
    leaf = test_bluesky.node([(f"{POSTS}3kaaaaaaaaaa{n}", record[0], None) for n in "234"], None)
    facet = {"index": {"byteStart": 0, "byteEnd": 6}, "features": [{"uri": "https://a.example/long"}]}
    fields = {"langs": ["en"], "reply": {"parent": {"uri": "at://x"}}, "facets": [facet], "labels": {"values": []}}
    entity = {"type": "link", "index": {"start": 0, "end": 5}, "value": "https://a.example/long"}
    full = test_bluesky.record("a.exa... and more", **fields, entities=[entity])
    return test_bluesky.car(*test_bluesky.repository(test_bluesky.many(12))), leaf[1], encode_dag_cbor(full)


def x_zip() -> tuple[bytes, bytes]:
    """An archive of X, and its file of tweets."""
    tweet = test_x_archive.tweet(11, "RT @bo: words… https://t.co/a", entities={"urls": [{"url": "https://t.co/a"}]})
    tweets = test_x_archive.tweets_js(tweet, test_x_archive.tweet(12, "x")).encode()
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("data/tweets.js", tweets)
        archive.writestr("data/account.js", test_x_archive.ACCOUNT)
    return held.getvalue(), tweets


def x_answers() -> list[object]:
    """Saved answers of X: API v2 and v1.1, and a timeline of its pages."""
    user = {"id_str": "8", "screen_name": "bo"}
    old = {"id_str": "3", "text": "cut…", "user": user, "extended_tweet": {"full_text": "whole"}}
    status = {"id": "9", "author_id": "8", "text": "t", "referenced_tweets": [{"type": "retweeted", "id": "7"}]}
    page = {"data": [status], "includes": {"tweets": [{"id": "7", "text": "u", "author_id": "6"}]}, "meta": {}}
    legacy = {"full_text": "t", "retweeted_status_result": {"result": {"rest_id": "7", "legacy": {"full_text": "u"}}}}
    person = {"user_results": {"result": {"rest_id": "8", "core": {"screen_name": "bo"}}}}
    result = {"rest_id": "9", "legacy": legacy, "core": person}
    entry = {"content": {"itemContent": {"tweet_results": {"result": {"tweet": result}}}}}
    return [page, old, {"data": {"user": {"timeline": {"instructions": [{"entries": [entry]}]}}}}]


def archives() -> list[bytes]:
    outbox = test_mastodon.outbox(*test_mastodon.ITEMS)
    zipped, taped = io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(zipped, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("outbox.json", outbox)
        archive.writestr("actor.json", b'{"preferredUsername": "Bo"}')
    with tarfile.open(fileobj=taped, mode="w:gz") as tape:
        entry = tarfile.TarInfo("outbox.json")
        entry.size = len(outbox)
        tape.addfile(entry, io.BytesIO(outbox))
    return [outbox, zipped.getvalue(), taped.getvalue()]


def targets(path: Path) -> list[tuple[str, Run, list[bytes]]]:
    """Name, reader and valid documents of each; files go to the folder `path`."""
    row = test_exports.scraped()
    rows = test_exports.lines(row, row | {"id": 5, "user": {"id": 9}})
    picture = {"tweet_id": test_exports.ID, "author": {"id": 1, "name": "a"}, "user": {"id": 1}, "content": "x"}
    telegram = {"id": 7, "messages": [test_exports.message(1, ["a", {"text": "c"}]), test_exports.message(2)]}
    author = {"id": "9", "name": "a", "isBot": False}
    discord = {"messages": [{"id": "1", "type": "Default", "content": "x", "author": author}]}
    comment = {"id": "a", "author": "b", "body": "c", "created_utc": 1.0, "parent_id": "t3_x", "replies": ""}
    reddit = {"kind": "Listing", "data": {"children": [{"kind": "t1", "data": comment}]}}
    chat = "[1/2/19, 11:25:03] Ada: tea?\nmore\n12/9/20, 23:55 - Bo: <Media omitted>\n12.9.2020, 1:55 PM - Bo: hi\n"
    feeds = [
        test_feeds.rss("<guid>1</guid><title>a</title><description>&lt;p&gt;x</description>").encode(),
        b'<feed xmlns="http://www.w3.org/2005/Atom"><entry><content type="xhtml"><div>a</div></content></entry></feed>',
        b'{"items": [{"id": "1", "content_html": "x"}], "next_url": "y"}',
    ]
    tweets = test_networks_files.lines(test_networks_files.tweet(), test_networks_files.tweet(1267196520354299999))
    saved = {"feed": [{"post": {"uri": "at://did:plc:a/x/y", "record": test_bluesky.record("x"), "author": {}}}]}
    jetstream = {"kind": "commit", "did": "did:plc:a", "commit": {"collection": "app.bsky.feed.post", "rkey": "a"}}
    car, node, record = repositories()
    zipped, inside = x_zip()
    table = b'id,text,created_at,likes\n1,"a, b",2020-01-01,5\n2,c,,\n'
    page = b'<p>a <a href="https://x.y/z" class="mention">@<span>b</span></a><br/>&amp; <ul><li>x</ul><pre>y</pre>'
    seeds: list[tuple[str, test_exports.Make, list[object]]] = [
        ("snscrape", exports.snscrape, [rows, rows.encode("utf-16")]),
        ("twscrape", exports.twscrape, [rows]),
        ("gallery-dl", exports.gallery_dl, [test_exports.lines(picture), [[2, picture]], picture]),
        ("telegram", exports.telegram, [telegram]),
        ("discord", exports.discord, [discord]),
        ("whatsapp", exports.whatsapp, [chat]),
        ("reddit", exports.reddit, [reddit, test_exports.lines(comment)]),
        ("mastodon-archive", mastodon_archive, list(archives())),
        ("twint", files.twint, [tweets, b"\xef\xbb\xbf" + tweets]),
        ("csv", files.csv, [table, table.replace(b",", b";")]),
        ("jsonl", files.jsonl, [b'{"text": "a", "id": 1}\n{"text": "b", "user": {"name": "c"}}\n', [{"text": "a"}]]),
        ("text", files.text, ["a\n====================\nb\n", "a\nb\n"]),
        ("fortune", files.fortune, ["a\n%\nb\nc\n%\n"]),
        ("x-archive", x_archive, [zipped]),
        ("x-api-file", x_api_file, x_answers()),
        ("bluesky-archive", bluesky_archive, [car, saved, test_exports.lines(jetstream)]),
    ]
    return [
        *((name, reading(make, path / name), [content(seed) for seed in given]) for name, make, given in seeds),
        ("x-archive tweets", in_an_archive(reading(x_archive, path / "inside.zip")), [inside]),
        ("bluesky tree", in_a_repository(reading(bluesky_archive, path / "tree.car")), [node]),
        ("bluesky record", read_record, [record]),
        ("feed", test_feeds.check, feeds),
        ("status", read_status, [content(test_mastodon.status())]),
        ("html", read_html, [page]),
    ]


def content(seed: object) -> bytes:
    if isinstance(seed, bytes):
        return seed
    return seed.encode() if isinstance(seed, str) else json.dumps(seed, indent=1).encode()


def mutated(chance: random.Random, seed: bytes) -> bytes:
    found = bytearray(seed)
    for _ in range(chance.choice((1, 1, 2, 3, 6))):
        kind, at = chance.randrange(7), chance.randrange(len(found) + 1)
        if kind == 0 and found:
            found[min(at, len(found) - 1)] ^= 1 << chance.randrange(8)
        elif kind == 1:
            found[at:at] = chance.choice(TOKENS)
        elif kind == 2:
            del found[at : at + chance.randrange(1, 30)]
        elif kind == 3:
            del found[at:]
        elif kind == 4:
            found[at:at] = found[at : at + chance.randrange(1, 60)] * chance.choice((1, 2, 20))
        elif kind == 5:
            found[at : at + chance.randrange(1, 8)] = chance.choice(TOKENS)
        elif values := list(re.finditer(rb'"[^"]{0,40}"|\d+|null|true|false', bytes(found[:5000]))):
            value = chance.choice(values)
            found[value.start() : value.end()] = chance.choice(VALUES)
    return bytes(found)


def main(arguments: Sequence[str]) -> int:
    chance = random.Random(int(arguments[1]) if len(arguments) > 1 else 0)
    end, runs, failures = time.monotonic() + float(arguments[0]), Counter[str](), Counter[str]()
    with tempfile.TemporaryDirectory() as folder:
        every = targets(Path(folder))
        while time.monotonic() < end:
            name, run, seeds = chance.choice(every)
            document, began = mutated(chance, chance.choice(seeds)), time.process_time()
            runs[name] += 1
            try:
                run(document)
            except InputError:
                continue
            except Exception:  # noqa: BLE001 - any other is what is looked for
                failures[name] += 1
                print(name, document[:500], traceback.format_exc(), sep="\n")
            if time.process_time() - began > 5:
                failures[name] += 1
                print(name, "takes too long", document[:500], sep="\n")
    print(json.dumps({"executions": runs.total(), "failures": failures.total(), "by_reader": runs}))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
