"""Publishing when things go wrong underneath: many at once, disks that fail, clocks that jump, secrets and crashes.

The short forms of benchmarks and of `make soak`; what each is to show stands in docs/publish.md.
"""

from __future__ import annotations

import errno
import json
import os
import random
import shutil
import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from hostile_server import hostile_server
from pasquin.publish import publish, switch_bot, triggers
from pasquin.store import Store
from pasquin.workspace import Workspace
from publish_fakes import FakeService, compliant_settings, install, workspace_with
from test_publish import BOT, at

HERE = Path(__file__).parent
BENCHMARKS = HERE.parent / "benchmarks"
COMPILER = shutil.which("cc") or shutil.which("gcc") or shutil.which("g++")


def figures(script: Path, *options: str, **environment: str) -> dict[str, float]:
    """The last line of a script, as JSON."""
    command = [sys.executable, str(script), *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280, env={**os.environ, **environment})
    assert done.returncode == 0, done.stderr[-2_000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.real
def test_eight_publishers_and_a_cron_with_one_that_is_paused() -> None:
    """Acceptance 5."""
    found = figures(BENCHMARKS / "publishers_at_once.py", "--slots", "48")
    assert (found["slots"], found["published"], found["duplicates"], found["missed"]) == (48, 48, 0, 0)
    assert found["pauses"] >= found["stale_blocked"] >= 0


def test_sixteen_writers_are_never_locked_out() -> None:
    """Acceptance 8."""
    found = figures(BENCHMARKS / "sqlite_writers.py", "--seconds", "2")
    assert (found["writers"], found["locked"]) == (16, 0)
    assert found["writes"] > 16


@pytest.mark.real
@pytest.mark.skipif(COMPILER is None, reason="there is no C compiler")
@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC])
def test_a_disk_that_fails_at_any_write_loses_nothing(tmp_path: Path, code: int) -> None:
    """Acceptance 7, every 29th write (PASQUIN_SOAK_STEP=1: each)."""
    step = os.environ.get("PASQUIN_SOAK_STEP", "29")
    library = preloaded(tmp_path, "nth_write")
    found = figures(HERE / "failing_disk.py", str(tmp_path), str(code), step, LD_PRELOAD=str(library))
    assert (found["whole"], found["duplicates"], found["lost"]) == (True, 0, 0)
    assert found["points"] > 4


@pytest.mark.real
@pytest.mark.skipif(COMPILER is None, reason="there is no C compiler")
def test_a_power_cut_takes_nothing_that_was_told(tmp_path: Path) -> None:
    """Acceptance 7: what was not synced is dropped, after every 61st record (PASQUIN_SOAK_STEP=1: each)."""
    step = os.environ.get("PASQUIN_SOAK_STEP", "61")
    library = preloaded(tmp_path, "power_cut")
    found = figures(HERE / "power_cut.py", str(tmp_path), step, LD_PRELOAD=str(library))
    assert (found["whole"], found["lost"], found["duplicates"]) == (True, 0, 0)
    assert found["points"] > 4
    assert found["acknowledged"] > found["points"]


def preloaded(folder: Path, name: str) -> Path:
    """A library of this directory, compiled."""
    library = folder / f"{name}.so"
    subprocess.run([COMPILER, "-shared", "-fPIC", "-O1", "-o", library, HERE / f"{name}.c", "-ldl"], check=True)
    return library


def hourly_in_rome(
    folder: Path, monkeypatch: pytest.MonkeyPatch, begin: datetime, texts: list[str]
) -> tuple[FakeService, Workspace]:
    """A bot that publishes at half past every hour, its texts queued at `begin`."""
    service = install(monkeypatch, FakeService())
    bot = {**BOT, "schedule": "30 * * * *", "time_zone": "Europe/Rome"}
    monkeypatch.setattr("pasquin.publish.datetime", _Frozen(begin))
    return service, workspace_with(folder, {"b": bot}, {"b": texts})


@pytest.mark.parametrize("night", [datetime(2026, 3, 28, 20), datetime(2026, 10, 24, 20)])
def test_a_clock_that_jumps_and_changes_publishes_each_slot_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, night: datetime
) -> None:
    """Acceptance 6: clocks go forward and back in Rome, and the machine's own jumps by an hour now and then."""
    service = install(monkeypatch, FakeService())
    begin = night.replace(tzinfo=ZoneInfo("Europe/Rome")).astimezone(UTC)
    texts = [f"Text {number} has one slot." for number in range(40)]
    bot = {**BOT, "schedule": "30 * * * *", "time_zone": "Europe/Rome", "grace_hours": 3}
    workspace = workspace_with(tmp_path, {"b": bot})
    monkeypatch.setattr("pasquin.publish.datetime", _Frozen(begin))
    from pasquin.publish import enqueue
    from publish_fakes import accepted

    enqueue(workspace, "b", accepted(workspace, texts))
    chance, counts = random.Random(6), Counter[str]()
    for minutes in range(0, 9 * 60, 20):
        jump = chance.choice((0, 0, 0, 0, -60, 0))
        result = publish(workspace, "b", change=at(begin + timedelta(minutes=minutes + jump)))
        counts[result["state"]] += 1
    assert counts["clock"] > 0, "a clock that went back publishes nothing"
    expected = {
        moment.replace(minute=30)
        for moment in (begin + timedelta(minutes=minutes) for minutes in range(0, 9 * 60, 20))
        if moment.minute >= 30
    }
    walls = {moment.astimezone(ZoneInfo("Europe/Rome")).replace(tzinfo=None) for moment in expected}
    assert service.texts == texts[: len(service.texts)], "in order, each once"
    assert len(service.texts) == len(walls), "a slot for every time on the wall, one for a time that comes twice"


