"""Curators and how they sign in: a link that works once, then a cookie. Only hashes of both are kept."""

from __future__ import annotations

import hashlib
import re
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import sqlalchemy as sa

from pasquin.errors import PasquinError, UsageError
from pasquin.store import Store
from pasquin.store.schema import curator_sessions, curators, sign_in_links

OWNER: Final = "owner"
OWNER_LINK: Final = timedelta(minutes=30)
INVITATION: Final = timedelta(days=7)
_NAME: Final = re.compile(r"[\w][\w .'-]{0,39}")


class SignInError(PasquinError):
    """Nobody is signed in, or the link cannot be used (any more)."""


@dataclass(frozen=True, slots=True)
class Curator:
    """A person who decides."""

    id: str
    name: str
    owner: bool


def curator_named(store: Store, name: str = OWNER) -> Curator:
    """The curator of that name, who is made if there is none yet. Raises UsageError for a name that cannot be shown."""
    name = " ".join(name.split())
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"`{name[:40]}` is no name for a curator: up to 40 letters, digits, spaces, points and hyphens."
        )
    with store.write() as connection:
        found = connection.execute(sa.select(curators).where(curators.c.name == name)).mappings().first()
        if found is not None:
            return _curator(found)
        row = {"id": secrets.token_hex(16), "name": name, "owner": name == OWNER, "created_at": datetime.now(UTC)}
        connection.execute(sa.insert(curators).values(row))
    return Curator(str(row["id"]), name, name == OWNER)


def make_link(store: Store, curator: Curator, lifetime: timedelta = OWNER_LINK) -> str:
    """A token that signs `curator` in once, within `lifetime`."""
    token, now = secrets.token_urlsafe(32), datetime.now(UTC)
    with store.write() as connection:
        connection.execute(sa.delete(sign_in_links).where(sign_in_links.c.expires_at < now))
        row = {"token_hash": _hash(token), "curator": curator.id, "expires_at": now + lifetime}
        connection.execute(sa.insert(sign_in_links).values(row))
    return token


def sign_in(store: Store, token: str, lifetime: timedelta) -> tuple[Curator, str]:
    """Use a link: who it signs in, and the token of their session.

    Raises SignInError when it was used before, is too old or made up.
    """
    now, session = datetime.now(UTC), secrets.token_urlsafe(32)
    used = sa.delete(sign_in_links).where(sign_in_links.c.token_hash == _hash(token), sign_in_links.c.expires_at >= now)
    with store.write() as connection:
        owner_of = connection.execute(used.returning(sign_in_links.c.curator)).scalar()
        if owner_of is None:
            raise SignInError(
                "This link was used already, or is too old. Run `pasquin curate` for a new one, or ask whoever does."
            )
        connection.execute(sa.delete(curator_sessions).where(curator_sessions.c.expires_at < now))
        row = {"token_hash": _hash(session), "curator": owner_of, "expires_at": now + lifetime}
        connection.execute(sa.insert(curator_sessions).values(row))
        found = connection.execute(sa.select(curators).where(curators.c.id == owner_of)).mappings().one()
    return _curator(found), session


def signed_in(store: Store, session: str) -> Curator:
    """Whose session that is. Raises SignInError when it is nobody's or over."""
    query = (
        sa.select(curators)
        .join(curator_sessions, curator_sessions.c.curator == curators.c.id)
        .where(curator_sessions.c.token_hash == _hash(session), curator_sessions.c.expires_at >= datetime.now(UTC))
    )
    with store.read() as connection:
        found = connection.execute(query).mappings().first()
    if found is None:
        raise SignInError("You are not signed in. Run `pasquin curate` for a link, or ask whoever runs it for one.")
    return _curator(found)


def sign_out(store: Store, session: str) -> None:
    """End a session."""
    with store.write() as connection:
        connection.execute(sa.delete(curator_sessions).where(curator_sessions.c.token_hash == _hash(session)))


def all_curators(store: Store) -> list[Curator]:
    """Everybody who may decide, by name."""
    with store.read() as connection:
        return [_curator(row) for row in connection.execute(sa.select(curators).order_by(curators.c.name)).mappings()]


def _curator(row: sa.RowMapping) -> Curator:
    return Curator(row["id"], row["name"], row["owner"])


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
