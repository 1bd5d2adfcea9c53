"""X through its API v2, which is paid by the post: an account's newest 3,200 posts, by `x:@handle` or `x:id`.

Nothing is asked before the person has said with `max_cost` what may be spent, and never more is. Reading is newest
first and may stop anywhere (the money, the network, a kill): the cursor says what is read, and nothing is paid twice.
The token comes from the environment (`PASQUIN_X_TOKEN`) and goes nowhere but into the request.

Requests follow X's OpenAPI description 2.167 (August 2026: `post.fields`, `note_post`, `referenced_posts`); answers are
understood with the older names too. What is deleted on X is not noticed here; edited posts replace their versions.
"""

from __future__ import annotations

import json
import math
import os
import re
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

import orjson

from pasquin.config import CollectSettings
from pasquin.errors import NetworkError, Refused, UsageError
from pasquin.networks import Page, Quarantined
from pasquin.networks.transport import Transport, shared
from pasquin.networks.values import to_name
from pasquin.networks.x_status import Includes, earlier_versions, v2_post, x_id
from pasquin.records import Post

TOKEN: Final = "PASQUIN_X_TOKEN"
MOST_POSTS: Final = 3_200
"""How far back X gives an account's posts."""
PAGE: Final = 100
SMALLEST_PAGE: Final = 5
"""The most and the least posts that X gives for one request."""
FIELDS: Final = {
    "post.fields": "created_at,edit_controls,entities,lang,note_post,public_metrics,conversation_id",
    "expansions": "author_id,in_reply_to_user_id,referenced_posts,edit_history_post_ids",
    "user.fields": "username",
}
_HANDLE: Final = re.compile(r"@?([A-Za-z0-9_]{1,15})")
_Gap = tuple[str | None, str | None]
"""What is not read yet: posts before this id (None: from the newest), down to and without that one (None: all)."""


@dataclass(frozen=True)
class _Cursor:
    account: str
    handle: str
    newest: str | None = None
    gaps: tuple[_Gap, ...] = ()

    @classmethod
    def parse(cls, written: str | None) -> _Cursor | None:
        try:
            value = json.loads(written or "null")
            gaps = tuple((x_id(before), x_id(down_to)) for before, down_to in value["gaps"])
            account = x_id(value["account"])
            return cls(account, str(value["handle"]), x_id(value["newest"]), gaps) if account else None
        except (ValueError, KeyError, TypeError):
            return None

    def text(self) -> str:
        return json.dumps(asdict(self))


class Purse:
    """What may still be spent, shared by all accounts of a run."""

    def __init__(self, dollars: float | None, price: float) -> None:
        """`price` is what reading one post costs."""
        self._left, self.price = dollars, price
        self._lock = threading.Lock()

    def estimate(self, posts: int = MOST_POSTS) -> float:
        """Dollars that an account of so many posts costs at most, finding it included; up to the next cent."""
        return math.ceil(round((posts + 1) * self.price * 100, 6)) / 100

    def take(self, most: int, least: int) -> int:
        """Put aside money for `most` posts, or as many as there is money for; 0 when that is fewer than `least`."""
        with self._lock:
            affordable = most if not self.price else int((self._left or 0.0) / self.price + 1e-9)
            posts = min(most, affordable)
            if posts < least:
                return 0
            self._left = (self._left or 0.0) - posts * self.price
            return posts

    def give_back(self, posts: int) -> None:
        """What was put aside and not asked for after all."""
        with self._lock:
            self._left = (self._left or 0.0) + posts * self.price


