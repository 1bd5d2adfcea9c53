"""The bots' routes: who may do what, the trigger, the public page, queues that change, and states that are told."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from fastapi.routing import APIRoute
from fastapi.testclient import TestClient

from pasquin.curate.curators import curator_named, make_link
from pasquin.errors import AccountRefused, NotSent
from pasquin.publish import publish, show, triggers
from pasquin.server.app import create_app
from pasquin.store import Store
from pasquin.store.schema import publications
from pasquin.workspace import Workspace
from publish_fakes import FakeService, LostAnswer, install, workspace_with

API = "/api/bots"
BOT = {"network": "fake", "account": "bot", "rest_minutes": 0.0, "minimum_stock": 0, "models": ["none"]}
TEXTS = [f"The {number}th kettle is always the best one." for number in range(1, 7)]
NOBODY_NEEDS_TO_BE_ANYBODY = {
    ("POST", "/api/game/start"),
    ("POST", "/api/curation/sign-in"),
}

Opener = Callable[..., TestClient]


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> FakeService:
    return install(monkeypatch, FakeService())


@pytest.fixture
def workspace(tmp_path: Path, service: FakeService) -> Workspace:
    return workspace_with(tmp_path, {"b": BOT, "c": {**BOT, "minimum_stock": 5}}, {"b": TEXTS})


@pytest.fixture
def opened(workspace: Workspace) -> Iterator[Opener]:
    """Opens clients of one running server, each signed in as somebody (None: nobody)."""
    app = create_app(workspace)
    with TestClient(app, raise_server_exceptions=False) as first:
        first.app = app

        def client(name: str | None = "owner") -> TestClient:
            made = TestClient(app, raise_server_exceptions=False)
            made.portal = first.portal
            if name is not None:
                token = make_link(app.state.store, curator_named(app.state.store, name))
                assert made.post("/api/curation/sign-in", json={"token": token}).status_code == 200
            return made

        yield client


def told(client: TestClient, bot: str = "b") -> dict[str, Any]:
    answer = client.get(f"{API}/{bot}")
    assert answer.status_code == 200, answer.text
    return answer.json()


def waiting(client: TestClient, bot: str = "b") -> list[str]:
    return [entry["text"] for entry in told(client, bot)["waiting"]]


def entry(client: TestClient, action: str, id: str, body: object = None, bot: str = "b") -> int:
    return client.post(f"{API}/{bot}/entries/{id}/{action}", json=body).status_code


def kinds(client: TestClient, bot: str = "b") -> list[str]:
    return [trouble["kind"] for trouble in told(client, bot)["summary"]["troubles"]]


def routes_of(router: Any) -> Iterator[APIRoute]:
    for route in router.routes:
        if isinstance(route, APIRoute):
            yield route
        elif (inner := getattr(route, "original_router", None)) is not None:
            yield from routes_of(inner)


def test_no_write_is_taken_from_nobody_or_from_another_site(opened: Opener) -> None:
    """Acceptance 19: every route of the application that writes, as the application itself lists them."""
    client = opened(None)
    routes = list(routes_of(client.app.router))
    assert {"/api/bots/{name}/publish", "/healthz", "/stats"} <= {route.path for route in routes}
    writes = {(method, route.path) for route in routes for method in route.methods - {"GET", "HEAD", "OPTIONS"}}
    assert len(writes) >= 20
    for method, path in sorted(writes):
        address = re.sub(r"\{[^}]*entry[^}]*\}", "0" * 32, path)
        address = re.sub(r"\{[^}]*\}", "b", address)
        for headers in ({"origin": "https://evil.invalid"}, {"sec-fetch-site": "cross-site"}):
            answer = opened("owner").request(method, address, json={}, headers=headers)
            assert answer.status_code == 403, f"{method} {path} from {headers}"
        if (method, path) not in NOBODY_NEEDS_TO_BE_ANYBODY:
            answer = client.request(method, address, json={})
            assert answer.status_code in (401, 403), f"{method} {path} by nobody: {answer.status_code}"
    for path in (API, f"{API}/b", f"{API}/b/entries", f"{API}/b/calendar?first=2026-01-01"):
        assert client.get(path).status_code == 401


def test_the_list_says_how_each_bot_is(opened: Opener, workspace: Workspace) -> None:
    client = opened()
    state = client.get(API).json()
    assert [bot["bot"] for bot in state["bots"]] == ["b", "c"]
    assert (state["stopped"], state["problem"]) == (False, None)
    low = state["bots"][1]
    assert (low["stock"], low["low"], [one["kind"] for one in low["troubles"]]) == (0, True, ["stock"])
    publish(workspace, "b")
    first = client.get(API).json()["bots"][0]
    assert (first["last"]["text"], first["stock"], first["run"]["state"]) == (TEXTS[0], 5, "published")
    workspace.toml.write_text("[bots.b]\nnetwork = 7\n")
    broken = client.get(API).json()
    assert "makes no sense" in broken["problem"]
    assert client.get("/healthz").status_code == 200


def test_a_queue_is_ordered_edited_and_thinned(opened: Opener, workspace: Workspace, service: FakeService) -> None:
    client = opened("ann")
    ids = [one["id"] for one in told(client)["waiting"]]
    assert entry(client, "move", ids[3], {"before": ids[0]}) == 204
    assert entry(client, "move", ids[0], {"before": None}) == 204
    assert entry(client, "withdraw", ids[1]) == 204
    assert entry(client, "edit", ids[2], {"text": "Said  better."}) == 204
    assert waiting(client) == [TEXTS[3], "Said better.", TEXTS[4], TEXTS[5], TEXTS[0]]
    assert entry(client, "edit", ids[2], {"text": TEXTS[4].upper()}) == 409, "another entry says that"
    assert entry(client, "edit", ids[2], {"text": " \u200b "}) == 409
    assert entry(client, "retry", ids[2]) == 409, "it has not failed"
    assert entry(client, "move", "0" * 32, {"before": None}) == 409
    assert client.get(f"{API}/nobody").status_code == 404
    publish(workspace, "b", limit=2)
    assert service.texts == [TEXTS[3], "Said better."]
    published = client.get(f"{API}/b/entries").json()
    assert (published[0]["text"], published[0]["edited"], published[0]["curator"]) == ("Said better.", True, "ann")
    receipt = client.get(f"{API}/b/entries/{ids[2]}/receipt").json()
    assert (receipt["edited"], receipt["origin"]["generated_text"]) == (True, TEXTS[2])
    assert client.get(f"{API}/c/entries/{ids[2]}/receipt").status_code == 404


def test_anybody_may_stop_and_only_the_owner_lets_go_on(
    opened: Opener, workspace: Workspace, service: FakeService
) -> None:
    ann, owner = opened("ann"), opened()
    assert ann.post(f"{API}/switch", json={"state": "stopped", "reason": "it went wild"}).status_code == 204
    state = ann.get(API).json()
    assert (state["stopped"], state["why"], state["bots"][0]["state"]) == (True, "it went wild", "stopped")
    assert publish(workspace, "b")["state"] == "stopped"
    assert ann.post(f"{API}/switch", json={"state": "active"}).status_code == 403
    assert ann.post(f"{API}/b/publish").status_code == 403
    assert ann.post(f"{API}/b/setup").status_code == 403
    assert owner.post(f"{API}/switch", json={"state": "active"}).status_code == 204
    assert ann.post(f"{API}/b/switch", json={"state": "paused"}).status_code == 204
    assert told(ann)["summary"]["why"] == "ann did it on the page"
    assert owner.post(f"{API}/b/switch", json={"state": "active"}).status_code == 204
    assert owner.post(f"{API}/b/publish").json()["state"] == "published"
    assert owner.post(f"{API}/nobody/switch", json={"state": "paused"}).status_code == 404
    assert service.texts == TEXTS[:1]


def test_what_is_in_doubt_is_resolved_on_the_page(opened: Opener, workspace: Workspace, service: FakeService) -> None:
    service.remembers = False
    service.faults = [LostAnswer(), LostAnswer()]
    publish(workspace, "b", limit=2, change=lambda bot: setattr(bot, "rest", lambda _: None))
    owner = opened()
    doubt = told(owner)["doubt"]
    assert ([one["state"] for one in doubt], kinds(owner)) == (["unknown", "unknown"], ["doubt"])
    assert entry(opened("ann"), "resolve", doubt[0]["id"], {"uri": None}) == 403
    assert entry(owner, "resolve", doubt[0]["id"], {"uri": "javascript:alert(1)"}) == 422
    assert entry(owner, "resolve", doubt[0]["id"], {"uri": "https://example.com/1"}) == 204
    assert entry(owner, "resolve", doubt[1]["id"], {"uri": None}) == 204
    assert (told(owner)["doubt"], kinds(owner), len(waiting(owner))) == ([], [], 5)


def test_troubles_have_words_and_what_helps(opened: Opener, workspace: Workspace, service: FakeService) -> None:
    client = opened()
    service.faults = [AccountRefused("The account is suspended.")]
    publish(workspace, "b")
    summary = told(client)["summary"]
    assert (summary["state"], kinds(client)) == ("paused", ["account"])
    assert "suspended" in summary["troubles"][0]["message"]
    assert len(waiting(client)) == 6, "nothing is lost"
    client.post(f"{API}/b/switch", json={"state": "active"})
    service.faults = [NotSent("The wire is cut.")]
    publish(workspace, "b")
    assert kinds(client) == ["run"]
    publish(workspace, "b")
    assert kinds(client) == []
    workspace.toml.write_text(workspace.toml.read_text().replace('account = "bot"', 'account = "another"', 1))
    assert kinds(client) == ["account changed"]
    workspace.toml.write_text(
        workspace.toml.read_text().replace('network = "fake"', 'network = "fake"\nschedule = "x"')
    )
    assert kinds(client)[0] == "schedule"
    assert client.get(f"{API}/b/calendar?first=2026-11-01").status_code == 409


def test_a_bot_that_nobody_runs_is_said_to_be_late(opened: Opener, workspace: Workspace) -> None:
    workspace.toml.write_text(workspace.toml.read_text().replace("[bots.b]\n", '[bots.b]\nschedule = "09:00"\n'))
    client = opened()
    with client.app.state.store.write() as connection:
        connection.execute(
            sa.update(publications)
            .where(publications.c.text == TEXTS[0])
            .values(due_at=datetime.now(UTC) - timedelta(hours=2))
        )
    assert kinds(client) == ["overdue"]


def test_a_deleted_bot_with_a_queue_is_shown_and_lets_it_go(opened: Opener, workspace: Workspace) -> None:
    client = opened()
    workspace.toml.write_text(workspace.toml.read_text().replace("[bots.b]", "[bots.d]"))
    summary = told(client)["summary"]
    assert (summary["state"], summary["configured"], summary["stock"]) == ("gone", False, 6)
    assert kinds(client) == ["gone"]
    assert client.post(f"{API}/b/publish").status_code == 409
    assert [bot["bot"] for bot in client.get(API).json()["bots"]] == ["d", "c", "b"]
    assert client.post(f"{API}/b/release").status_code == 204
    assert waiting(client) == []
    assert show(workspace, "b")[0]["entries"] == {"withdrawn": 6}


def test_a_copied_workspace_does_not_say_everything_again(tmp_path: Path) -> None:
    """Two workspaces that share a bot's account, and know nothing of each other."""
    path = tmp_path / "out.jsonl"
    bot = {**BOT, "network": "file", "account": str(path)}
    one = workspace_with(tmp_path / "one", {"b": bot}, {"b": TEXTS})
    shutil.copytree(one.root, tmp_path / "two")
    two = Workspace.open(tmp_path / "two")
    publish(one, "b", limit=3)
    result = publish(two, "b", limit=9)
    assert [one["text"] for one in result["published"]] == TEXTS[3:]
    assert ["said this already" in one["reason"] for one in result["failed"]] == [True] * 3
    assert not result["ok"]
    assert len(path.read_text().splitlines()) == 6


