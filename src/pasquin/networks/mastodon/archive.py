"""The archive that a Mastodon server gives an account's owner: `outbox.json`, in a zip, a tar.gz or a folder.

It holds posts for followers and direct messages too: who a post is for stands in `to` and `cc`, and only public and
unlisted ones are read. Nothing is unpacked to the disk, and memory stays within a post and a chunk.
"""

from __future__ import annotations

import tarfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

import orjson

from pasquin.config import CollectSettings
from pasquin.errors import InputError
from pasquin.networks import Quarantined
from pasquin.networks.files.reading import CHUNK, ZIP_DAMAGE, InputFile, Reading, find_files
from pasquin.networks.html_text import html_text
from pasquin.networks.json_stream import Oversized, Unfinished, elements, named_arrays
from pasquin.networks.mastodon.statuses import host_of
from pasquin.networks.values import text_problem, to_count, to_name, to_time, without_nul
from pasquin.records import Post

_PUBLIC: Final = frozenset(("https://www.w3.org/ns/activitystreams#Public", "as:Public", "Public"))
_NOTES: Final = ("Note", "Question", "Article", "Page")
_OUTBOX: Final = "outbox.json"
_ACTOR: Final = "actor.json"
_BOMB_SIZE: Final = 64 * 2**20
_BOMB_RATIO: Final = 200
_SMALL_FILE: Final = 2**20

_DAMAGE: Final = (*ZIP_DAMAGE, tarfile.TarError, OverflowError)


@dataclass(frozen=True)
class _Opened:
    """What matters of an archive: the chunks of `outbox.json`, their size, and the beginning of `actor.json`."""

    outbox: Callable[[], Iterator[bytes]]
    size: int
    actor: bytes | None


def find_archives(pattern: str) -> list[Path]:
    """The archives that a path means: a file, or a folder with an `outbox.json` or with archives in it."""
    path = Path(pattern).expanduser()
    outbox = path / _OUTBOX
    return [outbox] if outbox.is_file() else find_files(pattern, (".zip", ".tar", ".tgz"))


def read_mastodon_archive(file: InputFile, settings: CollectSettings) -> Iterator[Reading]:
    """The posts of one archive.

    Raises InputError, before the first post, when it is damaged, hostile or no archive of Mastodon's.
    """
    with _opened(file) as opened:
        name = _preferred_name(opened.actor)
        found = False
        file.position, file.size = 0, opened.size
        for _, array in named_arrays(opened.outbox(), "orderedItems"):
            found = True
            yield from _activities(file, array, name, settings)
        if not found:
            raise InputError(f"{file.name} has no orderedItems: it is no outbox.json of Mastodon's.")


def _activities(
    file: InputFile, array: Iterator[bytes], name: str | None, settings: CollectSettings
) -> Iterator[Reading]:
    for number, found in enumerate(elements(array, settings.max_line_bytes), 1):
        if isinstance(found, Oversized):
            yield file.quarantine(number, f"the activity is longer than {settings.max_line_bytes:,} bytes", found)
        elif isinstance(found, Unfinished):
            yield file.quarantine(number, "the file is cut off here", found)
        else:
            yield _reading(file, number, found, name)


def _reading(file: InputFile, number: int, raw: bytes, name: str | None) -> Reading:
    try:
        activity = orjson.loads(raw)
    except orjson.JSONDecodeError as exc:
        return file.quarantine(number, f"it is not JSON: {exc.msg}", raw)
    if not isinstance(activity, dict):
        return file.quarantine(number, "it is no activity", raw)
    kind, note = activity.get("type"), activity.get("object")
    if kind == "Announce":
        return "boost"
    if kind != "Create" or not isinstance(note, dict) or note.get("type") not in _NOTES:
        return "no post"
    if not is_public(note):
        return "not public"
    reading = _post(activity, note, name)
    return reading if isinstance(reading, Post | Quarantined) else file.quarantine(number, reading, raw)


def is_public(note: Mapping[str, Any]) -> bool:
    """Whether a note is for everybody: public, or public and unlisted."""
    return any(address in _PUBLIC for key in ("to", "cc") for address in _texts(note.get(key)))


def _texts(value: object) -> list[str]:
    """The texts in a value that may be one, or a list of them."""
    return [text for text in (value if isinstance(value, list) else [value]) if isinstance(text, str)]


def _post(activity: Mapping[str, Any], note: Mapping[str, Any], name: str | None) -> Post | str:
    uri = to_name(note.get("id"))
    actor = next(iter(_texts(note.get("attributedTo"))), None) or to_name(activity.get("actor"))
    content = note.get("content")
    if uri is None or actor is None:
        return "it does not say what or whose it is"
    if content is not None and (problem := text_problem(content)):
        return problem
    name = name or actor.rstrip("/").rpartition("/")[2].removeprefix("@")
    answered = to_name(note.get("inReplyTo"))
    languages = note.get("contentMap")
    return Post(
        uri=uri,
        network="mastodon",
        account=actor,
        handle=f"@{name}@{host_of(actor)}",
        text=without_nul(html_text(content or "", _mentions(note.get("tag")))),
        created_at=to_time(note.get("published")) or to_time(activity.get("published")),
        lang=to_name(next(iter(languages), None)) if isinstance(languages, dict) else None,
        reply_to=None if answered and answered.startswith((f"{actor}/", f"{actor}#")) else answered,
        likes=_total(note.get("likes")),
        reposts=_total(note.get("shares")),
        url=to_name(note.get("url")),
        rights="own-archive",
    )


