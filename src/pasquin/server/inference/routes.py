"""The addresses under `/v1`, and `/metrics`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Depends, Request, Response
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.types import Receive, Scope, Send

from pasquin.metrics import Gauge
from pasquin.server.inference.access import Caller
from pasquin.server.inference.answers import Shape, event
from pasquin.server.inference.bodies import ChatBody, CompletionBody, SharedBody
from pasquin.server.inference.errors import DOCUMENTED, ApiError
from pasquin.server.inference.run import Prompts, Run, Service
from pasquin.server.inference.shelf import Offer

_STREAM: dict[int | str, dict[str, Any]] = {200: {"content": {"text/event-stream": {}}}}

router = APIRouter(prefix="/v1", tags=["inference"], responses=DOCUMENTED)
metrics_router = APIRouter(include_in_schema=False)


async def _service(request: Request) -> Service:
    service: Service = request.app.state.inference
    return service


ServiceDependency = Annotated[Service, Depends(_service)]


_OPEN: dict[str, Any] = {"security": [{}]}
"""A server that only this machine reaches asks for no key."""
_SCHEME = HTTPBearer(scheme_name="key", description="An API key, where the server asks for one.", auto_error=False)


async def _caller(
    request: Request, service: ServiceDependency, _: Annotated[HTTPAuthorizationCredentials | None, Depends(_SCHEME)]
) -> Caller:
    return service.access.caller(request.headers.get("authorization"), request.headers.get("host", ""))


CallerDependency = Annotated[Caller, Depends(_caller)]


@router.get("/models", openapi_extra=_OPEN)
async def models(service: ServiceDependency, caller: CallerDependency) -> dict[str, Any]:
    """The models that can be asked for, loaded or not."""
    return {"object": "list", "data": [_model(offer) for offer in service.shelf.offers.values()]}


@router.get("/models/{name}", openapi_extra=_OPEN)
async def model(name: str, service: ServiceDependency, caller: CallerDependency) -> dict[str, Any]:
    """One of them."""
    return _model(service.shelf.offer(name))


@router.post("/completions", responses=_STREAM, openapi_extra=_OPEN)
async def completions(
    request: Request, body: CompletionBody, service: ServiceDependency, caller: CallerDependency
) -> Response:
    """Complete posts."""
    if body.best_of not in {None, body.n or 1}:
        raise ApiError(400, "`best_of` is not supported. Leave it out, or ask for more with `n`.", "best_of")
    prompts = [{"prompt": prompt, "account": body.account, "about": body.about} for prompt in body.prompts]
    echo = [prompt for prompt in body.prompts for _ in range(body.n or 1)] if body.echo else []
    shape = Shape(body.model, False, body.logprobs is not None, _counted(body), echo)
    return await _answer(request, service, caller, body, prompts, shape)


@router.post("/chat/completions", responses=_STREAM, openapi_extra=_OPEN)
async def chat_completions(
    request: Request, body: ChatBody, service: ServiceDependency, caller: CallerDependency
) -> Response:
    """Answer the last message of a conversation."""
    prompts = [{"messages": [message.plain for message in body.messages]}]
    shape = Shape(body.model, True, bool(body.logprobs), _counted(body))
    return await _answer(request, service, caller, body, prompts, shape)


@metrics_router.get("/metrics")
async def metrics(service: ServiceDependency, caller: CallerDependency) -> Response:
    """What Prometheus collects."""
    offers = service.shelf.offers.values()
    memory = {offer.name: offer.process.memory_bytes if offer.process else 0 for offer in offers}
    gauges: list[Gauge] = [
        ("pasquin_sequences", "Sequences that wait or run.", [(_label(offer), offer.sequences) for offer in offers]),
        (
            "pasquin_model_loaded",
            "1 when the model is loaded.",
            [(_label(o), float(memory[o.name] > 0)) for o in offers],
        ),
        ("pasquin_model_memory_bytes", "Memory of the model.", [(_label(o), memory[o.name]) for o in offers]),
    ]
    return Response(service.metrics.text(gauges), media_type="text/plain; version=0.0.4; charset=utf-8")


def _label(offer: Offer) -> tuple[tuple[str, str], ...]:
    return (("model", offer.name),)


def _model(offer: Offer) -> dict[str, Any]:
    return {"id": offer.name, "object": "model", "created": offer.created, "owned_by": "pasquin"}


def _counted(body: SharedBody) -> bool:
    if body.stream_options is not None and not body.stream:
        raise ApiError(400, "`stream_options` makes sense with `stream` only.", "stream_options")
    return body.stream_options is not None and body.stream_options.include_usage


async def _answer(
    request: Request, service: Service, caller: Caller, body: SharedBody, prompts: Prompts, shape: Shape
) -> Response:
    """Run the request: whole, or as events once every prompt was accepted. A client that leaves frees its places."""
    service.access.count(caller)
    run = Run(service, caller, body, prompts, shape.log_probs)
    try:
        if not await _unless_gone(request.receive, run.open()):
            return await _left(run)
        if body.stream:
            return _Events(run, shape, service)
        if not await _unless_gone(request.receive, run.whole()):
            return await _left(run)
    except BaseException:
        await run.close()
        raise
    await run.close()
    service.metrics.add("requests", status="200")
    return Response(orjson.dumps(shape.whole(run)), media_type="application/json")


async def _left(run: Run) -> Response:
    await run.close()
    return Response(status_code=499)  # nobody is there to read it


async def _unless_gone(receive: Receive, work: Any) -> bool:
    """Do `work` unless the client leaves meanwhile; whether it was done."""
    doing, watching = asyncio.ensure_future(work), asyncio.ensure_future(_gone(receive))
    try:
        await asyncio.wait({doing, watching}, return_when=asyncio.FIRST_COMPLETED)
        if not doing.done():
            return False
        await doing
        return True
    finally:
        for task in (doing, watching):
            task.cancel()
        await asyncio.gather(doing, watching, return_exceptions=True)


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


class _Events(Response):
    """The answer as server-sent events."""

    media_type = "text/event-stream"

    def __init__(self, run: Run, shape: Shape, service: Service) -> None:
        super().__init__(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._run, self._shape = run, shape
        service.metrics.add("requests", status="200")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            await _unless_gone(receive, self._send(send))
        finally:
            await self._run.close()

    async def _send(self, send: Send) -> None:
        async with aclosing(self._blocks()) as blocks:  # type: ignore[type-var]
            async for block in blocks:
                await send({"type": "http.response.body", "body": block, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    async def _blocks(self) -> AsyncIterator[bytes]:
        run, shape = self._run, self._shape
        for block in shape.opening(run):
            yield block
        try:
            async for index, text, tokens, finish in run.pieces():
                yield shape.piece(run, index, text, tokens, finish)
        except ApiError as exc:
            yield event(exc.body)
            return
        for block in shape.closing(run):
            yield block
