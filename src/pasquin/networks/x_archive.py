"""The archive that X (Twitter) gives an account's owner: a zip, or the directory it was unpacked to.

Three generations are read: `data/tweets.js` (with `tweets-part1.js` …), `data/tweet.js` (2018-2022, at first without
the `{"tweet": …}` around each item), and the monthly `data/js/tweets/2013_01.js` of before ("Grailbird"). Long posts
are cut in `tweets.js`; their full text is joined in from `note-tweet.js`. Deleted posts, posts in communities and
direct messages are not read.

Nothing is ever unpacked to the disk, and memory stays within a post and a chunk. A zip that is damaged or looks made
to do harm is refused before anything is read from it.
"""

from __future__ import annotations

import html
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any, Final

import orjson

from pasquin.config import CollectSettings
from pasquin.errors import InputError
from pasquin.networks.files import FileSource
from pasquin.networks.files.reading import CHUNK, InputFile, Reading, find_files
from pasquin.networks.json_stream import Oversized, Unfinished, elements
from pasquin.networks.values import (
    is_retweet_text,
    text_problem,
    to_count,
    to_flag,
    to_name,
    to_time,
    without_nul,
    x_id_time,
    x_uri,
)
from pasquin.records import Post

_TWEETS: Final = re.compile(r"(?:.*/)?data/(?:tweets?(?:-part\d+)?|js/tweets/\d{4}_\d{2})\.js")
_NOTES: Final = re.compile(r"(?:.*/)?data/note-tweet(?:-part\d+)?\.js")
_ABOUT: Final = re.compile(r"(?:.*/)?data/(?:account|manifest|js/user_details)\.js")
_SMALL_FILE: Final = 16 * 2**20
_BOMB_RATIO: Final = 200
_BOMB_SIZE: Final = 64 * 2**20
_MAX_DIRECTORY: Final = 64 * 2**20
"""Bytes of a zip's table of contents (half a million files); opening it takes about ten times as much memory."""
_NOTE_PREFIX: Final = 60
"""Characters in which a cut post and its full text must agree; links in them differ, so not all of it."""


@dataclass(frozen=True)
class _Archive:
    """Names of the files in an archive, and how to open one."""

    names: tuple[str, ...]
    open: Callable[[str], IO[bytes]]

    def matching(self, pattern: re.Pattern[str]) -> list[str]:
        return sorted((name for name in self.names if pattern.fullmatch(name)), key=_natural)

    def chunks(self, name: str, file: InputFile) -> Iterator[bytes]:
        """The content of a file of the archive; `file` counts what was read. Raises InputError when it is damaged."""
        try:
            with self.open(name) as handle:
                while chunk := handle.read(CHUNK):
                    file.position += len(chunk)
                    yield chunk
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError) as exc:
            raise InputError(
                f"{file.path} is damaged or locked at {name} ({exc}). Download the archive again; nothing was read."
            ) from exc


@dataclass(frozen=True)
class _Owner:
    id: str
    handle: str


def x_archive(settings: CollectSettings) -> FileSource:
    """The owner's X archive."""
    return FileSource(settings, _find, read_x_archive)


def _find(pattern: str) -> list[Path]:
    path = Path(pattern).expanduser()
    return [path] if (path / "data").is_dir() else find_files(pattern, (".zip",))


def read_x_archive(file: InputFile, settings: CollectSettings) -> Iterator[Reading]:
    """The posts of one archive.

    Raises InputError, before the first post, when it is damaged, hostile or no X archive.
    """
    if file.path.is_dir():
        file.size = sum(path.stat().st_size for path in (file.path / "data").rglob("*.js"))
        yield from _posts(_unpacked(file.path), file, settings)
        return
    if _directory_size(file) > _MAX_DIRECTORY:
        raise InputError(f"{file.path} is no X archive: it lists more files than any account has. Nothing was read.")
    try:
        archive = zipfile.ZipFile(file.path)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, ValueError, OSError) as exc:
        raise InputError(
            f"{file.path} is no zip that can be read ({exc}). If it is your X archive, download it again, whole."
        ) from exc
    with archive:
        opened = _Archive(tuple(archive.namelist()), archive.open)
        wanted = [name for pattern in (_TWEETS, _NOTES, _ABOUT) for name in opened.matching(pattern)]
        _refuse_hostile(archive, wanted, file)
        for name in wanted:  # entries have checksums: damage is found before a post is stored
            for _ in opened.chunks(name, file):
                pass
        file.position, file.size = 0, sum(archive.getinfo(name).file_size for name in wanted)
        yield from _posts(opened, file, settings)


