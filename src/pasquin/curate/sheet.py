"""Decisions as a spreadsheet (CSV), out and in again, as people curated in 2020.

Columns `text, account, decision` and, on the way out, `original, reason, curator, model, id`. A cell that a spreadsheet
program would take for a formula gets an apostrophe in front on the way out, and loses it on the way in.

Coming in, `text` and `decision` are needed. A row is found by its `id`, else by its text; with an id and another text
it is an edit. What cannot be taken is reported with its line, and the rest is stored.
"""

from __future__ import annotations

import csv
import io
import re
import secrets
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import wait
from dataclasses import dataclass, field
from typing import Any, Final

from pasquin.curate.cards import Card
from pasquin.curate.desk import Desk
from pasquin.curate.ledger import Entry, Verdict
from pasquin.errors import InputError
from pasquin.texts import normalise, text_key

COLUMNS: Final = ("text", "account", "decision", "original", "reason", "curator", "model", "id")
LARGEST_FILE: Final = 256 * 2**20
_FORMULA: Final = re.compile(r"'*[=+\-@\t\r\n＝＋－＠]")
_NEUTRALISED: Final = re.compile(r"'+[=+\-@\t\r\n＝＋－＠]")
_NAMES: Final[Mapping[str, tuple[str, ...]]] = {
    "text": ("text", "tweet", "tweets", "post"),
    "account": ("account", "handle", "user"),
    "decision": ("decision", "verdict", "keep", "status"),
    "reason": ("reason", "note"),
    "id": ("id", "candidate"),
}
_WORDS: Final[Mapping[str, Verdict | None]] = {
    **dict.fromkeys(("accept", "accepted", "keep", "yes", "y", "x", "1", "true", "good"), "accept"),
    **dict.fromkeys(("edit", "edited"), "edit"),
    **dict.fromkeys(("reject", "rejected", "no", "n", "0", "false", "bad"), "reject"),
    **dict.fromkeys(("skip", "skipped", "maybe", "later", "?"), "skip"),
    **dict.fromkeys(("", "open", "undecided"), None),
}
_LONGEST_RECORD: Final = 20_000
_MOST_LINES: Final = 60
_LONGEST_TEXT: Final = 3_000
_CHUNK: Final = 500


@dataclass(slots=True)
class Imported:
    """What became of a sheet: rows stored, the same as before, undecided, and the broken ones as (line, why)."""

    rows: int = 0
    stored: int = 0
    unchanged: int = 0
    undecided: int = 0
    broken: list[tuple[int, str]] = field(default_factory=list)

    def result(self) -> dict[str, Any]:
        """The same, to print."""
        broken = [{"line": line, "reason": reason} for line, reason in self.broken]
        return {
            "rows": self.rows,
            "stored": self.stored,
            "unchanged": self.unchanged,
            "undecided": self.undecided,
            "broken": broken,
        }


def neutral(cell: str) -> str:
    """A cell that no spreadsheet program takes for a formula."""
    return f"'{cell}" if _FORMULA.match(cell) else cell


def restored(cell: str) -> str:
    """A cell as it was before `neutral`."""
    return cell[1:] if _NEUTRALISED.match(cell) else cell


def write_sheet(desk: Desk, curators: Mapping[str, str]) -> bytes:
    """All candidates of the desk and what stands on them; `curators` are names by id."""
    lines = io.StringIO(newline="")
    writer = csv.writer(lines)
    writer.writerow(COLUMNS)
    for card in desk.all_cards():
        mark = card.standing
        edited = mark.text if mark and mark.decision == "edit" else None
        cells = (
            edited or card.text,
            card.account or "",
            mark.decision if mark else "",
            card.text if edited else "",
            (mark.reason or "") if mark else "",
            curators.get(mark.curator, "") if mark else "",
            card.model,
            card.id,
        )
        writer.writerow([neutral(cell) for cell in cells])
    return b"\xef\xbb\xbf" + lines.getvalue().encode("utf-8", "replace")


def read_sheet(desk: Desk, curator: str, content: bytes) -> Imported:
    """Store the decisions of a sheet as those of `curator`. The same sheet again changes nothing.

    Raises InputError when it is no sheet at all, StoreError when the database refuses.
    """
    if len(content) > LARGEST_FILE:
        raise InputError(f"The sheet is larger than {LARGEST_FILE // 2**20} MB. Split it, and import the parts.")
    text = _decoded(content)
    first = text.lstrip("\r\n").partition("\n")[0]
    delimiter = max(",;\t", key=first.count)
    records = _records(text, delimiter)
    columns = _header(next(records, None), delimiter)
    imported, entries = Imported(), []
    find = _Finder(desk)
    for line, record in records:
        imported.rows += 1
        try:
            row = _row(record, columns, delimiter)
            entry = _entry(find, row)
        except _BrokenError as exc:
            imported.broken.append((line, str(exc)))
            continue
        if entry is None:
            imported.undecided += 1
        elif _stands(desk, curator, entry):
            imported.unchanged += 1
        else:
            entries.append(entry)
    _store(desk, curator, entries, imported)
    return imported


