"""The pages' API answers as its schema says, whatever is sent in whatever order, and never with a 5xx.

One way starts with nothing (the game) or signed in as the owner (the rest), and may end with being erased or signed
out, after which other steps still follow.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import count, cycle, islice
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from fastapi.testclient import TestClient

from documented import Link, answers_as_documented, answers_in_sequence, guarded_operations
from invented import make_game
from pasquin.config import CurateSettings, PlaySettings
from pasquin.curate.curators import curator_named, make_link
from pasquin.errors import AccountRefused, NotSent, TextRefused
from pasquin.publish import enqueue
from pasquin.publish.triggers import make_token
from pasquin.server import bot_trigger
from pasquin.server import sign_in as sign_in_routes
from pasquin.server.app import create_app
from pasquin.server.game import COOKIE
from pasquin.workspace import Workspace
from publish_fakes import FakeService, LostAnswer, accepted, install, workspace_with

BOT = {"network": "fake", "account": "bot", "rest_minutes": 0.0, "minimum_stock": 0, "models": ["none"]}
NUMBERS = count(1)


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> FakeService:
    return install(monkeypatch, FakeService(remembers=False))


@pytest.fixture
def workspace(tmp_path: Path, service: FakeService) -> Workspace:
    workspace = workspace_with(tmp_path, {"b": BOT})
    make_game(workspace, generated=120)
    return workspace


@pytest.fixture
def client(workspace: Workspace) -> Iterator[TestClient]:
    playing = PlaySettings(player_rate=1e6, address_rate=1e6)
    app = create_app(workspace, settings=playing, curate_settings=CurateSettings(overlap=0))
    with TestClient(app, raise_server_exceptions=False) as opened:
        yield opened


def sign_in(client: TestClient) -> dict[str, str]:
    """A new session of the owner."""
    client.cookies.clear()
    token = make_link(client.app.state.store, curator_named(client.app.state.store))
    return dict(client.post("/api/curation/sign-in", json={"token": token}).cookies)


def schema_of(client: TestClient) -> schemathesis.BaseSchema:
    return schemathesis.openapi.from_asgi("/api/openapi.json", client.app)


def test_the_pages_answer_as_documented(client: TestClient) -> None:
    sign_in(client)

    def ready(case: schemathesis.Case) -> dict[str, str]:
        if case.path.endswith("/start"):
            client.cookies.delete(COOKIE)
        else:
            client.post("/api/game/start")
        return {"cookie": "; ".join(f"{name}={value}" for name, value in client.cookies.items())}

    answers_as_documented(schema_of(client), ready, 100)


def test_nobody_comes_in_without_what_the_schema_asks_for(client: TestClient) -> None:
    """No cookie, one of nobody, a token of nobody: 401, before anything else about the request is looked at."""
    guarded = guarded_operations(client.get("/api/openapi.json").json())
    assert {path.split("/")[2] for _, path in guarded} == {"game", "curation", "bots"}
    assert len(guarded) > 20
    nobody = {"cookie": f"{COOKIE}=nobody; {sign_in_routes.COOKIE}=nobody"}
    for method, path in guarded:
        address = path.replace("{name}", "b").replace("{entry}", "1")
        for headers in ({}, nobody, {"authorization": "Bearer nobody"}):
            client.cookies.clear()
            answer = client.request(method, address, headers=headers)
            assert answer.status_code == 401, (method, path, headers, answer.text)


def came(seen: Counter[str], *answers: str) -> None:
    """Each of these was among what was answered."""
    assert not [each for each in answers if not seen[each]], sorted(seen.items())


START, ROUND, GUESS = "POST /api/game/start", "GET /api/game/round", "POST /api/game/guess"
REASON, NICK, ERASE = "POST /api/game/reason", "PUT /api/game/nick", "DELETE /api/game/player"


def rounds(after: str) -> list[Link]:
    modes = ("classic", "pair", "daily", "endless")
    return [Link(after, ROUND, {"query.category": "village", "query.mode": mode}) for mode in modes]


def guesses(after: str, trial: str) -> list[Link]:
    return [Link(after, GUESS, body={"trial": trial, "guess": guess}) for guess in ("human", "model")]


def test_a_game_in_any_order(client: TestClient) -> None:
    links = [
        *rounds(f"{START} 200"),
        *rounds(f"{GUESS} 200"),
        *guesses(f"{ROUND} 200", "$response.body#/trial/id"),
        *guesses(f"{ROUND} 200", "$response.body#/other/id"),
        Link(f"{GUESS} 200", GUESS, body={"trial": "$response.body#/trial"}),
        Link(f"{ROUND} 200", REASON, body={"trial": "$response.body#/trial/id"}),
        Link(f"{GUESS} 200", REASON, body={"trial": "$response.body#/trial"}),
        Link(f"{GUESS} 200", "GET /api/game"),
        Link(f"{START} 200", NICK),
        Link(f"{NICK} 204", "GET /api/game/boards"),
        Link(f"{GUESS} 200", ERASE),
        *rounds(f"{ERASE} 204")[:1],
        Link(f"{ERASE} 204", START),
    ]
    seen = answers_in_sequence(schema_of(client), links, dict)
    came(seen, f"{ROUND} 200", f"{GUESS} 200", f"{GUESS} 404", f"{REASON} 204", f"{REASON} 404", f"{NICK} 204")
    came(seen, f"{ERASE} 204", f"{ROUND} 401", f"{GUESS} 401")


DECIDE, PREFER, OUT = "POST /api/curation/decisions", "POST /api/curation/preferences", "POST /api/curation/sign-out"
CARDS, PAIR, HISTORY = "GET /api/curation/cards", "GET /api/curation/pair", "GET /api/curation/history"


def decision(after: str, candidate: str, **more: str) -> Link:
    return Link(after, DECIDE, body={"entries": [{"candidate": candidate, **more}]})


def test_curating_in_any_order(client: TestClient) -> None:
    first = "$request.body#/entries/0"
    past = "$response.body#/0"
    two = "$response.body#/pair"
    links = [
        decision(f"{CARDS} 200", "$response.body#/0/id"),
        decision(f"{CARDS} 200", "$response.body#/1/id", decision="edit"),
        decision(f"{CARDS} 200", "$response.body#/0/id", decision="accept"),
        decision(f"{DECIDE} 200", f"{first}/candidate"),
        decision(f"{DECIDE} 200", f"{first}/candidate", key=f"{first}/key"),
        decision(f"{DECIDE} 200", f"{first}/candidate", decision="undo", undoes=f"{first}/key"),
        Link(f"{DECIDE} 200", HISTORY),
        decision(f"{HISTORY} 200", f"{past}/candidate/id", decision="undo", undoes=f"{past}/decided/key"),
        Link(f"{HISTORY} 200", HISTORY, {"query.before": f"{past}/decided/number"}),
        Link(f"{PAIR} 200", PREFER, body={"better": f"{two}/one/id", "worse": f"{two}/other/id"}),
        Link(f"{PREFER} 200", PREFER, body={name: f"$request.body#/{name}" for name in ("key", "better")}),
        Link("GET /api/curation 200", CARDS, {"query.model": "$response.body#/models/0"}),
        Link(f"{DECIDE} 200", "GET /api/curation"),
        Link(f"{DECIDE} 200", "GET /api/curation/together"),
        Link(f"{DECIDE} 200", "GET /api/curation/sheet"),
        Link(f"{PREFER} 200", OUT),
    ]
    seen = answers_in_sequence(schema_of(client), links, lambda: sign_in(client))
    came(seen, f"{CARDS} 200", f"{DECIDE} 200", f"{HISTORY} 200", f"{PREFER} 200")
    came(seen, f"{OUT} 204", f"{DECIDE} 401", f"{HISTORY} 401")


BOTS = "/api/bots"
SEEN, RUN, SWITCH = f"GET {BOTS}/{{name}}", f"POST {BOTS}/{{name}}/publish", f"POST {BOTS}/{{name}}/switch"
ENTRIES, ENTRY = f"GET {BOTS}/{{name}}/entries", f"{BOTS}/{{name}}/entries/{{entry}}"


def of_bot(after: str, target: str, body: Any = None, **parameters: str) -> Link:
    return Link(after, target, {"path.name": "b", **parameters}, body)


def of_entry(group: str, action: str, body: Any = None) -> Link:
    id = f"$response.body#/{group}/0/id"
    return of_bot(f"{SEEN} 200", f"POST {ENTRY}/{action}", body, **{"path.entry": id})


def test_running_bots_in_any_order(
    client: TestClient, workspace: Workspace, service: FakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bot_trigger, "_RATE", 1e6)
    monkeypatch.setattr(bot_trigger, "_ADDRESS_RATE", 1e6)
    client.app.state.triggers = bot_trigger.Triggers()
    bearer = {"header.authorization": f"Bearer {make_token(client.app.state.store, 'b')}"}
    links = [
        Link(f"GET {BOTS} 200", SEEN, {"path.name": "$response.body#/bots/0/bot"}),
        *[of_bot(f"{after} 200", SEEN) for after in (RUN, SEEN)],
        *[of_bot(f"{after} 200", RUN, **bearer) for after in (SEEN, RUN)],
        *[of_entry("waiting", action) for action in ("withdraw", "edit", "move", "retry")],
        of_entry("waiting", "move", {"before": "$response.body#/waiting/1/id"}),
        *[of_entry("doubt", "resolve", {"uri": uri}) for uri in ("https://posts.invalid/1", None)],
        *[of_entry("failed", action) for action in ("retry", "edit")],
        of_bot(f"{RUN} 200", ENTRIES),
        of_bot(f"{ENTRIES} 200", f"GET {ENTRY}/receipt", **{"path.entry": "$response.body#/0/id"}),
        of_bot(f"{RUN} 200", f"GET {BOTS}/{{name}}/public"),
        of_bot(f"{RUN} 200", f"GET {BOTS}/{{name}}/calendar"),
        of_bot(f"{ENTRIES} 200", SWITCH),
        of_bot(f"{SWITCH} 204", SWITCH, {"state": "active"}),
        of_bot(f"{SWITCH} 204", RUN, **bearer),
        *[of_bot(f"{ENTRIES} 200", f"POST {BOTS}/{{name}}/{action}") for action in ("check", "setup", "release")],
        of_bot(f"{ENTRIES} 200", f"POST {BOTS}/switch"),
    ]

    refusals = (LostAnswer(), NotSent("It is cut."), TextRefused("It is rude."), AccountRefused("It is suspended."))
    faults = cycle([fault for refusal in refusals for fault in (refusal, None)])

    def begin() -> dict[str, str]:
        texts = [f"The {number}th kettle is always the best one." for number in islice(NUMBERS, 6)]
        enqueue(workspace, "b", accepted(workspace, texts))
        service.faults[:] = list(islice(faults, 6))
        session = sign_in(client)
        client.post(f"{BOTS}/switch", json={"state": "active"})
        client.post(f"{BOTS}/b/switch", json={"state": "active"})
        return session

    refused = [f"{RUN} {status}" for status in (502, 503)]
    seen = answers_in_sequence(schema_of(client), links, begin, refused=refused)
    done = [f"POST {ENTRY}/{action} 204" for action in ("withdraw", "move", "edit")]
    came(seen, f"{SEEN} 200", f"{RUN} 200", f"{RUN} 502", *done)