class XSource:
    """Accounts on X."""

    reads_files = False

    def __init__(self, settings: CollectSettings, transport: Transport) -> None:
        """`settings.max_cost` is what all accounts together may cost; None refuses with an estimate."""
        self._settings = settings
        self._transport = transport
        self.purse = Purse(settings.max_cost, settings.x_read_cost)

    def posts(self, account: str, since: str | None) -> Iterator[Page]:
        """Pages of the posts of `@handle` or an id: the newest, then what earlier runs left.

        Raises UsageError when there is no token, no `max_cost` or no such name, Refused when X says no (gone,
        suspended, protected, a token it does not take), NetworkError when it cannot be reached or the money is spent.
        """
        wanted = account.strip()
        token = os.environ.get(TOKEN, "").strip()
        if not _HANDLE.fullmatch(wanted):
            raise UsageError(
                f"`{wanted[:80]}` is no account on X: write x:@handle, or x: and the number of the account."
            )
        self._check_means(token)
        headers = {"Authorization": f"Bearer {token}"}
        cursor = _Cursor.parse(since) or self._find(wanted, headers)
        for gap in ((None, cursor.newest), *cursor.gaps):
            for page, after in self._gap(cursor, gap, headers):
                cursor = after
                yield page

    def _check_means(self, token: str) -> None:
        if not token:
            raise UsageError(
                f"X's API wants a token: put the bearer token of your X developer account into {TOKEN}. "
                "An archive of one's own needs none: x-archive:FILE.zip."
            )
        most = self.purse.estimate()
        if self._settings.max_cost is None:
            raise UsageError(
                f"Reading an account on X costs ${self.purse.price:.3f} a post, at most ${most:.2f} for its newest "
                f"{MOST_POSTS:,}. Say what you will spend: --max-cost {most:.2f}."
            )
        if self._settings.max_cost < self.purse.estimate(SMALLEST_PAGE):
            raise UsageError(
                f"--max-cost {self._settings.max_cost:.2f} is too low: the smallest request costs "
                f"${self.purse.estimate(SMALLEST_PAGE):.2f}, a whole account up to ${most:.2f}."
            )

    def _find(self, wanted: str, headers: Mapping[str, str]) -> _Cursor:
        """The account's id and name; a cursor at its beginning."""
        if not self.purse.take(1, 1):
            raise self._spent(wanted)
        is_id = not wanted.startswith("@") and x_id(wanted)
        path = f"users/{wanted}" if is_id else f"users/by/username/{wanted.removeprefix('@')}"
        answer = self._ask(path, {"user.fields": "protected,username,public_metrics"}, headers, wanted)
        user = answer.get("data")
        if not isinstance(user, dict):
            raise _refusal(answer, wanted)
        if user.get("protected") is True:
            raise Refused(f"{wanted} is protected: its posts are not public, and are not collected.")
        id = x_id(user.get("id"))
        if id is None:
            raise NetworkError(f"X's answer on {wanted} makes no sense: it has no id. Try again later.")
        return _Cursor(id, to_name(user.get("username")) or wanted.removeprefix("@"))

    def _gap(self, cursor: _Cursor, gap: _Gap, headers: Mapping[str, str]) -> Iterator[tuple[Page, _Cursor]]:
        """Read what a gap lacks, newest first; each page with the cursor after it."""
        before, down_to = gap
        others = tuple(other for other in cursor.gaps if other != gap)
        read: set[str] = set()
        while True:
            most = self.purse.take(PAGE, SMALLEST_PAGE)
            if not most:
                raise self._spent(f"@{cursor.handle}")
            answer = self._timeline(cursor, before, down_to, most, headers)
            statuses = answer.get("data")
            statuses = statuses if isinstance(statuses, list) else [statuses] if statuses else []
            self.purse.give_back(most - min(most, len(statuses)))
            if not statuses and not isinstance(answer.get("meta"), dict):
                raise _refusal(answer, f"@{cursor.handle}")
            ids = [id for status in statuses if (id := _id(status))]
            fresh = [id for id in ids if id not in read]
            read.update(fresh)
            before = min(fresh, key=int, default=before)
            meta = answer.get("meta")
            more = bool(fresh) and isinstance(meta, dict) and bool(meta.get("next_token"))
            newest = max([*fresh, *filter(None, [cursor.newest])], key=int, default=None)
            cursor = replace(cursor, newest=newest, gaps=((before, down_to), *others) if more else others)
            repeated = set(ids) - set(fresh)
            yield _page(answer, [one for one in statuses if _id(one) not in repeated], cursor), cursor
            if not more:
                return

    def _timeline(
        self, cursor: _Cursor, before: str | None, down_to: str | None, most: int, headers: Mapping[str, str]
    ) -> Mapping[str, Any]:
        params: dict[str, str | int] = {**FIELDS, "max_results": most}
        if before is not None:
            params["until_id"] = before
        if down_to is not None:
            params["since_id"] = down_to
        return self._ask(f"users/{cursor.account}/tweets", params, headers, f"@{cursor.handle}")

    def _ask(
        self, path: str, params: Mapping[str, str | int], headers: Mapping[str, str], who: str
    ) -> Mapping[str, Any]:
        url = f"{self._settings.x_api.rstrip('/')}/2/{path}"
        try:
            answer = self._transport.get(url, params=params, headers=headers, account=who).json()
        except Refused as exc:
            raise _translated(exc, who) from exc
        if not isinstance(answer, dict):
            raise NetworkError(f"X's answer on {who} makes no sense. Try again later.")
        return answer

    def _spent(self, who: str) -> NetworkError:
        return NetworkError(
            f"What --max-cost allows is spent before {who} was read to its end; what was read is kept. "
            "Run the same command again to go on, for as much again."
        )


