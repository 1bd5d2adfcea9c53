"""X archives of all ages give their owner's posts; zips that are damaged or hostile give a sentence."""

from __future__ import annotations

import json
import resource
import struct
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pasquin.collect import collect
from pasquin.config import CollectSettings
from pasquin.errors import InputError
from pasquin.networks import Page
from pasquin.networks.files.guess import guess_source
from pasquin.networks.x_archive import x_archive
from pasquin.records import Post
from pasquin.workspace import Workspace
from pasquin.workspace.shards import posts_query

SAMPLES = Path(__file__).parents[2] / "shared" / "data" / "samples"
MILAHU = "milahu__twitter-milahu104__"
ACCOUNT = 'window.YTD.account.part0 = [ {"account": {"username": "Ada", "accountId": "42"}} ]'


def read(path: Path, **options: object) -> Page:
    pages = list(x_archive(CollectSettings(**options)).posts(str(path), None))  # type: ignore[arg-type]
    skipped = {reason: count for page in pages for reason, count in page.skipped.items()}
    quarantined = tuple(piece for page in pages for piece in page.quarantined)
    deleted = tuple(uri for page in pages for uri in page.deleted)
    return Page(tuple(post for page in pages for post in page.posts), None, skipped, quarantined, deleted=deleted)


def make_zip(path: Path, entries: dict[str, str | bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return path


def tweet(id: int, text: str, **values: object) -> dict[str, object]:
    return {
        "id_str": str(id),
        "id": str(id),
        "full_text": text,
        "created_at": "Mon Oct 20 17:11:38 +0000 2025",
        "favorite_count": "3",
        "retweet_count": "1",
        "lang": "en",
        "retweeted": False,
        "truncated": False,
    } | values


def tweets_js(*tweets: dict[str, object], name: str = "tweets", wrapped: bool = True) -> str:
    items = [{"tweet": item} if wrapped else item for item in tweets]
    return f"window.YTD.{name}.part0 = {json.dumps(items, indent=2)}"


def test_current_archive(tmp_path: Path) -> None:
    reply = {"in_reply_to_status_id_str": "9", "in_reply_to_user_id_str": "7"}
    thread = {"in_reply_to_status_id_str": "9", "in_reply_to_user_id_str": "42"}
    path = make_zip(
        tmp_path / "twitter.zip",
        {
            "data/account.js": ACCOUNT,
            "data/tweets.js": tweets_js(
                tweet(1980321021254390009, "hello &amp; good-bye"),
                tweet(11, "RT @bo: words…"),
                tweet(12, "@bo yes", **reply),
                tweet(13, "and so", **thread),
            ),
            "data/tweets-part1.js": tweets_js(tweet(14, "part one"), tweet(11, "RT @bo: words…")),
            "data/tweet-headers.js": tweets_js(tweet(15, "not a post")),
            "data/deleted-tweets.js": tweets_js(tweet(16, "taken back")),
            "data/tweets_media/13-x.jpg": b"\xff\xd8",
        },
    )
    page = read(path)
    assert page.posts[0] == Post(
        uri="https://x.com/i/status/1980321021254390009",
        network="x",
        account="42",
        handle="Ada",
        text="hello &amp; good-bye",
        created_at=datetime(2025, 10, 20, 17, 11, 38, tzinfo=UTC),
        lang="en",
        likes=3,
        reposts=1,
        url="https://x.com/Ada/status/1980321021254390009",
        rights="own-archive",
    )
    assert [post.text for post in page.posts[1:]] == ["RT @bo: words…", "@bo yes", "and so", "part one"]
    assert [post.is_repost for post in page.posts] == [False, True, False, False, False]
    assert [post.reply_to for post in page.posts] == [None, None, "https://x.com/i/status/9", None, None]
    assert page.skipped == {"twice in the archive": 1, "deleted": 1}
    assert page.deleted == ("https://x.com/i/status/16",)
    with zipfile.ZipFile(path) as archive:
        archive.extractall(tmp_path / "unpacked")
    assert read(tmp_path / "unpacked").posts == page.posts


def test_older_archives(tmp_path: Path) -> None:
    old = {"data/account.js": ACCOUNT, "data/tweet.js": tweets_js(tweet(1, "2020"), name="tweet")}
    assert [post.text for post in read(make_zip(tmp_path / "a.zip", old)).posts] == ["2020"]
    bare = {"data/account.js": ACCOUNT, "data/tweet.js": tweets_js(tweet(1, "2018"), name="tweet", wrapped=False)}
    assert [post.text for post in read(make_zip(tmp_path / "b.zip", bare)).posts] == ["2018"]
    month = [
        {"id": 1581993, "text": "2006", "created_at": "Sat Dec 23 06:51:52 +0000 2006"},
        {"id": 2, "text": "theirs", "created_at": "2009-07-30 00:00:00 +0000", "retweeted_status": {"text": "theirs"}},
    ]
    grailbird = {
        "data/js/user_details.js": 'var user_details =  {"screen_name": "ada", "id": "42"}',
        "data/js/tweet_index.js": 'var tweet_index = [{"file_name": "data/js/tweets/2006_12.js"}]',
        "data/js/tweets/2006_12.js": f"Grailbird.data.tweets_2006_12 = \n {json.dumps(month)}",
    }
    page = read(make_zip(tmp_path / "c.zip", grailbird))
    assert [(post.account, post.text, post.is_repost) for post in page.posts] == [
        ("42", "2006", False),
        ("42", "theirs", True),
    ]
    assert page.posts[1].created_at == datetime(2009, 7, 30, tzinfo=UTC)


def test_long_posts_get_their_full_text(tmp_path: Path) -> None:
    whole = "A very long post & then some: " + "words " * 80
    note = {"createdAt": "2025-10-20T17:11:38.000Z", "core": {"text": whole}}
    orphan = {"createdAt": "2024-10-20T17:11:38.000Z", "core": {"text": "nobody's"}}
    entries = {
        "data/account.js": ACCOUNT,
        "data/tweets.js": tweets_js(
            tweet(1, whole.replace("&", "&amp;")[:270] + "… https://t.co/x"), tweet(2, "A very short one")
        ),
        "data/note-tweet.js": "window.YTD.note_tweet.part0 = "
        + json.dumps([{"noteTweet": note}, {"noteTweet": orphan}, {}]),
    }
    page = read(make_zip(tmp_path / "a.zip", entries))
    assert [post.text for post in page.posts] == [whole.replace("&", "&amp;"), "A very short one"]
    assert page.skipped == {"long post without its tweet": 1}


def test_links_are_written_out_and_pictures_dropped(tmp_path: Path) -> None:
    def link(short: str, long: str) -> dict[str, object]:
        return {"url": short, "expanded_url": long, "indices": ["0", "9"]}

    page = read(
        make_zip(
            tmp_path / "a.zip",
            {
                "data/account.js": ACCOUNT,
                "data/tweets.js": tweets_js(
                    tweet(
                        1,
                        "🎈 &lt;tea&gt; https://t.co/a, then https://t.co/pic",
                        entities={
                            "urls": [link("https://t.co/a", "https://shop.example/?a=1&b=2")],
                            "media": [link("https://t.co/pic", "https://x.com/a/photo/1")],
                        },
                    ),
                    tweet(2, "https://t.co/pic", entities={"media": [link("https://t.co/pic", "https://x.com/p")]}),
                    tweet(3, "https://t.co/a?", entities={"urls": [{"url": 5}, 7, link("https://t.co/ab", "x")]}),
                ),
            },
        )
    )
    assert [post.text for post in page.posts] == [
        "🎈 &lt;tea&gt; https://shop.example/?a=1&amp;b=2, then",
        "https://t.co/pic",
        "https://t.co/a?",
    ]


def test_what_was_deleted_goes_and_what_is_in_a_community_is_counted(tmp_path: Path) -> None:
    workspace = Workspace.create(tmp_path / "bot")
    entries: dict[str, str | bytes] = {
        "data/account.js": ACCOUNT,
        "data/tweets.js": tweets_js(tweet(1, "a"), tweet(2, "b")),
    }
    path = make_zip(tmp_path / "a.zip", entries)
    assert collect(workspace, [f"x-archive:{path}"])["new"] == 2
    entries["data/deleted-tweets.js"] = tweets_js(tweet(2, "b", deleted_at="Mon Oct 20 17:11:38 +0000 2025"))
    entries["data/community-tweet.js"] = tweets_js(tweet(3, "c", community_id="5"), tweet(4, "d", community_id="5"))
    result = collect(workspace, [f"x-archive:{make_zip(path, entries)}"])
    assert (result["posts"], result["new"], result["deleted"]) == (1, 0, 1)
    assert result["skipped"] == {"deleted": 1, "in a community": 2, "already collected": 1}
    assert duckdb.sql(f"SELECT text FROM {posts_query(workspace)}").fetchall() == [("a",)]


def test_posts_have_the_handle_of_their_time_and_missing_parts_are_said(tmp_path: Path) -> None:
    def change(moment: str, old: str, new: str) -> dict[str, object]:
        inner = {"changedAt": moment, "changedFrom": old, "changedTo": new}
        return {"screenNameChange": {"accountId": "42", "screenName": inner}}

    changes = [change("2020-01-01T00:00:00.000Z", "miss_a", "Ada"), change("2015-01-01T00:00:00.000Z", "a", "miss_a")]
    parts = [{"fileName": f"data/tweets{part}.js"} for part in ("", "-part1")]
    times = [f"Mon Oct 20 17:11:38 +0000 {year}" for year in (2014, 2016, 2024)]
    entries: dict[str, str | bytes] = {
        "data/account.js": ACCOUNT,
        "data/screen-name-change.js": f"window.YTD.screen_name_change.part0 = {json.dumps(changes)}",
        "data/manifest.js": "window.__THAR_CONFIG = " + json.dumps({"dataTypes": {"tweets": {"files": parts}}}),
        "data/tweets.js": tweets_js(*[tweet(number, "hi", created_at=time) for number, time in enumerate(times, 1)]),
    }
    page = read(make_zip(tmp_path / "a.zip", entries))
    assert [post.handle for post in page.posts] == ["a", "miss_a", "Ada"]
    assert ["part1.js and lacks it" in piece.reason for piece in page.quarantined] == [True]


def test_the_tables_of_old_archives(tmp_path: Path) -> None:
    table = (
        '"tweet_id","in_reply_to_status_id","in_reply_to_user_id","retweeted_status_id","timestamp","text","expanded_urls"\n'
        '"556823","","","","2013-02-01 04:12:21 +0000","two\nlines, “quoted” ""so"""\n'
        '"2","9","7","","2009-07-30 00:00:00 +0000","@bo yes","https://a.example","https://b.example"\n'
        '"3","","","5","2009-07-30 00:00:00 +0000","theirs",""\n'
        '"x","","","","","no id",""\n'
    )
    details = 'var user_details =  {"screen_name": "ada", "id": "42"}'
    path = make_zip(
        tmp_path / "a.zip", {"data/js/user_details.js": details, "tweets.csv": b"\xef\xbb\xbf" + table.encode()}
    )
    page = read(path)
    assert [(post.text, post.account, post.is_repost, post.reply_to) for post in page.posts] == [
        ('two\nlines, “quoted” "so"', "42", False, None),
        ("@bo yes", "42", False, "https://x.com/i/status/9"),
        ("theirs", "42", True, None),
    ]
    assert [piece.reason for piece in page.quarantined] == ["it has no id"]
    single = tmp_path / "2013_01.csv"
    single.write_bytes(table.encode() + b'"4","","","","","caf\xe9",""\n')
    page = read(single, account="42")
    assert (len(page.posts), [piece.reason for piece in page.quarantined]) == (3, ["it has no id", "it is not UTF-8"])
    (tmp_path / "tweets.js").write_text(tweets_js(tweet(1, "alone")))
    assert read(tmp_path / "tweets.js", account="42").posts[0].text == "alone"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("tweets (1).js", tweets_js(tweet(1, "alone"))),
        ("mine.js", "Grailbird.data.tweets_2013_01 = " + json.dumps([tweet(1, "alone")])),
    ],
)
def test_a_file_of_an_archive_is_known_by_what_it_holds(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content)
    assert guess_source(str(tmp_path / name), CollectSettings()) == "x-archive"
    assert read(tmp_path / name, account="42").posts[0].text == "alone"


