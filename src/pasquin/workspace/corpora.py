"""Reading a corpus: `corpora/<name>/posts.parquet`, one row a post, columns as the fields of `records.CorpusPost`."""

from __future__ import annotations

from dataclasses import fields
from datetime import UTC, datetime
from typing import Final, cast

from pasquin.errors import CorpusError
from pasquin.records import CorpusPost, SplitName
from pasquin.workspace import Workspace

POSTS: Final = "posts.parquet"
SPLITS: Final[tuple[SplitName, ...]] = ("train", "validation", "test")
COLUMNS: Final = tuple(field.name for field in fields(CorpusPost))


def read_corpus(workspace: Workspace, name: str, split: SplitName | None = None) -> list[CorpusPost]:
    """The posts of a complete corpus, or of one split of it, in a fixed order.

    Raises CorpusError when the corpus is missing, unfinished or damaged.
    """
    import duckdb

    workspace.corpus_manifest(name)
    path = workspace.corpus_dir(name) / POSTS
    where = "WHERE split = ?" if split else ""
    columns = ", ".join(COLUMNS)
    try:
        with duckdb.connect() as database:
            rows = database.execute(
                f"SELECT {columns} FROM read_parquet(?) {where} ORDER BY uri", [str(path), *([split] if split else [])]
            ).fetchall()
    except duckdb.Error as exc:
        raise CorpusError(
            f"The corpus `{name}` is damaged ({str(exc).splitlines()[0]}). Make it again with `pasquin prepare {name}`."
        ) from exc
    return [_post(row) for row in rows]


def _post(row: tuple[object, ...]) -> CorpusPost:
    values = dict(zip(COLUMNS, row, strict=True))
    created_at = cast("datetime | None", values["created_at"])
    values["created_at"] = created_at.replace(tzinfo=UTC) if created_at else None
    return CorpusPost(**values)  # type: ignore[arg-type]
