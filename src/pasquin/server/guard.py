"""What stands in front of every route: security headers, same-origin writes only, bodies of bounded size."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_BODY_BYTES: Final = 16 * 1024
MAX_INFERENCE_BODY_BYTES: Final = 512 * 1024
_INFERENCE: Final = "/v1/"
TOO_LARGE: Final = "The request is too large."
NONCE: Final = "style_nonce"
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'nonce-{nonce}'; img-src 'self' data:; "
    "connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors {embedders}"
)
EMBED: Final = "/embed"
"""The one page that other sites may show in a frame, those that the owner names."""
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}


class Guard:
    """ASGI middleware; puts a fresh style nonce into `scope["state"]` for the page that needs it.

    `embedders` are the sites that may show `EMBED` in a frame.
    """

    def __init__(self, app: ASGIApp, embedders: Sequence[str] = ()) -> None:
        self.app = app
        self._embedders = " ".join(embedders)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse what must not come in, pass on the rest."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        api = scope["path"].startswith(("/api/", _INFERENCE))
        nonce = "" if api else secrets.token_urlsafe(16)
        scope.setdefault("state", {})[NONCE] = nonce

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                _add_headers(headers, api, nonce)
                if self._embedders and scope["path"] == EMBED:
                    # The policy says who may; the older header could only say nobody.
                    headers["Content-Security-Policy"] = _POLICY.format(nonce=nonce, embedders=self._embedders)
                    del headers["X-Frame-Options"]
            await send(message)

        answer = _refusal(scope) or self.app
        await answer(scope, _bounded(receive, _most_bytes(scope)), send_guarded)


def _add_headers(headers: MutableHeaders, api: bool, nonce: str) -> None:
    for name, value in _HEADERS.items():
        headers[name] = value
    headers["Content-Security-Policy"] = (
        "default-src 'none'; frame-ancestors 'none'" if api else _POLICY.format(nonce=nonce, embedders="'none'")
    )
    headers.setdefault("Cache-Control", "no-store")


def _refusal(scope: Scope) -> JSONResponse | None:
    """Why a request is not passed on, None when it is."""
    if scope["method"] in _SAFE:
        return None
    headers = Headers(scope=scope)
    # No page can make a browser send this header to another site that has not agreed to it: clients of the endpoint do.
    client = scope["path"].startswith(_INFERENCE) and "authorization" in headers
    if not client and not _same_origin(headers):
        return _answer(scope, 403, "Only the page of this game may do that.")
    length = headers.get("content-length", "0")
    if not length.isdecimal() or len(length) > 9 or int(length) > _most_bytes(scope):
        return _answer(scope, 413, TOO_LARGE)
    return None


def _most_bytes(scope: Scope) -> int:
    return MAX_INFERENCE_BODY_BYTES if scope["path"].startswith(_INFERENCE) else MAX_BODY_BYTES


def _answer(scope: Scope, status: int, message: str) -> JSONResponse:
    """A refusal in the form that clients of this address read."""
    if not scope["path"].startswith(_INFERENCE):
        return JSONResponse({"message": message}, status)
    return JSONResponse(
        {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": None}}, status
    )


def _same_origin(headers: Headers) -> bool:
    """Whether a write comes from our own page, by what browsers tell; programs that tell nothing have no cookie."""
    if headers.get("sec-fetch-site", "same-origin") not in {"same-origin", "none"}:
        return False
    origin = headers.get("origin")
    return origin is None or urlsplit(origin).netloc.lower() == headers.get("host", "").lower()


def _bounded(receive: Receive, most: int) -> Receive:
    read = 0

    async def receive_bounded() -> Message:
        nonlocal read
        message = await receive()
        read += len(message.get("body", b""))
        if read > most:
            raise HTTPException(413)
        return message

    return receive_bounded
