"""Publishing to a real Bluesky server (PDS): once, whatever is lost on the way; sessions, limits, deleted posts."""

from __future__ import annotations

import multiprocessing
import os
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from local_pds import PASSWORD, LocalAccount, LocalPds, local_pds
from lossy_wire import LossyWire
from pasquin.config import BotSettings, PublishSettings
from pasquin.errors import AccountRefused, NetworkError
from pasquin.networks.bluesky.publisher import BlueskyPublisher, bluesky
from pasquin.networks.bluesky.richtext import facets, graphemes
from pasquin.networks.publishing import Access
from pasquin.networks.tids import new_tid
from pasquin.publish import desk, publish, show, switch_bot
from pasquin.publish.running import Bot
from pasquin.records import Publication
from pasquin.store import Store
from pasquin.workspace import Workspace
from publish_fakes import compliant_settings, workspace_with

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


def test_facets_count_bytes_and_not_characters() -> None:
    text = "👨‍👩‍👧 日本語 #日本 näch https://example.com/ä?q=1. (https://example.com/b) #1 #ok! mail@example.com"
    found = [(one["index"]["byteStart"], one["index"]["byteEnd"], one["features"][0]) for one in facets(text)]
    content = text.encode()
    assert [content[start:end].decode() for start, end, _ in found] == [
        "#日本",
        "https://example.com/ä?q=1",
        "https://example.com/b",
        "#ok",
    ]
    assert found[0][2]["tag"] == "日本"
    assert facets("Ask @paulg.com about #️⃣ and #") == []


def test_graphemes_are_what_a_person_counts() -> None:
    assert graphemes("👨‍👩‍👧👍🏽🇮🇹é") == 4


@pytest.fixture(scope="module")
def pds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalPds]:
    with local_pds(tmp_path_factory.mktemp("pds")) as server:
        yield server


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PASQUIN_BOT_B_PASSWORD", PASSWORD)


def publisher(pds: LocalPds, account: LocalAccount, folder: Path, server: str | None = None) -> BlueskyPublisher:
    settings = BotSettings(network="bluesky", account=account.handle, server=server or pds.pds)
    hosts = (f"127.0.0.1:{pds.pds_port}", (server or pds.pds).removeprefix("http://"))
    store = Store(f"sqlite:///{folder / 'pasquin.db'}")
    made = bluesky(Access("b", settings, PublishSettings(allow_private_hosts=hosts), store, folder))
    if server is not None:
        made.account.own_hosts = ()  # the account's document names the server itself, past the wire
    return made


def commits(pds: LocalPds, account: LocalAccount) -> str:
    answer = pds.http.get("/xrpc/com.atproto.sync.getLatestCommit", params={"did": account.did}).raise_for_status()
    return str(answer.json()["rev"])


@pytest.mark.real
def test_the_same_request_again_is_the_same_post_and_no_commit(
    pds: LocalPds, tmp_path: Path, environment: None
) -> None:
    anna = pds.account("anna")
    made = publisher(pds, anna, tmp_path)
    request = made.freeze("Grüße 🙂 #ciao https://example.com/ü", new_tid(NOW))
    assert made.settle(request, NOW) == "absent"
    first = made.send(request)
    revision = commits(pds, anna)
    assert made.send(request).uri == first.uri
    assert commits(pds, anna) == revision
    found = made.settle(request, NOW)
    assert isinstance(found, Publication)
    assert found.uri == first.uri
    record = anna.listed()[first.uri]
    assert record["createdAt"].startswith("2026-11-24T11:59:59") or record["createdAt"].startswith("2026-11-24T12")
    assert [facet["features"][0]["$type"].partition("#")[2] for facet in record["facets"]] == ["tag", "link"]
    other = {**request, "body": {**request["body"], "record": {**request["body"]["record"], "text": "another"}}}
    with pytest.raises(NetworkError, match="under this key"):
        made.send(other)
    assert anna.listed()[first.uri]["text"].startswith("Grüße")


@pytest.mark.real
def test_a_post_that_was_deleted_does_not_come_back(pds: LocalPds, tmp_path: Path, environment: None) -> None:
    dora = pds.account("dora")
    made = publisher(pds, dora, tmp_path)
    request = made.freeze("Deleted by somebody.", new_tid(NOW))
    dora.delete(made.send(request).uri)
    assert made.settle(request, NOW) == "undecided", "it may have been there: a person decides"
    assert dora.listed() == {}


