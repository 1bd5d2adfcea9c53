"""The house: imports go down only, the door is light, the names say something."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pasquin

SRC = Path(pasquin.__file__).parent
HEAVY = ("torch", "transformers", "openvino", "openvino_genai", "duckdb", "numpy", "sqlalchemy", "fastapi", "pydantic")


def _loaded_by(statement: str) -> set[str]:
    code = f"{statement}\nimport sys\nprint('\\n'.join(sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(run.stdout.split())


def test_imports_go_down_only() -> None:
    run = subprocess.run(
        [Path(sys.executable).parent / "lint-imports", "--no-cache"], capture_output=True, text=True, cwd=SRC.parents[1]
    )
    assert run.returncode == 0, run.stdout


def test_importing_pasquin_and_its_command_line_loads_nothing_heavy() -> None:
    assert not _loaded_by("import pasquin, pasquin.cli").intersection(HEAVY)


def test_base_install_runs_without_the_training_packages() -> None:
    """What a base install must do (collect, prepare, play) imports nothing that only an extra brings."""
    loaded = _loaded_by(
        "import pasquin.collect, pasquin.prepare, pasquin.play, pasquin.server, pasquin.server.app, pasquin.store"
    )
    assert not loaded.intersection({"torch", "transformers", "openvino", "numpy", "pyarrow", "rapidfuzz", "tokenizers"})


def test_every_public_verb_is_there_and_documented() -> None:
    for name in pasquin.__all__:
        if name != "__version__":
            assert getattr(pasquin, name).__doc__, name


def test_no_module_has_a_name_that_says_nothing() -> None:
    for path in SRC.rglob("*.py"):
        assert not re.search(r"(^|_)(utils?|helpers?|common|manager|base|misc)(_|$)", path.stem), path
