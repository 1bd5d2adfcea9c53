"""Mastodon: statuses become posts, timelines may stop anywhere, wishes and rules are honoured, archives are read."""

from __future__ import annotations

import io
import json
import random
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pasquin.config import CollectSettings
from pasquin.errors import InputError, NetworkError, Refused, UsageError
from pasquin.networks import Page
from pasquin.networks.html_text import html_text
from pasquin.networks.mastodon import MastodonSource, RulesNotAccepted, mastodon_archive, timeline
from pasquin.networks.mastodon.profile import opt_out
from pasquin.networks.mastodon.statuses import Owner, Unreadable, host_of, status_post
from pasquin.networks.transport import Response
from pasquin.records import Post

SAMPLES = Path(__file__).parents[2] / "shared" / "data" / "samples"
HOST = "village.example"
OWNER = Owner("7", f"https://{HOST}/users/bo", f"@bo@{HOST}", f"https://{HOST}")
PUBLIC = "https://www.w3.org/ns/activitystreams#Public"


def status(id: str = "100", content: str | None = "<p>hello</p>", **values: object) -> dict[str, object]:
    """A status as Mastodon gives it."""
    return {
        "id": id,
        "uri": f"https://{HOST}/users/bo/statuses/{id}",
        "url": f"https://{HOST}/@bo/{id}",
        "created_at": "2025-06-24T17:35:19.898Z",
        "account": {"id": "7", "acct": "bo"},
        "visibility": "public",
        "content": content,
        "language": "en",
        "favourites_count": 3,
        "reblogs_count": 1,
        "reblog": None,
        "in_reply_to_id": None,
        "in_reply_to_account_id": None,
        "mentions": [],
    } | values


# --- text -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("<p>one<br />two</p><p>three</p>", "one\ntwo\n\nthree"),
        ("one<br/>\n<br/>two &amp; &#39;three&#39; &lt;3", "one\n\ntwo & 'three' <3"),
        (
            '<p>see <a href="https://www.shop.example/a/long?q=1&amp;b=2" rel="nofollow"><span class="invisible">'
            'https://www.</span><span class="ellipsis">shop.example/a/lo</span><span class="invisible">ng?q=1&amp;b=2'
            "</span></a>, please</p>",
            "see https://www.shop.example/a/long?q=1&b=2, please",
        ),
        ('<a href="https://shop.example/long/path">shop.example/long/p…</a>', "https://shop.example/long/path"),
        ('<a href="https://shop.example/">our shop</a>', "our shop"),
        ('<a href="javascript:alert(1)">shop.example</a>', "shop.example"),
        ('<a href="https://v.example/tags/tea" class="mention hashtag">#<span>tea</span></a>!', "#tea!"),
        (
            '<span class="h-card"><a href="https://far.example/@ada" class="u-url mention">@<span>ada</span></a></span>'
            " hello",
            "@ada@far.example hello",
        ),
        ("<p>words :blobcat:</p>", "words :blobcat:"),
        ('<p>a <img class="emoji" alt=":cat:" src="x"> b<img alt="a photo"></p>', "a :cat: b"),
        ('<p>mine</p><p class="quote-inline">RE: <a href="https://x.example/1">https://x.example/1</a></p>', "mine"),
        ('mine<span class="quote-inline"><br/><br/>RE: <a href="https://x.example">x</a></span>', "mine"),
        ("<ul><li>tea</li><li>cake</li></ul>", "- tea\n- cake"),
        ("<pre>a\n  b</pre>", "a\n  b"),
        ("<script>x()</script>a <!-- b -->c<style>d</style>", "a c"),
        ("2 < 3 and <3 <a", "2 < 3 and <3 <a"),
    ],
)
def test_html_becomes_what_a_person_typed(source: str, text: str) -> None:
    assert html_text(source) == text


def test_mentions_get_the_name_the_server_gives() -> None:
    source = '<a href="https://social.far.example/@ada" class="u-url mention">@<span>ada</span></a>'
    assert html_text(source, {"https://social.far.example/@ada": "@ada@far.example"}) == "@ada@far.example"


@given(st.text(st.sampled_from("<>/abp \"'=&;!-\n#@x"), max_size=300))
@settings(max_examples=300, deadline=None)
def test_any_html_gives_some_text(source: str) -> None:
    assert len(html_text(source)) <= 10 * len(source) + 10


