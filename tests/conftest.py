"""Fixtures that several test modules share."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

# A shell without job control starts background jobs with Ctrl-C ignored, and so would be what the tests interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest file first, so that no worker is left alone with it at the end."""
    items.sort(key=lambda item: item.path.name != "test_path.py")


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """A running PostgreSQL of our own; skips where Debian's is not installed."""
    from local_postgres import local_postgres

    with local_postgres() as url:
        yield url


@pytest.fixture
def postgres_url(postgres: str) -> Iterator[str]:
    """URL of an empty PostgreSQL database."""
    from local_postgres import new_database

    with new_database(postgres) as url:
        yield url


@pytest.fixture(autouse=True)
def everything_on_postgres(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """With PASQUIN_TEST_POSTGRES=1 (`make postgres`) every test's workspace has a PostgreSQL database of its own."""
    if os.environ.get("PASQUIN_TEST_POSTGRES"):
        monkeypatch.setenv("PASQUIN_DATABASE_URL", request.getfixturevalue("postgres_url"))


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """URL of an empty database, one of each kind in turn."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'a.db'}"
    url: str = request.getfixturevalue("postgres_url")
    return url


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Directory of a tiny random llama in the Hugging Face layout; read only."""
    from tiny_model import make_tiny_model

    return make_tiny_model(tmp_path_factory.mktemp("tiny_model"))
