"""The files in deploy/ are what their tools take, and start commands that there are."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

import docs_commands
import pasquin

ROOT = Path(__file__).resolve().parents[1]
DEPLOY = ROOT / "deploy"
TOOLS = Path(sys.executable).parent
MANIFESTS = sorted((DEPLOY / "kubernetes").glob("*.yaml"))
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))


def _tool(name: str, *words: str | Path) -> None:
    tool = TOOLS / name
    if not tool.exists():
        pytest.skip(f"{name} is not installed")
    done = subprocess.run([tool, *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def _pods(found: object) -> Iterator[dict[str, Any]]:
    """Every pod's spec in a manifest, however deep."""
    if isinstance(found, dict):
        if "containers" in found:
            yield found
        for value in found.values():
            yield from _pods(value)
    elif isinstance(found, list):
        for value in found:
            yield from _pods(value)


def test_hadolint_has_nothing_to_say_of_the_image() -> None:
    _tool("hadolint", DEPLOY / "Dockerfile")


def test_the_image_runs_as_nobody_in_particular_and_holds_no_build() -> None:
    last = (DEPLOY / "Dockerfile").read_text().rpartition("\nFROM ")[2]
    assert re.search(r"^USER 10001$", last, re.M)
    assert "HEALTHCHECK" in last
    assert re.findall(r"^COPY --from=(\S+) (\S+)", last, re.M) == [("build", "/opt/pasquin")]
    ignored = (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()
    assert "*" in ignored, "only what is named goes to the builder, never a workspace beside the checkout"
    for line in ignored:
        if line.startswith("!"):
            assert (ROOT / line[1:]).exists(), line


def test_yaml_is_in_order() -> None:
    rules = "{extends: default, rules: {line-length: {max: 120}}}"
    _tool("yamllint", "--strict", "-d", rules, *MANIFESTS, ROOT / "mkdocs.yml")


def test_github_takes_the_workflow_of_the_recipes(tmp_path: Path) -> None:
    found = re.search(r"^```yaml\n(.*?)^```", (ROOT / "docs/runners.md").read_text(), re.S | re.M)
    assert found is not None
    (tmp_path / "publish.yml").write_text(found[1])
    _tool("check-jsonschema", "--builtin-schema", "vendor.github-workflows", tmp_path / "publish.yml")


@pytest.mark.parametrize("manifest", MANIFESTS, ids=lambda path: path.name)
def test_kubernetes_takes_the_manifests(manifest: Path, tmp_path: Path) -> None:
    """Strictly, against the schemas of Kubernetes; KubeRay's own kind is none of those."""
    known = [text for text in manifest.read_text().split("\n---\n") if "\nkind:" in text and "ray.io/" not in text]
    for number, text in enumerate(known):
        (tmp_path / f"{number}.yaml").write_text(text)
        _tool("kubernetes-validate", "--strict", tmp_path / f"{number}.yaml")
    for document in yaml.safe_load_all(manifest.read_text()):
        for pod in _pods(document):
            # Else Kubernetes sets PASQUIN_PLAY_PORT and the like to addresses of its services.
            assert pod["enableServiceLinks"] is False
            for container in pod["containers"]:
                if "args" in container:
                    docs_commands.parse(tuple(container["args"]))
                assert "memory" in container["resources"]["limits"]


def test_every_volume_that_is_claimed_is_made() -> None:
    documents = [one for path in MANIFESTS for one in yaml.safe_load_all(path.read_text())]
    made = {one["metadata"]["name"] for one in documents if one["kind"] == "PersistentVolumeClaim"}
    volumes = [volume for one in documents for pod in _pods(one) for volume in pod["volumes"]]
    claimed = {volume["persistentVolumeClaim"]["claimName"] for volume in volumes if "persistentVolumeClaim" in volume}
    assert claimed == made


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.name)
def test_systemd_takes_the_units(unit: Path, tmp_path: Path) -> None:
    text = unit.read_text()
    start = re.search(r"^ExecStart=/opt/pasquin/bin/(.*)$", text, re.M)
    assert start is not None
    docs_commands.parse(tuple(shlex.split(start[1].replace("%i", "mybot"))[1:]))
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd is not installed")
    copy = tmp_path / unit.name
    copy.write_text(text.replace("/opt/pasquin/bin/pasquin", "/bin/true").replace("/var/lib/pasquin", "/tmp"))
    done = subprocess.run([analyze, "verify", "--man=no", copy], capture_output=True, text=True)
    assert [line for line in done.stderr.splitlines() if unit.stem in line] == []


