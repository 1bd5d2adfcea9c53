"""The recipes in docs/runners.md: each is what its tool would read, and names commands and settings that there are."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

TEXT = (Path(__file__).parents[1] / "docs" / "runners.md").read_text()


def block(kind: str) -> str:
    """The first block of a kind."""
    found = re.search(rf"^```{re.escape(kind)}\n(.*?)^```", TEXT, re.S | re.M)
    assert found is not None, kind
    return found[1]


def test_the_line_of_cron_is_one() -> None:
    croniter = pytest.importorskip("croniter").croniter
    mail, line = block("crontab").strip().splitlines()
    assert mail.startswith("MAILTO=")
    assert croniter.is_valid(" ".join(line.split()[:5]))
    command = line.split(None, 5)[5]
    assert subprocess.run(["bash", "-n", "-c", command], capture_output=True).returncode == 0
    assert "%" not in command, "cron would cut it there"


def test_systemd_takes_the_service_and_the_timer(tmp_path: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd is not installed")
    service = block("ini service").replace("%h/.venv/bin/pasquin", "/bin/true").replace("%h/", "/tmp/")
    (tmp_path / "pasquin-mybot.service").write_text(service)
    (tmp_path / "pasquin-mybot.timer").write_text(block("ini timer"))
    for name in ("pasquin-mybot.service", "pasquin-mybot.timer"):
        done = subprocess.run([analyze, "verify", "--man=no", tmp_path / name], capture_output=True, text=True)
        complaints = [line for line in done.stderr.splitlines() if "pasquin-mybot" in line]
        assert (done.returncode, complaints) == (0, [])
    when = re.search(r"OnCalendar=(.*)", block("ini timer"))
    assert when is not None
    assert subprocess.run([analyze, "calendar", when[1]], capture_output=True).returncode == 0


def test_the_workflow_is_one_and_keeps_its_secrets() -> None:
    workflow = yaml.load(block("yaml"), Loader=yaml.BaseLoader)
    assert set(workflow) == {"name", "on", "permissions", "concurrency", "jobs"}
    assert workflow["permissions"] == {"contents": "read"}
    job = workflow["jobs"]["publish"]
    assert set(job) <= {"runs-on", "timeout-minutes", "steps"}
    for step in job["steps"]:
        assert ("uses" in step) != ("run" in step)
        assert set(step) <= {"uses", "run", "with", "env"}
        assert all(re.fullmatch(r"\$\{\{ secrets\.[A-Z_]+ \}\}", value) for value in step.get("env", {}).values())
    croniter = pytest.importorskip("croniter").croniter
    assert all(croniter.is_valid(each["cron"]) for each in workflow["on"]["schedule"])
    if actionlint := shutil.which("actionlint"):
        assert subprocess.run([actionlint, "-"], input=block("yaml").encode()).returncode == 0


def test_scripts_and_the_image_can_be_read() -> None:
    for script in re.findall(r"^```sh\n(.*?)^```", TEXT, re.S | re.M):
        assert subprocess.run(["bash", "-n"], input=script.encode(), capture_output=True).returncode == 0
    image = block("dockerfile").strip().splitlines()
    assert [line.split()[0] for line in image] == ["FROM", "RUN", "WORKDIR", "COPY", "ENTRYPOINT"]
    assert yaml.safe_load(image[-1].split(None, 1)[1]) == ["pasquin", "publish", "mybot", "--once", "--json"]
