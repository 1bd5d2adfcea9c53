"""The store: migrated, durable, writable by many at once."""

from __future__ import annotations

import multiprocessing
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from pasquin.errors import StoreError
from pasquin.store import Store
from pasquin.store.schema import VERSION, metadata, players
from pasquin.workspace import Workspace


def test_migrations_make_exactly_the_tables_of_the_schema(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path / 'a.db'}")
    with store.read() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
        assert connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar() == VERSION


def test_migrations_go_down_and_up_again(tmp_path: Path) -> None:
    from alembic import command
    from alembic.config import Config

    import pasquin.store

    store = Store(f"sqlite:///{tmp_path / 'a.db'}")
    config = Config()
    config.set_main_option("script_location", str(Path(pasquin.store.__file__).parent / "migrations"))
    with store.engine.begin() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "base")
        assert sa.inspect(connection).get_table_names() == ["alembic_version"]
        command.upgrade(config, "head")
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_newer_database_is_refused(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'a.db'}"
    with Store(url).write() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(StoreError, match="newer"):
        Store(url)


def test_what_is_no_database_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.db").write_bytes(b"this is not a database" * 100)
    with pytest.raises(StoreError, match="cannot be opened"):
        Store(f"sqlite:///{tmp_path / 'a.db'}")
    monkeypatch.setenv("PASQUIN_DATABASE_URL", "nonsense")
    with pytest.raises(StoreError, match="PASQUIN_DATABASE_URL"):
        Store.of(Workspace.create(tmp_path / "bot"))


def test_a_failed_block_leaves_nothing(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path / 'a.db'}")
    with pytest.raises(RuntimeError), store.write() as connection:
        connection.execute(sa.insert(players).values(id="a", token_hash="h", created_at=datetime.now(UTC)))
        raise RuntimeError
    with store.read() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(players)).scalar() == 0


def _write_players(url: str, writer: int, number: int) -> None:
    store = Store(url)
    for index in range(number):
        name = f"{writer}-{index}"
        with store.write() as connection:
            connection.execute(sa.insert(players).values(id=name, token_hash=name, created_at=datetime.now(UTC)))


def test_many_writers_never_see_a_locked_database(tmp_path: Path) -> None:
    """Acceptance 8 in short: every process also opens (and so migrates) a database that isn't there yet."""
    url = f"sqlite:///{tmp_path / 'a.db'}"
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_write_players, args=(url, writer, 25)) for writer in range(8)]
    for process in writers:
        process.start()
    for process in writers:
        process.join()
    assert [process.exitcode for process in writers] == [0] * 8
    with Store(url).read() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(players)).scalar() == 200
