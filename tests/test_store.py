"""The store: migrated, durable, writable by many at once."""

from __future__ import annotations

import multiprocessing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

import pasquin.store
from pasquin.errors import StoreError
from pasquin.store import Store, open_engine, upgrade
from pasquin.store.dump import fingerprint, snapshot, tables_of, version_of
from pasquin.store.schema import VERSION, candidates, metadata, players, trials
from pasquin.workspace import Workspace


def test_migrations_make_exactly_the_tables_of_the_schema(database: str) -> None:
    store = Store(database)
    with store.read() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
        assert connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar() == VERSION


def test_migrations_go_down_and_up_again(database: str) -> None:
    store = Store(database)
    with store.engine.begin() as connection:
        downgrade(connection, "base")
        assert sa.inspect(connection).get_table_names() == ["alembic_version"]
        upgrade(connection)
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def downgrade(connection: sa.Connection, version: str) -> None:
    """The way back, which only tests (and somebody in distress) go."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(pasquin.store.__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    command.downgrade(config, version)


def test_newer_database_is_refused(database: str) -> None:
    with Store(database).write() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(StoreError, match="newer"):
        Store(database)


_AT = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
OLDEST: dict[str, list[dict[str, Any]]] = {
    "candidates": [
        {
            **{
                "id": f"c{n}",
                "model": "vc",
                "model_hash": "0" * 64,
                "corpus": "vc",
                "account": None,
                "text": f"Naïve 😀 {n}",
            },
            **{"text_key": f"k{n}", "created_at": _AT, "generation": "g", "position": n, "seed": 2**40, "engine": "e"},
            **{"sampling": {"temperature": 1.0}, "prefix": "", "tokens": 3, "novelty": "novel", "nearest_uri": None},
            **{"similarity": 0.1, "longest_run": 2},
        }
        for n in range(3)
    ],
    "players": [{"id": "p", "token_hash": "h", "created_at": _AT}],
    "trials": [
        {"id": "t", "player": "p", "category": "vc", "origin": "model", "item_key": "model:c0", "shown_at": _AT},
    ],
    "guesses": [
        {"trial": "t", "player": "p", "guess": "human", "correct": False, "response_ms": 900, "server_ms": 950}
        | {"created_at": _AT}
    ],
}
"""What a database of the first version could hold."""


def make_oldest(url: str) -> None:
    """A database of the first version, with rows."""
    engine = open_engine(url)
    with engine.begin() as connection:
        upgrade(connection, "0001")
        for table in tables_of(connection):
            connection.execute(sa.insert(table), OLDEST[table.name])
    engine.dispose()


def test_the_oldest_database_is_brought_up_to_date_and_back_with_every_row(database: str) -> None:
    make_oldest(database)
    engine = open_engine(database)
    with snapshot(engine) as connection:
        assert version_of(connection) == "0001"
        before = fingerprint(connection)
    store = Store(database)
    with store.read() as connection:
        assert version_of(connection) == VERSION
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
        trial = connection.execute(sa.select(trials)).mappings().one()
        assert (trial["mode"], trial["round"]) == ("classic", None)
        assert connection.execute(sa.select(sa.func.count()).select_from(candidates)).scalar() == 3
    with store.engine.begin() as connection:
        downgrade(connection, "0001")
        assert fingerprint(connection) == before
    engine.dispose()


def test_a_migration_that_breaks_off_leaves_the_database_as_it_was(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from alembic.operations import Operations

    make_oldest(database)
    real = Operations.create_table

    def breaks(self: Operations, name: str, *columns: Any, **options: Any) -> Any:
        if name == "bot_sessions":
            raise sa.exc.OperationalError("CREATE TABLE", None, Exception("the disk is full"))
        return real(self, name, *columns, **options)

    with monkeypatch.context() as patch:
        patch.setattr("alembic.op.create_table", lambda *a, **k: breaks(_proxy(), *a, **k))
        with pytest.raises(StoreError, match="the disk is full"):
            Store(database)
    engine = open_engine(database)
    with snapshot(engine) as connection:
        assert version_of(connection) == "0001"
        assert {table.name for table in tables_of(connection)} == set(OLDEST)
    engine.dispose()
    Store(database).close()


def _proxy() -> Any:
    from alembic import op

    return op._proxy  # type: ignore[attr-defined]


def test_what_is_no_database_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.db").write_bytes(b"this is not a database" * 100)
    with pytest.raises(StoreError, match="cannot be opened"):
        Store(f"sqlite:///{tmp_path / 'a.db'}")
    monkeypatch.setenv("PASQUIN_DATABASE_URL", "nonsense")
    with pytest.raises(StoreError, match="PASQUIN_DATABASE_URL"):
        Store.of(Workspace.create(tmp_path / "bot"))


def test_a_failed_block_leaves_nothing(database: str) -> None:
    store = Store(database)
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


def test_many_writers_never_see_a_locked_database(database: str) -> None:
    """Acceptance 8 in short: every process also opens (and so migrates) a database that isn't there yet."""
    url = database
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_write_players, args=(url, writer, 25)) for writer in range(8)]
    for process in writers:
        process.start()
    for process in writers:
        process.join()
    assert [process.exitcode for process in writers] == [0] * 8
    with Store(url).read() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(players)).scalar() == 200
