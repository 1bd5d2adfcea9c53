"""Tweets read in bulk are the very tweets that are read one by one, whatever else is in the file."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import duckdb
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from pasquin.collect import collect
from pasquin.config import CollectSettings
from pasquin.networks.files import bulk, twint, twint_sql
from pasquin.networks.files.reading import InputFile
from pasquin.networks.files.twint import TWINT, read_line
from pasquin.records import Post
from pasquin.workspace import Workspace
from pasquin.workspace.post_table import PostTable
from pasquin.workspace.shards import posts_query

TWEETS = Path(__file__).parents[2] / "shared" / "data" / "tweets" / "vc.jsonl.gz"
LIMIT = 5_000


def tweet(number: int, **values: object) -> dict[str, object]:
    return {
        "id": number,
        "conversation_id": str(number),
        "created_at": 1_500_000_000_000 + number,
        "date": "2017-07-14",
        "time": "02:40:00",
        "timezone": "+0100",
        "user_id": 7,
        "username": "ada",
        "tweet": f"The kettle number {number} sings.",
        "mentions": ["bo"],
        "language": "en",
        "replies_count": 1,
        "retweets_count": 2,
        "likes_count": 3,
        "link": f"https://twitter.com/ada/status/{number}",
        "retweet": False,
        "reply_to": [{"user_id": "7", "username": "ada"}],
    } | values


ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.integers(-5, 5),
    st.floats(),
    st.text(max_size=5),
    st.sampled_from(
        [
            "", " ", "\u3000", "\0", "a\0b", "RT @bo: hi", "RT @é", "true", "NaN", "12", "007", " 12 ", "-5", "1e5",
            "[]", "{x", "\u200b", "🎈", "x" * 6_000, "1,234", "2021-04-29", "24:00:00", "EDT", "+9999", "-0800", "qht",
            "en-gb", "https://x.com/i/status/5", "https://twitter.com/a/status/01", "https://twitter.com/a/status/5?s=20",
            "https://twitter.com/ada/status/", "https://twitter.com/ada/status/0", "https://twitter.com/ada/status/5/",
            f"https://twitter.com/ada/status/{10**19}", f"https://twitter.com/ada/status/{10**19 - 1}", "0" * 70 + "5",
            "https://twitter.com/ada/statuses/5", "https://twitter.com/ada/status/\uff15", "1.5e12", "-1",
            "2021-04-29 19:59:59 Eastern Daylight Time", 1_619_740_799, 99_999_999_999, 10**13, 2**64, 10**400,
            [], {}, [None], ["a"], [{"user_id": 8, "username": "bo"}], [{"id": "8", "screen_name": "bo"}, {"id": 7}],
            [{"username": "bo"}], [{"user_id": 0, "id": 9, "username": "", "screen_name": "ada"}], {"user_id": 8},
            [{"user_id": "8", "username": None}], [{"user_id": True, "username": False}], [[1]],
        ]
    ),
)  # fmt: skip
NAMES = st.sampled_from(sorted(tweet(1)))
RAW = st.sampled_from(
    [
        b"", b"  ", b"null", b"5", b"[1]", b'{"tweet": "\xff"}', b'{"tweet": "\\ud83d"}', b'{"tweet": "x"', b"\0",
        b"{} {}",
        b'{"tweet": "twice", "tweet": "last", "link": "https://x.com/a/status/5", "user_id": 1, "username": "a"}',
        b'{"tweet": "not a number", "near": NaN, "link": "https://x.com/a/status/5", "user_id": 1, "username": "a",}',
        b'{"tweet": "huge", "near": 1e999, "link": "https://x.com/a/status/6", "user_id": 1, "username": "a"}',
        b'{"tweet": "deep", "near": ' + b"[" * 2_000 + b"]" * 2_000
        + b', "link": "https://x.com/a/status/7", "user_id": 1, "username": "a"}',
        b'{"tweet": "\\u0000", "\\u0074weet": "x", "link": "https://x.com/a/status/5", "user_id": 1, "username": "a"}',
        b'{"tweet": "name", "link": "https://x.com/a/status/8", "user_id": 1, "username": NaN, "retweet": Infinity}',
    ]
)  # fmt: skip
LINES = st.lists(st.one_of(RAW, st.dictionaries(NAMES, ODD, max_size=3), st.just({})), max_size=6)


def content(odd: list[bytes | dict[str, object]]) -> bytes:
    """A file in which plain tweets stand around the odd lines."""
    lines = []
    for number, line in enumerate(odd):
        lines.append(json.dumps(tweet(10 * number + 1)).encode())
        lines.append(line if isinstance(line, bytes) else json.dumps(tweet(10 * number + 2, **line)).encode())
    return b"\n".join([*lines, json.dumps(tweet(9_999)).encode(), b""])


def read(path: Path, small: int) -> tuple[list[Post], Counter[str], list[object], bool]:
    posts: list[Post] = []
    skipped: Counter[str] = Counter()
    quarantined: list[object] = []
    in_bulk = False
    file = InputFile(path)
    with bulk.open_bulk() as reader:
        for block in bulk.blocks(file, LIMIT, 50_000):
            found = bulk.read_block(reader, file, block, TWINT, LIMIT, small)
            in_bulk |= isinstance(found.posts, PostTable)
            posts.extend(found.posts)
            skipped.update(found.skipped)
            quarantined.extend(found.quarantined)
    return posts, skipped, quarantined, in_bulk


@given(LINES)
@example([{"tweet": text} for text in ("5", "-1.5", "true", "null", "", " ", "\0", "RT @é")])
@example([b'{"tweet": "x", "reply_to": 5, "link": "https://x.com/a/status/5", "user_id": 1, "username": "a"}'])
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_in_bulk_is_as_one_by_one(tmp_path: Path, odd: list[bytes | dict[str, object]]) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(content(odd))
    assert read(path, small=0)[:3] == read(path, small=2**40)[:3]


def test_odd_lines_do_not_keep_the_others_from_the_fast_way(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(content([b"broken", {"tweet": "🎈"}, b'{"tweet": "\xff"}', {"tweet": ""}]))
    posts, skipped, quarantined, in_bulk = read(path, small=0)
    assert in_bulk
    assert (len(posts), skipped, len(quarantined)) == (6, {"empty": 1}, 2)
    assert [post.text for post in posts][2] == "🎈"


def test_the_query_keeps_the_order_of_the_lines(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(content([]))
    keys = ", ".join(f"{key}: '{kind}'" for key, kind in twint_sql.KEYS.items())
    plan = duckdb.sql(
        f"EXPLAIN SELECT {twint_sql.SELECT}, {twint_sql.PLAIN} FROM ({twint_sql.PREPARE} FROM read_json("
        f"'{path}', format = 'newline_delimited', columns = {{{keys}}}))"
    ).fetchall()[0][1]
    assert "join" not in plan.lower()


@pytest.mark.parametrize("size", [100, 1_000, 10_000])
def test_blocks_are_whole_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    monkeypatch.setattr("pasquin.networks.files.reading.CHUNK", 777)
    path = tmp_path / "a.jsonl"
    lines = [b"x" * (number * 37 % 900) for number in range(200)] + [b"y" * 7_000, b"z", b"", b"w" * 4_999, b"end"]
    for end in (b"", b"\n"):
        path.write_bytes(b"\n".join(lines) + end)
        found = list(bulk.blocks(InputFile(path), 5_000, 70, size))
        seen = {block.first + n: line for block in found if block.pieces for n, line in enumerate(block.lines())}
        assert [seen.get(number) for number in range(1, len(lines) + 1)] == [
            None if len(line) > 5_000 else line for line in lines
        ]
        assert [block.first for block in found if block.too_long] == [201]
        assert max(block.count for block in found if block.pieces) <= 70


@pytest.mark.skipif(not TWEETS.exists(), reason="the real tweets are not here")
def test_real_tweets_are_the_same_either_way() -> None:
    file = InputFile(TWEETS)
    one_by_one = (read_line(file, *item) for item in file.lines(2**24) if isinstance(item, tuple))
    pages = twint(CollectSettings()).posts(str(TWEETS), None)
    in_bulk = (post for page in pages for post in page.posts)
    assert all(a == b for a, b in zip(one_by_one, in_bulk, strict=True))


def test_collecting_in_bulk_twice_adds_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps(tweet(number)) + "\n" for number in [*range(1, 2_000), 5, 6]))
    workspace = Workspace.create(tmp_path / "bot")
    first = collect(workspace, [f"twint:{path}"])
    assert (first["posts"], first["new"], first["skipped"]) == (2_001, 1_999, {"already collected": 2})
    assert collect(workspace, [f"twint:{path}"])["new"] == 0
    rows = duckdb.sql(f"SELECT text FROM {posts_query(workspace)} ORDER BY created_at LIMIT 2").fetchall()
    assert rows == [("The kettle number 1 sings.",), ("The kettle number 2 sings.",)]
