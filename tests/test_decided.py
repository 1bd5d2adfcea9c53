"""Which decisions stand: what a publisher takes from the store."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa

from invented import add_candidates, candidate_rows
from pasquin.store import Store
from pasquin.store.decided import accepted_candidates, standing_decisions
from pasquin.store.schema import candidates, curators, decisions

NOW = datetime(2026, 2, 1, tzinfo=UTC)
IDS = [row["id"] for row in candidate_rows("m", ["one", "two"])]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(f"sqlite:///{tmp_path / 'a.db'}")
    add_candidates(store, "m", ["one", "two"])
    with store.write() as connection:
        for name in ("ada", "bo"):
            connection.execute(sa.insert(curators).values(id=name, name=name, owner=False, created_at=NOW))
    return store


def decide(store: Store, decision: str, curator: str = "ada", candidate: int = 0, **more: object) -> int:
    with store.write() as connection:
        count = connection.execute(sa.select(sa.func.count()).select_from(decisions)).scalar()
        row = {
            "key": str(count),
            "candidate": IDS[candidate],
            "curator": curator,
            "decision": decision,
            "seconds": 1.0,
            "via": "card",
            "created_at": NOW,
        }
        return connection.execute(sa.insert(decisions).values(row | more)).inserted_primary_key[0]


def accepted(store: Store) -> list[tuple[str, str | None]]:
    with store.read() as connection:
        return [(row["text"], row["original"]) for row in connection.execute(accepted_candidates()).mappings()]


def test_the_latest_verdict_decides_and_a_skip_does_not(store: Store) -> None:
    decide(store, "accept")
    assert accepted(store) == [("one", None)]
    decide(store, "skip", "bo")
    assert accepted(store) == [("one", None)]
    decide(store, "reject", "bo")
    assert accepted(store) == []
    decide(store, "edit", text="One, edited")
    assert accepted(store) == [("One, edited", "one")]
    with store.read() as connection:
        assert len(connection.execute(standing_decisions()).all()) == 1


def test_an_undone_decision_gives_way_to_the_one_before(store: Store) -> None:
    decide(store, "edit", text="First")
    rejected = decide(store, "reject", "bo")
    assert accepted(store) == []
    decide(store, "undo", "bo", undoes=rejected)
    assert accepted(store) == [("First", "one")]


def test_one_decision_is_undone_once(store: Store) -> None:
    row = decide(store, "accept")
    decide(store, "undo", undoes=row)
    with pytest.raises(sa.exc.IntegrityError):
        decide(store, "undo", undoes=row)


def test_a_withdrawn_candidate_is_not_accepted(store: Store) -> None:
    decide(store, "accept")
    with store.write() as connection:
        connection.execute(sa.update(candidates).values(withdrawn_at=NOW))
    assert accepted(store) == []
