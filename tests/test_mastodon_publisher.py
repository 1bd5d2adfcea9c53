"""Publishing to Mastodon, against a server with a memory (mastodon-mock), through a wire that loses things."""

from __future__ import annotations

import shutil
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from lossy_wire import LossyWire
from pasquin.config import BotSettings, PublishSettings
from pasquin.errors import TextRefused
from pasquin.networks.mastodon.publisher import MastodonPublisher, mastodon
from pasquin.networks.publishing import Access
from pasquin.networks.tids import new_tid
from pasquin.publish import check, publish, setup, show
from pasquin.publish.running import Bot
from pasquin.records import Publication
from pasquin.store import Store
from pasquin.workspace import Workspace
from publish_fakes import compliant_settings, workspace_with
from test_mastodon_server import Mock

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(
        not shutil.which("mastodon_mock", path=Path(sys.executable).parent), reason="needs mastodon-mock"
    ),
]
TEXTS = [f"Startup number {number} & its <founder> 👍🏽\nis #1." for number in range(7)]


@pytest.fixture(scope="module")
def mock(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mock]:
    made = Mock(tmp_path_factory.mktemp("mock"), [])
    made.start()
    with closing(made):
        yield made


@pytest.fixture
def alice(mock: Mock) -> Iterator[httpx.Client]:
    """The account as its owner; begins with no statuses."""
    headers = {"Authorization": "Bearer of_alice"}
    with httpx.Client(base_url=f"http://127.0.0.1:{mock.port}", headers=headers) as client:
        for status in statuses(client):
            client.delete(f"/api/v1/statuses/{status['id']}").raise_for_status()
        yield client


def statuses(client: httpx.Client) -> list[dict[str, Any]]:
    me = client.get("/api/v1/accounts/verify_credentials").raise_for_status().json()["id"]
    found: list[dict[str, Any]] = client.get(f"/api/v1/accounts/{me}/statuses", params={"limit": 40}).json()
    return found


def sources(client: httpx.Client) -> Counter[str]:
    return Counter(client.get(f"/api/v1/statuses/{one['id']}/source").json()["text"] for one in statuses(client))


def bot(folder: Path, port: int, monkeypatch: pytest.MonkeyPatch, texts: list[str]) -> Workspace:
    monkeypatch.setenv("PASQUIN_BOT_B_TOKEN", "of_alice")
    monkeypatch.setenv("PASQUIN_PUBLISH_ALLOW_PRIVATE_HOSTS", "127.0.0.1")
    settings = compliant_settings("mastodon", "@alice@127.0.0.1", server=f"http://127.0.0.1:{port}")
    return workspace_with(folder, {"b": settings}, {"b": texts})


def at_once(bot: Bot) -> None:
    bot.rest = lambda _: None


def publisher(port: int, folder: Path, monkeypatch: pytest.MonkeyPatch) -> MastodonPublisher:
    monkeypatch.setenv("PASQUIN_BOT_B_TOKEN", "of_alice")
    settings = BotSettings(network="mastodon", account="@alice@127.0.0.1", server=f"http://127.0.0.1:{port}")
    store = Store(f"sqlite:///{folder / 'a.db'}")
    return mastodon(Access("b", settings, PublishSettings(allow_private_hosts=("127.0.0.1",)), store, folder))


def test_setup_makes_a_bot_compliant_and_lost_things_leave_each_text_once(
    mock: Mock, alice: httpx.Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = ["drop before", "drop after", "reset after", "500 after", "503 before", "cut after", "none"]
    wire = LossyWire(
        f"http://127.0.0.1:{mock.port}",
        lambda method, path: method == "POST" and path.startswith("/api/v1/statuses"),
        lambda: left.pop(0) if left else "none",
    )
    with closing(wire):
        workspace = bot(tmp_path, wire.port, monkeypatch, TEXTS)
        assert publish(workspace, "b", change=at_once)["state"] == "not_compliant"
        assert statuses(alice) == []
        alice.patch("/api/v1/accounts/update_credentials", data={"display_name": "Vee (AI parody)"})
        told = setup(workspace, "b", picture=False)
        assert told["done"] == ["wrote the bio", "set the bot flag"]
        assert [one for one in check(workspace, "b").checks if not one.holds] == []
        for _ in range(9):
            publish(workspace, "b", change=at_once)
    assert sources(alice) == Counter(text for text in TEXTS)
    assert {entry["state"] for entry in show(workspace, "b")[0]["queue"]} == {"confirmed"}
    assert {entry["uri"] for entry in show(workspace, "b")[0]["queue"]} == {one["uri"] for one in statuses(alice)}


def test_a_repeated_key_answered_with_500_is_looked_up(
    mock: Mock, alice: httpx.Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = publisher(mock.port, tmp_path, monkeypatch)
    request = made.freeze("Said once.", new_tid(datetime.now(UTC)))
    first = made.send(request)
    found = made.settle(request, datetime.now(UTC))
    assert isinstance(found, Publication)
    assert found.uri == first.uri
    never = made.freeze("Never said.", new_tid(datetime.now(UTC)))
    assert made.settle(never, datetime.now(UTC)) == "absent"
    long_ago = datetime.now(UTC) - timedelta(hours=2)
    assert made.settle(never, long_ago) == "undecided", "the key may be forgotten: a person decides"
    assert made.send(request).uri == first.uri
    assert len(statuses(alice)) == 1


def test_the_instance_says_how_long_a_text_may_be(
    mock: Mock, alice: httpx.Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = publisher(mock.port, tmp_path, monkeypatch)
    most, link = made._limits
    made.freeze("👨‍👩‍👧" * most, new_tid(datetime.now(UTC)))
    made.freeze(f"https://example.com/{'a' * 900} {'x' * (most - link - 1)}", new_tid(datetime.now(UTC)))
    with pytest.raises(TextRefused, match=str(most + 1)):
        made.freeze("x" * (most + 1), new_tid(datetime.now(UTC)))


def test_a_revoked_token_pauses_the_bot(
    mock: Mock, alice: httpx.Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = bot(tmp_path, mock.port, monkeypatch, TEXTS[:1])
    monkeypatch.setenv("PASQUIN_BOT_B_TOKEN", "canary-revoked")
    result = publish(workspace, "b", change=at_once)
    assert (result["state"], result["stock"]) == ("account_refused", 1)
    assert "canary" not in str(result)
    assert publish(workspace, "b")["state"] == "paused"