def test_the_calendar_is_the_bots_own(tmp_path: Path, service: FakeService) -> None:
    bot = {**BOT, "schedule": "09:30, 20:15", "time_zone": "Pacific/Auckland"}
    workspace = workspace_with(tmp_path, {"b": bot}, {"b": TEXTS[:3]})
    app = create_app(workspace)
    with TestClient(app) as client:
        token = make_link(app.state.store, curator_named(app.state.store))
        client.post("/api/curation/sign-in", json={"token": token})
        today = datetime.now(UTC).date() - timedelta(days=1)
        days = client.get(f"{API}/b/calendar", params={"first": today.isoformat(), "days": 7}).json()
        items = [item for day in days for item in day["items"]]
        assert len(days) == 7
        assert [item["state"] for item in items[:5]] == ["approved"] * 3 + ["free"] * 2
        assert {item["time"] for item in items} == {"09:30", "20:15"}
        assert [item["text"] for item in items[:3]] == TEXTS[:3]
        assert client.get(f"{API}/b/calendar", params={"first": "9999-12-31", "days": 42}).status_code == 200
        assert client.get(f"{API}/b/calendar", params={"first": "0001-01-01"}).status_code == 200


# -- the trigger -------------------------------------------------------------------------------------------------------


def trigger(client: TestClient, token: str | None, bot: str = "b", **headers: str) -> Any:
    given = {"Authorization": f"Bearer {token}"} if token else {}
    return client.post(f"{API}/{bot}/publish", headers=given | headers)


