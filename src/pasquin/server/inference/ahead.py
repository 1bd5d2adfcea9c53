"""Texts begun before anybody asks: who asks for the same again and again, without a seed, finds one there.

A bot's next post, a page that shows one, a program that wants a thousand: the same request, and every answer is drawn
anew. A few sequences more in a model's batch cost little beside one alone, so when such a request has been answered and
nothing else is under way, some texts more are begun for it. The next request in the same words takes over the one that
was begun first, finished or not. Each is handed out once and in the order in which they were begun, so that nobody
could tell them from texts begun when they were asked for. One caller's are never another's: a quick answer would tell
that somebody else had asked the same.
"""

from __future__ import annotations

import hashlib
import secrets
from collections import OrderedDict, deque
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import orjson

from pasquin.errors import ModelError
from pasquin.server.inference.process import Tell

_REMEMBERED: Final = 64
"""Requests, the latest ones, of which it is known that they were made before."""
_AGAIN: Final = 2
"""So often a request comes before texts are begun for the next."""
SEED_BITS: Final = 32


class Sequences(Protocol):
    """Where sequences run: `process.ModelProcess`."""

    ended: bool

    def add(self, order: dict[str, Any], tell: Tell) -> int:
        """See `ModelProcess.add`."""

    def cancel(self, number: int) -> None:
        """See `ModelProcess.cancel`."""


class Begun:
    """A text that was begun. Called with its news, which it keeps until somebody takes it over."""

    def __init__(self) -> None:
        """`number` is the sequence's, once it has one."""
        self.number = -1
        self.over = False
        self._news: list[dict[str, Any]] = []
        self._tell: Tell | None = None

    def __call__(self, told: dict[str, Any]) -> None:
        self.over = self.over or bool(told.get("finish"))
        if self._tell is None:
            self._news.append(told)
        else:
            self._tell(told)

    def hand_to(self, tell: Tell) -> None:
        """Tell what there is to tell, and all that follows."""
        self._tell = tell
        for told in self._news:
            tell(told)


@dataclass(slots=True)
class _Remembered:
    """A request: how often it came, and what was begun for the next of its kind, the oldest first."""

    times: int = 0
    begun: deque[Begun] = field(default_factory=deque)


class Ahead:
    """What was begun in one model."""

    def __init__(self, most: int) -> None:
        """At most so many texts for each request that is remembered, and so many at a time; 0 turns it off."""
        self._most = most
        self._model: Sequences | None = None
        self._requests: OrderedDict[bytes, _Remembered] = OrderedDict()

    def take(self, model: Sequences, order: dict[str, Any], caller: str) -> Begun | None:
        """The text that was begun first for such an order (its seed aside), of those that were; None when none was."""
        self._look_at(model)
        remembered = self._requests.get(_key(order, caller))
        return remembered.begun.popleft() if remembered is not None and remembered.begun else None

    def give_way(self, model: Sequences, places: int) -> None:
        """Leave at most so many places to texts nobody has asked for yet; the youngest go first."""
        self._look_at(model)
        for begun, remembered in self._running()[max(0, places) :]:
            model.cancel(begun.number)
            remembered.begun.remove(begun)

    def answered(self, model: Sequences, order: dict[str, Any], caller: str) -> None:
        """Note that such an order was carried out, and begin texts for the next when it was not the first."""
        if not self._most:
            return
        self._look_at(model)
        key = _key(order, caller)
        remembered = self._requests.setdefault(key, _Remembered())
        self._requests.move_to_end(key)
        remembered.times += 1
        while len(self._requests) > _REMEMBERED:
            for begun in self._requests.popitem(last=False)[1].begun:
                model.cancel(begun.number)
        if remembered.times < _AGAIN or len(remembered.begun) > self._most // 2:
            return
        with suppress(ModelError):  # the model has just ended; whoever asks next will be told
            room = self._most - len(self._running())  # whatever else was begun
            for _ in range(min(room, self._most - len(remembered.begun))):
                begun = Begun()
                begun.number = model.add({**order, "seed": secrets.randbits(SEED_BITS)}, begun)
                remembered.begun.append(begun)

    def _running(self) -> list[tuple[Begun, _Remembered]]:
        """What is not written yet, of the requests that came longest ago first."""
        every = self._requests.values()
        return [(begun, remembered) for remembered in every for begun in remembered.begun if not begun.over]

    def _look_at(self, model: Sequences) -> None:
        """Forget what was begun in a process that is not the model's any more."""
        if self._model is not model or model.ended:
            for remembered in self._requests.values():
                remembered.begun.clear()
            self._model = model


def _key(order: dict[str, Any], caller: str) -> bytes:
    plain = {name: value for name, value in order.items() if name != "seed"}
    return hashlib.blake2b(orjson.dumps([caller, plain], option=orjson.OPT_SORT_KEYS), digest_size=16).digest()
