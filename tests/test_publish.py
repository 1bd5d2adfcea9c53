"""Publishing: each entry once, in order, through lost answers, kills, many at once, and changes of mind."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from pasquin.config import PublishSettings
from pasquin.errors import AccountRefused, InputError, NotSent, RateLimited, StoreError, TextRefused, UsageError
from pasquin.publish import desk, dry_run, enqueue, publish, receipt, show, switch_bot, watch
from pasquin.publish.ledger import Ledger, StaleClaimError
from pasquin.publish.operation import standings
from pasquin.publish.running import Bot
from pasquin.store import Store
from pasquin.store.schema import candidates, curators, decisions, publication_events, publications
from pasquin.workspace import Workspace
from publish_fakes import FakeService, LostAnswer, accepted, install, workspace_with

BOT = {"network": "fake", "account": "bot", "rest_minutes": 0.0, "minimum_stock": 0}
FILE = {"network": "file", "account": "out.jsonl", "rest_minutes": 0.0, "minimum_stock": 0}
TEXTS = [f"The {number}th startup is always the best one." for number in range(1, 6)]


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> FakeService:
    return install(monkeypatch, FakeService())


def no_rest(bot: Bot) -> None:
    bot.rest = lambda _: None


def at(moment: datetime) -> Callable[[Bot], None]:
    def change(bot: Bot) -> None:
        bot.clock, bot.rest = lambda: moment, lambda _: None

    return change


def states(workspace: Workspace, bot: str = "b") -> Counter[str]:
    return Counter(entry["state"] for entry in show(workspace, bot)[0]["queue"])


def lines(workspace: Workspace) -> list[str]:
    return [json.loads(line)["text"] for line in (workspace.root / "out.jsonl").read_text().splitlines()]


def test_a_run_publishes_the_first_of_the_queue_and_leaves_a_receipt(tmp_path: Path, service: FakeService) -> None:
    workspace = workspace_with(tmp_path, {"b": BOT}, {"b": TEXTS})
    result = publish(workspace, "b")
    assert service.texts == TEXTS[:1]
    assert (result["state"], result["ok"], result["stock"]) == ("published", True, 4)
    store = Store.of(workspace)
    told = receipt(store, result["published"][0]["uri"])
    assert told["text"] == TEXTS[0]
    assert (told["origin"]["model"], told["origin"]["seed"]) == ("m", 7)
    assert told["origin"]["model_hash"] == "c0ffee" * 10
    assert told["origin"]["sampling"] == {"temperature": 1.0}
    assert told["novelty"] == {
        "kind": "novel",
        "similarity": 0.4,
        "longest_run": 12,
        "nearest_uri": "https://x.com/i/status/1",
    }
    assert (told["curator"], told["edited"], told["disclosure"]["compliant"]) == ("ann", False, True)
    with pytest.raises(InputError, match="Nothing that was published"):
        receipt(store, "fake://bot/another")
    store.close()


def test_no_text_is_queued_twice_by_whatever_bot(tmp_path: Path, service: FakeService) -> None:
    workspace = workspace_with(tmp_path, {"b": BOT, "c": BOT}, {"b": TEXTS})
    shouted = [TEXTS[0].upper(), *TEXTS[1:], "A new one."]
    again = enqueue(workspace, "c", accepted(workspace, shouted, model="another"))
    assert again["queued"] == 1
    assert again["skipped"] == {"already_queued_or_published": 5}


def test_a_lost_answer_is_found_again(tmp_path: Path, service: FakeService) -> None:
    workspace = workspace_with(tmp_path, {"b": BOT}, {"b": TEXTS})
    service.faults = [("after", LostAnswer()), LostAnswer(), ("after", TimeoutError()), None]
    for _ in TEXTS:
        assert publish(workspace, "b", change=no_rest)["state"] == "published"
    assert service.texts == TEXTS
    assert states(workspace) == {"confirmed": 5}


def test_where_keys_are_not_remembered_nothing_is_sent_again(tmp_path: Path, service: FakeService) -> None:
    service.remembers = False
    workspace = workspace_with(tmp_path, {"b": BOT}, {"b": TEXTS})
    service.faults = [LostAnswer(), ("after", LostAnswer())]
    first = publish(workspace, "b", change=no_rest)
    assert not first["ok"]
    assert [one["state"] for one in first["unknown"]] == ["unknown"]
    assert publish(workspace, "b", change=no_rest)["state"] == "published"
    assert service.texts == [TEXTS[1]]
    later = datetime.now(UTC) + timedelta(days=1)
    assert publish(workspace, "b", limit=1, change=at(later))["unknown"], "it is looked at again"
    assert TEXTS[0] not in service.texts, "what is unknown is never sent by itself"
    unknown = next(entry for entry in show(workspace, "b")[0]["queue"] if entry["state"] == "unknown")
    with pytest.raises(UsageError, match="only what has failed"):
        desk.retry(workspace, "b", unknown["id"])
    desk.resolve(workspace, "b", unknown["id"], None)
    publish(workspace, "b", limit=9, change=at(later))
    assert sorted(service.texts) == sorted(TEXTS)


def test_a_person_may_say_where_an_unknown_one_is(tmp_path: Path, service: FakeService) -> None:
    service.remembers = False
    workspace = workspace_with(tmp_path, {"b": BOT}, {"b": TEXTS[:1]})
    service.faults = [LostAnswer()]
    lost = publish(workspace, "b", change=no_rest)["unknown"][0]
    desk.resolve(workspace, "b", lost["id"], "https://example.com/1")
    store = Store.of(workspace)
    assert receipt(store, "https://example.com/1")["origin"]["model"] == "m"
    store.close()
    assert publish(workspace, "b")["state"] == "nothing_due"


@pytest.mark.parametrize(
    ("fault", "state", "after"),
    [
        (NotSent("Not reached."), "not_sent", {"approved": 2}),
        (AccountRefused("Its key was revoked."), "account_refused", {"approved": 2}),
        (TextRefused("Too long by one."), "nothing_due", {"failed": 1, "confirmed": 1}),
    ],
)
def test_refusals_are_told_apart(
    tmp_path: Path, service: FakeService, fault: Exception, state: str, after: dict[str, int]
) -> None:
    workspace = workspace_with(tmp_path, {"b": BOT}, {"b": TEXTS[:2]})
    service.faults = [fault]
    result = publish(workspace, "b", limit=9, change=no_rest)
    assert result["state"] in (state, "published")
    assert not result["ok"]
    assert states(workspace) == after
    if isinstance(fault, AccountRefused):
        assert publish(workspace, "b")["state"] == "paused"
        assert "revoked" in publish(workspace, "b")["why"]
        switch_bot(workspace, "b", "active", None)
    publish(workspace, "b", limit=9, change=no_rest)
    assert set(service.texts) == set(TEXTS[:2]) - ({TEXTS[0]} if isinstance(fault, TextRefused) else set())


def test_a_network_that_asks_to_wait_is_not_asked_before(tmp_path: Path, service: FakeService) -> None:
    workspace = workspace_with(tmp_path, {"b": BOT}, {"b": TEXTS})
    wait = RateLimited("Wait.")
    wait.until = time.time() + 3600
    service.faults = [wait]
    assert publish(workspace, "b")["state"] == "held"
    assert publish(workspace, "b")["state"] == "held"
    assert service.texts == []
    assert publish(workspace, "b", change=at(datetime.now(UTC) + timedelta(hours=2)))["state"] == "published"


def test_a_switch_turns_only_what_there_is_and_says_what_holds(tmp_path: Path, service: FakeService) -> None:
    workspace = workspace_with(tmp_path, {"b": BOT}, {"b": TEXTS})
    with pytest.raises(UsageError, match="no bot `bb`"):
        switch_bot(workspace, "bb", "stopped", None)
    assert switch_bot(workspace, "b", "stopped", "enough")["now"] == "stopped"
    switch_bot(workspace, "*", "stopped", "an uproar")
    told = switch_bot(workspace, "b", "active", None)
    assert (told["state"], told["now"], told["why"]) == ("active", "stopped", "an uproar")
    switch_bot(workspace, "*", "active", None)
    assert switch_bot(workspace, "b", "active", None)["now"] == "active"


def test_the_kill_switch_also_stops_what_was_interrupted(tmp_path: Path, service: FakeService) -> None:
    workspace = workspace_with(tmp_path, {"b": BOT}, {"b": TEXTS})
    service.faults, service.look_faults = [LostAnswer()], [LostAnswer() for _ in range(4)]
    assert publish(workspace, "b", change=no_rest)["state"] == "unsettled"
    switch_bot(workspace, "*", "stopped", "enough")
    result = publish(workspace, "b", change=at(datetime.now(UTC) + timedelta(hours=1)))
    assert (result["state"], result["why"], service.texts) == ("stopped", "enough", [])
    switch_bot(workspace, "*", "active", None)
    publish(workspace, "b", limit=9, change=at(datetime.now(UTC) + timedelta(hours=1)))
    assert sorted(service.texts) == sorted(TEXTS)


def test_a_clock_that_was_turned_back_publishes_nothing(tmp_path: Path, service: FakeService) -> None:
    workspace = workspace_with(tmp_path, {"b": BOT}, {"b": TEXTS})
    publish(workspace, "b")
    result = publish(workspace, "b", change=at(datetime.now(UTC) - timedelta(days=30)))
    assert (result["state"], result["ok"]) == ("clock", False)
    assert publish(workspace, "b")["state"] == "published"


def test_a_publisher_paused_past_its_lease_changes_nothing(tmp_path: Path, service: FakeService) -> None:
    workspace = workspace_with(tmp_path, {"b": BOT}, {"b": TEXTS})
    store = Store.of(workspace)
    slow, now = Ledger(store, 60), datetime.now(UTC)
    entry = slow.claim("b", now, scheduled=False).entry
    assert entry is not None
    assert slow.claim("b", now, scheduled=False).why == "busy"
    later = now + timedelta(minutes=2)
    taken = Ledger(store, 60).claim("b", later, scheduled=False).entry
    assert taken is not None
    assert taken.id == entry.id
    for write in (
        lambda: slow.attempt(entry, {"key": "k", "text": "t"}, {}, ("fake", "bot"), later),
        lambda: slow.put_back(entry, "", later),
        lambda: slow.fail(entry, "", later),
    ):
        with pytest.raises(StaleClaimError):
            write()
    store.close()


def test_mentions_are_made_harmless_and_links_stay_out(tmp_path: Path, service: FakeService) -> None:
    texts = ["Ask @paulg and ＠jack about it.", "Read https://example.com/a now.", "Or see example.com for more."]
    workspace = workspace_with(tmp_path, {"b": BOT}, {"b": texts})
    result = publish(workspace, "b", limit=9)
    assert service.texts == ["Ask @\u200bpaulg and ＠\u200bjack about it."]
    assert len(result["failed"]) == 2
    assert "link" in result["failed"][0]["reason"]


def test_slots_come_once_and_a_machine_that_slept_does_not_flood(tmp_path: Path, service: FakeService) -> None:
    daily = {**BOT, "schedule": "09:00, 12:00, 15:00", "time_zone": "Europe/Rome"}
    workspace = workspace_with(tmp_path, {"b": daily}, {"b": [f"Text number {number}." for number in range(30)]})
    assert publish(workspace, "b")["state"] == "nothing_due"
    due = sorted(datetime.fromisoformat(entry["due_at"]) for entry in show(workspace, "b")[0]["queue"])
    assert len(set(due)) == 30
    assert publish(workspace, "b", change=at(due[0] + timedelta(minutes=1)))["state"] == "published"
    assert len(service.texts) == 1
    slept = due[0] + timedelta(days=4)
    publish(workspace, "b", change=at(slept))
    assert len(service.texts) == 2 + sum(slept - timedelta(hours=6) <= one <= slept for one in due) - (
        1 if any(slept - timedelta(hours=6) <= one <= slept for one in due) else 0
    )
    moment, seen = slept, set(service.texts)
    for _ in range(300):
        moment += timedelta(hours=1)
        publish(workspace, "b", change=at(moment))
        assert len(set(service.texts) - seen) <= 1
        seen = set(service.texts)
    assert len(service.texts) == len(seen) == 30


def test_a_changed_schedule_plans_the_queue_anew_and_moving_changes_the_order(
    tmp_path: Path, service: FakeService
) -> None:
    workspace = workspace_with(tmp_path, {"b": {**BOT, "schedule": "09:00"}}, {"b": TEXTS})
    ids = {entry["text"]: entry["id"] for entry in show(workspace, "b")[0]["queue"]}
    desk.move(workspace, "b", ids[TEXTS[4]], ids[TEXTS[0]])
    desk.withdraw(workspace, "b", ids[TEXTS[2]], None)
    queue = [entry for entry in show(workspace, "b")[0]["queue"] if entry["state"] == "approved"]
    assert [entry["text"] for entry in queue] == [TEXTS[4], TEXTS[0], TEXTS[1], TEXTS[3]]
    workspace.toml.write_text(workspace.toml.read_text().replace("09:00", "21:30"))
    publish(workspace, "b")
    queue = [entry for entry in show(workspace, "b")[0]["queue"] if entry["state"] == "approved"]
    assert {entry["due_at"][11:16] for entry in queue} == {"21:30"}


def test_evergreens_come_back_only_when_asked_for(tmp_path: Path, service: FakeService) -> None:
    workspace = workspace_with(tmp_path, {"b": BOT}, {"b": TEXTS[:2]})
    for _ in range(3):
        publish(workspace, "b")
    assert service.texts == TEXTS[:2]
    workspace.toml.write_text(workspace.toml.read_text() + "evergreen = true\n")
    for _ in range(3):
        publish(workspace, "b")
    assert service.texts == [*TEXTS[:2], *TEXTS[:2], TEXTS[0]]


def test_a_dry_run_shows_the_request_and_sends_nothing(tmp_path: Path) -> None:
    workspace = workspace_with(tmp_path, {"b": FILE}, {"b": TEXTS})
    told = dry_run(workspace, "b")
    assert told["request"]["request"]["text"] == TEXTS[0]
    assert told["request"]["request"]["disclosure"]["ai_generated"] is True
    assert not (tmp_path / "out.jsonl").exists()
    assert states(workspace) == {"approved": 5}


def test_the_daemon_goes_on_through_errors_until_it_is_told_to_end(tmp_path: Path, service: FakeService) -> None:
    workspace = workspace_with(tmp_path, {"b": BOT}, {"b": TEXTS})
    service.faults = [None, NotSent("Not reached.")]
    looks = iter(range(100))
    results: list[dict[str, Any]] = []
    settings = PublishSettings(poll_seconds=0.01)
    watch(workspace, "b", settings=settings, ended=lambda: next(looks) > 40, happened=results.append)
    assert service.texts == TEXTS


def test_a_torn_line_of_a_file_is_cut_off_and_written_again(tmp_path: Path) -> None:
    workspace = workspace_with(tmp_path, {"b": FILE}, {"b": TEXTS})
    publish(workspace, "b")
    with (tmp_path / "out.jsonl").open("a") as file:
        file.write('{"key":"3k')
    for _ in range(4):
        publish(workspace, "b")
    assert lines(workspace) == TEXTS


STEPS = ("claimed", "frozen", "attempting", "answered", "confirmed", "settling")


def _killed_at(workspace: Workspace, step: str) -> int:
    """Publish in a child that ends itself at a step; its exit code."""
    child = os.fork()
    if child == 0:

        def change(bot: Bot) -> None:
            bot.rest = lambda _: None
            bot.on_step = lambda now: os.kill(os.getpid(), signal.SIGKILL) if now == step else None

        try:
            publish(workspace, "b", change=change)
        finally:
            os._exit(0)
    return os.waitpid(child, 0)[1]


def test_kills_at_every_step_make_no_duplicate_and_lose_nothing(tmp_path: Path) -> None:
    texts = [f"Text {number} goes out once." for number in range(12)]
    workspace = workspace_with(tmp_path, {"b": FILE}, {"b": texts})
    kills = 0
    for number in range(200):
        kills += _killed_at(workspace, STEPS[number % len(STEPS)]) == signal.SIGKILL
        if states(workspace) == {"confirmed": 12}:
            break
    assert lines(workspace) == texts
    assert kills > 12


def _drain(root: Path, url: str, names: list[str], until: float) -> None:
    os.environ["PASQUIN_DATABASE_URL"] = url
    workspace = Workspace.open(root)
    while time.monotonic() < until:
        results = [publish(workspace, name, change=at(datetime(2031, 1, 1, tzinfo=UTC))) for name in names]
        if not any(result["stock"] or result["state"] == "busy" for result in results):
            return


def test_eight_publishers_at_once_miss_nothing_and_repeat_nothing(
    tmp_path: Path, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PASQUIN_DATABASE_URL", database)
    names = [f"b{number}" for number in range(4)]
    texts = {name: [f"{name} says {number}." for number in range(25)] for name in names}
    workspace = workspace_with(tmp_path / "w", {name: {**FILE, "schedule": "*/5 * * * *"} for name in names}, texts)
    workspace.toml.write_text(workspace.toml.read_text().replace("schedule", "grace_hours = 99999\nschedule"))
    context = multiprocessing.get_context("fork")
    until = time.monotonic() + 120
    work = [
        context.Process(target=_drain, args=(workspace.root, database, names[place % 4 :] + names[: place % 4], until))
        for place in range(8)
    ]
    for process in work:
        process.start()
    for process in work:
        process.join()
        assert process.exitcode == 0
    assert Counter(lines(workspace)) == Counter(text for some in texts.values() for text in some)
    store = Store.of(workspace)
    with store.read() as connection:
        confirmed = sa.select(sa.func.count()).where(publication_events.c.state == "confirmed")
        assert connection.execute(confirmed).scalar() == 100
        assert connection.execute(sa.select(sa.func.max(publications.c.attempts))).scalar() == 1
    store.close()


def test_a_slot_can_be_taken_once(tmp_path: Path, service: FakeService) -> None:
    workspace = workspace_with(tmp_path, {"b": {**BOT, "schedule": "09:00"}}, {"b": TEXTS})
    store = Store.of(workspace)
    with pytest.raises((sa.exc.IntegrityError, StoreError)), store.write() as connection:
        connection.execute(sa.update(publications).values(due_at=datetime(2027, 1, 1, tzinfo=UTC)))
    store.close()


def decide(workspace: Workspace, candidate: str | None, decision: str, text: str | None = None) -> None:
    store = Store.of(workspace)
    with store.write() as connection:
        if not connection.execute(sa.select(curators.c.id)).first():
            who = {"id": "c1", "name": "Ann", "owner": True, "created_at": datetime.now(UTC)}
            connection.execute(sa.insert(curators).values(who))
        row = {"key": os.urandom(8).hex(), "candidate": candidate, "curator": "c1", "decision": decision, "text": text}
        row |= {"seconds": 1.0, "via": "card", "created_at": datetime.now(UTC)}
        connection.execute(sa.insert(decisions).values(row))
    store.close()


def test_what_was_accepted_is_seen_before_a_publisher_runs(tmp_path: Path, service: FakeService) -> None:
    workspace = workspace_with(tmp_path, {"b": {**BOT, "models": ["m"]}})
    ids = [one.candidate for one in accepted(workspace, TEXTS)]
    decide(workspace, ids[0], "accept")
    assert show(workspace)[0]["stock"] == 1
    decide(workspace, ids[1], "accept")
    assert dry_run(workspace, "b")["text"] == TEXTS[0]
    assert show(workspace, "b")[0]["stock"] == 2


def test_without_its_schedule_a_bot_has_no_next_slot(tmp_path: Path, service: FakeService) -> None:
    workspace = workspace_with(tmp_path, {"b": {**BOT, "schedule": "09:00"}}, {"b": TEXTS})
    assert show(workspace, "b")[0]["next_due"]
    lines = workspace.toml.read_text().splitlines()
    workspace.toml.write_text("\n".join(line for line in lines if "schedule" not in line))
    assert show(workspace, "b")[0]["next_due"] is None
    store = Store.of(workspace)
    late = standings(workspace, store, datetime.now(UTC) + timedelta(days=9))[0]
    store.close()
    assert (late.next_due, late.overdue) == (None, 0.0)


def test_the_queue_follows_the_decisions(tmp_path: Path, service: FakeService) -> None:
    workspace = workspace_with(tmp_path, {"b": {**BOT, "models": ["m"], "paused": True}, "c": {**BOT, "models": ["x"]}})
    ids = [one.candidate for one in accepted(workspace, TEXTS)]
    decide(workspace, ids[0], "accept")
    decide(workspace, ids[1], "edit", "Said better.")
    decide(workspace, ids[2], "reject")
    decide(workspace, ids[3], "accept")
    assert publish(workspace, "c")["state"] == "nothing_due"
    workspace.toml.write_text(workspace.toml.read_text().replace("paused = true", ""))
    assert publish(workspace, "b")["stock"] == 2
    decide(workspace, ids[3], "reject")
    published = publish(workspace, "b", limit=9)["published"]
    assert service.texts == [TEXTS[0], "Said better."]
    assert states(workspace) == {"confirmed": 2, "withdrawn": 1}
    store = Store.of(workspace)
    told = receipt(store, published[0]["uri"])
    assert (told["curator"], told["edited"], told["origin"]["generated_text"]) == ("Ann", True, TEXTS[1])
    with store.write() as connection:
        connection.execute(sa.update(candidates).values(withdrawn_at=datetime.now(UTC)))
    store.close()
    decide(workspace, ids[3], "accept")
    assert publish(workspace, "b", limit=9)["state"] == "nothing_due", "it came closest to a post that was forgotten"


@pytest.mark.real
@pytest.mark.parametrize("network", ["webhook", "x"])
def test_kills_on_the_wire_make_no_duplicate_and_lose_nothing(network: str) -> None:
    script = Path(__file__).parents[1] / "benchmarks" / "publish_kills.py"
    lanes = "1" if "PASQUIN_DATABASE_URL" in os.environ else "4"  # each is a workspace: they cannot share a database
    command = [sys.executable, str(script), "--kills", "15", "--networks", network, "--lanes", lanes]
    run = subprocess.run(command, capture_output=True, text=True, timeout=200)
    assert run.returncode == 0, run.stderr[-2000:]
    figures = json.loads(run.stdout.splitlines()[-1])[network]
    assert (figures["kills"], figures["duplicates"], figures["lost"]) == (15, 0, 0)
    assert network == "x" or figures["unknown"] == 0
