"""Files as a source of posts: what tools, archives and people keep on their disks.

One `FileSource` serves all formats; a format is where to look (`find`) and a `Reader` of one file.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue
from typing import Final

from pasquin.config import CollectSettings
from pasquin.errors import InputError
from pasquin.networks import Page, Quarantined
from pasquin.networks.files.bulk import Block, BulkFormat, BulkReader, blocks, open_bulk, read_block
from pasquin.networks.files.reading import Deleted, InputFile, Reader, Reading, find_files
from pasquin.networks.files.remote import fetched, is_url, local_path
from pasquin.networks.files.tables import read_csv, read_jsonl, read_parquet
from pasquin.networks.files.texts import find_fortunes, read_fortune, read_text
from pasquin.networks.files.twint import TWINT, read_twint
from pasquin.records import Post

PAGE_BYTES: Final = 32 * 2**20
"""Characters of text (and pieces of quarantine) held before a page is handed on, whatever `page_posts` says."""
_READERS: Final = 2
"""Blocks that are read at a time, beside the one that is being stored."""


@dataclass
class _PageInMaking:
    posts: list[Post] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)
    quarantined: list[Quarantined] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)
    size: int = 0

    def add(self, reading: Reading) -> None:
        if isinstance(reading, Post):
            if not reading.text.strip():
                self.skipped["empty"] += 1
                return
            self.posts.append(reading)
            self.size += len(reading.text)
        elif isinstance(reading, Quarantined):
            self.quarantined.append(reading)
            self.size += 1_000
        elif isinstance(reading, Deleted):
            self.deleted.append(reading.uri)
            self.skipped["deleted"] += 1
            self.size += 100
        else:
            self.skipped[reading] += 1

    def full(self, posts: int) -> bool:
        return len(self.posts) >= posts or self.size >= PAGE_BYTES

    def finish(self, share: float) -> Page:
        return Page(tuple(self.posts), None, dict(self.skipped), tuple(self.quarantined), share, tuple(self.deleted))


@dataclass(frozen=True)
class FileSource:
    """A source that reads files of one format."""

    settings: CollectSettings
    find: Callable[[str], list[Path]]
    read: Reader
    bulk: BulkFormat | None = None
    """How DuckDB reads this format, where it can."""
    suffixes: tuple[str, ...] = ()
    """Where an address may stand for the path: the suffixes of such files there."""
    reads_files: bool = True

    def posts(self, account: str, since: str | None) -> Iterator[Page]:
        """Pages of the posts in the files that `account` (a path, directory, pattern or address) means.

        A file may have changed, so it is always read whole: `since` is not used. One unreadable file among several
        is quarantined as a whole. Raises InputError when there is no file, or the only one cannot be read.
        """
        if not is_url(account) or not self.suffixes:
            yield from self._pages([InputFile(path) for path in self.find(account)])
        elif (path := local_path(account)) is not None:
            yield from self._pages([InputFile(path) for path in self.find(path)])
        else:
            with fetched(account, self.suffixes, self.settings) as copies:
                yield from self._pages([InputFile(path, shown=shown) for path, shown in copies])

    def _pages(self, files: Sequence[InputFile]) -> Iterator[Page]:
        if self.bulk is not None:
            yield from self._in_bulk(files, self.bulk)
            return
        page = _PageInMaking()
        for file in files:
            for reading in self._readings(file, alone=len(files) == 1):
                page.add(reading)
                if page.full(self.settings.page_posts):
                    yield page.finish(_share(files))
                    page = _PageInMaking()
        yield page.finish(1.0)

    def _in_bulk(self, files: Sequence[InputFile], format: BulkFormat) -> Iterator[Page]:
        """Pages of blocks in their order; the next ones are read while one is being stored."""
        free: SimpleQueue[BulkReader] = SimpleQueue()

        def read(file: InputFile, block: Block, share: float) -> Page:
            reader = free.get()
            try:
                found = read_block(reader, file, block, format, self.settings.max_line_bytes)
            finally:
                free.put(reader)
            return Page(found.posts, None, found.skipped, tuple(found.quarantined), share)

        with ExitStack() as stack:
            for _ in range(_READERS):
                free.put(stack.enter_context(open_bulk()))
            ahead = stack.enter_context(ThreadPoolExecutor(_READERS, "pasquin-read"))
            stack.callback(ahead.shutdown, cancel_futures=True)
            for file in files:
                try:
                    pages = (
                        ahead.submit(read, file, block, _share(files))
                        for block in blocks(file, self.settings.max_line_bytes, self.settings.page_posts)
                    )
                    yield from _finished(pages, _READERS)
                except InputError as exc:
                    if len(files) == 1:
                        raise
                    yield Page((), None, {}, (file.quarantine(None, str(exc)),), _share(files))
                if file.damage:
                    yield Page((), None, {}, (file.quarantine(None, file.damage),), _share(files))

    def _readings(self, file: InputFile, alone: bool) -> Iterator[Reading]:
        try:
            yield from self.read(file, self.settings)
        except InputError as exc:
            if alone:
                raise
            yield file.quarantine(None, str(exc))
        if file.damage:
            yield file.quarantine(None, file.damage)


def _finished(pages: Iterator[Future[Page]], ahead: int) -> Iterator[Page]:
    """The pages that are being read, as many `ahead` of the one that is handed on, up to an error of the iterator."""
    waiting: deque[Future[Page]] = deque()
    error = None
    try:
        for page in pages:
            waiting.append(page)
            if len(waiting) > ahead:
                yield waiting.popleft().result()
    except InputError as exc:
        error = exc
    while waiting:
        yield waiting.popleft().result()
    if error is not None:
        raise error


def _share(files: Sequence[InputFile]) -> float:
    """How much of the files is read; readers that count otherwise (archives) correct a file's `size` on the way."""
    return min(1.0, sum(file.position for file in files) / max(1, sum(file.size for file in files)))


_CSV: Final = (".csv", ".tsv")
_JSON: Final = (".jsonl", ".ndjson", ".json")
_PARQUET: Final = (".parquet",)
_TWINT: Final = (".json", ".jsonl", ".ndjson", ".txt")


def _finder(*suffixes: str) -> Callable[[str], list[Path]]:
    return lambda pattern: find_files(pattern, suffixes)


def twint(settings: CollectSettings) -> FileSource:
    """JSON lines as twint wrote them."""
    return FileSource(settings, _finder(*_TWINT), read_twint, TWINT, suffixes=_TWINT)


def csv(settings: CollectSettings) -> FileSource:
    """CSV with a header: a single column of texts, a column of a usual name, or a mapping."""
    return FileSource(settings, _finder(*_CSV), read_csv, suffixes=_CSV)


def jsonl(settings: CollectSettings) -> FileSource:
    """JSON lines or a JSON array of objects, with a mapping or usual names."""
    return FileSource(settings, _finder(*_JSON), read_jsonl, suffixes=_JSON)


def parquet(settings: CollectSettings) -> FileSource:
    """Parquet with a mapping or usual names."""
    return FileSource(settings, _finder(*_PARQUET), read_parquet, suffixes=_PARQUET)


def text(settings: CollectSettings) -> FileSource:
    """Texts between delimiter lines, or one a line."""
    return FileSource(settings, _finder(".txt"), read_text)


def fortune(settings: CollectSettings) -> FileSource:
    """Texts between the `%` lines of fortune files; a file is an account."""
    return FileSource(settings, find_fortunes, read_fortune)
