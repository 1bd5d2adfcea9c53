"""The endpoint as its clients meet it: the official `openai` package against `pasquin serve`, and what it refuses."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
import schemathesis

from documented import Link, answers_as_documented, answers_in_sequence
from pasquin.config import ServeSettings
from pasquin.errors import ModelError, UsageError
from pasquin.post_format import PostFormat
from pasquin.server.inference.shelf import Shelf
from pasquin.workspace import Workspace
from pasquin.workspace.files import write_manifest

PASQUIN = Path(sys.executable).parent / "pasquin"
TEMPLATE = (
    "{% for message in messages %}{% if message['role'] == 'assistant' and loop.first %}{{ raise_exception('no') }}"
    "{% endif %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' }}{% endfor %}"
)


def put_model(
    workspace: Workspace, name: str, source: Path, accounts: tuple[str, ...] = (), chat: bool = False
) -> Path:
    """A trained model of the workspace, as far as the endpoint can tell."""
    folder = workspace.model_dir(name)
    shutil.copytree(source, folder)
    PostFormat(1, 2, accounts=accounts).save(folder)
    if chat:
        (folder / "chat_template.jinja").write_text(TEMPLATE)
    write_manifest(folder, {"kind": "model", "name": name, "corpus": name, "hash": name})
    return folder


class Serving:
    """A running `pasquin serve`."""

    def __init__(self, process: subprocess.Popen[str], url: str) -> None:
        self.process, self.url = process, url
        self.http = httpx.Client(base_url=url.removesuffix("/v1"), timeout=60)

    def client(self, key: str = "none") -> openai.OpenAI:
        return openai.OpenAI(base_url=self.url, api_key=key, max_retries=0, timeout=60)

    def post(self, path: str = "/v1/completions", **body: Any) -> httpx.Response:
        return self.http.post(path, json={"model": "village", **body})

    @property
    def models(self) -> list[str]:
        """The processes in which models run."""
        return Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()

    def signal_models(self, sign: signal.Signals) -> None:
        """Send a signal to the processes in which models run."""
        models = self.models
        assert models
        for model in models:
            os.kill(int(model), sign)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Models stand still inside the block."""
        held = self.models
        self.signal_models(signal.SIGSTOP)
        try:
            yield
        finally:
            for model in held:
                with suppress(ProcessLookupError):  # it was killed
                    os.kill(int(model), signal.SIGCONT)

    def figure(self, name: str) -> float:
        """A line of /metrics."""
        lines = self.http.get("/metrics").text.splitlines()
        return next((float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(name)), 0.0)


@contextmanager
def serving(
    workspace: Workspace,
    *words: str,
    models: tuple[str, ...] = ("village",),
    begin: Callable[[], None] | None = None,
    **settings: str,
) -> Iterator[Serving]:
    environment = {**os.environ, **{f"PASQUIN_SERVE_{name.upper()}": value for name, value in settings.items()}}
    process = subprocess.Popen(
        [PASQUIN, "serve", *models, "--port", "0", "--json", "--workspace", str(workspace.root), *words],
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
        preexec_fn=begin,
    )
    watchdog = threading.Timer(3_600 if "SCHEMA_CASES" in os.environ else 120, process.kill)
    watchdog.start()
    try:
        assert process.stdout is not None
        yield Serving(process, json.loads(process.stdout.readline())["url"])
    finally:
        process.terminate()
        process.communicate()
        watchdog.cancel()


def until(true: Callable[[], bool], seconds: float = 10.0) -> float:
    """Wait until something holds; how long that took."""
    began = time.monotonic()
    while not true():
        assert time.monotonic() - began < seconds
        time.sleep(0.02)
    return time.monotonic() - began


