"""What comes back: whole answers, refusals and failures, in words that show no secret."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

import httpx
import orjson

from pasquin.errors import NetworkError, Refused
from pasquin.networks.transport.body import chunks

_EXCERPT: Final = 64 * 1024
"""Bytes of a refusal that are kept for the code that knows its words."""


@dataclass(frozen=True)
class Response:
    """A whole answer. `url` is where it came from in the end; it may hold secrets, so show `shown(url)` instead."""

    url: str
    status: int
    headers: httpx.Headers
    content: bytes = field(repr=False)
    unchanged: bool = False
    """Whether the service said that it is the same as the last time (the content then comes from the cache)."""

    @property
    def text(self) -> str:
        """The content as text, in the encoding it says (else UTF-8), with what is none replaced."""
        kind = {"content-type": self.headers.get("content-type", "")}
        try:
            return self.content.decode(httpx.Response(self.status, headers=kind).charset_encoding or "utf-8", "replace")
        except LookupError:
            return self.content.decode("utf-8", "replace")

    def json(self) -> Any:
        """The content, parsed. Raises NetworkError when it is no JSON, a web page for example."""
        try:
            return orjson.loads(self.content)
        except orjson.JSONDecodeError as exc:
            is_page = self.content.lstrip()[:1] == b"<"
            what = "a web page instead of data" if is_page else "something that is no JSON"
            raise NetworkError(
                f"{shown(self.url)} answered with {what}. Is it the right kind of server? Try again later.",
                status=self.status,
                body=self.content[:_EXCERPT],
            ) from exc

    def link(self, rel: str) -> str | None:
        """The address that a `Link` header gives for `rel` (`next`, `prev`), absolute; None when there is none."""
        found = httpx.Response(self.status, headers=self.headers).links.get(rel, {}).get("url")
        try:
            return str(httpx.URL(self.url).join(found)) if found else None
        except (httpx.InvalidURL, ValueError):
            return None


def shown(url: str | httpx.URL) -> str:
    """An address as it may be shown: without user, query and fragment, where secrets are."""
    try:
        parsed = httpx.URL(url)
        return f"{parsed.scheme}://{authority(parsed)}{parsed.path}"[:200]
    except (httpx.InvalidURL, ValueError, TypeError):
        return "an address that is none"


def authority(url: httpx.URL) -> str:
    """Host (and port, when not the usual one): what a budget is for."""
    host = url.host.lower().removesuffix(".")
    return host if url.port is None else f"[{host}]:{url.port}" if ":" in host else f"{host}:{url.port}"


def whole(answer: httpx.Response, most: int) -> Response:
    """The whole of an answer, of at most `most` bytes."""
    content = b"".join(chunks(answer, most))
    return Response(str(answer.request.url), answer.status_code, answer.headers, content)


_SAYINGS: Final = {
    401: "asks for a sign-in we do not have",
    403: "does not allow it",
    404: "does not have it: it may have been renamed, moved or deleted",
    410: "says it is gone",
    451: "may not show it for legal reasons",
}


def refusal(answer: httpx.Response) -> Refused:
    """The refusal with what the service said of it."""
    try:
        body = b"".join(chunks(answer, _EXCERPT))
    except (NetworkError, httpx.TransportError):
        body = b""
    status = answer.status_code
    saying = _SAYINGS.get(status, "refuses")
    return Refused(f"{shown(answer.request.url)} {saying} (it answered {status}).", status=status, body=body)


def reason_of(error: httpx.TransportError) -> str:
    """A failure in a word that names no secret."""
    if isinstance(error, httpx.ProxyError):
        return "the proxy refused"
    if isinstance(error, httpx.ConnectError):
        text = str(error)
        return text if text.startswith("the name ") else "the connection could not be made"
    if isinstance(error, httpx.TimeoutException):
        return "it took too long"
    return "the connection broke"
