"""Which kind of file a path without a scheme is, where that is plain to see."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import orjson

from pasquin.config import CollectSettings
from pasquin.errors import UsageError
from pasquin.networks.files.reading import ZIP_DAMAGE, InputFile, find_files, plain_suffix
from pasquin.networks.files.remote import is_url

_SUFFIXES: Final = {".zip": "x-archive", ".csv": "csv", ".parquet": "parquet", ".car": "bluesky-archive"}
_LOOK: Final = 64 * 2**10
_OUTBOX: Final = "outbox.json"
_MARKS: Final = (
    ("bluesky-archive", re.compile(rb'"\$type"\s{0,9}:\s{0,9}"app\.bsky\.feed\.')),
    (
        "mastodon-archive",
        re.compile(rb'"orderedItems"\s{0,9}:|"(?:id|type)"\s{0,9}:\s{0,9}"(?:outbox.json|OrderedCollection)"'),
    ),
    ("telegram", re.compile(rb'"type"\s{0,9}:\s{0,9}"(?:\w{0,20}_(?:chat|group|supergroup|channel)|saved_messages)"')),
    ("x-archive", re.compile(rb"\A\s{0,9}(?:window\.YTD\.|Grailbird\.data\.tweets_)")),
    ("discord", re.compile(rb'\A\s{0,9}\{\s{0,9}"guild"\s{0,9}:')),
    ("reddit", re.compile(rb'"kind"\s{0,9}:\s{0,9}"(?:Listing|t[13])"')),
    (
        "feed",
        re.compile(
            rb'\A\s{0,9}(?:<\?xml|<rss\b|<feed\b|<rdf:RDF\b)|"version"\s{0,9}:\s{0,9}"https://jsonfeed\.org/version/'
        ),
    ),
    (
        "whatsapp",
        re.compile(rb"\A(?:\xe2\x80\x8e)?\[?\d{1,4}[/.-]\d{1,2}[/.-]\d{1,4},? \d{1,2}[:.]\d{2}[^\n]{0,16}?(?:\] | - )"),
    ),
)
"""What exports begin with that nothing else does; the first that fits."""

_X_ANSWERS: Final = (
    (b'"author_id"', b'"public_metrics"'),
    (b'"author_id"', b'"edit_history_tweet_ids"'),
    (b'"author_id"', b'"includes"'),
    (b'"screen_name"', b'"id_str"', b'"retweet_count"'),
    (b'"tweet_results"',),
    (b'"TimelineTimelineItem"',),
)
"""Names that only stand together in what X's API and pages answer, whose content may not be learned from as it is."""


def guess_source(pattern: str, settings: CollectSettings) -> str:
    """The name of the source that reads `pattern` (a path, directory or pattern), seen from suffix and first lines.

    Raises UsageError saying what to write when that is not plain, InputError when there is no such file.
    """
    if is_url(pattern):
        return _from_address(pattern)
    path = Path(pattern).expanduser()
    if (path / "data").is_dir():
        return "x-archive"
    if (path / _OUTBOX).is_file():
        return "mastodon-archive"
    first = find_files(pattern, ("", ".jsonl", ".json", ".ndjson", ".txt", *_SUFFIXES))[0]
    if first.name.endswith((".tar.gz", ".tgz", ".tar")) or _is_mastodon_zip(first):
        return "mastodon-archive"
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


def _is_mastodon_zip(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.rpartition("/")[2] == _OUTBOX for name in archive.namelist())
    except (*ZIP_DAMAGE, OSError):
        return False


def _from_address(url: str) -> str:
    kinds = {".csv": "csv", ".tsv": "csv", ".parquet": "parquet", ".jsonl": "jsonl", ".ndjson": "jsonl"}
    kind = kinds.get(plain_suffix(Path(urlsplit(url).path)))
    if kind is None:
        raise UsageError(
            f"What {url.partition('?')[0][:200]} is cannot be told. "
            "Say it in front: feed:, csv:, jsonl: or parquet: and the address."
        )
    return kind


def _from_content(start: bytes, settings: CollectSettings) -> str | None:
    lines = [line.rstrip() for line in start.split(b"\n")]
    if lines[0].startswith((b"{", b"[")):
        try:
            record = orjson.loads(lines[0])
        except orjson.JSONDecodeError:
            record = None
        known = _from_record(record) if isinstance(record, dict) else None
        if known is not None:
            return known
        if any(all(name in start for name in names) for names in _X_ANSWERS):
            return "x-api-file"
    for name, mark in _MARKS:
        if mark.search(start):
            return name
    if lines[0].startswith((b"{", b"[")):
        return "jsonl"
    if settings.delimiter.encode() in lines:
        return "text"
    return "fortune" if b"%" in lines else None


def _from_record(record: Mapping[str, Any]) -> str | None:
    """Which tool wrote a line of JSON."""
    if "tweet" in record and ("link" in record or "conversation_id" in record):
        return "twint"
    if "user" in record and ("rawContent" in record or str(record.get("_type")).startswith("snscrape.")):
        return "twscrape" if "id_str" in record else "snscrape"
    return "gallery-dl" if "tweet_id" in record and "content" in record else None
