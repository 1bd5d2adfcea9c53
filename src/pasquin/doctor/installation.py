"""Is Pasquin itself installed well, on a machine that carries it?"""

from __future__ import annotations

import os
import platform
import re
import shutil
import sqlite3
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from functools import partial
from importlib.metadata import PackageNotFoundError, requires, version
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from pasquin import __version__
from pasquin.doctor.findings import Finding, bytes_said

_EXTRAS: Final = {
    "train": "training, generating and `prepare`'s finer checks",
    "prepare": "preparing a corpus",
    "openvino": "generating fast on a CPU",
    "measure": "`pasquin measure` and the public figures",
    "publish": "publishing to Bluesky, Mastodon and X",
    "bluesky": "checking the signatures of Bluesky archives",
    "data": "s3:// addresses",
    "postgres": "a PostgreSQL database",
    "otel": "traces",
    "ray": "`--on ray`, work on several machines",
}
_SMALL_MEMORY: Final = 2 * 10**9
_SMALL_DISK: Final = 2 * 10**9
_OLDEST_SQLITE: Final = (3, 35, 0)

_finding = partial(Finding, "installation")


def examine() -> Iterator[Finding]:
    """Everything about the installation."""
    yield _finding("python", "fine", f"Pasquin {__version__} on Python {platform.python_version()}, {sys.platform}.")
    yield from _extras()
    yield from torch_build()
    yield from _sqlite()
    yield from _pages()
    yield from _memory()
    yield from _temporary()


def _extras() -> Iterator[Finding]:
    here = []
    for extra, names in wanted_by_extra(requires("pasquin") or []).items():
        missing = sorted(name for name in names if not _there(name))
        if not missing:
            here.append(extra)
        elif extra in _EXTRAS:
            yield _finding(
                *(f"extra {extra}", "note", f"Not installed ({', '.join(missing)}): no {_EXTRAS[extra]}."),
                do=f"If you want that: pip install 'pasquin[{extra}]'",
            )
    if here:
        yield _finding("extras", "fine", f"Installed: {', '.join(here)}.")
    for name, wanted, found in _wrong_versions(requires("pasquin") or []):
        yield _finding(
            *(name, "problem", f"{name} {found} is installed, and Pasquin wants {wanted}."),
            do=f"pip install --upgrade '{name}{wanted}'",
        )


def wanted_by_extra(requirements: list[str]) -> dict[str, list[str]]:
    """Names of the packages of each extra that people install."""
    wanted: dict[str, list[str]] = defaultdict(list)
    for requirement in requirements:
        name = re.match(r"[A-Za-z0-9._-]+", requirement)
        extra = re.search(r"extra == ['\"]([\w-]+)['\"]", requirement)
        if name and extra and extra[1] in _EXTRAS:
            wanted[extra[1]].append(name[0])
    return dict(wanted)


def _there(name: str) -> bool:
    try:
        version(name)
    except PackageNotFoundError:
        return False
    return True


def _wrong_versions(requirements: list[str]) -> Iterator[tuple[str, str, str]]:
    """Installed packages of a version that Pasquin does not take; needs `packaging`, which comes with many things."""
    try:
        from packaging.requirements import InvalidRequirement, Requirement
    except ImportError:
        return
    for text in requirements:
        try:
            wanted = Requirement(text)
        except InvalidRequirement:
            continue
        extra = re.search(r"extra == ['\"]([\w-]+)['\"]", text)
        if extra and extra[1] not in _EXTRAS:
            continue
        try:
            found = version(wanted.name)
        except PackageNotFoundError:
            continue
        if not wanted.specifier.contains(found, prereleases=True):
            yield wanted.name, str(wanted.specifier), found


def torch_build(version_file: Path | None = None, gpu: bool | None = None) -> Iterator[Finding]:
    """Whether the build of torch fits the machine; torch itself is not loaded."""
    if version_file is None:
        spec = find_spec("torch")
        if spec is None or spec.origin is None:
            return
        version_file = Path(spec.origin).parent / "version.py"
    gpu = Path("/proc/driver/nvidia/version").exists() if gpu is None else gpu
    try:
        text = version_file.read_text(encoding="utf-8")
    except OSError:
        yield _finding(
            *("torch", "problem", "torch is half installed: its version cannot be read."),
            do="pip install --force-reinstall torch",
        )
        return
    cuda = re.search(r"^cuda(?:\s*:[^=]+)?\s*=\s*['\"]([\d.]+)['\"]", text, re.M)
    if cuda and not gpu:
        yield _finding(
            *(
                "torch",
                "note",
                f"torch is built for CUDA {cuda[1]}, and this machine shows no GPU: gigabytes of no use.",
            ),
            do="pip install --force-reinstall torch --index-url https://download.pytorch.org/whl/cpu",
        )
    elif gpu and not cuda:
        yield _finding(
            *("torch", "warning", "This machine has an NVIDIA GPU, and torch is built for the CPU alone."),
            do="pip install --force-reinstall torch",
        )
    else:
        yield _finding("torch", "fine", f"torch fits this machine ({'CUDA ' + cuda[1] if cuda else 'CPU'}).")


def _sqlite() -> Iterator[Finding]:
    if sqlite3.sqlite_version_info < _OLDEST_SQLITE:
        yield _finding(
            *("sqlite", "problem", f"SQLite {sqlite3.sqlite_version} is older than 3.35, which migrations need."),
            do="Use a newer Python, or name a PostgreSQL in PASQUIN_DATABASE_URL.",
        )


def _pages() -> Iterator[Finding]:
    if not (Path(__file__).parents[1] / "server" / "static" / "index.html").is_file():
        yield _finding(
            *("pages", "warning", "The web pages are not built: this is a source checkout."),
            do="Run `make web`. (Wheels have them.)",
        )


def _memory() -> Iterator[Finding]:
    free = available_memory()
    if free is None:
        return
    if free < _SMALL_MEMORY:
        yield _finding(
            *("memory", "warning", f"{bytes_said(free)} of memory are free; training wants 4 GB, generating 2 GB."),
            do="Close other programs, or lower --batch and batch_tokens.",
        )
    else:
        yield _finding("memory", "fine", f"{bytes_said(free)} of memory are free, {os.cpu_count() or 1} CPUs.")


def available_memory(proc: Path = Path("/proc"), control: Path = Path("/sys/fs/cgroup")) -> int | None:
    """Bytes that this process may still take: the machine's, or less where a container has a limit. None: unknown."""
    try:
        found = re.search(r"^MemAvailable:\s+(\d+) kB", (proc / "meminfo").read_text(), re.M)
    except OSError:
        return None
    free = int(found[1]) * 1024 if found else None
    try:
        left = int((control / "memory.max").read_text()) - int((control / "memory.current").read_text())
    except (OSError, ValueError):  # no container, or no limit (`max`)
        return free
    return left if free is None else min(free, left)


def _temporary() -> Iterator[Finding]:
    folder = tempfile.gettempdir()
    free = shutil.disk_usage(folder).free
    if free < _SMALL_DISK:
        yield _finding(
            *("temporary folder", "warning", f"{bytes_said(free)} are free in {folder}."),
            do="Free some space, or set TMPDIR to a folder on a larger disk.",
        )
