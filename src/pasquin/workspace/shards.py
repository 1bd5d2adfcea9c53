"""Posts as Parquet shards: `posts/<network>/<account>/<number>.parquet`, read and written with DuckDB.

A shard holds the posts of one page; the source's cursor after that page is in the file's metadata. A shard is written
under a temporary name, synced and renamed, so page and cursor are committed together.
"""

from __future__ import annotations

from typing import Final

from pasquin.workspace import Workspace

COLUMNS: Final[dict[str, str]] = {
    "uri": "VARCHAR",
    "network": "VARCHAR",
    "account": "VARCHAR",
    "handle": "VARCHAR",
    "text": "VARCHAR",
    "created_at": "TIMESTAMP",
    "lang": "VARCHAR",
    "reply_to": "VARCHAR",
    "is_repost": "BOOLEAN",
    "likes": "BIGINT",
    "reposts": "BIGINT",
    "url": "VARCHAR",
    "rights": "VARCHAR",
}
"""Columns of a shard, in order, with their DuckDB types; `created_at` is UTC. They are the fields of `records.Post`."""


def has_posts(workspace: Workspace) -> bool:
    """Whether anything was ever collected here."""
    return next(workspace.posts.glob("*/*/*.parquet"), None) is not None


def posts_query(workspace: Workspace) -> str:
    """SQL (a parenthesised SELECT) over all collected posts of the workspace, one row a uri, columns as `COLUMNS`.

    Call `has_posts` first: DuckDB refuses a pattern that matches no file.
    """
    pattern = str(workspace.posts / "*" / "*" / "*.parquet").replace("'", "''")
    columns = ", ".join(COLUMNS)
    return f"(SELECT {columns} FROM read_parquet('{pattern}', union_by_name = true) QUALIFY row_number() OVER (PARTITION BY uri) = 1)"
