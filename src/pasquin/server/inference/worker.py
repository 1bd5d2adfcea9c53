"""The process in which a loaded model runs: `python -m pasquin.server.inference.worker MODEL_DIR ENGINE BATCH`.

Orders come as JSON lines on standard input, news goes out as JSON lines on standard output, one line a step:

    {"add": ID, "prompt": ..., "account": ..., "about": ..., "messages": ..., "seed": n, "sampling": {...},
     "follow": b, "log_probs": b}
    {"cancel": ID}
    -> {"ready": {"engine": ..., "context": n, "chat": b}}  or  {"failed": "a sentence"}
    -> {"news": [{"id": ID, "text": ..., "tokens": [[text, log_prob, offset]], "count": n, "finish": ...}]}
    -> {"news": [{"id": ID, "prompt_tokens": n}]}  or  {"news": [{"id": ID, "refused": "a sentence", "param": ...}]}

It ends when its input does. Sequences run together as far as the engine can, first come, first served. One thread:
orders are read between two steps of the model.
"""

from __future__ import annotations

import os
import select
import signal
import sys
from collections import deque
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import orjson

from pasquin.engines import Session, choose_engine
from pasquin.engines.decoding import Unfolding
from pasquin.errors import PasquinError, UsageError
from pasquin.post_format import PostFormat, load_tokenizer
from pasquin.records import Prompt, Sampling
from pasquin.server.inference.chat import chat_ids, chat_template

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_READ: Final = 1 << 16


class _RefusedError(UsageError):
    """A request that makes no sense; `param` is the field that is to blame, `code` OpenAI's word for it."""

    def __init__(self, message: str, param: str, code: str | None = None) -> None:
        super().__init__(message)
        self.param, self.code = param, code


@dataclass(slots=True)
class _Job:
    """A sequence that waits or runs."""

    id: int
    prompt: Prompt
    sampling: Sampling
    follow: bool
    log_probs: bool
    text: Unfolding