def test_hostile_html_does_not_take_long() -> None:
    """Each of these takes a quadratic parser hours."""
    for piece in ("<", "<a", "<!--", '<a "', "<a\"<a'", "<b>", "</b>", "&", " ", "<a href='x'>y"):
        html_text(piece * (200_000 // len(piece)))


# --- statuses -------------------------------------------------------------------------------------------------------


def test_a_status_becomes_a_post() -> None:
    post = status_post(status(), OWNER)
    assert isinstance(post, Post)
    assert (post.uri, post.network, post.account, post.handle) == (
        f"https://{HOST}/users/bo/statuses/100",
        "mastodon",
        f"https://{HOST}/users/bo",
        f"@bo@{HOST}",
    )
    assert (post.text, post.lang, post.likes, post.reposts, post.rights) == ("hello", "en", 3, 1, "public-network")
    assert post.created_at is not None
    assert post.created_at.isoformat() == "2025-06-24T17:35:19.898000+00:00"


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"reblog": {"id": "1"}, "content": ""}, "boost"),
        ({"visibility": "private"}, "not public"),
        ({"visibility": "direct"}, "not public"),
        ({"visibility": None}, "not public"),
        ({"local_only": True}, "not public"),
        ({"content": None, "poll": {"id": "1"}}, "no text"),
        ({"content": "<p></p>", "spoiler_text": "only a warning"}, "no text"),
        ({"account": {"id": "8"}}, "by somebody else"),
        ({"uri": "https://x.com/i/status/1"}, "its address is not on the account's server"),
        ({"uri": None, "url": None}, "its address is not on the account's server"),
        ({"content": 3}, "it has no text"),
        ({"content": "x" * 1_000_001}, "its text is longer than 1,000,000 characters"),
    ],
)
def test_what_is_no_post_says_why(values: dict[str, object], reason: str) -> None:
    assert status_post(status(**values), OWNER) == reason  # type: ignore[arg-type]


def test_the_content_warning_is_not_part_of_the_text() -> None:
    post = status_post(status(spoiler_text="politics"), OWNER)
    assert isinstance(post, Post)
    assert post.text == "hello"


def test_replies_say_to_what_and_threads_answer_nobody() -> None:
    def reply_to(**values: object) -> str | None:
        post = status_post(status(**values), OWNER)  # type: ignore[arg-type]
        assert isinstance(post, Post)
        return post.reply_to

    assert reply_to(in_reply_to_id="5", in_reply_to_account_id="9") == f"https://{HOST}/api/v1/statuses/5"
    assert reply_to(in_reply_to_account_id="9") == f"https://{HOST}/api/v1/accounts/9"
    assert reply_to(in_reply_to_id="5", in_reply_to_account_id="7") is None


@pytest.mark.parametrize(
    ("profile", "asks"),
    [
        ({}, False),
        ({"discoverable": None, "noindex": False, "note": "<p>I like bots. Nobody knows.</p>"}, False),
        ({"noindex": True}, True),
        ({"discoverable": False}, True),
        ({"note": "<p>hello <a href='x'>#<span>nobot</span></a></p>"}, True),
        ({"note": "tea #NoBots please"}, True),
        ({"note": "nobots"}, True),
        ({"note": "#noarchive"}, True),
        ({"fields": [{"name": "wishes", "value": "#noai"}]}, True),
    ],
)
def test_wishes_in_profiles_are_understood(profile: dict[str, object], asks: bool) -> None:
    assert (opt_out(profile) is not None) is asks


# --- a server -------------------------------------------------------------------------------------------------------


