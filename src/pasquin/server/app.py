"""The application: routes, the built pages, and what protects them (headers, same-origin writes, small bodies)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

import pasquin
from pasquin.config import CurateSettings, PlaySettings, load
from pasquin.curate import SignInError
from pasquin.errors import PasquinError, StoreError
from pasquin.play import CategoryError, Game, NickError, PlayerError, TrialError
from pasquin.server import bot_trigger, bots, curation, game, operator, pages, sign_in, stats
from pasquin.server.filling import Filling
from pasquin.server.guard import TOO_LARGE, Guard
from pasquin.server.limits import Limits, TooFastError
from pasquin.server.watching import Watch, Watched
from pasquin.store import Store
from pasquin.workspace import Workspace

_REFRESH_SECONDS = 5.0
_SHARE_OF_TIME = 20.0
_STATUS: dict[type[PasquinError], int] = {
    PlayerError: 401,
    SignInError: 401,
    TrialError: 404,
    CategoryError: 404,
    NickError: 409,
    TooFastError: 429,
    bot_trigger.TokenError: 401,
    bots.NotOwnerError: 403,
    bots.NoBotError: 404,
    bots.NotNowError: 409,
    bots.OutOfReachError: 502,
    StoreError: 503,
}

_WORDS = {404: "There is nothing here.", 413: TOO_LARGE}


def create_app(
    workspace: Workspace,
    corpora: Sequence[str] = (),
    *,
    settings: PlaySettings | None = None,
    curated: Sequence[str] = (),
    curate_settings: CurateSettings | None = None,
) -> FastAPI:
    """The application that plays with `corpora` (none named: all complete ones) of a workspace, and in which signed-in
    curators decide on the candidates of the models `curated` (none named: all).

    The game's cards are loaded here, the candidates to decide when the first curator comes; new ones are noticed while
    it runs. Raises CorpusError, StoreError.
    """
    curate_settings = curate_settings or load(CurateSettings, workspace.toml)
    store = Store.of(workspace)
    running = Game(workspace, store, corpora, settings)
    filling = Filling(running, running.settings)
    curating = curation.Curation(workspace, store, curated, curate_settings)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        running.tell_through(asyncio.get_running_loop().call_soon_threadsafe)
        refreshing = asyncio.create_task(_refresh(running, curating))
        filling.start()
        yield
        await asyncio.to_thread(filling.stop)
        refreshing.cancel()
        with suppress(asyncio.CancelledError):
            await refreshing
        await asyncio.to_thread(running.close)
        await curating.close()
        store.close()

    app = _routes(lifespan)
    app.state.game, app.state.store = running, store
    app.state.figures = stats.Figures(running, store)
    app.state.curation, app.state.sessions = curating, sign_in.Sessions(store, curate_settings)
    app.state.bots, app.state.triggers = bots.Bots(workspace, store), bot_trigger.Triggers()
    app.state.limits = Limits(running.settings.player_rate, running.settings.address_rate)
    watch = Watch()
    app.state.operation = operator.Operation(workspace, store, running, filling, watch)
    app.add_middleware(Guard, embedders=running.settings.embed)
    app.add_middleware(Watched, watch=watch)
    return app


def openapi() -> dict[str, Any]:
    """The OpenAPI schema of `/api`, from which the pages' client is generated."""
    return _routes(None).openapi()


def _routes(lifespan: Any) -> FastAPI:
    app = FastAPI(
        title="Pasquin",
        version=pasquin.__version__,
        lifespan=lifespan,
        openapi_url="/api/openapi.json",
        docs_url=None,
        redoc_url=None,
    )
    app.include_router(game.router)
    app.include_router(sign_in.router)
    app.include_router(curation.router)
    app.include_router(bots.router)
    app.include_router(bot_trigger.router)
    app.include_router(operator.router)
    app.include_router(pages.router)
    app.include_router(stats.router)
    app.add_exception_handler(PasquinError, _pasquin_error)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(Exception, _bug)
    return app


async def _refresh(running: Game, curating: curation.Curation) -> None:
    """Notice new candidates and corpora; one that cannot be read now leaves the game as it is.

    Loading many cards takes a while that requests feel, so it may take a twentieth of the time at most, however often
    something new is there.
    """
    pause = _REFRESH_SECONDS
    while True:
        await asyncio.sleep(pause)
        began = time.monotonic()
        with suppress(PasquinError):
            await asyncio.to_thread(running.refresh)
        pause = max(_REFRESH_SECONDS, _SHARE_OF_TIME * (time.monotonic() - began))
        await curating.refresh()


def _message(status: int, message: str) -> JSONResponse:
    return JSONResponse({"message": message}, status)


async def _pasquin_error(_: Request, exc: Exception) -> JSONResponse:
    answer = _message(_STATUS.get(type(exc), 500), str(exc))  # type: ignore[arg-type]
    if isinstance(exc, bot_trigger.TokenError):
        answer.headers["WWW-Authenticate"] = "Bearer"
    if isinstance(exc, TooFastError):
        answer.headers["Retry-After"] = str(exc.retry_after)
    return answer


async def _http_error(request: Request, exc: Exception) -> Response:
    status = exc.status_code if isinstance(exc, HTTPException) else 500
    if status == 400:  # a body that is not even text
        return await _invalid(request, exc)
    if status == 404 and request.method == "GET" and "text/html" in request.headers.get("accept", ""):
        return pages.nowhere()
    return _message(status, _WORDS.get(status, "This address cannot be used like that."))


async def _invalid(_: Request, exc: Exception) -> JSONResponse:
    first = exc.errors()[0] if isinstance(exc, RequestValidationError) else {}
    where = ".".join(str(part) for part in first.get("loc", ())[1:] if isinstance(part, str))[:80]
    return _message(422, f"The request makes no sense: {where or 'its body'} is missing or not as it should be.")


async def _bug(_: Request, exc: Exception) -> JSONResponse:
    return _message(500, "Something went wrong here, and it is not your fault. Try again in a moment.")
