"""Seeing it run: metrics that Prometheus can read, an operator's page for the owner alone, logs and traces that tell
no secret."""

from __future__ import annotations

import json
import re
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient

from invented import add_candidates, make_corpus, posts, texts
from pasquin import logs, traces
from pasquin.config import PublishSettings
from pasquin.curate.curators import curator_named, make_link
from pasquin.errors import ResourceError
from pasquin.publish import publish, watch
from pasquin.server.app import create_app
from pasquin.store import Store
from pasquin.store.schema import publication_events, publications
from pasquin.workspace import Workspace
from publish_fakes import workspace_with
from test_cli import pasquin as program

ROOT = Path(__file__).resolve().parents[1]
CANARY = "canary-5ecret-4711"
BOT = {"network": "file", "account": "out.jsonl", "rest_minutes": 0.0, "minimum_stock": 9}
SAMPLE = re.compile(r'([a-z_]+)(?:\{([a-z_]+="(?:[^"\\]|\\.)*"(?:,[a-z_]+="(?:[^"\\]|\\.)*")*)\})? (\S+)')


def samples(text: str) -> dict[tuple[str, str], float]:
    """Every sample of an answer in Prometheus' format, by name and labels; fails on a line that is none."""
    found, kinds = {}, {}
    for line in text.splitlines():
        if line.startswith("# "):
            word, name, rest = line[2:].split(" ", 2)
            assert word in ("HELP", "TYPE")
            if word == "TYPE":
                assert name not in kinds
                kinds[name] = rest
            continue
        match = SAMPLE.fullmatch(line)
        assert match, line
        assert re.sub("_(bucket|sum|count)$", "", match[1]) in kinds or match[1] in kinds
        found[match[1], match[2] or ""] = float(match[3])
    return found


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    made = workspace_with(tmp_path / "w", {"mybot": BOT, "other": BOT}, {"mybot": texts(5)})
    make_corpus(made, "village", posts(60))
    with closing(Store.of(made)) as store:
        add_candidates(store, "village", texts(40, start=100))
        with store.read() as connection:
            ids = list(connection.execute(sa.select(publications.c.id)).scalars())
        past = datetime.now(UTC) - timedelta(hours=2)
        with store.write() as connection:
            for id, values in zip(ids, ({"state": "failed"}, {"state": "unknown"}, {"due_at": past}), strict=False):
                connection.execute(sa.update(publications).where(publications.c.id == id).values(values))
            event = {
                "publication": ids[0],
                "at": past,
                "state": "failed",
                "fence": 1,
                "note": "<script>alert(1)</script>",
            }
            connection.execute(sa.insert(publication_events).values(event))
    publish(made, "mybot", limit=1)
    return made


@pytest.fixture
def client(workspace: Workspace) -> Iterator[TestClient]:
    with TestClient(create_app(workspace), raise_server_exceptions=False, client=("127.0.0.1", 4000)) as opened:
        yield opened


def test_metrics_of_the_game(client: TestClient) -> None:
    client.get("/api/game")
    client.get("/no/such/page")
    found = samples(client.get("/metrics").text)
    assert found["pasquin_http_requests_total", 'route="/api/game",status="200"'] == 1
    assert found["pasquin_http_requests_total", 'route="unmatched",status="404"'] == 1
    assert found["pasquin_http_request_seconds_count", 'route="/api/game"'] == 1
    assert found["pasquin_database_up", ""] == 1
    assert found["pasquin_disk_free_bytes", ""] > 0
    assert found["pasquin_bot_entries", 'bot="mybot",state="unknown"'] == 1
    assert found["pasquin_bot_overdue_seconds", 'bot="mybot"'] >= 0
    assert found["pasquin_bot_last_published_timestamp_seconds", 'bot="mybot"'] > 1.7e9
    assert found["pasquin_game_cards", 'category="village",origin="model"'] == 40
    assert "startup" not in client.get("/metrics").text