@dataclass
class Server:
    """A Mastodon server in memory, in place of the transport. `fault` may answer instead of it."""

    statuses: dict[str, dict[str, object]] = field(default_factory=dict)
    profile: dict[str, object] = field(default_factory=dict)
    rules: list[str] = field(default_factory=list)
    fault: Callable[[str, dict[str, Any]], tuple[int, object] | None] = lambda path, params: None
    asked: list[str] = field(default_factory=list)
    link: bool = True

    def get(self, url: str, *, params: Any = None, headers: Any = None, accept: Any = (), **_: Any) -> Response:
        path, params = urlsplit(url).path, dict(params or {})
        self.asked.append(path)
        code, body = self.fault(path, params) or self.answer(path, params)
        content = body.encode() if isinstance(body, str) else json.dumps(body).encode()
        if not 200 <= code < 300 and code not in accept:
            raise NetworkError(f"answered {code}", status=code)
        ids = (
            [str(item["id"]) for item in body if isinstance(item, dict) and "id" in item]
            if isinstance(body, list)
            else []
        )
        link = {"link": f'<{url}?max_id={min(ids, key=timeline._order)}>; rel="next"'} if ids and self.link else {}
        return Response(url, code, httpx.Headers(link), content)

    def answer(self, path: str, params: dict[str, Any]) -> tuple[int, object]:
        if path == "/api/v1/accounts/lookup":
            if params["acct"] != "bo":
                return 404, {"error": "Record not found"}
            about = {"id": "7", "acct": "bo", "uri": OWNER.actor, "statuses_count": len(self.statuses)}
            return 200, about | self.profile
        if path == "/api/v1/instance/rules":
            return 200, [{"id": str(number), "text": text} for number, text in enumerate(self.rules)]
        if path == "/api/v1/accounts/7/statuses":
            ids = sorted(self.statuses, key=timeline._order, reverse=True)
            below, down_to = params.get("max_id"), params.get("since_id")
            ids = [id for id in ids if below is None or timeline._order(id) < timeline._order(below)]
            ids = [id for id in ids if down_to is None or timeline._order(id) > timeline._order(down_to)]
            return 200, [self.statuses[id] for id in ids[: params["limit"]]]
        if path.startswith("/api/v1/statuses/"):
            found = self.statuses.get(path.rpartition("/")[2])
            return (200, found) if found else (404, {"error": "Record not found"})
        return 404, {"error": "not here"}


def server(count: int = 0, **values: Any) -> Server:
    return Server(
        {str(number): status(str(number), f"<p>post {number}</p>") for number in range(1, count + 1)}, **values
    )


def source(asked: Server, **options: object) -> MastodonSource:
    return MastodonSource(CollectSettings(**options), asked)  # type: ignore[arg-type]


def read(asked: Server, since: str | None = None, **options: object) -> list[Page]:
    return list(source(asked, **options).posts(f"@bo@{HOST}", since))


def uris(pages: list[Page]) -> list[str]:
    return [post.uri for page in pages for post in page.posts]


def test_the_first_run_walks_to_the_oldest_and_the_next_reads_only_what_is_new() -> None:
    asked = server(1003)
    first = read(asked)
    assert sorted(uris(first)) == sorted(str(item["uri"]) for item in asked.statuses.values())
    assert [len(page.posts) for page in first] == [400, 400, 203]
    assert first[-1].share == 1
    asked.statuses |= server(1050).statuses
    asked.asked.clear()
    second = read(asked, first[-1].cursor)
    assert len(uris(second)) == 47
    assert len([path for path in asked.asked if path.endswith("/statuses")]) == 3  # 40, 7, none
    assert uris(read(asked, second[-1].cursor)) == []


def test_links_are_not_needed_and_letters_are_ids_too() -> None:
    asked = Server(link=False)
    for number in range(90):
        id = f"9hxJNZ8sR2bG7zLS{number:02d}"
        asked.statuses[id] = status(id)
    assert len(set(uris(read(asked)))) == 90


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32))
def test_kills_at_any_moment_lose_nothing_and_repeat_nothing(seed: int) -> None:
    """Runs are cut off at random pages while posts come and go; the last, whole run ends with what is there."""
    chance = random.Random(seed)
    asked, highest = Server(), 0
    stored: set[str] = set()
    cursor: str | None = None
    gone: set[str] = set()
    for run in range(chance.randrange(2, 7)):
        for _ in range(chance.choice((0, 1, 39, 40, 41, 300, 900))):
            highest += chance.randrange(1, 4)
            boost = {"reblog": {"id": "1"}} if chance.random() < 0.1 else {}
            asked.statuses[str(highest)] = status(str(highest), **boost)  # type: ignore[arg-type]
        if asked.statuses and chance.random() < 0.3:
            for id in chance.sample(sorted(asked.statuses), min(len(asked.statuses), 5)):
                gone.add(str(asked.statuses.pop(id)["uri"]))
        failing = chance.random() if run else 0.0
        asked.fault = lambda path, params, failing=failing: (500, "") if chance.random() < failing / 20 else None
        pages = source(asked).posts(f"@bo@{HOST}", cursor)
        try:
            for page in pages:
                if chance.random() < 0.2:
                    break
                new = [post.uri for post in page.posts if post.uri not in stored]
                assert len(new) == len(page.posts) or page.complete, "nothing is asked for again after it was stored"
                if new:  # a page that brings nothing new leaves no cursor behind
                    stored |= set(new)
                    cursor = page.cursor
        except NetworkError:
            pass
    asked.fault = lambda path, params: None
    stored |= set(uris(read(asked, cursor)))
    there = {str(item["uri"]) for item in asked.statuses.values() if not item["reblog"]}
    assert there <= stored <= there | gone


