"""Receipts: where a published text came from, who let it out, and what the bot said of itself then.

A receipt is written with the confirmation. Who the nearest real post was is not copied into it, but looked up when it
is read: a post that is forgotten later is gone from the receipts, too.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from pasquin.errors import InputError
from pasquin.publish.ledger import Entry, entries, utc
from pasquin.records import Publication
from pasquin.store import Store
from pasquin.store.schema import candidates, publications


def make_receipt(store: Store, entry: Entry, found: Publication, family: str | None) -> dict[str, Any]:
    """The receipt of an entry that was just published."""
    candidate = _candidate(store, entry.row["candidate"])
    origin: dict[str, Any] | None = None
    novelty: dict[str, Any] | None = None
    if candidate is not None:
        origin = {
            name: candidate[name]
            for name in (
                "model",
                "model_hash",
                "corpus",
                "account",
                "seed",
                "sampling",
                "engine",
                "prefix",
                "generation",
            )
        }
        origin |= {"family": family, "generated_text": candidate["text"]}
        novelty = {
            "kind": candidate["novelty"],
            "similarity": candidate["similarity"],
            "longest_run": candidate["longest_run"],
        }
    return {
        "text": entry.request.get("text", entry.text),
        "bot": entry.bot,
        "network": entry.row["network"],
        "account": entry.row["account"],
        "uri": found.uri,
        "url": found.url,
        "published_at": found.published_at.isoformat(),
        "key": entry.request.get("key"),
        "candidate": entry.row["candidate"],
        "origin": origin,
        "novelty": novelty,
        "curator": entry.row["curator"],
        "edited": bool(entry.row["edited"]),
        "disclosure": entry.row["disclosure"],
        "details": dict(found.details),
    }


def receipt(store: Store, name: str) -> dict[str, Any]:
    """The receipt of a publication by its URI, its page's address or its id. Raises InputError when there is none."""
    which = sa.or_(publications.c.uri == name, publications.c.url == name, publications.c.id == name)
    with store.read() as connection:
        found = entries(connection, which, publications.c.state.in_(("confirmed", "deleted")))
    if not found:
        raise InputError(f"Nothing that was published here is known as {name}. `pasquin bot show NAME` lists what was.")
    row = found[0].row
    told = dict(row["receipt"] or make_receipt(store, found[0], _as_published(found[0]), None))
    candidate = _candidate(store, row["candidate"])
    if told.get("novelty") and candidate is not None:
        told["novelty"] = {**told["novelty"], "nearest_uri": candidate["nearest_uri"]}
    return {**told, "id": row["id"], "state": row["state"]}


def _as_published(entry: Entry) -> Publication:
    """What is known of a publication that a person confirmed."""
    row = entry.row
    return Publication(uri=row["uri"], url=row["url"], published_at=utc(row["published_at"] or row["queued_at"]))


def _candidate(store: Store, id: str | None) -> dict[str, Any] | None:
    if id is None:
        return None
    with store.read() as connection:
        row = connection.execute(sa.select(candidates).where(candidates.c.id == id)).mappings().first()
    return dict(row) if row is not None else None
