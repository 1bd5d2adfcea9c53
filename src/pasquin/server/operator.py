"""For whoever runs it: `/metrics` for Prometheus, `/operator` for the signed-in owner.

`/metrics` answers to this machine itself, or to whoever shows the token in PASQUIN_METRICS_TOKEN; to others there is
nothing at that address. Both tell how much there is of everything, never what anybody wrote.
"""

from __future__ import annotations

import asyncio
import hmac
import os
import shutil
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa
from fastapi import APIRouter, HTTPException, Request, Response

from pasquin.curate import Curator, SignInError
from pasquin.doctor import doctor
from pasquin.errors import PasquinError
from pasquin.metrics import MEDIA_TYPE, Gauge
from pasquin.play import Game
from pasquin.publish import operation
from pasquin.server.filling import Filling, Standing
from pasquin.server.guard import NONCE
from pasquin.server.operator_page import render, sign_in_page
from pasquin.server.sign_in import COOKIE, Sessions
from pasquin.server.watching import Watch
from pasquin.store import Store
from pasquin.store.decided import accepted_candidates, standing_decisions
from pasquin.store.schema import candidates, guesses, players
from pasquin.workspace import Workspace
from pasquin.workspace.locks import holders

TOKEN: Final = "PASQUIN_METRICS_TOKEN"
_FORWARDED: Final = ("x-forwarded-for", "forwarded", "x-real-ip")
_FRESH_SECONDS: Final = 10.0
_DOCTOR_SECONDS: Final = 120.0

router = APIRouter(include_in_schema=False)


@dataclass
class Sight:
    """Everything an operator sees, gathered at one moment."""

    at: datetime
    bots: list[operation.Standing] = field(default_factory=list)
    troubles: list[dict[str, Any]] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    cards: dict[str, dict[str, int]] = field(default_factory=dict)
    ahead: list[Standing] = field(default_factory=list)
    ledger_waiting: int = 0
    per_second: float = 0.0
    failures: list[tuple[datetime, str, int]] = field(default_factory=list)
    disk_free: int = 0
    disk_total: int = 0
    sizes: dict[str, int] = field(default_factory=dict)
    busy: list[str] = field(default_factory=list)
    findings: list[dict[str, Any]] = field(default_factory=list)
    error: str | None = None


class Operation:
    """Gathers what is to be seen, at most every ten seconds, whoever asks. Safe to share between threads."""

    def __init__(self, workspace: Workspace, store: Store, game: Game, filling: Filling, watch: Watch) -> None:
        self.workspace, self.store, self.game, self.filling, self.watch = workspace, store, game, filling, watch
        self._lock = threading.Lock()
        self._sight: Sight | None = None
        self._until = 0.0
        self._findings: list[dict[str, Any]] = []
        self._sizes: dict[str, int] = {}
        self._examined = -_DOCTOR_SECONDS

    def sight(self) -> Sight:
        """How things stand. What cannot be read is said in `error`, the rest is there all the same."""
        with self._lock:
            if self._sight is None or time.monotonic() >= self._until:
                self._sight = self._gather()
                self._until = time.monotonic() + _FRESH_SECONDS
            return self._sight

    def findings(self) -> list[dict[str, Any]]:
        """What doctor finds wrong, at most two minutes old."""
        with self._lock:
            if time.monotonic() - self._examined > _DOCTOR_SECONDS:
                self._findings = [one for one in doctor(self.workspace)["findings"] if one["level"] != "fine"]
                self._sizes = {name: _size(self.workspace.root / name) for name in ("posts", "corpora", "models")}
                self._sizes["database"] = _size(self.workspace.root, "pasquin.db*")
                self._examined = time.monotonic()
            return self._findings

    def _gather(self) -> Sight:
        usage = shutil.disk_usage(self.workspace.root)
        seen = Sight(at=datetime.now(UTC), disk_free=usage.free, disk_total=usage.total, sizes=self._sizes)
        seen.per_second, seen.failures = self.watch.per_second, list(self.watch.failures)[::-1]
        seen.ledger_waiting = self.game.waiting
        seen.cards = {deck.key: {"human": deck.human, "model": deck.model} for deck in self.game.decks.values()}
        seen.ahead = self.filling.standings
        seen.busy = [name for name, _ in holders(self.workspace)]
        try:
            seen.counts = _counts(self.store)
            seen.bots = operation.standings(self.workspace, self.store)
            seen.troubles = operation.troubles(self.store)
        except PasquinError as exc:
            seen.error = str(exc)
        return seen