def test_whose_archive_it_is(tmp_path: Path) -> None:
    entries: dict[str, str | bytes] = {"data/tweets.js": tweets_js(tweet(1, "hi"))}
    page = read(make_zip(tmp_path / "a.zip", entries))
    assert (page.posts, len(page.quarantined)) == ((), 1)
    assert "--account" in page.quarantined[0].reason
    assert read(tmp_path / "a.zip", account="ada").posts[0].account == "ada"
    entries["data/manifest.js"] = 'window.__THAR_CONFIG = {"userInfo": {"accountId": "42", "userName": "Ada"}}'
    assert read(make_zip(tmp_path / "b.zip", entries)).posts[0].handle == "Ada"


def test_bad_tweets_cost_only_themselves(tmp_path: Path) -> None:
    items = (
        json.dumps({"tweet": tweet(1, "first")})
        + ', {"tweet": {"id_str": "x"}}, {"tweet": 5}, {"a" "b"}, {"tweet": {"id_str": "2", "full_text": "\\ud83d"}}, '
        + json.dumps({"tweet": tweet(3, "x" * 5_000)})
        + ", "
        + json.dumps({"tweet": tweet(4, "last")})
        + ', {"tweet": {"id_str": "5", "full'
    )
    entries = {"data/account.js": ACCOUNT, "data/tweets.js": f"window.YTD.tweets.part0 = [{items}"}
    page = read(make_zip(tmp_path / "a.zip", entries), max_line_bytes=2_000)
    assert [post.text for post in page.posts] == ["first", "last"]
    assert len(page.quarantined) == 6
    assert page.quarantined[-1].reason == "the file is cut off here"
    assert page.quarantined[0].where.endswith("a.zip!data/tweets.js:2")


