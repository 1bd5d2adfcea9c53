"""What a status of the Mastodon API is as a post.

Servers differ: ids may be letters, content may be null, fields may be missing. What is no public post of the account
itself gives the reason why; what cannot be read gives an `Unreadable` reason.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from pasquin.networks.html_text import html_text
from pasquin.networks.values import text_problem, to_count, to_name, to_time, without_nul
from pasquin.records import Post

RIGHTS: Final = "public-network"
_PUBLIC: Final = ("public", "unlisted")


class Unreadable(str):
    """The reason why a status cannot be read."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Owner:
    """An account: `id` is the server's own name for it, `actor` the URI that identifies it everywhere.

    `handle` is `@user@host`, `server` the base address that answers for it.
    """

    id: str
    actor: str
    handle: str
    server: str


def status_post(status: Any, owner: Owner) -> Post | str:
    """The post in a status of `owner`'s timeline, or why there is none."""
    if not isinstance(status, dict):
        return Unreadable("it is no status")
    account = status.get("account")
    if not isinstance(account, dict) or to_name(account.get("id")) != owner.id:
        return "by somebody else"
    if status.get("reblog"):
        return "boost"
    if status.get("visibility") not in _PUBLIC or status.get("local_only") is True:
        return "not public"
    uri = to_name(status.get("uri")) or to_name(status.get("url"))
    if uri is None or host_of(uri) not in {host_of(owner.actor), host_of(owner.server), host_of(owner.handle)}:
        return Unreadable("its address is not on the account's server")
    content = status.get("content")
    if content is None:
        return "no text"
    if problem := text_problem(content):
        return Unreadable(problem)
    text = without_nul(html_text(content, _mentions(status.get("mentions"), owner)))
    if not text:
        return "no text"
    return Post(
        uri=uri,
        network="mastodon",
        account=owner.actor,
        handle=owner.handle,
        text=text,
        created_at=to_time(status.get("created_at")),
        lang=to_name(status.get("language")),
        reply_to=_reply_to(status, owner),
        likes=to_count(status.get("favourites_count")),
        reposts=to_count(status.get("reblogs_count")),
        url=to_name(status.get("url")),
        rights=RIGHTS,
    )


def host_of(address: str) -> str:
    """The host in an address or a handle, lower case; "" when there is none."""
    if address.startswith("@"):
        address = "//" + address.rpartition("@")[2]
    try:
        return (urlsplit(address).hostname or "").lower()
    except ValueError:
        return ""


def _mentions(mentions: object, owner: Owner) -> Mapping[str, str]:
    """Full names of the mentioned accounts, by the addresses that stand in the text."""
    names: dict[str, str] = {}
    for mention in mentions if isinstance(mentions, list) else ():
        if not isinstance(mention, dict):
            continue
        url, acct = to_name(mention.get("url")), to_name(mention.get("acct"))
        if url and acct:
            names[url] = f"@{acct}" if "@" in acct else f"@{acct}@{owner.handle.rpartition('@')[2]}"
    return names


def _reply_to(status: Mapping[str, Any], owner: Owner) -> str | None:
    """What a status answers. An author going on under their own post answers nobody."""
    account, answered = to_name(status.get("in_reply_to_account_id")), to_name(status.get("in_reply_to_id"))
    if account == owner.id or not (account or answered):
        return None
    if answered is None:  # the post is gone, its author is known
        return f"{owner.server}/api/v1/accounts/{account}"
    return f"{owner.server}/api/v1/statuses/{answered}"
