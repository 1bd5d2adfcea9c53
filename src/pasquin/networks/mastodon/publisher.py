"""Publishing to Mastodon: once, as far as Mastodon lets us.

The key goes into `Idempotency-Key`, which a server remembers for an hour, and writes down after the status: a server
that dies in between forgets it. So after an attempt of which nobody knows, the account's own statuses are read. Where
the text is among them it is found; where it is not and the key still holds, the same request may be sent again; when
the key may be forgotten, a person decides. A status that was accepted is asked for once more: anti-spam drops silently.

How long a text may be, and what a link costs, the instance says.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any, Final, NoReturn
from urllib.parse import urlsplit

from pasquin.errors import AccountRefused, NetworkError, NotSent, RateLimited, ResourceError, TextRefused, UsageError
from pasquin.lengths.links import with_links_as
from pasquin.networks.bluesky.richtext import graphemes
from pasquin.networks.html_text import html_text
from pasquin.networks.pictures import picture
from pasquin.networks.publishing import Access, Request, Settled
from pasquin.networks.requests_errors import failed
from pasquin.networks.servers import check_server, user_agent
from pasquin.records import Profile, Publication

KEY_HOLDS: Final = timedelta(minutes=55)
"""How long we trust a server to remember a key: less than the hour it promises."""
_PAGE: Final = 40
_MOST_PAGES: Final = 25


class MastodonPublisher:
    """Posts statuses as one account."""

    def __init__(self, server: str, token: str, timeout: float, own_hosts: tuple[str, ...] = ()) -> None:
        self.server, self.token, self.timeout, self.own_hosts = server, token, timeout, own_hosts
        self.host = urlsplit(server).netloc

    def publish(self, text: str, key: str) -> Publication:
        """Post the text; within the hour the same key is the same status."""
        return self.send(self.freeze(text, key))

    def freeze(self, text: str, key: str) -> Request:
        """The status, its key, and the newest status before it. Raises TextRefused when the instance takes less."""
        most, link = self._limits
        count = graphemes(with_links_as(text, "x" * link))
        if count > most:
            raise TextRefused(
                f"The text has {count} characters; {self.host} takes {most}. Edit it, or let the models write shorter."
            )
        return {
            "method": "POST /api/v1/statuses",
            "status": text,
            "idempotency_key": key,
            "after": self._newest(),
        }

    def send(self, request: Request) -> Publication:
        """Post it, and see that it is there. Raises as `pasquin.networks.publishing` says."""
        text, key = str(request["status"]), str(request["idempotency_key"])
        posted = self._asked(lambda api: api.status_post(text, idempotency_key=key))
        found = self._publication(posted)
        try:
            self._asked(lambda api: api.status(posted["id"]))
        except NetworkError as exc:
            raise NetworkError(f"{self.host} took the text, but does not show it ({exc})") from exc
        return found

    def settle(self, request: Request, attempted_at: datetime) -> Settled:
        """Whether the text is among the account's statuses since the one that was the newest before the attempt."""
        wanted, before = _comparable(str(request["status"])), None
        for _ in range(_MOST_PAGES):
            page = self._page(request.get("after"), before)
            for status in page:
                if _comparable(html_text(str(status["content"]))) == wanted:
                    return self._publication(status)
            if len(page) < _PAGE:
                holds = datetime.now(UTC) - attempted_at < KEY_HOLDS
                return "absent" if holds else "undecided"
            before = page[-1]["id"]
        return "undecided"

    def said_before(self, text: str) -> str | None:
        """The URI of one of the latest forty statuses that has this text."""
        wanted = _comparable(text)
        for status in self._page(None, None):
            if wanted and _comparable(html_text(str(status["content"]))) == wanted:
                return str(status["uri"])
        return None

    def profile(self) -> Profile:
        """The account as its own credentials show it."""
        me = self._asked(lambda api: api.account_verify_credentials())
        url = str(me.get("avatar_static") or me.get("avatar") or "")
        source = me.get("source") or {}
        return Profile(
            handle=f"{me['username']}@{self.host}",
            name=str(me.get("display_name") or ""),
            bio=str(source.get("note") or html_text(str(me.get("note") or ""))),
            bot=bool(me.get("bot")),
            avatar=None if not url or url.endswith("missing.png") else picture(url, self.timeout, self.own_hosts),
        )

    def set_up(self, bio: str, avatar: bytes | None) -> list[str]:
        """Write bio, bot flag and avatar."""
        values: dict[str, Any] = {"note": bio, "bot": True}
        if avatar is not None:
            values |= {"avatar": avatar, "avatar_mime_type": "image/png"}
        self._asked(lambda api: api.account_update_credentials(**values))
        return ["wrote the bio", "set the bot flag", *(["uploaded the avatar"] if avatar is not None else [])]

    def _page(self, after: Any, before: Any, limit: int = _PAGE) -> list[Any]:
        """The account's own statuses newer than `after` and older than `before`, newest first."""
        bounds = {name: value for name, value in (("since_id", after), ("max_id", before)) if value is not None}
        return list(
            self._asked(lambda api: api.account_statuses(self._me, exclude_reblogs=True, limit=limit, **bounds))
        )

    @cached_property
    def _me(self) -> Any:
        return self._asked(lambda api: api.account_verify_credentials())["id"]

    def _newest(self) -> str | None:
        """The newest status, before anything is sent."""
        try:
            found = self._page(None, None, 1)
            return str(found[0]["id"]) if found else None
        except (AccountRefused, RateLimited, NotSent):
            raise
        except (NetworkError, KeyError, TypeError) as exc:
            raise NotSent(f"The account's statuses on {self.host} cannot be read: {exc}") from exc

    @cached_property
    def _limits(self) -> tuple[int, int]:
        """Characters of a status, and what a link costs. Asked before anything is sent."""
        try:
            answer = self._asked(lambda api: api.instance())
            statuses = answer["configuration"]["statuses"]
            return int(statuses["max_characters"]), int(statuses.get("characters_reserved_per_url") or 23)
        except (AccountRefused, RateLimited, NotSent):
            raise
        except (NetworkError, KeyError, TypeError, ValueError) as exc:
            raise NotSent(f"{self.host} does not say how long a status may be. Try again later.") from exc

    @cached_property
    def _api(self) -> Any:
        try:
            from mastodon import Mastodon
        except ImportError as exc:
            raise ResourceError('Publishing needs packages: `pip install "pasquin[publish]"`.') from exc
        return Mastodon(
            access_token=self.token,
            api_base_url=self.server,
            ratelimit_method="throw",
            request_timeout=self.timeout,
            version_check_mode="none",
            user_agent=user_agent(),
        )

    def _asked(self, call: Callable[[Any], Any]) -> Any:
        """The answer of a call; the library's errors become ours."""
        from mastodon import errors

        try:
            return call(self._api)
        except errors.MastodonRatelimitError as exc:
            wait = RateLimited(f"{self.host} asks to wait. The bot goes on by itself after that.")
            wait.until = float(self._api.ratelimit_reset or time.time() + 300)
            raise wait from exc
        except errors.MastodonNetworkError as exc:
            raise failed(exc.__context__ or exc, self.host) from exc
        except errors.MastodonAPIError as exc:
            self._refuse(exc)
        except (errors.MastodonError, ValueError, KeyError) as exc:
            raise NetworkError(f"{self.host} answered something unexpected ({type(exc).__name__}).") from exc

    def _refuse(self, exc: Any) -> NoReturn:
        status = exc.args[1] if len(exc.args) > 1 and isinstance(exc.args[1], int) else None
        said = str(exc.args[3])[:200] if len(exc.args) > 3 and exc.args[3] else ""
        if status in (401, 403):
            raise AccountRefused(
                f"{self.host} does not let the account publish ({said or status}). "
                "Look at the account and its token, then run `pasquin bot resume`.",
                status=status,
            ) from exc
        if status in (400, 413, 422):
            raise TextRefused(f"{self.host} will not have this text: {said or status}.", status=status) from exc
        raise NetworkError(f"{self.host} answered {status or 'an error'}.", status=status) from exc

    def _publication(self, status: Any) -> Publication:
        try:
            created = status["created_at"]
            moment = created if isinstance(created, datetime) else datetime.fromisoformat(str(created))
            return Publication(
                uri=str(status["uri"]),
                url=str(status["url"]) if status.get("url") else None,
                published_at=moment.astimezone(UTC),
                details={"id": str(status["id"])},
            )
        except (KeyError, TypeError, ValueError) as exc:
            raise NetworkError(f"{self.host} answered something that is no status.") from exc


def _comparable(text: str) -> str:
    """What stays of a text that went through HTML: words without spaces, links left out, which are shortened."""
    return "".join(with_links_as(text, "").replace("\u200b", "").split())


def mastodon(access: Access) -> MastodonPublisher:
    """The publisher of `network = "mastodon"`; the bot's `TOKEN` has the scopes read and write."""
    name, _, host = access.settings.account.removeprefix("@").partition("@")
    if not name or not host:
        raise UsageError(f"The account of the bot `{access.bot}` must be whole: @name@server.example.")
    server = check_server(access, access.settings.server or f"https://{host}")
    own = tuple(allowed.lower() for allowed in access.publish.allow_private_hosts)
    return MastodonPublisher(server, access.secret("TOKEN"), access.publish.timeout_seconds, own)