def _counts(store: Store) -> dict[str, int]:
    def number(query: sa.Select[Any]) -> sa.Select[Any]:
        return sa.select(sa.func.count()).select_from(query.subquery())

    lately = guesses.c.created_at > datetime.now(UTC) - timedelta(hours=1)
    wanted = {
        "players": sa.select(sa.func.count()).select_from(players),
        "guesses": sa.select(sa.func.count()).select_from(guesses),
        "guesses_hour": sa.select(sa.func.count()).select_from(guesses).where(lately),
        "candidates": sa.select(sa.func.count()).select_from(candidates),
        "decided": number(standing_decisions()),
        "accepted": number(accepted_candidates()),
    }
    with store.read() as connection:
        return {name: int(connection.execute(query).scalar_one()) for name, query in wanted.items()}


def _size(folder: Path, pattern: str = "**/*") -> int:
    total = 0
    for path in folder.glob(pattern):
        try:
            total += path.stat().st_size if path.is_file() else 0
        except OSError:
            continue
    return total


def gauges(seen: Sight) -> list[Gauge]:
    """What was gathered, for Prometheus."""

    def one(name: str, says: str, value: float) -> Gauge:
        return f"pasquin_{name}", says, [((), float(value))]

    cards = [
        ((("category", key), ("origin", origin)), float(count))
        for key, counted in seen.cards.items()
        for origin, count in counted.items()
    ]
    found = [
        one("database_up", "1 when the database answered.", seen.error is None),
        one("disk_free_bytes", "Free on the workspace's disk.", seen.disk_free),
        one("disk_total_bytes", "Size of the workspace's disk.", seen.disk_total),
        one("game_waiting_writes", "Writes of the game that wait for the disk.", seen.ledger_waiting),
        ("pasquin_game_cards", "Cards there are to play with.", cards),
    ]
    if seen.ahead:
        pools = [((("corpus", each.corpus), ("state", each.state)), float(each.ahead)) for each in seen.ahead]
        found.append(("pasquin_game_ahead", "AI cards that the keenest player has not seen.", pools))
    says = {
        "players": "Players there ever were.",
        "guesses": "Guesses stored.",
        "guesses_hour": "Guesses of the last hour.",
        "candidates": "Candidates stored.",
        "decided": "Candidates that were decided.",
        "accepted": "Candidates that were accepted.",
    }
    found += [one(name, says[name], value) for name, value in seen.counts.items()]
    return found + operation.gauges(seen.bots)


def may_scrape(request: Request) -> bool:
    """Whether who asks may read `/metrics`: by the token where there is one, from this machine otherwise."""
    token = os.environ.get(TOKEN)
    if token:
        shown = request.headers.get("authorization", "").encode("utf-8", "replace")
        return hmac.compare_digest(shown, f"Bearer {token}".encode())
    host = request.client.host if request.client else ""
    return host in ("127.0.0.1", "::1") and not any(name in request.headers for name in _FORWARDED)


@router.get("/metrics")
async def metrics(request: Request) -> Response:
    """What Prometheus collects."""
    if not may_scrape(request):
        raise HTTPException(404)
    operation_: Operation = request.app.state.operation
    seen = await asyncio.to_thread(operation_.sight)
    return Response(operation_.watch.metrics.text(gauges(seen)), media_type=MEDIA_TYPE)


@router.get("/operator")
async def operator(request: Request) -> Response:
    """The operator's page, for the owner."""
    sessions: Sessions = request.app.state.sessions
    nonce = request.scope["state"][NONCE]
    try:
        curator: Curator = await sessions.curator(request.cookies.get(COOKIE))
    except SignInError:
        return Response(sign_in_page(nonce, owner=True), 401, media_type="text/html; charset=utf-8")
    if not curator.owner:
        return Response(sign_in_page(nonce, owner=False), 403, media_type="text/html; charset=utf-8")
    operation_: Operation = request.app.state.operation
    findings = await asyncio.to_thread(operation_.findings)
    seen = await asyncio.to_thread(operation_.sight)
    return Response(render(seen, findings, nonce), media_type="text/html; charset=utf-8")