def test_a_server_that_repeats_its_pages_is_not_asked_for_ever() -> None:
    asked = server(200)
    newest = [asked.statuses[str(number)] for number in range(200, 160, -1)]
    asked.fault = lambda path, params: (200, newest) if path.endswith("/7/statuses") else None
    (page,) = read(asked)
    assert len(page.posts) == 40
    assert "the server gives the same page again" in page.quarantined[0].reason
    asked.fault = lambda path, params: None  # mended: the gap is filled
    assert len(uris(read(asked, page.cursor))) == 160


def test_what_was_read_before_the_server_fails_is_handed_on() -> None:
    asked = server(100)
    asked.fault = lambda path, params: (500, "") if params.get("max_id") == "21" else None
    pages = source(asked).posts(f"@bo@{HOST}", None)
    page = next(pages)
    assert len(page.posts) == 80
    with pytest.raises(NetworkError):
        next(pages)
    asked.fault = lambda path, params: None
    assert len(uris(read(asked, page.cursor))) == 20


def test_a_web_page_in_place_of_posts_is_said() -> None:
    asked = server(3, fault=lambda path, params: (200, "<html>") if path.endswith("/7/statuses") else None)
    with pytest.raises(NetworkError, match="a web page instead of data"):
        read(asked)


def test_unreadable_statuses_cost_only_themselves() -> None:
    asked = server(2)
    odd = [3, None, {"account": {"id": "7"}, "visibility": "public"}, *asked.statuses.values()]
    asked.fault = lambda path, params: (
        (200, odd if "max_id" not in params else []) if path.endswith("/7/statuses") else None
    )
    (page,) = read(asked)
    assert len(page.posts) == 2
    assert len(page.quarantined) == 3