class Worker:
    """The model's batch, and what is in front of it."""

    def __init__(self, session: Session, model_dir: Path, context: int) -> None:
        """`context` is how many tokens the engine holds, prompt and text together."""
        self._session, self._context = session, context
        self._format = PostFormat.load(model_dir)
        self._tokenizer: Tokenizer = load_tokenizer(model_dir)
        self.template = chat_template(model_dir)
        self._waiting: deque[_Job] = deque()
        self._running: dict[int, _Job] = {}

    @property
    def busy(self) -> bool:
        """Whether there is anything to do."""
        return bool(self._waiting or self._running)

    def obey(self, order: dict[str, Any]) -> dict[str, Any] | None:
        """Carry out one order; what is to be said of it at once."""
        if "cancel" in order:
            self._cancel(order["cancel"])
            return None
        try:
            job = self._job(order)
        except _RefusedError as exc:
            return {"id": order["add"], "refused": str(exc), "param": exc.param, "code": exc.code}
        self._waiting.append(job)
        return {"id": job.id, "prompt_tokens": len(job.prompt.token_ids)}

    def step(self) -> list[dict[str, Any]]:
        """Let in whom there is room for, then draw one token for each; the news of that."""
        while self._waiting and self._session.fits(self._waiting[0].prompt, self._waiting[0].sampling):
            job = self._waiting.popleft()
            number = self._session.add(job.prompt, job.sampling, follow=job.follow, log_probs=job.log_probs)
            self._running[number] = job
        return [news for drawn in self._session.step() if (news := self._tell(drawn.number, drawn)) is not None]

    def _tell(self, number: int, drawn: Any) -> dict[str, Any] | None:
        job = self._running[number]
        job.text.feed(drawn.token_ids, drawn.log_probs)
        if drawn.ended or job.text.finish is not None:
            del self._running[number]
            if not drawn.ended:
                self._session.cancel(number)
        piece, tokens = job.text.take()
        if not piece and not tokens and job.text.finish is None:
            return None
        scored = [[token.text, token.log_prob, token.offset] for token in tokens]
        return {
            "id": job.id,
            "text": piece,
            "tokens": scored,
            "count": job.text.tokens,
            "finish": job.text.finish,
        }

    def _job(self, order: dict[str, Any]) -> _Job:
        values = order["sampling"]
        sampling = Sampling(**{**values, "stop": tuple(values["stop"])})
        if order.get("messages") is not None:
            assert self.template is not None  # the parent knows from "ready"
            try:
                ids = chat_ids(self.template, self._tokenizer, order["messages"])
            except UsageError as exc:
                raise _RefusedError(str(exc), "messages") from exc
            sampling = replace(sampling, stop=(*sampling.stop, *self.template.ends))
        else:
            try:
                about = (order.get("about") or "").replace(",", " ").split()
                ids = self._format.prompt_ids(self._tokenizer, order["account"], order["prompt"], about)
            except UsageError as exc:
                known = order["account"] in (None, *self._format.accounts)
                raise _RefusedError(str(exc), "about" if known else "account") from exc
        room = self._context - len(ids)
        if room < 1:
            raise _RefusedError(
                f"The prompt has {len(ids):,} tokens; with this model and engine it must be under {self._context:,}. "
                "Shorten it.",
                "prompt" if order.get("messages") is None else "messages",
                "context_length_exceeded",
            )
        sampling = replace(sampling, max_tokens=min(sampling.max_tokens, room))
        text = Unfolding(self._format.end_id, self._tokenizer, sampling)
        watched = order["follow"] or order["log_probs"] or bool(sampling.stop)
        return _Job(
            order["add"], Prompt(token_ids=ids, seed=order["seed"]), sampling, watched, order["log_probs"], text
        )

    def _cancel(self, wanted: int) -> None:
        self._waiting = deque(job for job in self._waiting if job.id != wanted)
        for number, job in list(self._running.items()):
            if job.id == wanted:
                del self._running[number]
                self._session.cancel(number)


class _Orders:
    """Lines of a file descriptor, as they come. `ended` once the other side has closed it."""

    def __init__(self, descriptor: int) -> None:
        self.ended = False
        self._descriptor = descriptor
        self._rest = b""

    def take(self, wait: bool) -> list[dict[str, Any]]:
        """The orders that are there; with `wait`, not none."""
        found: list[dict[str, Any]] = []
        while not self.ended:
            ready = select.select([self._descriptor], [], [], None if wait and not found else 0)[0]
            if not ready:
                break
            data = os.read(self._descriptor, _READ)
            self.ended = not data
            *lines, self._rest = (self._rest + data).split(b"\n")
            found += [orjson.loads(line) for line in lines]
        return found


def main(model_dir: Path, engine_name: str, batch: int) -> None:
    """Load the model and run until the input ends."""
    # The parent decides when to end: Ctrl-C and a service manager's SIGTERM reach the whole group.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    output = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints is talk, not news

    def say(message: dict[str, Any]) -> None:
        output.write(orjson.dumps(message) + b"\n")
        output.flush()

    try:
        engine = choose_engine(model_dir, engine_name or None)[1].open(model_dir, batch)
        worker = Worker(engine.session(batch), model_dir, engine.context)
    except PasquinError as exc:
        return say({"failed": str(exc)})
    say({"ready": {"engine": engine.name, "context": engine.context, "chat": worker.template is not None}})
    orders = _Orders(0)
    while True:
        news = [told for order in orders.take(wait=not worker.busy) if (told := worker.obey(order)) is not None]
        if orders.ended:
            os._exit(0)  # nothing here has to be put away, and taking a model apart takes its time
        if news:  # who was refused need not wait for the model
            say({"news": news})
        try:
            news = worker.step()
        except PasquinError as exc:
            return say({"failed": str(exc)})
        if news:
            say({"news": news})


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