@pytest.fixture(scope="module")
def workspace(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    workspace = Workspace.create(tmp_path_factory.mktemp("serve"))
    put_model(workspace, "village", tiny_model, ("ada", "bob"), chat=True)
    tuned = put_model(workspace, "town", tiny_model)
    (tuned / "sampling.json").write_text('{"temperature": 2.0, "top_k": 1, "top_p": 1.0, "min_p": 0.0}')
    return workspace


@pytest.fixture(scope="module")
def server(workspace: Workspace) -> Iterator[Serving]:
    """Two models in memory for one; 8 places, 24 may wait."""
    settings = {"batch": "8", "queue": "24", "memory_mb": "1", "deadline_seconds": "40"}
    with serving(workspace, models=("village", "town"), **settings) as running:
        yield running


def test_a_post_as_the_openai_client_gets_it(server: Serving) -> None:
    client = server.client()
    assert [model.id for model in client.models.list()] == ["village", "town"]
    assert client.models.retrieve("town").owned_by == "pasquin"
    asked = {"model": "village", "prompt": ["the cat", ""], "n": 3, "max_tokens": 12, "seed": 7}
    answer = client.completions.create(**asked)
    assert [choice.index for choice in answer.choices] == list(range(6))
    assert len({choice.text for choice in answer.choices}) == 6
    assert {choice.finish_reason for choice in answer.choices} <= {"stop", "length"}
    assert answer.usage.completion_tokens <= 72
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    alone = {"model": "village", "prompt": "the cat", "max_tokens": 12, "seed": 7}
    texts = {client.completions.create(**alone).choices[0].text for _ in range(3)}
    assert len(texts) == 1
    assert client.completions.create(**alone | {"seed": 8}).choices[0].text not in texts


def test_voices_and_greed(server: Serving) -> None:
    def greedy(**extra: Any) -> str:
        asked = {"model": "village", "prompt": "", "temperature": 0, "max_tokens": 8}
        return server.client().completions.create(**asked, extra_body=extra).choices[0].text

    assert greedy() == greedy(top_k=1)
    assert greedy(account="ada") == greedy(account="ada")
    with pytest.raises(openai.BadRequestError, match=r"carol.*ada, bob") as refused:
        greedy(account="carol")
    assert refused.value.param == "account"


def test_a_model_is_drawn_from_as_tuning_found(
    server: Serving, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`pasquin tune --apply` says how; a request comes first, then what the server was told."""

    def text(seed: int, **asked: Any) -> str:
        return server.post(model="town", prompt="", max_tokens=12, seed=seed, **asked).json()["choices"][0]["text"]

    assert text(1) == text(2) == text(3, temperature=0)
    assert text(1, top_k=200) != text(2, top_k=200)
    monkeypatch.setenv("PASQUIN_SERVE_TOP_P", "0.5")
    found = Shelf(workspace, ["town", "village"], ServeSettings(top_k=300)).offers
    drawn = [(offer.defaults.temperature, offer.defaults.top_k, offer.defaults.top_p) for offer in found.values()]
    assert drawn == [(2.0, 300, 0.5), (1.0, 300, 0.5)]


def test_a_model_whose_tuning_is_damaged_is_not_served(tmp_path: Path, tiny_model: Path) -> None:
    from pasquin.server import serve

    workspace = Workspace.create(tmp_path)
    tuned = put_model(workspace, "town", tiny_model) / "sampling.json"
    for damage in ("{", '{"top_k": "many"}', '{"temperature": -1}'):
        tuned.write_text(damage)
        with pytest.raises(UsageError, match=r"(sampling.json is damaged|top_k|temperature)"):
            serve(workspace, ["town"], settings=ServeSettings(port=0))


def test_a_stream_says_what_the_whole_answer_says(server: Serving) -> None:
    # One text at a time: two, that begin a step apart, may be others on some processors (docs/serve.md).
    asked = {"prompt": "the", "max_tokens": 24, "seed": 3, "logprobs": 0, "echo": True, "temperature": 2.0}
    whole = server.post(**asked).json()
    *chunks, last = streamed(server, **asked)
    assert (last["choices"], last["usage"]) == ([], whole["usage"])
    assert len(chunks) > 10
    for choice in whole["choices"]:
        mine = [chunk["choices"][0] for chunk in chunks if chunk["choices"][0]["index"] == choice["index"]]
        assert "".join(piece["text"] for piece in mine) == choice["text"]
        assert mine[-1]["finish_reason"] == choice["finish_reason"]
        tokens = [token for piece in mine if piece["logprobs"] for token in piece["logprobs"]["tokens"]]
        assert tokens == choice["logprobs"]["tokens"]
        assert choice["logprobs"]["text_offset"][0] == len("the")
        assert all(value <= 0 for value in choice["logprobs"]["token_logprobs"])


def test_two_streamed_texts_come_between_each_other_and_both_end(server: Serving) -> None:
    *chunks, last = streamed(server, prompt="the", max_tokens=24, seed=3, n=2, temperature=2.0)
    for index in (0, 1):
        mine = [chunk["choices"][0] for chunk in chunks if chunk["choices"][0]["index"] == index]
        assert len(mine) > 5
        assert [piece["finish_reason"] is None for piece in mine] == [True] * (len(mine) - 1) + [False]
    assert last["usage"]["completion_tokens"] > 24


def streamed(server: Serving, **asked: Any) -> list[dict[str, Any]]:
    """The chunks of an answer that is streamed, the last with its usage."""
    response = server.post(**asked, stream=True, stream_options={"include_usage": True})
    assert response.headers["content-type"].startswith("text/event-stream")
    events = [line.removeprefix("data: ") for line in response.text.split("\n\n") if line]
    assert events[-1] == "[DONE]"
    return [json.loads(event) for event in events[:-1]]


def test_log_probabilities_are_the_models_own(server: Serving) -> None:
    """Not those of the narrowed distribution that was drawn from: with top_k=1 that would be 0."""
    answer = server.client().completions.create(
        model="village", prompt="the", max_tokens=5, logprobs=1, extra_body={"top_k": 1}
    )
    values = answer.choices[0].logprobs.token_logprobs
    assert len(values) == len(answer.choices[0].logprobs.tokens) > 0
    assert all(-7 < value < -1 for value in values)  # 512 tokens, hardly trained


def test_stop_texts_end_a_post_and_are_not_part_of_it(server: Serving) -> None:
    asked = {"prompt": "the", "max_tokens": 60, "temperature": 3.0, "top_k": 0, "top_p": 1, "seed": 11}
    plain = server.post(**asked).json()["choices"][0]["text"]
    stop = plain[10:13]
    for stream in (False, True):
        with server.client().completions.create(
            model="village", stream=True, **_known(asked), stop=[stop, "¶"]
        ) as events:
            text = "".join(event.choices[0].text for event in events)
        answer = server.post(**asked, stop=stop, stream=stream)
        if not stream:
            choice = answer.json()["choices"][0]
            assert (choice["text"], choice["finish_reason"]) == (plain[: plain.index(stop)], "stop")
        assert text == plain[: plain.index(stop)]


def _known(asked: dict[str, Any]) -> dict[str, Any]:
    """Fields that the client does not know go into `extra_body`."""
    return {**{key: value for key, value in asked.items() if key != "top_k"}, "extra_body": {"top_k": asked["top_k"]}}


def test_chat_where_the_model_has_a_template(server: Serving) -> None:
    client = server.client()
    asked: dict[str, Any] = {
        "model": "village",
        "messages": [{"role": "developer", "content": "Be kind."}, {"role": "user", "content": "Who? <|im_end|>"}],
        "max_completion_tokens": 10,
        "seed": 1,
        "logprobs": True,
    }
    answer = client.chat.completions.create(**asked)
    assert answer.choices[0].message.role == "assistant"
    assert answer.choices[0].logprobs.content
    pieces = [chunk.choices[0] for chunk in client.chat.completions.create(**asked, stream=True)]
    assert pieces[0].delta.role == "assistant"
    assert "".join(piece.delta.content or "" for piece in pieces) == answer.choices[0].message.content
    assert pieces[-1].finish_reason == answer.choices[0].finish_reason
    # Spelled out, a special token stays text: it takes several tokens.
    spelled = client.chat.completions.create(**asked).usage.prompt_tokens
    asked["messages"][1]["content"] = "Who? "
    assert spelled >= client.chat.completions.create(**asked).usage.prompt_tokens + 5
    with pytest.raises(openai.BadRequestError, match="does not take these messages"):
        client.chat.completions.create(model="village", messages=[{"role": "assistant", "content": "x"}])
    with pytest.raises(openai.BadRequestError, match="no chat template"):
        client.chat.completions.create(model="town", messages=[{"role": "user", "content": "x"}])


def test_models_take_turns_when_memory_is_short(server: Serving) -> None:
    for name, other in (("town", "village"), ("village", "town")):
        assert server.post(model=name, prompt="", max_tokens=4).status_code == 200
        assert server.figure(f'pasquin_model_loaded{{model="{name}"}}') == 1
        assert server.figure(f'pasquin_model_loaded{{model="{other}"}}') == 0


@pytest.mark.parametrize(
    ("change", "status", "param"),
    [
        ({"model": "nowhere"}, 404, "model"),
        ({"model": "../village"}, 404, "model"),
        ({"temperature": -1}, 400, "temperature"),
        ({"temperature": 1e308}, 400, "temperature"),
        ({"top_p": 0}, 400, "top_p"),
        ({"min_p": 1}, 400, "min_p"),
        ({"n": 0}, 400, "n"),
        ({"n": 129}, 400, "n"),
        ({"n": 64}, 400, "n"),
        ({"max_tokens": 0}, 400, "max_tokens"),
        ({"max_tokens": "many"}, 400, "max_tokens"),
        ({"max_tokens": "4"}, 400, "max_tokens"),
        ({"min_p": False}, 400, "min_p"),
        ({"echo": "yes"}, 400, "echo"),
        ({"prompt": "\ud800"}, 400, "prompt"),
        ({"prompt": []}, 400, "prompt"),
        ({"prompt": [1, 2]}, 400, "prompt"),
        ({"prompt": "the cat " * 200}, 400, "prompt"),
        ({"prompt": "x" * 20_001}, 400, "prompt"),
        ({"stop": ["a"] * 5}, 400, "stop"),
        ({"stop": ""}, 400, "stop"),
        ({"logprobs": 5}, 400, "logprobs"),
        ({"best_of": 2}, 400, "best_of"),
        ({"suffix": "x"}, 400, "suffix"),
        ({"presence_penalty": 0.5}, 400, "presence_penalty"),
        ({"logit_bias": {"5": 1}}, 400, "logit_bias"),
        ({"seed": 2**70}, 400, "seed"),
        ({"stream_options": {"include_usage": True}}, 400, "stream_options"),
        ({"account": "\udfff"}, 400, "account"),
        ({"frobnicate": 1}, 400, "frobnicate"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_what_makes_no_sense_is_refused_in_openais_form(
    server: Serving, change: dict[str, Any], status: int, param: str, stream: bool
) -> None:
    body = {"model": "village", "prompt": "", "max_tokens": 2, "stream": stream, **change}
    if "stream_options" in change:
        body["stream"] = False
    answer = server.http.post("/v1/completions", content=json.dumps(body), headers={"content-type": "application/json"})
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["param"] == param
    assert "Value error" not in error["message"]


@pytest.mark.parametrize(
    "accepted",
    [
        {"temperature": 100, "top_p": 1e-9},
        {"temperature": 1e-9, "top_k": 2**31 - 1, "min_p": 0.999},
        {"max_tokens": 2**31 - 1, "stop": "e"},
        {"top_p": 1e-300, "min_p": 1 - 1e-12},
        {"temperature": 1e-60},
        {"seed": -(2**63)},
        {"seed": 2**63 - 1, "stop": None, "logit_bias": {}, "user": "x", "suffix": "", "best_of": 1},
        {"prompt": "\x00\u202e😀" * 10},
    ],
)
def test_extremes_that_make_sense_are_answered(server: Serving, accepted: dict[str, Any]) -> None:
    assert server.post(**{"prompt": "the", "max_tokens": 6, **accepted}).status_code == 200


@pytest.mark.parametrize(
    ("path", "content", "status"),
    [
        ("/v1/completions", b"", 400),
        ("/v1/completions", b"{", 400),
        ("/v1/completions", b"[]", 400),
        ("/v1/completions", b"\xff\xfe", 400),
        ("/v1/completions", b'{"model": "village", "temperature": NaN}', 400),
        ("/v1/completions", b"[" * 100_000, 400),
        ("/v1/completions", b'"' + b"x" * 600_000 + b'"', 413),
        ("/v1/chat/completions", b'{"model": "village", "messages": []}', 400),
        ("/v1/chat/completions", b'{"model": "village", "messages": [{"role": "user", "content": 1}]}', 400),
        ("/v1/chat/completions", b'{"model": "village", "messages": [{"role": "root", "content": "x"}]}', 400),
        ("/v1/nowhere", b"{}", 404),
        ("/v1/models", b"{}", 405),
    ],
)
def test_bodies_that_are_no_request(server: Serving, path: str, content: bytes, status: int) -> None:
    answer = server.http.post(path, content=content, headers={"content-type": "application/json"})
    assert answer.status_code == status
    assert answer.json()["error"]["message"]


def in_time(case: schemathesis.Case) -> dict[str, str]:
    """What a valid request may ask for would take hours."""
    if isinstance(case.body, dict):
        for name, most in (("max_tokens", 4), ("max_completion_tokens", 4), ("n", 2)):
            if isinstance(case.body.get(name), int) and case.body[name] > most:
                case.body[name] = most
        case.body["max_tokens"] = case.body.get("max_tokens", 4)
    return {}


# What OpenAI's clients may send but no model here can do (`best_of`) is refused, though its form is valid.
NOT_MEANT = [schemathesis.checks.positive_data_acceptance]


def test_the_endpoint_answers_as_documented(server: Serving) -> None:
    schema = schemathesis.openapi.from_url(f"{server.url}/openapi.json")
    answers_as_documented(schema, in_time, 20, NOT_MEANT)


def test_the_models_that_are_listed_answer_as_documented(server: Serving) -> None:
    listed = "GET /v1/models 200"
    links = [
        *[Link(listed, "GET /v1/models/{name}", {"path.name": f"$response.body#/data/{at}/id"}) for at in (0, 1)],
        *[
            Link(listed, f"POST /v1/{path}", body={"model": "$response.body#/data/0/id"})
            for path in ("completions", "chat/completions")
        ],
    ]
    schema = schemathesis.openapi.from_url(f"{server.url}/openapi.json")
    seen = answers_in_sequence(schema, links, dict, in_time, NOT_MEANT)
    assert seen["POST /v1/completions 200"]


def test_pages_of_other_sites_cannot_use_it(server: Serving) -> None:
    """Neither by a form or script (origin), nor by a name that was made to point here (host)."""
    body = {"model": "village", "prompt": "", "max_tokens": 2}
    for headers in ({"origin": "https://evil.invalid"}, {"sec-fetch-site": "cross-site"}, {"host": "evil.invalid"}):
        answer = server.http.post("/v1/completions", json=body, headers=headers)
        assert answer.status_code == 403
        assert answer.json()["error"]["message"]
    # A browser sends this header to another site only when that allows it, which this one does not.
    headers = {"origin": "https://app.invalid", "authorization": "Bearer x"}
    assert server.http.post("/v1/completions", json=body, headers=headers).status_code == 200
    assert server.http.options("/v1/completions", headers={"origin": "https://app.invalid"}).status_code == 405


def test_many_clients_share_the_batch(server: Serving) -> None:
    """A short post does not wait for long ones that began before; all are answered."""
    finished: list[str] = []

    def ask(kind: str, tokens: int, **more: Any) -> None:
        answer = server.post(prompt=kind, max_tokens=tokens, temperature=0.01, stop="¶", **more)
        assert answer.status_code == 200, answer.text
        finished.append(kind)

    threads = [threading.Thread(target=ask, args=("long", 240)) for _ in range(5)]
    threads += [threading.Thread(target=ask, args=("short", 2)) for _ in range(12)]
    for thread in threads:
        thread.start()
        time.sleep(0.002)
    for thread in threads:
        thread.join()
    assert len(finished) == 17
    assert finished.index("short") < len(finished) - 1 - finished[::-1].index("long")


def test_a_client_that_leaves_frees_its_place(server: Serving) -> None:
    server.post(prompt="", max_tokens=2)
    for stream in (False, True):
        before = server.figure("pasquin_cancelled_total")
        body = {"model": "village", "prompt": "", "n": 24, "max_tokens": 250, "stream": stream}
        with server.held(), pytest.raises(httpx.ReadTimeout):
            httpx.post(f"{server.url}/completions", json=body, timeout=0.3)
        assert until(lambda: server.figure("pasquin_sequences") == 0) < 1.0
        assert server.figure("pasquin_cancelled_total") == before + 24
    assert server.post(prompt="", max_tokens=2).status_code == 200


def test_a_client_that_leaves_a_stream_frees_its_place(server: Serving) -> None:
    before = server.figure("pasquin_completion_tokens_total")
    body = {"model": "village", "prompt": "", "n": 24, "max_tokens": 250, "stream": True, "temperature": 0.01}
    with httpx.stream("POST", f"{server.url}/completions", json=body, timeout=60) as response:
        next(response.iter_raw())
    assert until(lambda: server.figure("pasquin_sequences") == 0) < 1.0
    assert server.figure("pasquin_completion_tokens_total") < before + 24 * 250


def test_a_full_queue_says_when_to_come_back(server: Serving) -> None:
    """The model is held while 30 of 32 places are taken: health answers, no more than fits is let in."""
    server.post(prompt="", max_tokens=2)
    answers: list[httpx.Response] = []
    with server.held():
        filling = threading.Thread(target=lambda: answers.append(server.post(prompt="", n=30, max_tokens=4)))
        filling.start()
        until(lambda: server.figure("pasquin_sequences") == 30)
        refused = server.post(prompt="", n=3)
        assert refused.status_code == 429
        assert int(refused.headers["retry-after"]) >= 1
        assert refused.json()["error"]["type"] == "rate_limit_error"
        assert server.http.get("/healthz").status_code == 200
    filling.join()
    assert len(answers[0].json()["choices"]) == 30


def test_an_answer_that_takes_too_long_is_given_up(workspace: Workspace) -> None:
    with serving(workspace, deadline_seconds="1") as server:
        until(lambda: server.post(prompt="", max_tokens=2).status_code == 200, 30)
        with server.held():
            late = server.post(prompt="")
            assert (late.status_code, late.json()["error"]["code"]) == (503, "deadline_exceeded")
            assert server.figure("pasquin_sequences") == 0
        until(lambda: server.post(prompt="", max_tokens=2).status_code == 200)


def test_a_model_process_that_dies_is_started_again_and_nobody_is_refused(server: Serving) -> None:
    asked = {"prompt": "the cat", "seed": 5, "max_tokens": 12}
    undisturbed = server.post(**asked).json()["choices"]
    for _ in range(3):
        assert server.post(prompt="", max_tokens=2).status_code == 200  # some are begun before they are asked for, too
        server.signal_models(signal.SIGKILL)
        assert [server.post(prompt="", max_tokens=2).status_code for _ in range(3)] == [200] * 3
        assert server.post(prompt="", max_tokens=2, seed=1).status_code == 200
    answers = []
    for stream in (False, True):
        with ThreadPoolExecutor() as pool:
            with server.held():
                waiting = pool.submit(server.post, **asked, stream=stream)
                until(lambda: server.figure('pasquin_sequences{model="village"}') == 1)
                server.signal_models(signal.SIGKILL)
            answers.append(waiting.result())
    assert answers[0].json()["choices"] == undisturbed
    assert answers[1].text.endswith("data: [DONE]\n\n")
    for seconds in (0.01, 0.03, 0.06):  # of eight texts some have ended, and none was sent
        assert server.post(prompt="", max_tokens=2, seed=1).status_code == 200
        with ThreadPoolExecutor() as pool:
            waiting = pool.submit(server.post, prompt=[""] * 8, stop=["e"], max_tokens=40, seed=5)
            until(lambda: server.figure('pasquin_sequences{model="village"}') == 8)
            time.sleep(seconds)
            server.signal_models(signal.SIGKILL)
            finished = [choice["finish_reason"] for choice in waiting.result().json()["choices"]]
        assert len(finished) == 8
        assert set(finished) <= {"stop", "length"}


def test_a_request_of_which_every_model_process_dies_is_refused_and_a_text_half_sent_ends_with_an_error(
    server: Serving,
) -> None:
    assert server.post(prompt="", max_tokens=2, seed=1).status_code == 200  # in a process that lives
    with ThreadPoolExecutor() as pool:
        with server.held():
            waiting = pool.submit(server.post, prompt="", seed=1)
            until(lambda: server.figure("pasquin_sequences") == 1)
            first = server.models
            server.signal_models(signal.SIGKILL)
        until(lambda: bool(server.models) and server.models != first)
        server.signal_models(signal.SIGKILL)
        answer = waiting.result()
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "model_unavailable")
    assert int(answer.headers["retry-after"]) >= 1
    body = {"model": "village", "prompt": "", "stream": True, "max_tokens": 500, "temperature": 2}
    with server.http.stream("POST", "/v1/completions", json=body) as stream:
        lines = (line for line in stream.iter_lines() if line)
        while not json.loads(next(lines).removeprefix("data: "))["choices"][0]["text"]:
            pass
        server.signal_models(signal.SIGKILL)
        last = list(lines)[-1]
    assert json.loads(last.removeprefix("data: "))["error"]["code"] == "model_unavailable"
    assert server.post(prompt="", max_tokens=2).status_code == 200


def test_keys_are_asked_for_limited_and_revoked(workspace: Workspace) -> None:
    def key(*words: str) -> str:
        run = subprocess.run(
            [PASQUIN, "key", *words, "--workspace", str(workspace.root)], capture_output=True, text=True, check=True
        )
        return run.stdout.strip()

    alice, slow = key("add", "alice"), key("add", "slow", "--requests-per-minute", "2")
    assert alice.encode() not in (workspace.root / "pasquin.db").read_bytes()
    with serving(workspace, "--require-key") as server:
        with pytest.raises(openai.AuthenticationError) as refused:
            server.client(alice + "x").models.list()
        assert refused.value.code == "invalid_api_key"
        for wrong in (b"Bearer", b"Bearer ,", b"Bearer \xff\xc3\xa9", b"Basic " + alice.encode(), alice.encode()):
            assert server.http.get("/v1/models", headers={"authorization": wrong}).status_code == 401
        for path in ("/v1/models", "/metrics"):
            assert server.http.get(path).status_code == 401
        assert server.http.get("/healthz").status_code == 200
        asked = {"model": "village", "prompt": "", "max_tokens": 2}
        assert server.client(alice).completions.create(**asked).choices
        for _ in range(2):
            server.client(slow).completions.create(**asked)
        with pytest.raises(openai.RateLimitError) as limited:
            server.client(slow).completions.create(**asked)
        assert 1 <= int(limited.value.response.headers["retry-after"]) <= 30
        key("revoke", "alice")

        def revoked() -> bool:
            return server.http.get("/v1/models", headers={"authorization": f"Bearer {alice}"}).status_code == 401

        assert until(revoked) < 5
    assert "revoked" in key("list")
    assert alice not in key("list")


def test_a_server_that_is_told_to_end_finishes_what_it_began(workspace: Workspace) -> None:
    for sign in (signal.SIGTERM, signal.SIGINT):
        with serving(workspace) as server:
            body = {"model": "village", "prompt": "", "n": 8, "max_tokens": 200, "stream": True, "temperature": 0.01}
            with httpx.stream("POST", f"{server.url}/completions", json=body, timeout=60) as response:
                blocks = response.iter_text()
                text = next(blocks)
                server.process.send_signal(sign)
                text += "".join(blocks)
            assert text.endswith("data: [DONE]\n\n")
            assert server.process.wait(20) == 0


@pytest.mark.parametrize(
    ("language", "program"), [("bash", "bash"), ("python", sys.executable), ("javascript", "node")]
)
def test_the_examples_of_the_docs_run(server: Serving, language: str, program: str, tmp_path: Path) -> None:
    if shutil.which(program) is None or (language == "bash" and shutil.which("curl") is None):
        pytest.skip(f"{program} or what it needs is not installed here")
    page = (Path(__file__).parents[1] / "docs" / "serve.md").read_text()
    example = page.split(f"```{language}\n")[1].split("```")[0]
    example = example.replace("http://127.0.0.1:8001/v1", server.url).replace('"vc"', '"village"')
    file = tmp_path / ("example.mjs" if language == "javascript" else "example")
    file.write_text(example)
    run = subprocess.run([program, str(file)], capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stderr
    if language == "bash":
        assert len(json.loads(run.stdout)["choices"]) == 2
    else:
        assert run.stdout.count("Startups are") == 2


def test_where_others_can_reach_it_there_must_be_a_key(tmp_path: Path, tiny_model: Path) -> None:
    from pasquin.server import serve

    workspace = Workspace.create(tmp_path)
    put_model(workspace, "village", tiny_model)
    with pytest.raises(UsageError, match="pasquin key add"):
        serve(workspace, ["village"], settings=ServeSettings(host="0.0.0.0", port=0))
    with pytest.raises(UsageError, match="Name the models"):
        serve(workspace, [], settings=ServeSettings(port=0))
    with pytest.raises(ModelError, match="no model `nowhere`"):
        serve(workspace, ["nowhere"], settings=ServeSettings(port=0))


SMALL, ROOM = 320 * 2**20, 2**30
"""Bytes for a server and a model of nearly no size: together, and of addresses (most are never used) for each."""


@contextmanager
def small_machine() -> Iterator[Callable[[], None]]:
    """One core and `SMALL` bytes for all processes together that call this when they begin, by a control group; where
    none can be made, `ROOM` for each.
    """

    def core() -> None:
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})

    def alone() -> None:
        core()
        resource.setrlimit(resource.RLIMIT_DATA, (ROOM, ROOM))

    group = _control_group()
    if group is None:
        yield alone
        return

    def joined() -> None:
        core()
        (group / "cgroup.procs").write_text(str(os.getpid()))

    try:
        yield joined
    finally:
        until(lambda: not (group / "cgroup.procs").read_text())
        group.rmdir()


def _control_group() -> Path | None:
    """A new group with `SMALL` bytes of memory, of either version; None where that is not for us to make."""
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, kinds, path = line.split(":", 2)
        if kinds not in ("", "memory"):
            continue
        group = Path("/sys/fs/cgroup") / kinds / path.lstrip("/") / f"pasquin-{os.getpid()}"
        try:
            group.mkdir()
        except OSError:
            continue
        try:
            (group / ("memory.limit_in_bytes" if kinds else "memory.max")).write_text(str(SMALL))
        except OSError:
            group.rmdir()
            continue
        return group
    return None


@pytest.mark.real
@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system holds no process to a core")
def test_a_small_machine_serves(workspace: Workspace) -> None:
    """Sixteen posts on one core and in little memory, of which more cannot be had."""
    with small_machine() as begin:
        greedy = subprocess.run([sys.executable, "-c", f"len(bytearray({ROOM}))"], preexec_fn=begin, check=False)
        assert greedy.returncode != 0
        with serving(workspace, begin=begin) as server, ThreadPoolExecutor(16) as clients:
            answers = list(clients.map(lambda seed: server.post(prompt="", seed=seed, max_tokens=20), range(16)))
            assert len(os.sched_getaffinity(server.process.pid)) == 1
    assert [answer.status_code for answer in answers] == [200] * 16
