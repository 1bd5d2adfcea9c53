"""Signing in: a link that works once (its token behind the `#`, which no server sees), then a cookie.

`CuratorDependency` is what every route of signed-in people asks for; the game's player cookie is another one.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict, deque
from datetime import timedelta
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import JSONResponse
from fastapi.security import APIKeyCookie
from pydantic import BaseModel, ConfigDict, Field

from pasquin.config import CurateSettings
from pasquin.counts import counted
from pasquin.curate import Curator, SignInError
from pasquin.curate.curators import sign_in, sign_out, signed_in
from pasquin.store import Store

COOKIE: Final = "pasquin_curator"
_REMEMBERED_SECONDS: Final = 20.0
_TRIES_A_MINUTE: Final = 10
_TRIES_OF_ALL: Final = 100
_MINUTE: Final = 60.0


class SignInBody(BaseModel):
    """The token of a sign-in link."""

    model_config = ConfigDict(extra="forbid")

    token: Annotated[str, Field(min_length=1, max_length=200)]


class SignedIn(BaseModel):
    """Who is signed in now."""

    model_config = ConfigDict(frozen=True, from_attributes=True)

    id: str
    name: str
    owner: bool


class Problem(BaseModel):
    """What went wrong, for people."""

    message: str


class Sessions:
    """Who is behind a cookie, remembered for some seconds, and how often somebody tried links in vain."""

    def __init__(self, store: Store, settings: CurateSettings) -> None:
        """On the sessions of `store`."""
        self.store = store
        self.lifetime = timedelta(days=settings.session_days)
        self._known: dict[str, tuple[Curator, float]] = {}
        self._failures: dict[str, deque[float]] = defaultdict(deque)

    async def curator(self, token: str | None) -> Curator:
        """Whose session that is. Raises SignInError."""
        now = time.monotonic()
        known = self._known.get(token or "")
        if known is not None and known[1] > now:
            return known[0]
        curator = await asyncio.to_thread(signed_in, self.store, token or "")
        self._known = {key: entry for key, entry in self._known.items() if entry[1] > now}
        self._known[token or ""] = (curator, now + _REMEMBERED_SECONDS)
        return curator

    def wait(self, host: str) -> int:
        """Seconds until somebody at `host` may try another link, 0: now."""
        return max(self._wait(host, _TRIES_A_MINUTE), self._wait("", _TRIES_OF_ALL))

    def _wait(self, host: str, most: int) -> int:
        failures, now = self._failures[host], time.monotonic()
        while failures and failures[0] < now - _MINUTE:
            failures.popleft()
        return int(failures[0] + _MINUTE - now) + 1 if len(failures) >= most else 0

    def failed(self, host: str) -> None:
        """Note a link that was tried in vain."""
        if len(self._failures) > 10 * _TRIES_OF_ALL:
            self._failures.clear()
        for key in (host, ""):
            self._failures[key].append(time.monotonic())

    def forget(self, token: str) -> None:
        """Note that a session is over."""
        self._known.pop(token, None)


_SCHEME: Final = APIKeyCookie(name=COOKIE, scheme_name="curator", description="Who signed in.", auto_error=False)


async def _curator(request: Request, token: Annotated[str | None, Depends(_SCHEME)]) -> Curator:
    sessions: Sessions = request.app.state.sessions
    return await sessions.curator(token)


CuratorDependency = Annotated[Curator, Depends(_curator)]
"""The curator of the cookie; SignInError (401) when there is none."""

PROBLEMS: Final[dict[int | str, dict[str, Any]]] = {
    status: {"model": Problem} for status in (401, 403, 404, 413, 422, 503)
}

router = APIRouter(prefix="/api/curation", tags=["curation"])


@router.post("/sign-in", responses=PROBLEMS | {429: {"model": Problem}}, response_model=SignedIn)
async def sign_in_(request: Request, body: SignInBody) -> Response:
    """Use a sign-in link. It works once."""
    sessions: Sessions = request.app.state.sessions
    host = request.client.host if request.client else ""
    wait = sessions.wait(host)
    if wait:
        message = f"Too many links were tried. Wait {counted(wait, 'second')}, then open yours again."
        return JSONResponse({"message": message}, 429, {"Retry-After": str(wait)})
    try:
        curator, token = await asyncio.to_thread(sign_in, sessions.store, body.token, sessions.lifetime)
    except SignInError:
        sessions.failed(host)
        raise
    answer = JSONResponse(SignedIn.model_validate(curator).model_dump())
    answer.set_cookie(COOKIE, token, max_age=int(sessions.lifetime.total_seconds()), **_cookie(request))
    return answer


@router.post("/sign-out", status_code=204, responses=PROBLEMS)
async def sign_out_(request: Request, response: Response, _: CuratorDependency) -> None:
    """End the session of this browser."""
    sessions: Sessions = request.app.state.sessions
    token = request.cookies[COOKIE]
    sessions.forget(token)
    await asyncio.to_thread(sign_out, sessions.store, token)
    response.delete_cookie(COOKIE, **_cookie(request))


def _cookie(request: Request) -> dict[str, Any]:
    return {"httponly": True, "samesite": "strict", "secure": request.url.scheme == "https"}
