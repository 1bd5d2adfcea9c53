"""Moving the database: every row arrives, nothing half, nobody writes on where nobody reads."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from invented import make_game
from pasquin.curate import Entry, open_desk
from pasquin.curate.curators import curator_named
from pasquin.errors import StoreError, UsageError
from pasquin.measure import measure
from pasquin.measure.simulation import World
from pasquin.publish import publish, show
from pasquin.store import Store, dump, move, open_engine
from pasquin.store.dump import fingerprint, snapshot
from pasquin.store.move import move_database
from pasquin.store.schema import decisions, players
from pasquin.workspace import Workspace
from played import make_played
from publish_fakes import workspace_with
from test_cli import pasquin as program

BOT = {"network": "file", "account": "out.jsonl", "rest_minutes": 0.0, "minimum_stock": 0}


def content(url: str) -> dict[str, tuple[int, str]]:
    engine = open_engine(url)
    try:
        with snapshot(engine) as connection:
            return fingerprint(connection)
    finally:
        engine.dispose()


def lived_in(folder: Path) -> Workspace:
    """A workspace in whose database every kind of thing has happened."""
    workspace = workspace_with(folder, {"b": BOT}, {"b": ["Naïve café 😀", "Second one.", "Third."]})
    make_game(workspace, generated=60)
    make_played(workspace, World(players=5, guesses=8, items=20), models=("town",))
    with open_desk(workspace) as (desk, store):
        owner = curator_named(store)
        cards = desk.cards(owner.id, desk_filters(), 3)
        made = [Entry(key=f"k{card.id}", candidate=card.id, decision="accept") for card in cards]
        undo = Entry(key="undo", candidate=cards[0].id, decision="undo", undoes=made[0].key)
        desk.record(owner.id, [*made, undo]).result()
    publish(workspace, "b", limit=1)
    return workspace


def desk_filters() -> Any:
    from pasquin.curate import Filters

    return Filters()


def test_there_and_back_without_loss(tmp_path: Path, postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = lived_in(tmp_path / "w")
    before = content(workspace.database_url)
    assert min(before[name][0] for name in ("candidates", "decisions", "trials", "guesses", "publication_events")) > 0
    figures = measure(workspace, ["village"])
    old = Store.of(workspace)
    told = move_database(workspace.database_url, postgres_url)
    assert told["rows"] == sum(count for count, _ in before.values())
    assert content(postgres_url) == before
    # whoever still has the old one open gets an error, and the next command is told where to look
    with pytest.raises(StoreError, match="could not be written"), old.write() as connection:
        connection.execute(sa.insert(players).values(id="a", token_hash="h", created_at=datetime.now(UTC)))
    old.close()
    with pytest.raises(StoreError, match="PASQUIN_DATABASE_URL"):
        show(workspace)
    monkeypatch.setenv("PASQUIN_DATABASE_URL", postgres_url)
    assert measure(workspace, ["village"]) == figures
    assert len(publish(workspace, "b")["published"]) == 1
    with Store(postgres_url).write() as connection:  # numbers go on where they were
        row = connection.execute(sa.select(decisions).order_by(decisions.c.id.desc())).mappings().first()
        assert row is not None
        new = {**row, "id": None, "key": "new", "undoes": None}
        del new["id"]
        assert connection.execute(sa.insert(decisions).values(new)).inserted_primary_key[0] > row["id"]
    after = content(postgres_url)
    monkeypatch.delenv("PASQUIN_DATABASE_URL")
    move_database(postgres_url, workspace.database_url)
    assert content(workspace.database_url) == after
    assert (workspace.root / "pasquin.db.moved-1").exists()
    assert len(publish(workspace, "b")["published"]) == 1


def test_a_target_that_holds_something_is_refused(tmp_path: Path, database: str) -> None:
    workspace = lived_in(tmp_path / "w")
    before = content(workspace.database_url)
    with Store(database).write() as connection:
        connection.execute(sa.insert(players).values(id="a", token_hash="h", created_at=datetime.now(UTC)))
    with pytest.raises(StoreError, match="not empty"):
        move_database(workspace.database_url, database)
    engine = open_engine(database)
    with engine.begin() as connection:
        for table in reversed(dump.tables_of(connection)):
            connection.exec_driver_sql(f"DROP TABLE {table.name}")
        connection.exec_driver_sql("DROP TABLE alembic_version")
        connection.exec_driver_sql("CREATE TABLE theirs (x INTEGER)")
    engine.dispose()
    with pytest.raises(StoreError, match="something else"):
        move_database(workspace.database_url, database)
    with pytest.raises(UsageError, match="another one"):
        move_database(workspace.database_url, workspace.database_url)
    assert content(workspace.database_url) == before
    Store.of(workspace).close()


def test_broken_off_at_any_point(tmp_path: Path, database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = lived_in(tmp_path / "w")
    before = content(workspace.database_url)

    def ends(connection: sa.Connection, table: sa.Table, rows: Iterable[Any]) -> int:
        if table.name == "guesses":
            raise KeyboardInterrupt
        return dump.write_rows(connection, table, rows)

    with monkeypatch.context() as patch:
        patch.setattr(move, "write_rows", ends)
        with pytest.raises(KeyboardInterrupt):
            move_database(workspace.database_url, database)
    assert content(workspace.database_url) == before
    assert not any(count for count, _ in content(database).values())
    with monkeypatch.context() as patch:  # everything has arrived, and the source is not marked yet
        patch.setattr(move, "_retire", lambda _: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            move_database(workspace.database_url, database)
    assert content(database) == before == content(workspace.database_url)
    move_database(workspace.database_url, database)
    assert content(database) == before
    with pytest.raises(StoreError, match="was moved"):
        Store.of(workspace)


def test_what_the_target_does_not_take_leaves_everything_as_it_was(tmp_path: Path, postgres_url: str) -> None:
    """SQLite takes a NUL in a text and any length; PostgreSQL takes neither."""
    workspace = Workspace.create(tmp_path / "w")
    with Store.of(workspace).write() as connection:
        row = {"id": "a", "token_hash": "h" * 65, "created_at": datetime.now(UTC)}
        connection.execute(sa.insert(players).values(row))
    with pytest.raises(StoreError, match="table players"):
        move_database(workspace.database_url, postgres_url)
    assert sqlite3.connect(workspace.root / "pasquin.db").execute("SELECT count(*) FROM players").fetchone() == (1,)


def test_the_command(tmp_path: Path) -> None:
    workspace = lived_in(tmp_path / "w")
    run = program("db", "move", f"sqlite:///{tmp_path / 'new.db'}", cwd=workspace.root)
    assert run.returncode == 0, run.stderr
    assert "set PASQUIN_DATABASE_URL to sqlite:///" in run.stdout
    assert "pasquin db move" not in run.stderr
