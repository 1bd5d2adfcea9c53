"""Feeds as sources: `feed:https://example.org/feed.xml`, or the path of a saved one.

A feed is one account. An entry without a title is a short post and gives its text; so does one whose title only
repeats how the text begins. An entry with a title of its own is an article, and its title is the post. Nitter's feeds
give posts on X, without those that repeat other people's.

Feeds are asked for what changed (ETag, Last-Modified), and followed to older pages where they name a next one.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Final
from urllib.parse import urljoin, urlsplit

from pasquin.config import CollectSettings
from pasquin.errors import InputError, Refused, UsageError
from pasquin.networks import Page, Quarantined
from pasquin.networks.feed_documents import Document, Entry, parse_feed
from pasquin.networks.files.reading import InputFile, find_files, stem
from pasquin.networks.files.texts import file_uri
from pasquin.networks.html_text import html_text
from pasquin.networks.transport import Transport, shared
from pasquin.networks.values import text_problem, to_name, to_time, without_nul, x_uri
from pasquin.records import Post

MAX_BYTES: Final = 32 * 2**20
MAX_PAGES: Final = 1_000
_REMEMBERED: Final = 50
"""Posts that a cursor remembers, so that the deletion of some does not matter."""
_WEB: Final = re.compile(r"https?://", re.IGNORECASE)
_NITTER: Final = re.compile(r"https?://[^/]+/(?P<handle>\w{1,20})/status/(?P<id>\d{1,19})(?:#m)?")
_NITTER_REPLY: Final = re.compile(r"R to @(\w{1,20}): ")
_NITTER_REPOST: Final = re.compile(r"RT by @\w{1,20}: ")
_PLACEHOLDER: Final = "[contains quote post or other embedded content]"
"""What Bluesky's feeds write in place of what they cannot show."""
_COMPARED: Final = 40
"""Letters by which a title that only repeats the text is known."""


def feed(settings: CollectSettings) -> FeedSource:
    """RSS, Atom and JSON Feed."""
    return FeedSource(settings, shared(settings))


class FeedSource:
    """Feeds by address or path."""

    reads_files = False

    def __init__(self, settings: CollectSettings, transport: Transport) -> None:
        """`settings.account` names the account where the feed's own name will not do."""
        self._settings = settings
        self._transport = transport

    def posts(self, account: str, since: str | None) -> Iterator[Page]:
        """Pages of the posts of the feed at `account`, an address or a path.

        Posts are known by names that stay. The cursor, given with the last page, holds those of the newest ones: once
        one of them turns up again, older pages need not be followed. Raises InputError when it is no feed, UsageError
        when it is neither address nor path, NetworkError when it cannot be had.
        """
        if not _WEB.match(account):
            if re.match(r"[a-z]+://", account):
                raise UsageError(f"`{account[:100]}` is no feed: give an https:// address or a path.")
            for path in find_files(account, (".xml", ".rss", ".atom", ".json")):
                yield _page(_from_file(path), str(path), self._settings.account or stem(path), self._settings)
            return
        known, newest = _known(since), list[str]()
        address, asked = account, {account}
        while True:
            try:
                answer = self._transport.get(address, keep=address == account, max_bytes=MAX_BYTES)
            except Refused:
                if address == account:
                    raise
                missing = Quarantined(_shown(address), "the feed names this older page, but it is not there", b"")
                yield Page((), json.dumps(newest), quarantined=(missing,))
                return
            document = _parsed(answer.content, address)
            page = _page(document, address, account, self._settings)
            uris = [post.uri for post in page.posts]
            newest = newest or uris[:_REMEMBERED]
            following = document.values.get("next", "").strip()
            address = urljoin(answer.url, following)
            if not following or not uris or address in asked or len(asked) >= MAX_PAGES or known & set(uris):
                yield replace(page, cursor=json.dumps(newest))
                return
            yield replace(page, share=None)
            asked.add(address)


def _known(since: str | None) -> set[str]:
    """The posts that a cursor remembers."""
    try:
        value = json.loads(since or "[]")
    except ValueError:
        return set()
    return {uri for uri in value if isinstance(uri, str)} if isinstance(value, list) else set()


def _from_file(path: Path) -> Document:
    content = bytearray()
    for chunk in InputFile(path).chunks():
        content += chunk
        if len(content) > MAX_BYTES:
            raise InputError(f"{path} is longer than {MAX_BYTES:,} bytes, so it is no feed. Is it the right file?")
    return _parsed(bytes(content), str(path))


