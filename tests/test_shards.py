"""Shards: what is written is there once, whole, and found again."""

from __future__ import annotations

import errno
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest

from pasquin.errors import ResourceError, WorkspaceError
from pasquin.records import Post
from pasquin.workspace import Workspace
from pasquin.workspace import files as workspace_files
from pasquin.workspace.cursors import Cursor, read_cursor, write_cursor
from pasquin.workspace.lists import add_to_list, read_list
from pasquin.workspace.shards import (
    COLUMNS,
    SHARED,
    folder_name,
    glob_literal,
    has_posts,
    open_shards,
    posts_query,
)
from pasquin.workspace.tombstones import (
    add_tombstones,
    mark_withdrawn,
    read_tombstones,
    tombstones_path,
    tombstones_state,
    withdrawal_pending,
)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace.create(tmp_path / "a [strange] place's *")


def post(number: int, account: str = "42", **values: object) -> Post:
    text = f"post {number}\n“quoted” \\ 'x' 🎈"
    return replace(
        Post(uri=f"https://x.com/i/status/{number}", network="x", account=account, handle=account, text=text),
        **values,  # type: ignore[arg-type]
    )


def stored(workspace: Workspace) -> list[tuple[object, ...]]:
    return duckdb.sql(f"SELECT * FROM {posts_query(workspace)} ORDER BY uri").fetchall()


def test_posts_come_back_as_they_were(workspace: Workspace) -> None:
    assert not has_posts(workspace)
    whole = post(
        1,
        created_at=datetime(2020, 5, 31, 20, 49, 28, 123000, tzinfo=UTC),
        lang="de",
        reply_to="https://x.com/i/status/0",
        is_repost=True,
        likes=3,
        reposts=0,
        url="https://x.com/a/status/1",
        rights="own-archive",
    )
    with open_shards(workspace) as shards:
        assert shards.append([whole], "twint:it's").new == 1
    (row,) = stored(workspace)
    expected = {name: getattr(whole, name) for name in COLUMNS}
    expected["created_at"] = datetime(2020, 5, 31, 20, 49, 28, 123000)
    assert dict(zip(COLUMNS, row, strict=True)) == expected


def test_each_post_is_stored_once(workspace: Workspace) -> None:
    with open_shards(workspace) as shards:
        assert shards.append([post(1), post(2), post(1, text="later")], "a").new == 2
        assert shards.append([post(2), post(3), post(3, account="7")], "b", rights="consented").new == 1
        assert shards.append([post(1), post(2), post(3)], "c").new == 0
        assert shards.append([], "d").new == 0
    rows = stored(workspace)
    assert [row[0] for row in rows] == [post(number).uri for number in (1, 2, 3)]
    assert [row[-1] for row in rows] == ["unknown", "consented", "consented"]
    assert len(list(workspace.posts.rglob("*.parquet"))) == 2


def test_cursors_and_accounts_of_a_source(workspace: Workspace) -> None:
    assert read_cursor(workspace, "bluesky:ada") == Cursor()
    first = Cursor().after("first", [("bluesky", "did:plc:ada")])
    write_cursor(workspace, "bluesky:ada", first)
    write_cursor(workspace, "bluesky:ad/a", Cursor().after("other", []))
    second = read_cursor(workspace, "bluesky:ada").after("second", [("bluesky", "did:plc:bo")]).after(None, [])
    write_cursor(workspace, "bluesky:ada", second)
    assert read_cursor(workspace, "bluesky:ada") == Cursor(
        "second", frozenset({("bluesky", "did:plc:ada"), ("bluesky", "did:plc:bo")})
    )
    next((workspace.posts / "cursors").glob("bluesky-ada-*")).write_text("{")
    with pytest.raises(WorkspaceError, match="is damaged"):
        read_cursor(workspace, "bluesky:ada")