def _overlapping(path: Path) -> None:
    """Two entries in the directory that are the same bytes of the file."""
    make_zip(path, {"data/tweets.js": b"a" * 500})
    content = path.read_bytes()
    start = content.index(b"PK\x01\x02")
    end = content.index(b"PK\x05\x06")
    entry = content[start:end]
    other = entry.replace(b"data/tweets.js", b"data/tweet1.js")
    tail = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 2, 2, len(entry) * 2, start, 0)
    path.write_bytes(content[:start] + entry + other + tail)


def test_zips_that_are_refused(tmp_path: Path) -> None:
    def refused(path: Path, word: str) -> None:
        with pytest.raises(InputError, match=word):
            read(path)

    good = make_zip(
        tmp_path / "good.zip", {"data/account.js": ACCOUNT, "data/tweets.js": tweets_js(tweet(1, "x" * 400))}
    )
    content = good.read_bytes()
    bad = tmp_path / "bad.zip"
    for broken in (b"not a zip at all", content[: len(content) // 2], content[:-10]):
        bad.write_bytes(broken)
        refused(bad, "no zip that can be read")
    flipped = bytearray(content)
    flipped[content.index(b"data/tweets.js") + 60] ^= 0x40
    bad.write_bytes(bytes(flipped))
    refused(bad, "damaged or locked at data/tweets.js")
    refused(make_zip(bad, {"photos/a.jpg": b""}), "no data/tweets.js")
    refused(make_zip(bad, {"twitter-2026.zip": content}), "another zip, twitter-2026.zip")
    refused(make_zip(bad, {"../../etc/passwd": "x", "data/tweets.js": tweets_js()}), "outside of itself")
    refused(make_zip(bad, {"/etc/passwd": "x", "data/tweets.js": tweets_js()}), "outside of itself")
    _overlapping(bad)
    refused(bad, "overlap")
    end = content.index(b"PK\x05\x06")
    bad.write_bytes(content[: end + 12] + struct.pack("<I", 2**30) + content[end + 16 :])
    refused(bad, "more files than any account has")
    bad.write_bytes(b"")
    refused(bad, "no zip")
    (tmp_path / "folder").mkdir()
    refused(tmp_path / "folder", r"no \.zip file")


def test_a_bomb_is_refused_in_little_memory_and_time(tmp_path: Path) -> None:
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("data/tweets.js", "w") as entry:
        for _ in range(300):
            entry.write(b" " * 2**20)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(InputError, match="bomb"):
        read(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000


def test_an_entry_whose_name_is_no_text_is_a_sentence(tmp_path: Path) -> None:
    path = make_zip(tmp_path / "a.zip", {"data/tweets.js": tweets_js(tweet(1, "hello"))})
    content = bytearray(path.read_bytes())
    content[content.index(b"data/tweets.js")] = 0xFF  # in front of the entry; the directory at the end stays whole
    content[7] |= 8  # where it says that the name is UTF-8
    path.write_bytes(content)
    with pytest.raises(InputError, match="damaged or locked"):
        read(path)


@given(flips=st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), max_size=4), cut=st.integers(0, 10_000))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_damaged_zips_never_crash(tmp_path: Path, flips: list[tuple[int, int]], cut: int) -> None:
    path = make_zip(tmp_path / "a.zip", {"data/account.js": ACCOUNT, "data/tweets.js": tweets_js(tweet(1, "hello"))})
    content = bytearray(path.read_bytes())
    for position, value in flips:
        content[position % len(content)] = value
    path.write_bytes(bytes(content[: cut % len(content)] if cut % 3 == 0 else content))
    try:
        page = read(path)
    except InputError:
        return
    assert all(post.text == "hello" for post in page.posts)


@pytest.mark.skipif(not SAMPLES.exists(), reason="the sample exports are not here")
def test_real_archives(tmp_path: Path) -> None:
    def archive(name: str, folder: str, prefix: str, inside: str, *names: str) -> Page:
        entries = {f"{inside}{file}": (SAMPLES / folder / f"{prefix}{file}").read_bytes() for file in names}
        return read(make_zip(tmp_path / name, dict(entries)))

    new = archive(
        "new.zip", "x_archive_new", "EdgeVector__fold_db_node__", "data/",
        "account.js", "manifest.js", "tweets.js", "note-tweet.js", "tweet-headers.js", "deleted-tweets.js",
    )  # fmt: skip
    assert (len(new.posts), new.quarantined) == (356, ())
    assert sum(post.is_repost for post in new.posts) == 44
    assert new.skipped == {"long post without its tweet": 10}
    assert all(post.likes is not None and post.created_at for post in new.posts)
    old = archive("old.zip", "x_archive_old", "dsajgiouawj__TweetArchive__", "data/", "account.js", "tweet.js")
    assert (len(old.posts), old.quarantined, old.posts[0].account) == (500, (), "4688937990")
    months = {
        f"data/js/tweets/{month}.js": (SAMPLES / "x_archive_grailbird" / f"anildash__tweets__{month}.js").read_bytes()
        for month in ("2006_12", "2013_01")
    }
    grailbird = read(make_zip(tmp_path / "grailbird.zip", dict(months)))
    assert (len(grailbird.posts), grailbird.quarantined, grailbird.posts[0].account) == (1_198, (), "36823")
    assert {post.handle for post in grailbird.posts} == {"anildash"}
    tables = read(SAMPLES / "x_archive_grailbird" / "anildash__tweets__2013_01.csv", account="36823")
    assert (len(tables.posts), tables.quarantined) == (1_190, ())
    assert {post.uri for post in tables.posts} <= {post.uri for post in grailbird.posts}
    deleted = {
        "data/tweets.js": tweets_js(tweet(1, "stays")),
        "data/account.js": ACCOUNT,
        "data/deleted-tweets.js": (SAMPLES / "x_archive_new" / f"{MILAHU}deleted-tweets.js").read_bytes(),
        "data/community-tweet.js": (SAMPLES / "x_archive_new" / f"{MILAHU}community-tweet.js").read_bytes(),
    }
    page = read(make_zip(tmp_path / "deleted.zip", dict(deleted)))
    assert (len(page.posts), page.skipped, len(page.deleted)) == (1, {"deleted": 20, "in a community": 3}, 20)
