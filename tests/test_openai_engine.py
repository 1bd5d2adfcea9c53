"""A contestant behind somebody's server: asked politely, paid within the budget, screened like everybody."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from invented import make_corpus, posts, texts
from pasquin.config import GenerateSettings
from pasquin.engines import openai
from pasquin.engines.openai import OpenAIServer
from pasquin.errors import ModelError, UsageError
from pasquin.generate import generate
from pasquin.records import Prompt, Sampling
from pasquin.workspace import Workspace

NEW = texts(900)[400:]
Answer = tuple[int, dict[str, str], bytes]


def chat(text: str, **more: Any) -> Answer:
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop", **more}
    usage = {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120}
    return 200, {}, json.dumps({"object": "chat.completion", "choices": [choice], "usage": usage}).encode()


@contextmanager
def server(answer: Callable[[str, dict[str, Any]], Answer]) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A real HTTP server that answers by `answer(path, body)`; yields its /v1 and the requests it got."""
    got: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            got.append({"path": self.path, "key": self.headers.get("authorization"), **body})
            status, headers, content = answer(self.path, body)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    listener = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=listener.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.server_port}/v1", got
    finally:
        listener.shutdown()
        listener.server_close()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openai.time, "sleep", lambda _: None)
    for name in openai.KEYS:
        monkeypatch.delenv(name, raising=False)


def ask(url: str, number: int = 3, **options: Any) -> list[str]:
    engine = OpenAIServer(url, "clever", **{"token_budget": 10**6, **options})
    prompts = [Prompt(token_ids=(), seed=seed, text=f"prompt {seed}") for seed in range(number)]
    found = sorted(engine.generate(prompts, Sampling(max_tokens=50)), key=lambda completion: completion.index)
    return [completion.text for completion in found]


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    place = Workspace.create(tmp_path / "ws")
    make_corpus(place, "village", posts(240))
    return place


def settings(url: str, **values: Any) -> GenerateSettings:
    given = {"n": 20, "engine": "openai", "base_url": url, "model": "clever:7b", "few_shot": 3}
    return GenerateSettings(**{**given, **values})


