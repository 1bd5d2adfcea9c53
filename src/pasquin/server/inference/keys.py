"""API keys: made once and shown once; the store keeps their hash.

A key is 256 random bits, so a plain SHA-256 cannot be turned round and needs no salt.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import sqlalchemy as sa

from pasquin.errors import UsageError
from pasquin.store import Store
from pasquin.store.schema import api_keys
from pasquin.workspace import check_name

_PREFIX: Final = "pq-"
_HINT: Final = 7


@dataclass(frozen=True, slots=True)
class Key:
    """A key that is valid now. `requests_per_minute` is None where the settings' limit holds."""

    name: str
    requests_per_minute: int | None


def hash_key(key: str) -> str:
    """What the store knows a key by."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


def add_key(store: Store, name: str, requests_per_minute: int | None = None) -> str:
    """Make a key for `name` and return it: nobody will ever see it again.

    Raises UsageError when the name is taken (also by a revoked key: the record stays) or cannot be one, StoreError.
    """
    check_name(name, "key")
    if requests_per_minute is not None and requests_per_minute < 1:
        raise UsageError(f"{requests_per_minute} requests a minute make no sense; give at least 1, or revoke the key.")
    key = _PREFIX + secrets.token_urlsafe(32)
    values = {
        "name": name,
        "key_hash": hash_key(key),
        "hint": key[:_HINT],
        "requests_per_minute": requests_per_minute,
        "created_at": datetime.now(UTC),
        "revoked_at": None,
    }
    with store.write() as connection:
        if connection.execute(sa.select(api_keys.c.name).where(api_keys.c.name == name)).first() is not None:
            raise UsageError(f"There is, or was, a key named `{name}`. Choose another name.")
        connection.execute(sa.insert(api_keys).values(**values))
    return key


def revoke_key(store: Store, name: str) -> None:
    """Make a key invalid for ever; a running server notices within seconds. Raises UsageError, StoreError."""
    with store.write() as connection:
        found = connection.execute(
            sa.update(api_keys)
            .where(api_keys.c.name == name, api_keys.c.revoked_at.is_(None))
            .values(revoked_at=datetime.now(UTC))
        )
        if found.rowcount == 0:
            raise UsageError(f"There is no valid key named `{name}`. `pasquin key list` shows them.")


def list_keys(store: Store) -> list[dict[str, Any]]:
    """All keys ever made, oldest first: name, hint (first characters), requests_per_minute, created_at, revoked_at."""
    columns = [column for column in api_keys.c if column.name != "key_hash"]
    with store.read() as connection:
        rows = connection.execute(sa.select(*columns).order_by(api_keys.c.created_at, api_keys.c.name)).mappings()
        return [dict(row) for row in rows]


def valid_keys(store: Store) -> dict[str, Key]:
    """Hash -> key, of all keys that are not revoked."""
    wanted = sa.select(api_keys.c.key_hash, api_keys.c.name, api_keys.c.requests_per_minute)
    with store.read() as connection:
        rows = connection.execute(wanted.where(api_keys.c.revoked_at.is_(None))).all()
    return {row.key_hash: Key(row.name, row.requests_per_minute) for row in rows}
