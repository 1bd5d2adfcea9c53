"""Reading an answer's body: decoded, and bounded in size and in patience, whatever its headers claim."""

from __future__ import annotations

import time
import zlib
from collections.abc import Iterator
from typing import Final

import httpx

from pasquin.errors import NetworkError

_SLOWEST: Final = 1024
"""Bytes a second, after a grace, below which an answer is given up."""
_GRACE: Final = 60.0
_STEP: Final = 2**20


class Oversized(NetworkError):  # noqa: N818 - as its family
    """An answer is larger than it may be."""


def chunks(response: httpx.Response, most: int) -> Iterator[bytes]:
    """The decoded body piece by piece, `most` bytes in all, never more than 1 MiB in memory at a time.

    Raises Oversized beyond, NetworkError when it is encoded in a way nobody asked for, httpx.ReadTimeout when it
    comes too slowly.
    """
    began, came, read = time.monotonic(), 0, 0
    claimed = response.headers.get("content-length", "")
    if claimed.isdigit() and int(claimed[:18]) > most:
        raise _oversized(response, most)
    for piece in _decoded(response.iter_raw(), response):
        read += len(piece)
        came = max(came, response.num_bytes_downloaded)
        if read > most:
            raise _oversized(response, most)
        if time.monotonic() - began > _GRACE + came / _SLOWEST:
            raise httpx.ReadTimeout("the answer comes too slowly")
        yield piece


def _decoded(pieces: Iterator[bytes], response: httpx.Response) -> Iterator[bytes]:
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    if encoding in ("", "identity"):
        yield from pieces
        return
    if encoding not in ("gzip", "x-gzip", "deflate"):
        raise NetworkError(f"{response.request.url.host} answered in an encoding that nobody asked for.")
    decoder = zlib.decompressobj(zlib.MAX_WBITS | 32)
    try:
        for piece in pieces:
            while piece:
                yield decoder.decompress(piece, _STEP)
                piece = decoder.unconsumed_tail
        yield decoder.flush()
    except zlib.error as exc:
        raise httpx.RemoteProtocolError("the compressed answer is damaged") from exc
    if not decoder.eof:
        raise httpx.RemoteProtocolError("the compressed answer is cut off")


def _oversized(response: httpx.Response, most: int) -> Oversized:
    return Oversized(
        f"{response.request.url.host} answered with more than {most / 2**20:,.0f} MB, which is more than such an "
        "answer can have. Nothing of it was kept.",
        status=response.status_code,
    )