def test_a_token_starts_its_own_bot_and_no_other(
    opened: Opener, workspace: Workspace, service: FakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, store = opened(None), Store.of(workspace)
    token = triggers.make_token(store, "b")
    assert token.encode() not in b"".join(path.read_bytes() for path in workspace.root.glob("pasquin.db*"))
    refused = trigger(client, None)
    assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
    assert trigger(client, "pqb-made-up").status_code == 401
    assert trigger(client, token, "c").status_code == 403
    assert trigger(client, token, Origin="https://evil.invalid").status_code == 403
    for method in ("GET", "HEAD", "PUT"):
        answer = client.request(method, f"{API}/b/publish", headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code == 405
    assert service.texts == []
    answer = trigger(client, token)
    assert (answer.status_code, answer.json()["state"]) == (200, "published")
    assert service.texts == TEXTS[:1]
    monkeypatch.setenv("PASQUIN_BOT_C_TRIGGER", "a long word of the environment")
    assert trigger(client, "a long word of the environment", "c").json()["state"] == "nothing_due"
    newer = triggers.make_token(store, "b")
    assert trigger(client, token).status_code == 401, "the one before is valid no more"
    triggers.revoke_token(store, "b")
    assert trigger(client, newer).status_code == 401
    store.close()


def test_the_status_says_whether_asking_again_helps(opened: Opener, workspace: Workspace, service: FakeService) -> None:
    client, store = opened(None), Store.of(workspace)
    token = triggers.make_token(store, "b")
    service.faults = [NotSent("The wire is cut.")]
    answer = trigger(client, token)
    assert (answer.status_code, answer.json()["state"], answer.headers["retry-after"]) == (503, "not_sent", "60")
    assert answer.json()["message"] == "Nothing was published: The wire is cut."
    service.faults = [AccountRefused("The account is suspended.")]
    assert trigger(client, token).status_code == 502
    assert (trigger(client, token).status_code, service.texts) == (200, []), "it is paused now"
    store.close()


def test_the_same_start_counts_once(opened: Opener, workspace: Workspace, service: FakeService) -> None:
    client, store = opened(None), Store.of(workspace)
    token = triggers.make_token(store, "b")
    first = trigger(client, token, **{"Idempotency-Key": "morning"})
    again = trigger(client, token, **{"Idempotency-Key": "morning"})
    assert (first.json(), again.status_code) == (again.json(), 200)
    assert service.texts == TEXTS[:1]
    assert triggers.once(store, "b", "evening", lambda: {"inner": triggers.once(store, "b", "evening", dict)}) == {
        "inner": None
    }, "while it runs, another start with its key starts nothing"
    with pytest.raises(ZeroDivisionError):
        triggers.once(store, "b", "night", lambda: {"never": 1 // 0})
    assert triggers.once(store, "b", "night", lambda: {"then": True}) == {"then": True}
    store.close()


def test_starts_are_limited(opened: Opener, workspace: Workspace) -> None:
    client, store = opened(None), Store.of(workspace)
    token = triggers.make_token(store, "c")
    codes = [trigger(client, token, "c").status_code for _ in range(9)]
    assert codes[:5] == [200] * 5
    assert codes[-1] == 429
    store.close()


# -- the public page ---------------------------------------------------------------------------------------------------


def test_anybody_sees_what_a_bot_is_and_nothing_secret(tmp_path: Path) -> None:
    bot = {
        **BOT,
        "network": "file",
        "account": "secret-folder.jsonl",
        "maintainer": "@me.example",
        "model_family": "SmolLM2",
        "parodies": ["Some Body"],
    }
    workspace = workspace_with(tmp_path, {"b": bot}, {"b": TEXTS})
    publish(workspace, "b", limit=2)
    with TestClient(create_app(workspace)) as client:
        page = client.get(f"{API}/b/public")
        shown = page.json()
        assert (shown["published"], shown["model_family"], shown["maintainer"]) == (2, "SmolLM2", "@me.example")
        newest = shown["publications"][0]
        assert (newest["text"], newest["origin"]["seed"], newest["origin"]["model"]) == (TEXTS[1], 7, "m")
        assert (newest["novelty"]["kind"], newest["curated"], newest["edited"]) == ("novel", True, False)
        for secret in ("secret-folder", "file://", "ann", "i/status/1", str(tmp_path)):
            assert secret not in page.text
        assert client.get(f"{API}/nobody/public").status_code == 404
        with Store.of(workspace).write() as connection:
            connection.execute(sa.update(publications).values(state="deleted"))
        assert {one["text"] for one in client.get(f"{API}/b/public").json()["publications"]} == {None}