def _id(status: object) -> str | None:
    return x_id(status.get("id")) if isinstance(status, dict) else None


def _page(answer: Mapping[str, Any], statuses: list[Any], cursor: _Cursor) -> Page:
    includes = Includes.parse(answer)
    posts: list[Post] = []
    quarantined: list[Quarantined] = []
    skipped: Counter[str] = Counter()
    deleted: list[str] = []
    for status in statuses:
        found = v2_post(status, includes, cursor.handle)
        if isinstance(found, str):
            excerpt = str(status)[:200].encode("utf-8", "backslashreplace")
            quarantined.append(Quarantined(f"@{cursor.handle}", found, excerpt))
        elif not found.text.strip():
            skipped["empty"] += 1
        else:
            posts.append(found)
            deleted.extend(earlier_versions(status))
    errors = answer.get("errors")
    for error in errors if isinstance(errors, list) else ():
        title = to_name(error.get("title")) if isinstance(error, dict) else None
        skipped[f"X could not give a post or what it refers to ({title or 'no reason'})"] += 1
    return Page(tuple(posts), cursor.text(), dict(skipped), tuple(quarantined), deleted=tuple(deleted), current=True)


def _refusal(answer: Mapping[str, Any], who: str) -> Refused:
    """What X means by an answer that has only errors."""
    errors = answer.get("errors")
    error = errors[0] if isinstance(errors, list) and errors and isinstance(errors[0], dict) else {}
    said = f"{error.get('title', '')} {error.get('detail', '')}".lower()
    if "suspended" in said:
        return Refused(f"X has suspended {who}: it cannot be collected.")
    if "not found" in said or "could not find" in said:
        return Refused(f"There is no account {who} on X: it may have been renamed or deleted.")
    if "authoriz" in said or "protected" in said:
        return Refused(f"{who} is protected: its posts are not public, and are not collected.")
    title = to_name(error.get("title"))
    return Refused(f"X gives nothing of {who}{f' ({title[:100]})' if title else ''}. Look at the account in a browser.")


def _translated(refused: Refused, who: str) -> NetworkError:
    """A refusal by its HTTP status, in words that say what to do."""
    try:
        body = orjson.loads(refused.body)
    except orjson.JSONDecodeError:
        body = {}
    body = body if isinstance(body, dict) else {}
    if refused.status == 401:
        return Refused(f"X does not take the token in {TOKEN}. Renew it in the X developer portal.", status=401)
    if refused.status == 402:
        return Refused(
            "X wants credit on your developer account first. Buy some, or set a lower --max-cost.", status=402
        )
    if refused.status == 403 and "suspended" not in str(body).lower():
        return Refused(
            f"X does not allow this token to read {who}. Your developer plan or its spending limit may not include it; "
            "look into the X developer portal.",
            status=403,
        )
    if body.get("errors") or refused.status == 404:
        answer = body if isinstance(body.get("errors"), list) else {"errors": [{"title": "Not Found Error"}]}
        return _refusal(answer, who)
    return refused


def x(settings: CollectSettings) -> XSource:
    """Accounts on X, through its API."""
    return XSource(settings, shared(settings))
