"""Publishing to X: sent once and never again by itself, found on the timeline, left to a person where it is not."""

from __future__ import annotations

import importlib.util
import random
import sys
import types
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from fake_x_posting import FakeX
from lossy_wire import LossyWire
from pasquin.lengths.x_weight import x_weight
from pasquin.publish import check, dry_run, publish, setup, show
from pasquin.publish.running import Bot
from pasquin.workspace import Workspace
from publish_fakes import compliant_settings, workspace_with

TEXTS = [f"Startup number {number} & its <founder> 👍🏽." for number in range(6)]
POOL = [*"aéñ日한Ωا€—…“#© ", "👍", "👍🏽", "👨‍👩‍👧", "🇮🇹", "1️⃣", "☺️", "❤️", "\u200b", "e\u0301", "🫠"]
POOL += ["🤷🏽‍♀️", "㊗️"]


@pytest.fixture
def fake() -> Iterator[FakeX]:
    made = FakeX()
    with closing(made):
        yield made


def bot(folder: Path, url: str, monkeypatch: pytest.MonkeyPatch, texts: list[str], **more: Any) -> Workspace:
    for name in ("API_KEY", "API_SECRET", "ACCESS_TOKEN", "ACCESS_SECRET"):
        monkeypatch.setenv(f"PASQUIN_BOT_B_{name}", f"canary-{name}")
    monkeypatch.setenv("PASQUIN_PUBLISH_ALLOW_PRIVATE_HOSTS", url.removeprefix("http://"))
    monkeypatch.setenv("PASQUIN_PUBLISH_TIMEOUT_SECONDS", "5")
    settings = compliant_settings("x", "@vee_ai", server=url, confirmed=["automated"], urls=False) | more
    return workspace_with(folder, {"b": settings}, {"b": texts})


def at_once(bot: Bot) -> None:
    bot.rest = lambda _: None


def test_texts_go_out_once_with_receipts(fake: FakeX, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = bot(tmp_path, fake.url, monkeypatch, TEXTS)
    assert check(workspace, "b").compliant
    result = publish(workspace, "b", limit=9, change=at_once)
    assert [text for _, text, _ in fake.posts] == TEXTS
    assert result["published"][0]["uri"] == f"https://x.com/i/status/{fake.posts[0][0]}"
    assert b"canary" not in b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())


