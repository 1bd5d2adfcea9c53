"""Records of an account as its server lists them, page by page: the way to posts where there is no repository to read.

Listing is slower than the repository (a hundred records a request) and nothing in it is signed. Posts come oldest
first, so that a page can be committed with the key it ends with, and the next run goes on behind it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from pasquin.errors import NetworkError
from pasquin.networks import Quarantined
from pasquin.networks.bluesky.identity import Identity
from pasquin.networks.bluesky.records import POST, to_post
from pasquin.networks.files.reading import EXCERPT
from pasquin.networks.transport import Transport
from pasquin.records import Post

MARK: Final = "list:"
"""What the mark of an account that is listed begins with; the key of the last post read stands behind it."""
UNSIGNED: Final = "Posts of {} came one by one, without a signature: its server does not give its repository."
_PAGE: Final = 100


@dataclass
class Listed:
    """One page of posts. `uris` are of all records that were read, posts or not; `after` is the last key."""

    after: str
    posts: list[Post] = field(default_factory=list)
    uris: list[str] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)
    unreadable: list[Quarantined] = field(default_factory=list)


def list_records(
    transport: Transport, owner: Identity, collection: str, after: str = "", oldest_first: bool = False
) -> Iterator[list[Mapping[str, Any]]]:
    """Pages of an account's records of a collection, `{uri, cid, value}` each; those behind the key `after`.

    Raises Refused when the server will not, NetworkError when it cannot or goes round in circles.
    """
    url = f"{owner.pds}/xrpc/com.atproto.repo.listRecords"
    fixed: dict[str, str | int] = {"repo": owner.did, "collection": collection, "limit": _PAGE}
    cursor, seen = after, set[str]()
    while cursor not in seen:
        seen.add(cursor)
        order: dict[str, str | int] = {"reverse": "true"} if oldest_first else {}
        answer = transport.get_json(url, params=fixed | order | ({"cursor": cursor} if cursor else {}))
        records = answer.get("records") if isinstance(answer, Mapping) else None
        if not isinstance(records, list):
            raise NetworkError(f"The server of {owner.did} does not answer as a Bluesky server. Try again later.")
        if not records:
            return
        yield [record for record in records if isinstance(record, Mapping) and isinstance(record.get("value"), Mapping)]
        cursor = str(answer.get("cursor") or "")
        if not cursor:
            return
    raise NetworkError(f"The server of {owner.did} lists the same posts again and again. Try again later.")


def list_posts(transport: Transport, owner: Identity, after: str) -> Iterator[Listed]:
    """Pages of an account's posts behind the key `after`, oldest first."""
    prefix = f"at://{owner.did}/{POST}/"
    for records in list_records(transport, owner, POST, after, oldest_first=True):
        page = Listed(after)
        for record in records:
            _take(record, prefix, owner, page)
        if page.after == after and not page.unreadable:
            raise NetworkError(f"The server of {owner.did} lists the same posts again and again. Try again later.")
        after = page.after
        yield page


def _take(record: Mapping[str, Any], prefix: str, owner: Identity, page: Listed) -> None:
    uri = record.get("uri")
    if not isinstance(uri, str) or not uri.startswith(prefix):
        page.unreadable.append(Quarantined(owner.did, "the server listed a post of another account", b""))
        return
    page.uris.append(uri)
    page.after = max(page.after, uri.removeprefix(prefix))
    try:
        post = to_post(record["value"], uri=uri, did=owner.did, handle=owner.handle)
    except ValueError as exc:
        page.unreadable.append(Quarantined(uri, str(exc), orjson.dumps(record["value"])[:EXCERPT]))
        return
    if isinstance(post, Post):
        page.posts.append(post)
    else:
        page.skipped[post] += 1
