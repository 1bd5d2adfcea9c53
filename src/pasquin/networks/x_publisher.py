"""Publishing to X: never twice, and not always surely once.

X knows no keys. So a text is sent once, and never again by itself: after an attempt of which nobody knows, the
account's own timeline is read; a post with the same text, made since, is it. Where there is none the publication stays
unknown, and a person decides. (X refuses a text it has had lately, but names no post, and not for how long.)

It costs money: `price` says how much before it is spent. Signed in with the four keys of OAuth 1.0a, or with `TOKEN`, a
user's OAuth 2.0 token.
"""

from __future__ import annotations

import html
import logging
import time
import unicodedata
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any, Final, NoReturn
from urllib.parse import urlsplit

from pasquin.errors import AccountRefused, NetworkError, RateLimited, ResourceError, TextRefused
from pasquin.lengths.links import has_link, with_links_as
from pasquin.lengths.x_weight import MAX_WEIGHT, x_weight
from pasquin.networks.pictures import picture
from pasquin.networks.publishing import Access, Request, Settled
from pasquin.networks.requests_errors import failed
from pasquin.networks.servers import check_server, user_agent
from pasquin.records import Profile, Publication

API: Final = "https://api.x.com"
READ_COST: Final = 0.005
"""US dollars that X asks for reading; the profile is read before every post, for the disclosure."""
_SDK_HOST: Final = "https://api.twitter.com"
_CLOCKS: Final = timedelta(minutes=1)
_SHOWN: Final = 100
_MOST_PAGES: Final = 10
_KEYS: Final = ("API_KEY", "API_SECRET", "ACCESS_TOKEN", "ACCESS_SECRET")


