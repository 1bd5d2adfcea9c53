"""Posts as Parquet shards: `posts/<network>/<account>/<number>.parquet`, read and written with DuckDB.

A shard holds the posts of one page by one account, and the source they came from in its metadata. It is written under
a temporary name, synced and renamed, so it is whole or not there. When a page has very many accounts with a few posts
each, those share a shard in `_shared` instead of having a folder each; many small shards are merged into one. What has
a tombstone is neither stored nor seen.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import orjson

from pasquin.errors import Interrupted, WorkspaceError, disk_errors, disk_full, says_full
from pasquin.records import Post, Rights
from pasquin.workspace import Workspace
from pasquin.workspace.files import make_folder, replacing, sync
from pasquin.workspace.post_table import PostTable, open_memory
from pasquin.workspace.tombstones import read_tombstones, tombstones_path

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
_SMALL_SHARD: Final = 256 * 2**10
"""Bytes of a shard below which it counts as small."""
_MERGED_FROM: Final = 32
"""Small shards in a folder from which they are merged."""
_PAGE_OPTIONS: Final = orjson.OPT_APPEND_NEWLINE | orjson.OPT_UTC_Z


def has_posts(workspace: Workspace) -> bool:
    """Whether anything was ever collected here."""
    return next(workspace.posts.glob("*/*/*.parquet"), None) is not None


def posts_query(workspace: Workspace) -> str:
    """SQL (a parenthesised SELECT) over all collected posts of the workspace, one row a uri, columns as `COLUMNS`.

    Posts with a tombstone are left out here, and so everywhere. Call `has_posts` first: DuckDB refuses a pattern that
    matches no file. Raises WorkspaceError when the tombstones cannot be read.
    """
    return f"(FROM {stored_rows(workspace)} QUALIFY row_number() OVER (PARTITION BY uri) = 1)"


def stored_rows(workspace: Workspace) -> str:
    """As `posts_query`, but a post that is in two shards (a killed merge) is there twice: cheaper on very many."""
    pattern = sql_text(f"{glob_literal(workspace.posts)}/*/*/*.parquet")
    where = f"WHERE NOT {forgotten_condition(workspace)}" if read_tombstones(workspace) else ""
    return f"(SELECT {', '.join(COLUMNS)} FROM read_parquet({pattern}, union_by_name = true) AS post {where})"


def forgotten_condition(workspace: Workspace) -> str:
    """SQL condition: there is a tombstone for the row `post` (call `read_tombstones` first: the file must be sound)."""
    file = sql_text(glob_literal(tombstones_path(workspace)))
    stones = (
        f"read_json({file}, format = 'newline_delimited', ignore_errors = true, "
        "columns = {uri: 'VARCHAR', network: 'VARCHAR', account: 'VARCHAR'})"
    )
    return (
        f"(post.uri IN (SELECT uri FROM {stones} WHERE uri IS NOT NULL) OR (post.network || ' ' || post.account) IN "
        f"(SELECT network || ' ' || account FROM {stones} WHERE account IS NOT NULL))"
    )


def fetch_posts(workspace: Workspace, sql: str) -> list[tuple[Any, ...]]:
    """Rows of a query on all collected posts, for which `{posts}` stands in `sql`; none when nothing was collected.

    Raises WorkspaceError when a shard cannot be read.
    """
    import duckdb

    if not has_posts(workspace):
        return []
    there = shard_names(workspace)
    try:
        with duckdb.connect() as database:
            return database.execute(sql.replace("{posts}", posts_query(workspace))).fetchall()
    except duckdb.Error as exc:
        if shard_names(workspace) != there:  # a collector merged some meanwhile
            return fetch_posts(workspace, sql)
        raise WorkspaceError(
            f"The collected posts cannot be read ({str(exc).splitlines()[0]}). "
            "Move the damaged file in `posts/` away and collect its source again."
        ) from exc


def shard_names(workspace: Workspace) -> set[Path]:
    """All shards of a workspace as they are now; collecting adds and merges some."""
    return set(workspace.posts.glob("*/*/*.parquet"))


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
    """What became of a page by these `accounts`: how many posts were `new`, how many that were there are `updated`, how
    many may not come back as they have a tombstone (`forgotten`), and which could not be stored (`refused`), and why.
    """

    accounts: frozenset[tuple[str, str]]
    new: int
    updated: int = 0
    forgotten: int = 0
    refused: tuple[tuple[Post, str], ...] = ()


class ShardWriter:
    """Adds pages of posts to a workspace, for many threads. Hold the lock `collect`; make one with `open_shards`."""

    def __init__(self, workspace: Workspace, database: DuckDBPyConnection) -> None:
        self._workspace = workspace
        self._database = database
        self._lock = threading.Lock()
        self._closed = False
        self._folders: set[Path] = set()
        """Those whose posts' keys (a hash of the uri that nobody can aim at another's) are in the table `known`."""
        self._start_anew()

    def append(
        self,
        posts: Sequence[Post],
        source: str,
        *,
        rights: Rights | None = None,
        unknown: Rights = "unknown",
        current: bool = False,
    ) -> Appended:
        """Store the posts that are not there yet, a shard for each account, with `source` in its metadata.

        `rights`, when given, replaces what the posts say, `x-api` excepted, also of those that are there; otherwise
        `unknown` is put in the place of `unknown`. A post that is there is replaced when it has another text now and
        the posts are `current`, or when its author's own archive (`own-archive`) has it. When this returns, the posts
        are on the disk. Raises ResourceError when the disk is full, WorkspaceError when a shard that is there cannot
        be read.
        """
        with self._writing():
            page, refused = self._receive(posts, rights, unknown)
            forgotten = 0
            if read_tombstones(self._workspace):
                gone = self._execute(f"DELETE FROM {page} AS post WHERE {forgotten_condition(self._workspace)}")
                forgotten = int(gone[0][0])
            counts = self._counts(page)
            accounts = frozenset((network, account) for network, account, *_ in counts)
            updating = rights is not None or current or any(own for *_, own in counts)
            shards = list(self._shards_of(accounts)) if updating else []
            updated = self._update(page, shards, rights, current) if shards else 0
            if self._keep_new(page, accounts):
                counts = self._counts(page)
            try:
                for folder, query in self._plan(page, counts):
                    self._write_shard(folder, query, source)
                self._execute("INSERT INTO known FROM keys")
            except BaseException:
                self._start_anew()
                raise
        return Appended(accounts, sum(count for _, _, count, _ in counts), updated, forgotten, refused)

    def _receive(
        self, posts: Sequence[Post], rights: Rights | None, unknown: Rights
    ) -> tuple[str, tuple[tuple[Post, str], ...]]:
        """The table of the posts in their order, with what is known of their rights; and those that are refused."""
        page, refused = "incoming", tuple[tuple[Post, str], ...]()
        if isinstance(posts, PostTable):
            page = posts.name
        else:
            path = self._workspace.posts / ".incoming.tmp"
            try:
                refused = _write_page(posts, path)
                self._execute(f"CREATE OR REPLACE TEMP TABLE incoming AS FROM {_read_json(path)}")
            finally:
                path.unlink(missing_ok=True)
        if rights:  # X's API's are not ours to state
            self._execute(f"UPDATE {page} SET rights = {sql_text(rights)} WHERE rights <> 'x-api'")
        elif unknown != "unknown":
            self._execute(f"UPDATE {page} SET rights = {sql_text(unknown)} WHERE rights = 'unknown'")
        return page, refused

    def _execute(self, sql: str) -> list[tuple[Any, ...]]:
        return self._database.execute(sql).fetchall()

    def _start_anew(self) -> None:
        """Know nothing of what is stored; it is looked up when it matters."""
        self._execute("CREATE OR REPLACE TEMP TABLE known (key UHUGEINT)")
        self._folders.clear()

    def _counts(self, page: str) -> list[tuple[str, str, int, bool]]:
        """Network, account, how many posts, and whether one is from its author's own archive; for each account."""
        return self._execute(
            f"SELECT network, account, count(*), bool_or(rights = 'own-archive') FROM {page} GROUP BY ALL ORDER BY ALL"
        )

    def stored(self, network: str, account: str, prefix: str = "", rights: Rights | None = None) -> list[str]:
        """URIs of the posts of an account that are there and begin with `prefix` (and have `rights`), sorted."""
        with self._writing():
            shards = list(self._shards_of([(network, account)]))
            if not shards:
                return []
            rows = self._database.execute(
                "SELECT DISTINCT uri FROM read_parquet($shards) "
                "WHERE network = $network AND account = $account AND starts_with(uri, $prefix) "
                "AND rights = coalesce($rights, rights) ORDER BY uri",
                {"shards": shards, "network": network, "account": account, "prefix": prefix, "rights": rights},
            )
            return [uri for (uri,) in rows.fetchall()]

    def there(self, uris: Collection[str]) -> list[str]:
        """Those of `uris` that are stored, sorted."""
        with self._writing():
            if not uris or not has_posts(self._workspace):
                return []
            posts = posts_query(self._workspace)
            rows = self._database.execute(
                f"SELECT uri FROM {posts} WHERE uri IN (SELECT unnest($uris::VARCHAR[])) ORDER BY uri",
                {"uris": sorted(uris)},
            )
            return [uri for (uri,) in rows.fetchall()]

    @contextmanager
    def _writing(self) -> Iterator[None]:
        with self._lock, _write_errors():
            if self._closed:
                raise Interrupted("Collecting has ended; what was written so far is kept.")
            yield

    def close(self) -> None:
        """Wait for what is being written; nothing is from then on."""
        with self._lock:
            self._closed = True

    def _shards_of(self, accounts: Iterable[tuple[str, str]]) -> Iterator[str]:
        """The shards in which posts of these accounts can be."""
        folders = {self._workspace.posts / network / folder_name(account) for network, account in accounts}
        folders |= {folder.parent / SHARED for folder in folders}
        for folder in sorted(folders):
            yield from (glob_literal(path) for path in sorted(folder.glob("*.parquet")))

    def _keep_new(self, page: str, accounts: Iterable[tuple[str, str]]) -> bool:
        """Leave in `page` the first post of each uri that no shard has, and put the keys of these into `keys`.

        Whether others had to go.
        """
        folders = {self._workspace.posts / network / folder_name(account) for network, account in accounts}
        folders |= {folder.parent / SHARED for folder in folders}
        new = sorted(folders - self._folders)
        shards = [glob_literal(path) for folder in new for path in sorted(folder.glob("*.parquet"))]
        if shards:
            self._database.execute("INSERT INTO known SELECT md5_number(uri) FROM read_parquet(?)", [shards])
        self._folders |= folders
        self._execute(f"CREATE OR REPLACE TEMP TABLE keys AS SELECT md5_number(uri) AS key FROM {page}")
        repeated, there = self._execute(
            # `known` may be large: it is looked through for the few keys of this page, never the other way round.
            "SELECT (SELECT count(*) > count(DISTINCT key) FROM keys), "
            "(SELECT count(*) > 0 FROM known WHERE key IN (FROM keys))"
        )[0]
        if repeated:
            self._execute(f"DELETE FROM {page} WHERE rowid NOT IN (SELECT min(rowid) FROM {page} GROUP BY uri)")
        if there:
            found = "SELECT key FROM known WHERE key IN (FROM keys)"
            self._execute(f"DELETE FROM {page} WHERE md5_number(uri) IN ({found})")
        if repeated or there:
            self._execute(f"CREATE OR REPLACE TEMP TABLE keys AS SELECT md5_number(uri) AS key FROM {page}")
        return bool(repeated or there)

    def _update(self, page: str, shards: list[str], rights: Rights | None, current: bool) -> int:
        """Bring posts that are there up to those in `incoming`, shard by shard in place; how many."""
        own = "new.rights = 'own-archive'"
        if rights is None:
            whole = f"({current} AND new.text <> old.text) OR ({own} AND old.rights <> 'own-archive')"
            rights_now = f"CASE WHEN {own} THEN new.rights ELSE old.rights END"
        else:
            whole = f"({current} AND new.text <> old.text)"
            rights_now = f"CASE WHEN 'x-api' IN (old.rights, new.rights) THEN old.rights ELSE {sql_text(rights)} END"
        self._database.execute(
            f"""
            CREATE OR REPLACE TEMP TABLE changed AS
            SELECT * FROM (
                SELECT new.* REPLACE ({rights_now} AS rights),
                    {whole} AS whole, old.rights AS old_rights, old.filename AS shard
                FROM {page} AS new
                JOIN read_parquet($shards, filename = true) AS old ON old.uri = new.uri
            )
            WHERE whole OR rights <> old_rights
            QUALIFY row_number() OVER (PARTITION BY uri, shard) = 1
            """,
            {"shards": shards},
        )
        names = self._database.execute("SELECT DISTINCT shard FROM changed ORDER BY shard").fetchall()
        values = ", ".join(
            f"CASE WHEN changed.{'uri IS NOT NULL' if name == 'rights' else 'whole'} "
            f"THEN changed.{name} ELSE old.{name} END AS {name}"
            for name in COLUMNS
        )
        for (name,) in names:
            shard = f"read_parquet({sql_text(glob_literal(Path(name)))}, file_row_number = true)"
            joined = f"{shard} AS old LEFT JOIN changed ON changed.uri = old.uri AND shard = {sql_text(name)}"
            rewrite_shard(self._database, Path(name), f"SELECT {values} FROM {joined} ORDER BY file_row_number")
        return int(self._database.execute("SELECT count(*) FROM changed").fetchall()[0][0])

    def _plan(self, page: str, counts: list[tuple[str, str, int, bool]]) -> Iterator[tuple[Path, str]]:
        """Folders to write a shard into, each with the SQL of its posts, in order."""
        select = f"SELECT {', '.join(COLUMNS)} FROM {page} WHERE"
        small = {(network, account) for network, account, count, _ in counts if count < _SMALL}
        if len(small) < _MANY:
            small = set()
        for network, account, *_ in counts:
            if (network, account) not in small:
                folder = self._workspace.posts / network / folder_name(account)
                yield folder, f"{select} network = {sql_text(network)} AND account = {sql_text(account)}"
        for network in sorted({network for network, _ in small}):
            names = ", ".join(sql_text(account) for other, account in sorted(small) if other == network)
            query = (
                f"{select} network = {sql_text(network)} AND account IN ({names}) ORDER BY rowid"  # IN may be a join
            )
            yield self._workspace.posts / network / SHARED, query

    def _write_shard(self, folder: Path, query: str, source: str) -> None:
        there = [path for path in folder.glob("*.parquet") if path.stem.isdecimal()]
        number = max((int(path.stem) for path in there), default=0) + 1
        with replacing(folder / f"{number:06d}.parquet") as temporary:
            _copy(self._database, query, temporary, {"source": source})
        small = sorted(path for path in there if path.stat().st_size < _SMALL_SHARD)
        if len(small) >= _MERGED_FROM:
            self._merge(small)

    def _merge(self, small: Sequence[Path]) -> None:
        """Put the posts of small shards into the first of them; after a kill before the others went, once more."""
        names = ", ".join(sql_text(glob_literal(path)) for path in small)
        columns = ", ".join(COLUMNS)
        rewrite_shard(
            self._database,
            small[0],
            f"SELECT {columns} FROM (SELECT *, row_number() OVER (PARTITION BY uri ORDER BY filename) AS copy FROM "
            f"read_parquet([{names}], filename = true, file_row_number = true)) WHERE copy = 1 "
            "ORDER BY filename, file_row_number",
        )
        for path in small[1:]:
            path.unlink()
        sync(small[0].parent)


