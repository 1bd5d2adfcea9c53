"""Reading files: every format gives the posts that are in it, and bad input costs only itself."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pasquin.config import CollectSettings
from pasquin.errors import InputError, UsageError
from pasquin.networks import Page, Quarantined, Source, files, open_source, sources
from pasquin.networks.files.guess import guess_source
from pasquin.networks.json_stream import Oversized, Unfinished, elements
from pasquin.networks.values import to_count, to_time
from pasquin.records import Post

SAMPLES = Path(__file__).parents[2] / "shared" / "data" / "samples"
Make = Callable[[CollectSettings], Source]


def read(make: Make, path: Path | str, **options: object) -> Page:
    """Everything a source gives for a path, as one page."""
    pages = list(make(CollectSettings(**options)).posts(str(path), None))  # type: ignore[arg-type]
    skipped: dict[str, int] = {}
    for page in pages:
        for reason, count in page.skipped.items():
            skipped[reason] = skipped.get(reason, 0) + count
    return Page(
        tuple(post for page in pages for post in page.posts),
        None,
        skipped,
        tuple(piece for page in pages for piece in page.quarantined),
        pages[-1].share if pages else None,
    )


def texts(page: Page) -> list[str]:
    return [post.text for post in page.posts]


def reasons(page: Page) -> list[str]:
    return [piece.reason for piece in page.quarantined]


def tweet(id: int = 1267196520354295808, text: object = "a tweet", /, **values: object) -> dict[str, object]:
    """A tweet as twint wrote it, its id rounded as JavaScript did."""
    return {
        "id": round(id, -2),
        "conversation_id": str(id),
        "created_at": 1590958168000,
        "user_id": 42,
        "username": "ada",
        "tweet": text,
        "likes_count": 7,
        "retweets_count": 2,
        "link": f"https://twitter.com/ada/status/{id}",
        "retweet": False,
        "reply_to": [{"user_id": "42", "username": "ada"}],
    } | values


def lines(*records: object) -> bytes:
    return b"".join(json.dumps(record).encode() + b"\n" for record in records)


def test_every_registered_file_source_opens() -> None:
    assert {"twint", "csv", "jsonl", "parquet", "text", "fortune", "x-archive"} <= set(sources())
    assert all(open_source(name, CollectSettings()).reads_files for name in ("twint", "x-archive", "fortune"))


def test_twint_keeps_identity_time_likes_and_link(tmp_path: Path) -> None:
    path = tmp_path / "vc.jsonl"
    path.write_bytes(lines(tweet()))
    (post,) = read(files.twint, path).posts
    assert post == Post(
        uri="https://x.com/i/status/1267196520354295808",
        network="x",
        account="42",
        handle="ada",
        text="a tweet",
        created_at=datetime(2020, 5, 31, 20, 49, 28, tzinfo=UTC),
        likes=7,
        reposts=2,
        url="https://twitter.com/ada/status/1267196520354295808",
    )


def test_twint_knows_replies_reposts_and_rounded_ids(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    other = [{"user_id": "42", "username": "ada"}, {"user_id": "9", "username": "bo"}]
    path.write_bytes(
        lines(
            tweet(1267196520354295808, conversation_id="1267196520354290000", reply_to=other),
            tweet(1267196520354295809, conversation_id="1267196520354290000"),  # going on under the own tweet
            tweet(1267196520354295810, "RT @bo: hello"),
            tweet(1267196520354295872, link=""),  # the conversation id agrees with what the id was
            tweet(1267196520354295873, link="", conversation_id="1200000000000000000"),
            tweet(1404226805525017155, link="", id=1404226805525017155, created_at="… Eastern Daylight Time"),
            tweet(5, created_at="x", date="2021-06-13", time="19:58:54", timezone="-0400"),
        )
    )
    page = read(files.twint, path)
    assert [bool(post.reply_to) for post in page.posts] == [True, False, False, False, False, False]
    assert [post.is_repost for post in page.posts] == [False, False, True, False, False, False]
    assert page.posts[3].uri.endswith("/1267196520354295872")
    assert page.posts[4].created_at == to_time(((1404226805525017155 >> 22) + 1288834974657) / 1000)  # from the id
    assert page.posts[5].created_at == datetime(2021, 6, 13, 23, 58, 54, tzinfo=UTC)
    assert reasons(page) == ["it has no exact id: no link, and the id lost its last digits"]


def test_bad_lines_cost_only_themselves(tmp_path: Path) -> None:
    path = tmp_path / "bad.jsonl"
    good = [tweet(10**18 + number, f"tweet {number}") for number in range(4)]
    path.write_bytes(
        lines(good[0])
        + b'{"tweet": "cut'
        + b"\n\xff\xfe\x00 not utf-8\n"
        + b'{"tweet": "\\ud83d alone", "link": "https://x.com/a/status/1"}\n'
        + b'{"tweet": "raw \x00", "link": "https://x.com/a/status/2"}\n'
        + lines(good[1])
        + b"[1, 2]\n42\nnull\n"
        + lines({"no": "tweet"}, tweet(5, None), tweet(6, user_id=None, username=""))
        + b"\r\n\n"
        + lines(good[2])
        + lines(tweet(7, "nul \0 in it"), tweet(8, "  "))
        + lines(good[3]).rstrip()
    )
    page = read(files.twint, path)
    assert texts(page) == ["tweet 0", "tweet 1", "tweet 2", "nul  in it", "tweet 3"]
    assert len(page.quarantined) == 10
    assert page.skipped == {"empty": 1}
    assert page.quarantined[0] == Quarantined(f"{path}:2", page.quarantined[0].reason, b'{"tweet": "cut')


def test_a_huge_line_is_passed_over_without_being_held(tmp_path: Path) -> None:
    import tracemalloc

    path = tmp_path / "huge.jsonl.gz"
    with gzip.open(path, "wb", compresslevel=1) as handle:
        handle.write(lines(tweet(1, "before")) + b'{"tweet": "')
        for _ in range(100):
            handle.write(b"x" * 2**20)
        handle.write(b'"}\n' + lines(tweet(2, "after")))
    tracemalloc.start()
    page = read(files.twint, path, max_line_bytes=2**20)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert texts(page) == ["before", "after"]
    assert reasons(page) == ["the line is longer than 1,048,576 bytes"]
    assert peak < 12 * 2**20


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-be", "utf-32"])
def test_encodings_with_a_byte_order_mark(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "t.json"
    mark = "\ufeff" if encoding == "utf-16-be" else ""
    content = mark + "\r\n".join(json.dumps(tweet(id, f"größe {id} 🎈"), ensure_ascii=False) for id in (1, 2))
    path.write_bytes(content.encode(encoding))
    assert texts(read(files.twint, path)) == ["größe 1 🎈", "größe 2 🎈"]


def test_a_cut_off_gzip_gives_what_came_before_and_says_so(tmp_path: Path) -> None:
    path = tmp_path / "cut.jsonl.gz"
    whole = gzip.compress(lines(*(tweet(10**18 + number, f"tweet {number * 7919}") for number in range(2_000))))
    path.write_bytes(whole[: len(whole) // 2])
    page = read(files.twint, path)
    assert 500 < len(page.posts) < 1_500
    assert reasons(page) == ["the compressed file is cut off; what came before the cut was read"]
    path.write_bytes(whole[: len(whole) // 2] + b"\xff" * 500)
    assert 500 < len(read(files.twint, path).posts) < 1_500
    path.write_bytes(gzip.compress(lines(tweet(1))) + gzip.compress(lines(tweet(2))) + b"\0" * 512)
    page = read(files.twint, path)
    assert (len(page.posts), page.quarantined) == (2, ())


def test_files_that_are_not_there_or_empty(tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").touch()
    (tmp_path / "folder").mkdir()
    for path, word in (
        ("empty.jsonl", "empty"),
        ("folder", "no .json"),
        ("none.jsonl", "no file"),
        ("*.xyz", "no file"),
    ):
        with pytest.raises(InputError, match=word):
            read(files.twint, tmp_path / path)
    with pytest.raises(InputError):
        read(files.twint, "x\0y")
    with pytest.raises(InputError):
        read(files.twint, "x" * 5_000)
    with pytest.raises(InputError, match="not a file"):
        read(files.twint, "/dev/null")


def test_directories_and_patterns(tmp_path: Path) -> None:
    for number in range(3):
        folder = tmp_path / "in" / str(number)
        folder.mkdir(parents=True)
        (folder / "t.jsonl.gz").write_bytes(gzip.compress(lines(tweet(number + 1))))
        (folder / "notes.md").write_text("no tweets")
    (tmp_path / "in" / "empty.json").touch()
    page = read(files.twint, tmp_path / "in")
    assert len(page.posts) == 3
    assert len(page.quarantined) == 1
    assert "is empty" in page.quarantined[0].reason
    assert len(read(files.twint, tmp_path / "in" / "[01]" / "*.gz").posts) == 2


def test_csv_as_the_2020_tools_wrote_it(tmp_path: Path) -> None:
    path = tmp_path / "ada_tweets.csv"
    path.write_text('tweets\nplain\n"with, comma and ""quotes"""\n"two\nlines"\n\n')
    page = read(files.csv, path)
    assert texts(page) == ["plain", 'with, comma and "quotes"', "two\nlines"]
    assert {post.account for post in page.posts} == {"ada"}
    assert {post.network for post in page.posts} == {"files"}
    assert all(post.uri.startswith("file:") for post in page.posts)
    assert read(files.csv, path, account="bo").posts[0].account == "bo"


