"""Corpora on disk: `corpora/<name>/`, written whole or not at all.

posts.parquet     one row a post, columns as the fields of `records.CorpusPost`, in the order of their uris
dropped.parquet   the posts left out: `uri`, `reason`
report.html       what a person looks at
manifest.json     inputs, settings, counts, and `hash`: SHA-256 of the posts' content

`.lineage/<hash>.parquet` keeps which posts (`uri`, `split`, no words) every version of a corpus was made of, so that it
can be said of a model what it learned, also when the corpus has changed since. What has a tombstone is not read.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

import orjson

from pasquin.errors import CorpusError, WorkspaceError, disk_errors, says_full
from pasquin.records import CorpusPost, SplitName
from pasquin.workspace import Workspace
from pasquin.workspace.files import make_folder, read_manifest, replacing, sync, write_manifest
from pasquin.workspace.shards import glob_literal
from pasquin.workspace.tombstones import read_tombstones

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

POSTS: Final = "posts.parquet"
DROPPED: Final = "dropped.parquet"
REPORT: Final = "report.html"
SPLITS: Final[tuple[SplitName, ...]] = ("train", "validation", "test")
COLUMNS: Final = tuple(field.name for field in fields(CorpusPost))
_BY_NAME: Final = tuple(sorted(COLUMNS))

_TYPES: Final = {
    **dict.fromkeys(COLUMNS, "VARCHAR"),
    "cluster": "BIGINT",
    "created_at": "TIMESTAMP",
    "likes": "BIGINT",
    "reposts": "BIGINT",
}


def read_corpus(workspace: Workspace, name: str, split: SplitName | None = None) -> list[CorpusPost]:
    """The posts of a complete corpus, or of one split of it, in a fixed order, without what was forgotten since.

    Raises CorpusError when the corpus is missing, unfinished or damaged.
    """
    where = "WHERE split = ?" if split else ""
    rows = _rows(
        workspace, name, POSTS, f"{', '.join(COLUMNS)} FROM corpus {where} ORDER BY uri", [split] if split else []
    )
    forgotten = read_tombstones(workspace).uris
    return [_post(row) for row in rows if row[0] not in forgotten]


def forgotten_posts(workspace: Workspace, name: str) -> list[str]:
    """URIs of posts that stand in a corpus although they have a tombstone. Raises CorpusError."""
    forgotten = read_tombstones(workspace).uris
    return [uri for (uri,) in _rows(workspace, name, POSTS, "uri FROM corpus ORDER BY uri") if uri in forgotten]


def corpus_size(workspace: Workspace, name: str) -> int:
    """How many posts stand in the file of a complete corpus, forgotten ones included. Raises CorpusError."""
    return int(_rows(workspace, name, POSTS, "count(*) FROM corpus")[0][0])


def account_posts(workspace: Workspace, name: str, account: str) -> list[str]:
    """URIs of the posts of `account` (its stable identifier) in a corpus. Raises CorpusError."""
    rows = _rows(workspace, name, POSTS, "uri FROM corpus WHERE account = ? ORDER BY uri", [account])
    return [uri for (uri,) in rows]


def corpus_splits(workspace: Workspace, name: str, uris: Sequence[str]) -> dict[str, str]:
    """The split of each of `uris` that stands in a corpus. Raises CorpusError."""
    select = "uri, split FROM corpus WHERE uri IN (SELECT unnest(?::VARCHAR[]))"
    return dict(_rows(workspace, name, POSTS, select, [list(uris)]))


def read_dropped(workspace: Workspace, name: str) -> dict[str, str]:
    """Which posts were left out of a corpus, and why. Raises CorpusError."""
    if not (workspace.corpus_dir(name) / DROPPED).exists():
        return {}
    return dict(_rows(workspace, name, DROPPED, "uri, reason FROM corpus"))


def read_lineage(workspace: Workspace, content: str, uris: Sequence[str]) -> dict[str, str] | None:
    """The split in which each of `uris` was in the corpus whose hash is (or was) `content`; None when not known."""
    import duckdb

    path = _lineage_path(workspace, content)
    if not path.exists():
        return None
    with duckdb.connect() as database:
        rows = database.execute(
            "SELECT uri, split FROM read_parquet(?) WHERE uri IN (SELECT unnest(?::VARCHAR[]))",
            [glob_literal(path), list(uris)],
        )
        return dict(rows.fetchall())


def _lineage_path(workspace: Workspace, content: str) -> Path:
    return workspace.root / ".lineage" / f"{content}.parquet"


def _rows(
    workspace: Workspace, name: str, file: str, select: str, values: Sequence[object] = ()
) -> list[tuple[Any, ...]]:
    """What `SELECT {select}` gives on a file of a complete corpus, for which `corpus` stands. Raises CorpusError."""
    import duckdb

    workspace.corpus_manifest(name)
    path = glob_literal(workspace.corpus_dir(name) / file)
    try:
        with duckdb.connect() as database:
            query = f"WITH corpus AS (SELECT * FROM read_parquet(?)) SELECT {select}"
            return database.execute(query, [path, *values]).fetchall()
    except duckdb.Error as exc:
        raise CorpusError(
            f"The corpus `{name}` is damaged ({str(exc).splitlines()[0]}). Make it again with `pasquin prepare {name}`."
        ) from exc


def _post(row: tuple[object, ...]) -> CorpusPost:
    values = dict(zip(COLUMNS, row, strict=True))
    created_at = cast("datetime | None", values["created_at"])
    values["created_at"] = created_at.replace(tzinfo=UTC) if created_at else None
    return CorpusPost(**values)  # type: ignore[arg-type]


def write_corpus(
    workspace: Workspace,
    name: str,
    posts: Iterable[CorpusPost],
    dropped: Mapping[str, str],
    report: str,
    manifest: Mapping[str, object],
) -> dict[str, object]:
    """Write a whole corpus and put it in the place of an older one of that name; the finished manifest is returned.

    `dropped` maps uris to reasons. The folder is built beside its place and swapped in by renaming, so a failure leaves
    the old corpus; `hash` is added to `manifest`, which is written last. Raises ResourceError or WorkspaceError when
    the disk refuses.
    """
    rows = [_row(post) for post in sorted(posts, key=lambda post: post.uri)]
    complete = {**manifest, "hash": content_hash(rows)}
    with building_corpus(workspace, name) as building:
        _write_parquet(building / POSTS, rows, _TYPES)
        losses = [{"uri": uri, "reason": reason} for uri, reason in sorted(dropped.items())]
        _write_parquet(building / DROPPED, losses, {"uri": "VARCHAR", "reason": "VARCHAR"})
        (building / REPORT).write_text(report, encoding="utf-8")
        finish_corpus(workspace, name, building, complete)
    return complete


def whole_manifest(workspace: Workspace, name: str) -> dict[str, Any] | None:
    """The manifest of a corpus whose files are all there and have as many posts as it says, None otherwise."""
    import duckdb

    folder = workspace.corpus_dir(name)
    try:
        manifest: dict[str, Any] | None = read_manifest(folder)
        if manifest is None or not all((folder / file).exists() for file in (DROPPED, REPORT)):
            return None
        with duckdb.connect() as database:
            posts = database.execute("SELECT count(*) FROM read_parquet(?)", [glob_literal(folder / POSTS)]).fetchone()
        return manifest if posts == (manifest["counts"]["kept"],) else None
    except (WorkspaceError, duckdb.Error, KeyError, TypeError):
        return None


@contextmanager
def building_corpus(workspace: Workspace, name: str) -> Iterator[Path]:
    """A folder beside the place of a corpus, to be filled and then put there by `finish_corpus`; removed in the end.

    Raises ResourceError or WorkspaceError when the disk refuses.
    """
    import duckdb

    final = workspace.corpus_dir(name)
    building = final.with_name(f".{name}.building")
    with disk_errors(f"write the corpus `{name}`"):
        shutil.rmtree(building, ignore_errors=True)
        make_folder(building)
        try:
            yield building
        except duckdb.IOException as exc:
            raise OSError(_errno_of(exc), str(exc).splitlines()[0]) from exc
        finally:
            shutil.rmtree(building, ignore_errors=True)


def finish_corpus(workspace: Workspace, name: str, building: Path, manifest: Mapping[str, object]) -> None:
    """Put a folder with posts, dropped posts and report in the place of the corpus; the manifest is written last."""
    import duckdb

    for file in (POSTS, DROPPED, REPORT):
        sync(building / file)
    write_manifest(building, manifest)
    with replacing(_lineage_path(workspace, str(manifest["hash"]))) as temporary, duckdb.connect() as database:
        posts = database.read_parquet(glob_literal(building / POSTS))
        posts.project("uri, split").write_parquet(str(temporary), compression="zstd")
    _replace_folder(building, workspace.corpus_dir(name))


def content_hash(rows: Iterable[Mapping[str, Any]]) -> str:
    """SHA-256, in hexadecimal, of rows in their order: the same content has the same hash, however it is stored."""
    return hashlib.sha256(content(rows)).hexdigest()


def content(rows: Iterable[Mapping[str, Any]]) -> bytes:
    """Rows, their columns in the order of their names, as `content_hash` reads them: those of all rows of a corpus, one
    behind the other, are hashed.
    """
    options = orjson.OPT_NAIVE_UTC | orjson.OPT_UTC_Z | orjson.OPT_APPEND_NEWLINE
    return b"".join([orjson.dumps(row, option=options) for row in rows])


def read_rows(folder: Path, begin: int, end: int) -> list[dict[str, Any]]:
    """The posts number `begin` to `end` of the corpus that is (being) built in `folder`, for `content`.

    Times are UTC without saying so.
    """
    with _reader().cursor() as database:
        rows = database.execute(
            f"SELECT {', '.join(_BY_NAME)} FROM read_parquet(?, file_row_number = true) "
            "WHERE file_row_number BETWEEN ? AND ? ORDER BY file_row_number",
            [glob_literal(folder / POSTS), begin, end - 1],
        ).fetchall()
    return [dict(zip(_BY_NAME, row, strict=True)) for row in rows]


@cache
def _reader() -> DuckDBPyConnection:
    """DuckDB with one thread, for all that a process reads: opening it takes as long as reading a few thousand rows."""
    import duckdb

    return duckdb.connect(config={"threads": 1})


def _row(post: CorpusPost) -> dict[str, Any]:
    return {column: getattr(post, column) for column in _BY_NAME}


def _write_parquet(path: Path, rows: Sequence[Mapping[str, Any]], types: Mapping[str, str]) -> None:
    """Rows as a Parquet file, through JSON lines: DuckDB reads those far faster than row-by-row inserts."""
    import duckdb

    lines = path.with_suffix(".jsonl")
    with lines.open("wb") as handle:
        for row in rows:
            handle.write(orjson.dumps(row, option=orjson.OPT_NAIVE_UTC | orjson.OPT_UTC_Z | orjson.OPT_APPEND_NEWLINE))
    with duckdb.connect() as database:
        database.execute("SET threads = 1")  # one thread: the same rows give the same bytes
        database.read_json(str(lines), format="newline_delimited", columns=dict(types)).write_parquet(
            str(path), compression="zstd"
        )
    lines.unlink()


def _errno_of(exc: Exception) -> int:
    import errno

    return errno.ENOSPC if says_full(exc) else errno.EIO


def clear_leftovers(workspace: Workspace) -> None:
    """Remove what a killed `write_corpus` left; a corpus it was just replacing is put back. Hold the lock `prepare`."""
    folder = workspace.root / "corpora"
    with disk_errors("clear up after a killed run"):
        for old in sorted(folder.glob(".*.old")):
            final = folder / old.name[1:].removesuffix(".old")
            if final.exists():
                shutil.rmtree(old)
            else:
                os.replace(old, final)
        for building in folder.glob(".*.building"):
            shutil.rmtree(building)
        shutil.rmtree(preparing_dir(workspace), ignore_errors=True)


def preparing_dir(workspace: Workspace) -> Path:
    """Where corpora that are not finished yet have what is done of them, with the words of posts in it."""
    return workspace.root / ".preparing"


def _replace_folder(building: Path, final: Path) -> None:
    old = final.with_name(f".{final.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if final.exists():
        os.replace(final, old)
    os.replace(building, final)
    sync(final.parent)
    shutil.rmtree(old, ignore_errors=True)
