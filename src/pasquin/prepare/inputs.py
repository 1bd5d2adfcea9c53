"""Which collected posts a corpus is made of, and all of them in one file in the order in which they are judged."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import orjson

from pasquin import __version__
from pasquin.errors import CorpusError, UsageError, WorkspaceError, disk_full, says_full
from pasquin.workspace import Workspace
from pasquin.workspace.files import write_atomically
from pasquin.workspace.lists import read_list
from pasquin.workspace.rights import permitted
from pasquin.workspace.shards import COLUMNS, fetch_posts, has_posts, shard_names, sql_text, stored_rows
from pasquin.workspace.tombstones import tombstones_state

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

ORDERED: Final = "ordered.parquet"
_FACTS: Final = "ordered.json"
_NAMED = 8
_ROW_GROUP: Final = 20_480


def selected_accounts(
    workspace: Workspace, accounts: Sequence[str], lists: Sequence[str]
) -> set[tuple[str, str]] | None:
    """The (network, account) pairs that handles, ids and source lists stand for; None, all, when none is given.

    Raises UsageError when an account was never collected, and CorpusError when nothing was.
    """
    if not has_posts(workspace):
        raise CorpusError("Nothing was collected here yet. Collect posts first, with `pasquin collect SOURCE`.")
    if not accounts and not lists:
        return None
    chosen: set[tuple[str, str]] = set()
    for name in lists:
        chosen.update(read_list(workspace, name))
    if accounts:
        known = fetch_posts(workspace, "SELECT DISTINCT network, account, handle FROM {posts} ORDER BY ALL")
        for wanted in accounts:
            chosen.update(_matching(wanted, known))
    return chosen


def _matching(wanted: str, known: Iterable[tuple[str, str, str]]) -> set[tuple[str, str]]:
    name = wanted.casefold().lstrip("@")
    found = {
        (network, account)
        for network, account, handle in known
        if name in {part.casefold().lstrip("@") for part in (handle, account)}
        or wanted.casefold() in {f"{network}:{part}".casefold() for part in (handle, account)}
    }
    if not found:
        handles = sorted({handle for _, _, handle in known})
        more = f" and {len(handles) - _NAMED:,} more" if len(handles) > _NAMED else ""
        raise UsageError(
            f"No posts of an account `{wanted}` were collected here; there are {', '.join(handles[:_NAMED])}{more}."
        )
    return found


@dataclass(frozen=True)
class Ordered:
    """The posts in `file`, with their `position` in it (a column, from 0), `owner` (a number of the account) and
    `is_reply` (to somebody else); how many, a `hash` of all that is in them, and how many with which rights.
    """

    file: Path
    posts: int
    hash: str
    rights: dict[str, int]


def database(folder: Path, memory_mb: int, threads: int | None) -> DuckDBPyConnection:
    """DuckDB with bounds; what does not fit into the memory goes to `folder`."""
    import duckdb

    connection = duckdb.connect()
    connection.execute(f"SET memory_limit = '{memory_mb}MB'")
    if threads is not None:
        connection.execute(f"SET threads = {threads}")
    connection.execute(f"SET temp_directory = {sql_text(str(folder / 'spilled'))}")
    return connection


def order_posts(
    workspace: Workspace,
    accounts: set[tuple[str, str]] | None,
    stated: Mapping[str, str],
    folder: Path,
    memory_mb: int,
    threads: int | None,
) -> Ordered:
    """Collected posts of `accounts` (None: of all), oldest first, those without a time last, as a file in `folder`.

    A reply to a post of the same account, of those that may be used (`stated`), continues a thread and is none. What
    an earlier run left in `folder` is used when it was made of the same shards, and removed otherwise. Raises
    WorkspaceError when a shard is damaged, ResourceError when the disk is full.
    """
    import duckdb

    key = _key(workspace, accounts, stated)
    facts = folder / _FACTS
    if facts.exists():
        known = orjson.loads(facts.read_bytes())
        if known.pop("key") == key:
            return Ordered(file=folder / ORDERED, **known)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    there = shard_names(workspace)
    try:
        with database(folder, memory_mb, threads) as connection:
            ordered = _order(connection, workspace, accounts, stated, folder / ORDERED)
    except duckdb.Error as exc:
        if says_full(exc):
            raise disk_full(f"order the posts in {folder}") from exc
        if shard_names(workspace) != there:  # a collector merged some meanwhile
            return order_posts(workspace, accounts, stated, folder, memory_mb, threads)
        raise WorkspaceError(
            f"The collected posts cannot be read ({str(exc).splitlines()[0]}). "
            "Move the damaged file in `posts/` away and collect its source again."
        ) from exc
    plain = asdict(ordered)
    del plain["file"]
    write_atomically(facts, orjson.dumps({**plain, "key": key}))
    return ordered


def _key(workspace: Workspace, accounts: set[tuple[str, str]] | None, stated: Mapping[str, str]) -> str:
    """What an ordered file was made of, cheap to ask: it changes whenever a shard does."""
    shards = []
    for path in sorted(shard_names(workspace)):
        status = path.stat()
        shards.append((path.relative_to(workspace.posts).as_posix(), status.st_size, status.st_mtime_ns))
    chosen = sorted(accounts) if accounts is not None else None
    parts = [__version__, shards, tombstones_state(workspace), chosen, sorted(stated)]
    return hashlib.sha256(orjson.dumps(parts)).hexdigest()


def _order(
    connection: DuckDBPyConnection,
    workspace: Workspace,
    accounts: set[tuple[str, str]] | None,
    stated: Mapping[str, str],
    file: Path,
) -> Ordered:
    connection.execute("CREATE TEMP TABLE chosen (network VARCHAR, account VARCHAR)")
    where = ""
    if accounts is not None:
        if accounts:
            connection.executemany("INSERT INTO chosen VALUES (?, ?)", [list(pair) for pair in sorted(accounts)])
        where = "WHERE (network, account) IN (SELECT (network, account) FROM chosen)"
    connection.execute(f"CREATE TEMP VIEW posts AS SELECT * FROM {stored_rows(workspace)} {where}")
    unique = connection.execute("SELECT count(*) = count(DISTINCT uri) FROM posts").fetchone()
    once = "" if unique and unique[0] else "QUALIFY row_number() OVER (PARTITION BY uri) = 1"
    connection.execute(
        "CREATE TEMP TABLE owners AS SELECT network, account, "
        "(row_number() OVER (ORDER BY network, account) - 1)::INTEGER AS owner FROM posts GROUP BY network, account"
    )
    rights = dict(connection.execute("SELECT rights, count(*) FROM posts GROUP BY ALL ORDER BY ALL").fetchall())
    usable = ", ".join(sql_text(name) for name in rights if permitted(name, stated)) or "NULL"
    connection.execute(
        f"""
        CREATE TEMP TABLE continued AS SELECT DISTINCT uri, network, account FROM posts
        WHERE rights IN ({usable}) AND uri IN (SELECT reply_to FROM posts WHERE reply_to IS NOT NULL)
        """
    )
    columns = ", ".join(f"post.{name}" for name in COLUMNS)
    connection.execute(
        f"""
        COPY (
            SELECT {columns}, owner, reply_to IS NOT NULL AND continued.uri IS NULL AS is_reply
            FROM (SELECT * FROM posts {once}) AS post
            JOIN owners USING (network, account)
            LEFT JOIN continued ON continued.uri = post.reply_to
                AND continued.network = post.network AND continued.account = post.account
            ORDER BY post.created_at NULLS LAST, post.uri
        ) TO {sql_text(str(file))} (FORMAT parquet, COMPRESSION snappy, ROW_GROUP_SIZE {_ROW_GROUP})
        """
    )
    # DuckDB's own hash, which may be another in another version: its version is kept beside it.
    found = connection.execute(
        f"SELECT count(*), bit_xor(hash({', '.join(COLUMNS)})) FROM read_parquet({sql_text(str(file))})"
    ).fetchone()
    posts, combined = found or (0, 0)
    if once:
        counted = connection.execute(
            f"SELECT rights, count(*) FROM read_parquet({sql_text(str(file))}) GROUP BY ALL ORDER BY ALL"
        )
        rights = dict(counted.fetchall())
    return Ordered(file, posts, f"{combined or 0:016x}", rights)