def _mentions(tags: object) -> dict[str, str]:
    """Full names of the mentioned accounts, by the addresses that may stand in the text."""
    names: dict[str, str] = {}
    for tag in tags if isinstance(tags, list) else ():
        if not isinstance(tag, dict) or tag.get("type") != "Mention":
            continue
        href, name = to_name(tag.get("href")), to_name(tag.get("name"))
        if not href or not name:
            continue
        host = host_of(href)
        full = name if name.count("@") > 1 else f"{name}@{host}"
        user = name.lstrip("@").partition("@")[0]
        names |= {href: full, f"https://{host}/@{user}": full}
    return names


def _total(collection: object) -> int | None:
    return to_count(collection.get("totalItems")) if isinstance(collection, dict) else None


def _preferred_name(about: bytes | None) -> str | None:
    """The user name that `actor.json` gives; None when it is not there or cannot be read."""
    try:
        actor = orjson.loads(about or b"")
    except orjson.JSONDecodeError:
        return None
    return to_name(actor.get("preferredUsername")) if isinstance(actor, dict) else None


@contextmanager
def _opened(file: InputFile) -> Iterator[_Opened]:
    """Open an archive of whichever kind. Raises InputError when it is damaged, hostile or no archive of Mastodon's."""
    path = file.path
    begins = next(InputFile(path).chunks(), b"")
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                yield _in_zip(archive, file)
        elif begins.lstrip().startswith(b"{"):
            actor = path.with_name(_ACTOR)
            yield _Opened(file.chunks, file.size, actor.read_bytes()[:_SMALL_FILE] if actor.is_file() else None)
        elif tarfile.is_tarfile(path):
            _verify_compressed(path)
            with tarfile.open(path) as archive_of_tapes:
                yield _in_tar(archive_of_tapes, file)
        else:
            raise InputError(
                f"{path} is no archive of Mastodon's that can be read. Give the zip, the tar.gz or the outbox.json; "
                "if it is one of them, download it again."
            )
    except (*_DAMAGE, OSError) as exc:
        raise InputError(f"{path} is damaged or locked ({exc}). Download the archive again; nothing was read.") from exc


def _in_zip(archive: zipfile.ZipFile, file: InputFile) -> _Opened:
    entries = {name: [entry for entry in archive.infolist() if _is(entry.filename, name)] for name in (_OUTBOX, _ACTOR)}
    if len(entries[_OUTBOX]) != 1:
        raise _no_outbox(file.path)
    outbox = entries[_OUTBOX][0]
    _refuse_bomb(file.path, outbox.file_size, outbox.compress_size)
    with archive.open(outbox) as handle:  # the entry has a checksum: damage is found before a post is stored
        while handle.read(CHUNK):
            pass
    about = None
    if entries[_ACTOR]:
        with archive.open(entries[_ACTOR][0]) as handle:
            about = handle.read(_SMALL_FILE)
    return _Opened(lambda: _counted(archive.open(outbox), file), outbox.file_size, about)


def _in_tar(archive: tarfile.TarFile, file: InputFile) -> _Opened:
    outbox, about = None, None
    for member in archive:
        if not member.isfile():
            continue
        if _is(member.name, _OUTBOX):
            outbox = member
        elif _is(member.name, _ACTOR) and (handle := archive.extractfile(member)) is not None:
            about = handle.read(_SMALL_FILE)
    if outbox is None:
        raise _no_outbox(file.path)

    def chunks() -> Iterator[bytes]:
        handle = archive.extractfile(outbox)
        return iter(()) if handle is None else _counted(handle, file)

    return _Opened(chunks, outbox.size, about)


def _is(entry: str, name: str) -> bool:
    """Whether an entry is the file `name` at the top of the archive, or in its only folder."""
    parts = entry.removeprefix("./").split("/")
    return parts[-1] == name and len(parts) <= 2


def _no_outbox(path: Path) -> InputError:
    return InputError(f"{path} is no archive of Mastodon's: it has no (or more than one) outbox.json in it.")


def _refuse_bomb(path: Path, size: int, compressed: int) -> None:
    if size > max(_BOMB_SIZE, _BOMB_RATIO * compressed):
        raise InputError(f"{path} is a zip bomb: it would swell to {size:,} bytes or more. Nothing was read.")


def _verify_compressed(path: Path) -> None:
    """Read a compressed archive to its end, where its checksum is."""
    file, size = InputFile(path), 0
    for chunk in file.chunks():
        size += len(chunk)
        _refuse_bomb(path, size, file.size)
    if file.damage:
        raise EOFError(file.damage.partition(";")[0])


def _counted(handle: IO[bytes], file: InputFile) -> Iterator[bytes]:
    with handle:
        while chunk := handle.read(CHUNK):
            file.position += len(chunk)
            yield chunk