def test_an_edited_post_is_replaced_where_it_stands(workspace: Workspace) -> None:
    with open_shards(workspace) as shards:
        shards.append([post(1), post(2, rights="consented"), post(3)], "a", current=True)
        assert shards.append([post(2, text="other")], "a").updated == 0
        appended = shards.append([post(4), post(2, text="mended", likes=3), post(1)], "a", current=True)
        assert (appended.new, appended.updated) == (1, 1)
        assert shards.append([post(2, text="mended")], "a", current=True).updated == 0
        assert shards.stored("x", "42") == [post(number).uri for number in (1, 2, 3, 4)]
        assert shards.stored("x", "42", post(3).uri) == [post(3).uri]
        assert shards.there([post(3).uri, "nowhere"]) == [post(3).uri]
    rows = stored(workspace)
    assert [row[4] for row in rows] == [post(1).text, "mended", post(3).text, post(4).text]
    assert [row[-1] for row in rows] == ["unknown", "consented", "unknown", "unknown"]
    assert rows[1][-4] == 3


def test_rights_can_be_stated_later_but_not_those_of_the_api(workspace: Workspace) -> None:
    with open_shards(workspace) as shards:
        shards.append([post(1), post(2, rights="x-api"), post(3, rights="x-api")], "a")
        assert shards.append([post(1), post(2), post(4, rights="x-api")], "b", rights="consented").updated == 1
        # The author's own archive is better than anything, and has the whole text.
        assert shards.append([post(3, text="in full", rights="own-archive")], "c").updated == 1
        assert shards.append([post(2), post(5)], "d", rights="own-archive").updated == 0
        assert shards.append([post(6), post(4)], "e", unknown="provided").updated == 0
    rows = stored(workspace)
    assert [row[-1] for row in rows] == ["consented", "x-api", "own-archive", "x-api", "own-archive", "provided"]
    assert rows[2][4] == "in full"


def test_what_has_a_tombstone_is_neither_stored_nor_seen(workspace: Workspace) -> None:
    with open_shards(workspace) as shards:
        shards.append([post(1), post(2), post(3, account="7")], "a")
        assert add_tombstones(workspace, "forgotten", [post(1).uri, "it's"], [("x", "7")]) == 3
        assert add_tombstones(workspace, "deleted upstream", [post(1).uri], [("x", "7")]) == 0
        assert [row[0] for row in stored(workspace)] == [post(2).uri]
        appended = shards.append([post(1), post(4, account="7"), post(5)], "a", current=True)
        assert (appended.new, appended.updated, appended.forgotten) == (1, 0, 2)
        assert shards.there([post(1).uri, post(2).uri]) == [post(2).uri]
    assert [row[0] for row in stored(workspace)] == [post(2).uri, post(5).uri]


def test_a_tombstone_cut_off_by_a_kill_was_never_there(workspace: Workspace) -> None:
    add_tombstones(workspace, "forgotten", [post(1).uri])
    path = tombstones_path(workspace)
    path.write_bytes(path.read_bytes() + b'{"uri": "https://x.com/i/sta')
    assert read_tombstones(workspace).uris == {post(1).uri}
    with open_shards(workspace) as shards:
        shards.append([post(1), post(2)], "a")
    assert len(stored(workspace)) == 1
    add_tombstones(workspace, "forgotten", [post(3).uri])
    assert read_tombstones(workspace).uris == {post(1).uri, post(3).uri}
    assert withdrawal_pending(workspace)
    mark_withdrawn(workspace, tombstones_state(workspace)[0])
    assert not withdrawal_pending(workspace)
    path.write_bytes(b"nonsense\n" + path.read_bytes())
    with pytest.raises(WorkspaceError, match="damaged in line 1"):
        posts_query(workspace)


def test_many_small_shards_become_one(workspace: Workspace) -> None:
    """Watching for a year leaves no heap of files; a merge that was killed leaves nothing twice."""
    with open_shards(workspace) as shards:
        for number in range(100):
            shards.append([post(number)], "feed:a", current=True)
        folder = workspace.posts / "x" / "42"
        assert len(list(folder.glob("*.parquet"))) <= 36
        assert [row[0] for row in sorted(stored(workspace))] == sorted(post(number).uri for number in range(100))
        last = sorted(folder.glob("*.parquet"))[-1]
        (folder / "000500.parquet").write_bytes(last.read_bytes())  # as if a merge was killed
        assert shards.append([post(number) for number in range(100)], "feed:a").new == 0
        for number in range(100, 140):
            assert shards.append([post(number)], "feed:a").new == 1
    assert len(stored(workspace)) == 140
    pattern = f"{glob_literal(folder)}/*.parquet"
    assert duckdb.connect().execute("SELECT count(*) FROM read_parquet(?)", [pattern]).fetchall() == [(140,)]


