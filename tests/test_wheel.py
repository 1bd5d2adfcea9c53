"""The wheel that people install: it carries the built pages, and its base works with what the base install brings."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tomllib
import zipfile
from importlib import metadata
from pathlib import Path

import httpx
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from invented import make_game, texts
from pasquin import __version__
from pasquin.workspace import Workspace

ROOT = Path(__file__).resolve().parents[1]
pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout, built without network."""
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*pip, "--wheel-dir", folder, ROOT], check=True, capture_output=True)
    (built,) = folder.glob("pasquin-*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `bin` folder of an environment with the wheel and what it requires without extras, and nothing else.

    What it requires is linked from this environment, which spares a download.
    """
    venv = tmp_path_factory.mktemp("installed")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", venv], check=True)
    pip = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        venv / "bin/python",
        "install",
        "--quiet",
        "--no-deps",
        "--no-index",
    ]
    subprocess.run([*pip, wheel], check=True, capture_output=True)
    (site,) = venv.glob("lib/python*/site-packages")
    for name in _base():
        for file in metadata.files(name) or []:
            top, place = file.parts[0], Path(str(file.locate()))
            if top != ".." and not (site / top).exists():
                (site / top).symlink_to(place.parents[len(file.parts) - 2] if len(file.parts) > 1 else place)
    return venv / "bin"


def _base() -> set[str]:
    """Names of all distributions that a base install brings."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    todo, found = [Requirement(line) for line in project["dependencies"]], set[str]()
    while todo:
        requirement = todo.pop()
        name = canonicalize_name(requirement.name)
        if name in found:
            continue
        found.add(name)
        for line in metadata.requires(name) or []:
            asked = Requirement(line)
            extras = requirement.extras or {""}
            if asked.marker is None or any(asked.marker.evaluate({"extra": extra}) for extra in extras):
                todo.append(asked)
    return found


def test_the_pages_are_in_the_wheel(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert "pasquin/server/static/index.html" in names
    assert any(name.startswith("pasquin/server/static/assets/") and name.endswith(".js") for name in names)
    assert "pasquin/py.typed" in names
    assert not [name for name in names if not name.startswith(("pasquin/", f"pasquin-{__version__}.dist-info/"))]


def test_the_base_install_needs_neither_torch_nor_numpy(installed: Path) -> None:
    absent = "import importlib.util as u; print([n for n in ('torch', 'numpy', 'transformers') if u.find_spec(n)])"
    done = subprocess.run([installed / "python", "-c", absent], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_the_installed_program_collects_and_says_what_a_corpus_needs(installed: Path, tmp_path: Path) -> None:
    def pasquin(*words: str, cwd: Path) -> str:
        done = subprocess.run([installed / "pasquin", *words], cwd=cwd, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert pasquin("--version", cwd=tmp_path) == f"pasquin {__version__}\n"
    assert "collect" in pasquin("--help", cwd=tmp_path)
    pasquin("init", "mybot", cwd=tmp_path)
    home = tmp_path / "mybot"
    (home / "posts.csv").write_text("tweets\n" + "".join(f'"{text}"\n' for text in texts(99)), encoding="utf-8")
    assert json.loads(pasquin("collect", "csv:posts.csv", "--json", cwd=home))["new"] == 99
    prepared = subprocess.run([installed / "pasquin", "prepare", "me"], cwd=home, capture_output=True, text=True)
    assert prepared.returncode == 1
    assert "pip install 'pasquin[prepare]'" in prepared.stderr


def test_the_installed_program_serves_the_game(installed: Path, tmp_path: Path) -> None:
    make_game(Workspace.create(tmp_path / "game"))
    command = [installed / "pasquin", "play", "--port", "0", "--json"]
    with subprocess.Popen(command, cwd=tmp_path / "game", stdout=subprocess.PIPE, stderr=subprocess.PIPE) as server:
        assert server.stdout is not None
        assert server.stderr is not None
        first = server.stdout.readline()
        assert first, server.stderr.read().decode()
        try:
            with httpx.Client(base_url=json.loads(first)["url"]) as client:
                page = client.get("/")
                script = page.text.partition('src="')[2].partition('"')[0]
                assert (page.status_code, client.get(script).status_code) == (200, 200)
                assert (
                    client.post("/api/game/start", headers={"Origin": str(client.base_url).rstrip("/")}).status_code
                    == 200
                )
        finally:
            server.send_signal(signal.SIGINT)
        assert server.wait(20) in (0, 130)
