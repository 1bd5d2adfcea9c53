"""The short form of fuzzing: every reader gets spoilt documents from fixed seeds (the long forms: `make fuzz`)."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fuzz_readers import mutated, targets
from pasquin.errors import InputError

NAMES = [name for name, _, _ in targets(Path())]


def test_every_reader_of_files_is_fuzzed() -> None:
    from pasquin.config import CollectSettings
    from pasquin.networks import open_source, sources

    readers = {name for name in sources() if open_source(name, CollectSettings()).reads_files}
    assert readers - {"parquet"} <= {*NAMES, "feed"}  # DuckDB reads Parquet, and its own fuzzing is better


@pytest.mark.parametrize("name", NAMES)
def test_a_reader_takes_any_document(name: str, tmp_path: Path) -> None:
    run, seeds = next((run, seeds) for known, run, seeds in targets(tmp_path) if known == name)
    for seed in seeds:
        run(seed)

    @settings(max_examples=60, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(st.sampled_from(seeds), st.integers(0, 2**32))
    def check(seed: bytes, chance: int) -> None:
        try:
            run(mutated(random.Random(chance), seed))
        except InputError:
            return

    check()
