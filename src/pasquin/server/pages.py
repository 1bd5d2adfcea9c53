"""The built front end, kept in memory: the page (`/`, `/curate`, `/bots`), its files under `/assets`, `/healthz`."""

from __future__ import annotations

import gzip
import mimetypes
from functools import cache
from pathlib import Path
from typing import Final

import sqlalchemy as sa
from fastapi import APIRouter, HTTPException, Request, Response

from pasquin.server.guard import EMBED, NONCE
from pasquin.store import Store

STATIC: Final = Path(__file__).parent / "static"
_NONCE_PLACE = "__STYLE_NONCE__"
_UNBUILT = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Pasquin</title>
<h1>The pages are not built yet</h1>
<p>This is a source checkout: run <code>make web</code>, then start again.</p></html>"""

_AHEAD: Final = '<link rel="preload" href="/api/game" as="fetch" crossorigin>'
"""What the game's page asks for first comes while its scripts still do."""

router = APIRouter(include_in_schema=False)


@cache
def _files() -> dict[str, tuple[bytes, bytes, str]]:
    """Path below `static` -> content, the same compressed, media type."""
    files = {}
    for path in STATIC.rglob("*"):
        if path.is_file() and not path.name.startswith("."):
            content = path.read_bytes()
            media = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
            if media.startswith("text/"):
                media += "; charset=utf-8"
            files[path.relative_to(STATIC).as_posix()] = (content, gzip.compress(content, 9, mtime=0), media)
    return files


@router.get("/")
@router.get(EMBED)
@router.get("/curate")
@router.get("/bots")
@router.get("/bots/{_name}")
def index(request: Request) -> Response:
    """The page. Everything on it is the same for everybody but the nonce that allows its own styles."""
    found = _files().get("index.html")
    if found is None:
        return Response(_UNBUILT, 503, media_type="text/html; charset=utf-8")
    page = found[0].decode().replace(_NONCE_PLACE, request.scope["state"][NONCE])
    if request.url.path in ("/", EMBED):
        page = page.replace("</head>", f"{_AHEAD}</head>", 1)
    return Response(page, media_type="text/html; charset=utf-8")


@router.get("/favicon.svg")
def favicon(request: Request) -> Response:
    """The little picture in the browser's tab."""
    return _file(request, "favicon.svg", "public, max-age=86400")


@router.get("/assets/{name}")
def asset(request: Request, name: str) -> Response:
    """A file of the page; its name has its hash in it, so it never changes."""
    return _file(request, f"assets/{name}", "public, max-age=31536000, immutable")


@router.get("/healthz")
def healthz(request: Request) -> Response:
    """200 while the database answers, 503 when it does not."""
    store: Store = request.app.state.store
    with store.read() as connection:
        connection.execute(sa.text("SELECT 1"))
    return Response('{"status":"ok"}', media_type="application/json")


def _file(request: Request, name: str, cache_control: str) -> Response:
    found = _files().get(name)
    if found is None:
        raise HTTPException(404)
    content, compressed, media = found
    headers = {"Cache-Control": cache_control, "Vary": "Accept-Encoding"}
    if "gzip" in request.headers.get("accept-encoding", "") and len(compressed) < len(content):
        content = compressed
        headers["Content-Encoding"] = "gzip"
    return Response(content, headers=headers, media_type=media)
