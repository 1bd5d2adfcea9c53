"""How light Pasquin is: `pasquin --help` answers in under 0.3 s, and a base install takes under 150 MB.

    python benchmarks/start.py [--quick]

The peer for the time is a bare `python -c pass` in the same run; the size is that of everything a base install brings,
installed into an empty folder by pip. `--quick` takes fewer runs.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def seconds(command: list[str], runs: int) -> float:
    """Median wall-clock seconds of a command."""
    times = []
    for _ in range(runs):
        began = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def base_install_mb() -> float:
    """Megabytes (10^6 bytes) on disk of a base install, compiled Python files included."""
    with tempfile.TemporaryDirectory() as folder:
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--target", folder]
        subprocess.run([*pip, "--constraint", str(ROOT / "requirements.lock"), str(ROOT)], check=True)
        return sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file()) / 1e6


def main() -> None:
    """Measure, print a table for people, then one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer runs")
    runs = 5 if parser.parse_args().quick else 15
    pasquin = str(Path(sys.executable).parent / "pasquin")
    help_seconds, python_seconds = seconds([pasquin, "--help"], runs), seconds([sys.executable, "-c", "pass"], runs)
    size = base_install_mb()
    print(f"pasquin --help     {help_seconds:8.3f} s   (goal: under 0.3)")
    print(f"python -c pass     {python_seconds:8.3f} s")
    print(f"base install       {size:8.1f} MB  (goal: under 150)")
    print(json.dumps({"help_seconds": help_seconds, "python_seconds": python_seconds, "base_install_mb": size}))


if __name__ == "__main__":
    main()
