"""JSON as exports hold it: an array, an object a line, or one object over many lines; and whose posts are wanted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

import orjson

from pasquin.config import CollectSettings
from pasquin.networks import Quarantined
from pasquin.networks.files.reading import InputFile
from pasquin.networks.files.tables import json_records
from pasquin.networks.json_stream import Oversized, Unfinished, elements, lenient_json

OTHERS: Final = "by somebody else"


def documents(file: InputFile, settings: CollectSettings) -> Iterator[tuple[int, Any] | Quarantined]:
    """The numbered JSON values of a file.

    What is no JSON comes out quarantined. Of an object over many lines that is damaged, the elements of its first
    array still come, as far as they are whole.
    """
    first = next(InputFile(file.path).chunks(), b"").lstrip()
    if first.startswith(b"{") and first.partition(b"\n")[0].rstrip()[-1:] in (b"{", b"[", b","):
        yield from _one_document(file, settings)
        return
    for number, found in json_records(file, settings):
        if isinstance(found, Quarantined):
            yield found
        else:
            yield parsed(file, number, found)


def _one_document(file: InputFile, settings: CollectSettings) -> Iterator[tuple[int, Any] | Quarantined]:
    content = bytearray()
    for chunk in file.chunks():
        content += chunk
        if len(content) > settings.max_line_bytes:
            yield file.quarantine(1, f"the object is longer than {settings.max_line_bytes:,} bytes", bytes(content))
            return
    try:
        yield 1, orjson.loads(content)
    except orjson.JSONDecodeError:
        yield from array_items(file, [bytes(content)], settings)


def array_items(
    file: InputFile, chunks: Iterable[bytes], settings: CollectSettings
) -> Iterator[tuple[int, Any] | Quarantined]:
    """The numbered values of the first array in `chunks`; what is damaged comes out quarantined."""
    for number, found in enumerate(elements(chunks, settings.max_line_bytes), 1):
        if isinstance(found, Oversized):
            yield file.quarantine(number, f"the element is longer than {settings.max_line_bytes:,} bytes", found)
        elif isinstance(found, Unfinished):
            yield file.quarantine(number, "the file is cut off here", found)
        else:
            yield parsed(file, number, found)


def parsed(file: InputFile, number: int, raw: bytes) -> tuple[int, Any] | Quarantined:
    """One JSON value, or why it is none. What pandas writes for a missing value (`NaN`) is allowed for."""
    try:
        return number, orjson.loads(raw)
    except orjson.JSONDecodeError as exc:
        if (value := lenient_json(raw)) is not None:
            return number, value
        return file.quarantine(number, f"it is not JSON: {exc.msg}", raw)


def is_wanted(settings: CollectSettings, *names: str | None) -> bool:
    """Whether one of an author's `names` (id, handle, display name) is the chosen account; true where none is."""
    if settings.account is None:
        return True
    wanted = settings.account.removeprefix("@").casefold()
    return any(name is not None and name.removeprefix("@").casefold() == wanted for name in names)