def test_metrics_are_for_this_machine_or_for_the_token(
    workspace: Workspace, client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert client.get("/metrics", headers={"X-Forwarded-For": "203.0.113.9"}).status_code == 404
    stranger = TestClient(client.app, client=("203.0.113.9", 4000))
    assert stranger.get("/metrics").status_code == 404
    monkeypatch.setenv("PASQUIN_METRICS_TOKEN", CANARY)
    assert client.get("/metrics").status_code == 404
    assert stranger.get("/metrics", headers={"Authorization": b"Bearer wrong-\xe9"}).status_code == 404
    assert stranger.get("/metrics", headers={"Authorization": f"Bearer {CANARY}"}).status_code == 200


def test_metrics_say_when_the_database_is_gone(workspace: Workspace, client: TestClient) -> None:
    client.app.state.store.engine.dispose()  # type: ignore[attr-defined]
    engine = sa.create_engine(workspace.database_url)
    with engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE guesses RENAME TO gone")
    engine.dispose()
    found = samples(client.get("/metrics").text)
    assert found["pasquin_database_up", ""] == 0
    assert found["pasquin_disk_free_bytes", ""] > 0


def sign_in(client: TestClient, name: str = "owner") -> None:
    store = client.app.state.store  # type: ignore[attr-defined]
    token = make_link(store, curator_named(store, name))
    assert client.post("/api/curation/sign-in", json={"token": token}).status_code == 200


class _Page(HTMLParser):
    """The visible words of a page, and that every element is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.words = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in ("meta", "link", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += data


def test_the_page_is_for_the_owner(client: TestClient) -> None:
    page = client.get("/operator")
    assert page.status_code == 401
    assert "pasquin curate" in page.text
    assert "mybot" not in page.text
    sign_in(client, "Ada")
    assert client.get("/operator").status_code == 403
    sign_in(client)
    page = client.get("/operator")
    assert page.status_code == 200
    assert "<script" not in page.text  # what a network answered is shown as words
    read = _Page()
    read.feed(page.text)
    assert not read.open
    for words in (
        "mybot",
        "In doubt",
        "Posts that failed: 1",
        "Nobody knows whether",
        "Disk free",
        "45",
        "<script>alert(1)",
    ):
        assert words in read.words, words
    nonce = re.search(r"nonce-([\w-]+)", page.headers["content-security-policy"])
    assert nonce
    assert f'<style nonce="{nonce[1]}">' in page.text


def test_failures_of_the_server_are_on_the_page(
    workspace: Workspace, client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    sign_in(client)
    monkeypatch.setattr(client.app.state.game, "recall", lambda _: 1 / 0)  # type: ignore[attr-defined]
    assert client.get("/api/game", cookies={"pasquin_player": "x"}).status_code == 500
    assert "/api/game" in client.get("/operator").text


def test_the_publisher_tells_how_its_bots_stand(workspace: Workspace) -> None:
    answers: list[str] = []

    def ask(port: int) -> None:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            answers.append(answer.read().decode())
        with pytest.raises(urllib.error.HTTPError):
            urllib.request.urlopen(f"http://127.0.0.1:{port}/other", timeout=10)

    looks = 0
    port = _free_port()

    def ended() -> bool:
        nonlocal looks
        looks += 1
        if looks == 3:
            ask(port)
        return looks > 4

    watch(workspace, "mybot", settings=PublishSettings(metrics_port=port, poll_seconds=0.01), ended=ended)
    found = samples(answers[0])
    assert sum(value for (name, _), value in found.items() if name == "pasquin_publish_runs_total") >= 1
    assert found["pasquin_published_total", 'bot="mybot"'] >= 0
    assert found["pasquin_bot_entries", 'bot="mybot",state="failed"'] == 1
    with (
        _taken(port),
        pytest.raises(ResourceError, match="metrics_port"),
    ):
        watch(workspace, "mybot", settings=PublishSettings(metrics_port=port), ended=lambda: True)


def _free_port() -> int:
    import socket

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _taken(port: int) -> Any:
    import socket

    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen()
    return listener


def test_alerts_are_rules_about_metrics_there_are(client: TestClient, workspace: Workspace) -> None:
    import yaml

    rules = yaml.safe_load((ROOT / "docs/alerts.yml").read_text())
    client.get("/api/game")
    known = {name for name, _ in samples(client.get("/metrics").text)}
    told = (ROOT / "docs/operate.md").read_text()
    for group in rules["groups"]:
        for rule in group["rules"]:
            assert {"alert", "expr", "for", "labels", "annotations"} <= set(rule)
            used = set(re.findall(r"\bpasquin_[a-z_]+", rule["expr"]))
            assert used <= known, used - known
            assert f"`{rule['alert']}`" in told
            assert rule["expr"].count("(") == rule["expr"].count(")")


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_logs_are_json_and_tell_no_secret(workspace: Workspace, tmp_path: Path) -> None:
    """A canary in every place where a secret can be, through a command that fails with all of them in reach."""
    secrets = {
        "PASQUIN_LOG": "json",
        "PASQUIN_BOT_MYBOT_PASSWORD": CANARY + "-a",
        "AWS_SECRET_ACCESS_KEY": CANARY + "-b",
        "PASQUIN_DATABASE_URL": f"postgresql+psycopg://me:{CANARY}-c@127.0.0.1:1/x?password={CANARY}-d",
    }
    run = program("bot", "show", "mybot", cwd=workspace.root, **secrets)
    assert run.returncode == 1
    (told,) = lines(run.stderr)
    assert told["event"] == "error"
    assert told["kind"] == "StoreError"
    assert CANARY not in run.stderr + run.stdout


def test_what_is_redacted(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("PASQUIN_LOG", "json")
    monkeypatch.setenv("SOME_API_KEY", CANARY)
    logs.event("x", text=f"{CANARY} https://me:{CANARY}x@host/ Authorization: Bearer abcdefgh.ijk?token={CANARY}y")
    logs.event("x", link="http://h/curate#sign-in=abc_def-1", n=3, odd=Path("a\nb"))
    with logs.JsonLines().task("Counting", 3, "posts") as task:
        task.advance(2, CANARY)
    logs.JsonLines().say("one\ntwo")
    written = capsys.readouterr().err
    assert len(lines(written)) == 5
    assert not re.search("canary|abcdefgh|abc_def", written)
    assert lines(written)[3]["done"] == 2
    monkeypatch.delenv("PASQUIN_LOG")
    logs.event("x")
    assert capsys.readouterr().err == ""


def test_requests_are_logged_without_who_and_what(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PASQUIN_LOG", "json")
    capsys.readouterr()
    client.get(f"/assets/{CANARY}.js?x={CANARY}", headers={"Cookie": f"pasquin_player={CANARY}"})
    client.get(f"/{CANARY}")
    written = capsys.readouterr().err
    assert [(one["route"], one["status"]) for one in lines(written)] == [("/assets/{name}", 404), ("unmatched", 404)]
    assert CANARY not in written
    assert "127.0.0.1" not in written


@pytest.fixture(scope="module")
def exporter() -> Any:
    pytest.importorskip("opentelemetry.sdk")
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    found = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(found))
    trace.set_tracer_provider(provider)
    return found


def test_traces_of_requests_and_stages(exporter: Any, client: TestClient, workspace: Workspace) -> None:
    from typer.testing import CliRunner

    from pasquin.cli import app

    exporter.clear()
    client.get("/api/game", headers={"Cookie": f"pasquin_player={CANARY}"})
    looks = iter((False, True, True))
    watch(workspace, "mybot", settings=PublishSettings(poll_seconds=0.01), ended=lambda: next(looks))
    assert CliRunner().invoke(app, ["bot", "show", "nobody", "--workspace", str(workspace.root)]).exit_code == 2
    spans = {span.name: span for span in exporter.get_finished_spans()}
    assert spans["GET /api/game"].attributes == {"pasquin.route": "/api/game", "pasquin.status": 200}
    assert spans["publish"].attributes["pasquin.bot"] == "mybot"
    assert not spans["pasquin show"].status.is_ok
    assert spans["pasquin show"].status.description == "UsageError"
    assert CANARY not in str([(span.name, dict(span.attributes)) for span in spans.values()])


def test_traces_that_cannot_be_sent_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    traces.start()  # nobody asked
    monkeypatch.setenv(traces.ENDPOINT, "http://127.0.0.1:1")
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    with pytest.raises(ResourceError, match=r"pasquin\[otel\]"):
        traces.start()


def test_counting_from_many_threads() -> None:
    from pasquin.metrics import Metrics

    metrics = Metrics({"pasquin_x_total": "X."}, ("pasquin_s", "S.", "of"))

    def count() -> None:
        for _ in range(2_000):
            metrics.add("x", of='a"\\\n')
            metrics.observe("b", 0.3)

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = samples(metrics.text([]))
    assert metrics.total("x") == 8_000
    assert found["pasquin_s_count", 'of="b"'] == 8_000
    assert found["pasquin_s_bucket", 'of="b",le="0.5"'] == 8_000
    assert found["pasquin_s_bucket", 'of="b",le="0.2"'] == 0