def rewrite_shard(database: DuckDBPyConnection, path: Path, query: str) -> int:
    """Put the rows of `query` in the place of the shard `path`, at once; without a row the shard goes. How many rows.

    Hold the lock `collect`. Raises what DuckDB and the disk raise.
    """
    pairs = database.execute("SELECT key, value FROM parquet_kv_metadata(?)", [glob_literal(path)]).fetchall()
    metadata = {bytes(key).decode(): bytes(value).decode() for key, value in pairs}
    with replacing(path) as temporary:
        rows = _copy(database, query, temporary, {"source": metadata.get("source", "")})
    if not rows:
        path.unlink()
        sync(path.parent)
    return rows


def _copy(database: DuckDBPyConnection, query: str, path: Path, metadata: dict[str, str]) -> int:
    pairs = ", ".join(f"{name}: {sql_text(value)}" for name, value in metadata.items())
    options = "FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1, USE_TMP_FILE false"
    copied = f"COPY ({query}) TO {sql_text(path)} ({options}, KV_METADATA {{{pairs}}})"
    return int(database.execute(copied).fetchall()[0][0])


@contextmanager
def open_shards(workspace: Workspace) -> Iterator[ShardWriter]:
    """A writer of shards; what a killed writer left unfinished is removed first.

    Raises WorkspaceError or ResourceError when the workspace cannot be written.
    """
    import duckdb

    with _write_errors():
        make_folder(workspace.posts)
        for pattern in (".*.tmp", "*/*/.*.tmp", "lists/.*.tmp", "cursors/.*.tmp"):
            for leftover in workspace.posts.glob(pattern):
                leftover.unlink(missing_ok=True)
    with open_memory() as database:
        with suppress(duckdb.Error):  # another workspace of this process may have needed one before
            database.execute(f"SET temp_directory = {sql_text(workspace.posts / '.spill')}")
        writer = ShardWriter(workspace, database)
        try:
            yield writer
        finally:
            writer.close()


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


def sql_text(value: object) -> str:
    """A value as an SQL text."""
    return "'" + str(value).replace("'", "''") + "'"


def _read_json(path: Path) -> str:
    """SQL that reads the posts of a page."""
    columns = ", ".join(f"{sql_text(name)}: {sql_text(kind)}" for name, kind in COLUMNS.items())
    return f"read_json({sql_text(glob_literal(path))}, format = 'newline_delimited', columns = {{{columns}}})"


@contextmanager
def shard_database(workspace: Workspace) -> Iterator[DuckDBPyConnection]:
    """A database to rewrite shards with, in which errors are ours. Raises WorkspaceError and ResourceError."""
    import duckdb

    with _write_errors(), duckdb.connect(config={"temp_directory": str(workspace.posts / ".spill")}) as database:
        yield database


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
        if says_full(exc):
            raise disk_full("write the collected posts") from exc
        raise WorkspaceError(
            f"The collected posts could not be read or written ({reason}). If a shard under `posts/` is damaged, "
            "move it away and collect its source again."
        ) from exc
