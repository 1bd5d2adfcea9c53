"""The public figures: `/stats` for people, `/stats.json` for programs. Aggregates only; never one player's answers.

Figures are kept for half a minute, longer where computing them takes long, so that readers cost the players nothing.
"""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any, Final

import orjson
from fastapi import APIRouter, Request, Response

from pasquin.config import MeasureSettings, load
from pasquin.errors import PasquinError
from pasquin.measure import public_figures, ready
from pasquin.play import Game
from pasquin.server.guard import NONCE
from pasquin.store import Store

_SECONDS: Final = 30.0
_SHARE_OF_TIME: Final = 20.0
"""Computing may take a twentieth of the time, at most."""
_SHORT_OF_PACKAGES: Final = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Figures</title>
<h1>The figures are not installed here</h1><p>Who runs this game can have them:
<code>pip install 'pasquin[measure]'</code>, then start again.</p></html>"""

router = APIRouter(include_in_schema=False)


class Figures:
    """The latest public figures of a game. Safe to share between threads; one of them computes."""

    def __init__(self, game: Game, store: Store) -> None:
        self._game, self._store = game, store
        self._settings = load(MeasureSettings, game.workspace.toml)
        self._lock = threading.Lock()
        self._result: dict[str, Any] | None = None
        self._until = 0.0

    def latest(self) -> dict[str, Any]:
        """The figures, at most half a minute old (or twenty times as long as they take). Raises StoreError."""
        with self._lock:
            started = time.monotonic()
            if self._result is None or started >= self._until:
                self._result = public_figures(self._store, self._game.corpora, self._settings)
                took = time.monotonic() - started
                self._until = time.monotonic() + max(_SECONDS, _SHARE_OF_TIME * took)
            return self._result


@router.get("/stats")
async def stats(request: Request) -> Response:
    """The report on the game as it stands."""
    if ready() is not None:
        return Response(_SHORT_OF_PACKAGES, 503, media_type="text/html; charset=utf-8")
    from pasquin.measure.report import render

    result = await asyncio.to_thread(_figures(request).latest)
    page = render(result, nonce=request.scope["state"][NONCE])
    return Response(page, media_type="text/html; charset=utf-8")


@router.get("/stats.json")
async def stats_json(request: Request) -> Response:
    """The same figures as JSON."""
    try:
        result = await asyncio.to_thread(_figures(request).latest)
    except PasquinError as exc:
        return Response(orjson.dumps({"message": str(exc)}), 503, media_type="application/json")
    return Response(orjson.dumps(result), media_type="application/json")


def _figures(request: Request) -> Figures:
    figures: Figures = request.app.state.figures
    return figures