def _directory_size(file: InputFile) -> int:
    """Bytes that a zip's last record says its table of contents takes, 0 where there is no such record."""
    try:
        with file.path.open("rb") as handle:
            handle.seek(max(0, file.size - 2**16 - 128))
            tail = handle.read()
    except OSError as exc:
        raise file.unreadable(exc) from exc
    end, large = tail.rfind(b"PK\x05\x06"), tail.rfind(b"PK\x06\x06")
    sizes = [
        int.from_bytes(tail[large + 40 : large + 48], "little") if large >= 0 else 0,
        int.from_bytes(tail[end + 12 : end + 16], "little") if end >= 0 else 0,
    ]
    return max(size for size in sizes if size != 0xFFFFFFFF or large < 0)


def _refuse_hostile(archive: zipfile.ZipFile, wanted: list[str], file: InputFile) -> None:
    """Raise InputError for what a real archive never has: paths that climb out, overlapping entries, bombs."""
    end = 0
    for entry in sorted(archive.infolist(), key=lambda entry: entry.header_offset):
        parts = entry.filename.replace("\\", "/").split("/")
        if ".." in parts or entry.filename.startswith(("/", "\\")) or ":" in parts[0]:
            raise InputError(f"{file.path} is no X archive: it has an entry outside of itself. Nothing was read.")
        if entry.header_offset < end:
            raise InputError(f"{file.path} is no X archive: its entries overlap, as in a zip bomb. Nothing was read.")
        end = entry.header_offset + 30 + entry.compress_size
    for name in wanted:
        entry = archive.getinfo(name)
        if entry.file_size > max(_BOMB_SIZE, _BOMB_RATIO * entry.compress_size):
            raise InputError(
                f"{file.path} is a zip bomb: {name} would swell to {entry.file_size:,} bytes. Nothing was read."
            )
    if len(set(wanted)) != len(wanted):
        raise InputError(f"{file.path} is no X archive: it has two files of one name. Nothing was read.")


def _unpacked(folder: Path) -> _Archive:
    names = tuple(path.relative_to(folder).as_posix() for path in (folder / "data").rglob("*.js") if path.is_file())
    return _Archive(names, lambda name: (folder / name).open("rb"))


def _posts(archive: _Archive, file: InputFile, settings: CollectSettings) -> Iterator[Reading]:
    names = archive.matching(_TWEETS)
    if not names:
        nested = next((name for name in archive.names if name.lower().endswith(".zip")), None)
        advice = f"It holds another zip, {nested}: unpack that one." if nested else "Is it the right file?"
        raise InputError(f"{file.path} is no X archive: it has no data/tweets.js. {advice}")
    owner = _owner(archive, file, settings)
    notes = _notes(archive, file, settings)
    seen: set[str] = set()
    for name in names:
        inner = f"{file.path}!{name}"
        for number, found in enumerate(elements(archive.chunks(name, file), settings.max_line_bytes), 1):
            reading = _reading(found, owner, settings)
            if isinstance(reading, str):
                yield replace(file.quarantine(None, reason=reading, excerpt=found), where=f"{inner}:{number}")
                continue
            if reading.uri in seen:
                yield "twice in the archive"
                continue
            seen.add(reading.uri)
            yield _with_note(reading, notes)
    for text in (text for group in notes.values() for text in group.values()):
        if text is not None:
            yield "long post without its tweet"


def _reading(found: bytes, owner: _Owner | None, settings: CollectSettings) -> Post | str:
    if isinstance(found, Oversized):
        return f"the tweet is longer than {settings.max_line_bytes:,} bytes"
    if isinstance(found, Unfinished):
        return "the file is cut off here"
    try:
        record = orjson.loads(found)
    except orjson.JSONDecodeError as exc:
        return f"it is not JSON: {exc.msg}"
    if isinstance(record, dict) and isinstance(record.get("tweet"), dict):
        record = record["tweet"]
    return _post(record, owner)


