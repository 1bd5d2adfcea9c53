"""PostgreSQL under what production does: servers that share it, connections that break, the oldest workspace."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient

from invented import make_corpus, make_game, posts
from local_postgres import local_postgres
from pasquin.config import PlaySettings
from pasquin.curate import Filters, open_desk
from pasquin.curate.curators import curator_named
from pasquin.errors import StoreError
from pasquin.measure import measure
from pasquin.publish import publish, show
from pasquin.publish.running import Bot
from pasquin.server.app import create_app
from pasquin.server.game import COOKIE
from pasquin.store import Store
from pasquin.store.schema import guesses, publications, trials
from pasquin.workspace import Workspace
from publish_fakes import FakeService, install, workspace_with
from test_store import make_oldest

BOT = {"network": "fake", "account": "bot", "rest_minutes": 0.0, "minimum_stock": 0}
SETTINGS = PlaySettings(attention_every=0, player_rate=10_000, address_rate=10_000)


def cut_all(server: str) -> None:
    """End every connection to the database, as a restart or a broken network does."""
    engine = sa.create_engine(server)
    with engine.connect() as connection:
        others = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        connection.execute(sa.text(f"SELECT pg_terminate_backend(pid) {others}"))
    engine.dispose()


def test_a_player_moves_between_servers_that_share_the_database(
    tmp_path: Path, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three web servers, eight players at once who ask another one each time: every guess is stored, each once."""
    monkeypatch.setenv("PASQUIN_DATABASE_URL", database)
    workspace = Workspace.create(tmp_path / "w")
    make_game(workspace)
    with ExitStack() as open_servers:
        servers = [
            open_servers.enter_context(
                TestClient(create_app(workspace, settings=SETTINGS), raise_server_exceptions=False)
            )
            for _ in range(3)
        ]
        wrong: list[Any] = []

        def play(number: int) -> None:
            mine = []
            for server in servers:  # clients of this player alone, with the cookie of the first answer
                client = TestClient(server.app, raise_server_exceptions=False)
                client.portal = server.portal
                mine.append(client)
            cookie = mine[number % 3].post("/api/game/start").cookies[COOKIE]
            for client in mine:
                client.cookies.set(COOKIE, cookie)
            for turn in range(6):
                one, other = mine[(number + turn) % 3], mine[(number + turn + 1) % 3]
                trial = one.get("/api/game/round", params={"category": "village"}).json()["trial"]
                body = {"trial": trial["id"], "guess": "human", "response_ms": 900}
                answers = [client.post("/api/game/guess", json=body) for client in (one, other)]
                if answers[0].status_code != 200:
                    wrong.append(answers[0].text)

        players = [threading.Thread(target=play, args=(number,)) for number in range(8)]
        for player in players:
            player.start()
        for player in players:
            player.join()
        assert not wrong
    store = Store(database)
    with store.read() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(guesses)).scalar() == 48
        assert connection.execute(sa.select(sa.func.count(trials.c.id.distinct()))).scalar() == 48
    store.close()


