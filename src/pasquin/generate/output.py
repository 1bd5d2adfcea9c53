"""Files of candidates: `.txt` with delimiter lines, `.csv` for spreadsheets, `.jsonl` with everything."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

from pasquin.errors import UsageError, disk_errors
from pasquin.workspace import Workspace
from pasquin.workspace.files import write_atomically

DELIMITER: Final = "=" * 20
"""The line behind every text of a .txt file, as gpt-2-simple wrote it."""
COLUMNS: Final = ("text", "account", "novelty", "similarity", "longest_run", "nearest_uri", "seed", "position", "id")
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


def output_path(workspace: Workspace, model: str, given: Path | None, now: datetime) -> Path:
    """Where the candidates go: `given`, or `generated/<model>_<date>_<time>.txt` in the workspace (local time).

    Raises UsageError, before any work, for a name whose ending is none of the three or a place one cannot write to.
    """
    if given is None:
        return workspace.root / "generated" / f"{model}_{now:%Y%m%d_%H%M%S}.txt"
    if given.suffix.lower() not in _WRITERS:
        raise UsageError(f"`{given}` must end in .txt, .csv or .jsonl: the ending says what is written.")
    folder = given.absolute().parent
    if given.is_dir() or not folder.is_dir() or not os.access(folder, os.W_OK):
        raise UsageError(f"`{given}` cannot be written: make the folder {folder}, or choose another place.")
    return given


def write_output(path: Path, candidates: Sequence[Mapping[str, object]]) -> None:
    """Write rows of the table `candidates` in the format `path` ends in, whole or not at all.

    Raises ResourceError on a full disk, WorkspaceError when the place cannot be written.
    """
    with disk_errors(f"write {path}"):
        write_atomically(path, _WRITERS[path.suffix.lower()](candidates))


def add_rejected(path: Path, rejected: Sequence[Mapping[str, object]]) -> None:
    """Add rejected completions to a file of JSON lines. Raises ResourceError on a full disk."""
    if not rejected:
        return
    with disk_errors(f"write {path}"):
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as file:
            file.write("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rejected))


def _text(candidates: Sequence[Mapping[str, object]]) -> str:
    return "".join(f"{candidate['text']}\n{DELIMITER}\n" for candidate in candidates)


def _csv(candidates: Sequence[Mapping[str, object]]) -> str:
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer)
    writer.writerow(COLUMNS)
    writer.writerows([_cell(candidate[column]) for column in COLUMNS] for candidate in candidates)
    return buffer.getvalue()


def _cell(value: object) -> object:
    """A value that no spreadsheet takes for a formula: an apostrophe in front keeps a text a text."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def _jsonl(candidates: Sequence[Mapping[str, object]]) -> str:
    return "".join(json.dumps(candidate, ensure_ascii=False, default=str) + "\n" for candidate in map(dict, candidates))


_WRITERS: Final = {".txt": _text, ".csv": _csv, ".jsonl": _jsonl}