def test_lost_answers_are_found_and_lost_requests_left_to_a_person(
    fake: FakeX, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = ["drop after", "drop before", "500 after", "503 before", "reset after", "cut after"]
    wire = LossyWire(fake.url, lambda method, _: method == "POST", lambda: left.pop(0) if left else "none")
    with closing(wire):
        workspace = bot(tmp_path, wire.url, monkeypatch, TEXTS)
        for _ in TEXTS:
            publish(workspace, "b", change=at_once)
        later = datetime.now(UTC) + timedelta(hours=2)
        publish(workspace, "b", change=lambda bot: setattr(bot, "clock", lambda: later))
    states = {entry["text"]: entry["state"] for entry in show(workspace, "b")[0]["queue"]}
    assert states == {text: "unknown" if number in (1, 3) else "confirmed" for number, text in enumerate(TEXTS)}
    assert Counter(text for _, text, _ in fake.posts) == Counter(TEXTS[place] for place in (0, 2, 4, 5))
    assert len(fake.bodies) == 4, "nothing was sent twice"


@pytest.mark.parametrize(
    ("status", "body", "state"),
    [
        (401, {"title": "Unauthorized", "status": 401, "detail": "Unauthorized"}, "account_refused"),
        (403, {"title": "Forbidden", "status": 403, "detail": "Your account is suspended."}, "account_refused"),
        (402, {"title": "CreditsDepleted", "status": 402, "detail": "No credits."}, "account_refused"),
        (429, {"title": "Too Many Requests", "status": 429, "detail": "Too Many Requests"}, "held"),
    ],
)
def test_refusals_hold_the_bot_and_keep_the_queue(
    fake: FakeX, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int, body: dict[str, Any], state: str
) -> None:
    fake.refusal = (status, body)
    workspace = bot(tmp_path, fake.url, monkeypatch, TEXTS)
    result = publish(workspace, "b", change=at_once)
    assert (result["state"], result["stock"]) == (state, 6)
    assert "canary" not in str(result)
    assert len(fake.bodies) == 1


def test_duplicate_content_that_is_not_ours_is_left_to_a_person(
    fake: FakeX, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake.posts.append(("1", TEXTS[0], datetime.now(UTC) - timedelta(days=1)))
    workspace = bot(tmp_path, fake.url, monkeypatch, TEXTS[:1])
    assert publish(workspace, "b", change=at_once)["unknown"][0]["reason"].startswith("127.0.0.1")
    assert len(fake.posts) == 1


def test_the_price_is_told_and_links_stay_out(fake: FakeX, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = bot(tmp_path, fake.url, monkeypatch, ["Plain.", "See https://example.com/a"])
    told = dry_run(workspace, "b")
    assert told["price"] == pytest.approx(0.02)
    assert told["request"]["request"]["body"] == {"text": "Plain."}
    assert "canary" not in str(told)
    assert [one["text"] for one in publish(workspace, "b", limit=9)["failed"]] == ["See https://example.com/a"]


def test_the_account_is_set_up_by_hand(fake: FakeX, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = bot(tmp_path, fake.url, monkeypatch, [], confirmed=[])
    told = setup(workspace, "b")
    assert told["done"] == []
    assert any("automated" in one for one in told["by_hand"])
    assert len(told["bio"]) <= 160
    assert not check(workspace, "b").compliant


def test_the_request_is_that_of_x_s_own_client(fake: FakeX, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    xdk = pytest.importorskip("xdk", reason="X's own SDK, made from its OpenAPI description, is not here")
    from xdk.posts.models import CreateRequest

    publish(bot(tmp_path, fake.url, monkeypatch, TEXTS[:1]), "b")
    client = xdk.Client(base_url=fake.url, access_token="canary")
    made = client.posts.create(CreateRequest(text="Another."))
    assert made.data.id == fake.posts[1][0]
    assert fake.bodies[0].keys() == fake.bodies[1].keys() == {"text"}
    me = client.users.get_me(user_fields=["description", "name", "profile_image_url"])
    assert me.data.username == "vee_ai"


def _twitter_text() -> Any:
    """The oracle; it asks for a package that setuptools no longer brings, of which it uses one function."""
    spec = importlib.util.find_spec("twitter_text")
    if spec is None or spec.origin is None:
        pytest.skip("twitter-text-parser is not here")
    folder = Path(spec.origin).parent / "regexp"
    stand_in = types.ModuleType("pkg_resources")
    stand_in.resource_string = lambda _, name: (folder / name).read_bytes()  # type: ignore[attr-defined]
    sys.modules.setdefault("pkg_resources", stand_in)
    from twitter_text import parse_tweet

    return parse_tweet


def test_weights_are_those_of_twitter_text() -> None:
    parse_tweet = _twitter_text()
    chance = random.Random(7)
    for _ in range(400):
        text = "".join(chance.choices(POOL, k=chance.randrange(1, 30)))
        assert x_weight(f"x{text}") == parse_tweet(f"x{text}").weightedLength, text
    for text in ("See https://example.com/a/very/long/address?with=query now", "see example.com.", "mail@example.com"):
        assert x_weight(text) == parse_tweet(text).weightedLength, text


def test_one_too_heavy_is_told_before_it_is_sent(fake: FakeX, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = bot(tmp_path, fake.url, monkeypatch, ["日" * 140 + "a", "日" * 140])
    result = publish(workspace, "b", limit=9)
    assert len(result["failed"]) == 1
    assert "281" in result["failed"][0]["reason"]
    assert [text for _, text, _ in fake.posts] == ["日" * 140]