def bot_workspace(pds: LocalPds, account: LocalAccount, folder: Path, texts: list[str], **more: Any) -> Workspace:
    settings = compliant_settings("bluesky", account.handle, server=pds.pds) | more
    workspace = workspace_with(folder, {"b": settings}, {"b": texts})
    hosts = f'["127.0.0.1:{pds.pds_port}", "localhost:{pds.pds_port}"]'
    workspace.toml.write_text(f"{workspace.toml.read_text()}\n[publish]\nallow_private_hosts = {hosts}\n")
    return workspace


def make_compliant(account: LocalAccount, **more: Any) -> None:
    profile = {
        "$type": "app.bsky.actor.profile",
        "displayName": "Vee Cee (AI parody)",
        "description": "AI parody bot of Some Body. Posts are generated by SmolLM2, picked by a human. By @me.example.",
        "labels": {"$type": "com.atproto.label.defs#selfLabels", "values": [{"val": "bot"}]},
    }
    account.put("app.bsky.actor.profile", "self", profile | more)


@contextmanager
def through_wire(
    pds: LocalPds,
    account: LocalAccount,
    folder: Path,
    texts: list[str],
    faults: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[tuple[Workspace, LossyWire]]:
    """A bot's workspace, and the wire on which its posts meet `faults`, one each, and then none."""
    left = list(faults)
    wire = LossyWire(pds.pds, lambda _, path: path.endswith("putRecord"), lambda: left.pop(0) if left else "none")
    with closing(wire):
        workspace = bot_workspace(pds, account, folder, texts)
        toml = workspace.toml.read_text().replace(f'server = "{pds.pds}"', f'server = "{wire.url}"')
        workspace.toml.write_text(toml)
        monkeypatch.setenv("PASQUIN_PUBLISH_ALLOW_PRIVATE_HOSTS", f"127.0.0.1:{wire.port}")
        yield workspace, wire


def past_document(bot: Bot) -> None:
    """Let a bot take the wire: the account's document names the server itself."""
    assert isinstance(bot.publisher, BlueskyPublisher)
    bot.publisher.account.own_hosts = ()


@pytest.mark.real
def test_lost_requests_and_answers_leave_each_text_once(
    pds: LocalPds, tmp_path: Path, environment: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    lena = pds.account("lena")
    make_compliant(lena)
    faults = ["drop before", "drop after", "reset after", "500 after", "503 before", "cut after", "none"]
    texts = [f"Text {number} is there once 👍🏽." for number in range(7)]

    def at_once(bot: Bot) -> None:
        bot.rest = lambda _: None
        past_document(bot)

    with through_wire(pds, lena, tmp_path, texts, faults, monkeypatch) as (workspace, wire):
        for _ in range(8):
            publish(workspace, "b", change=at_once)
    assert Counter(record["text"] for record in lena.listed().values()) == Counter(texts)
    assert {entry["state"] for entry in show(workspace, "b")[0]["queue"]} == {"confirmed"}
    assert set(wire.seen) >= set(faults)
    assert {record["text"]: uri for uri, record in lena.listed().items()} == {
        entry["text"]: entry["uri"] for entry in show(workspace, "b")[0]["queue"]
    }


@pytest.mark.real
def test_a_text_one_grapheme_too_long_fails_alone(pds: LocalPds, tmp_path: Path, environment: None) -> None:
    rosa = pds.account("rosa")
    make_compliant(rosa)
    family = "👨‍👩‍👧"
    texts = [f"{family * 20} {'x' * 280}", f"{family * 20} {'x' * 279}", "日" * 300, "z\u0301" * 300]
    workspace = bot_workspace(pds, rosa, tmp_path, texts)
    result = publish(workspace, "b", limit=9)
    assert [one["text"] for one in result["failed"]] == [texts[0]]
    assert "301" in result["failed"][0]["reason"]
    assert sorted(record["text"] for record in rosa.listed().values()) == sorted(texts[1:])


@pytest.mark.real
def test_a_text_that_is_too_long_since_the_network_changed_its_limit_waits_for_a_person(
    pds: LocalPds, tmp_path: Path, environment: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    vera = pds.account("vera")
    make_compliant(vera)
    texts = ["x" * 201, "Short enough."]
    with through_wire(pds, vera, tmp_path, texts, ["400 before"], monkeypatch) as (workspace, _):
        result = publish(workspace, "b", limit=9, change=past_document)
        assert [one["text"] for one in result["failed"]] == ["x" * 201]
        assert "200 graphemes" in result["failed"][0]["reason"]
        desk.edit(workspace, "b", result["failed"][0]["id"], "Now it fits.", "ann")
        publish(workspace, "b", change=past_document)
    assert Counter(record["text"] for record in vera.listed().values()) == Counter(["Short enough.", "Now it fits."])


@pytest.mark.real
def test_a_suspended_account_pauses_the_bot_and_its_queue_goes_on_afterwards(
    pds: LocalPds, tmp_path: Path, environment: None
) -> None:
    nora = pds.account("nora")
    make_compliant(nora)
    workspace = bot_workspace(pds, nora, tmp_path, ["Before.", "After."])
    publish(workspace, "b", limit=1)
    pds.take_down(nora, applied=True)
    result = publish(workspace, "b", limit=9)
    assert (result["state"], result["ok"], result["stock"]) == ("account_refused", False, 1)
    assert (result["state"], result["ok"], result["stock"]) == ("account_refused", False, 1)
    assert "(takendown)" in str(result["why"])
    assert publish(workspace, "b")["state"] == "paused"
    pds.take_down(nora, applied=False)
    switch_bot(workspace, "b", "active", None)
    publish(workspace, "b", limit=9)
    assert sorted(record["text"] for record in nora.listed().values()) == ["After.", "Before."]


def _renew_together(folder: str, url: str, handle: str, port: int, gate: Any) -> None:
    settings = BotSettings(network="bluesky", account=handle, server=url)
    hosts = PublishSettings(allow_private_hosts=(f"127.0.0.1:{port}",))
    made = bluesky(Access("b", settings, hosts, Store(f"sqlite:///{folder}/pasquin.db"), Path(folder)))
    made.account.own_hosts = ()
    gate.wait()
    made.publish(f"Worker {os.getpid()} was here.", new_tid(datetime.now(UTC)))


@pytest.mark.real
def test_a_session_is_kept_sealed_and_renewed_once_by_eight_workers(
    pds: LocalPds, tmp_path: Path, environment: None
) -> None:
    nina = pds.account("nina")
    asked: list[str] = []

    def note(method: str, path: str) -> bool:
        asked.append(path.rpartition(".")[2])
        return False

    wire = LossyWire(pds.pds, note, lambda: "none")
    with closing(wire):
        made = publisher(pds, nina, tmp_path, wire.url)
        made.publish("Signed in.", new_tid(datetime.now(UTC)))
        publisher(pds, nina, tmp_path, wire.url).publish("Not again.", new_tid(datetime.now(UTC)))
        assert asked.count("createSession") == 1
        kept = made.account.keeper.kept()
        assert kept.session is not None
        with closing(sqlite3.connect(tmp_path / "pasquin.db")) as database:
            rows = str(database.execute("SELECT * FROM bot_sessions").fetchall())
        for secret in (kept.session["access"], kept.session["refresh"], PASSWORD):
            assert secret not in rows
        expired = {**kept.session, "access": expired_token(kept.session["access"])}
        made.account.keeper.renew(kept, lambda _: expired)
        context = multiprocessing.get_context("fork")
        gate = context.Barrier(8)
        arguments = (str(tmp_path), wire.url, nina.handle, wire.port, gate)
        work = [context.Process(target=_renew_together, args=arguments) for _ in range(8)]
        for process in work:
            process.start()
        for process in work:
            process.join()
            assert process.exitcode == 0
        assert asked.count("refreshSession") == 1
        assert asked.count("createSession") == 1
    assert len(nina.listed()) == 10


def expired_token(token: str) -> str:
    """The same token, signed with the test server's own secret, but of yesterday."""
    import base64
    import hashlib
    import hmac
    import json

    def packed(content: bytes) -> str:
        return base64.urlsafe_b64encode(content).rstrip(b"=").decode()

    head, body, _ = token.split(".")
    claims = json.loads(base64.urlsafe_b64decode(body + "=="))
    claims |= {"exp": int((datetime.now(UTC) - timedelta(days=1)).timestamp())}
    unsigned = f"{head}.{packed(json.dumps(claims).encode())}"
    return f"{unsigned}.{packed(hmac.new(b'local-test-jwt-secret', unsigned.encode(), hashlib.sha256).digest())}"


@pytest.mark.real
def test_a_revoked_password_pauses_the_bot_and_loses_nothing(
    pds: LocalPds, tmp_path: Path, environment: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    mara = pds.account("mara")
    make_compliant(mara)
    workspace = bot_workspace(pds, mara, tmp_path, ["Once it works again."])
    monkeypatch.setenv("PASQUIN_BOT_B_PASSWORD", "canary-wrong-password")
    result = publish(workspace, "b")
    assert (result["state"], result["ok"], result["stock"]) == ("account_refused", False, 1)
    assert "canary" not in str(result)
    assert publish(workspace, "b")["state"] == "paused"
    with pytest.raises(AccountRefused):
        publisher(pds, mara, tmp_path).freeze("x", new_tid(NOW))
