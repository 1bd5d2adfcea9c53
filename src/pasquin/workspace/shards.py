"""Posts as Parquet shards: `posts/<network>/<account>/<number>.parquet`, read and written with DuckDB.

A shard holds the posts of one page; the source's cursor after that page is in the file's metadata. A shard is written
under a temporary name, synced and renamed, so page and cursor are committed together. When a page has very many
accounts with a few posts each, those share a shard in `_shared` instead of having a folder each.

`posts/lists/<name>.json` remembers which accounts a source list gave.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import orjson

from pasquin.errors import ResourceError, WorkspaceError, disk_errors
from pasquin.records import Post, Rights
from pasquin.workspace import Workspace, check_name
from pasquin.workspace.files import replacing, write_atomically

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

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

SHARED: Final = "_shared"
"""Folder, beside the accounts' own, for shards of many small accounts."""
_SMALL: Final = 50
"""Posts of a page below which an account counts as small."""
_MANY: Final = 50
"""Small accounts of a page from which they share a shard."""
_PAGE_OPTIONS: Final = orjson.OPT_APPEND_NEWLINE | orjson.OPT_UTC_Z


def has_posts(workspace: Workspace) -> bool:
    """Whether anything was ever collected here."""
    return next(workspace.posts.glob("*/*/*.parquet"), None) is not None


def posts_query(workspace: Workspace) -> str:
    """SQL (a parenthesised SELECT) over all collected posts of the workspace, one row a uri, columns as `COLUMNS`.

    Call `has_posts` first: DuckDB refuses a pattern that matches no file.
    """
    pattern = _text(f"{glob_literal(workspace.posts)}/*/*/*.parquet")
    return (
        f"(SELECT {', '.join(COLUMNS)} FROM read_parquet({pattern}, union_by_name = true) "
        "QUALIFY row_number() OVER (PARTITION BY uri) = 1)"
    )


def fetch_posts(workspace: Workspace, sql: str) -> list[tuple[Any, ...]]:
    """Rows of a query on all collected posts, for which `{posts}` stands in `sql`; none when nothing was collected.

    Raises WorkspaceError when a shard cannot be read.
    """
    import duckdb

    if not has_posts(workspace):
        return []
    try:
        with duckdb.connect() as database:
            return database.execute(sql.replace("{posts}", posts_query(workspace))).fetchall()
    except duckdb.Error as exc:
        raise WorkspaceError(
            f"The collected posts cannot be read ({str(exc).splitlines()[0]}). "
            "Move the damaged file in `posts/` away and collect its source again."
        ) from exc


def glob_literal(path: Path) -> str:
    """A path as a DuckDB pattern that means just that path."""
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in str(path))


def folder_name(account: str) -> str:
    """The folder of an account: its id where that can be a name, percent-encoded (and cut, with a hash) otherwise."""
    name = quote(account, safe="")
    if name.startswith((".", "_")):
        name = f"%{ord(name[0]):02X}{name[1:]}"
    return name if len(name) <= 120 else f"{name[:80]}%{sha256(account.encode()).hexdigest()[:32]}"


@dataclass(frozen=True, slots=True)
class Appended:
    """What became of a page: how many posts were `new`, and which could not be stored, with the reason."""

    new: int
    refused: tuple[tuple[Post, str], ...] = ()


