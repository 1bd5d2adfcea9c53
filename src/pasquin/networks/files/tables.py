"""Rows of CSV, JSON lines and Parquet as posts, by a mapping from a post's fields to columns.

Without a mapping the usual names are tried, and a table with a single column is taken to hold the texts.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, Final

import orjson

from pasquin.config import CollectSettings
from pasquin.errors import InputError, UsageError
from pasquin.networks import Quarantined
from pasquin.networks.files.reading import InputFile, Reading, decoded, stem
from pasquin.networks.files.texts import file_uri
from pasquin.networks.json_stream import Oversized, Unfinished, elements
from pasquin.networks.values import text_problem, to_count, to_flag, to_name, to_time, without_nul
from pasquin.records import Post
from pasquin.workspace.shards import glob_literal

USUAL_NAMES: Final[Mapping[str, tuple[str, ...]]] = {
    "text": ("text", "tweet", "tweets", "full_text", "content", "rawContent", "body", "post", "message"),
    "account": ("account", "author", "username", "screen_name", "handle", "user.username", "user.screen_name"),
    "created_at": ("created_at", "createdAt", "date", "datetime", "timestamp", "time"),
    "lang": ("lang", "language"),
    "reply_to": ("reply_to", "in_reply_to_status_id", "inReplyToTweetId", "in_reply_to_id"),
    "is_repost": ("is_repost", "retweet"),
    "likes": ("likes", "likes_count", "favorite_count", "likeCount", "favourites_count"),
    "reposts": ("reposts", "retweets_count", "retweet_count", "retweetCount", "reblogs_count"),
    "url": ("url", "link", "permalink"),
}
"""Names under which tables usually keep the fields of a post, tried in this order."""
FIELDS: Final = ("uri", "handle", *USUAL_NAMES)

_DELIMITERS: Final = (",", ";", "\t", "|")
_BATCH: Final = 2_000


Get = Callable[[str], object]
"""Looks up a column or dotted key in the row at hand."""


class RowReader:
    """Turns rows of one file into posts."""

    def __init__(self, file: InputFile, settings: CollectSettings, columns: Sequence[str] | None) -> None:
        """`columns` are the names the table has; None where every row has its own (JSON lines).

        Raises UsageError for a field that posts do not have, InputError for a column that the table does not have.
        """
        unknown = sorted(set(settings.columns) - set(FIELDS))
        if unknown:
            raise UsageError(f"Posts have no field `{unknown[0]}` to fill; there are {', '.join(FIELDS)}.")
        self.account = settings.account or stem(file.path)
        self.account_given = settings.account is not None and "account" not in settings.columns
        self.places: dict[str, tuple[str, ...]] = {name: (settings.columns[name],) for name in settings.columns}
        for name, usual in USUAL_NAMES.items():
            self.places.setdefault(name, usual)
        if columns is not None:
            self._choose(file, settings, list(columns))

    def _choose(self, file: InputFile, settings: CollectSettings, columns: list[str]) -> None:
        there = ", ".join(columns[:20])
        for name, column in settings.columns.items():
            if column not in columns:
                raise InputError(f"{file.name} has no column `{column}` for the {name}; its columns are {there}.")
        if len(columns) == 1 and "text" not in settings.columns:
            self.places["text"] = (columns[0],)
        self.places = {
            name: tuple(place for place in places if place in columns)[:1] for name, places in self.places.items()
        }
        if not self.places["text"]:
            raise InputError(
                f"{file.name} has no column that is known to hold texts; its columns are {there}. "
                "Say which with `--map text=NAME`."
            )

    def post(self, get: Get) -> Post | str:
        """The post in a row, or why it is none (an empty text: the reason begins with "empty")."""
        text = self._first("text", get)
        if problem := text_problem(text):
            return problem
        text = without_nul(str(text))
        named = None if self.account_given else to_name(self._first("account", get))
        account = named or self.account
        uri = to_name(self._first("uri", get)) if "uri" in self.places else None
        if uri is not None and ":" not in uri:
            uri = f"file:{account}/{uri}"
        return Post(
            uri=uri or file_uri(account, text),
            network="files",
            account=account,
            handle=(to_name(self._first("handle", get)) if "handle" in self.places else None) or account,
            text=text,
            created_at=to_time(self._first("created_at", get)),
            lang=to_name(self._first("lang", get)),
            reply_to=to_name(self._first("reply_to", get)),
            is_repost=to_flag(self._first("is_repost", get)),
            likes=to_count(self._first("likes", get)),
            reposts=to_count(self._first("reposts", get)),
            url=to_name(self._first("url", get)),
        )

    def _first(self, name: str, get: Get) -> object:
        for place in self.places[name]:
            if (value := get(place)) is not None:
                return value
        return None


def read_jsonl(file: InputFile, settings: CollectSettings) -> Iterator[Reading]:
    """The posts in JSON lines, or in a file that is one JSON array of objects."""
    rows = RowReader(file, settings, None)
    for number, found in json_records(file, settings):
        if isinstance(found, Quarantined):
            yield found
            continue
        try:
            record = orjson.loads(found)
        except orjson.JSONDecodeError as exc:
            yield file.quarantine(number, f"it is not JSON: {exc.msg}", found)
            continue
        if not isinstance(record, dict):
            yield file.quarantine(number, "it is no JSON object", found)
            continue
        post = rows.post(lambda place, record=record: _inside(record, place))  # type: ignore[misc]
        yield post if isinstance(post, Post) else file.quarantine(number, post, found)


def json_records(file: InputFile, settings: CollectSettings) -> Iterator[tuple[int, bytes | Quarantined]]:
    """Numbered raw objects: elements of an array when the file begins with one, else lines."""
    chunks = InputFile(file.path).chunks()
    if not next(chunks, b"").lstrip().startswith(b"["):
        for item in file.lines(settings.max_line_bytes):
            if not isinstance(item, tuple):
                yield 0, item
            elif item[1].strip():
                yield item
        return
    for number, element in enumerate(elements(file.chunks(), settings.max_line_bytes), 1):
        if isinstance(element, Oversized):
            reason = f"the element is longer than {settings.max_line_bytes:,} bytes"
            yield number, file.quarantine(number, reason, element)
        elif isinstance(element, Unfinished):
            yield number, file.quarantine(number, "the array is cut off here", element)
        else:
            yield number, element


def _inside(record: Mapping[str, Any], place: str) -> object:
    if place in record:
        return record[place]
    value: object = record
    for key in place.split("."):
        if not isinstance(value, Mapping):
            return None
        value = value.get(key)
    return value


def read_csv(file: InputFile, settings: CollectSettings) -> Iterator[Reading]:
    """The posts in a CSV file with a header line; the delimiter is seen from the header.

    Raises InputError when the column that should hold the texts is not there.
    """
    unreadable: list[Quarantined] = []
    lines = _text_lines(file, settings, unreadable)
    header = next(lines, "")
    while not header.strip() and not unreadable and (header := next(lines, "")):
        continue
    delimiter = max(_DELIMITERS, key=header.count)
    records = csv.reader(chain([header], lines), delimiter=delimiter)
    try:
        columns = [name.strip() for name in next(records, [])]
    except csv.Error as exc:
        raise InputError(f"{file.name} does not begin with the header line of a CSV file ({exc}).") from exc
    rows = RowReader(file, settings, columns)
    index = {name: position for position, name in reversed(list(enumerate(columns)))}
    while True:
        reading = _csv_post(file, records, rows, index)
        yield from unreadable
        unreadable.clear()
        if reading is None:
            return
        if not file.damage:  # set only when the record ran into the end: then it is not whole
            yield reading


def _csv_post(file: InputFile, records: Any, rows: RowReader, index: Mapping[str, int]) -> Reading | None:
    """The next record of a CSV file as a reading, None at the end."""
    try:
        row: list[str] = next(records)
    except StopIteration:
        return None
    except csv.Error as exc:
        return file.quarantine(records.line_num, f"it is no CSV record ({exc})")
    if not any(row):
        return "empty"
    post = rows.post(lambda place: row[index[place]] if index[place] < len(row) else None)
    return post if isinstance(post, Post) else file.quarantine(records.line_num, post, str(row))


def _text_lines(file: InputFile, settings: CollectSettings, unreadable: list[Quarantined]) -> Iterator[str]:
    """Decoded lines with their ends, as the csv module wants them; what cannot be decoded goes to `unreadable`."""
    for item in file.lines(settings.max_line_bytes):
        if not isinstance(item, tuple):
            unreadable.append(item)
            continue
        try:
            yield decoded(item[1]) + "\n"
        except ValueError as exc:
            unreadable.append(file.quarantine(item[0], str(exc), item[1]))


def read_parquet(file: InputFile, settings: CollectSettings) -> Iterator[Reading]:
    """The posts in a Parquet file.

    Raises InputError when it is none, or has no column for the texts.
    """
    import duckdb

    try:
        with duckdb.connect() as database:
            database.execute("SET TimeZone = 'UTC'")
            path = glob_literal(file.path)
            columns = [
                row[0]
                for row in database.execute(
                    "DESCRIBE SELECT * FROM read_parquet(?, hive_partitioning = true)", [path]
                ).fetchall()
            ]
            rows = RowReader(file, settings, columns)
            wanted = sorted({place for places in rows.places.values() for place in places})
            names = ", ".join('"' + name.replace('"', '""') + '"' for name in wanted)
            index = {name: position for position, name in enumerate(wanted)}
            database.execute(f"SELECT {names} FROM read_parquet(?, hive_partitioning = true)", [path])
            number = 0
            while batch := database.fetchmany(_BATCH):
                for row in batch:
                    number += 1
                    post = rows.post(lambda place, row=row: row[index[place]])  # type: ignore[misc]
                    yield post if isinstance(post, Post) else file.quarantine(number, post, str(row))
    except duckdb.Error as exc:
        reason = str(exc).splitlines()[0]
        raise InputError(f"{file.name} is no Parquet file that can be read ({reason}). Export it again.") from exc