def _parsed(content: bytes, where: str) -> Document:
    try:
        return parse_feed(content)
    except InputError as exc:
        raise InputError(f"{_shown(where)}: {exc}") from exc


def _shown(where: str) -> str:
    """An address without its query, where secrets of private feeds are."""
    return where.partition("?")[0][:200] if _WEB.match(where) else where


def _page(document: Document, where: str, account: str, settings: CollectSettings) -> Page:
    """The posts of one document."""
    account, handle = account.partition("?")[0], settings.account or _handle(document, account)
    posts: list[Post] = []
    skipped: Counter[str] = Counter()
    quarantined: list[Quarantined] = []
    for number, entry in enumerate(document.entries, 1):
        found = _post(entry, document, account, handle)
        if isinstance(found, Post):
            posts.append(found)
        elif found in _NO_POSTS:
            skipped[found] += 1
        else:
            excerpt = str(entry.values)[:200].encode("utf-8", "backslashreplace")
            quarantined.append(Quarantined(f"{_shown(where)}:{number}", found, excerpt))
    if document.damage:
        quarantined.append(Quarantined(_shown(where), document.damage, b""))
    return Page(tuple(posts), None, dict(skipped), tuple(quarantined), share=1.0)


_NO_POSTS: Final = frozenset(("empty", "repost"))


def _handle(document: Document, account: str) -> str:
    """The name of a feed's account: `@user@host` for Mastodon's, else the feed's title, else its host."""
    link = document.values.get("link", "").strip()
    if profile := re.fullmatch(r"https?://([^/]+)/(@\w+)", link):
        return f"{profile[2]}@{profile[1]}"
    title = html_text(document.values.get("title", ""))[:200]
    return " ".join(title.split()) or urlsplit(account).hostname or account


def _post(entry: Entry, document: Document, account: str, handle: str) -> Post | str:
    link = to_name(entry["link"])
    nitter = _NITTER.fullmatch(link or entry["id"])
    if nitter and _is_nitter(entry):
        return _nitter_post(entry, nitter, document)
    text = _text(entry)
    if problem := text_problem(text):
        return problem
    if not text:
        return "empty"
    id = to_name(entry["id"]) or link
    if id is None:
        id = file_uri(account, text)
    elif ":" not in id:
        id = f"{account}#{id}"
    return Post(
        uri=id,
        network="rss",
        account=account,
        handle=handle,
        text=without_nul(text),
        created_at=_time(entry),
        lang=to_name(entry["language"]) or to_name(document.values.get("language")),
        url=link if link and _WEB.match(link) else None,
        rights="public-network",
    )


def _time(entry: Entry) -> datetime | None:
    return to_time(entry["published"]) or to_time(entry["updated"])


def _text(entry: Entry) -> str:
    """The words of an entry: its title, when that says something else than how the text begins."""
    content = entry["content"] or entry["summary"]
    text = html_text(content) if entry.is_html or not entry["content"] else content
    text = text.removesuffix(_PLACEHOLDER).rstrip()
    title = " ".join(html_text(entry["title"]).split())
    beginning = _letters(title.rstrip("….").removesuffix(_PLACEHOLDER))[:_COMPARED]
    if not title or (beginning and _letters(text).startswith(beginning)):
        return text
    return title.removesuffix(_PLACEHOLDER).rstrip()


def _letters(text: str) -> str:
    return "".join(letter for letter in text.casefold() if letter.isalnum())


def _is_nitter(entry: Entry) -> bool:
    return entry["id"].endswith("#m") or entry["link"].endswith("#m")


def _nitter_post(entry: Entry, found: re.Match[str], document: Document) -> Post | str:
    """A post on X, of the account whose feed it is. Nitter's titles have the whole text, with links in full."""
    owner = re.search(r"@(\w{1,20})\s*$", document.values.get("title", "").strip())
    author = entry["author"].removeprefix("@") or found["handle"]
    text = html_text(entry["title"])
    if _NITTER_REPOST.match(text) or (owner and author.casefold() != owner[1].casefold()):
        return "repost"
    if problem := text_problem(text):
        return problem
    reply = _NITTER_REPLY.match(text)
    text = text[reply.end() :] if reply else text
    if not text.strip():
        return "empty"
    return Post(
        uri=x_uri(found["id"]),
        network="x",
        account=author,
        handle=author,
        text=without_nul(text),
        created_at=to_time(entry["published"]),
        reply_to=f"https://x.com/{reply[1]}" if reply and reply[1].casefold() != author.casefold() else None,
        url=f"https://x.com/{author}/status/{found['id']}",
    )