def test_csv_with_named_columns(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text(
        "who;words;when;hearts;where\n"
        "ada;hello;2020-05-31 20:49:28+02:00;1,234;https://example.org/1\n"
        "bo;short\n"
        "cy;;1590958168;x;\n"
    )
    mapping = {"account": "who", "text": "words", "created_at": "when", "likes": "hearts", "url": "where"}
    page = read(files.csv, path, columns=mapping)
    assert page.posts[0].created_at == datetime(2020, 5, 31, 18, 49, 28, tzinfo=UTC)
    assert (page.posts[0].likes, page.posts[0].url, page.posts[0].account) == (1234, "https://example.org/1", "ada")
    assert (page.posts[1].text, page.posts[1].likes) == ("short", None)
    assert page.skipped == {"empty": 1}
    with pytest.raises(InputError, match=r"no column `body`.*who, words"):
        read(files.csv, path, columns={"text": "body"})
    with pytest.raises(InputError, match="no column that is known"):
        read(files.csv, path)
    with pytest.raises(UsageError, match="no field `colour`"):
        read(files.csv, path, columns={"colour": "who"})


def test_csv_that_is_broken(tmp_path: Path) -> None:
    path = tmp_path / "bad.csv"
    path.write_bytes(b'tweets\ngood\nlatin \xe9\nnul \0\nbetter\n"' + b"x" * 200_000 + b'"\nbest\n')
    page = read(files.csv, path)
    assert texts(page) == ["good", "better", "best"]
    assert sorted(reason.split(" (")[0] for reason in reasons(page)) == [
        "it contains NUL bytes",
        "it is no CSV record",
        "it is not UTF-8",
    ]
    whole = gzip.compress(b'tweets\nwhole\n"begun\n' + b"and cut off\n" * 10)
    path.write_bytes(whole[:-8])
    assert texts(read(files.csv, path)) == ["whole"]


def test_jsonl_by_usual_names_dots_and_arrays(tmp_path: Path) -> None:
    path = tmp_path / "posts.jsonl"
    records = [
        {"content": "one", "user": {"username": "ada"}, "date": "2021-01-02T03:04:05+00:00", "likeCount": 3},
        {"content": "two", "id": 17},
    ]
    path.write_bytes(lines(*records))
    page = read(files.jsonl, path)
    assert [(post.account, post.text, post.likes) for post in page.posts] == [("ada", "one", 3), ("posts", "two", None)]
    assert page.posts[0].created_at == datetime(2021, 1, 2, 3, 4, 5, tzinfo=UTC)
    path.write_text(json.dumps(records, indent=1))
    assert texts(read(files.jsonl, path)) == ["one", "two"]
    mapped = read(files.jsonl, path, columns={"text": "user.username", "uri": "id"})
    assert texts(mapped) == ["ada"]
    assert reasons(mapped) == ["it has no text"]


def test_parquet(tmp_path: Path) -> None:
    duckdb = pytest.importorskip("duckdb")
    path = tmp_path / "p[1].parquet"
    duckdb.sql("SELECT 'hi ' || i AS body, i AS n, TIMESTAMP '2020-01-01' AS at FROM range(5000) t(i)").write_parquet(
        str(path)
    )
    page = read(files.parquet, path, columns={"text": "body", "likes": "n", "created_at": "at"})
    assert len(page.posts) == 5_000
    assert page.posts[3].likes == 3
    assert page.posts[3].created_at == datetime(2020, 1, 1, tzinfo=UTC)
    with pytest.raises(InputError, match="no column `words`"):
        read(files.parquet, path, columns={"text": "words"})
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(InputError, match="no Parquet file"):
        read(files.parquet, path, columns={"text": "body"})


def test_delimited_text_and_one_a_line(tmp_path: Path) -> None:
    path = tmp_path / "gen.txt"
    path.write_text("one\nstill one\n" + "=" * 20 + "\ntwo\r\n" + "=" * 20 + "\n\n" + "=" * 20 + "\n")
    page = read(files.text, path)
    assert texts(page) == ["one\nstill one", "two"]
    assert page.skipped == {"empty": 1}
    path.write_text("one\ntwo\n\nthree")
    assert texts(read(files.text, path)) == ["one", "two", "three"]
    path.write_text("one\n--\ntwo\n--\n")
    assert texts(read(files.text, path, delimiter="--")) == ["one", "two"]
    path.write_bytes(b"good\n--\nbad \xff\n--\n" + b"long\n" * 1_000 + b"--\nbest\n--\n")
    page = read(files.text, path, delimiter="--", max_line_bytes=1_024)
    assert texts(page) == ["good", "best"]
    assert reasons(page) == ["it is not UTF-8", "the text is longer than 1,024 bytes"]


def test_fortunes(tmp_path: Path) -> None:
    (tmp_path / "wisdom").write_text("A stitch.\n%\nTwo\nlines.\n%\n")
    (tmp_path / "wisdom.dat").write_bytes(b"\0\1\2")
    (tmp_path / "LICENSE").write_text("not a fortune\n")
    page = read(files.fortune, tmp_path)
    assert [(post.account, post.text) for post in page.posts] == [("wisdom", "A stitch."), ("wisdom", "Two\nlines.")]
    assert page.quarantined == ()


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.zip", b"PK", "x-archive"),
        ("a.csv.gz", b"tweets\n", "csv"),
        ("a.json", lines(tweet()), "twint"),
        ("a.jsonl", b'{"content": 1}\n', "jsonl"),
        ("a.json", b'[\n{"content": 1}]\n', "jsonl"),
        ("a.txt", b"x\n" + b"=" * 20 + b"\ny", "text"),
        ("wisdom", b"x\n%\ny\n", "fortune"),
    ],
)
def test_guessing(tmp_path: Path, name: str, content: bytes, expected: str) -> None:
    (tmp_path / name).write_bytes(content)
    assert guess_source(str(tmp_path / name), CollectSettings()) == expected