class XPublisher:
    """Posts as one account."""

    def __init__(self, access: Access, server: str) -> None:
        self.handle = access.settings.account.removeprefix("@")
        self.server, self.host = server, urlsplit(server).netloc
        self.timeout = access.publish.timeout_seconds
        self.own_hosts = tuple(host.lower() for host in access.publish.allow_private_hosts)
        self.post_cost, self.url_cost = access.settings.post_cost, access.settings.url_cost
        self.token = access.optional_secret("TOKEN")
        self.keys = None if self.token else tuple(access.secret(name) for name in _KEYS)

    def publish(self, text: str, key: str) -> Publication:
        """Post the text. X has no keys: the ledger alone keeps it from being sent twice."""
        return self.send(self.freeze(text, key))

    def freeze(self, text: str, key: str) -> Request:
        """What will be posted. Raises TextRefused when it weighs too much."""
        if (weight := x_weight(text)) > MAX_WEIGHT:
            raise TextRefused(
                f"The text weighs {weight} characters as X counts them, and X takes {MAX_WEIGHT}. "
                "Edit it, or let the models write shorter."
            )
        return {"method": "POST /2/tweets", "body": {"text": text}, "key": key}

    def send(self, request: Request) -> Publication:
        """Post it. Raises as `pasquin.networks.publishing` says."""
        text = str(request["body"]["text"])
        answer = self._asked(lambda api: api.create_tweet(text=text, user_auth=self._oauth1))
        try:
            return self._publication(str(answer["data"]["id"]), datetime.now(UTC))
        except (KeyError, TypeError) as exc:
            raise NetworkError(f"{self.host} answered a post with something else.") from exc

    def settle(self, request: Request, attempted_at: datetime) -> Settled:
        """The account's own post with this text, made since; `undecided` where there is none."""
        since = attempted_at - _CLOCKS
        wanted = _comparable(str(request["body"]["text"]))
        me, token = self._me["id"], None
        for _ in range(_MOST_PAGES):
            answer = self._timeline(me, since, token)
            try:
                for post in answer.get("data") or []:
                    created = datetime.fromisoformat(str(post["created_at"]).replace("Z", "+00:00"))
                    if created >= since and _comparable(html.unescape(str(post["text"]))) == wanted:
                        return self._publication(str(post["id"]), created)
                token = (answer.get("meta") or {}).get("next_token")
            except (KeyError, TypeError, ValueError, AttributeError) as exc:
                raise NetworkError(f"{self.host} answered a timeline with something else.") from exc
            if token is None:
                break
        return "undecided"

    def _timeline(self, me: str, since: datetime, token: str | None) -> Any:
        return self._asked(
            lambda api: api.get_users_tweets(
                me,
                max_results=_SHOWN,
                start_time=since.strftime("%Y-%m-%dT%H:%M:%SZ"),
                pagination_token=token,
                tweet_fields=["created_at", "text"],
                user_auth=self._oauth1,
            )
        )

    def profile(self) -> Profile:
        """The account as X shows it. Its label as automated cannot be read: the person confirms it."""
        me = self._me
        url = str(me.get("profile_image_url") or "")
        default = not url or "default_profile" in url
        return Profile(
            handle=str(me.get("username") or self.handle),
            name=str(me.get("name") or ""),
            bio=str(me.get("description") or ""),
            avatar=None if default else picture(url.replace("_normal.", "_400x400."), self.timeout, self.own_hosts),
        )

    def price(self, text: str) -> float:
        """US dollars: the post, more with a link, and reading the profile before."""
        return (self.url_cost if has_link(text) else self.post_cost) + READ_COST

    @property
    def _oauth1(self) -> bool:
        return self.keys is not None

    @property
    def _me(self) -> dict[str, Any]:
        fields = ["name", "username", "description", "profile_image_url"]
        answer = self._asked(lambda api: api.get_me(user_fields=fields, user_auth=self._oauth1))
        me = answer.get("data") if isinstance(answer, dict) else None
        if not isinstance(me, dict) or "id" not in me:
            raise NetworkError(f"{self.host} does not say whose keys these are.")
        return me

    def _publication(self, id: str, published_at: datetime) -> Publication:
        return Publication(
            uri=f"https://x.com/i/status/{id}",
            url=f"https://x.com/{self.handle}/status/{id}",
            published_at=published_at,
            details={"id": id},
        )

    @cached_property
    def _api(self) -> Any:
        try:
            import requests
            import tweepy
        except ImportError as exc:
            raise ResourceError('Publishing needs packages: `pip install "pasquin[publish]"`.') from exc
        for name in ("oauthlib", "requests_oauthlib", "tweepy"):
            logging.getLogger(name).setLevel(logging.WARNING)  # they write keys and signed headers into debug logs
        keys = self.keys or (None, None, None, None)
        api = tweepy.Client(self.token, *keys, return_type=dict, wait_on_rate_limit=False)
        api.user_agent = user_agent()
        server, timeout = self.server, self.timeout

        class Adapter(requests.adapters.HTTPAdapter):
            """Bounds how long an answer may take, and leads to the server that was set."""

            def send(self, request: Any, **options: Any) -> Any:  # type: ignore[override]
                request.url = request.url.replace(_SDK_HOST, server, 1)
                return super().send(request, **{**options, "timeout": timeout})

        api.session.mount("https://", Adapter())
        return api

    def _asked(self, call: Callable[[Any], Any]) -> Any:
        """The answer of a call; the library's errors become ours."""
        import requests
        import tweepy

        try:
            return call(self._api)
        except tweepy.TooManyRequests as exc:
            wait = RateLimited(f"{self.host} asks to wait. The bot goes on by itself after that.")
            wait.until = float(exc.reset_time or time.time() + 900)
            raise wait from exc
        except tweepy.HTTPException as exc:
            self._refuse(exc)
        except requests.exceptions.JSONDecodeError as exc:
            raise NetworkError(f"{self.host} answered something that is no JSON.") from exc
        except requests.exceptions.RequestException as exc:
            raise failed(exc, self.host) from exc
        except (tweepy.TweepyException, ValueError) as exc:
            raise NetworkError(f"{self.host} answered something unexpected ({type(exc).__name__}).") from exc

    def _refuse(self, exc: Any) -> NoReturn:
        status = int(exc.response.status_code)
        said = "; ".join(str(message) for message in exc.api_messages)[:200] or str(exc.response.reason)[:200]
        if status == 403 and "duplicate" in said.lower():
            raise NetworkError(f"{self.host} says that it has this text already.", status=status) from exc
        if status in (401, 402, 403):
            raise AccountRefused(
                f"{self.host} does not let @{self.handle} post ({said}). "
                "Look at the account, its keys and its credits, then run `pasquin bot resume`.",
                status=status,
            ) from exc
        if status in (400, 413, 422):
            raise TextRefused(f"{self.host} will not have this text: {said}.", status=status) from exc
        raise NetworkError(f"{self.host} answered {status}.", status=status) from exc


def _comparable(text: str) -> str:
    """What stays of a text on X: links are replaced by its own, spaces may be trimmed."""
    return "".join(unicodedata.normalize("NFC", with_links_as(text, "")).split())


def x(access: Access) -> XPublisher:
    """The publisher of `network = "x"`."""
    return XPublisher(access, check_server(access, access.settings.server or API))
