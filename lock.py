"""Keeps `requirements.lock`: the exact versions that CI and the demo install, for the ranges of `pyproject.toml`.

    python lock.py --check     what is wrong with the lock, told in sentences; exit code 1 when anything is
    python lock.py             resolve anew, keeping every pin that still fits (`make lock`)
    python lock.py --upgrade   resolve anew with the newest versions that fit

The check needs no network: it walks from pyproject.toml through the metadata of what is installed, and every version
asked for on the way must be the one the lock pins. Resolving needs uv, which is installed when it is not there. torch
stays at its pin, without local suffix, whatever is asked: edit that line by hand to move it.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Callable, Iterable, Mapping
from importlib import metadata
from pathlib import Path

from packaging.markers import default_environment
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parent
LOCK = ROOT / "requirements.lock"
PYPROJECT = ROOT / "pyproject.toml"
OURS = "pasquin"
GOALS = ("all", "dev")
"""The extras whose packages are locked."""
OF_TORCH = re.compile(r"(nvidia|cuda|triton|pytorch-triton)(-|=|$)")
"""What a CUDA build of torch brings along. It belongs to the torch that a person chose, so it is not pinned."""

Installed = Callable[[str], tuple[str, list[str]] | None]
"""From a canonical name to its version and its Requires-Dist lines; None when it is not installed."""


def pins(text: str) -> dict[str, str]:
    """The lock's lines as canonical name -> version."""
    lines = (line.partition("#")[0].strip() for line in text.splitlines())
    return {canonicalize_name(name): version for name, _, version in (line.partition("==") for line in lines if line)}


def wanted(project: Mapping[str, object], extras: Iterable[str]) -> list[Requirement]:
    """What pyproject.toml's `[project]` table asks for with these extras, its own extras unfolded."""
    optional = project.get("optional-dependencies", {})
    found = [Requirement(str(line)) for line in project["dependencies"]]  # type: ignore[attr-defined]
    todo, seen = list(extras), set[str]()
    while todo:
        extra = todo.pop()
        if extra in seen:
            continue
        seen.add(extra)
        for line in optional[extra]:  # type: ignore[index]
            requirement = Requirement(line)
            if canonicalize_name(requirement.name) == OURS:
                todo.extend(requirement.extras)
            else:
                found.append(requirement)
    return found


def problems(wants: Iterable[Requirement], locked: Mapping[str, str], installed: Installed) -> list[str]:
    """What is wrong with a lock, one sentence each: conflicts, missing pins, pins that nothing asks for.

    Args:
        wants: what pyproject.toml asks for.
        locked: the pins, by canonical name.
        installed: the metadata of what is installed here; a package in another version than its pin is skipped with a
            problem of its own, as its metadata says nothing about the pin.
    """
    told: list[str] = []
    todo = [(requirement, "pyproject.toml") for requirement in wants]
    seen: set[tuple[str, str]] = set()
    reached: set[str] = set()
    while todo:
        requirement, asker = todo.pop()
        if not _applies(requirement, ""):
            continue
        name = canonicalize_name(requirement.name)
        pin = locked.get(name)
        if pin is None:
            if not OF_TORCH.match(name):
                told.append(f"{asker} asks for {requirement}, and the lock has no pin for it.")
            continue
        reached.add(name)
        if not requirement.specifier.contains(pin, prereleases=True):
            told.append(f"{asker} asks for {requirement}, and the lock pins {name}=={pin}.")
        for extra in ("", *sorted(requirement.extras)):
            if (name, extra) not in seen:
                seen.add((name, extra))
                todo.extend(_asked_by(name, pin, extra, installed, told))
    told += [
        f"The lock pins {name}=={locked[name]}, and nothing asks for it." for name in sorted(locked.keys() - reached)
    ]
    return told


def _asked_by(name: str, pin: str, extra: str, installed: Installed, told: list[str]) -> list[tuple[Requirement, str]]:
    """What a pinned package asks for (with one of its extras), and who asks."""
    here = installed(name)
    if here is None:
        told.append(f"{name}=={pin} is locked and not installed here: run `make test` once, then check again.")
        return []
    version, lines = here
    if Version(version).public != Version(pin).public:
        told.append(f"{name} is installed as {version} and locked as {pin}: install what the lock says, or renew it.")
        return []
    found = []
    for line in lines:
        try:
            requirement = Requirement(line)
        except InvalidRequirement:
            continue
        if _applies(requirement, extra) and not (extra and _applies(requirement, "")):
            found.append((Requirement(line.partition(";")[0]), f"{name} {pin}"))
    return found


def _applies(requirement: Requirement, extra: str) -> bool:
    return requirement.marker is None or requirement.marker.evaluate({**default_environment(), "extra": extra})


def here(name: str) -> tuple[str, list[str]] | None:
    """Metadata of a distribution in this environment."""
    try:
        found = metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return None
    return found.version, list(found.requires or [])


def check() -> list[str]:
    """The problems of this checkout's lock."""
    project = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"]
    return problems(wanted(project, GOALS), pins(LOCK.read_text(encoding="utf-8")), here)


def renewed(compiled: str, torch_pin: str) -> str:
    """A resolver's lines as the lock's: sorted, without local suffixes, torch as pinned, without what torch brings."""
    told = (line.partition("#")[0].strip() for line in compiled.splitlines())
    kept = [line.partition("+")[0] for line in told if "==" in line and not OF_TORCH.match(line)]
    lines = {torch_pin, *(line for line in kept if not line.startswith("torch=="))}
    return "\n".join(sorted(lines, key=lambda line: line.partition("==")[0])) + "\n"


def renew(upgrade: bool) -> None:
    """Resolve pyproject.toml anew and write the lock; it stays as it was when there is no solution."""
    uv = shutil.which("uv")
    if uv is None:
        subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "uv"], check=True)
        uv = str(Path(sys.executable).parent / "uv")
    torch_pin = next(line for line in LOCK.read_text().splitlines() if line.startswith("torch=="))
    command = [uv, "pip", "compile", "--quiet", "--python-version", "3.11", "--no-header", "--no-annotate"]
    command += [word for extra in GOALS for word in ("--extra", extra)]
    command += [word for place in os.environ.get("PIP_FIND_LINKS", "").split() for word in ("--find-links", place)]
    with tempfile.TemporaryDirectory() as folder:
        output, torch_only = Path(folder) / "lock.txt", Path(folder) / "torch.txt"
        torch_only.write_text(torch_pin + "\n")
        output.write_text("" if upgrade else LOCK.read_text())  # uv keeps the versions of the file it is to write
        command += ["--constraint", str(torch_only), "--output-file", str(output), str(PYPROJECT)]
        subprocess.run(command, check=True, cwd=ROOT, stdout=sys.stderr.fileno())
        LOCK.write_text(renewed(output.read_text(), torch_pin))


def main(words: list[str]) -> int:
    """Check or renew; the exit code."""
    if words == ["--check"]:
        found = check()
        for sentence in found:
            print(sentence, file=sys.stderr)
        print(
            f"requirements.lock: {len(found)} problems" if found else "requirements.lock fits pyproject.toml and itself"
        )
        return 1 if found else 0
    if words not in ([], ["--upgrade"]):
        print("usage: python lock.py [--check | --upgrade]", file=sys.stderr)
        return 2
    try:
        renew(upgrade=bool(words))
    except subprocess.CalledProcessError:
        print(
            "Nothing was changed: no set of versions fits, above is why. Mend the ranges in pyproject.toml.",
            file=sys.stderr,
        )
        return 1
    print("requirements.lock is renewed: run `make test` with it before you commit it.", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
