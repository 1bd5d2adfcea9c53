"""Sessions of bots, kept in the store so that a bot started every minute does not sign in every minute.

What is kept is sealed with a key made from the bot's password (scrypt, then Fernet): who has the database has no
session. One process renews at a time; the others wait for what it got. A password that was changed unseals nothing, and
the bot signs in anew.
"""

from __future__ import annotations

import base64
import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any, Final

import orjson
import sqlalchemy as sa

from pasquin.errors import NotSent, ResourceError
from pasquin.store import Store
from pasquin.store.schema import bot_sessions

Session = dict[str, Any]
_RENEWING_SECONDS: Final = 60.0
_LOOK_SECONDS: Final = 0.1


@dataclass(frozen=True)
class Kept:
    """A session, None when there is none that can be read, and its `generation`, which rises with every renewal."""

    session: Session | None
    generation: int


@dataclass
class SessionKeeper:
    """The session of one bot; `password` is what it signs in with."""

    store: Store
    bot: str
    account: str
    password: str

    def kept(self) -> Kept:
        """The session as it is now."""
        with self.store.read() as connection:
            row = self._row(connection)
        return Kept(None, 0) if row is None else self._opened(row)

    def renew(self, seen: Kept, make: Callable[[Session | None], Session]) -> Session:
        """A session newer than `seen`: made by `make` from the old one, or by another process meanwhile.

        Raises what `make` raises, and NotSent when another process takes too long.
        """
        deadline = time.monotonic() + _RENEWING_SECONDS
        while time.monotonic() < deadline:
            with self.store.write() as connection:
                row = self._row(connection, lock=True)
                if row is None:
                    self._insert(connection)
                    continue
                now = self._opened(row)
                if now.generation != seen.generation and now.session is not None:
                    return now.session
                if not _renewing(row):
                    until = datetime.now(UTC) + timedelta(seconds=_RENEWING_SECONDS)
                    self._set(connection, renewing_until=until)
                    break
            time.sleep(_LOOK_SECONDS)
        else:
            raise NotSent(f"Another publisher of the bot `{self.bot}` is signing in. Try again in a minute.")
        return self._made(now, make)

    def _made(self, old: Kept, make: Callable[[Session | None], Session]) -> Session:
        try:
            session = make(old.session)
        except BaseException:
            with self.store.write() as connection:
                self._set(connection, renewing_until=None)
            raise
        with self.store.write() as connection:
            sealed = self._box.encrypt(orjson.dumps(session)).decode()
            self._set(connection, sealed=sealed, generation=old.generation + 1, renewing_until=None)
        return session

    def _row(self, connection: sa.Connection, *, lock: bool = False) -> dict[str, Any] | None:
        query = sa.select(bot_sessions).where(bot_sessions.c.bot == self.bot)
        row = connection.execute(query.with_for_update() if lock else query).mappings().first()
        return None if row is None else dict(row)

    def _insert(self, connection: sa.Connection) -> None:
        row = {"bot": self.bot, "account": self.account, "generation": 0, "changed_at": datetime.now(UTC)}
        if connection.dialect.name == "postgresql":
            from sqlalchemy.dialects.postgresql import insert

            connection.execute(insert(bot_sessions).values(row).on_conflict_do_nothing())
        else:
            connection.execute(sa.insert(bot_sessions).values(row))

    def _set(self, connection: sa.Connection, **values: Any) -> None:
        values |= {"changed_at": datetime.now(UTC), "account": self.account}
        connection.execute(sa.update(bot_sessions).where(bot_sessions.c.bot == self.bot).values(values))

    def _opened(self, row: dict[str, Any]) -> Kept:
        from cryptography.fernet import InvalidToken

        if row["sealed"] is None or row["account"] != self.account:
            return Kept(None, row["generation"])
        try:
            session: Session = orjson.loads(self._box.decrypt(row["sealed"].encode()))
        except (InvalidToken, orjson.JSONDecodeError):
            return Kept(None, row["generation"])
        return Kept(session, row["generation"])

    @cached_property
    def _box(self) -> Any:
        try:
            from cryptography.fernet import Fernet
        except ImportError as exc:
            raise ResourceError('Publishing needs packages: `pip install "pasquin[publish]"`.') from exc
        salt = f"pasquin session {self.bot} {self.account}".encode()
        key = hashlib.scrypt(self.password.encode(), salt=salt, n=2**14, r=8, p=1, dklen=32)
        return Fernet(base64.urlsafe_b64encode(key))


def _renewing(row: dict[str, Any]) -> bool:
    until = row["renewing_until"]
    if until is None:
        return False
    return bool((until.replace(tzinfo=UTC) if until.tzinfo is None else until) > datetime.now(UTC))
