"""Prepares this checkout to run: a virtual environment, Pasquin with what a goal needs, the built web pages.

    python3 bootstrap.py demo|test

Used by the Makefile. Needs nothing but Python 3.11's standard library. Everything it prints goes to stderr. Each step
is skipped when it was done before and its inputs are unchanged.

    VENV                 where the virtual environment is (default .venv)
    PASQUIN_TORCH_INDEX  package index to take torch from, for example https://download.pytorch.org/whl/cpu, which
                         spares Linux machines without a GPU a download of several gigabytes
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = Path(os.environ.get("VENV") or ROOT / ".venv").absolute()
PYTHON = VENV / "bin" / "python"
LOCK = ROOT / "requirements.lock"
EXTRAS = {"demo": "train,openvino,measure", "test": "all,dev"}


class BootstrapError(Exception):
    """Something this script cannot mend; the message says what to do."""


def main(goal: str) -> None:
    """Make the checkout ready for `goal` (`demo` or `test`)."""
    if sys.version_info < (3, 11):  # noqa: UP036 - said here, before anything newer is needed
        raise BootstrapError(
            f"Pasquin needs Python 3.11 or newer, this is {sys.version.split()[0]}: "
            f"run `make PYTHON=python3.12 {goal}`."
        )
    make_environment()
    install(EXTRAS[goal])
    step("Building the web pages", [PYTHON, ROOT / "web" / "build.py"])
    if goal == "test":
        find_chromium()


def say(text: str) -> None:
    """Tell the person, on stderr."""
    print(text, file=sys.stderr, flush=True)


def step(label: str, command: list[object]) -> None:
    """Run a command with its output on stderr; raise BootstrapError when it fails."""
    say(f"{label} …")
    began = time.monotonic()
    words = [str(word) for word in command]
    environment = {"PIP_DISABLE_PIP_VERSION_CHECK": "1", **os.environ}
    if subprocess.run(words, stdout=sys.stderr.fileno(), cwd=ROOT, env=environment).returncode != 0:
        raise BootstrapError(f"{label} failed (above is why). Mend that and run the same command again.")
    say(f"{label}: done in {time.monotonic() - began:.0f} s")


def make_environment() -> None:
    """Make the virtual environment unless it is there and works."""
    if PYTHON.exists() and subprocess.run([PYTHON, "-m", "pip", "--version"], capture_output=True).returncode == 0:
        return
    say(f"Making a virtual environment in {VENV} …")
    made = subprocess.run([sys.executable, "-m", "venv", VENV], capture_output=True, text=True)
    if made.returncode == 0:
        return
    # Debian keeps ensurepip in the package python3-venv, which a bare machine lacks.
    bare = subprocess.run(
        [sys.executable, "-m", "venv", "--clear", "--without-pip", VENV], capture_output=True, text=True
    )
    if bare.returncode != 0:
        raise BootstrapError(f"No virtual environment could be made in {VENV}: {bare.stderr.strip() or bare.stdout}")
    fetch_pip()


def fetch_pip() -> None:
    """Install pip into the environment from its own wheel, verified against the hash the index states."""
    index = "https://pypi.org/pypi/pip/json"
    try:
        with urllib.request.urlopen(index, timeout=60) as answer:
            files = json.load(answer)["urls"]
        wheel = next(file for file in files if file["packagetype"] == "bdist_wheel")
        with urllib.request.urlopen(urllib.parse.urljoin(index, wheel["url"]), timeout=120) as answer:
            content = answer.read()
    except (OSError, ValueError, KeyError, StopIteration) as exc:
        raise BootstrapError(
            f"This Python has no venv package and pip could not be fetched ({exc}). "
            "On Debian or Ubuntu: sudo apt install python3-venv, then run the same command again."
        ) from exc
    if hashlib.sha256(content).hexdigest() != wheel["digests"]["sha256"]:
        raise BootstrapError("The pip that was fetched is not the one the index describes; try again.")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / wheel["filename"]
        path.write_bytes(content)
        step("Installing pip", [PYTHON, path / "pip", "install", "--quiet", "--no-index", path])


def install(extras: str) -> None:
    """Install Pasquin with `extras` at the locked versions, unless that very set is installed."""
    said = LOCK.read_bytes() + (ROOT / "pyproject.toml").read_bytes() + extras.encode()
    stamp = VENV / f".pasquin-{hashlib.sha256(said).hexdigest()[:16]}"
    if stamp.exists():
        return
    pip = [PYTHON, "-m", "pip", "install", "--quiet", "--progress-bar", "off"]
    has_torch = subprocess.run([PYTHON, "-c", "import torch"], capture_output=True).returncode == 0
    torch_pin = next(line for line in LOCK.read_text().splitlines() if line.startswith("torch=="))
    index = os.environ.get("PASQUIN_TORCH_INDEX")
    if index and not has_torch:
        step(f"Installing {torch_pin} from {index}", [*pip, torch_pin, "--index-url", index])
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as constraints:
        # A torch that is installed already (a CUDA or ROCm build of one's choice) is left alone.
        keep = [line for line in LOCK.read_text().splitlines() if not (has_torch and line.startswith("torch=="))]
        constraints.write("\n".join(keep) + "\n")
        constraints.flush()
        step(
            f"Installing Pasquin [{extras}] (some minutes the first time)",
            [*pip, "--constraint", constraints.name, "--editable", f"{ROOT}[{extras}]"],
        )
    stamp.touch()


def find_chromium() -> None:
    """See to it that Debian's Chromium is there for the browser tests; say so when it cannot be."""
    if shutil.which("chromium"):
        return
    if os.geteuid() == 0 and shutil.which("apt-get"):
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        say("Installing Chromium for the browser tests …")
        for command in (["apt-get", "update", "-qq"], ["apt-get", "install", "-y", "-qq", "chromium"]):
            subprocess.run(command, env=environment, stdout=sys.stderr.fileno())
    if not shutil.which("chromium"):
        say("No Chromium here, and it cannot be installed without root: the browser tests are skipped.")
        say("To run them: sudo apt install chromium")


if __name__ == "__main__":
    try:
        if len(sys.argv) != 2 or sys.argv[1] not in EXTRAS:
            raise BootstrapError("usage: python3 bootstrap.py demo|test")
        main(sys.argv[1])
    except BootstrapError as error:
        say(f"Error: {error}")
        sys.exit(1)
    except KeyboardInterrupt:
        say("Stopped. Run the same command again to go on.")
        sys.exit(130)
