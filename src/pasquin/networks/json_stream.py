"""The elements of a huge JSON array, one after the other, without ever holding the array.

Works on anything that has one array of objects in it: plain JSON, and JavaScript such as
`window.YTD.tweets.part0 = [ … ]`. Elements come out as bytes for a real JSON parser; nothing is validated here, and
elements that are neither objects nor arrays are passed over.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any, Final

import orjson

_NEXT_BRACKET: Final = re.compile(rb'[^"\[\]{}]*+(?:"(?>[^"\\]+|\\.)*+"[^"\[\]{}]*+)*+([\[\]{}])', re.DOTALL)
_NO_BRACKET: Final = re.compile(rb'[^"\[\]{}]*+(?:"(?>[^"\\]+|\\.)*+"[^"\[\]{}]*+)*+', re.DOTALL)
_EXCERPT: Final = 200


class Oversized(bytes):
    """The first bytes of an element that was longer than allowed and has been passed over."""


class Unfinished(bytes):
    """The first bytes of what was there when the input ended in the middle of the array."""


def elements(chunks: Iterable[bytes], limit: int) -> Iterator[bytes]:
    """The elements of the first array in `chunks`, each at most `limit` bytes long.

    A longer one comes out as `Oversized`, and an input that ends inside the array gives a last `Unfinished`.
    Memory stays within `limit` and a chunk.
    """
    data, position, depth, start = b"", 0, 0, -1
    oversized: bytes | None = None
    for chunk in chunks:
        data += chunk
        while (found := _NEXT_BRACKET.match(data, position)) is not None:
            position = found.end()
            bracket = data[position - 1]
            if bracket in b"[{":
                depth += 1
                if depth == 1 and bracket == ord("{"):
                    depth = 0  # an object in front of the array: its own braces are passed over
                elif depth == 2:
                    start = position - 1
                continue
            depth = max(0, depth - 1)
            if depth == 1:
                if oversized is not None:
                    yield Oversized(oversized)
                elif position - start > limit:
                    yield Oversized(data[start : start + _EXCERPT])
                else:
                    yield data[start:position]
                start, oversized = -1, None
            elif depth == 0 and bracket == ord("]"):
                return
        inside = start >= 0 or oversized is not None
        if oversized is None and start >= 0 and len(data) - start > limit:
            oversized = data[start : start + _EXCERPT]
        if oversized is None and inside:
            data, position, start = data[start:], position - start, 0
        elif oversized is not None or len(data) - position > limit:
            data, position, start = _without_content(data, position), 0, -1
        else:
            data, position = data[position:], 0
    if depth or start >= 0:
        yield Unfinished((oversized or data[max(start, 0) :])[:_EXCERPT])


_KEY_ROOM: Final = 256
_BEFORE: Final = 4096


def named_arrays(chunks: Iterable[bytes], name: str) -> Iterator[tuple[bytes, Iterator[bytes]]]:
    """Every array that is the value of a key `name`, with what stands before it (the last 4 KiB at most).

    An array comes as chunks for `elements`, to be read before the next one is asked for. They go on to the next such
    key, so arrays of that name must not lie in each other. Memory stays within a chunk.
    """
    key = re.compile(rb'"%s"\s{0,64}+:\s{0,64}+\[' % re.escape(name.encode()))
    source, data, before = iter(chunks), b"", b""

    def up_to_next() -> Iterator[bytes]:
        nonlocal data, before
        more: bytes | None = b""
        while more is not None:
            data += more
            found = key.search(data)
            end = found.start() if found else max(0, len(data) - _KEY_ROOM)
            piece, data = data[:end], data[end:]
            before = (before + piece)[-_BEFORE:]
            if piece:
                yield piece
            if found:
                return
            more = next(source, None)
        piece, data = data, b""
        if piece:
            yield piece

    for _ in up_to_next():
        pass
    while found := key.match(data):
        data = data[found.end() - 1 :]
        array = up_to_next()
        yield before, array
        for _ in array:
            pass


def _without_content(data: bytes, position: int) -> bytes:
    """What of `data` still matters once its content does not: an open string, and an open escape in it."""
    passed = _NO_BRACKET.match(data, position)
    rest = data[passed.end() if passed else position :]
    if not rest:
        return b""
    escapes = len(rest) - len(rest.rstrip(b"\\"))
    return b'"\\' if escapes % 2 else b'"'


_TOKEN: Final = re.compile(
    rb"""
    (?P<string>"(?:[^"\\]++|\\.)*+")
    | (?P<open>[\[{])
    | ,?\s*+(?P<close>[\]}])
    | (?P<no_number>-?(?:nan|inf(?:inity)?)\b | -?\d++(?:\.\d++)?[eE]\+?\d{3,}+ | -?\d{300,}+(?:\.\d*+)?)
    | \s++
    | .
    """,
    re.VERBOSE | re.IGNORECASE | re.DOTALL,
)
_DEEPEST: Final = 100


def lenient_json(line: bytes) -> Any:
    """The value in a line that is JSON but for `NaN`, infinities, trailing commas or absurd depth; None when it is not.

    pandas writes such lines. What is no number becomes null, and so does what lies deeper than anybody looks.
    """
    out: list[bytes] = []
    depth = 0
    for token in _TOKEN.finditer(line):
        if token["open"]:
            depth += 1
            if depth == _DEEPEST:
                out.append(b"null")
        if depth < _DEEPEST:
            out.append(b"null" if token["no_number"] else token["close"] or token[0])
        if token["close"]:
            depth -= 1
    try:
        return orjson.loads(b"".join(out))
    except orjson.JSONDecodeError:
        return None
