"""The two routes that every player asks every few seconds, without what FastAPI does around a route.

Answers are filled up with blanks, which mean nothing in JSON, to whole pieces: nearly all have the same size, so it
does not say which card one is. Compressing them on the way would undo that.

Solving dependencies, validating and serialising answers costs it three times what the game itself takes. `QuickRoute`
leaves that out for endpoints that are registered with `quick`; their signatures still say what the schema documents.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect

PIECE = 1024
_Body = TypeVar("_Body", bound=BaseModel)
Handler = Callable[[Request], Awaitable[BaseModel]]
_HANDLERS: dict[Any, Handler] = {}


def quick(endpoint: Callable[..., Any]) -> Callable[[Handler], Handler]:
    """Decorates what answers requests in the place of `endpoint`, which it should call with what it made of them."""

    def register(handler: Handler) -> Handler:
        _HANDLERS[endpoint] = handler
        return handler

    return register


class QuickRoute(APIRoute):
    """A route of which the quick handler answers, where its endpoint has one."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler, and its answer as JSON."""
        handler = _HANDLERS.get(self.endpoint)
        if handler is None:
            return super().get_route_handler()

        async def answer(request: Request) -> Response:
            try:
                made = await handler(request)
            except ClientDisconnect:
                return Response(status_code=400)
            content = made.model_dump_json().encode()
            return Response(content + b" " * (-len(content) % PIECE), media_type="application/json")

        return answer


async def read_body(request: Request, model: type[_Body]) -> _Body:
    """The body of a request. Raises RequestValidationError when it is not JSON or not as it should be."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise invalid("body", "")
    try:
        return model.model_validate_json(await request.body())
    except ValidationError as exc:
        raise invalid("body", *(part for part in exc.errors()[0]["loc"] if isinstance(part, str))) from exc


def invalid(*where: str) -> RequestValidationError:
    """What is raised when the value at `where` (`query` or `body`, then its name) is not as it should be."""
    return RequestValidationError([{"loc": where, "msg": "not as it should be", "type": "value_error"}])
