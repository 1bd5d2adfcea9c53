"""Starting a run of a bot over HTTP: `POST /api/bots/NAME/publish`, with the bot's token or by the owner on the page.

    curl -X POST https://…/api/bots/mybot/publish -H "Authorization: Bearer $TOKEN" -H "Idempotency-Key: 2026-11-25T09"

It does what `pasquin publish NAME --once` does, and the answer is its JSON. The status says whether asking again helps:
200 done, or nothing to do; 409 a person must mend something first; 502 the network refused; 503 (with `Retry-After`)
try again later. Asking twice is safe: each entry is published once, and with an `Idempotency-Key` the second answer is
the first one's. GET and HEAD do nothing.
"""

from __future__ import annotations

import asyncio
import time
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Header, Query, Request
from fastapi.responses import JSONResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from pasquin.errors import PasquinError, UsageError
from pasquin.publish import publish
from pasquin.publish.triggers import bot_of_token, once
from pasquin.server.bot_answers import BotPublished, BotStuck
from pasquin.server.bots import BotName, Bots, BotsDependency, NotNowError, NotOwnerError
from pasquin.server.limits import Limits
from pasquin.server.sign_in import COOKIE, PROBLEMS, Problem, Sessions

_SCHEME: Final = HTTPBearer(scheme_name="bot", description="A bot's token: `pasquin bot token`.", auto_error=False)
_LONGEST_TOKEN: Final = 300
_LATER_SECONDS: Final = 60
_STATUS: Final = {"not_compliant": 409, "account_refused": 502, "not_sent": 503, "unsettled": 503, "clock": 503}
_RATE: Final = 0.5
"""Starts a second, of one bot: five at once, then one every two seconds."""
_ADDRESS_RATE: Final = 2.0
_REFUSED: Final[dict[int | str, dict[str, Any]]] = dict.fromkeys((401, 403, 404, 422, 429), PROBLEMS[422])
_STUCK: Final[dict[int | str, dict[str, Any]]] = {status: {"model": BotStuck | Problem} for status in (409, 502, 503)}


class TokenError(PasquinError):
    """No token, or none that starts anything."""


class Triggers:
    """How often runs may be started over HTTP."""

    def __init__(self) -> None:
        self._limits = Limits(_RATE, _ADDRESS_RATE, time.monotonic)

    def take(self, bot: str | None, address: str | None) -> None:
        """Count a start from an address, or (with its name) of a bot. Raises TooFastError."""
        self._limits.take(f"bot {bot}" if bot else None, address)


router = APIRouter(prefix="/api/bots", tags=["bots"])


@router.post(
    "/{name}/publish",
    responses=_REFUSED | _STUCK,
    response_model=BotPublished,
    openapi_extra={"security": [{"curator": []}]},  # or the owner, signed in
)
async def trigger(
    request: Request,
    name: BotName,
    bots: BotsDependency,
    bearer: Annotated[HTTPAuthorizationCredentials | None, Depends(_SCHEME)],
    idempotency_key: Annotated[str | None, Header(pattern="^[ -~]{1,64}$")] = None,
    limit: Annotated[int | None, Query(ge=1, le=20)] = None,
) -> JSONResponse:
    """Publish what is due of a bot, and say what happened."""
    triggers: Triggers = request.app.state.triggers
    triggers.take(None, request.client.host if request.client else None)
    await _let_in(request, name, bots, bearer.credentials if bearer else None)
    triggers.take(name, request.client.host if request.client else None)
    result = await asyncio.to_thread(_run, bots, name, idempotency_key, limit)
    if result is None:
        message = "A run with this Idempotency-Key is under way. Ask again in a minute."
        return JSONResponse({"message": message}, 409, {"Retry-After": str(_LATER_SECONDS)})
    status = _status(result)
    if status != 200:
        result = {**result, "message": _sentence(result)}
    headers = {"Retry-After": str(_LATER_SECONDS)} if status == 503 else None
    return JSONResponse(result, status, headers)


def _run(bots: Bots, name: str, key: str | None, limit: int | None) -> dict[str, Any] | None:
    def work() -> dict[str, Any]:
        try:
            return publish(bots.workspace, name, limit=limit)
        except UsageError as exc:
            raise NotNowError(str(exc)) from exc

    return work() if key is None else once(bots.store, name, key, work)


def _status(result: dict[str, Any]) -> int:
    if result["ok"]:
        return 200
    if result["state"] in _STATUS:
        return _STATUS[result["state"]]
    return 200 if result["published"] else 502


def _sentence(result: dict[str, Any]) -> str:
    """What a run that did not do all it should have came to, for whoever asked for it."""
    texts = (
        (len(result["published"]), "published"),
        (len(result["failed"]), "failed"),
        (len(result["unknown"]), "in doubt"),
    )
    told = ", ".join(f"{count} {became}" for count, became in texts if count) or "Nothing was published"
    reasons = [each["reason"] for each in (*result["failed"], *result["unknown"]) if each.get("reason")]
    why = result["why"] or next(iter(reasons), None)
    return f"{told}: {why}" if why else f"{told}."


async def _let_in(request: Request, name: str, bots: Bots, token: str | None) -> None:
    """Let the bot's token pass, or the owner. Raises TokenError, NotOwnerError, SignInError."""
    if "authorization" not in request.headers and COOKIE in request.cookies:
        sessions: Sessions = request.app.state.sessions
        curator = await sessions.curator(request.cookies[COOKIE])
        if not curator.owner:
            raise NotOwnerError("Only the owner of this workspace may start a run.")
        await asyncio.to_thread(bots.there, name)
        return
    if token is None or len(token) > _LONGEST_TOKEN:
        raise TokenError(
            f"A run needs the bot's token: `pasquin bot token {name}` makes one. Send it as a Bearer token."
        )
    found = await asyncio.to_thread(bot_of_token, bots.store, token.strip(), list(bots.configured()))
    if found is None:
        raise TokenError(f"This token starts nothing (any more). `pasquin bot token {name}` makes another.")
    if found != name:
        raise NotOwnerError("This token is another bot's.")