def test_a_contestant_writes_candidates_with_their_provenance(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    copied = texts(240)[0]

    def answer(path: str, body: dict[str, Any]) -> Answer:
        return chat(copied if body["seed"] % 5 == 0 else f"“{NEW[body['seed'] % len(NEW)]}”")

    with server(answer) as (url, got):
        result = generate(workspace, "village", settings=settings(url))
        again = generate(workspace, "village", settings=settings(url))
    assert result["candidates"] == again["candidates"] == 20
    assert (result["model"], result["engine"], again["completions"]) == ("openai:clever:7b", "openai", 0)
    assert {request["path"] for request in got} == {"/v1/chat/completions"}
    assert {request["key"] for request in got} == {"Bearer sk-secret"}
    assert len({request["seed"] for request in got}) == len(got)
    content = got[0]["messages"][0]["content"]
    train = {post.text for post in _train(workspace)}
    assert sum(text in content for text in train) >= 3
    assert not any(post.text in request["messages"][0]["content"] for post in _held_out(workspace) for request in got)
    written = Path(result["output"]).read_text()
    assert "“" not in written
    assert "sk-secret" not in written


def _train(workspace: Workspace) -> Any:
    from pasquin.workspace.corpora import read_corpus

    return read_corpus(workspace, "village", "train")


def _held_out(workspace: Workspace) -> Any:
    from pasquin.workspace.corpora import read_corpus

    train = {post.text for post in _train(workspace)}
    return [post for post in read_corpus(workspace, "village", "test") if post.text not in train]


def test_the_budget_is_said_and_kept(workspace: Workspace) -> None:
    said: list[str] = []

    class Ears:
        def say(self, text: str) -> None:
            said.append(text)

        def task(self, *words: Any) -> Any:
            from pasquin.progress import Silent

            return Silent().task(*words)

    with server(lambda _, body: chat(NEW[body["seed"] % len(NEW)])) as (url, got):
        with pytest.raises(ModelError, match="budget of 1,000 tokens is used up"):
            generate(workspace, "village", settings=settings(url, n=200, token_budget=1_000), progress=Ears())  # type: ignore[arg-type]
        assert len(got) <= 8 + 8  # 120 tokens each, eight under way at a time
        more = generate(workspace, "village", settings=settings(url, n=12))
        assert more["completions"] < 12  # what was paid for before is there
    assert "1,000 will be spent" in said[0]


def test_servers_without_chat_are_asked_for_a_completion() -> None:
    def answer(path: str, body: dict[str, Any]) -> Answer:
        if path.endswith("/chat/completions"):
            return 404, {}, b'{"error": {"message": "no chat here"}}'
        return 200, {}, json.dumps({"choices": [{"text": f"to {body['prompt']}", "finish_reason": "length"}]}).encode()

    with server(answer) as (url, _):
        assert ask(url) == ["to prompt 0", "to prompt 1", "to prompt 2"]
    with server(lambda *_: (404, {}, b"")) as (url, _), pytest.raises(ModelError, match="no model `clever`"):
        ask(url)


def test_a_prefix_is_there_once_whether_repeated_or_not() -> None:
    with server(lambda _, body: chat("Startups are a mood")) as (url, _):
        assert ask(url, 1, prefix="Startups are") == [" a mood"]
    with server(lambda _, body: chat("a mood")) as (url, _):
        assert ask(url, 1, prefix="Startups are") == [" a mood"]


def test_busy_servers_are_asked_again() -> None:
    busy = iter([(429, {"retry-after": "1"}, b""), (503, {"retry-after": "soon"}, b"<html>")])
    with server(lambda *_: next(busy, None) or chat("at last")) as (url, got):
        assert ask(url, 1) == ["at last"]
        assert len(got) == 3
    with server(lambda *_: (500, {}, b"")) as (url, got), pytest.raises(ModelError, match="overloaded"):
        ask(url, 1)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ((401, {}, b"{}"), "refused the key"),
        ((400, {}, b'{"error": {"message": "context too long"}}'), "context too long"),
        ((400, {}, b'["x"]'), "refused the request"),
        ((200, {}, b"<html>hello</html>"), "does not speak JSON"),
        ((200, {}, b"{}"), "not OpenAI's"),
        ((200, {}, b'{"choices": []}'), "not OpenAI's"),
        ((200, {}, b'{"choices": [{"message": {"content": null}}]}'), "not OpenAI's"),
        (
            (200, {}, b'{"choices": [{"message": {"content": "a"}}], "usage": {"prompt_tokens": "many"}}'),
            "not OpenAI's",
        ),
        ((302, {"location": "http://127.0.0.1:1/"}, b"{}"), "refused the request"),
        ((200, {}, b"[" + b" " * 2**21), "more than an answer"),
    ],
)
def test_servers_that_make_no_sense_are_sentences(answer: Answer, words: str) -> None:
    with server(lambda *_: answer) as (url, _), pytest.raises(ModelError, match=words):
        ask(url, 1)


def test_no_server_is_a_sentence() -> None:
    with pytest.raises(ModelError, match="does not answer"):
        ask("http://127.0.0.1:9/v1", 1)


def test_addresses_that_are_none_and_keys_in_the_open(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    for url in ("localhost:11434", "ftp://localhost/v1", "https://me:secret@example.org/v1"):
        with pytest.raises(UsageError):
            OpenAIServer(url, "m", token_budget=1)
    OpenAIServer("http://example.org/v1", "m", token_budget=1)
    monkeypatch.setenv("PASQUIN_OPENAI_API_KEY", "sk-secret")
    OpenAIServer("http://localhost:1/v1", "m", token_budget=1)
    with pytest.raises(UsageError, match="unencrypted"):
        OpenAIServer("http://example.org/v1", "m", token_budget=1)
    with pytest.raises(UsageError, match="--base-url"):
        generate(workspace, "village", settings=GenerateSettings(engine="openai", model="m"))
