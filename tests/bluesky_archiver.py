"""A collector of the tests: keeps what the Bluesky source says in SQLite, page by page; may be killed at any moment.

Run as `python bluesky_archiver.py ARCHIVE ACCOUNT`; the settings come from the environment.
"""

from __future__ import annotations

import sqlite3
import sys
from pathlib import Path

from pasquin.config import CollectSettings, load
from pasquin.networks import Page
from pasquin.networks.bluesky import bluesky

_TABLES = """
CREATE TABLE IF NOT EXISTS posts (uri TEXT PRIMARY KEY, text TEXT, created_at TEXT);
CREATE TABLE IF NOT EXISTS cursor (id INTEGER PRIMARY KEY CHECK (id = 1), value TEXT);
CREATE TABLE IF NOT EXISTS pages (seconds REAL DEFAULT (unixepoch('subsec')), posts INTEGER, fresh INTEGER);
"""


def archive(path: Path, account: str, settings: CollectSettings) -> None:
    """Bring `account` up to date in the archive at `path`."""
    with sqlite3.connect(path, isolation_level=None) as database:
        database.executescript(_TABLES)
        row = database.execute("SELECT value FROM cursor").fetchone()
        for page in bluesky(settings).posts(account, row and row[0]):
            database.execute("BEGIN IMMEDIATE")
            _store(database, page)
            database.execute("COMMIT")


def _store(database: sqlite3.Connection, page: Page) -> None:
    assert not page.quarantined, page.quarantined
    fresh = 0
    for post in page.posts:
        row = (post.uri, post.text, str(post.created_at))
        if database.execute("SELECT * FROM posts WHERE uri = ?", row[:1]).fetchone() != row:
            database.execute("INSERT OR REPLACE INTO posts VALUES (?, ?, ?)", row)
            fresh += 1
    database.execute("INSERT INTO pages (posts, fresh) VALUES (?, ?)", (len(page.posts), fresh))
    if page.complete is not None:
        kept = set(page.complete.uris)
        for (uri,) in database.execute("SELECT uri FROM posts").fetchall():
            unknown = any(low < uri < high for low, high in page.complete.unknown)
            if uri.startswith(page.complete.prefix) and uri not in kept and not unknown:
                database.execute("DELETE FROM posts WHERE uri = ?", (uri,))
    if page.cursor is not None:
        database.execute("INSERT OR REPLACE INTO cursor VALUES (1, ?)", (page.cursor,))


if __name__ == "__main__":
    archive(Path(sys.argv[1]), sys.argv[2], load(CollectSettings, None))
