"""Posts on X as snscrape, twscrape and gallery-dl wrote them: network `x`, numeric accounts, the usual identities."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from pasquin.config import CollectSettings
from pasquin.networks import Quarantined
from pasquin.networks.exports.documents import OTHERS, documents, is_wanted
from pasquin.networks.files.reading import InputFile, Reading
from pasquin.networks.values import (
    is_retweet_text,
    text_problem,
    to_count,
    to_name,
    to_time,
    without_nul,
    x_id_time,
    x_uri,
)
from pasquin.records import Post

_Parse = Callable[[dict[str, Any]], Post | str]


def read_snscrape(file: InputFile, settings: CollectSettings) -> Iterator[Reading]:
    """The posts of one snscrape file (`content` until 2022, `rawContent` after)."""
    return _read(file, settings, partial(_post, "snscrape"))


def read_twscrape(file: InputFile, settings: CollectSettings) -> Iterator[Reading]:
    """The posts of one twscrape file.

    A user's timeline also has the originals of what they quoted, reposted and answered as rows of their own. Where
    one author has most of the rows, these others are counted and left out.
    """
    if settings.account is None and (author := _main_author(file, settings)) is not None:
        settings = settings.model_copy(update={"account": author})
    return _read(file, settings, partial(_post, "twscrape"))


def read_gallery_dl(file: InputFile, settings: CollectSettings) -> Iterator[Reading]:
    """The tweets in one file of gallery-dl's; a tweet with several pictures comes once."""
    return _read(file, settings, _gallery_dl_post)


def _read(file: InputFile, settings: CollectSettings, parse: _Parse) -> Iterator[Reading]:
    last = ""
    for found in documents(file, settings):
        if isinstance(found, Quarantined):
            yield found
            continue
        number, value = found
        if isinstance(value, list):  # gallery-dl's --dump-json: [kind, address, metadata]
            value = value[-1] if value else None
        post = parse(value) if isinstance(value, dict) else "it is no JSON object"
        if not isinstance(post, Post):
            yield OTHERS if post == OTHERS else file.quarantine(number, post, str(value))
        elif not is_wanted(settings, post.account, post.handle):
            yield OTHERS
        elif post.uri == last:
            yield "another picture of a post"
        else:
            last = post.uri
            yield post


def _main_author(file: InputFile, settings: CollectSettings) -> str | None:
    """The account that has more than half of the rows."""
    authors: Counter[str] = Counter()
    for found in documents(InputFile(file.path), settings):
        if isinstance(found, tuple) and isinstance(found[1], dict):
            author = _author(found[1])
            if author is not None and (author[0] in authors or len(authors) < 10_000):
                authors[author[0]] += 1
    most = authors.most_common(1)
    return most[0][0] if most and most[0][1] * 2 > authors.total() else None


def _author(record: dict[str, Any], key: str = "user", name: str = "username") -> tuple[str, str] | None:
    """Id and handle of a row's author."""
    user = record.get(key)
    user = user if isinstance(user, dict) else {name: record.get("username")}
    handle = to_name(user.get(name))
    id = to_name(user.get("id_str")) or to_name(user.get("id")) or handle
    return (id, handle or id) if id else None


def _id(value: object) -> str | None:
    """An X id, which is never 0."""
    id = to_name(value)
    return id if id and id.isascii() and id.isdigit() and len(id) < 20 and int(id) else None


def _post(tool: str, record: dict[str, Any]) -> Post | str:
    text = record["rawContent"] if "rawContent" in record else record.get("content")
    id = _id(record.get("id_str")) or _id(record.get("id"))
    author = _author(record)
    if id is None or author is None:
        return f"it is no tweet as {tool} writes them"
    if problem := text_problem(text):
        return problem
    answered = record.get("inReplyToUser")
    to_self = isinstance(answered, dict) and to_name(answered.get("id")) == author[0]
    reply_to = None if to_self else _id(record.get("inReplyToTweetId"))
    return Post(
        uri=x_uri(id),
        network="x",
        account=author[0],
        handle=author[1],
        text=without_nul(str(text)),
        created_at=to_time(record.get("date")) or x_id_time(int(id)),
        lang=to_name(record.get("lang")),
        reply_to=x_uri(reply_to) if reply_to else None,
        is_repost=isinstance(record.get("retweetedTweet"), dict) or is_retweet_text(str(text)),
        likes=to_count(record.get("likeCount")),
        reposts=to_count(record.get("retweetCount")),
        url=to_name(record.get("url")),
    )


def _gallery_dl_post(record: dict[str, Any]) -> Post | str:
    id, author = _id(record.get("tweet_id")), _author(record, "author", "name")
    if id is None or author is None:
        return "it is no tweet as gallery-dl writes them"
    whose = _author(record, "user", "name")
    if whose is not None and whose[0] != author[0]:
        return OTHERS
    if problem := text_problem(text := record.get("content")):
        return problem
    reply_to = _id(record.get("reply_id"))
    if to_name(record.get("reply_to")) == author[1]:
        reply_to = None
    return Post(
        uri=x_uri(id),
        network="x",
        account=author[0],
        handle=author[1],
        text=without_nul(str(text)),
        created_at=to_time(record.get("date")) or x_id_time(int(id)),
        lang=to_name(record.get("lang")),
        reply_to=x_uri(reply_to) if reply_to else None,
        is_repost=_id(record.get("retweet_id")) is not None or is_retweet_text(str(text)),
        likes=to_count(record.get("favorite_count")),
        reposts=to_count(record.get("retweet_count")),
        url=f"https://x.com/{author[1]}/status/{id}",
    )
