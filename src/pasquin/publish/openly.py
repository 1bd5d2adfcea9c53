"""What anybody may know of a bot: what it is, what it published, and where each text came from.

Nothing secret, nothing about people who work on it but the maintainer whom the bio names, and no address that only its
owner should know: the account of a webhook or a file stays here.
"""

from __future__ import annotations

from typing import Any, Final

import sqlalchemy as sa

from pasquin.config import BotSettings
from pasquin.publish.board import kept_checks, listed
from pasquin.store import Store
from pasquin.store.schema import publications

_WITHIN: Final = frozenset({"file", "webhook"})
"""Networks whose account is a path or an address that may hold a secret."""
_ADDRESSES: Final = ("https://", "at://")
_ORIGIN: Final = ("model", "model_hash", "corpus", "family", "seed", "sampling", "engine")
_NOVELTY: Final = ("kind", "similarity", "longest_run")


def openly(store: Store, name: str, settings: BotSettings | None, family: str | None, n: int, skip: int) -> Any:
    """The public account of a bot with `n` of its publications, newest first, after `skip`; None when there is none.

    `{bot, network, account, running, maintainer, parodies, model_family, curated, checks, checked_at, published,
    publications}`; each publication is `{text, published_at, uri, url, deleted, edited, curated, repeated, origin,
    novelty, compliant}`.
    """
    mine = sa.and_(publications.c.bot == name, publications.c.state.in_(("confirmed", "deleted")))
    with store.read() as connection:
        number = int(connection.execute(sa.select(sa.func.count()).where(mine)).scalar() or 0)
        newest = connection.execute(
            sa.select(publications).where(mine).order_by(publications.c.attempted_at.desc()).limit(1)
        )
        last = newest.mappings().first()
    if settings is None and last is None:
        return None
    network = settings.network if settings else str(last["network"]) if last else ""
    account = settings.account if settings else str(last["account"]) if last else ""
    kept = kept_checks(store, name)
    checks = (
        None if kept["checks"] is None else [{"name": one["name"], "holds": one["holds"]} for one in kept["checks"]]
    )
    return {
        "bot": name,
        "network": network,
        "account": None if network in _WITHIN else account,
        "running": settings is not None,
        "maintainer": (settings.maintainer if settings else "") or None,
        "parodies": list(settings.parodies) if settings else [],
        "model_family": family,
        "curated": settings.curated if settings else None,
        "checks": checks,
        "checked_at": kept["checked_at"],
        "published": number,
        "publications": [_shown(store, one["id"]) for one in listed(store, name, "published", n, skip)],
    }


def _shown(store: Store, id: str) -> dict[str, Any]:
    with store.read() as connection:
        row = connection.execute(sa.select(publications).where(publications.c.id == id)).mappings().one()
    receipt = row["receipt"] or {}
    origin, novelty, disclosure = receipt.get("origin"), receipt.get("novelty"), receipt.get("disclosure")
    moment = row["published_at"] or row["attempted_at"]
    return {
        "text": None if row["state"] == "deleted" else receipt.get("text") or row["text"],
        "published_at": moment.isoformat() + ("" if moment.tzinfo else "+00:00") if moment else None,
        "uri": row["uri"] if str(row["uri"]).startswith(_ADDRESSES) else None,
        "url": row["url"] if str(row["url"]).startswith("https://") else None,
        "deleted": row["state"] == "deleted",
        "edited": bool(row["edited"]),
        "curated": row["curator"] is not None,
        "repeated": row["repeat_of"] is not None,
        "origin": {name: origin.get(name) for name in _ORIGIN} if origin else None,
        "novelty": {name: novelty.get(name) for name in _NOVELTY} if novelty else None,
        "compliant": disclosure.get("compliant") if disclosure else None,
    }
