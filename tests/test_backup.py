"""Backups: what is restored is what was there, whatever went on meanwhile, and hostile files get nowhere."""

from __future__ import annotations

import io
import json
import shutil
import tarfile
import threading
from collections.abc import Callable
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

import pasquin
from invented import texts
from pasquin.backup import archive, backup, restore
from pasquin.curate.curators import curator_named, make_link
from pasquin.doctor import doctor
from pasquin.errors import InputError, PasquinError, StoreError, UsageError, WorkspaceError
from pasquin.progress import Silent
from pasquin.publish import publish, show
from pasquin.records import Post
from pasquin.store import Store
from pasquin.store.schema import sign_in_links
from pasquin.workspace import Workspace, snapshot
from pasquin.workspace.cursors import Cursor, read_cursor, write_cursor
from pasquin.workspace.files import write_manifest
from pasquin.workspace.shards import fetch_posts, open_shards
from pasquin.workspace.tombstones import add_tombstones, read_tombstones
from test_cli import pasquin as program
from test_store import make_oldest
from test_store_move import content, lived_in


def files(root: Path) -> dict[str, str]:
    """Hashes of everything that a backup holds."""
    kept = ("posts", "corpora", "models", ".lineage", "pasquin.toml")
    return {
        str(path.relative_to(root)): sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file() and path.relative_to(root).parts[0] in kept and not path.name.startswith(".withdrawn")
    }


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tmp_path = tmp_path_factory.mktemp("original")
    made = lived_in(tmp_path / "w")
    (tmp_path / "posts.csv").write_text("text,id\n" + "".join(f'"{text}",{i}\n' for i, text in enumerate(texts(90))))
    pasquin.collect(made, [f"csv:{tmp_path / 'posts.csv'}"], rights="own-archive")
    pasquin.prepare(made, "mine")
    write_cursor(made, "bluesky:somebody", Cursor("3"))
    add_tombstones(made, "forgotten", ["https://x.com/i/status/1"])
    made.model_dir("m").mkdir(parents=True)
    (made.model_dir("m") / "model.safetensors").write_bytes(bytes(range(256)) * 400)
    write_manifest(made.model_dir("m"), {"base": "x"})
    return made.root


@pytest.fixture
def workspace(original: Path, tmp_path: Path) -> Workspace:
    return Workspace(shutil.copytree(original, tmp_path / "w"))


def test_what_is_restored_is_what_was_there(workspace: Workspace, tmp_path: Path) -> None:
    with closing(Store.of(workspace)) as store:
        make_link(store, curator_named(store))
    (workspace.root / "models" / "half").mkdir()
    (workspace.posts / ".incoming.tmp").touch()
    told = backup(workspace, tmp_path / "b.tar")
    assert told["bytes"] == (tmp_path / "b.tar").stat().st_size
    again = restore(tmp_path / "b.tar", tmp_path / "again")
    assert again["tables"] == told["tables"]
    assert again["files"] == told["files"]
    made = Workspace.open(tmp_path / "again")
    (workspace.posts / ".incoming.tmp").unlink()
    assert files(made.root) == files(workspace.root)
    before, after = content(workspace.database_url), content(made.database_url)
    sessions = {"sign_in_links", "curator_sessions", "bot_sessions"}
    assert {name: one for name, one in before.items() if name not in sessions} == {
        name: one for name, one in after.items() if name not in sessions
    }
    assert before["sign_in_links"][0] == 1
    assert after["sign_in_links"][0] == 0
    assert show(made) == show(workspace)
    assert len(publish(made, "b")["published"]) == 1
    assert read_cursor(made, "bluesky:somebody").position == "3"
    assert not [one for one in doctor(made)["findings"] if one["level"] == "problem" and one["about"] != "model m"]


