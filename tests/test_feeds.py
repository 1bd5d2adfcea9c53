"""Feeds of every kind give short posts with names that stay, are asked politely, and may be as odd as they like."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pasquin.config import CollectSettings
from pasquin.errors import InputError, Refused, UsageError
from pasquin.networks import Page
from pasquin.networks.feed_documents import parse_feed
from pasquin.networks.feeds import FeedSource, feed
from pasquin.networks.transport import Response

SAMPLES = Path(__file__).parents[2] / "shared" / "data" / "samples" / "rss_atom"
ADDRESS = "https://village.example/feed.xml"


class Web:
    """Pages by address, in place of the transport."""

    def __init__(self, pages: dict[str, bytes | str]) -> None:
        self.pages, self.asked = pages, list[str]()

    def get(self, url: str, *, keep: bool = False, max_bytes: int = 0) -> Response:
        self.asked.append(url)
        assert keep is (url == self.asked[0])
        if url not in self.pages:
            raise Refused("404")
        content = self.pages[url]
        return Response(url, 200, httpx.Headers(), content.encode() if isinstance(content, str) else content)


def pages(
    content: bytes | str | Web, address: str = ADDRESS, since: str | None = None, **options: object
) -> list[Page]:
    web = content if isinstance(content, Web) else Web({ADDRESS: content})
    return list(FeedSource(CollectSettings(**options), web).posts(address, since))  # type: ignore[arg-type]


def read(content: bytes | str, **options: object) -> Page:
    page, *_ = pages(content, **options)
    return page


def rss(*items: str, head: str = "<title>Ada</title><link>https://village.example/</link>") -> str:
    inner = "".join(f"<item>{item}</item>" for item in items)
    return (
        '<?xml version="1.0"?><rss version="2.0" xmlns:dc="http://purl.org/dc/elements/1.1/" '
        'xmlns:content="http://purl.org/rss/1.0/modules/content/" xmlns:media="http://search.yahoo.com/mrss/">'
        f"<channel>{head}{inner}</channel></rss>"
    )


def test_rss() -> None:
    page = read(
        rss(
            "<guid>https://village.example/1</guid><link>https://village.example/1</link>"
            "<pubDate>14 Jan 2026 16:33 +0000</pubDate>"
            "<description>&lt;p&gt;tea &amp;amp; cake&lt;br/&gt;now&lt;/p&gt;</description>",
            "<guid isPermaLink='false'>17</guid><title>Tea is bac…</title><description>Tea is back, and</description>",
            "<link>https://village.example/3</link><title>Kettle &amp; pot</title><description>Article</description>"
            "<content:encoded><![CDATA[<p>A long article, with <b>much</b> in it.</p>]]></content:encoded>"
            "<media:title>not this</media:title>",
            "<title>[contains quote post or other embedded content]</title>",
            "<description>no name</description>",
        )
    )
    assert [(post.uri, post.text) for post in page.posts[:3]] == [
        ("https://village.example/1", "tea & cake\nnow"),
        (f"{ADDRESS}#17", "Tea is back, and"),
        ("https://village.example/3", "Kettle & pot"),
    ]
    first = page.posts[0]
    assert (first.network, first.account, first.handle, first.rights) == ("rss", ADDRESS, "Ada", "public-network")
    assert str(first.created_at) == "2026-01-14 16:33:00+00:00"
    assert page.posts[3].uri.startswith("file:")
    assert page.skipped == {"empty": 1}


def test_atom() -> None:
    page = read(
        """<feed xmlns="http://www.w3.org/2005/Atom" xml:lang="en"><title>Ada</title>
        <link href="https://village.example/"/><author><name>Ada</name></author>
        <entry><id>urn:1</id><link rel="enclosure" href="x"/><link href="https://village.example/1"/>
        <published>2026-01-14T16:33:00-05:00</published><updated>2027-01-14T16:33:00Z</updated>
        <source><id>urn:other</id><title>not this</title></source>
        <content type="xhtml"><div xmlns="http://www.w3.org/1999/xhtml"><p>a &lt; b</p><p>c <i>d</i></p></div></content>
        </entry>
        <entry><id>urn:2</id><content type="text">3 &lt; 4 &amp;amp; 5</content></entry>
        <entry><id>urn:3</id><content type="html">x &amp;lt; y</content></entry></feed>"""
    )
    assert [(post.uri, post.text) for post in page.posts] == [
        ("urn:1", "a < b\n\nc d"),
        ("urn:2", "3 < 4 &amp; 5"),
        ("urn:3", "x < y"),
    ]
    assert str(page.posts[0].created_at) == "2026-01-14 21:33:00+00:00"
    assert page.posts[0].url == "https://village.example/1"


def test_rdf() -> None:
    page = read(
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns="http://purl.org/rss/1.0/">'
        '<channel rdf:about="x"><title>Ada</title></channel>'
        '<item rdf:about="https://village.example/1"><description>tea</description></item></rdf:RDF>'
    )
    assert [(post.uri, post.text, post.handle) for post in page.posts] == [("https://village.example/1", "tea", "Ada")]


def test_json_feed() -> None:
    items = [
        {
            "id": "https://village.example/1",
            "content_html": "<p>a</p><p>b</p>",
            "date_published": "2026-01-14T16:33:00Z",
        },
        {"id": 2, "content_text": "2 < 3 <b>"},
        {"id": "3"},
        "odd",
    ]
    page = read(json.dumps({"version": "https://jsonfeed.org/version/1.1", "title": "Ada", "items": items}))
    assert [(post.uri, post.text) for post in page.posts] == [
        ("https://village.example/1", "a\n\nb"),
        (f"{ADDRESS}#2", "2 < 3 <b>"),
    ]
    assert page.skipped == {"empty": 1}


def test_nitter_gives_posts_on_x_without_those_of_others() -> None:
    def item(number: int, title: str, creator: str = "@ada", by: str = "ada") -> str:
        link = f"http://nitter.example/{by}/status/{number}#m"
        return (
            f"<title>{title}</title><dc:creator>{creator}</dc:creator><link>{link}</link><guid>{link}</guid>"
            "<description>&lt;p&gt;cut…&lt;/p&gt;</description>"
        )

    head = "<title>Ada L. / @Ada</title><link>http://nitter.example/Ada</link>"
    page = read(
        rss(
            item(1, "tea https://shop.example/a/b"),
            item(2, "RT by @ada: cake", "@bo", "bo"),
            item(3, "R to @bo: no"),
            head=head,
        )
    )
    assert [(post.uri, post.network, post.text, post.reply_to) for post in page.posts] == [
        ("https://x.com/i/status/1", "x", "tea https://shop.example/a/b", None),
        ("https://x.com/i/status/3", "x", "no", "https://x.com/bo"),
    ]
    assert page.skipped == {"repost": 1}


def test_mastodon_feeds_name_their_account() -> None:
    page = read(rss("<guid>1:2</guid><description>x</description>", head="<link>https://far.example/@ada</link>"))
    assert page.posts[0].handle == "@ada@far.example"


def test_older_pages_are_followed_but_not_in_circles() -> None:
    def page(number: int, following: str) -> str:
        return json.dumps({"items": [{"id": f"urn:{number}", "content_text": f"post {number}"}], "next_url": following})

    web = Web(
        {ADDRESS: page(1, "/2"), "https://village.example/2": page(2, "/3"), "https://village.example/3": page(3, "/2")}
    )
    assert [post.uri for one in pages(web) for post in one.posts] == ["urn:1", "urn:2", "urn:3"]
    assert len(web.asked) == 3
    first, gone = pages(Web({ADDRESS: page(1, "/missing")}))
    assert (len(first.posts), first.cursor, gone.cursor) == (1, None, '["urn:1"]')
    assert "not there" in gone.quarantined[0].reason
    with pytest.raises(Refused):
        pages(Web({}))
    newest = json.dumps([f"urn:{number}" for number in (2, 9)])
    assert [post.uri for one in pages(Web(web.pages), since=newest) for post in one.posts] == ["urn:1", "urn:2"]
    assert [one.cursor for one in pages(Web(web.pages))] == [None, None, '["urn:1"]']  # a killed walk begins anew


def test_secrets_in_addresses_are_kept_out_of_posts() -> None:
    web = Web({f"{ADDRESS}?key=canary": rss("<guid>5</guid><description>x</description>")})
    assert "canary" not in repr(pages(web, f"{ADDRESS}?key=canary"))
    with pytest.raises(InputError) as caught:
        pages(Web({f"{ADDRESS}?key=canary": "<html>"}), f"{ADDRESS}?key=canary")
    assert "canary" not in str(caught.value)


def test_common_faults_are_mended() -> None:
    broken = rss(
        "<guid>1:1</guid><description>tea & cake&nbsp;&mdash; \x08now</description><link>http://a/?b=1&c=2</link>"
    )
    (post,) = read(broken).posts
    assert post.text == "tea & cake\u00a0— now"
    assert post.url == "http://a/?b=1&c=2"
    old = rss("<guid>1:1</guid><description>naïve</description>").replace("?>", ' encoding="iso-8859-1"?>', 1)
    assert read(old.encode("latin-1")).posts[0].text == "naïve"
    undeclared = rss("<guid>1:1</guid><description>naïve</description>").encode("cp1252")
    assert read(undeclared).posts[0].text == "naïve"
    assert read(rss("<guid>1:1</guid><description>tea</description>").encode("utf-16")).posts[0].text == "tea"


def test_a_cut_off_feed_gives_what_is_whole() -> None:
    whole = rss(*(f"<guid>urn:{number}</guid><description>post {number}</description>" for number in range(50)))
    page = read(whole[: len(whole) // 2])
    assert 15 < len(page.posts) < 35
    assert "damaged or cut off" in page.quarantined[0].reason


def test_entity_bombs_are_not_read() -> None:
    bomb = '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]><rss><channel><title>&b;</title>'
    with pytest.raises(InputError):
        read(bomb)


@pytest.mark.parametrize(
    "content", ["", "<html><body>hello", "<!DOCTYPE html><p>", "hello", "{}", '{"items": 3}', "{", "\0"]
)
def test_what_is_no_feed_is_said(content: str) -> None:
    with pytest.raises(InputError, match=r"no feed|no JSON Feed"):
        read(content)


def test_other_addresses_are_not_asked() -> None:
    with pytest.raises(UsageError):
        pages(Web({}), "ftp://village.example/feed.xml")
    with pytest.raises(InputError, match="no file"):
        pages(Web({}), "missing.xml")


def test_a_saved_feed_is_read_from_its_file(tmp_path: Path) -> None:
    (tmp_path / "ada.xml").write_text(rss("<guid>5</guid><description>x</description>"))
    (page,) = feed(CollectSettings()).posts(str(tmp_path), None)
    assert [(post.uri, post.account) for post in page.posts] == [("ada#5", "ada")]


PIECES = [
    "<rss>",
    "<channel>",
    "<item>",
    "</item>",
    "<title>",
    "</title>",
    "&",
    "&lt;",
    "<![CDATA[",
    "]]>",
    "<a:b>",
    "<entry>",
]


@given(st.lists(st.sampled_from(PIECES) | st.text(max_size=3), max_size=20).map("".join))
@settings(max_examples=200, deadline=None)
def test_any_content_is_a_feed_or_refused(content: str) -> None:
    check(content.encode("utf-8", "surrogatepass"))


@given(st.binary(max_size=60))
@settings(max_examples=100, deadline=None)
def test_any_bytes_are_a_feed_or_refused(content: bytes) -> None:
    check(b"<rss><channel><item><description>" + content)
    check(content)


def check(content: bytes) -> None:
    try:
        assert parse_feed(content).entries is not None
        read(content)
    except InputError:
        return


@pytest.mark.skipif(not SAMPLES.exists(), reason="needs the samples beside the repository")
@pytest.mark.parametrize(
    ("pattern", "posts", "skipped"),
    [("*mastodon*", 1, {}), ("*nitter*", 0, {"repost": 2}), ("snarfed*", 1, {})],
)
def test_real_feeds_give_what_is_in_them(pattern: str, posts: int, skipped: dict[str, int]) -> None:
    (path,) = SAMPLES.glob(pattern)
    (page,) = feed(CollectSettings()).posts(str(path), None)
    assert len(page.posts) == posts
    assert page.skipped == skipped
    assert page.quarantined == ()
    assert all(post.created_at and "<" not in post.text for post in page.posts)
