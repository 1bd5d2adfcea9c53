"""Collect: read posts from sources into the workspace, each post once.

A source is `NAME:WHAT` (`twint:vc.jsonl.gz`, `x-archive:twitter.zip`, `fortune:/usr/share/games/fortunes/wisdom`), a
bare path where its kind is plain, or `@sources/list.txt` with a source a line. Posts are stored a page at a time, so a
collector may be killed at any moment: run again, it adds what is missing and repeats nothing. What cannot be read is
counted and kept in `quarantine/`, one file a source.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import IO, Final

import orjson

from pasquin.config import CollectSettings
from pasquin.errors import InputError, Interrupted, UsageError, disk_errors
from pasquin.networks import Page, Quarantined, Source, open_source, sources
from pasquin.networks.files.guess import guess_source
from pasquin.progress import Progress, Silent
from pasquin.records import Rights
from pasquin.workspace import Workspace, check_name
from pasquin.workspace.files import replacing
from pasquin.workspace.shards import ShardWriter, add_to_list, open_shards

KNOWN: Final = "already collected"
_MAX_QUARANTINED: Final = 10_000
"""Lines of a quarantine file; beyond, pieces are only counted."""


@dataclass
class _Wanted:
    """One source to read, and what came of it."""

    written: str
    network: str
    what: str
    list_name: str | None
    posts: int = 0
    new: int = 0
    quarantined: int = 0
    skipped: Counter[str] = field(default_factory=Counter)

    def result(self) -> dict[str, object]:
        return {
            "source": self.written,
            "posts": self.posts,
            "new": self.new,
            "skipped": dict(self.skipped),
            "quarantined": self.quarantined,
        }


def collect(
    workspace: Workspace,
    sources: Sequence[str],
    *,
    account: str | None = None,
    columns: Mapping[str, str] | None = None,
    rights: Rights | None = None,
    settings: CollectSettings | None = None,
    progress: Progress | None = None,
) -> dict[str, object]:
    """Read `sources` into the workspace and say what came of it.

    `account` names whose posts they are, for files that do not say; `columns` maps fields of a post to columns of csv,
    jsonl and parquet; `rights` replaces what the sources know about why the posts may be used.

    Returns `{posts, new, skipped: {reason: n}, quarantined, seconds, sources: [the same for each]}`: `posts` were read,
    `new` of them were not there before, `skipped` counts the others and what is no post, `quarantined` the pieces of
    input that could not be read.

    Raises UsageError for a source that makes no sense and InputError for one that cannot be read (what was read before
    stays), WorkspaceError or ResourceError when the workspace cannot be written, Interrupted on Ctrl-C.
    """
    began = time.monotonic()
    progress = progress or Silent()
    settings = settings or CollectSettings()
    chosen = {"account": account, "columns": dict(columns) if columns is not None else None}
    settings = settings.model_copy(update={name: value for name, value in chosen.items() if value is not None})
    if not sources:
        raise UsageError("There is nothing to collect: name a source, for example `twint:tweets.jsonl`.")
    opened: dict[str, Source] = {}
    wanted = [one for source in sources for one in _resolve(source, settings, opened)]
    with workspace.lock("collect"), open_shards(workspace) as shards:
        for one in wanted:
            try:
                _collect_one(workspace, shards, one, opened[one.network], rights, progress)
            except KeyboardInterrupt as exc:
                raise Interrupted(
                    "Collecting was interrupted; what was written so far is kept. Run the same command again to go on."
                ) from exc
    return _summary(workspace, wanted, time.monotonic() - began)


def _summary(workspace: Workspace, wanted: list[_Wanted], seconds: float) -> dict[str, object]:
    posts, quarantined = sum(one.posts for one in wanted), sum(one.quarantined for one in wanted)
    if quarantined and not posts:
        raise InputError(
            f"No post could be read from {wanted[0].written if len(wanted) == 1 else 'these sources'}: "
            f"{quarantined:,} pieces are in {workspace.quarantine} with the reasons. Is it the right kind of source?"
        )
    skipped: Counter[str] = Counter()
    for one in wanted:
        skipped.update(one.skipped)
    return {
        "posts": posts,
        "new": sum(one.new for one in wanted),
        "skipped": dict(skipped),
        "quarantined": quarantined,
        "seconds": round(seconds, 3),
        "sources": [one.result() for one in wanted],
    }


def _resolve(
    written: str, settings: CollectSettings, opened: dict[str, Source], source_list: Path | None = None
) -> Iterator[_Wanted]:
    """What a source as written on the command line or in a list means; opens the networks it needs."""
    if written.startswith("@") and source_list is None:
        path = Path(written[1:]).expanduser()
        check_name(path.stem, "source list")
        for line in _list_lines(path):
            yield from _resolve(line, settings, opened, path)
        return
    network, what = _split(written, settings, source_list.parent if source_list else Path())
    if network not in opened:
        opened[network] = open_source(network, settings)
    if source_list and opened[network].reads_files:
        what = str(source_list.parent / Path(what).expanduser())
    shown = written.encode("utf-8", "backslashreplace").decode()  # file names need not be UTF-8
    yield _Wanted(shown, network, what, source_list.stem if source_list else None)


def _list_lines(path: Path) -> list[str]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else "it is not UTF-8"
        raise InputError(f"The source list {path} cannot be read: {reason}. Check the path.") from exc
    lines = [re.split(r"(?:^|\s)#", line)[0].strip() for line in text.splitlines()]
    if not any(lines):
        raise InputError(f"The source list {path} names no source. Write one a line, such as `twint:tweets.jsonl`.")
    return [line for line in lines if line]


def _split(written: str, settings: CollectSettings, folder: Path) -> tuple[str, str]:
    """Network and what is wanted of it; for a bare path, the network is seen from the file."""
    if written.startswith("@"):
        raise UsageError(f"A source list cannot name another source list, as `{written}` does. Name both instead.")
    network, colon, what = written.partition(":")
    known = sources()
    if colon and network in known:
        if not what:
            raise UsageError(f"`{written}` lacks what to collect: write {network}:PATH.")
        return network, what
    path = folder / Path(written).expanduser()
    if colon and re.fullmatch(r"[a-z][a-z0-9-]*", network) and not path.exists():
        raise UsageError(f"There is no source `{network}:`; there are {', '.join(sorted(known))}.")
    if "/" not in written and "." not in written and not path.exists():
        raise UsageError(
            f"`{written}` is no source: write NAME:WHAT with one of {', '.join(sorted(known))}, or the path of a file."
        )
    return guess_source(str(path), settings), written


def _collect_one(
    workspace: Workspace, shards: ShardWriter, one: _Wanted, source: Source, rights: Rights | None, progress: Progress
) -> None:
    since, accounts = shards.state(one.written)
    if one.list_name:
        add_to_list(workspace, one.list_name, accounts)
    with (
        _quarantine_file(workspace, one.written) as quarantine,
        progress.task(f"Reading {one.written}", 100, "%") as task,
    ):
        shown = 0.0
        for page in source.posts(one.what, since):
            if one.list_name:
                add_to_list(workspace, one.list_name, {(post.network, post.account) for post in page.posts})
            _store(page, shards, one, rights, quarantine)
            share = 100 * page.share if page.share is not None else shown
            task.advance(share - shown, f"{one.posts:,} posts, {one.new:,} new")
            shown = share
    if one.quarantined:
        where = _quarantine_path(workspace, one.written)
        progress.say(f"{one.quarantined:,} pieces of {one.written} could not be read; see {where}.")


def _store(page: Page, shards: ShardWriter, one: _Wanted, rights: Rights | None, quarantine: IO[bytes]) -> None:
    appended = shards.append(page.posts, one.written, page.cursor, rights)
    refused = tuple(Quarantined(post.uri[:200], reason, b"") for post, reason in appended.refused)
    posts = len(page.posts) - len(refused)
    for piece in (page.quarantined + refused)[: max(0, _MAX_QUARANTINED - one.quarantined)]:
        with disk_errors("write the quarantine"):
            quarantine.write(orjson.dumps(_quarantine_row(piece), option=orjson.OPT_APPEND_NEWLINE))
    one.posts += posts
    one.new += appended.new
    one.quarantined += len(page.quarantined) + len(refused)
    one.skipped.update(page.skipped)
    if posts > appended.new:
        one.skipped[KNOWN] += posts - appended.new


def _quarantine_row(piece: Quarantined) -> dict[str, str]:
    """A piece as it is kept: where it stood, why it could not be read, how it begins."""
    where = piece.where.encode("utf-8", "backslashreplace").decode()
    return {"where": where, "reason": piece.reason, "excerpt": piece.excerpt.decode("utf-8", "backslashreplace")}


def _quarantine_path(workspace: Workspace, written: str) -> Path:
    readable = re.sub(r"[^A-Za-z0-9._-]+", "-", written).strip("-.")[-60:]
    return workspace.quarantine / f"{readable}-{sha256(written.encode()).hexdigest()[:8]}.jsonl"


@contextmanager
def _quarantine_file(workspace: Workspace, written: str) -> Iterator[IO[bytes]]:
    """Where the unreadable pieces of a source go: replaces what an earlier run left, and is removed when empty."""
    path = _quarantine_path(workspace, written)
    with disk_errors("write the quarantine"):
        path.parent.mkdir(exist_ok=True)
        for leftover in path.parent.glob(f".{path.name}.*.tmp"):  # of a collector that was killed
            leftover.unlink(missing_ok=True)
    with replacing(path) as temporary:
        with temporary.open("wb") as handle:
            yield handle
        empty = temporary.stat().st_size == 0
    if empty:
        path.unlink(missing_ok=True)
