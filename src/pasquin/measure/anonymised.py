"""The guesses as a table for others: CSV or Parquet, with a codebook that says what each column is.

Nothing in it leads back to a person: players and items are numbers drawn anew for every export, times are whole days
since the first guess, and no text, cookie or address is there. Guesses left out by the rules are in it, marked.
"""

from __future__ import annotations

import csv
import secrets
from pathlib import Path
from typing import Final

import numpy as np

from pasquin.config import MeasureSettings
from pasquin.counts import counted
from pasquin.errors import UsageError, disk_errors
from pasquin.measure.arrays import Codes, Guesses
from pasquin.measure.exclusions import Rule, rules

_COLUMNS: Final = {
    "player": ("INTEGER", "a number for the player, drawn anew for every export"),
    "trial": ("INTEGER", "the how-many-eth guess of the player, from 1"),
    "day": ("INTEGER", "days since the first guess of the export"),
    "item": ("INTEGER", "a number for the text, drawn anew for every export"),
    "origin": ("VARCHAR", "what the text was: human or model"),
    "model": ("VARCHAR", "the model that wrote it; empty for human items"),
    "arm": (
        "VARCHAR",
        "what curators made of it: screened (nothing yet), curated, edited or rejected; empty for human",
    ),
    "category": ("VARCHAR", "the category it was played in"),
    "guess": ("VARCHAR", "what the player said: human or model"),
    "correct": ("INTEGER", "1 when guess and origin agree, else 0"),
    "response_ms": ("INTEGER", "time to answer in milliseconds, the shorter of the browser's and the server's"),
    "excluded": ("VARCHAR", "the rules that leave the guess out of the figures, separated by +; empty when it counts"),
    "mode": ("VARCHAR", "the game's mode; in pair, two rows are one choice"),
    "confidence": ("VARCHAR", "how sure the player was; empty when not said"),
    "drawn": (
        "VARCHAR",
        "how the text was chosen: evenly, or by_difficulty, which is no fair sample: leave those out of rates",
    ),
}


def check_kind(path: Path) -> None:
    """Raises UsageError unless `path` ends in .csv or .parquet."""
    if path.suffix.lower() not in (".csv", ".parquet"):
        raise UsageError(f"`{path.name}` must end in .csv or .parquet. Give --export another name.")


def write_export(path: Path, guesses: Guesses, settings: MeasureSettings) -> None:
    """Write `guesses` to `path` and the codebook to the same name with `.codebook.md`.

    Raises UsageError for another kind of file, WorkspaceError or ResourceError when it cannot be written.
    """
    check_kind(path)
    found = rules(guesses, settings)
    table = _columns(guesses, found)
    parquet = path.suffix.lower() == ".parquet"
    plain = path.with_name(path.name + ".part") if parquet else path
    with disk_errors(f"write {path}"):
        try:
            _write_csv(plain, table)
            if parquet:
                _to_parquet(plain, path, list(table))
        finally:
            if parquet:
                plain.unlink(missing_ok=True)
        book = _codebook(path.name, guesses, found, list(table))
        path.with_suffix(".codebook.md").write_text(book, encoding="utf-8")


def _columns(guesses: Guesses, found: list[Rule]) -> dict[str, list[object]]:
    """Columns in the order of the (shuffled) players, each player's guesses in the order they were made."""
    player, item = _shuffled(guesses.player), _shuffled(guesses.item)
    order = np.lexsort((guesses.trial, player))
    origin = np.where(guesses.from_model, "model", "human")
    excluded = ["+".join(rule.name for rule in found if rule.excluded[at]) for at in order.tolist()]
    columns: dict[str, list[object]] = {
        "player": player[order].tolist(),
        "trial": guesses.trial[order].tolist(),
        "day": (guesses.day - guesses.day.min(initial=2**62))[order].tolist(),
        "item": item[order].tolist(),
        "origin": origin[order].tolist(),
        "model": _named(guesses.model[order], guesses.models),
        "arm": _named(guesses.arm[order], guesses.arms),
        "category": _named(guesses.category[order], guesses.categories),
        "guess": np.where(guesses.judged_model, "model", "human")[order].tolist(),
        "correct": guesses.correct[order].astype(int).tolist(),
        "response_ms": guesses.response_ms[order].tolist(),
        "excluded": list(excluded),
    }
    if guesses.mode is not None:
        columns["mode"] = _named(guesses.mode[order], guesses.modes)
    if guesses.confidence is not None:
        columns["confidence"] = _named(guesses.confidence[order], guesses.confidences)
    if guesses.by_difficulty is not None:
        columns["drawn"] = np.where(guesses.by_difficulty, "by_difficulty", "evenly")[order].tolist()
    return columns


def _shuffled(code: Codes) -> Codes:
    """The same codes as numbers from 1 in an order nobody can know."""
    size = int(code.max()) + 1 if len(code) else 0
    numbers = np.random.Generator(np.random.PCG64(secrets.randbits(128))).permutation(size) + 1
    return np.asarray(numbers[code], dtype=np.int64)


def _named(code: Codes, names: tuple[str, ...]) -> list[object]:
    return [names[at] if at >= 0 else "" for at in code.tolist()]


def _write_csv(path: Path, table: dict[str, list[object]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(table)
        rows = zip(
            *(map(_harmless, values) if values and isinstance(values[0], str) else values for values in table.values()),
            strict=True,
        )
        writer.writerows(rows)


def _harmless(value: object) -> object:
    """A text that spreadsheets would take for a formula, with an apostrophe before it."""
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r") else value


def _to_parquet(plain: Path, path: Path, names: list[str]) -> None:
    import duckdb

    types = ", ".join(f"'{name}': '{_COLUMNS[name][0]}'" for name in names)
    source, target = (str(file).replace("'", "''") for file in (plain, path))
    with duckdb.connect() as connection:
        try:
            connection.execute(
                f"COPY (SELECT * FROM read_csv('{source}', header = true, columns = {{{types}}}, quote = '\"')) "
                f"TO '{target}' (FORMAT parquet, COMPRESSION zstd)"
            )
        except duckdb.IOException as exc:
            raise OSError(str(exc).splitlines()[0]) from exc


def _codebook(name: str, guesses: Guesses, found: list[Rule], columns: list[str]) -> str:
    lines = [
        f"# Codebook of {name}",
        "",
        f"{counted(len(guesses), 'guess', 'guesses')} of {counted(guesses.players, 'player')} in “human or AI?”, "
        "one row each, made by Pasquin.",
        "",
        "| column | type | |",
        "|---|---|---|",
        *(f"| `{column}` | {_COLUMNS[column][0].lower()} | {_COLUMNS[column][1]} |" for column in columns),
        "",
        "## Rules of exclusion",
        "",
        "| rule | guesses | leaves out guesses |",
        "|---|---|---|",
        *(f"| `{rule.name}` | {int(rule.excluded.sum()):,} | {rule.words} |" for rule in found),
        "",
        "No text, name, address or time of day is in the file. Players agreed to their guesses being stored under a "
        "random number; do not try to find out who they are.",
        "",
    ]
    return "\n".join(lines)
