"""The game over HTTP: what is answered, what is refused, and that nothing but the text differs between origins."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient

from invented import make_corpus, make_game, posts
from pasquin.config import PlaySettings
from pasquin.errors import CorpusError, ResourceError, UsageError
from pasquin.server import _listen, pages, play
from pasquin.server.app import create_app, openapi
from pasquin.server.game import COOKIE
from pasquin.store.schema import metadata
from pasquin.workspace import Workspace

ORIGIN = {"origin": "http://testserver"}
SESSIONS = 1_000 if "PASQUIN_SOAK" in os.environ else 40


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    workspace = Workspace.create(tmp_path)
    make_game(workspace)
    return workspace


@pytest.fixture
def client(workspace: Workspace) -> Iterator[TestClient]:
    settings = PlaySettings(attention_every=0, player_rate=1_000)
    with TestClient(create_app(workspace, settings=settings), raise_server_exceptions=False) as opened:
        yield opened


def take(client: TestClient) -> dict:
    return client.get("/api/game/round", params={"category": "village"}).json()["trial"]


def answer(client: TestClient, trial: str, guess: str = "human", **headers: str):
    body = {"trial": trial, "guess": guess, "response_ms": 1234}
    return client.post("/api/game/guess", json=body, headers=headers)


def test_a_game_from_the_first_screen_to_erasing(client: TestClient) -> None:
    state = client.get("/api/game").json()
    assert state["score"] is None
    assert state["setup"] is None
    assert state["categories"][0]["key"] == "village"
    assert client.get("/api/game/round", params={"category": "village"}).status_code == 401

    assert client.post("/api/game/start").json()["total"] == 0
    seen = set()
    for _ in range(30):
        reveal = answer(client, take(client)["id"]).json()
        assert reveal["correct"] == (reveal["origin"] == "human")
        assert (reveal["human"] is None) == (reveal["origin"] == "model")
        seen.add(reveal["origin"])
    assert seen == {"human", "model"}
    assert client.get("/api/game").json()["score"]["total"] == 30

    assert client.delete("/api/game/player").status_code == 204
    assert COOKIE not in client.cookies
    assert client.get("/api/game").json()["score"] is None


def test_the_cookie_is_for_this_site_and_not_for_scripts(client: TestClient) -> None:
    cookie = client.post("/api/game/start").headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=lax" in cookie
    again = client.post("/api/game/start")
    assert "set-cookie" not in again.headers
    with TestClient(client.app, base_url="https://testserver") as secure:
        assert "; secure" in secure.post("/api/game/start").headers["set-cookie"].lower()


def test_rounds_of_both_origins_look_alike(client: TestClient) -> None:
    """Same fields, same headers, nothing that names the item, until the guess is made."""
    client.post("/api/game/start")
    shapes = set()
    for _ in range(40):
        response = client.get("/api/game/round", params={"category": "village"})
        body = response.json()
        assert set(body["trial"]) == {"id", "category", "text", "check"}
        headers = {name: value for name, value in response.headers.items() if name not in {"content-length", "date"}}
        text = json.dumps(body["trial"]["text"], ensure_ascii=False).encode()
        overhead = len(response.content.rstrip(b" ")) - len(text)
        shapes.add((tuple(body), tuple(sorted(headers.items())), overhead, len(response.content)))
        answer(client, body["trial"]["id"])
    assert len(shapes) == 1


def test_every_answer_has_the_headers_that_protect(client: TestClient) -> None:
    client.post("/api/game/start")
    for path in ("/", "/api/game", "/api/game/round?category=village", "/nowhere", "/healthz", "/assets/none.js"):
        headers = client.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["cache-control"] == "no-store"
        assert "server" not in headers


def test_only_the_sites_named_may_show_the_game_in_a_frame(client: TestClient, workspace: Workspace) -> None:
    assert "frame-ancestors 'none'" in client.get("/embed").headers["content-security-policy"]
    settings = PlaySettings(embed=("https://blog.invalid",))
    with TestClient(create_app(workspace, settings=settings), base_url="https://testserver") as framed:
        headers = framed.get("/embed").headers
        assert "frame-ancestors https://blog.invalid" in headers["content-security-policy"]
        assert "x-frame-options" not in headers
        for path in ("/", "/curate", "/stats", "/api/game"):
            headers = framed.get(path).headers
            assert "frame-ancestors 'none'" in headers["content-security-policy"]
            assert headers["x-frame-options"] == "DENY"
        cookie = framed.post("/api/game/start?embedded=true", headers={"sec-fetch-site": "same-origin"})
        assert {"samesite=none", "secure", "partitioned"} <= set(cookie.headers["set-cookie"].lower().split("; "))
        assert framed.post("/api/game/start", headers={"sec-fetch-site": "cross-site"}).status_code == 403
    with pytest.raises(ValueError, match="embed"):
        PlaySettings(embed=("https://a.invalid; script-src *",))


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.invalid"},
        {"origin": "null"},
        {"origin": "http://testserver.evil.invalid"},
        {"origin": "http://testserver:81"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site", "origin": "http://testserver"},
    ],
)
def test_other_sites_cannot_write(client: TestClient, headers: dict[str, str]) -> None:
    client.post("/api/game/start", headers=ORIGIN)
    trial = take(client)["id"]
    assert client.post("/api/game/start", headers=headers).status_code == 403
    assert answer(client, trial, **headers).status_code == 403
    assert client.delete("/api/game/player", headers=headers).status_code == 403
    assert answer(client, trial, **ORIGIN).status_code == 200


def test_writes_without_a_player_are_refused(client: TestClient) -> None:
    assert answer(client, "0" * 32).status_code == 401
    assert client.delete("/api/game/player").status_code == 401
    client.cookies.set(COOKIE, "made-up")
    assert answer(client, "0" * 32).status_code == 401


def test_strange_requests_get_a_sentence_and_no_server_error(client: TestClient) -> None:
    client.post("/api/game/start")
    trial = take(client)["id"]
    good = {"trial": trial, "guess": "human", "response_ms": 1}
    bad_bodies: list[bytes] = [
        b"",
        b"{",
        b"[]",
        b"\xff\xfe",
        b"null",
        *(
            json.dumps(good | change).encode()
            for change in (
                {"guess": "ghost"},
                {"guess": "\ud800"},
                {"trial": "x" * 32},
                {"trial": trial.upper() + "\n"},
                {"response_ms": -1},
                {"response_ms": 1e300},
                {"response_ms": "soon"},
                {"response_ms": "5"},
                {"response_ms": True},
                {"extra": "<script>"},
                {"trial": None},
            )
        ),
    ]
    for body in bad_bodies:
        response = client.post("/api/game/guess", content=body, headers={"content-type": "application/json"})
        assert response.status_code == 422, body
        assert set(response.json()) == {"message"}
        assert "script" not in response.text
    as_text = client.post("/api/game/guess", content=json.dumps(good), headers={"content-type": "text/plain"})
    assert as_text.status_code == 422
    assert client.get("/api/game/round").status_code == 422
    assert client.get("/api/game/round", params={"category": "village", "mode": "blitz"}).status_code == 422
    for category in ("", "nowhere", "\x00", "../..", "village/" + "x" * 500):
        response = client.get("/api/game/round", params={"category": category})
        assert response.status_code in {404, 422}
        assert set(response.json()) == {"message"}
    for path in ("/assets/..%2f..%2fapp.py", "/assets/%00", "/api/nowhere", "/docs"):
        assert client.get(path).status_code == 404
    page = client.get("/nowhere", headers={"Accept": "text/html,*/*;q=0.8"})
    assert (page.status_code, page.headers["content-type"]) == (404, "text/html; charset=utf-8")
    assert '<a href="/">' in page.text
    assert client.get("/nowhere").json() == {"message": "There is nothing here."}
    assert client.get("/api/game/guess").status_code == 405
    assert answer(client, trial).status_code == 200


def test_a_body_that_is_too_large_is_refused_whether_or_not_it_says_so(client: TestClient) -> None:
    client.post("/api/game/start")
    headers = {"content-type": "application/json"}
    large = b'"' + b"x" * 100_000 + b'"'
    assert client.post("/api/game/guess", content=large, headers=headers).status_code == 413
    chunks = iter([large[:50_000], large[50_000:]])
    assert client.post("/api/game/guess", content=chunks, headers=headers).status_code == 413


def test_a_repeated_guess_gets_the_stored_result(client: TestClient) -> None:
    client.post("/api/game/start")
    trial = take(client)["id"]
    first, second = answer(client, trial, "model").json(), answer(client, trial, "human").json()
    assert first == second
    assert first["guess"] == "model"


def test_no_address_is_stored(client: TestClient) -> None:
    client.post("/api/game/start", headers={"x-forwarded-for": "203.0.113.77", "user-agent": "agent-77"})
    answer(client, take(client)["id"])
    with client.app.state.store.read() as connection:
        stored = " ".join(
            str(row)
            for name in ("players", "trials", "guesses")
            for row in connection.execute(sa.select(metadata.tables[name]))
        )
    assert stored
    assert not any(word in stored for word in ("203.0.113.77", "testclient", "agent-77"))


def test_a_database_that_fails_is_a_503_and_the_guess_can_be_sent_again(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.post("/api/game/start")
    trial = take(client)["id"]
    store = client.app.state.store
    assert client.get("/healthz").status_code == 200

    def broken(*_: object) -> None:
        raise sa.exc.OperationalError("INSERT", {}, Exception("disk I/O error"))

    with monkeypatch.context() as patch:
        patch.setattr(store.engine, "connect", broken)
        response = answer(client, trial)
        assert response.status_code == 503
        assert "disk I/O error" in response.json()["message"]
        assert client.get("/healthz").status_code == 503
    assert answer(client, trial).json()["score"]["total"] == 1


def test_an_empty_workspace_says_what_to_run(tmp_path: Path) -> None:
    workspace = Workspace.create(tmp_path)
    with TestClient(create_app(workspace)) as client:
        state = client.get("/api/game").json()
        assert state["categories"] == []
        assert "pasquin prepare" in state["setup"]["command"]
    make_corpus(workspace, "village", posts(100))
    with TestClient(create_app(workspace)) as client:
        assert client.get("/api/game").json()["setup"]["command"] == "pasquin train village"


def test_the_page_is_served_compressed_with_a_nonce_of_its_own(
    client: TestClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    static = tmp_path / "static"
    (static / "assets").mkdir(parents=True)
    (static / "index.html").write_text('<head><meta nonce="__STYLE_NONCE__"></head>')
    (static / "assets" / "app-1a2b.js").write_text("let x = 1;\n" * 500)
    (static / "assets" / "app-1a2b.js.br").write_bytes(b"a Brotli twin")
    monkeypatch.setattr(pages, "STATIC", static)
    pages._files.cache_clear()
    try:
        first, second = client.get("/"), client.get("/")
        assert "__STYLE_NONCE__" not in first.text
        assert first.text != second.text
        assert first.text.split('"')[1] in first.headers["content-security-policy"]
        assert 'href="/api/game"' in first.text  # asked for before any script runs
        assert 'href="/api/game"' not in client.get("/curate").text
        for header, coding in (
            ("gzip, deflate, br;q=0.9", "br"),
            ("gzip", "gzip"),
            ("gzip;q=1.0, br;q=0", "gzip"),
            ("identity", None),
            ("", None),
        ):
            with client.stream("GET", "/assets/app-1a2b.js", headers={"accept-encoding": header}) as script:
                assert script.headers.get("content-encoding") == coding, header
                if coding == "br":
                    assert b"".join(script.iter_raw()) == b"a Brotli twin"
        assert client.get("/assets/app-1a2b.js.br").status_code == 404
        assert "immutable" in script.headers["cache-control"]
        assert "javascript" in script.headers["content-type"]
    finally:
        pages._files.cache_clear()


def test_without_built_pages_it_says_how_to_build_them(
    client: TestClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "STATIC", tmp_path / "none")
    pages._files.cache_clear()
    try:
        response = client.get("/")
        assert response.status_code == 503
        assert "make web" in response.text
    finally:
        pages._files.cache_clear()


def test_the_schema_describes_the_game_and_its_errors() -> None:
    paths = openapi()["paths"]
    game = {path for path in paths if path.startswith("/api/game")}
    assert game == {
        f"/api/game{path}" for path in ("", "/start", "/round", "/guess", "/reason", "/nick", "/boards", "/player")
    }
    for status in ("401", "403", "404", "413", "422", "503"):
        schema = paths["/api/game/guess"]["post"]["responses"][status]["content"]["application/json"]["schema"]
        assert schema == {"$ref": "#/components/schemas/Message"}


def test_a_port_in_use_and_a_foreign_host_are_explained(workspace: Workspace) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ResourceError, match=f"Port {port} is in use.*--port"):
            play(workspace, settings=PlaySettings(port=port))
    with pytest.raises(UsageError, match=r"192\.0\.2\.1"):
        play(workspace, settings=PlaySettings(host="192.0.2.1", port=0))
    with pytest.raises(CorpusError, match="nowhere"):
        play(workspace, ["nowhere"], settings=PlaySettings(port=0))


def test_answers_are_not_held_back_by_nagle() -> None:
    """Without the protocol's name asyncio leaves Nagle's algorithm on, which costs every answer 40 ms."""
    with _listen("127.0.0.1", 0) as listener:
        assert listener.proto == socket.IPPROTO_TCP


_SERVE = """
import gc, sys
from pathlib import Path
from pasquin.config import PlaySettings
from pasquin.server import play
from pasquin.workspace import Workspace
def python():
    return gc.get_threshold(), sys.getswitchinterval(), gc.get_freeze_count()