def test_a_server_goes_on_after_its_database_was_away(
    tmp_path: Path, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PASQUIN_DATABASE_URL", postgres_url)
    workspace = Workspace.create(tmp_path / "w")
    make_game(workspace)
    with TestClient(create_app(workspace, settings=SETTINGS), raise_server_exceptions=False) as client:
        client.post("/api/game/start")
        cut_all(postgres_url)
        answers = [client.get("/healthz").status_code for _ in range(4)]
        assert answers[-1] == 200
        assert set(answers) <= {200, 503}
        for _ in range(4):
            trial = client.get("/api/game/round", params={"category": "village"}).json().get("trial")
            body = {"trial": trial["id"], "guess": "human", "response_ms": 900} if trial else None
        assert body is not None
        assert client.post("/api/game/guess", json=body).status_code == 200


@pytest.mark.parametrize("step", ["claimed", "frozen", "attempting", "answered"])
def test_the_database_leaves_a_publisher_between_two_steps(
    step: str, tmp_path: Path, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the network has taken meanwhile: nothing is published twice, and nothing is lost."""
    monkeypatch.setenv("PASQUIN_DATABASE_URL", postgres_url)
    service = install(monkeypatch, FakeService())
    workspace = workspace_with(tmp_path / "w", {"b": BOT}, {"b": ["Only one.", "Another."]})

    def breaks(bot: Bot) -> None:
        bot.rest = lambda _: None
        bot.on_step = lambda now: _gone(bot, postgres_url) if now == step else None

    with pytest.raises(StoreError):
        publish(workspace, "b", change=breaks)
    assert_each_comes_once(workspace, postgres_url, service)


def assert_each_comes_once(workspace: Workspace, url: str, service: FakeService) -> None:
    """The bot goes on after its publisher was broken off: both texts are published, each once."""
    store = Store(url)
    with store.write() as connection:  # its lease has run out
        connection.execute(sa.update(publications).values(lease_until=None, owner=None))
    store.close()
    for _ in range(4):
        publish(workspace, "b", change=lambda bot: setattr(bot, "rest", lambda _: None))
    assert sorted(service.texts) == ["Another.", "Only one."]
    assert show(workspace)[0]["entries"] == {"confirmed": 2}


@pytest.mark.skipif("PASQUIN_SOAK" not in os.environ, reason="waits for a network: `make soak` runs it")
def test_the_network_between_a_publisher_and_its_database_is_split(tmp_path: Path) -> None:
    """Not a closed connection but silence: in a network of their own, whose one link goes down between two steps."""
    alone = ["unshare", "--net", sys.executable, "-c", "import sys, test_postgres as t; t.split(t.Path(sys.argv[1]))"]
    if subprocess.run(["unshare", "--net", "true"], stderr=subprocess.DEVNULL).returncode:
        pytest.skip("may not make a network of its own here")
    path = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    subprocess.run([*alone, str(tmp_path)], check=True, timeout=240, env={**os.environ, "PYTHONPATH": path})


def split(folder: Path) -> None:
    """Publish past a split of the network: nothing hangs, nothing twice, nothing lost."""

    def link(way: str) -> None:
        subprocess.run(["ip", "link", "set", "lo", way], check=True)

    link("up")
    with local_postgres() as url, pytest.MonkeyPatch.context() as patch:
        patch.setenv("PASQUIN_DATABASE_URL", url)
        service = install(patch, FakeService())
        workspace = workspace_with(folder / "w", {"b": BOT}, {"b": ["Only one.", "Another."]})

        def breaks(bot: Bot) -> None:
            bot.rest = lambda _: None
            bot.on_step = lambda now: link("down") if now == "answered" else None

        began = time.monotonic()
        with pytest.raises(StoreError):
            publish(workspace, "b", change=breaks)
        assert 5 < time.monotonic() - began < 120
        assert len(service.texts) == 1
        link("up")
        assert_each_comes_once(workspace, url, service)


def _gone(bot: Bot, url: str) -> None:
    """Break the connections, and let the publisher find no other one: its address leads nowhere from now on."""
    cut_all(url)
    bot.store.engine.dispose()
    nowhere = sa.create_engine("postgresql+psycopg://nobody@127.0.0.1:1/x", connect_args={"connect_timeout": 2})
    bot.store.engine = nowhere


def test_the_oldest_workspace_is_opened_played_curated_and_measured(
    tmp_path: Path, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A directory as the first version left it: format 1, a database of revision 0001 with rows."""
    monkeypatch.setenv("PASQUIN_DATABASE_URL", database)
    root = tmp_path / "old"
    root.mkdir()
    (root / "pasquin.toml").write_text("[workspace]\nformat = 1\n")
    make_oldest(database)
    workspace = Workspace.open(root)
    make_corpus(workspace, "vc", posts(60))
    with TestClient(create_app(workspace, settings=SETTINGS)) as client:
        assert client.get("/api/game").status_code == 200
    with open_desk(workspace) as (desk, store):
        assert len(desk.cards(curator_named(store).id, Filters(), 9)) == 3
    told = measure(workspace, ["vc"])
    assert (told["players"], told["guesses"]) == (1, 1)
    assert show(workspace) == []
