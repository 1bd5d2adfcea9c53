"""The curation page's API: signing in, deciding once however often it is sent, undoing, several curators, bad input."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient

from invented import add_candidates, make_corpus, make_game, posts
from pasquin.config import CurateSettings
from pasquin.curate.curators import curator_named, make_link
from pasquin.server.app import create_app
from pasquin.server.sign_in import COOKIE
from pasquin.store import Store
from pasquin.store.decided import accepted_candidates
from pasquin.store.schema import candidates, decisions
from pasquin.workspace import Workspace
from pasquin.workspace.tombstones import add_tombstones

API = "/api/curation"
NUMBERS = count(1)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    workspace = Workspace.create(tmp_path)
    make_game(workspace, generated=60)
    return workspace


Opener = Callable[..., TestClient]


@pytest.fixture
def signed_in(workspace: Workspace) -> Iterator[Opener]:
    """Opens clients of one running server, each signed in as somebody."""
    app = create_app(workspace, curate_settings=CurateSettings(overlap=0))
    with TestClient(app, raise_server_exceptions=False) as first:
        first.app = app

        def opened(name: str | None = "owner") -> TestClient:
            client = TestClient(app, raise_server_exceptions=False)
            client.portal = first.portal
            if name is not None:
                store = app.state.store
                token = make_link(store, curator_named(store, name))
                assert client.post(f"{API}/sign-in", json={"token": token}).status_code == 200
            return client

        yield opened


def entry(candidate: str, decision: str = "accept", **more: Any) -> dict[str, Any]:
    return {"key": f"key-{next(NUMBERS):08}", "candidate": candidate, "decision": decision, "seconds": 2.0} | more


def decide(client: TestClient, *entries: dict[str, Any]) -> list[str]:
    answer = client.post(f"{API}/decisions", json={"entries": list(entries)})
    assert answer.status_code == 200, answer.text
    return [each["outcome"] for each in answer.json()["outcomes"]]


def cards(client: TestClient, **query: object) -> list[dict[str, Any]]:
    answer = client.get(f"{API}/cards", params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


def accepted(workspace: Workspace) -> list[str]:
    store = Store.of(workspace)
    with store.read() as connection:
        return [row["text"] for row in connection.execute(accepted_candidates()).mappings()]


def test_nobody_gets_in_without_a_link(signed_in: Opener) -> None:
    client = signed_in(None)
    routes = ("", "/cards", "/history", "/pair", "/together", "/sheet")
    assert {client.get(API + route).status_code for route in routes} == {401}
    body = {"entries": [entry("0" * 32)]}
    assert client.post(f"{API}/decisions", json=body).status_code == 401
    assert client.post(f"{API}/sign-out").status_code == 401
    assert client.post("/api/game/start").status_code == 200
    assert client.get(API).status_code == 401, "the game's cookie is another one"


def test_a_link_signs_in_once_and_its_cookie_is_kept_from_scripts_and_other_sites(signed_in: Opener) -> None:
    client = signed_in(None)
    store = client.app.state.store
    token = make_link(store, curator_named(store))
    answer = client.post(f"{API}/sign-in", json={"token": token})
    assert answer.json()["name"] == "owner"
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert client.get(API).json()["curator"]["owner"] is True
    again = signed_in(None).post(f"{API}/sign-in", json={"token": token})
    assert again.status_code == 401
    assert "pasquin curate" in again.json()["message"]
    assert client.post(f"{API}/sign-out").status_code == 204
    assert client.get(API).status_code == 401


def test_links_cannot_be_tried_without_end(signed_in: Opener) -> None:
    client = signed_in(None)
    codes = [client.post(f"{API}/sign-in", json={"token": f"made-up-{n}"}).status_code for n in range(12)]
    assert codes == [401] * 10 + [429] * 2
    refused = client.post(f"{API}/sign-in", json={"token": "x"})
    assert 0 < int(refused.headers["retry-after"]) <= 61


def test_other_sites_cannot_write(signed_in: Opener) -> None:
    client = signed_in()
    for path in ("decisions", "preferences", "sign-in", "sign-out"):
        answer = client.post(f"{API}/{path}", json={}, headers={"origin": "https://evil.invalid"})
        assert answer.status_code == 403


@pytest.mark.skipif(bool(os.environ.get("PASQUIN_TEST_POSTGRES")), reason="looks into the file of SQLite")
def test_no_secret_is_stored(signed_in: Opener, workspace: Workspace) -> None:
    client = signed_in()
    content = (workspace.root / "pasquin.db").read_bytes() + (workspace.root / "pasquin.db-wal").read_bytes()
    assert client.cookies[COOKIE].encode() not in content


def test_accept_edit_reject_skip(signed_in: Opener, workspace: Workspace) -> None:
    client = signed_in()
    first, second, third, fourth, *_ = cards(client, n=10)
    outcomes = decide(
        client,
        entry(first["id"]),
        entry(second["id"], "edit", text="Rewritten  by hand &amp; kept"),
        entry(third["id"], "reject", reason="dull"),
        entry(fourth["id"], "skip"),
    )
    assert outcomes == ["stored"] * 4
    assert sorted(accepted(workspace)) == sorted([first["text"], "Rewritten by hand & kept"])
    state = client.get(API).json()
    assert state["progress"] == {"candidates": 60, "open": 57, "accepted": 2, "rejected": 1}
    assert state["mine"]["decided"] == 3
    assert state["mine"]["seconds"] == 8.0
    assert state["mine"]["minutes_per_keeper"] == pytest.approx(8 / 60 / 2)
    rest = cards(client, n=100)
    assert len(rest) == 57
    assert rest[-1]["id"] == fourth["id"], "what was skipped comes back last"
    edited = next(card for card in cards(client, status="accepted") if card["id"] == second["id"])
    assert edited["text"] == second["text"], "the original is kept"
    assert edited["decided"]["decision"] == "edit"


def test_sending_again_changes_nothing(signed_in: Opener, workspace: Workspace) -> None:
    client = signed_in()
    sent = [entry(card["id"], "reject") for card in cards(client, n=5)]
    assert decide(client, *sent) == ["stored"] * 5
    assert decide(client, *reversed(sent)) == ["known"] * 5
    store = Store.of(workspace)
    with store.read() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(decisions)).scalar() == 5


def test_undo_without_limit(signed_in: Opener, workspace: Workspace) -> None:
    client = signed_in()
    shown = cards(client, n=30)
    made = [entry(card["id"]) for card in shown]
    decide(client, *made)
    undone = []
    while past := client.get(f"{API}/history", params={"n": 7}).json():
        for each in past:
            key, candidate = each["decided"]["key"], each["candidate"]["id"]
            assert decide(client, entry(candidate, "undo", undoes=key)) == ["stored"]
            undone.append(key)
    assert undone == [each["key"] for each in reversed(made)]
    assert accepted(workspace) == []
    assert client.get(API).json()["mine"]["kept"] == 0
    assert decide(client, entry(made[0]["candidate"], "undo", undoes=made[0]["key"])) == ["known"]
    assert decide(client, entry(made[0]["candidate"], "undo", undoes="never-there")) == ["gone"]
    client.app.state.curation._desk.refresh()
    assert {card["id"] for card in shown} <= {card["id"] for card in cards(client, n=100)}


def test_a_decision_and_its_undo_arrive_together_after_a_time_offline(signed_in: Opener, workspace: Workspace) -> None:
    client = signed_in()
    card = cards(client, n=1)[0]
    made = entry(card["id"])
    assert decide(client, made, entry(card["id"], "undo", undoes=made["key"])) == ["stored", "stored"]
    assert accepted(workspace) == []


def test_nobody_undoes_what_somebody_else_decided(signed_in: Opener, workspace: Workspace) -> None:
    ada, bo = signed_in("ada"), signed_in("bo")
    made = entry(cards(ada, n=1)[0]["id"])
    decide(ada, made)
    assert decide(bo, entry(made["candidate"], "undo", undoes=made["key"])) == ["gone"]
    assert len(accepted(workspace)) == 1


def test_two_curators_never_get_the_same_candidate_but_for_the_overlap(workspace: Workspace) -> None:
    app = create_app(workspace, curate_settings=CurateSettings(overlap=30))
    with TestClient(app) as first:
        both = []
        for name in ("ada", "bo"):
            client = TestClient(app)
            client.portal = first.portal
            client.post(
                f"{API}/sign-in", json={"token": make_link(app.state.store, curator_named(app.state.store, name))}
            )
            both.append(client)
        ada, bo = ({card["id"] for card in cards(client, n=30)} for client in both)
        assert 0 < len(ada & bo) < 15
        for card in cards(both[0], n=100):
            decide(both[0], entry(card["id"], "accept"))
        left = cards(both[1], n=100)
        assert left
        assert {card["decided"] for card in left} == {None}, "what others decided must not sway anybody"
        for number, card in enumerate(left):
            decide(both[1], entry(card["id"], "reject" if number % 3 == 0 else "accept"))
        result = both[0].get(f"{API}/together").json()
        assert result["overlap"] == 30
        kappa = result["kappas"][0]
        assert kappa["curators"] == ["ada", "bo"] or kappa["curators"] == ["bo", "ada"]
        assert kappa["n"] > len(result["disagreements"]) > 0
        assert kappa["observed"] == pytest.approx(1 - len(result["disagreements"]) / kappa["n"])
        assert len(result["disagreements"][0]["decisions"]) == 2


def test_filters(signed_in: Opener) -> None:
    client = signed_in()
    everything = cards(client, n=100)
    account = everything[0]["account"]
    assert {card["account"] for card in cards(client, n=100, account=account)} == {account}
    word = everything[0]["text"].split()[3].strip(".,!:")
    found = cards(client, n=100, about=word.upper())
    assert found
    assert all(word.lower() in card["text"].lower() for card in found)
    assert all(60 <= len(card["text"]) <= 90 for card in cards(client, n=100, shortest=60, longest=90))
    assert cards(client, model="nobody") == []
    have = ",".join(card["id"] for card in everything[:50])
    assert len(cards(client, n=100, have=have)) == len(everything) - 50


def test_the_certificate_names_the_nearest_post_and_marks_what_is_shared(tmp_path: Path) -> None:
    workspace = Workspace.create(tmp_path)
    make_corpus(workspace, "village", posts(40))
    from pasquin.workspace.corpora import read_corpus

    post = read_corpus(workspace, "village")[1]
    shared = post.text[4:30]
    text = f"Zz {shared.upper()} zz"
    store = Store.of(workspace)
    add_candidates(store, "other", [text], nearest=(post.uri,))
    with store.write() as connection:
        connection.execute(sa.update(candidates).values(corpus="village"))
    app = create_app(workspace, curated=("other",))
    with TestClient(app) as client:
        client.post(f"{API}/sign-in", json={"token": make_link(app.state.store, curator_named(app.state.store))})
        card = cards(client)[0]
    assert card["nearest"]["text"] == post.text
    begin, end = card["run"]["post"].values()
    assert post.text[begin:end].strip() == shared.strip()
    begin, end = card["run"]["candidate"].values()
    assert text[begin:end].strip() == shared.strip().upper()


def test_what_comes_near_a_forgotten_post_disappears(signed_in: Opener, workspace: Workspace) -> None:
    from pasquin.progress import Silent
    from pasquin.withdrawal import withdraw

    client = signed_in()
    assert len(cards(client, n=100)) == 60
    add_tombstones(workspace, "forgotten", ["https://posts.invalid/1"])
    desk = client.app.state.curation._desk
    desk.refresh()
    left = cards(client, n=100)
    assert 0 < len(left) < 60
    gone = {card["id"] for card in cards(client, n=100, status="all")} ^ {card["id"] for card in left}
    assert gone == set()
    withdraw(workspace, Silent())
    desk.refresh()
    assert len(cards(client, n=100)) == len(left)
    store = Store.of(workspace)
    with store.read() as connection:
        query = sa.select(candidates.c.id).where(candidates.c.withdrawn_at.is_not(None))
        withdrawn = connection.execute(query).scalars().first()
    assert decide(client, entry(withdrawn)) == ["gone"]


def test_decisions_of_another_process_are_noticed(signed_in: Opener, workspace: Workspace) -> None:
    client = signed_in()
    card = cards(client, n=1)[0]
    from pasquin.curate import Entry, open_desk

    with open_desk(workspace) as (desk, store):
        made = Entry(key="elsewhere", candidate=card["id"], decision="accept")
        assert desk.record(curator_named(store, "terminal").id, [made]).result() == ["stored"]
    client.app.state.curation._desk.refresh()
    assert card["id"] not in {each["id"] for each in cards(client, n=100)}
    assert client.get(API).json()["progress"]["accepted"] == 1


def test_pairs_teach_and_are_stored_once(signed_in: Opener) -> None:
    client = signed_in()
    one, other = client.get(f"{API}/pair").json()["pair"].values()
    assert one["id"] != other["id"]
    body = {"key": "pair-0001", "better": one["id"], "worse": other["id"], "seconds": 1.5}
    assert client.post(f"{API}/preferences", json=body).json()["outcomes"][0]["outcome"] == "stored"
    assert client.post(f"{API}/preferences", json=body).json()["outcomes"][0]["outcome"] == "known"


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"entries": []},
        {"entries": [{"key": "short", "candidate": "0" * 32, "decision": "accept"}]},
        {"entries": [{"key": "long-enough", "candidate": "../../etc", "decision": "accept"}]},
        {"entries": [{"key": "long-enough", "candidate": "0" * 32, "decision": "publish"}]},
        {"entries": [{"key": "long-enough", "candidate": "0" * 32, "decision": "accept", "seconds": -1}]},
        {"entries": [{"key": "long-enough", "candidate": "0" * 32, "decision": "edit", "text": "x" * 3_001}]},
        [1, 2],
    ],
)
def test_strange_decisions_are_refused_with_a_sentence(signed_in: Opener, body: object) -> None:
    answer = signed_in().post(f"{API}/decisions", json=body)
    assert answer.status_code == 422
    assert answer.json()["message"]


def test_strange_queries_are_no_server_errors(signed_in: Opener) -> None:
    client = signed_in()
    for query in ("n=0", "n=1e9", "have=x", "status=none", "shortest=-1", "about=" + "a" * 300, "before=x"):
        assert client.get(f"{API}/cards?{query}").status_code in (200, 422)
    assert client.get(f"{API}/cards", params={"about": "\ud800".encode("utf-8", "surrogatepass")}).status_code == 200
    assert decide(client, entry("f" * 32)) == ["gone"]
    assert decide(client, entry(cards(client)[0]["id"], "edit", text="\u202e\x00 ")) == ["stored"]


def test_a_workspace_without_candidates_has_a_desk_that_is_empty(tmp_path: Path) -> None:
    app = create_app(Workspace.create(tmp_path))
    with TestClient(app) as client:
        client.post(f"{API}/sign-in", json={"token": make_link(app.state.store, curator_named(app.state.store))})
        assert client.get(API).json()["progress"]["candidates"] == 0
        assert cards(client) == []
        assert client.get(f"{API}/pair").json() == {"pair": None}