def _post(record: Any, owner: _Owner | None) -> Post | str:
    if not isinstance(record, dict):
        return "it is no tweet"
    id = to_name(record.get("id_str")) or to_name(record.get("id"))
    if id is None or not (id.isascii() and id.isdigit() and len(id) < 20):
        return "it has no id"
    text = record["full_text"] if "full_text" in record else record.get("text")
    if problem := text_problem(text):
        return problem
    owner = owner or _author(record)
    if owner is None:
        return "it does not say whose it is; name the account with --account"
    return Post(
        uri=x_uri(id),
        network="x",
        account=owner.id,
        handle=owner.handle,
        text=without_nul(str(text)),
        created_at=to_time(record.get("created_at")) or x_id_time(int(id)),
        lang=to_name(record.get("lang")),
        reply_to=_reply_to(record, owner),
        is_repost=isinstance(record.get("retweeted_status"), dict)
        or to_flag(record.get("retweeted"))
        or is_retweet_text(str(text)),
        likes=to_count(record.get("favorite_count")),
        reposts=to_count(record.get("retweet_count")),
        url=f"https://x.com/{owner.handle}/status/{id}",
        rights="own-archive",
    )


def _reply_to(record: dict[str, Any], owner: _Owner) -> str | None:
    """What a tweet answers. An author going on under their own tweet answers nobody."""
    user = to_name(record.get("in_reply_to_user_id_str")) or to_name(record.get("in_reply_to_user_id"))
    status = to_name(record.get("in_reply_to_status_id_str")) or to_name(record.get("in_reply_to_status_id"))
    if user == owner.id or not (user or status):
        return None
    return x_uri(status) if status else f"https://x.com/i/user/{user}"


def _author(record: dict[str, Any]) -> _Owner | None:
    user = record.get("user")
    if not isinstance(user, dict):
        return None
    handle = to_name(user.get("screen_name"))
    id = to_name(user.get("id_str")) or to_name(user.get("id")) or handle
    return _Owner(id, handle or id) if id else None


def _owner(archive: _Archive, file: InputFile, settings: CollectSettings) -> _Owner | None:
    """Whose archive it is; None when only the tweets themselves can say."""
    for name in archive.matching(_ABOUT):
        for place in _about(archive, name, file):
            id, handle = (
                to_name(place.get("accountId") or place.get("id")),
                to_name(place.get("username") or place.get("userName") or place.get("screen_name")),
            )
            if id:
                return _Owner(id, handle or id)
    return _Owner(settings.account, settings.account) if settings.account else None


def _about(archive: _Archive, name: str, file: InputFile) -> Iterator[dict[str, Any]]:
    """The objects of a small descriptive file in which an account's id and name may stand."""
    content = b""
    for chunk in archive.chunks(name, file):
        content += chunk
        if len(content) > _SMALL_FILE:
            return
    try:
        value = orjson.loads(content.partition(b"=")[2].strip().removesuffix(b";"))
    except orjson.JSONDecodeError:
        return
    for item in value if isinstance(value, list) else [value]:
        if isinstance(item, dict):
            yield from (inner for key in ("account", "userInfo") if isinstance(inner := item.get(key), dict))
            yield item


_Notes = dict[int, dict[str, str | None]]
"""Full texts of long posts: second of creation -> beginning of the text -> text (None once it found its tweet)."""


def _notes(archive: _Archive, file: InputFile, settings: CollectSettings) -> _Notes:
    notes: _Notes = {}
    for name in archive.matching(_NOTES):
        for found in elements(archive.chunks(name, file), settings.max_line_bytes):
            try:
                note = orjson.loads(found)["noteTweet"]
                text, created_at = note["core"]["text"], to_time(note["createdAt"])
            except (orjson.JSONDecodeError, KeyError, TypeError):
                continue  # the post itself is still read from tweets.js, cut
            if created_at is not None and text_problem(text) is None:
                notes.setdefault(int(created_at.timestamp()), {})[_beginning(text)] = text
    return notes


def _with_note(post: Post, notes: _Notes) -> Post:
    """The post with its full text, where a long post of the same second begins like it."""
    group = notes.get(int(post.created_at.timestamp())) if post.created_at else None
    beginning = _beginning(post.text)
    if not group or (text := group.get(beginning)) is None:
        return post
    group[beginning] = None
    return replace(post, text=without_nul(text))


def _beginning(text: str) -> str:
    """What a cut, HTML-escaped post and its full text have in common: letters up to the first link or the cut."""
    plain = re.split(r"https?://|…$", html.unescape(text))[0]
    return "".join(plain.split())[:_NOTE_PREFIX]


def _natural(name: str) -> list[int | str]:
    """Sort key that puts part2 before part10, and a file before its parts."""
    plain = name.removesuffix(".js")
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", plain)]
