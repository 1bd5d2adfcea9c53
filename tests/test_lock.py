"""The lock holds together: a conflict in it is found here, and not by the machine that installs it."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]

ASKS = {
    "tweepy": ("4.17.0", ["oauthlib<4,>=3.2", "aiohttp>=3; extra == 'async'"]),
    "oauthlib": ("4.0.0", []),
    "aiohttp": ("3.14.5", []),
}


@pytest.fixture(scope="module")
def lock() -> ModuleType:
    spec = importlib.util.spec_from_file_location("lock", ROOT / "lock.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _problems(lock: ModuleType, wants: list[str], pins: str) -> list[str]:
    found: list[str] = lock.problems([Requirement(line) for line in wants], lock.pins(pins), ASKS.get)
    return found


def test_the_lock_fits_pyproject_and_itself(lock: ModuleType) -> None:
    assert lock.check() == []


def test_torch_is_pinned_without_a_local_suffix(lock: ModuleType) -> None:
    """An open range pulls a CUDA build of several gigabytes; a suffix exists on one index only."""
    assert lock.pins(lock.LOCK.read_text())["torch"] == "2.13.0"


def test_two_packages_that_cannot_live_together_are_told(lock: ModuleType) -> None:
    found = _problems(lock, ["tweepy>=4.16"], "tweepy==4.17.0\noauthlib==4.0.0")
    assert found == ["tweepy 4.17.0 asks for oauthlib<4,>=3.2, and the lock pins oauthlib==4.0.0."]


def test_a_pin_outside_pyprojects_range_is_told(lock: ModuleType) -> None:
    assert _problems(lock, ["oauthlib<4"], "oauthlib==4.0.0") == [
        "pyproject.toml asks for oauthlib<4, and the lock pins oauthlib==4.0.0."
    ]


def test_what_an_extra_pulls_must_be_pinned_too(lock: ModuleType) -> None:
    assert _problems(lock, ["tweepy"], "tweepy==4.17.0\noauthlib==3.3.1") == [
        "oauthlib is installed as 4.0.0 and locked as 3.3.1: install what the lock says, or renew it."
    ]
    assert any("aiohttp" in told for told in _problems(lock, ["tweepy[async]"], "tweepy==4.17.0\noauthlib==4.0.0"))


def test_pins_that_nothing_asks_for_and_packages_that_are_not_here_are_told(lock: ModuleType) -> None:
    assert _problems(lock, ["aiohttp"], "aiohttp==3.14.5\noauthlib==4.0.0") == [
        "The lock pins oauthlib==4.0.0, and nothing asks for it."
    ]
    assert "not installed here" in _problems(lock, ["nowhere"], "nowhere==1.0")[0]


def test_a_renewed_lock_keeps_torch_and_drops_what_a_cuda_build_brings(lock: ModuleType) -> None:
    compiled = "# by a resolver\ntorch==2.14.1+cpu\nnvidia-cublas==13.1\ntriton==3.5\nzipp==4.1.2\nanyio==4.16.0\n"
    assert lock.renewed(compiled, "torch==2.13.0") == "anyio==4.16.0\ntorch==2.13.0\nzipp==4.1.2\n"


def test_wrong_words_are_told_how() -> None:
    run = subprocess.run([sys.executable, ROOT / "lock.py", "--chekc"], capture_output=True, text=True)
    assert (run.returncode, run.stdout) == (2, "")
    assert "usage" in run.stderr
