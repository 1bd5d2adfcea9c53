"""Publishing to a webhook: a JSON POST, with a key by which the receiver knows a retry.

    POST <account>
    Idempotency-Key: <key>
    Pasquin-Signature: sha256=<HMAC of the body with the bot's SECRET>     where it has one

Promise: every text arrives, and each of its arrivals has the same key and the same body. Receivers that remember keys
have each text once. Any 2xx means published; an answer `{"uri": …, "url": …}` is kept. 400, 413,
415, 422: the receiver will not have this text. 401, 403, 404, 410: it will not have us. 429 and 503 with `Retry-After`
hold the bot. Redirects are not followed: a secret must not go where nobody sent it.
"""

from __future__ import annotations

import hashlib
import hmac
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlsplit

import httpx
import orjson

from pasquin.errors import AccountRefused, NetworkError, NotSent, TextRefused
from pasquin.networks.publishing import Access, Request, Settled
from pasquin.networks.servers import check_server, limited, user_agent
from pasquin.networks.statement import statement
from pasquin.networks.tids import tid_time
from pasquin.records import Publication

_OUT: Final = frozenset({401, 403, 404, 410})
_NEVER: Final = frozenset({400, 413, 415, 422})


class WebhookPublisher:
    """Posts to one address."""

    def __init__(self, url: str, secret: str | None, said: dict[str, Any], timeout: float) -> None:
        """`secret` signs the body; `said` is the statement that goes with each text; `timeout` in seconds."""
        self.url, self.secret, self.said, self.timeout = url, secret, said, timeout

    def publish(self, text: str, key: str) -> Publication:
        """Post the text; with the same key, the same body."""
        return self.send(self.freeze(text, key))

    def freeze(self, text: str, key: str) -> Request:
        """The body that will be posted."""
        return {"key": key, "text": text, "created_at": tid_time(key).isoformat(), "disclosure": self.said}

    def send(self, request: Request) -> Publication:
        """Post it. Raises as `pasquin.networks.publishing` says."""
        body = orjson.dumps(dict(request))
        headers = {
            "Content-Type": "application/json",
            "Idempotency-Key": str(request["key"]),
            "User-Agent": user_agent(),
        }
        if self.secret:
            signature = hmac.new(self.secret.encode(), body, hashlib.sha256).hexdigest()
            headers["Pasquin-Signature"] = f"sha256={signature}"
        host = urlsplit(self.url).netloc.rpartition("@")[2]
        try:
            answer = httpx.post(self.url, content=body, headers=headers, timeout=self.timeout)
        except (httpx.ConnectError, httpx.ConnectTimeout) as exc:
            raise NotSent(f"{host} cannot be reached. Check the address and the connection.") from exc
        except httpx.HTTPError as exc:
            raise NetworkError(f"{host} did not answer to the end ({type(exc).__name__}).") from exc
        return self._read(answer, host, request)

    def settle(self, request: Request, attempted_at: datetime) -> Settled:
        """The receiver knows the key, so the same request may be sent again."""
        return "absent"

    def _read(self, answer: httpx.Response, host: str, request: Request) -> Publication:
        status = answer.status_code
        if status in (429, 503) and (wait := limited(answer.headers, f"{host} asks to wait")):
            raise wait
        if status in _OUT:
            raise AccountRefused(f"{host} refuses this bot ({status}). Check its address and secret.", status=status)
        if status in _NEVER:
            raise TextRefused(f"{host} will not have this text ({status}).", status=status)
        if not answer.is_success:
            raise NetworkError(f"{host} answered {status}.", status=status)
        try:
            told = orjson.loads(answer.content)
        except orjson.JSONDecodeError:
            told = {}
        told = told if isinstance(told, dict) else {}
        key = str(request["key"])
        uri, url = told.get("uri"), told.get("url")
        return Publication(
            uri=uri if isinstance(uri, str) and len(uri) < 2_000 else f"webhook:{host}/{key}",
            url=url if isinstance(url, str) and url.startswith("https://") and len(url) < 2_000 else None,
            published_at=tid_time(key),
        )


def webhook(access: Access) -> WebhookPublisher:
    """The publisher of `network = "webhook"`."""
    url = check_server(access, access.settings.account)
    said = statement(access.bot, access.settings)
    return WebhookPublisher(url, access.optional_secret("SECRET"), said, access.publish.timeout_seconds)
