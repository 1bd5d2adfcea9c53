"""Starting a run over HTTP: who may, and that the same start counts once.

A bot has one token at a time, 256 random bits of which the store keeps the SHA-256; or the environment of the server
names one (`PASQUIN_BOT_<NAME>_TRIGGER`), for where there is no terminal. A start that names a key is answered as the
first start with that key was, and starts nothing; one that was cut off may begin again after some minutes, which is
safe, as each entry is published once whoever asks.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import sqlalchemy as sa

from pasquin.config import secret_prefix
from pasquin.publish import switches
from pasquin.publish.ledger import utc
from pasquin.store import Store
from pasquin.store.schema import bot_triggers, bots

_PREFIX: Final = "pqb-"
_HINT: Final = 8
_CUT_OFF: Final = timedelta(minutes=10)
_KEPT: Final = timedelta(days=2)
_SHORTEST: Final = 16


def make_token(store: Store, bot: str) -> str:
    """A new token that may start a run of `bot`; the one before is valid no more. Nobody sees it again."""
    token = _PREFIX + secrets.token_urlsafe(32)
    switches.register(store, [bot])
    _set(store, bot, _hash(token), token[:_HINT])
    return token


def revoke_token(store: Store, bot: str) -> None:
    """Make the bot's token invalid."""
    _set(store, bot, None, None)


def bot_of_token(store: Store, token: str, names: list[str]) -> str | None:
    """Which bot a token starts, None when it starts none. Tokens of the environment have 16 characters at least."""
    given = _hash(token)
    with store.read() as connection:
        found = connection.execute(sa.select(bots.c.name).where(bots.c.trigger_hash == given)).scalar()
    if found is not None:
        return str(found)
    for name in names:
        own = os.environ.get(f"{secret_prefix(name)}TRIGGER", "")
        if len(own) >= _SHORTEST and hmac.compare_digest(_hash(own), given):
            return name
    return None


def once(store: Store, bot: str, key: str, work: Callable[[], dict[str, Any]]) -> dict[str, Any] | None:
    """The result of `work` for the first start with this key, and the same for the later ones; None while it runs."""
    now = datetime.now(UTC)
    same = sa.and_(bot_triggers.c.bot == bot, bot_triggers.c.key == key)
    with store.write() as connection:
        connection.execute(sa.delete(bot_triggers).where(bot_triggers.c.at < now - _KEPT))
        row = connection.execute(sa.select(bot_triggers).where(same)).mappings().first()
        if row is not None and row["result"] is not None:
            return dict(row["result"])
        if row is not None and now - utc(row["at"]) < _CUT_OFF:
            return None
        if row is not None:
            connection.execute(sa.update(bot_triggers).where(same).values(at=now))
        elif not _begun(connection, bot, key, now):
            return None
    try:
        result = work()
    except BaseException:
        with store.write() as connection:
            connection.execute(sa.delete(bot_triggers).where(same))
        raise
    with store.write() as connection:
        connection.execute(sa.update(bot_triggers).where(same).values(result=result))
    return result


def _begun(connection: sa.Connection, bot: str, key: str, now: datetime) -> bool:
    """Write down that a start has begun; False when somebody else did at the same moment."""
    try:
        with connection.begin_nested():
            connection.execute(sa.insert(bot_triggers).values(bot=bot, key=key, at=now, result=None))
    except sa.exc.IntegrityError:
        return False
    return True


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def _set(store: Store, bot: str, hashed: str | None, hint: str | None) -> None:
    with store.write() as connection:
        values = {"trigger_hash": hashed, "trigger_hint": hint}
        connection.execute(sa.update(bots).where(bots.c.name == bot).values(values))
