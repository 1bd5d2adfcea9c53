"""Texts that are begun before anybody asks for them: who gets them, once and in order, and when none are begun."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pasquin.errors import ModelError
from pasquin.server.inference.ahead import Ahead
from pasquin.workspace import Workspace
from test_serve import Serving, serving, until, workspace  # noqa: F401

Told = dict[str, Any]
ORDER: Told = {"prompt": "", "account": None, "sampling": {"temperature": 1.0}, "follow": False, "log_probs": False}


class Model:
    """Sequences that are told what a test wants them to be told."""

    def __init__(self) -> None:
        self.ended = False
        self.orders: list[Told] = []
        self.tells: list[Callable[[Told], None]] = []
        self.cancelled: list[int] = []

    def add(self, order: Told, tell: Callable[[Told], None]) -> int:
        if self.ended:
            raise ModelError("It ended.")
        self.orders.append(order)
        self.tells.append(tell)
        return len(self.orders) - 1

    def cancel(self, number: int) -> None:
        self.cancelled.append(number)


def begun_for(model: Model, ahead: Ahead, order: Told = ORDER, caller: str = "ada", times: int = 2) -> None:
    for _ in range(times):
        ahead.answered(model, order, caller)


def test_texts_are_begun_for_what_comes_again_and_handed_out_once_in_order() -> None:
    model, ahead = Model(), Ahead(4)
    begun_for(model, ahead, times=1)
    assert not model.orders, "a request that came once may never come again"
    begun_for(model, ahead, times=1)
    assert len(model.orders) == 4
    assert len({order["seed"] for order in model.orders}) == 4
    model.tells[1]({"text": "second", "finish": "stop"})  # the shorter one is ready first, and has to wait its turn
    heard: list[Told] = []
    for number in range(4):
        taken = ahead.take(model, ORDER | {"seed": 7}, "ada")
        assert taken is not None
        assert taken.number == number
        taken.hand_to(heard.append)
    assert ahead.take(model, ORDER, "ada") is None
    assert [told["text"] for told in heard] == ["second"]
    model.tells[0]({"text": "first", "finish": "stop"})
    assert [told["text"] for told in heard] == ["second", "first"]


@pytest.mark.parametrize("other", [{"prompt": "a"}, {"account": "bob"}, {"sampling": {"temperature": 1.1}}])
def test_another_request_gets_none_of_them(other: Told) -> None:
    model, ahead = Model(), Ahead(4)
    begun_for(model, ahead)
    assert ahead.take(model, ORDER | other, "ada") is None


def test_another_caller_gets_none_of_them() -> None:
    model, ahead = Model(), Ahead(4)
    begun_for(model, ahead)
    assert ahead.take(model, ORDER, "bob") is None


def test_they_are_renewed_when_half_of_them_are_gone() -> None:
    model, ahead = Model(), Ahead(4)
    begun_for(model, ahead)
    ahead.take(model, ORDER, "ada")
    begun_for(model, ahead, times=1)
    assert len(model.orders) == 4
    ahead.take(model, ORDER, "ada")
    begun_for(model, ahead, times=1)
    assert len(model.orders) == 6


def test_those_nobody_asked_for_make_room_the_youngest_first_and_what_is_ready_stays() -> None:
    model, ahead = Model(), Ahead(4)
    begun_for(model, ahead)
    model.tells[3]({"text": "ready", "finish": "stop"})
    ahead.give_way(model, 1)
    assert model.cancelled == [1, 2]
    left = [ahead.take(model, ORDER, "ada") for _ in range(3)]
    assert [begun and begun.number for begun in left] == [0, 3, None]


def test_however_many_requests_come_again_no_more_are_begun_at_a_time() -> None:
    model, ahead = Model(), Ahead(4)
    for prompt in "abc":
        begun_for(model, ahead, ORDER | {"prompt": prompt})
    assert [order["prompt"] for order in model.orders] == ["a"] * 4
    for tell in model.tells[:3]:
        tell({"text": "ready", "finish": "stop"})
    begun_for(model, ahead, ORDER | {"prompt": "b"}, times=1)
    assert [order["prompt"] for order in model.orders] == ["a"] * 4 + ["b"] * 3


def test_what_was_begun_in_a_process_that_ended_is_forgotten() -> None:
    model, ahead = Model(), Ahead(4)
    begun_for(model, ahead)
    model.ended = True
    ahead.answered(model, ORDER, "ada")
    again = Model()
    assert ahead.take(again, ORDER, "ada") is None
    begun_for(again, ahead, times=1)
    assert len(again.orders) == 4


def test_only_the_latest_requests_are_remembered() -> None:
    model, ahead = Model(), Ahead(2)
    begun_for(model, ahead)
    for number in range(64):
        ahead.answered(model, ORDER | {"prompt": str(number)}, "ada")
    assert model.cancelled == [0, 1]
    assert ahead.take(model, ORDER, "ada") is None


def test_nothing_is_begun_where_that_is_turned_off() -> None:
    model, ahead = Model(), Ahead(0)
    begun_for(model, ahead)
    assert not model.orders


def test_whoever_asks_the_same_again_finds_a_text_begun(workspace: Workspace) -> None:  # noqa: F811
    with serving(workspace, ahead="8", batch="16") as server:

        def handed_out() -> float:
            return server.figure('pasquin_ahead_total{model="village"}')

        texts = [text(server) for _ in range(20)]
        assert handed_out() > 8
        assert len(set(texts)) > 15, "each is a draw of its own"
        until(lambda: server.figure('pasquin_sequences{model="village"}') == 0)
        before = handed_out()
        assert text(server, seed=3) == text(server, seed=3) == text(server, seed=3)
        assert len({text(server, temperature=0) for _ in range(4)}) == 1
        assert handed_out() == before, "what a request settles is not begun before it"
        streamed = [server.post(prompt="", max_tokens=12, stream=True).text for _ in range(6)]
        assert all(lines.endswith("data: [DONE]\n\n") for lines in streamed)
        many = server.post(prompt="", max_tokens=12, n=6).json()["choices"]
        assert [choice["finish_reason"] in {"stop", "length"} for choice in many] == [True] * 6
        assert handed_out() > before


def text(server: Serving, **body: Any) -> str:
    answer = server.post(prompt="", max_tokens=12, **body).json()
    assert answer["usage"]["completion_tokens"] > 0
    return str(answer["choices"][0]["text"])
