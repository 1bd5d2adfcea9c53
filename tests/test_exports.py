"""Exports of scrapers, chats and Reddit give the posts that are in them, and bad input costs only itself."""

from __future__ import annotations

import codecs
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pasquin.config import CollectSettings
from pasquin.errors import InputError
from pasquin.networks import Page, Source, exports, open_source
from pasquin.networks.files.guess import guess_source
from pasquin.networks.json_stream import elements, named_arrays

SAMPLES = Path(__file__).parents[2] / "shared" / "data" / "samples"
ALL = [
    exports.snscrape,
    exports.twscrape,
    exports.gallery_dl,
    exports.telegram,
    exports.discord,
    exports.whatsapp,
    exports.reddit,
]
Make = Callable[[CollectSettings], Source]


def read(make: Make, path: Path, content: bytes | str | None = None, **options: object) -> Page:
    """Everything a source gives for a file (written first when `content` is given), as one page."""
    if content is not None:
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    (page,) = make(CollectSettings(**options)).posts(str(path), None)  # type: ignore[arg-type]
    return page


def lines(*records: object) -> str:
    return "".join(json.dumps(record) + "\n" for record in records)


def texts(page: Page) -> list[str]:
    return [post.text for post in page.posts]


def test_all_are_registered() -> None:
    for name in ("snscrape", "twscrape", "gallery-dl", "telegram", "discord", "whatsapp", "reddit"):
        assert open_source(name, CollectSettings()).reads_files


# --- scrapers of X --------------------------------------------------------------------------------------------------

ID = 1278115358860173312


def scraped(
    id: int = ID, text: str = "tea", user: int = 42, key: str = "rawContent", **values: object
) -> dict[str, object]:
    return {
        "id": id,
        "url": f"https://twitter.com/ada/status/{id}",
        "date": "2020-06-30T23:57:02+00:00",
        key: text,
        "user": {"id": user, "username": {42: "ada"}.get(user, f"user{user}")},
        "lang": "en",
        "likeCount": 5,
        "retweetCount": 2,
        "retweetedTweet": None,
        "inReplyToTweetId": None,
        "inReplyToUser": None,
    } | values


def test_snscrape_of_both_ages_and_of_powershell(tmp_path: Path) -> None:
    path = tmp_path / "t.json"
    pandas = scraped(inReplyToTweetId=float("nan"), retweetedTweet=float("nan"))
    rows = lines(pandas, scraped(ID + 1, key="content"), scraped(ID + 2, "RT @bo: hm"))
    for content in (rows.encode(), codecs.BOM_UTF16_LE + rows.replace("\n", "\r\n").encode("utf-16-le")):
        page = read(exports.snscrape, path, content)
        assert [post.uri.rpartition("/")[2] for post in page.posts] == [str(ID), str(ID + 1), str(ID + 2)]
    post = page.posts[0]
    assert (post.network, post.account, post.handle, post.likes, post.rights) == ("x", "42", "ada", 5, "unknown")
    assert post.created_at == datetime(2020, 6, 30, 23, 57, 2, tzinfo=UTC)
    assert page.posts[2].is_repost


def test_scraped_replies(tmp_path: Path) -> None:
    to_bo = {"inReplyToTweetId": 9, "inReplyToUser": {"id": 7}}
    to_self = {"inReplyToTweetId": 9, "inReplyToUser": {"id": 42}}
    page = read(exports.snscrape, tmp_path / "t.jsonl", lines(scraped(**to_bo), scraped(ID + 1, **to_self)))  # type: ignore[arg-type]
    assert [post.reply_to for post in page.posts] == ["https://x.com/i/status/9", None]


