"""The built front end, kept in memory: the page (`/`, `/curate`, `/bots`), its files under `/assets`, `/healthz`."""

from __future__ import annotations

import gzip
import mimetypes
from dataclasses import dataclass
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
_NOWHERE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Pasquin</title>
<meta name="viewport" content="width=device-width"><meta name="color-scheme" content="light dark">
<h1>There is nothing here</h1>
<p>The address may be mistyped. <a href="/">Play the game</a>.</p></html>"""

_TWIN: Final = ".br"
"""What the name of a Brotli twin ends with; the front end's build makes them."""
_AHEAD: Final = '<link rel="preload" href="/api/game" as="fetch" crossorigin>'
"""What the game's page asks for first comes while its scripts still do."""

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True)
class _File:
    """A file of the front end: as it is, of which type, and by coding (the best first) where that makes it smaller."""

    content: bytes
    media: str
    coded: dict[str, bytes]


@cache
def _files() -> dict[str, _File]:
    """What there is, by its path below `static`."""
    files = {}
    for path in STATIC.rglob("*"):
        if path.is_file() and not path.name.startswith(".") and path.suffix != _TWIN:
            content, twin = path.read_bytes(), path.with_name(path.name + _TWIN)
            media = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
            if media.startswith("text/"):
                media += "; charset=utf-8"
            coded = {"br": twin.read_bytes()} if twin.exists() else {}
            coded["gzip"] = gzip.compress(content, 9, mtime=0)
            smaller = {name: packed for name, packed in coded.items() if len(packed) < len(content)}
            files[path.relative_to(STATIC).as_posix()] = _File(content, media, smaller)
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
    page = found.content.decode().replace(_NONCE_PLACE, request.scope["state"][NONCE])
    if request.url.path in ("/", EMBED):
        page = page.replace("</head>", f"{_AHEAD}</head>", 1)
    return Response(page, media_type="text/html; charset=utf-8")


def nowhere() -> Response:
    """What a person sees who came to an address at which there is nothing."""
    return Response(_NOWHERE, 404, media_type="text/html; charset=utf-8")


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


def _accepted(header: str) -> set[str]:
    """The codings that a browser takes; weights other than 0 make no difference."""
    asked = [one.replace(" ", "").partition(";q=") for one in header.lower().split(",")]
    return {name for name, _, weight in asked if not weight or weight.strip("0.")}


def _file(request: Request, name: str, cache_control: str) -> Response:
    found = _files().get(name)
    if found is None:
        raise HTTPException(404)
    content, headers = found.content, {"Cache-Control": cache_control, "Vary": "Accept-Encoding"}
    accepted = _accepted(request.headers.get("accept-encoding", ""))
    for coding, packed in found.coded.items():
        if coding in accepted:
            content = packed
            headers["Content-Encoding"] = coding
            break
    return Response(content, headers=headers, media_type=found.media)