def test_what_cannot_be_guessed_says_what_to_write(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one\ntwo\n")
    with pytest.raises(UsageError, match="text:"):
        guess_source(str(tmp_path / "a.txt"), CollectSettings())


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1590958168, datetime(2020, 5, 31, 20, 49, 28, tzinfo=UTC)),
        (1590958168000, datetime(2020, 5, 31, 20, 49, 28, tzinfo=UTC)),
        ("1590958168", datetime(2020, 5, 31, 20, 49, 28, tzinfo=UTC)),
        ("Fri Feb 01 04:12:21 +0000 2013", datetime(2013, 2, 1, 4, 12, 21, tzinfo=UTC)),
        ("2009-07-30 00:00:00 +0000", datetime(2009, 7, 30, tzinfo=UTC)),
        ("14 Jan 2026 16:33 +0000", datetime(2026, 1, 14, 16, 33, tzinfo=UTC)),
        ("Fri Foo 01 04:12:21 +0000 2013", None),
        ("0001-01-01T00:00:00+14:00", None),
        (float("nan"), None),
        (10**400, None),
        (True, None),
    ],
)
def test_times(value: object, expected: datetime | None) -> None:
    assert to_time(value) == expected


def test_counts() -> None:
    values = (3, "12", "1,234", -1, "x", True, 2**80, 3.0, None)
    assert [to_count(value) for value in values] == [3, 12, 1234, None, None, None, None, 3, None]