class _BrokenError(Exception):
    """Why a row cannot be taken."""


def _decoded(content: bytes) -> str:
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16", "replace")
    return content.decode("utf-8-sig", "surrogateescape")


def _records(text: str, delimiter: str) -> Iterator[tuple[int, str]]:
    """Records with the number of their first line: lines joined until their quotes are closed.

    A quote that is never closed costs its own line and not the rest of the file.
    """
    lines = io.StringIO(text, newline=None).readlines()
    number = 0
    while number < len(lines):
        record, end, quotes = lines[number], number + 1, lines[number].count('"')
        while quotes % 2 and end < len(lines) and end - number < _MOST_LINES and len(record) < _LONGEST_RECORD:
            record += lines[end]
            quotes += lines[end].count('"')
            end += 1
        if quotes % 2 or (end - number > 1 and _cells(record, delimiter) is None):
            record, end = lines[number], number + 1
        if record.strip():
            yield number + 1, record
        number = end


def _cells(record: str, delimiter: str) -> list[str] | None:
    """The cells of a record, None where its quotes make no sense."""
    try:
        found = list(csv.reader(io.StringIO(record, newline=""), delimiter=delimiter, strict=True))
    except csv.Error:
        return None
    return found[0] if len(found) == 1 else None


def _header(first: tuple[int, str] | None, delimiter: str) -> dict[str, int]:
    """Where each column is. Raises InputError where those that are needed are missing."""
    cells = [cell.strip().lower() for cell in _cells(first[1] if first else "", delimiter) or []]
    found = {field: cells.index(name) for field, names in _NAMES.items() for name in reversed(names) if name in cells}
    if "text" not in found or "decision" not in found:
        raise InputError(
            "The sheet's first line must name its columns, among them `text` and `decision`. "
            "`pasquin curate --export sheet.csv` writes one that fits."
        )
    return found


def _row(record: str, columns: Mapping[str, int], delimiter: str) -> dict[str, str]:
    if len(record) > _LONGEST_RECORD:
        raise _BrokenError("the line is too long")
    cells = _cells(record, delimiter)
    if cells is None:
        raise _BrokenError("its quotes are not closed")
    if len(cells) <= max(columns["text"], columns["decision"]):
        raise _BrokenError("it has too few columns")
    row = {field: restored(cells[place]) if place < len(cells) else "" for field, place in columns.items()}
    if any("\udc80" <= letter <= "\udcff" for letter in record):
        raise _BrokenError("it is not UTF-8")
    if "\0" in record:
        raise _BrokenError("it has a NUL character")
    return row


class _Finder:
    """Finds the candidate a row is about."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._by_text: dict[str, list[Card]] = {}
        for card in desk.all_cards():
            self._by_text.setdefault(text_key(card.text), []).append(card)

    def card(self, row: Mapping[str, str]) -> Card:
        if row.get("id"):
            card = self._desk.card(row["id"].strip())
            if card is None:
                raise _BrokenError("there is no candidate with this id")
            return card
        found = self._by_text.get(text_key(normalise(row["text"])), [])
        account = row.get("account", "").strip().lstrip("@")
        if account and len(found) > 1:
            found = [card for card in found if card.account == account] or found
        if not found:
            raise _BrokenError("no candidate has this text")
        return found[0]


def _entry(find: _Finder, row: Mapping[str, str]) -> Entry | None:
    """The decision of a row, None where there is none. Raises _BrokenError."""
    word = row["decision"].strip().lower()
    if word not in _WORDS:
        raise _BrokenError(f"`{normalise(row['decision'])[:30]}` is no decision")
    text = normalise(row["text"])
    if not text:
        raise _BrokenError("it has no text")
    if len(text) > _LONGEST_TEXT:
        raise _BrokenError("its text is too long")
    card = find.card(row)
    decision = _WORDS[word]
    if decision is None:
        return None
    if decision in ("accept", "edit"):
        decision = "edit" if row.get("id") and text != card.text else "accept"
    return Entry(
        key=f"sheet-{secrets.token_hex(16)}",
        candidate=card.id,
        decision=decision,
        text=text if decision == "edit" else None,
        reason=normalise(row.get("reason", ""))[:200] or None,
        via="sheet",
    )


def _stands(desk: Desk, curator: str, entry: Entry) -> bool:
    """Whether the curator's decision on it is that one already, or (an import of an export) what stands anyway."""
    card = desk.card(entry.candidate)
    marks = (card.mark_of(curator), card.standing) if card else ()
    return any(mark is not None and (mark.decision, mark.text) == (entry.decision, entry.text) for mark in marks)


def _store(desk: Desk, curator: str, entries: Sequence[Entry], imported: Imported) -> None:
    written = [desk.record(curator, entries[start : start + _CHUNK]) for start in range(0, len(entries), _CHUNK)]
    wait(written)
    for done in written:
        outcomes = done.result()
        imported.stored += outcomes.count("stored")
        imported.unchanged += len(outcomes) - outcomes.count("stored")