def test_twscrape_leaves_out_the_others_of_a_timeline_but_not_of_a_search(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    mine = [scraped(ID + number, id_str=str(ID + number), text=str(number)) for number in range(5)]
    others = [scraped(ID + number, user=number, retweetedTweet=None) for number in (50, 51, 52)]
    page = read(exports.twscrape, path, lines(*mine, *others))
    assert {post.handle for post in page.posts} == {"ada"}
    assert page.skipped == {"by somebody else": 3}
    assert len(read(exports.twscrape, path, lines(*mine[:2], *others)).posts) == 5
    assert len(read(exports.twscrape, path, account="@USER51").posts) == 1


def test_gallery_dl_in_its_three_forms(tmp_path: Path) -> None:
    row = {
        "tweet_id": ID,
        "date": "2020-06-30 23:57:02",
        "author": {"id": 42, "name": "ada"},
        "user": {"id": 42, "name": "ada"},
        "content": "tea",
        "lang": "en",
        "favorite_count": 5,
        "retweet_id": 0,
        "reply_id": 0,
    }
    other = row | {"tweet_id": ID + 1, "author": {"id": 7, "name": "bo"}}
    dumped = [[2, row], [3, "https://pictures.invalid/1.jpg", row], [3, "https://pictures.invalid/2.jpg", other]]
    expected = {"by somebody else": 1, "another picture of a post": 1}
    for content in (lines(row, row, other), json.dumps(dumped)):
        page = read(exports.gallery_dl, tmp_path / "t.json", content)
        assert [(post.account, post.text, post.is_repost) for post in page.posts] == [("42", "tea", False)]
        assert page.skipped == expected
    assert texts(read(exports.gallery_dl, tmp_path / "1.json", json.dumps(row, indent=4))) == ["tea"]


# --- chats ----------------------------------------------------------------------------------------------------------


def message(id: int, text: object = "hi", name: str = "Ada", **values: object) -> dict[str, object]:
    return {
        "id": id,
        "type": "message",
        "date": "2022-03-08T13:07:42",
        "date_unixtime": "1646744862",
        "from": name,
        "from_id": f"user{len(name)}",
        "text": text,
    } | values


def test_telegram_reads_one_chat_and_all_of_them(tmp_path: Path) -> None:
    messages = [
        message(1, ["see ", {"type": "link", "text": "https://tea.invalid"}, " !"]),
        message(2, name="Botho", reply_to_message_id=1),
        message(3, forwarded_from="somebody"),
        message(4, "", photo="x.jpg"),
        {"id": 5, "type": "service", "action": "pin_message", "text": ""},
        message(6, 'a "messages": [ {'),
    ]
    one = {"name": "Tea", "type": "personal_chat", "id": 77, "messages": messages}
    for content in (json.dumps(one, indent=1), json.dumps({"about": "x", "chats": {"list": [one, one | {"id": 78}]}})):
        page = read(exports.telegram, tmp_path / "result.json", content)
        posts = page.posts[:4]
        assert [post.text for post in posts] == ["see https://tea.invalid !", "hi", "hi", 'a "messages": [ {']
        assert [post.account for post in posts] == ["user3", "user5", "user3", "user3"]
        assert posts[1].reply_to == "telegram:77/1" == posts[0].uri
        assert [post.is_repost for post in posts] == [False, False, True, False]
        assert page.skipped["service message"] == page.skipped["empty"] == len(page.posts) // 4
    assert page.posts[4].uri == "telegram:78/1"
    assert {post.handle for post in read(exports.telegram, tmp_path / "result.json", account="botho").posts} == {
        "Botho"
    }


def test_telegram_of_many_chats_stays_small(tmp_path: Path) -> None:
    """Keys and arrays fall on every border of the pieces that are read."""
    document = json.dumps(
        {"list": [{"id": 1, "messages": [{"a": [1]}, {"b": "]"}]}, {"id": 2, "messages": []}]}
    ).encode()
    for size in range(1, 40):
        pieces = (document[at : at + size] for at in range(0, len(document), size))
        found = [list(elements(array, 1000)) for _, array in named_arrays(pieces, "messages")]
        assert found == [[b'{"a": [1]}', b'{"b": "]"}'], []]


def test_discord(tmp_path: Path) -> None:
    def said(id: int, **values: object) -> dict[str, object]:
        author = {"id": "9", "name": "ada", "nickname": "Ada L.", "isBot": False}
        base = {"id": str(id), "type": "Default", "timestamp": "2023-01-17T19:33:19.087+00:00"}
        return base | {"content": f"hi {id}", "author": author} | values

    bot = {"id": "1", "name": "robo", "isBot": True}
    other = {"id": "2", "name": "bo", "isBot": False}
    content = {
        "guild": {"id": "0"},
        "channel": {"id": "5"},
        "messages": [
            said(1),
            said(2, type="Reply", reference={"messageId": "1"}),
            said(3, type="Call"),
            said(4, author=bot),
            said(5, author=other),
            said(6, content=""),
        ],
    }
    page = read(exports.discord, tmp_path / "d.json", json.dumps(content))
    assert [(post.uri, post.account, post.reply_to) for post in page.posts] == [
        ("discord:1", "9", None),
        ("discord:2", "9", "discord:1"),
        ("discord:5", "2", None),
    ]
    assert page.skipped == {"service message": 1, "by a bot": 1, "empty": 1}
    assert len(read(exports.discord, tmp_path / "d.json", account="ADA L.").posts) == 2


WHATSAPP = (
    ("[{}/{}/19, 11:25:03] Ada: tea?", True, False),
    ("{}/{}/2019, 11:25 - Ada: tea?", True, True),
    ("{}.{}.19, 11:25 - Ada: tea?", True, False),
    ("{}/{}/19, 11:25\u202fAM - Ada: tea?", False, True),
    ("\u200e[{}/{}/19, 11:25:03 a. m.] ~\u00a0Ada: tea?", True, False),
)


@pytest.mark.parametrize(("form", "day_first", "windows"), WHATSAPP)
def test_whatsapp_dates_of_many_phones(tmp_path: Path, form: str, day_first: bool, windows: bool) -> None:
    dates = [(1, 1), (3, 2), (30, 11)] if day_first else [(1, 1), (2, 3), (11, 30)]
    rows = "\n".join(form.format(*date) for date in dates) + "\nsecond line\n"
    page = read(exports.whatsapp, tmp_path / "chat.txt", rows.replace("\n", "\r\n") if windows else rows)
    assert [str(post.created_at)[:16] for post in page.posts] == [
        "2019-01-01 11:25",
        "2019-02-03 11:25",
        "2019-11-30 11:25",
    ]
    assert texts(page) == ["tea?", "tea?", "tea?\nsecond line"]
    assert {post.handle for post in page.posts} == {"Ada"}


def test_whatsapp_order_decides_where_no_number_does(tmp_path: Path) -> None:
    rows = "1/2/20, 10:00 - Ada: a\n2/1/20, 10:00 - Ada: b\n3/1/20, 10:00 - Ada: c\n"
    page = read(exports.whatsapp, tmp_path / "chat.txt", rows)  # as days first, b would come before a
    assert [post.created_at.month for post in page.posts if post.created_at] == [1, 2, 3]


def test_whatsapp_leaves_out_what_nobody_wrote(tmp_path: Path) -> None:
    rows = (
        "12/9/20, 23:16 - Alice created group “Tea: and cake”\n"
        "12/9/20, 23:17 - Messages are end-to-end encrypted\n"
        "12/9/20, 23:18 - Bo: <Media omitted>\n"
        "12/9/20, 23:18 - Bo: \u200eimage omitted\n"
        "12/9/20, 23:18 - Bo: IMG-1.jpg (file attached)\n"
        "12/9/20, 23:18 - Bo: This message was deleted\n"
        "12/9/20, 23:19 - Alice: I <3 tea: a lot <This message was edited>\n"
        "12/9/20, 23:19 - Bo: ok\n"
    )
    page = read(exports.whatsapp, tmp_path / "chat.txt", rows)
    assert texts(page) == ["I <3 tea: a lot", "ok"]
    assert page.skipped == {"system line": 2, "media or system line": 3, "deleted": 1}
    again = read(exports.whatsapp, tmp_path / "later.txt", rows + "12/9/20, 23:20 - Bo: more\n")
    assert {post.uri for post in page.posts} < {post.uri for post in again.posts}
    assert texts(read(exports.whatsapp, tmp_path / "chat.txt", account="bo")) == ["ok"]


# --- Reddit ---------------------------------------------------------------------------------------------------------


def test_reddit_listings_threads_and_dumps(tmp_path: Path) -> None:
    comment = {
        "id": "c1",
        "name": "t1_c1",
        "author": "ada",
        "body": "tea &gt; cake",
        "parent_id": "t3_s1",
        "created_utc": 1456769953.0,
        "score": -3,
        "permalink": "/r/tea/comments/s1/_/c1/",
        "replies": "",
    }
    answer = comment | {"id": "c2", "name": "t1_c2", "author": "bo", "body": "no", "parent_id": "t1_c1"}
    submission = {
        "id": "s1",
        "name": "t3_s1",
        "author": "ada",
        "title": "On tea",
        "selftext": "It is good.",
        "score": 9,
    }
    gone = comment | {"id": "c3", "name": "t1_c3", "body": "[removed]"}

    def listing(*things: object) -> dict[str, object]:
        return {"kind": "Listing", "data": {"after": None, "children": list(things)}}

    nested = comment | {"replies": listing({"kind": "t1", "data": answer}, {"kind": "more", "data": {"count": 3}})}
    thread = [
        listing({"kind": "t3", "data": submission}),
        listing({"kind": "t1", "data": nested}, {"kind": "t1", "data": gone}),
    ]
    dump = lines(submission, comment | {"created_utc": "1456769953", "name": None}, answer, gone)
    for content, more in ((json.dumps(thread), 1), (json.dumps(thread[1], indent=2), 1), (dump, 0)):
        page = read(exports.reddit, tmp_path / "r.json", content)
        posts = {post.uri: post for post in page.posts}
        assert posts["reddit:t1_c1"].text == "tea > cake"
        assert posts["reddit:t1_c1"].reply_to == "reddit:t3_s1"
        assert str(posts["reddit:t1_c1"].created_at) == "2016-02-29 18:19:13+00:00"
        assert posts["reddit:t1_c2"].account == "bo"
        assert page.skipped == {"deleted": 1} | ({"no submission or comment": 1} if more else {})
    assert posts["reddit:t3_s1"].text == "On tea\n\nIt is good."
    assert {post.handle for post in read(exports.reddit, tmp_path / "r.json", account="ADA").posts} == {"ada"}


# --- bad input ------------------------------------------------------------------------------------------------------


def test_bad_lines_cost_only_themselves(tmp_path: Path) -> None:
    bad = [
        b"{",
        b'{"id": 5}',
        b"[]",
        b"\xff\xfe\xfa",
        b'{"id": 1, "rawContent": "\\ud800", "user": {"id": 1}}',
        b"null",
    ]
    huge = b'{"rawContent": "' + b"x" * 3000 + b'"}'
    content = b"\n".join([lines(scraped()).encode().strip(), *bad, huge, lines(scraped(ID + 1, "a\0b")).encode()])
    page = read(exports.snscrape, tmp_path / "t.jsonl", content, max_line_bytes=2000)
    assert texts(page) == ["tea", "ab"]
    assert len(page.quarantined) == len(bad) + 1


def test_a_cut_off_export_gives_what_is_whole(tmp_path: Path) -> None:
    chat = json.dumps({"id": 1, "messages": [message(number, f"m{number}") for number in range(50)]}, indent=1)
    page = read(exports.telegram, tmp_path / "result.json", chat[: len(chat) // 2])
    assert 15 < len(page.posts) < 35
    assert [piece.reason for piece in page.quarantined] == ["the file is cut off here"]
    things = [{"kind": "t3", "data": {"id": str(number), "author": "a", "title": "t"}} for number in range(50)]
    whole = json.dumps({"kind": "Listing", "data": {"children": things}}, indent=1)
    page = read(exports.reddit, tmp_path / "r.json", whole[: len(whole) // 2])
    assert 15 < len(page.posts) < 35


@pytest.mark.parametrize("make", [exports.telegram, exports.discord, exports.whatsapp])
@pytest.mark.parametrize("content", [b"", b"{}", b"<html>", b"\0" * 100, b"[1, 2]", b'{"messages": 3}'])
def test_the_wrong_file_is_said(tmp_path: Path, make: Make, content: bytes) -> None:
    with pytest.raises(InputError):
        read(make, tmp_path / "x.json", content)


PIECES = st.sampled_from(
    [
        *(
            b'{"messages": [',
            b'{"id": 1, "type": "message", "from_id": "u", "text": "x"}',
            b"]}",
            b",",
            b"[",
            b"{",
            b'"',
        ),
        *(b'"children":', b"\\", b"\n", b"1/2/20, 10:00 - Ada: hi", b"\xff", b"\0", b"\xe2\x80\x8e", b"\xef\xbb\xbf"),
        *(b'{"id": 1278115358860173312, "rawContent": "x", "user": {"id": 5}}', b"99999999999999999999", b"null"),
        *(b'{"kind": "t1", "data": {"id": "a", "author": "b", "body": "c"}}', b"\x1f\x8b\x08\x00", b"\\ud83d"),
    ]
)


@pytest.mark.parametrize("make", ALL)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.lists(PIECES | st.binary(max_size=8), max_size=20).map(b"".join))
def test_nothing_that_is_in_a_file_breaks_a_reader(tmp_path: Path, make: Make, content: bytes) -> None:
    path = tmp_path / "fuzzed.json"
    path.write_bytes(content)
    try:
        pages = list(make(CollectSettings(max_line_bytes=1024)).posts(str(path), None))
    except InputError:
        return
    assert all(post.text.strip() and post.uri and post.account for page in pages for post in page.posts)


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.json", json.dumps({"name": "Tea", "type": "personal_chat", "id": 7, "messages": []}, indent=1), "telegram"),
        ("a.json", '{"guild": {"id": "0"}, "channel": {}, "messages": []}', "discord"),
        ("a.txt", "12/9/20, 23:55 - Bo: hello", "whatsapp"),
        ("a.txt", "[01.02.2020, 23:55:01] Bo: hello", "whatsapp"),
        ("a.json", '{"kind": "Listing", "data": {"children": []}}', "reddit"),
        ("a.json", lines(scraped(_type="snscrape.modules.twitter.Tweet")), "snscrape"),
        ("a.json", lines(scraped(id_str=str(ID))), "twscrape"),
        ("a.json", lines({"tweet_id": ID, "content": "x"}), "gallery-dl"),
        ("outbox.json", '{"@context": "x", "id": "outbox.json", "orderedItems": []}', "mastodon-archive"),
        ("a.xml", "<?xml version='1.0'?><rss/>", "feed"),
        ("a.jsonl", '{"text": "x", "type": "note"}', "jsonl"),
        ("a.jsonl", '{"id": "1", "text": "x", "author_id": "2", "public_metrics": {}}', "x-api-file"),
        ("a.json", '[{"id_str": "1", "text": "x", "retweet_count": 0, "user": {"screen_name": "a"}}]', "x-api-file"),
        ("a.json", '{\n "data": {"user": {"x": [{"content": {"tweet_results": {}}}]}}}', "x-api-file"),
        ("a.jsonl", '{"text": "\\"author_id\\" \\"public_metrics\\"", "type": "note"}', "jsonl"),
    ],
)
def test_the_kind_of_a_bare_path_is_seen(tmp_path: Path, name: str, content: str, expected: str) -> None:
    (tmp_path / name).write_text(content)
    assert guess_source(str(tmp_path / name), CollectSettings()) == expected


# --- real exports ---------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not SAMPLES.exists(), reason="needs the samples beside the repository")
@pytest.mark.parametrize(
    ("make", "pattern", "posts", "skipped"),
    [
        (exports.snscrape, "snscrape/hansheng0512*", 100, {}),
        (exports.twscrape, "twscrape/*user_tweets.jsonl", 21, {"by somebody else": 4}),
        (exports.twscrape, "twscrape/*replies.jsonl", 21, {"by somebody else": 6}),
        (exports.gallery_dl, "gallery_dl/*", 25, {}),
        (exports.telegram, "chat_exports/*telegram*", 4, {"service message": 2, "empty": 2}),
        (exports.discord, "chat_exports/*discord*", 3, {"service message": 3}),
        (exports.whatsapp, "chat_exports/*bracket*", 7, {"system line": 2}),
        (exports.whatsapp, "chat_exports/*test_ddmmyy*", 7, {"system line": 2}),
        (exports.whatsapp, "chat_exports/*test_mmddyy*", 7, {"system line": 2}),
        (exports.whatsapp, "chat_exports/*whatsapp_4A*", 11, {"system line": 3}),
        (exports.reddit, "reddit/*comments*", 40, {}),
        (exports.reddit, "reddit/*submissions*", 40, {}),
    ],
)
def test_real_exports_give_what_is_in_them(make: Make, pattern: str, posts: int, skipped: dict[str, int]) -> None:
    (path,) = SAMPLES.glob(pattern)
    page = read(make, path)
    assert len({post.uri for post in page.posts}) == len(page.posts) == posts
    assert page.skipped == skipped
    assert page.quarantined == ()
    assert all(post.created_at for post in page.posts)
