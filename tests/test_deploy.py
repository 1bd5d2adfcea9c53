"""The files in deploy/ are what their tools take, and start commands that there are."""

from __future__ import annotations

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
def test_kubernetes_takes_the_manifests(manifest: Path) -> None:
    """Strictly, against the schemas of Kubernetes; KubeRay's own kind is none of those."""
    if "ray.io/" not in manifest.read_text():
        _tool("kubernetes-validate", "--strict", manifest)
    for document in yaml.safe_load_all(manifest.read_text()):
        for pod in _pods(document):
            # Else Kubernetes sets PASQUIN_PLAY_PORT and the like to addresses of its services.
            assert pod["enableServiceLinks"] is False
            for container in pod["containers"]:
                if "args" in container:
                    docs_commands.parse(tuple(container["args"]))
                assert "memory" in container["resources"]["limits"]


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


def test_the_scripts_of_the_page_can_be_read() -> None:
    scripts = re.findall(r"^```sh\n(.*?)^```", (ROOT / "docs/deploy.md").read_text(), re.S | re.M)
    assert len(scripts) > 3
    for script in scripts:
        assert subprocess.run(["bash", "-n"], input=script.encode(), capture_output=True).returncode == 0
    for name in re.findall(r"deploy/[\w./@-]+\w", (ROOT / "docs/deploy.md").read_text()):
        assert (ROOT / name).exists(), name
