"""The pages' API answers as its schema says, whatever is sent, and never with a 5xx."""

from __future__ import annotations

from pathlib import Path

import schemathesis
from fastapi.testclient import TestClient

from documented import answers_as_documented
from invented import make_game
from pasquin.config import CurateSettings, PlaySettings
from pasquin.curate.curators import curator_named, make_link
from pasquin.server.app import create_app
from pasquin.server.game import COOKIE
from pasquin.workspace import Workspace


def test_the_pages_answer_as_documented(tmp_path: Path) -> None:
    workspace = Workspace.create(tmp_path)
    make_game(workspace, generated=60)
    playing = PlaySettings(player_rate=1e6, address_rate=1e6)
    app = create_app(workspace, settings=playing, curate_settings=CurateSettings(overlap=0))
    with TestClient(app, raise_server_exceptions=False) as client:
        token = make_link(app.state.store, curator_named(app.state.store))
        assert client.post("/api/curation/sign-in", json={"token": token}).status_code == 200

        def ready(case: schemathesis.Case) -> dict[str, str]:
            if case.path.endswith("/start"):
                client.cookies.delete(COOKIE)
            else:
                client.post("/api/game/start")
            return {"cookie": "; ".join(f"{name}={value}" for name, value in client.cookies.items())}

        answers_as_documented(schemathesis.openapi.from_asgi("/api/openapi.json", app), ready, 100)