def ready(url):
    serving.append(python())
    print(url, flush=True)
before, serving = python(), []
play(Workspace.open(Path(sys.argv[1])), settings=PlaySettings(port=0), ready=ready)
after = python()
assert before == after and all(was != then for was, then in zip(before, serving[0])), (before, serving, after)
print("ended well, Python as it was", flush=True)
"""


def test_ctrl_c_ends_the_server_and_a_kill_loses_no_acknowledged_guess(workspace: Workspace) -> None:
    import httpx

    token = None
    for turn, (sign, ending) in enumerate(((signal.SIGKILL, ""), (signal.SIGINT, "ended well, Python as it was\n"))):
        server = subprocess.Popen(
            [sys.executable, "-c", _SERVE, str(workspace.root)], stdout=subprocess.PIPE, text=True, env=os.environ
        )
        watchdog = threading.Timer(60, server.kill)
        watchdog.start()
        url = server.stdout.readline().strip()
        with httpx.Client(base_url=url, cookies={COOKIE: token} if token else None) as client:
            assert client.post("/api/game/start").json()["total"] == turn * 5
            for _ in range(5):
                trial = client.get("/api/game/round", params={"category": "village"}).json()["trial"]
                answer(client, trial["id"]).raise_for_status()
            token = token or client.cookies[COOKIE]
        server.send_signal(sign)
        rest, _ = server.communicate()
        watchdog.cancel()
        assert rest == ending


def test_no_trial_takes_two_guesses_however_they_come(client: TestClient) -> None:
    """Replayed, parallel and forged guesses of many sessions: each trial has one guess, which all answers tell."""
    players = [TestClient(client.app, raise_server_exceptions=False) for _ in range(SESSIONS)]
    for player in players:
        player.portal = client.portal
        player.post("/api/game/start")
    for number, player in enumerate(players):
        trial = take(player)["id"]
        stranger = players[number - 1]
        assert answer(stranger, trial).status_code == 404
        assert answer(stranger, f"{number:032x}").status_code == 404
        with ThreadPoolExecutor(6) as pool:
            sent = pool.map(answer, [player] * 6, [trial] * 6, ["human", "model"] * 3)
        told = {(one.status_code, one.json()["guess"], one.json()["score"]["total"]) for one in sent}
        assert len(told) == 1
        assert answer(player, trial, "model").json()["guess"] == told.pop()[1]
    with client.app.state.store.read() as connection:
        stored = connection.execute(sa.select(sa.func.count()).select_from(metadata.tables["guesses"])).scalar_one()
    assert stored == SESSIONS
