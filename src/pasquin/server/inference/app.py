"""The application of `pasquin serve`: the endpoint's routes behind the same guard as the pages."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

import sqlalchemy as sa
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

import pasquin
from pasquin.config import ServeSettings
from pasquin.errors import PasquinError, StoreError
from pasquin.server.guard import TOO_LARGE, Guard
from pasquin.server.inference.access import Access
from pasquin.server.inference.errors import ApiError
from pasquin.server.inference.keys import valid_keys
from pasquin.server.inference.metrics import endpoint_metrics
from pasquin.server.inference.routes import metrics_router, router
from pasquin.server.inference.run import Service
from pasquin.server.inference.shelf import Shelf
from pasquin.server.watching import Watch, Watched
from pasquin.store import Store
from pasquin.workspace import Workspace

_REFRESH_SECONDS = 2.0


def create_inference_app(workspace: Workspace, models: Sequence[str], settings: ServeSettings) -> FastAPI:
    """The application that serves `models` of a workspace. The first one is loaded at once, others when asked for.

    Raises ModelError when a model is missing or cannot be run here, StoreError.
    """
    store = Store.of(workspace)
    service = Service(settings, Shelf(workspace, models, settings), Access(settings), endpoint_metrics())
    service.access.keys = valid_keys(store)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(_refresh(service, store)), asyncio.create_task(_warm(service, models[0]))]
        yield
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await service.shelf.close()
        store.close()

    app = FastAPI(
        title="Pasquin",
        version=pasquin.__version__,
        lifespan=lifespan,
        openapi_url="/v1/openapi.json",
        docs_url=None,
        redoc_url=None,
    )
    app.state.inference, app.state.store = service, store
    app.include_router(router)
    app.include_router(metrics_router)
    app.add_api_route("/healthz", _healthz, include_in_schema=False)
    app.add_exception_handler(ApiError, _api_error)
    app.add_exception_handler(PasquinError, _pasquin_error)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(Exception, _bug)
    app.add_middleware(Guard)
    app.add_middleware(Watched, watch=Watch())
    return app


async def _refresh(service: Service, store: Store) -> None:
    """Notice keys that were made or revoked; while the database cannot be read, those known before hold."""
    while True:
        await asyncio.sleep(_REFRESH_SECONDS)
        with suppress(StoreError):
            service.access.keys = await asyncio.to_thread(valid_keys, store)


async def _warm(service: Service, model: str) -> None:
    with suppress(ApiError):  # the first request will say it
        async with service.shelf.model(model):
            pass


async def _healthz(request: Request) -> Response:
    """200 while the server answers and its database does, 503 when the database does not."""

    def ask() -> None:
        with request.app.state.store.read() as connection:
            connection.execute(sa.text("SELECT 1"))

    await asyncio.to_thread(ask)
    return Response('{"status":"ok"}', media_type="application/json")


def _counted(request: Request, exc: ApiError) -> Response:
    service: Service = request.app.state.inference
    service.metrics.add("requests", status=str(exc.status))
    return exc.response


async def _api_error(request: Request, exc: Exception) -> Response:
    assert isinstance(exc, ApiError)
    return _counted(request, exc)


async def _pasquin_error(request: Request, exc: Exception) -> Response:
    return _counted(request, ApiError(503 if isinstance(exc, StoreError) else 500, str(exc)))


async def _http_error(request: Request, exc: Exception) -> Response:
    status = exc.status_code if isinstance(exc, HTTPException) else 500
    words = {404: "There is nothing at this address.", 405: "This address does not take that.", 413: TOO_LARGE}
    return _counted(request, ApiError(status, words.get(status, "The request cannot be read.")))


async def _invalid(request: Request, exc: Exception) -> Response:
    first: dict[str, Any] = exc.errors()[0] if isinstance(exc, RequestValidationError) else {}
    names = [part for part in first.get("loc", ())[1:] if isinstance(part, str)]
    if first.get("type") == "json_invalid" or not names:
        message = "The body is not a JSON object. Send one, as `Content-Type: application/json`."
        return _counted(request, ApiError(400, message))
    field = names[0][:80]
    if first.get("type") == "extra_forbidden":
        message = f"Unrecognized request argument supplied: {field}"
        return _counted(request, ApiError(400, message, field, "unknown_parameter"))
    reason = first.get("msg", "it is not as it should be").removeprefix("Value error, ")  # pydantic's own
    message = f"`{field}` makes no sense: {reason}."
    return _counted(request, ApiError(400, message, field, "invalid_value"))


async def _bug(_: Request, exc: Exception) -> Response:
    return ApiError(500, "Something went wrong here, and it is not your fault. Try again in a moment.").response
