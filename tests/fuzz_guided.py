"""Coverage-guided fuzzing of every reader: a process each, whose inputs grow towards code that was not reached yet.

    make fuzz                                     a million executions over all readers, about half an hour
    python tests/fuzz_guided.py RUNS [READER...]  so many for each of these readers

Needs `pip install atheris` (libFuzzer for Python). Prints a line a reader, at last one JSON object; the exit status is
1 when a reader raised something else than InputError, held over 1 GB, or took over ten seconds for a document. That
document is kept in the folder named.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

RUNS = 49_000
SLOW = {"twint": 8}
"""Readers of which DuckDB does the work, where nothing guides: so many times fewer executions."""
_LIMITS = ("-timeout=10", "-rss_limit_mb=1024", "-max_len=4096", "-close_fd_mask=1", "-use_value_profile=1")


def fuzz_one(name: str, folder: Path, options: list[str]) -> None:
    """Fuzz one reader in this process; libFuzzer ends it."""
    import atheris

    with atheris.instrument_imports(include=["pasquin.networks"]):
        from fuzz_readers import targets
    from pasquin.errors import InputError

    (folder / "files").mkdir(exist_ok=True)
    (folder / "corpus").mkdir(exist_ok=True)
    run, seeds = next((run, seeds) for known, run, seeds in targets(folder / "files") if known == name)
    for number, seed in enumerate(seeds):
        (folder / "corpus" / f"seed{number}").write_bytes(seed)

    def one(document: bytes) -> None:
        try:
            run(document)
        except InputError:
            return

    atheris.Setup([sys.argv[0], *options, f"-artifact_prefix={folder}/", str(folder / "corpus")], one)
    atheris.Fuzz()


def fuzz(names: list[str], runs: int) -> int:
    """Fuzz readers one after the other, each in a process of its own; how many failed."""
    done: dict[str, int] = {}
    failed: dict[str, str] = {}
    for name in names:
        folder = Path(tempfile.mkdtemp(prefix="pasquin-fuzz-"))
        began = time.monotonic()
        command = [
            sys.executable,
            __file__,
            "--one",
            name,
            str(folder),
            f"-runs={runs // SLOW.get(name, 1)}",
            "-seed=1",
            *_LIMITS,
        ]
        ended = subprocess.run(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, check=False)
        said = ended.stderr.decode("utf-8", "replace")
        counts = re.findall(r"^(?:Done (\d+) runs|#(\d+)\s)", said, re.MULTILINE)
        done[name] = max((int(whole or so_far) for whole, so_far in counts), default=0)
        reached = re.findall(r" ft: (\d+)", said)
        print(f"{name:18} {done[name]:>9,} executions  {reached[-1] if reached else 0:>6} features  ", end="")
        print(f"{time.monotonic() - began:6.0f} s", flush=True)
        if ended.returncode:
            failed[name] = str(folder)
            print(said[-4_000:], f"the document is in {folder}", sep="\n", flush=True)
    print(json.dumps({"executions": sum(done.values()), "failures": len(failed), "by_reader": done}))
    return len(failed)


def main(arguments: list[str]) -> int:
    """See the module."""
    if arguments[:1] == ["--one"]:
        fuzz_one(arguments[1], Path(arguments[2]), arguments[3:])
        return 0
    try:
        import atheris  # noqa: F401
    except ImportError:
        print("Coverage-guided fuzzing needs atheris: pip install atheris", file=sys.stderr)
        return 2
    from fuzz_readers import targets

    known = [name for name, _, _ in targets(Path())]
    return 1 if fuzz(arguments[1:] or known, int(arguments[0]) if arguments else RUNS) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
