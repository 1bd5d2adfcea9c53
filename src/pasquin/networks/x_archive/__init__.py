"""The archive that X (Twitter) gives an account's owner: a zip, the directory it was unpacked to, or one of its files.

All generations are read: `data/tweets.js` (with `tweets-part1.js` …), `data/tweet.js` (2018-2022, at first without
the `{"tweet": …}` around each item), and the monthly `data/js/tweets/2013_01.js` of before ("Grailbird"), or its CSV
where that is all there is. Long posts are cut in `tweets.js`; their full text is joined in from `note-tweet.js`, by
second and beginning, as nothing else says which belongs to which. A long text without its tweet has no identity, and
may have been deleted: it is counted and not read.

What `deleted-tweets.js` names is never taken, and goes where it was collected before. Posts in communities are counted,
direct messages never opened. Short links are written out; each post has the handle that its author had then.

Nothing is ever unpacked to the disk, and memory stays within a post and a chunk. A zip that is damaged or looks made
to do harm is refused before anything is read from it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final

from pasquin.config import CollectSettings
from pasquin.errors import InputError
from pasquin.networks import Quarantined
from pasquin.networks.files import FileSource
from pasquin.networks.files.reading import EXCERPT, Deleted, InputFile, Reading
from pasquin.networks.json_stream import elements
from pasquin.networks.values import to_name, x_uri
from pasquin.networks.x_archive.tweets import (
    READ,
    notes_of,
    objects_in,
    owner_of,
    table_rows,
    tweet_in,
    tweet_post,
    with_note,
)
from pasquin.networks.x_archive.zips import Archive, find_archives, opened
from pasquin.networks.x_status import x_id

_TWEETS: Final = re.compile(r"(?:.*/)?data/(?:tweets?(?:-part\d+)?|js/tweets/\d{4}_\d{2})\.js")
_TABLES: Final = re.compile(r"(?:.*/)?(?:data/csv/\d{4}_\d{2}|tweets)\.csv")
_DELETED: Final = re.compile(r"(?:.*/)?data/deleted-tweets?(?:-part\d+)?\.js")
_COMMUNITY: Final = re.compile(r"(?:.*/)?data/community-tweet(?:-part\d+)?\.js")
_MANIFEST: Final = re.compile(r"(?:.*/)?data/manifest\.js")


def x_archive(settings: CollectSettings) -> FileSource:
    """The owner's X archive."""
    return FileSource(settings, find_archives, read_x_archive)


def read_x_archive(file: InputFile, settings: CollectSettings) -> Iterator[Reading]:
    """The posts of one archive.

    Raises InputError, before the first post, when it is damaged, hostile or no X archive.
    """
    with opened(file, (_TWEETS, _TABLES, _DELETED, _COMMUNITY, *READ)) as archive:
        if not archive.matching(_TWEETS) and not archive.matching(_TABLES):
            nested = next((name for name in archive.names if name.lower().endswith(".zip")), None)
            advice = f"It holds another zip, {nested}: unpack that one." if nested else "Is it the right file?"
            raise InputError(f"{file.name} is no X archive: it has no data/tweets.js. {advice}")
        yield from _missing_parts(archive, file)
        gone: set[str] = set()
        for _, record, _ in _records(archive, _DELETED, file, settings):
            if isinstance(record, dict) and (id := x_id(record.get("id_str"))) and x_uri(id) not in gone:
                gone.add(x_uri(id))
                yield Deleted(x_uri(id))
        yield from _posts(archive, file, settings, gone)
        for _ in _records(archive, _COMMUNITY, file, settings):
            yield "in a community"


def _posts(archive: Archive, file: InputFile, settings: CollectSettings, gone: set[str]) -> Iterator[Reading]:
    """The posts in the files of tweets, or in the tables where there are no others, without those in `gone`."""
    owner, notes = owner_of(archive, file, settings), notes_of(archive, file, settings)
    seen: set[str] = set()
    wanted = _TWEETS if archive.matching(_TWEETS) else _TABLES
    for where, record, excerpt in _records(archive, wanted, file, settings):
        reading = record if isinstance(record, str) else tweet_post(record, owner)
        if isinstance(reading, str):
            yield replace(file.quarantine(None, reading, excerpt), where=f"{file.name}!{where}")
        elif reading.uri in gone:
            continue  # counted with the deleted
        elif reading.uri in seen:
            yield "twice in the archive"
        else:
            seen.add(reading.uri)
            cut = record.get("full_text", record.get("text")) if isinstance(record, dict) else None
            yield with_note(reading, str(cut), notes)
    for text in (text for group in notes.values() for text in group.values()):
        if text is not None:
            yield "long post without its tweet"


def _records(
    archive: Archive, pattern: re.Pattern[str], file: InputFile, settings: CollectSettings
) -> Iterator[tuple[str, dict[str, Any] | str, bytes]]:
    """The tweets in the files that `pattern` means (or why one is none), with where they stand and how they begin."""
    for name in archive.matching(pattern):
        chunks = archive.chunks(name, file)
        if name.endswith(".csv"):
            for number, row in enumerate(table_rows(chunks, settings.max_line_bytes), 2):
                yield f"{name}:{number}", row, str(row)[:EXCERPT].encode("utf-8", "backslashreplace")
        else:
            for number, found in enumerate(elements(chunks, settings.max_line_bytes), 1):
                yield f"{name}:{number}", tweet_in(found, settings), found[:EXCERPT]


def _missing_parts(archive: Archive, file: InputFile) -> Iterator[Quarantined]:
    """Files of tweets that the archive's manifest lists and the archive lacks: not all of it was downloaded."""
    for name in archive.matching(_MANIFEST):
        top = name.removesuffix("data/manifest.js")
        for place in objects_in(archive, name, file):
            kinds = place.get("dataTypes")
            tweets = kinds.get("tweets") or kinds.get("tweet") if isinstance(kinds, dict) else None
            listed = tweets.get("files") if isinstance(tweets, dict) else None
            for part in listed if isinstance(listed, list) else ():
                lacking = to_name(part.get("fileName")) if isinstance(part, dict) else None
                if lacking and _TWEETS.fullmatch(lacking) and f"{top}{lacking}" not in archive.names:
                    reason = f"the archive lists {lacking[:100]} and lacks it: is there another part to download?"
                    yield file.quarantine(None, reason)