class ShardWriter:
    """Adds pages of posts to a workspace. Hold the lock `collect` meanwhile; make one with `open_shards`."""

    def __init__(self, workspace: Workspace, database: DuckDBPyConnection) -> None:
        self._workspace = workspace
        self._database = database

    def append(
        self, posts: Sequence[Post], source: str, cursor: str | None = None, rights: Rights | None = None
    ) -> Appended:
        """Store the posts that are not there yet, a shard for each account, with `source` and `cursor` in each.

        `rights`, when given, replaces what the posts say. When this returns, the posts are on the disk. Raises
        ResourceError when the disk is full, WorkspaceError when a shard that is there cannot be read.
        """
        accounts = {(post.network, post.account) for post in posts}
        incoming = self._workspace.posts / ".incoming.tmp"
        with _write_errors():
            try:
                refused = _write_page(posts, incoming)
                self._load(incoming, list(self._shards_of(accounts)), rights)
            finally:
                incoming.unlink(missing_ok=True)
            rows = self._database.execute("SELECT network, account, count(*) FROM page GROUP BY ALL ORDER BY ALL")
            counts: list[tuple[str, str, int]] = rows.fetchall()
            for folder, where in self._plan(counts):
                self._write_shard(folder, where, source, cursor)
        return Appended(sum(count for *_, count in counts), refused)

    def _shards_of(self, accounts: Iterable[tuple[str, str]]) -> Iterator[str]:
        """The shards in which posts of these accounts can be."""
        folders = {self._workspace.posts / network / folder_name(account) for network, account in accounts}
        folders |= {folder.parent / SHARED for folder in folders}
        for folder in sorted(folders):
            yield from (glob_literal(path) for path in sorted(folder.glob("*.parquet")))

    def _load(self, incoming: Path, shards: list[str], rights: Rights | None) -> None:
        """Make the table `page` of the posts in `incoming` that no shard has."""
        columns = ", ".join(f"{_text(name)}: {_text(kind)}" for name, kind in COLUMNS.items())
        replaced = f"REPLACE ({_text(rights)} AS rights)" if rights else ""
        known = "WHERE uri NOT IN (SELECT uri FROM read_parquet($shards))" if shards else ""
        self._database.execute(
            f"""
            CREATE OR REPLACE TEMP TABLE page AS
            SELECT * FROM (
                SELECT * {replaced}, row_number() OVER () AS position
                FROM read_json($incoming, format = 'newline_delimited', columns = {{{columns}}})
            ) {known}
            QUALIFY row_number() OVER (PARTITION BY uri ORDER BY position) = 1
            """,
            {"incoming": glob_literal(incoming)} | ({"shards": shards} if shards else {}),
        )

    def _plan(self, counts: list[tuple[str, str, int]]) -> Iterator[tuple[Path, str]]:
        """Folders to write a shard into, each with the SQL condition of its posts."""
        small = {(network, account) for network, account, count in counts if count < _SMALL}
        if len(small) < _MANY:
            small = set()
        for network, account, _ in counts:
            if (network, account) not in small:
                folder = self._workspace.posts / network / folder_name(account)
                yield folder, f"network = {_text(network)} AND account = {_text(account)}"
        for network in sorted({network for network, _ in small}):
            names = ", ".join(_text(account) for other, account in sorted(small) if other == network)
            yield self._workspace.posts / network / SHARED, f"network = {_text(network)} AND account IN ({names})"

    def _write_shard(self, folder: Path, where: str, source: str, cursor: str | None) -> None:
        numbers = [int(path.stem) for path in folder.glob("*.parquet") if path.stem.isdecimal()]
        metadata = f"source: {_text(source)}" + (f", cursor: {_text(cursor)}" if cursor is not None else "")
        with replacing(folder / f"{max(numbers, default=0) + 1:06d}.parquet") as temporary:
            self._database.execute(
                f"COPY (SELECT {', '.join(COLUMNS)} FROM page WHERE {where} ORDER BY position) TO {_text(temporary)} "
                f"(FORMAT parquet, COMPRESSION zstd, USE_TMP_FILE false, KV_METADATA {{{metadata}}})"
            )

    def state(self, source: str) -> tuple[str | None, set[tuple[str, str]]]:
        """The cursor after the last committed page of `source` (None: none), and whose posts its pages held."""
        if not has_posts(self._workspace):
            return None, set()
        pattern = f"{glob_literal(self._workspace.posts)}/*/*/*.parquet"
        with _write_errors():
            rows = self._database.execute(
                """
                SELECT file_name, max(value) FILTER (key = 'cursor'::BLOB) AS cursor
                FROM parquet_kv_metadata($pattern) GROUP BY file_name
                HAVING cursor IS NOT NULL AND bool_or(key = 'source'::BLOB AND value = encode($source))
                ORDER BY parse_filename(file_name) DESC
                """,
                {"pattern": pattern, "source": source},
            ).fetchall()
            if not rows:
                return None, set()
            shards = [glob_literal(Path(name)) for name, _ in rows]
            pairs = self._database.execute("SELECT DISTINCT network, account FROM read_parquet(?)", [shards])
            return bytes(rows[0][1]).decode(), {(network, account) for network, account in pairs.fetchall()}


