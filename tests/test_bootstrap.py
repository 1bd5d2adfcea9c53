"""The first minute on a bare machine: Python without ensurepip, wrong words, an environment that is there already."""

from __future__ import annotations

import importlib.util
import os
import stat
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[1]


def _bootstrap(monkeypatch: pytest.MonkeyPatch, venv: Path) -> ModuleType:
    monkeypatch.setenv("VENV", str(venv))
    return _script("bootstrap")


def _script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.real
def test_python_without_ensurepip_still_gets_an_environment_with_pip(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Debian's bare python3.11 cannot make a virtual environment with pip: bootstrap fetches pip itself."""
    real = Path(sys.executable).resolve()
    bare = tmp_path / "python3"
    bare.write_text(f'#!/bin/sh\ncase "$*" in *--without-pip*) ;; "-m venv"*) exit 1 ;; esac\nexec {real} "$@"\n')
    bare.chmod(bare.stat().st_mode | stat.S_IXUSR)
    bootstrap = _bootstrap(monkeypatch, tmp_path / "venv")
    monkeypatch.setattr(bootstrap.sys, "executable", str(bare))
    try:
        bootstrap.make_environment()
    except bootstrap.BootstrapError as exc:
        if "could not be fetched" not in str(exc):
            raise
        pytest.skip("no package index can be reached from here")
    version = subprocess.run([tmp_path / "venv/bin/python", "-m", "pip", "--version"], capture_output=True, text=True)
    assert version.returncode == 0, version.stderr
    assert capfd.readouterr().out == ""


def test_a_broken_download_of_pip_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bootstrap = _bootstrap(monkeypatch, tmp_path / "venv")
    index = b'{"urls": [{"packagetype": "bdist_wheel", "filename": "pip.whl", "url": "x", "digests": {"sha256": "0"}}]}'

    class Answer:
        def __enter__(self) -> Answer:
            return self

        def __exit__(self, *_: object) -> None:
            return None

        def read(self, *_: object) -> bytes:
            return index

    monkeypatch.setattr(bootstrap.urllib.request, "urlopen", lambda *_, **__: Answer())
    with pytest.raises(bootstrap.BootstrapError, match="not the one"):
        bootstrap.fetch_pip()


def test_without_network_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bootstrap = _bootstrap(monkeypatch, tmp_path / "venv")

    def unreachable(*_: object, **__: object) -> None:
        raise OSError("Network is unreachable")

    monkeypatch.setattr(bootstrap.urllib.request, "urlopen", unreachable)
    with pytest.raises(bootstrap.BootstrapError, match="sudo apt install python3-venv"):
        bootstrap.fetch_pip()


def test_wrong_words_are_told_how(tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, ROOT / "bootstrap.py", "dmeo"], capture_output=True, text=True, env={**os.environ, "VENV": ""}
    )
    assert (run.returncode, run.stdout) == (1, "")
    assert "usage" in run.stderr
