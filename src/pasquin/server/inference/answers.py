"""What is answered, in OpenAI's shapes: whole, and as server-sent events."""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

import pasquin
from pasquin.server.inference.run import Run, Written

DONE: Final = b"data: [DONE]\n\n"


def event(value: dict[str, Any]) -> bytes:
    """A server-sent event."""
    return b"data: " + orjson.dumps(value) + b"\n\n"


@dataclass(slots=True)
class Shape:
    """How one answer is written down. `echo` are the prompts to put in front of each text."""

    model: str
    chat: bool
    log_probs: bool
    usage: bool = False
    echo: Sequence[str] = ()
    id: str = ""
    created: int = field(default_factory=lambda: int(time.time()))

    def __post_init__(self) -> None:
        """The answer's id."""
        self.id = ("chatcmpl-" if self.chat else "cmpl-") + secrets.token_hex(12)

    def whole(self, run: Run) -> dict[str, Any]:
        """The answer when all texts are written."""
        kind = "chat.completion" if self.chat else "text_completion"
        choices = [self._choice(index, written) for index, written in enumerate(run.written)]
        return {**self._head(kind, run), "choices": choices, "usage": run.usage}

    def opening(self, run: Run) -> list[bytes]:
        """Events before the first text."""
        if self.chat:
            delta = {"role": "assistant", "content": ""}
            return [self._chunk(run, self._delta(at, delta, None, None)) for at in range(len(run.written))]
        return [self.piece(run, at, text, [], None) for at, text in enumerate(self.echo) if text]

    def piece(self, run: Run, index: int, text: str, tokens: list[list[Any]], finish: str | None) -> bytes:
        """The event of a piece of text."""
        if not self.chat:
            return self._chunk(run, self._text(index, text, tokens, finish))
        events = [self._delta(index, {"content": text}, tokens, None)] if text or tokens else []
        events += [self._delta(index, {}, None, finish)] if finish else []
        return b"".join(self._chunk(run, choice) for choice in events)

    def closing(self, run: Run) -> list[bytes]:
        """Events after the last text."""
        kind = "chat.completion.chunk" if self.chat else "text_completion"
        counted = [event({**self._head(kind, run), "choices": [], "usage": run.usage})] if self.usage else []
        return [*counted, DONE]

    def _head(self, kind: str, run: Run) -> dict[str, Any]:
        return {
            "id": self.id,
            "object": kind,
            "created": self.created,
            "model": self.model,
            "system_fingerprint": f"pasquin-{pasquin.__version__}-{run.engine}",
        }

    def _chunk(self, run: Run, choice: dict[str, Any]) -> bytes:
        value = {**self._head("chat.completion.chunk" if self.chat else "text_completion", run), "choices": [choice]}
        return event(value | {"usage": None} if self.usage else value)

    def _choice(self, index: int, written: Written) -> dict[str, Any]:
        if not self.chat:
            echo = self.echo[index] if self.echo else ""
            return self._text(index, echo + written.text, written.tokens, written.finish, len(echo))
        message = {"role": "assistant", "content": written.text, "refusal": None}
        log_probs = _chat_log_probs(written.tokens) if self.log_probs else None
        return {"index": index, "message": message, "logprobs": log_probs, "finish_reason": written.finish}

    def _text(
        self, index: int, text: str, tokens: list[list[Any]], finish: str | None, shift: int | None = None
    ) -> dict[str, Any]:
        if shift is None:
            shift = len(self.echo[index]) if self.echo else 0
        log_probs = _text_log_probs(tokens, shift) if self.log_probs else None
        return {"index": index, "text": text, "logprobs": log_probs, "finish_reason": finish}

    def _delta(
        self, index: int, delta: dict[str, Any], tokens: list[list[Any]] | None, finish: str | None
    ) -> dict[str, Any]:
        log_probs = _chat_log_probs(tokens) if self.log_probs and tokens is not None else None
        return {"index": index, "delta": delta, "logprobs": log_probs, "finish_reason": finish}


def _text_log_probs(tokens: list[list[Any]], shift: int) -> dict[str, Any]:
    return {
        "tokens": [text for text, _, _ in tokens],
        "token_logprobs": [value for _, value, _ in tokens],
        "top_logprobs": None,
        "text_offset": [shift + offset for _, _, offset in tokens],
    }


def _chat_log_probs(tokens: list[list[Any]]) -> dict[str, Any]:
    content = [
        {"token": text, "logprob": value, "bytes": list(text.encode()), "top_logprobs": []} for text, value, _ in tokens
    ]
    return {"content": content, "refusal": None}