def test_many_small_accounts_share_a_shard(workspace: Workspace) -> None:
    many = [post(number, account=f"small{number}") for number in range(1_000)]
    big = [post(number, account="big") for number in range(2_000, 2_100)]
    with open_shards(workspace) as shards:
        assert shards.append(many + big, "a").new == 1_100
        assert shards.append([*many[500:], post(5_000, account="small7")], "b").new == 1
    assert len(stored(workspace)) == 1_101
    assert {path.name for path in (workspace.posts / "x").iterdir()} == {SHARED, "big", "small7"}


def test_accounts_of_any_name_get_a_folder_of_their_own(workspace: Workspace) -> None:
    names = ["../..", ".", "_shared", "did:plc:x", "https://a.example/users/ö", "x" * 500, "x" * 501, "a[b]*?", "NUL\0"]
    folders = {folder_name(name) for name in names}
    assert len(folders) == len(names)
    assert all(len(name) <= 200 and "/" not in name and name not in {".", "..", SHARED} for name in folders)
    with open_shards(workspace) as shards:
        posts = [post(number, account=name) for number, name in enumerate(names)]
        assert shards.append(posts, "a").new == len(names)
        assert shards.append(posts, "b").new == 0


def test_posts_that_cannot_be_stored_are_refused_alone(workspace: Workspace) -> None:
    with open_shards(workspace) as shards:
        appended = shards.append([post(1), post(2, text="half \ud83d"), post(3, likes=2**70)], "a")
    assert appended.new == 1
    assert [refused.uri[-1] for refused, _ in appended.refused] == ["2", "3"]


@pytest.mark.parametrize("nth", [1, 2, 3, 4])
def test_a_full_disk_loses_nothing(workspace: Workspace, monkeypatch: pytest.MonkeyPatch, nth: int) -> None:
    calls = 0
    real = workspace_files.sync

    def sync(path: Path) -> None:
        nonlocal calls
        calls += 1
        if calls == nth:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(path)

    posts = [post(number, account=str(number % 3)) for number in range(30)]
    monkeypatch.setattr(workspace_files, "sync", sync)
    with pytest.raises(ResourceError, match="disk is full"), open_shards(workspace) as shards:
        shards.append(posts, "a")
    assert not list(workspace.posts.rglob("*.tmp"))
    with open_shards(workspace) as shards:
        shards.append(posts, "a")
    assert len(stored(workspace)) == 30


def test_a_damaged_shard_is_a_sentence_and_leftovers_go(workspace: Workspace) -> None:
    with open_shards(workspace) as shards:
        shards.append([post(1)], "a")
    (shard,) = workspace.posts.rglob("*.parquet")
    leftover = shard.with_name(".000002.parquet.99.tmp")
    leftover.write_bytes(b"half")
    shard.write_bytes(shard.read_bytes()[:-20])
    with pytest.raises(WorkspaceError, match="damaged"), open_shards(workspace) as shards:
        shards.append([post(2)], "a")
    assert not leftover.exists()


def test_lists(workspace: Workspace) -> None:
    workspace.posts.mkdir()
    add_to_list(workspace, "vc", [("x", "2"), ("x", "1")])
    add_to_list(workspace, "vc", [("x", "3"), ("x", "1")])
    assert read_list(workspace, "vc") == [("x", "1"), ("x", "2"), ("x", "3")]
    with pytest.raises(WorkspaceError, match=r"there are: vc"):
        read_list(workspace, "covid19")
    (workspace.posts / "lists" / "vc.json").write_text("{")
    with pytest.raises(WorkspaceError, match="damaged"):
        read_list(workspace, "vc")