@pytest.mark.parametrize("kinds", [("sqlite", "postgres"), ("postgres", "sqlite")], ids="-".join)
def test_from_one_kind_of_database_into_the_other(
    kinds: tuple[str, str], postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def choose(kind: str) -> None:
        if kind == "postgres":
            monkeypatch.setenv("PASQUIN_DATABASE_URL", postgres_url)
        else:
            monkeypatch.delenv("PASQUIN_DATABASE_URL", raising=False)

    choose(kinds[0])
    workspace = lived_in(tmp_path / "w")
    before = content(workspace.database_url)
    backup(workspace, tmp_path / "b.tar")
    choose(kinds[1])
    made = Workspace(Path(restore(tmp_path / "b.tar", tmp_path / "again")["workspace"]))
    assert content(made.database_url) == before
    if kinds[1] == "postgres":
        with pytest.raises(UsageError, match="not empty"):
            restore(tmp_path / "b.tar", tmp_path / "twice")
        assert not (tmp_path / "twice").exists()


def test_a_backup_of_the_oldest_version_is_brought_up_to_date(tmp_path: Path) -> None:
    workspace = Workspace.create(tmp_path / "w")
    make_oldest(workspace.database_url)
    told = backup(workspace, tmp_path / "b.tar")
    assert told["tables"] == {"candidates": 3, "players": 1, "trials": 1, "guesses": 1}
    made = Workspace(Path(restore(tmp_path / "b.tar", tmp_path / "again")["workspace"]))
    assert {name: one[0] for name, one in content(made.database_url).items() if one[0]} == told["tables"]


def test_taken_while_others_write(workspace: Workspace, tmp_path: Path) -> None:
    """Whatever cursor is in a backup, the posts up to it are in it, too; merges and rewrites lose nothing."""
    ended = threading.Event()
    trouble: list[Exception] = []

    def collect() -> None:
        try:
            with open_shards(workspace) as shards:
                for number in range(100_000):
                    if ended.is_set():
                        return
                    post = Post(uri=f"u:{number}", network="x", account="acc", handle="acc", text=f"Text {number}")
                    shards.append([post], "s")
                    write_cursor(workspace, "s", Cursor(str(number)))
        except Exception as exc:  # noqa: BLE001
            trouble.append(exc)

    writer = threading.Thread(target=collect)
    writer.start()
    try:
        for attempt in range(3):
            while int(read_cursor(workspace, "s").position or 0) < 20 * (attempt + 1):
                assert writer.is_alive(), trouble
            backup(workspace, tmp_path / "b.tar")
            made = Workspace(Path(restore(tmp_path / "b.tar", tmp_path / f"again{attempt}")["workspace"]))
            position = int(read_cursor(made, "s").position or 0)
            there = {uri for (uri,) in fetch_posts(made, "SELECT uri FROM {posts} WHERE account = 'acc'")}
            assert {f"u:{number}" for number in range(position + 1)} <= there
    finally:
        ended.set()
        writer.join()
    assert not trouble
    assert not list(workspace.root.glob(f"{snapshot.FOLDER}*"))


def test_a_folder_that_changes_without_end_is_a_sentence(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers = iter(range(10**6))
    monkeypatch.setattr(snapshot, "_state", lambda folder: {f"gone{next(numbers)}": (1, 1, 1)})
    monkeypatch.setattr("time.sleep", lambda _: None)
    with pytest.raises(WorkspaceError, match="changes without end"):
        backup(workspace, tmp_path / "b.tar")
    assert not (tmp_path / "b.tar").exists()


def test_no_secret_is_inside(workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PASQUIN_BOT_B_PASSWORD", "canary-5ecret")
    with closing(Store.of(workspace)) as store:
        token = make_link(store, curator_named(store))
        with store.read() as connection:
            kept = connection.execute(sa.select(sign_in_links.c.token_hash)).scalar_one()
    backup(workspace, tmp_path / "b.tar")
    with tarfile.open(tmp_path / "b.tar") as tar:
        names = tar.getnames()
    assert not any("session" in name or "sign_in" in name for name in names)
    inside = (tmp_path / "b.tar").read_bytes()
    assert not any(secret.encode() in inside for secret in ("canary-5ecret", token, kept))
    workspace.toml.write_text(workspace.toml.read_text() + '\n[bots.c]\npassword = "canary"\n')
    with pytest.raises(UsageError, match=r"bots\.c\.password"):
        backup(workspace, tmp_path / "c.tar")


def _member(name: str, content: bytes = b"x", kind: bytes = tarfile.REGTYPE, link: str = "") -> Any:
    member = tarfile.TarInfo(name)
    member.size, member.type, member.linkname = len(content), kind, link
    return member, content


def _archive(path: Path, *members: Any, header: Any = None) -> Path:
    head = {"format": 1, "made_at": "2026", "database": None, "tables": {}, "files": {}}
    with tarfile.open(path, "w") as tar:
        for member, inside in members:
            tar.addfile(member, io.BytesIO(inside))
        if header is not False:
            member, inside = _member(archive.HEADER, json.dumps({**head, **(header or {})}).encode())
            tar.addfile(member, io.BytesIO(inside))
    return path


@pytest.mark.parametrize(
    "member",
    [
        _member("../evil"),
        _member("/etc/evil"),
        _member("posts/../../evil"),
        _member("posts/./x"),
        _member("posts\\..\\evil"),
        _member("posts/c:evil"),
        _member("posts/.hidden"),
        _member(".bashrc"),
        _member("pasquin.db"),
        _member("posts/" + "a" * 300),
        _member("posts/" + "a/" * 20 + "b"),
        _member("posts/x\ny"),
        _member("posts/link", b"", tarfile.SYMTYPE, "/etc/passwd"),
        _member("posts/link", b"", tarfile.LNKTYPE, "pasquin.toml"),
        _member("posts/dev", b"", tarfile.CHRTYPE),
        _member("posts/dir", b"", tarfile.DIRTYPE),
    ],
    ids=lambda member: f"{member[0].name[:20]!r}{member[0].type!r}",
)
def test_hostile_names_get_nowhere(member: Any, tmp_path: Path) -> None:
    file = _archive(tmp_path / "b.tar", _member("pasquin.toml"), member)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(InputError, match="no workspace has"):
        restore(file, tmp_path / "again")
    assert sorted(tmp_path.rglob("*")) == before


def _cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def _flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    at = content.find(bytes(range(256)))
    content[at + 5] ^= 1
    file.write_bytes(bytes(content))


@pytest.mark.parametrize(
    "spoil",
    [
        _cut,
        _flip,
        lambda file: file.write_bytes(b""),
        lambda file: file.write_bytes(b"no tar at all" * 1000),
        lambda file: _archive(file, header=False),
        lambda file: _archive(file, _member("pasquin.toml"), _member("pasquin.toml")),
        lambda file: _archive(file, _member("pasquin.toml")),
        lambda file: _archive(file, header={"format": 2}),
        lambda file: _archive(file, header={"tables": 3}),
        lambda file: _archive(file, header={"database": "../x"}),
        lambda file: _archive(file),
        lambda file: file.unlink(),
    ],
)
def test_damaged_backups_are_refused(spoil: Callable[[Path], Any], workspace: Workspace, tmp_path: Path) -> None:
    backup(workspace, tmp_path / "b.tar")
    spoil(tmp_path / "b.tar")
    with pytest.raises(InputError):
        restore(tmp_path / "b.tar", tmp_path / "again")
    assert not list(tmp_path.glob("*again*"))


def test_a_backup_of_a_newer_pasquin(tmp_path: Path) -> None:
    inside = _member("pasquin.toml")
    sums = {"pasquin.toml": [1, sha256(b"x").hexdigest()]}
    file = _archive(tmp_path / "b.tar", inside, header={"database": "9999", "files": sums})
    with pytest.raises(WorkspaceError, match="newer Pasquin"):
        restore(file, tmp_path / "again")


def test_places_that_are_taken(workspace: Workspace, tmp_path: Path) -> None:
    backup(workspace, tmp_path / "b.tar")
    with pytest.raises(UsageError, match="there already"):
        restore(tmp_path / "b.tar", workspace.root)
    (tmp_path / "empty").mkdir()
    restore(tmp_path / "b.tar", tmp_path / "empty")
    assert (tmp_path / "empty" / "pasquin.toml").is_file()


def test_what_is_forgotten_stays_forgotten(workspace: Workspace, tmp_path: Path) -> None:
    backup(workspace, tmp_path / "b.tar")
    made = Workspace(Path(restore(tmp_path / "b.tar", tmp_path / "again")["workspace"]))
    assert read_tombstones(made) == read_tombstones(workspace)
    assert any(
        one["about"] == "tombstones" for one in doctor(made)["findings"]
    )  # its words are removed by the next run


def test_a_moved_database_is_not_backed_up_as_an_empty_one(workspace: Workspace, tmp_path: Path) -> None:
    from pasquin.store.move import move_database

    move_database(workspace.database_url, f"sqlite:///{tmp_path / 'new.db'}")
    with pytest.raises(StoreError, match="moved"):
        backup(workspace, tmp_path / "b.tar")


def test_a_backup_without_a_database_says_so_and_replaces_none_with_one(workspace: Workspace, tmp_path: Path) -> None:
    class Said(Silent):
        def __init__(self) -> None:
            self.lines: list[str] = []

        def say(self, text: str) -> None:
            self.lines.append(text)

    backup(workspace, tmp_path / "b.tar")
    before = (tmp_path / "b.tar").read_bytes()
    for file in workspace.root.glob("pasquin.db*"):
        file.unlink()
    with pytest.raises(UsageError, match="PASQUIN_DATABASE_URL"):
        backup(workspace, tmp_path / "b.tar")
    assert (tmp_path / "b.tar").read_bytes() == before
    said = Said()
    assert backup(workspace, tmp_path / "c.tar", progress=said)["tables"] == {}
    assert any("files alone are backed up" in line for line in said.lines)


def test_a_full_disk_leaves_the_old_backup(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backup(workspace, tmp_path / "b.tar")
    before = (tmp_path / "b.tar").read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tarfile.TarFile, "addfile", full)
    with pytest.raises(PasquinError, match="disk is full"):
        backup(workspace, tmp_path / "b.tar")
    assert (tmp_path / "b.tar").read_bytes() == before
    assert not [path for path in tmp_path.iterdir() if path.name.endswith(".tmp")]


def test_the_commands(tmp_path: Path) -> None:
    workspace = lived_in(tmp_path / "w")
    made = program("backup", "b.tar", cwd=workspace.root)
    assert made.returncode == 0, made.stderr
    assert "verified" in made.stdout
    again = program("restore", "b.tar", "../again", "--json", cwd=workspace.root)
    assert json.loads(again.stdout)["workspace"] == str(tmp_path / "again")
    shutil.rmtree(tmp_path / "again")