def test_once_a_day_deletions_and_edits_become_known(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = server(100)
    cursor = read(asked)[-1].cursor
    assert cursor is not None
    del asked.statuses["50"], asked.statuses["1"]  # the oldest too
    asked.statuses["60"]["content"] = "<p>edited</p>"
    assert [page.complete for page in read(asked, cursor)] == [None]
    monkeypatch.setattr(timeline, "RECHECK_SECONDS", 0)
    (page,) = read(asked, cursor)
    assert page.current
    assert page.complete is not None
    assert f"https://{HOST}/users/bo/statuses/50" not in page.complete.uris
    assert len(page.complete.uris) == 98 * 2  # under both of their addresses
    assert "edited" in {post.text for post in page.posts}


def test_what_a_server_only_hides_does_not_count_as_deleted(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = server(100)
    cursor = read(asked)[-1].cursor
    monkeypatch.setattr(timeline, "RECHECK_SECONDS", 0)
    asked.fault = lambda path, params: (200, []) if int(params.get("max_id", 999)) < 40 else None
    assert read(asked, cursor)[-1].complete is None
    asked.fault = lambda path, params: (200, []) if path.endswith("/7/statuses") else None
    assert read(asked, cursor)[-1].complete is None


@pytest.mark.parametrize(
    ("path", "answer", "words"),
    [
        ("lookup", (410, {"error": "Gone"}), "is gone"),
        (
            "lookup",
            (401, {"error": "This API requires an authenticated user"}),
            "PASQUIN_MASTODON_TOKEN_VILLAGE_EXAMPLE",
        ),
        ("lookup", (404, {"error": "Record not found"}), "There is no account @bo@village.example"),
        ("lookup", (200, "<html>hello</html>"), "There is no account"),
        ("7/statuses", (403, {"error": "This API requires an authenticated user"}), "access token"),
        ("7/statuses", (410, {}), "is gone"),
        ("7/statuses", (200, {"error": "odd"}), "did not answer with the posts"),
    ],
)
def test_each_no_has_its_word(path: str, answer: tuple[int, object], words: str) -> None:
    asked = server(3, fault=lambda asked_path, params: answer if asked_path.endswith(path) else None)
    with pytest.raises(NetworkError, match=words):
        read(asked)


def test_suspended_accounts_are_refused_and_moved_ones_say_where() -> None:
    with pytest.raises(Refused, match="suspended"):
        read(server(3, profile={"suspended": True}))
    (page,) = read(server(3, profile={"moved": {"acct": "bo@far.example"}}))
    assert page.skipped == {"(the account moved to @bo@far.example)": 1}
    assert len(page.posts) == 3


def test_an_account_that_asks_not_to_be_collected_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = server(3, profile={"noindex": True})
    with pytest.raises(Refused, match="asks not to be collected"):
        read(asked)
    assert not any(path.endswith("/7/statuses") for path in asked.asked)
    monkeypatch.setenv("PASQUIN_MASTODON_TOKEN_VILLAGE_EXAMPLE", "of somebody else")
    asked.fault = lambda path, params: (200, {"id": "8"}) if path.endswith("verify_credentials") else None
    with pytest.raises(Refused, match="asks not to be collected"):
        read(asked)
    asked.fault = lambda path, params: (200, {"id": "7"}) if path.endswith("verify_credentials") else None
    assert len(uris(read(asked))) == 3


def test_rules_are_shown_once_and_their_acceptance_counts() -> None:
    asked = server(3, rules=["Be kind.", "No scraping by bots."])
    with pytest.raises(RulesNotAccepted) as caught:
        read(asked)
    assert "--accept-rules village.example" in str(caught.value)
    assert "→ No scraping by bots." in str(caught.value)
    assert not any(path.endswith("/7/statuses") for path in asked.asked)
    rules = caught.value.rules
    for accepted in (HOST, f"{HOST}#{rules.digest}"):
        reading = source(asked, accepted_rules=(accepted,))
        assert len(uris(list(reading.posts(f"@bo@{HOST}", None)))) == 3
        assert reading.rules() == [rules]
    reading = source(asked)
    for words in ("Be kind", "The rules of village.example have to be accepted first"):  # of many accounts, once
        with pytest.raises(RulesNotAccepted, match=words):
            list(reading.posts(f"@bo@{HOST}", None))
    asked.rules.append("No training of models.")
    with pytest.raises(RulesNotAccepted):
        read(asked, accepted_rules=(f"{HOST}#{rules.digest}",))


@pytest.mark.parametrize("refusal", [404, 403])
def test_an_account_may_live_on_another_host_than_its_name_says(refusal: int) -> None:
    asked = server(5)

    def fault(path: str, params: dict[str, Any]) -> tuple[int, object] | None:
        if path == "/.well-known/webfinger":
            assert params == {"resource": "acct:bo@words.example"}
            return 200, {"links": [{"rel": "self", "href": OWNER.actor}]}
        return None

    asked.fault = fault
    real = asked.get

    def get(url: str, **options: Any) -> Response:
        if urlsplit(url).hostname == "words.example" and "lookup" in url:
            return Response(url, refusal, httpx.Headers(), b"<html>a plain web site</html>")
        return real(url, **options)

    asked.get = get  # type: ignore[method-assign]
    (page,) = source(asked).posts("@bo@words.example", None)
    assert {(post.account, post.handle) for post in page.posts} == {(OWNER.actor, "@bo@words.example")}


def test_many_threads_may_read_from_one_source() -> None:
    reading = source(server(500, rules=["Be kind."]), accepted_rules=(HOST,))
    with ThreadPoolExecutor(8) as pool:
        runs = list(pool.map(lambda _: list(reading.posts(f"@bo@{HOST}", None)), range(8)))
    assert [len(set(uris(pages))) for pages in runs] == [500] * 8


def test_a_server_cannot_speak_for_another() -> None:
    asked = server(3, profile={"uri": "https://famous.example/users/ada"})
    with pytest.raises(Refused):
        read(asked)


def test_servers_without_lookup_are_searched() -> None:
    def fault(path: str, params: dict[str, Any]) -> tuple[int, object] | None:
        if path.endswith("lookup"):
            return 404, "<html>"
        if path == "/.well-known/webfinger":
            return 200, {"links": [{"rel": "self", "href": OWNER.actor}]}
        if path == "/api/v2/search":
            return 200, {"accounts": [{"id": "9", "acct": "bo@far.example"}, {"id": "7", "acct": "bo"}]}
        return None

    assert len(uris(read(server(3, fault=fault)))) == 3


@pytest.mark.parametrize(
    "written", ["bo", "@bo", "@bo@", "https://village.example", "@bo@village.example/x", "", "@\0@x"]
)
def test_what_is_no_account_is_said(written: str) -> None:
    with pytest.raises(UsageError, match="@user@host"):
        list(source(server()).posts(written, None))


@pytest.mark.parametrize("cursor", ["", "{", "[]", '{"newest": "5"}', '{"account": "other", "gaps": []}', "12"])
def test_a_cursor_that_makes_no_sense_begins_anew(cursor: str) -> None:
    assert len(uris(read(server(5), cursor))) == 5


# --- archives -------------------------------------------------------------------------------------------------------


def note(id: int, /, to: object = PUBLIC, cc: object = (), **values: object) -> dict[str, object]:
    actor = OWNER.actor
    note = {
        "id": f"{actor}/statuses/{id}",
        "type": "Note",
        "attributedTo": actor,
        "published": "2022-11-11T17:33:26Z",
        "to": to,
        "cc": cc,
        "content": f"<p>note {id}</p>",
        "contentMap": {"en": f"<p>note {id}</p>"},
        "inReplyTo": None,
        "tag": [],
    } | values
    return {"type": "Create", "actor": actor, "published": "2022-11-11T17:33:26Z", "object": note}


def outbox(*items: object) -> bytes:
    first = {"@context": ["https://www.w3.org/ns/activitystreams", {"a": "b"}], "id": "outbox.json", "totalItems": 3}
    return json.dumps(first | {"orderedItems": list(items)}).encode()


ITEMS = (
    note(1),
    note(2, to=[f"{OWNER.actor}/followers"], cc=[PUBLIC]),
    note(3, to=[f"{OWNER.actor}/followers"]),
    note(4, to=["https://far.example/users/ada"], cc=[]),
    {"type": "Announce", "actor": OWNER.actor, "to": [PUBLIC], "object": "https://far.example/1"},
    note(5, content=None),
    note(
        6,
        inReplyTo="https://far.example/9",
        content='<a href="https://far.example/@ada" class="u-url mention">@<span>ada</span></a> yes',
        tag=[{"type": "Mention", "href": "https://far.example/users/ada", "name": "@ada@far.example"}],
    ),
    note(7, inReplyTo=f"{OWNER.actor}/statuses/6"),
)


def read_archive(path: Path) -> Page:
    (page,) = mastodon_archive(CollectSettings()).posts(str(path), None)
    return page


def check_archive(page: Page) -> None:
    assert [post.uri.rpartition("/")[2] for post in page.posts] == ["1", "2", "6", "7"]
    assert page.skipped == {"not public": 2, "boost": 1, "empty": 1}
    assert {(post.account, post.rights, post.lang) for post in page.posts} == {(OWNER.actor, "own-archive", "en")}
    assert [post.reply_to for post in page.posts] == [None, None, "https://far.example/9", None]
    assert page.posts[2].text == "@ada@far.example yes"


def test_an_archive_is_read_from_zip_tar_folder_and_bare_file(tmp_path: Path) -> None:
    actor = json.dumps({"preferredUsername": "Bo"}).encode()
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("outbox.json", outbox(*ITEMS))
        archive.writestr("actor.json", actor)
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as tape:
        for name, content in (("media/1.png", b"\0" * 5000), ("outbox.json", outbox(*ITEMS)), ("actor.json", actor)):
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tape.addfile(entry, io.BytesIO(content))
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "outbox.json").write_bytes(outbox(*ITEMS))
    (tmp_path / "folder" / "actor.json").write_bytes(actor)
    for name in ("a.zip", "a.tar.gz", "folder", "folder/outbox.json"):
        page = read_archive(tmp_path / name)
        check_archive(page)
        assert {post.handle for post in page.posts} == {f"@Bo@{HOST}"}
    (tmp_path / "folder" / "actor.json").write_bytes(b"{")
    assert {post.handle for post in read_archive(tmp_path / "folder").posts} == {f"@bo@{HOST}"}


def test_a_cut_off_outbox_gives_what_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "outbox.json"
    whole = outbox(*(note(number) for number in range(50)))
    path.write_bytes(whole[: len(whole) // 2])
    page = read_archive(path)
    assert 15 < len(page.posts) < 30
    assert [piece.reason for piece in page.quarantined] == ["the file is cut off here"]


def test_damaged_and_hostile_archives_are_refused(tmp_path: Path) -> None:
    good = io.BytesIO()
    with zipfile.ZipFile(good, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("outbox.json", outbox(*(note(number) for number in range(200))))
    flipped = bytearray(good.getvalue())
    flipped[len(flipped) // 2] ^= 0xFF
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("outbox.json", b" " * (65 * 2**20))
    tape = io.BytesIO()
    with tarfile.open(fileobj=tape, mode="w:gz") as packed:
        entry = tarfile.TarInfo("outbox.json")
        content = outbox(*(note(number, content="".join(map(chr, range(900)))) for number in range(300)))
        entry.size = len(content)
        packed.addfile(entry, io.BytesIO(content))
    cases = {
        "flipped.zip": bytes(flipped),
        "cut.zip": good.getvalue()[:-40],
        "bomb.zip": bomb.getvalue(),
        "cut.tar.gz": tape.getvalue()[: len(tape.getvalue()) // 2],
        "page.json": b"<html>",
        "other.json": b'{"items": []}',
        "empty.json": b"",
    }
    for name, content in cases.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError):
            read_archive(tmp_path / name)


@pytest.mark.parametrize("value", [None, 3, [], {}, "x", [{}], {"type": []}])
@pytest.mark.parametrize(
    "key", ["type", "object", "to", "cc", "tag", "attributedTo", "content", "contentMap", "likes", "id"]
)
def test_no_activity_is_too_odd(tmp_path: Path, key: str, value: object) -> None:
    item: dict[str, Any] = note(1)
    (tmp_path / "outbox.json").write_bytes(
        outbox(item | {key: value}, item | {"object": item["object"] | {key: value}})
    )
    page = read_archive(tmp_path / "outbox.json")
    assert len(page.posts) + len(page.quarantined) + sum(page.skipped.values()) == 2


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(st.sampled_from(sorted([*status(), "type", "object", "actor", "to", "published"])), inner)
        ),
    )
)
@settings(max_examples=200, deadline=None)
def test_no_status_is_too_odd(value: object) -> None:
    assert status_post(value, OWNER) is not None
    merged = status() | (value if isinstance(value, dict) else {})
    assert isinstance(status_post(merged, OWNER), Post | str)


# --- real shapes ----------------------------------------------------------------------------------------------------

needs_samples = pytest.mark.skipif(not SAMPLES.exists(), reason="needs the samples beside the repository")


@needs_samples
def test_a_real_outbox_keeps_only_what_was_public() -> None:
    (path,) = (SAMPLES / "ap_outbox").glob("*outbox.json")
    page = read_archive(path)
    assert page.skipped == {"not public": 27, "boost": 26, "empty": 1}
    assert len(page.posts) == 216 - 27 - 26 - 1
    assert not any("<" in post.text and "class=" in post.text for post in page.posts)


def _sample(name: str) -> Iterator[tuple[dict[str, Any], Post | str]]:
    for item in json.loads((SAMPLES / name).read_text()):
        about = item["account"]
        acct = about["acct"] if "@" in about["acct"] else f"{about['acct']}@{host_of(item['uri'])}"
        server = f"https://{host_of(item['uri'])}"
        yield item, status_post(item, Owner(about["id"], about.get("uri") or about["url"], f"@{acct}", server))


@needs_samples
@pytest.mark.parametrize(
    ("name", "posts", "boosts"),
    [
        ("mastodon_api/gesistsa__rtoot__account_statuses_5pages.json", 99, 1),
        ("mastodon_api/halcy__Mastodon.py__statuses_cw_poll_quote_emoji_edit.json", 28, 0),
        ("pleroma_misskey/unknown__index-21888723667__pleroma_status.json", 1, 0),
    ],
)
def test_real_statuses_become_posts(name: str, posts: int, boosts: int) -> None:
    found = list(_sample(name))
    assert sum(isinstance(post, Post) for _, post in found) == posts
    assert sum(post == "boost" for _, post in found) == boosts
    assert not any(isinstance(post, Unreadable) for _, post in found)
    for item, post in found:
        plain = item.get("pleroma", {}).get("content", {}).get("text/plain")
        if plain and isinstance(post, Post):
            assert post.text.replace("@newt@shpposter.club", "@newt") == plain
