"""A network to publish to, with a memory and bad habits, and workspaces with candidates: a fake of `Publisher`."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from pasquin.errors import NetworkError
from pasquin.networks import publishing
from pasquin.networks.tids import tid_time
from pasquin.publish import Accepted, enqueue
from pasquin.records import Profile, Publication
from pasquin.store import Store
from pasquin.store.schema import candidates
from pasquin.texts import text_key
from pasquin.workspace import Workspace


@dataclass
class FakeService:
    """A network called `fake`. `faults` are taken one a request: an exception to raise before, or ("after", exception)
    to raise when it is committed already. `remembers` keys, `can_be_asked` what became of one."""

    remembers: bool = True
    posts: list[tuple[str, str]] = field(default_factory=list)
    faults: list[Any] = field(default_factory=list)
    look_faults: list[Exception] = field(default_factory=list)
    limit: int = 300
    shown: Profile | None = None
    in_order: bool = False
    before_send: Callable[[], None] | None = None

    def publish(self, text: str, key: str) -> Publication:
        """One post for one key, where it remembers keys."""
        if self.before_send:
            self.before_send()
        fault = self.faults.pop(0) if self.faults else None
        if isinstance(fault, Exception):
            raise fault
        if not (self.remembers and any(there == key for there, _ in self.posts)):
            self.posts.append((key, text))
        if fault is not None:
            raise fault[1]
        return Publication(uri=f"fake://bot/{key}", published_at=tid_time(key))

    def settle(self, request: Mapping[str, Any], attempted_at: datetime) -> publishing.Settled:
        """It is there, or surely not (where it remembers keys), or cannot be told."""
        if self.look_faults:
            raise self.look_faults.pop(0)
        if any(key == request["key"] for key, _ in self.posts):
            return Publication(uri=f"fake://bot/{request['key']}", published_at=tid_time(request["key"]))
        return "absent" if self.remembers else "undecided"

    @property
    def texts(self) -> list[str]:
        """What was published, in order."""
        return [text for _, text in self.posts]


class LostAnswer(NetworkError):  # noqa: N818 - as its family
    """The connection ended before the answer."""

    def __init__(self) -> None:
        super().__init__("The answer was lost.")


def install(monkeypatch: pytest.MonkeyPatch, service: Any, name: str = "fake") -> Any:
    """Make `network = "fake"` publish to `service` in this process."""
    real = publishing.open_publisher
    from pasquin.publish import running

    monkeypatch.setattr(
        running, "open_publisher", lambda access: service if access.settings.network == name else real(access)
    )
    return service


def workspace_with(
    folder: Path, bots: Mapping[str, Mapping[str, Any]], texts: Mapping[str, list[str]] | None = None
) -> Workspace:
    """A workspace with bots, and for each the texts in its queue (each a candidate of the model `m`)."""
    workspace = Workspace.create(folder)
    lines = []
    for name, settings in bots.items():
        lines.append(f"[bots.{name}]")
        lines += [f"{key} = {json.dumps(value)}" for key, value in settings.items()]
    with workspace.toml.open("a") as toml:
        toml.write("\n".join(["", *lines, ""]))
    for name, wanted in (texts or {}).items():
        enqueue(workspace, name, accepted(workspace, wanted))
    return workspace


def accepted(workspace: Workspace, texts: list[str], model: str = "m") -> list[Accepted]:
    """Candidates with these texts, put into the store and accepted by `ann`."""
    rows = [_row(text, model) for text in texts]
    store = Store.of(workspace)
    with store.write() as connection:
        there = set(connection.execute(sa.select(candidates.c.id)).scalars())
        new = [row for row in rows if row["id"] not in there]
        if new:
            connection.execute(sa.insert(candidates), new)
    store.close()
    return [Accepted(row["id"], row["text"], "ann") for row in rows]


def whole(root: Path) -> bool:
    """Whether the database of a workspace passes SQLite's own check."""
    connection = sqlite3.connect(root / "pasquin.db")
    found = connection.execute("PRAGMA integrity_check").fetchone()
    connection.close()
    return bool(found == ("ok",))


def _row(text: str, model: str) -> dict[str, Any]:
    id = hashlib.sha256(f"{model} {text}".encode()).hexdigest()[:32]
    return {
        "id": id,
        "model": model,
        "model_hash": "c0ffee" * 10,
        "corpus": "vc",
        "account": "somebody",
        "text": text,
        "text_key": text_key(text),
        "created_at": datetime(2026, 11, 1, tzinfo=UTC),
        "generation": id,
        "position": 0,
        "seed": 7,
        "engine": "openvino",
        "sampling": {"temperature": 1.0},
        "prefix": "",
        "tokens": 9,
        "novelty": "novel",
        "nearest_uri": "https://x.com/i/status/1",
        "similarity": 0.4,
        "longest_run": 12,
    }


def compliant_settings(network: str, account: str, **more: Any) -> dict[str, Any]:
    """Settings of a bot whose profile says what it must (`AI parody bot of Some Body …` by `@me.example`)."""
    return {
        "network": network,
        "account": account,
        "rest_minutes": 0.0,
        "minimum_stock": 0,
        "maintainer": "@me.example",
        "parodies": ["Some Body"],
        "model_family": "SmolLM2",
        "original_avatars": ["none"],
        "newsworthy": False,
        "urls": True,
        **more,
    }