@pytest.mark.parametrize("file", ["PASQUIN_BOT_MYBOT_PASSWORD='a $b #c'\n", "", None])
def test_a_command_by_hand_sees_what_the_services_see(file: str | None, tmp_path: Path) -> None:
    """`pasquin-at`, with its three places below `tmp_path`, not as root, and a program that tells what it was given."""
    script = (DEPLOY / "systemd/pasquin-at").read_text()
    for name in ("/etc/pasquin", "/var/lib/pasquin", "/opt/pasquin"):
        assert name in script
        script = script.replace(name, f"{tmp_path}{name}")
    (tmp_path / "pasquin-at").write_text(script.replace("$(id -u)", "1000"))
    program = tmp_path / "opt/pasquin/bin/pasquin"
    for folder in (program.parent, tmp_path / "etc/pasquin", tmp_path / "var/lib/pasquin/mybot"):
        folder.mkdir(parents=True)
    program.write_text('#!/bin/sh\nprintf "%s|" "$PWD" "$(umask)" "${PASQUIN_BOT_MYBOT_PASSWORD:-none}" "$@"\n')
    program.chmod(0o755)
    if file is not None:
        (tmp_path / "etc/pasquin/mybot.env").write_text(file)
    command = ["sh", tmp_path / "pasquin-at", "mybot", "bot", "list"]
    done = subprocess.run(command, capture_output=True, text=True, env={"PATH": os.environ["PATH"]})
    if file is None:
        assert done.returncode != 0
        assert "mybot.env" in done.stderr
    else:
        secret = "a $b #c" if file else "none"
        assert done.stdout == f"{tmp_path}/var/lib/pasquin/mybot|0077|{secret}|bot|list|"


def test_prometheus_takes_the_alerts_and_asks_the_job_they_are_about(tmp_path: Path) -> None:
    alerts = (ROOT / "docs/alerts.yml").read_text()
    found = re.search(r"^```yaml\n(.*?)^```", (ROOT / "docs/operate.md").read_text(), re.S | re.M)
    assert found is not None
    scrapes = yaml.safe_load(found[1])["scrape_configs"]
    jobs = {one.get("relabel_configs", [{"replacement": one["job_name"]}])[0]["replacement"] for one in scrapes}
    assert jobs == set(re.findall(r'job="(\w+)"', alerts))
    # The game and the publishing daemon both tell of a bot: what compares two metrics must not mix them.
    assert set(re.findall(r"\bon \((.*?)\)", alerts)) == {"job, instance, bot"}
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("Prometheus is not installed")
    (tmp_path / "alerts.yml").write_text(alerts)
    (tmp_path / "prometheus.yml").write_text(found[1])
    command = [promtool, "check", "config", "--syntax-only", tmp_path / "prometheus.yml"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_cron_takes_the_lines_for_backups() -> None:
    croniter = pytest.importorskip("croniter").croniter
    blocks = re.findall(r"^```crontab\n(.*?)^```", (ROOT / "docs/operate.md").read_text(), re.S | re.M)
    lines = [line for block in blocks for line in block.splitlines() if not line.startswith("MAILTO=")]
    assert len(lines) == 2
    for line in lines:
        *when, command = line.split(None, 5)
        assert croniter.is_valid(" ".join(when))
        assert not re.search(r"(?<!\\)%", command), "cron would cut it there"
        script = command.removeprefix("pasquin ").replace("\\%", "%")
        assert subprocess.run(["sh", "-n", "-c", script], capture_output=True).returncode == 0


def test_the_pages_name_the_wheel_and_the_images_of_this_version() -> None:
    texts = [path.read_text() for path in (*(ROOT / "docs").glob("*.md"), *MANIFESTS)]
    named = {
        name for text in texts for name in re.findall(r"pasquin-(\d[\d.]*)-py3|/pasquin(?:-\w+)?:(\d[\d.]*\d)", text)
    }
    assert {one or other for one, other in named} == {pasquin.__version__}


def test_the_scripts_of_the_pages_can_be_read() -> None:
    for page in ("deploy", "operate", "quickstart"):
        scripts = re.findall(r"^```sh\n(.*?)^```", (ROOT / f"docs/{page}.md").read_text(), re.S | re.M)
        assert len(scripts) > 1
        for script in scripts:
            assert subprocess.run(["bash", "-n"], input=script.encode(), capture_output=True).returncode == 0
    for name in re.findall(r"deploy/[\w./@-]+\w", (ROOT / "docs/deploy.md").read_text()):
        assert (ROOT / name).exists(), name
