"""Which kind of file a path without a scheme is, where that is plain to see."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import orjson

from pasquin.config import CollectSettings
from pasquin.errors import UsageError
from pasquin.networks.files.reading import InputFile, find_files, plain_suffix

_SUFFIXES: Final = {".zip": "x-archive", ".csv": "csv", ".parquet": "parquet"}
_LOOK: Final = 64 * 2**10


def guess_source(pattern: str, settings: CollectSettings) -> str:
    """The name of the source that reads `pattern` (a path, directory or pattern), seen from suffix and first lines.

    Raises UsageError saying what to write when that is not plain, InputError when there is no such file.
    """
    path = Path(pattern).expanduser()
    if (path / "data").is_dir():
        return "x-archive"
    first = find_files(pattern, ("", ".jsonl", ".json", ".ndjson", ".txt", *_SUFFIXES))[0]
    known = _SUFFIXES.get(plain_suffix(first))
    if known is not None:
        return known
    start = next(InputFile(first).chunks(), b"")[:_LOOK]
    guess = _from_content(start, settings)
    if guess is None:
        raise UsageError(
            f"What kind of file {first} is cannot be told. Say it in front of the path: twint:{pattern}, "
            f"jsonl:{pattern}, csv:{pattern} or text:{pattern}."
        )
    return guess


def _from_content(start: bytes, settings: CollectSettings) -> str | None:
    lines = [line.rstrip() for line in start.split(b"\n")]
    if lines[0].startswith((b"{", b"[")):
        try:
            record = orjson.loads(lines[0])
        except orjson.JSONDecodeError:
            record = None
        is_twint = isinstance(record, dict) and "tweet" in record and ("link" in record or "conversation_id" in record)
        return "twint" if is_twint else "jsonl"
    if settings.delimiter.encode() in lines:
        return "text"
    return "fortune" if b"%" in lines else None