def test_a_clock_that_runs_ahead_for_a_while_takes_no_slot_twice_and_leaves_none_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Acceptance 6: the machine's clock jumps an hour ahead now and then, and is set right again."""
    begin, texts = datetime(2026, 5, 4, 8, tzinfo=UTC), [f"Text {number} has one slot." for number in range(40)]
    service, workspace = hourly_in_rome(tmp_path, monkeypatch, begin, texts)
    chance, counts = random.Random(9), Counter[str]()
    for minutes in range(0, 24 * 60, 20):
        jump = 0 if minutes > 22 * 60 else chance.choice((0, 0, 0, 60))
        counts[publish(workspace, "b", change=at(begin + timedelta(minutes=minutes + jump)))["state"]] += 1
    assert counts["clock"] > 0, "set right again, it waits until the time has come that it saw"
    assert service.texts == texts[:24], "in order, each once, one for every slot of the day"


def test_after_a_clock_that_was_a_year_ahead_the_queue_is_planned_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin, texts = datetime(2026, 5, 4, 8, tzinfo=UTC), [f"Text {number} has one slot." for number in range(5)]
    service, workspace = hourly_in_rome(tmp_path, monkeypatch, begin, texts)
    publish(workspace, "b", change=at(begin + timedelta(days=365)))
    assert publish(workspace, "b", change=at(begin + timedelta(hours=1)))["state"] == "clock"
    switch_bot(workspace, "b", "active", None)
    for hours in range(1, 7):
        publish(workspace, "b", change=at(begin + timedelta(hours=hours)))
    assert service.texts == texts, "the slots of next year were given up"


class _Frozen:
    """`datetime` of a module whose now is a moment."""

    def __init__(self, moment: datetime) -> None:
        self.moment = moment

    def now(self, _: object = None) -> datetime:
        return self.moment


def test_no_secret_of_a_bot_comes_out(tmp_path: Path) -> None:
    """Acceptance 20: debug logs, refusals, a crash; nothing of it in what is said or kept."""
    script = (
        "import logging, sys; logging.basicConfig(level=logging.DEBUG)\n"
        "from pasquin.cli import main; from pasquin.publish import running\n"
        "def crash(*_, **__): raise ValueError('crashed on purpose')\n"
        "if sys.argv.pop(1) == 'crash': running.run = crash; import pasquin.publish; pasquin.publish.run = crash\n"
        "main()"
    )
    secrets = {
        "PASQUIN_BOT_M_TOKEN": "canary-token",
        "PASQUIN_BOT_S_PASSWORD": "canary-password",
        "PASQUIN_BOT_W_SECRET": "canary-secret",
        "PASQUIN_BOT_W_TRIGGER": "canary-trigger-of-the-environment",
        **{f"PASQUIN_BOT_X_{name}": "canary-x" for name in ("API_KEY", "API_SECRET", "ACCESS_TOKEN", "ACCESS_SECRET")},
    }
    with hostile_server() as server:
        bots = {
            "m": compliant_settings("mastodon", f"@m@{server.host}", server=server.url("")),
            "s": compliant_settings("bluesky", "s.test", server=server.url("")),
            "w": compliant_settings("webhook", server.url("/hook")),
            "x": compliant_settings("x", "@x", server=server.url(""), confirmed=["automated"]),
        }
        workspace = workspace_with(tmp_path, bots, {name: [f"{name} says it."] for name in bots})
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("PASQUIN")},
            **secrets,
            "PASQUIN_PUBLISH_ALLOW_PRIVATE_HOSTS": f"{server.host},127.0.0.1",
        }
        runs, said, crashed = [], "", 0
        for kind, name in (("calm", "m"), ("calm", "s"), ("calm", "w"), ("calm", "x"), ("crash", "w")):
            command = [sys.executable, "-c", script, kind, "publish", name, "--once", "--workspace", str(tmp_path)]
            pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
            runs.append(subprocess.Popen(command, env=environment, **pipes))
        for run in runs:
            output, errors = run.communicate(timeout=100)
            crashed += "crashed on purpose" in errors
            said += output + errors
        asked = len(server.asked)
    store = Store.of(workspace)
    token = triggers.make_token(store, "w")
    store.close()
    kept = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert (asked > 3, crashed, len(said) > 1_000) == (True, 1, True)
    assert "canary" not in said
    assert b"canary" not in kept
    assert token.encode() not in kept
