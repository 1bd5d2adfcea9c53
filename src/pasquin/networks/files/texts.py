"""Files that hold nothing but texts: between delimiter lines, one a line, or between the `%` of a fortune file."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Final

from pasquin.config import CollectSettings
from pasquin.networks import Quarantined
from pasquin.networks.files.reading import InputFile, Reading, decoded, find_files, stem
from pasquin.networks.values import text_problem
from pasquin.records import Post

_FORTUNE_DELIMITERS: Final = (b"%", b"%%")


def file_uri(account: str, text: str) -> str:
    """The identity of a post from a file that gives it none: the same words by the same account are the same post."""
    return "file:" + sha256(f"{account}\0{text}".encode()).hexdigest()[:32]


def _file_post(account: str, text: str) -> Post | str:
    if problem := text_problem(text):
        return problem
    return Post(uri=file_uri(account, text), network="files", account=account, handle=account, text=text)


def read_text(file: InputFile, settings: CollectSettings) -> Iterator[Reading]:
    """The posts between delimiter lines; where the file has no such line, every line is a post."""
    delimiter = settings.delimiter.encode()
    if has_line(file.path, (delimiter,), settings):
        return _between(file, settings, (delimiter,))
    return _one_a_line(file, settings)


def read_fortune(file: InputFile, settings: CollectSettings) -> Iterator[Reading]:
    """The posts between the `%` lines of a fortune file."""
    return _between(file, settings, _FORTUNE_DELIMITERS)


def find_fortunes(pattern: str) -> list[Path]:
    """Fortune files: the named ones, or those in a directory that have no suffix and a `%` line."""
    found = find_files(pattern, ("",))
    if not Path(pattern).expanduser().is_dir():
        return found
    settings = CollectSettings()
    return [path for path in found if has_line(path, _FORTUNE_DELIMITERS, settings)] or found


def has_line(path: Path, wanted: tuple[bytes, ...], settings: CollectSettings) -> bool:
    """Whether one of the `wanted` lines stands in a file."""
    lines = InputFile(path).lines(settings.max_line_bytes)
    return any(isinstance(item, tuple) and item[1].rstrip() in wanted for item in lines)


def _one_a_line(file: InputFile, settings: CollectSettings) -> Iterator[Reading]:
    account = settings.account or stem(file.path)
    for item in file.lines(settings.max_line_bytes):
        yield _post(file, account, *item) if isinstance(item, tuple) else item


def _between(file: InputFile, settings: CollectSettings, delimiters: tuple[bytes, ...]) -> Iterator[Reading]:
    account = settings.account or stem(file.path)
    held: list[bytes] = []
    size, begin = 0, 1
    broken: Quarantined | None = None
    for item in file.lines(settings.max_line_bytes):
        if not isinstance(item, tuple):
            broken, held = broken or item, []
            continue
        number, line = item
        if line.rstrip() in delimiters:
            yield broken or _post(file, account, begin, b"\n".join(held))
            held, size, begin, broken = [], 0, number + 1, None
            continue
        size += len(line) + 1
        if broken is None:
            held.append(line.removesuffix(b"\r"))
        if size > settings.max_line_bytes and broken is None:
            reason = f"the text is longer than {settings.max_line_bytes:,} bytes"
            broken, held = file.quarantine(begin, reason, held[0]), []
    if (held or broken) and not file.damage:  # the text in which a damaged file breaks off is not whole
        yield broken or _post(file, account, begin, b"\n".join(held))


def _post(file: InputFile, account: str, number: int, raw: bytes) -> Reading:
    try:
        text = decoded(raw).strip("\r\n")
    except ValueError as exc:
        return file.quarantine(number, str(exc), raw)
    post = _file_post(account, text)
    return post if isinstance(post, Post) else file.quarantine(number, post, raw)