@given(
    items=st.lists(
        st.recursive(st.text(), lambda inner: st.dictionaries(st.text(), inner) | st.lists(inner)), max_size=5
    ),
    cuts=st.integers(1, 7),
)
@settings(max_examples=60, deadline=None)
def test_elements_of_an_array_survive_any_chunking(items: list[object], cuts: int) -> None:
    data = b"window.YTD.tweets.part0 = " + json.dumps(items, ensure_ascii=False).encode("utf-8", "replace") + b";"
    chunks = [data[start : start + cuts] for start in range(0, len(data), cuts)]
    found = [json.loads(element) for element in elements(chunks, 10_000)]
    expected = [item for item in items if isinstance(item, dict | list)]
    assert found == json.loads(json.dumps(expected, ensure_ascii=False).encode("utf-8", "replace"))


def test_huge_and_unfinished_elements() -> None:
    data = b'[{"a": 1}, {"b": "' + b'x\\"[{' * 4_000 + b'"}, {"c": 3}, {"d": [1, 2'
    for size in (1, 100, 10**6):
        found = list(elements([data[start : start + size] for start in range(0, len(data), size)], 1_000))
        assert [type(element) for element in found] == [bytes, Oversized, bytes, Unfinished]
        assert found[2] == b'{"c": 3}'


