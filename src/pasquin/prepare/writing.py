"""The corpus on the disk, of what was decided: DuckDB joins and sorts, workers read through what came of it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pasquin.prepare.inputs import ORDERED, database
from pasquin.prepare.parts import CODES, PART, texts_pattern
from pasquin.prepare.report import Summary, summarised
from pasquin.prepare.splits import SPLITS
from pasquin.workers import Workers
from pasquin.workspace.corpora import DROPPED, POSTS, content, read_rows
from pasquin.workspace.shards import sql_text

if TYPE_CHECKING:
    import numpy as np
    from duckdb import DuckDBPyConnection
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Decided:
    """What becomes of every post, by position: `reasons` (codes, 0: kept) of all; of the kept ones their `positions`,
    `splits` and `clusters`.
    """

    reasons: NDArray[np.uint8]
    positions: NDArray[np.int64]
    splits: NDArray[np.uint8]
    clusters: NDArray[np.int64]

    def dropped(self) -> dict[str, int]:
        """How many are dropped for which reason, in the order of the reasons."""
        import numpy as np

        counts = np.bincount(self.reasons, minlength=max(CODES.values()) + 1).tolist()
        return {reason: counts[code] for reason, code in CODES.items() if counts[code]}


_NAMES: Final = "[" + ", ".join(sql_text(name) for name in SPLITS) + "]"
_REASONS: Final = "[" + ", ".join(sql_text(reason) for reason in CODES) + "]"


def write_posts(
    folder: Path, parts: Path, decided: Decided, building: Path, memory_mb: int, threads: int | None
) -> dict[str, Any]:
    """Write both Parquet files of the corpus into `building`; what the manifest says of them is returned."""
    import numpy as np

    ordered = f"read_parquet({sql_text(str(folder / ORDERED))}, file_row_number = true)"
    with database(folder, memory_mb, threads) as connection:  # rows in order are the same bytes with any threads
        kept = {"position": decided.positions, "split": decided.splits, "cluster": decided.clusters}
        connection.register("kept", kept)
        gone = np.flatnonzero(decided.reasons)
        connection.register("gone", {"position": gone, "reason": decided.reasons[gone]})
        connection.execute(
            f"""
            COPY (
                SELECT uri, account, handle, texts.text AS text, ({_NAMES})[kept.split + 1] AS split,
                    kept.cluster::BIGINT AS cluster, created_at, lang, likes, reposts, url, rights
                FROM {ordered} AS post
                JOIN kept ON kept.position = post.file_row_number
                JOIN read_parquet({texts_pattern(parts)}) AS texts ON texts.position = post.file_row_number
                ORDER BY uri
            ) TO {sql_text(str(building / POSTS))} (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {PART})
            """
        )
        connection.execute(
            f"""
            COPY (
                SELECT uri, ({_REASONS})[gone.reason] AS reason FROM {ordered} AS post
                JOIN gone ON gone.position = post.file_row_number ORDER BY uri
            ) TO {sql_text(str(building / DROPPED))} (FORMAT parquet, COMPRESSION zstd)
            """
        )
        return _counts(connection, building, ordered)


def _counts(connection: DuckDBPyConnection, building: Path, ordered: str) -> dict[str, Any]:
    posts = f"read_parquet({sql_text(str(building / POSTS))})"
    kept, clusters, characters, size = connection.execute(
        f"SELECT count(*), count(DISTINCT cluster), sum(length(text)), sum(strlen(text)) FROM {posts}"
    ).fetchall()[0]
    columns = ", ".join(f"count(*) FILTER (kept.split = {number})" for number in range(len(SPLITS)))
    accounts = connection.execute(  # oldest first: the last handle is the newest
        f"SELECT account, arg_max(handle, post.file_row_number), count(*) AS posts, {columns} FROM {ordered} AS post "
        "JOIN kept ON kept.position = post.file_row_number GROUP BY account ORDER BY posts DESC, account"
    ).fetchall()
    rights = connection.execute(f"SELECT rights, count(*) FROM {posts} GROUP BY ALL ORDER BY ALL").fetchall()
    return {
        "counts": {"kept": kept, "clusters": clusters, "characters": int(characters), "bytes": int(size)},
        "accounts": [
            {"account": account, "handle": handle, "posts": count, **dict(zip(SPLITS, splits, strict=True))}
            for account, handle, count, *splits in accounts
        ],
        "rights": dict(rights),
    }


def read_through(building: Path, posts: int, workers: Workers) -> tuple[str, Summary]:
    """The hash of the content of the posts that were written, and what the report says of them."""
    digest, summary = hashlib.sha256(), Summary()
    jobs = [(building, begin, min(begin + PART, posts)) for begin in range(0, posts, PART)]
    for written, some in workers.map(_read, jobs):
        digest.update(written)
        summary.add(some)
    return digest.hexdigest(), summary


def _read(job: tuple[Path, int, int]) -> tuple[bytes, Summary]:
    rows = read_rows(*job)
    return content(rows), summarised(rows)