@contextmanager
def open_shards(workspace: Workspace) -> Iterator[ShardWriter]:
    """A writer of shards; what a killed writer left unfinished is removed first.

    Raises WorkspaceError or ResourceError when the workspace cannot be written.
    """
    import duckdb

    with _write_errors():
        workspace.posts.mkdir(exist_ok=True)
        for pattern in (".*.tmp", "*/*/.*.tmp", "lists/.*.tmp"):
            for leftover in workspace.posts.glob(pattern):
                leftover.unlink(missing_ok=True)
    with duckdb.connect(config={"temp_directory": str(workspace.posts / ".spill")}) as database:
        yield ShardWriter(workspace, database)


def _write_page(posts: Iterable[Post], path: Path) -> tuple[tuple[Post, str], ...]:
    """Write posts as JSON lines, each checked to be storable; return the others."""
    refused: list[tuple[Post, str]] = []
    with path.open("wb", buffering=2**20) as handle:
        for post in posts:
            try:
                handle.write(orjson.dumps(post, option=_PAGE_OPTIONS))
            except TypeError as exc:
                refused.append((post, f"it cannot be stored: {exc}"))
    return tuple(refused)


def _text(value: object) -> str:
    """A value as an SQL text."""
    return "'" + str(value).replace("'", "''") + "'"


@contextmanager
def _write_errors() -> Iterator[None]:
    """Translate what DuckDB and the disk raise."""
    import duckdb

    try:
        with disk_errors("write the collected posts"):
            yield
    except RuntimeError as exc:  # DuckDB's way of passing Ctrl-C on
        if "interrupted" in str(exc).lower():
            raise KeyboardInterrupt from exc
        raise
    except duckdb.Error as exc:
        reason = str(exc).splitlines()[0]
        if "No space left" in reason or "Disk quota" in reason:
            raise ResourceError(
                "Could not write the collected posts: the disk is full. Free some space and run the same command "
                "again; nothing that was finished is lost."
            ) from exc
        raise WorkspaceError(
            f"The collected posts could not be read or written ({reason}). If a shard under `posts/` is damaged, "
            "move it away and collect its source again."
        ) from exc


def read_list(workspace: Workspace, name: str) -> list[tuple[str, str]]:
    """The (network, account) pairs that the source list `name` gave in all runs, sorted.

    Raises WorkspaceError, naming the lists there are, when it was never collected.
    """
    path = _list_path(workspace, name)
    try:
        pairs = json.loads(path.read_text(encoding="utf-8"))["accounts"]
        return sorted((str(network), str(account)) for network, account in pairs)
    except FileNotFoundError as exc:
        there = ", ".join(sorted(found.stem for found in path.parent.glob("*.json"))) or "none yet"
        raise WorkspaceError(
            f"No source list `{name}` was collected here (there are: {there}). "
            f"Collect it with `pasquin collect @sources/{name}.txt`."
        ) from exc
    except (OSError, ValueError, KeyError, TypeError) as exc:
        raise WorkspaceError(f"{path} is damaged. Remove it and collect `@sources/{name}.txt` again.") from exc


def add_to_list(workspace: Workspace, name: str, accounts: Iterable[tuple[str, str]]) -> None:
    """Remember that the source list `name` gave posts of these (network, account) pairs too."""
    path = _list_path(workspace, name)
    known = set(read_list(workspace, name)) if path.exists() else set()
    wanted = known | set(accounts)
    if wanted == known:
        return
    content = {"list": name, "accounts": [list(pair) for pair in sorted(wanted)]}
    with disk_errors("write the source list's accounts"):
        write_atomically(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def _list_path(workspace: Workspace, name: str) -> Path:
    return workspace.posts / "lists" / f"{check_name(name, 'source list')}.json"