@pytest.mark.parametrize("name", ["twint", "jsonl", "csv", "text", "fortune"])
@given(
    garbage=st.lists(st.binary(max_size=60) | st.text(max_size=30).map(lambda text: text.encode("utf-16")), max_size=6)
)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_readers_never_crash_and_always_end(tmp_path: Path, name: str, garbage: list[bytes]) -> None:
    path = tmp_path / "fuzz"
    path.write_bytes(b"\n".join(garbage))
    for content in (path.read_bytes(), b"text\n" + path.read_bytes(), gzip.compress(path.read_bytes())[:-3]):
        path.write_bytes(content)
        try:
            page = read(getattr(files, name), path, max_line_bytes=1_024)
        except InputError:
            continue
        assert all(isinstance(post.text, str) for post in page.posts)


@given(garbage=st.lists(st.binary(max_size=40).filter(lambda raw: b"\n" not in raw), max_size=5))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_good_lines_survive_between_garbage(tmp_path: Path, garbage: list[bytes]) -> None:
    path = tmp_path / "mixed.jsonl"
    path.write_bytes(lines(tweet(1)) + b"".join(piece + b"\n" + lines(tweet(2 + n)) for n, piece in enumerate(garbage)))
    assert len(read(files.twint, path).posts) == len(garbage) + 1


@pytest.mark.skipif(not SAMPLES.exists(), reason="the sample exports are not here")
def test_real_exports() -> None:
    expected = {
        "twint/christisarv__2021-covid-vaccine-analysis__twint.json": (files.twint, 60),
        "twint/model-zoo__twitter-turing-test__vc_000.txt": (files.twint, 100),
        "twint/christisarv__2021-covid-vaccine-analysis__twint_csv_half.csv": (files.csv, 50),
        "snscrape/hansheng0512__tweets-scrapping-using-python__text-query-tweets.json": (files.jsonl, 100),
        "gallery_dl/vladkens__twscrape__gallerydl_user_tweets.jsonl": (files.jsonl, 25),
        "human_ai_text/minimaxir__download-tweets-ai-text-gen__minimaxir_355M.txt": (files.text, 1_000),
        "human_ai_text/saluttolove__Bot_Profiling_on_Twitter__validation.csv": (files.csv, 2_302),
    }
    for name, (make, count) in expected.items():
        page = read(make, SAMPLES / name)
        assert (len(page.posts), len(page.quarantined)) == (count, 0), name
        assert "snscrape" not in name or all(post.created_at and post.likes is not None for post in page.posts)
