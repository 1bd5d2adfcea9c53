"""One request from its checks to its last token: who may, whether there is room, the sequences, and giving up."""

from __future__ import annotations

import asyncio
import functools
import hashlib
import math
import secrets
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass, field
from typing import Any

from pasquin.config import ServeSettings
from pasquin.counts import counted
from pasquin.errors import ModelError
from pasquin.metrics import Metrics
from pasquin.server.inference.access import Access, Caller
from pasquin.server.inference.ahead import SEED_BITS
from pasquin.server.inference.bodies import SharedBody
from pasquin.server.inference.errors import ApiError, unavailable
from pasquin.server.inference.process import ModelProcess
from pasquin.server.inference.shelf import Offer, Shelf


@dataclass(slots=True)
class Service:
    """Everything a request needs."""

    settings: ServeSettings
    shelf: Shelf
    access: Access
    metrics: Metrics


@dataclass(slots=True)
class Written:
    """One text of an answer. `tokens` are [text, log-probability, offset], where they were asked for."""

    text: str = ""
    tokens: list[list[Any]] = field(default_factory=list)
    count: int = 0
    finish: str | None = None


Prompts = Sequence[dict[str, Any]]
"""What each text is written from: `{"prompt", "account", "about"}` or `{"messages"}`."""


class Run:
    """The sequences of one request: `n` for each prompt, in the order of OpenAI's `choices`."""

    def __init__(self, service: Service, caller: Caller, body: SharedBody, prompts: Prompts, log_probs: bool) -> None:
        """Nothing happens before `open`."""
        self.engine = ""
        self.prompt_tokens = 0
        self.written: list[Written] = []
        self._service, self._caller, self._body = service, caller, body
        self._prompts, self._log_probs = prompts, log_probs
        self._offer: Offer = service.shelf.offer(body.model)
        self._news: asyncio.Queue[tuple[int, dict[str, Any]]] = asyncio.Queue()
        self._stack = AsyncExitStack()
        self._began = time.monotonic()
        self._model: ModelProcess | None = None
        self._base = body.seed if body.seed is not None else secrets.randbits(SEED_BITS)
        self._once_more = True

    async def open(self) -> None:
        """Start the sequences; returns when the model has read and accepted every prompt. Raises ApiError."""
        wanted = len(self._prompts) * (self._body.n or 1)
        self._stack.enter_context(self._service.access.sequences(self._caller, wanted))
        self._stack.callback(self._take_places(wanted))
        await self._begin()

    async def pieces(self) -> AsyncIterator[tuple[int, str, list[list[Any]], str | None]]:
        """(index, text, tokens, finish) as they come; `written` grows with them. Raises ApiError."""
        open_ = len(self.written)
        while open_:
            try:
                index, told = await self._next()
            except ModelError as exc:
                if self._body.stream and any(written.count or written.finish for written in self.written):
                    raise unavailable(str(exc)) from exc  # a part of it was sent
                await self._begin_again(exc)
                open_ = len(self.written)
                continue
            written = self.written[index]
            written.text += told["text"]
            written.tokens += told["tokens"]
            written.count, written.finish = told["count"], told["finish"]
            open_ -= written.finish is not None
            yield index, told["text"], told["tokens"], written.finish

    async def whole(self) -> None:
        """Wait until all texts are written."""
        async with aclosing(self.pieces()) as pieces:  # type: ignore[type-var]
            async for _ in pieces:
                pass

    async def close(self) -> None:
        """Free everything the request holds, whatever state it is in."""
        metrics, name = self._service.metrics, self._offer.name
        metrics.add("prompt_tokens", self.prompt_tokens, model=name)
        metrics.add("completion_tokens", sum(written.count for written in self.written), model=name)
        unfinished = sum(written.finish is None for written in self.written)
        if unfinished:
            metrics.add("cancelled", unfinished, model=name)
        elif self.written:
            metrics.observe(name, time.monotonic() - self._began)
        await self._stack.aclose()
        if self._repeatable and self.written and not unfinished and not self._offer.sequences:
            assert self._model is not None  # where something was written
            for prompt in self._prompts:
                self._offer.ahead.answered(self._model, self._order(prompt), self._caller.name)

    @property
    def usage(self) -> dict[str, int]:
        """Tokens, as OpenAI counts them."""
        completion = sum(written.count for written in self.written)
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": completion,
            "total_tokens": self.prompt_tokens + completion,
        }

    async def _begin(self) -> None:
        """Start the sequences where the model runs, and wait until it has accepted them. Raises ApiError."""
        try:
            async with asyncio.timeout(self._left()):
                model = await self._stack.enter_async_context(self._service.shelf.model(self._offer.name))
                self._start(model)
                await self._accepted()
        except TimeoutError:
            raise self._too_late() from None
        except ModelError as exc:
            await self._begin_again(exc)

    async def _begin_again(self, failed: ModelError) -> None:
        """Start from nothing, in the model's next process: once, as it may be this request that it dies of."""
        if not self._once_more:
            raise unavailable(str(failed)) from failed
        self._once_more = False
        self.prompt_tokens = 0
        self.written, self._news = [], asyncio.Queue()
        await self._begin()

    def _take_places(self, wanted: int) -> Callable[[], None]:
        """Count the sequences against the model's places and queue; returns what gives them back."""
        settings, offer = self._service.settings, self._offer
        most = settings.batch + settings.queue
        if wanted > most:
            raise ApiError(400, f"This server takes {counted(most, 'text')} at a time, not {wanted}.", "n")
        if offer.sequences + wanted > most:
            rounds = (offer.sequences + wanted - settings.batch) / settings.batch
            wait = min(60, max(1, math.ceil(rounds * self._service.metrics.mean_seconds)))
            busy = counted(offer.sequences, "text is", "texts are")
            message = f"{busy} being written or waiting already. Try again in {wait} s."
            raise ApiError(429, message, code="overloaded", retry_after=wait)
        offer.sequences += wanted

        def give_back() -> None:
            offer.sequences -= wanted

        return give_back

    def _start(self, model: ModelProcess) -> None:
        about = model.ready.result()
        if "messages" in self._prompts[0] and not about["chat"]:
            message = f"`{self._offer.name}` has no chat template. Use /v1/completions."
            raise ApiError(400, message, "model", "unsupported_model")
        self.engine, self._model = about["engine"], model
        repeatable = self._repeatable
        # What a seed settles is to depend on no neighbours that can be done without.
        spare = self._service.settings.batch - self._offer.sequences if repeatable else 0
        self._offer.ahead.give_way(model, spare)
        for place, prompt in enumerate(self._prompts):
            order = self._order(prompt)
            for choice in range(self._body.n or 1):
                index = len(self.written)
                tell = functools.partial(self._hear, index)
                begun = self._offer.ahead.take(model, order, self._caller.name) if repeatable else None
                if begun is not None:
                    begun.hand_to(tell)
                    number = begun.number
                    self._service.metrics.add("ahead", model=self._offer.name)
                else:
                    number = model.add({**order, "seed": _seed(self._base, place, choice)}, tell)
                self._stack.callback(model.cancel, number)
                self.written.append(Written())

    @property
    def _repeatable(self) -> bool:
        """Whether the same request is answered by another text the next time."""
        return self._body.seed is None and self._sampling()["temperature"] > 0

    def _order(self, prompt: dict[str, Any]) -> dict[str, Any]:
        """What the model is asked for, but for the seed."""
        return {
            **prompt,
            "sampling": self._sampling(),
            "follow": bool(self._body.stream),
            "log_probs": self._log_probs,
        }

    def _hear(self, index: int, told: dict[str, Any]) -> None:
        self._news.put_nowait((index, told))

    def _sampling(self) -> dict[str, Any]:
        body, defaults = self._body, self._offer.defaults
        most = body.max_tokens or getattr(body, "max_completion_tokens", None)
        return {
            "temperature": defaults.temperature if body.temperature is None else body.temperature,
            "top_p": defaults.top_p if body.top_p is None else body.top_p,
            "top_k": defaults.top_k if body.top_k is None else body.top_k,
            "min_p": defaults.min_p if body.min_p is None else body.min_p,
            "max_tokens": most or defaults.max_tokens,
            "stop": body.stops,
        }

    async def _accepted(self) -> None:
        """Wait for the word on every prompt: its length, or why it is refused."""
        early: list[tuple[int, dict[str, Any]]] = []
        unheard = set(range(len(self.written)))
        each = self._body.n or 1
        while unheard:
            index, told = await self._next()
            if "refused" in told:
                raise ApiError(400, told["refused"], told["param"], told["code"])
            if "prompt_tokens" in told:
                unheard.discard(index)
                self.prompt_tokens += told["prompt_tokens"] if index % each == 0 else 0
            else:
                early.append((index, told))
        for news in early:
            self._news.put_nowait(news)

    async def _next(self) -> tuple[int, dict[str, Any]]:
        try:
            async with asyncio.timeout(self._left()):
                index, told = await self._news.get()
        except TimeoutError:
            raise self._too_late() from None
        if "failed" in told:
            raise ModelError(told["failed"])
        return index, told

    def _left(self) -> float:
        return max(0.0, self._began + self._service.settings.deadline_seconds - time.monotonic())

    def _too_late(self) -> ApiError:
        seconds = self._service.settings.deadline_seconds
        message = f"The answer was not ready within {seconds:g} s: too much is going on. Try again later."
        return ApiError(503, message, code="deadline_exceeded", retry_after=5)


def _seed(base: int, prompt: int, choice: int) -> int:
    """32 bits for one text: its own for each prompt and choice, the same whenever the request is the same."""
    return int.from_bytes(hashlib.sha256(f"{base}:{prompt}:{choice}".encode()).digest()[:4], "big")
