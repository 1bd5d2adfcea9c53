"""Candidates in the store: what a generation has already, and adding to it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime

import sqlalchemy as sa

from pasquin.errors import StoreError
from pasquin.generate.plan import Plan
from pasquin.records import Completion, NoveltyCertificate
from pasquin.store import Store
from pasquin.store.schema import candidates
from pasquin.texts import text_key


def stored(store: Store, generation: str, first: int | None = None) -> list[dict[str, object]]:
    """Candidates of a generation in order of position, all or the `first` so many."""
    query = sa.select(candidates).where(candidates.c.generation == generation).order_by(candidates.c.position)
    with store.read() as connection:
        return [dict(row) for row in connection.execute(query.limit(first)).mappings()]


def text_keys(store: Store, model: str) -> set[str]:
    """Keys of every text the model has candidates of, whatever generation they came from."""
    with store.read() as connection:
        return set(connection.execute(sa.select(candidates.c.text_key).where(candidates.c.model == model)).scalars())


def add(store: Store, rows: Sequence[dict[str, object]]) -> None:
    """Store candidates in one transaction. Raises StoreError when the database cannot be written."""
    if not rows:
        return
    try:
        with store.write() as connection:
            connection.execute(sa.insert(candidates), list(rows))
    except sa.exc.IntegrityError as exc:
        raise StoreError(
            "Another generation stored the same candidates meanwhile. Run the same command again to go on."
        ) from exc


def candidate_row(
    plan: Plan, position: int, completion: Completion, text: str, certificate: NoveltyCertificate
) -> dict[str, object]:
    """The row of the table for a completion that passed the screen."""
    generation = plan.id
    return {
        "id": hashlib.sha256(f"{generation}:{position}".encode()).hexdigest()[:32],
        "model": plan.model,
        "model_hash": plan.model_hash,
        "corpus": plan.corpus,
        "account": plan.voice_of(position),
        "text": text,
        "text_key": text_key(text),
        "created_at": datetime.now(UTC),
        "generation": generation,
        "position": position,
        "seed": plan.seed_of(position),
        "engine": plan.engine,
        "sampling": {
            **asdict(plan.sampling),
            "base_seed": plan.seed,
            **({"blend": dict(plan.blend)} if plan.blend else {}),
            **({"about": list(plan.about)} if plan.about else {}),
        },
        "prefix": plan.prefix,
        "tokens": completion.tokens,
        "novelty": certificate.kind,
        "nearest_uri": certificate.nearest_uri,
        "similarity": certificate.similarity,
        "longest_run": certificate.longest_run,
    }
