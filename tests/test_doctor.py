"""Doctor: each thing that can be wrong is found, with a remedy, and nothing is changed by looking."""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import shutil
import subprocess
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy as sa

import pasquin
from invented import make_corpus, posts
from pasquin.doctor import doctor
from pasquin.doctor.database import disk_kind
from pasquin.doctor.installation import available_memory, torch_build, wanted_by_extra
from pasquin.post_format import PostFormat
from pasquin.publish import switch_bot
from pasquin.store import Store
from pasquin.store.schema import publications
from pasquin.workspace import Workspace
from pasquin.workspace.corpora import write_corpus
from pasquin.workspace.cursors import Cursor, write_cursor
from pasquin.workspace.files import write_manifest
from pasquin.workspace.tombstones import add_tombstones
from publish_fakes import workspace_with
from test_cli import PASQUIN
from test_cli import pasquin as program

CANARY = "canary-5ecret-4711"
FILE_BOT = {"network": "file", "account": "out.jsonl", "minimum_stock": 0, "models": ["m"]}


def found(workspace: Workspace, about: str = "", **options: Any) -> list[dict[str, Any]]:
    """What is wrong, about something."""
    told = doctor(workspace, **options)["findings"]
    return [one for one in told if one["level"] != "fine" and about in one["about"]]


def worst(workspace: Workspace, about: str) -> tuple[str, str, str]:
    """The level, sentence and remedy of the only thing that is wrong with something."""
    (one,) = found(workspace, about)
    return one["level"], one["found"], one["do"]


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    made = Workspace.create(tmp_path / "w")
    Store.of(made).close()
    return made


def collected(workspace: Workspace, tmp_path: Path, n: int = 5) -> None:
    (tmp_path / "posts.csv").write_text("text,id\n" + "".join(f"Post number {i} of mine,{i}\n" for i in range(n)))
    pasquin.collect(workspace, [f"csv:{tmp_path / 'posts.csv'}"], rights="own-archive")


def without_roots_rights() -> None:
    """In a child process of root: permission bits bind it as they bind everybody else."""
    if os.geteuid() == 0:
        for right in (1, 2):  # CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH; 24 is PR_CAPBSET_DROP
            ctypes.CDLL(None).prctl(24, right, 0, 0, 0)


def bound(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run the program as somebody whom permission bits bind."""
    return subprocess.run([PASQUIN, *words], cwd=cwd, capture_output=True, text=True, preexec_fn=without_roots_rights)


def test_a_fresh_workspace_is_well(workspace: Workspace) -> None:
    told = doctor(workspace)
    assert told["ok"], [one for one in told["findings"] if one["level"] == "problem"]
    assert [one["about"] for one in told["findings"] if one["area"] == "database"] == ["database"]


def test_postgresql_is_examined_too(tmp_path: Path, postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PASQUIN_DATABASE_URL", postgres_url)
    made = workspace_with(tmp_path / "w", {"out": FILE_BOT}, {"out": ["One."]})
    assert not found(made, "database")
    with Store(postgres_url).write() as connection:
        connection.execute(sa.text("DROP TABLE daily_items"))
    assert "lacks daily_items" in worst(made, "migrations")[1]


def test_looking_changes_nothing(tmp_path: Path) -> None:
    bare = Workspace.create(tmp_path / "w")
    (bare.toml).write_text(bare.toml.read_text() + '\n[bots.b]\nnetwork = "file"\naccount = "x"\nmodels = ["m"]\n')
    before = sorted((path, path.stat().st_mtime_ns) for path in bare.root.rglob("*"))
    assert worst(bare, "database")[1] == "There is no database yet."
    assert sorted((path, path.stat().st_mtime_ns) for path in bare.root.rglob("*")) == before


def _damaged_cursor(workspace: Workspace, _: Path) -> None:
    write_cursor(workspace, "bluesky:somebody", Cursor("3"))
    assert not found(workspace, "posts")
    next((workspace.posts / "cursors").glob("*.json")).write_text("{")


def _half_a_shard(workspace: Workspace, _: Path) -> None:
    shard = next(workspace.posts.glob("*/*/*.parquet"))
    shard.write_bytes(shard.read_bytes()[:-20])


def _foreign_shard(workspace: Workspace, _: Path) -> None:
    import duckdb

    shard = next(workspace.posts.glob("*/*/*.parquet"))
    duckdb.sql("SELECT 1 AS one").write_parquet(str(shard.with_name("000002.parquet")))


def _damaged_tombstones(workspace: Workspace, _: Path) -> None:
    (workspace.posts / "tombstones.jsonl").write_text("not json\n")


def _forgotten(workspace: Workspace, _: Path) -> None:
    add_tombstones(workspace, "forgotten", ["https://posts.invalid/1"])


def _leftover(workspace: Workspace, _: Path) -> None:
    (workspace.posts / ".incoming.tmp").write_bytes(b"x" * 5_000)


def _quarantined(workspace: Workspace, _: Path) -> None:
    workspace.quarantine.mkdir(exist_ok=True)
    (workspace.quarantine / "twint-vc-1234abcd.jsonl").write_text('{"where":"line 3"}\n' * 3)


@pytest.mark.parametrize(
    ("spoil", "about", "level", "says", "remedy"),
    [
        (_damaged_cursor, "posts", "problem", "cursors/", "from its beginning"),
        (_half_a_shard, "posts", "problem", "cut off", "collect its source again"),
        (_foreign_shard, "posts", "problem", "has no column account", "collect its source again"),
        (_damaged_tombstones, "tombstones", "problem", "line 1", "backup"),
        (_forgotten, "tombstones", "warning", "not yet removed", "pasquin collect"),
        (_leftover, "posts", "note", "1 half-written file (5.0 kB)", "next `pasquin collect`"),
        (_quarantined, "quarantine", "warning", "3 pieces of twint-vc", "where and why"),
    ],
)
def test_collected_posts(
    spoil: Callable[[Workspace, Path], None],
    about: str,
    level: str,
    says: str,
    remedy: str,
    workspace: Workspace,
    tmp_path: Path,
) -> None:
    collected(workspace, tmp_path)
    assert not found(workspace, about)
    spoil(workspace, tmp_path)
    said = worst(workspace, about)
    assert said[0] == level
    assert says in said[1]
    assert remedy in said[2]


def test_corpora(workspace: Workspace) -> None:
    write_corpus(workspace, "vc", posts(20), {}, "", {"splits": {"train": 10, "validation": 0, "test": 10}})
    add_tombstones(workspace, "forgotten", ["https://posts.invalid/1"])
    stones = found(workspace, "tombstones")
    assert any("1 forgotten post still stands in the corpus `vc`" in one["found"] for one in stones)
    (workspace.root / "corpora" / ".vc.building").mkdir()
    assert worst(workspace, "corpora")[:2] == ("note", "A killed `pasquin prepare` left .vc.building (0 bytes).")
    with workspace.lock("prepare"):
        assert not found(workspace, "corpora")  # it is somebody's work
    (workspace.root / "corpora" / "half").mkdir()
    assert worst(workspace, "corpus half")[0::2] == ("problem", "pasquin prepare half")
    make_corpus(workspace, "short", posts(5))
    write_manifest(workspace.corpus_dir("short"), {"splits": {"train": 6}})
    assert "5 posts in posts.parquet, and its manifest says 6" in worst(workspace, "corpus short")[1]
    (workspace.corpus_dir("vc") / "posts.parquet").write_bytes(b"PAR1 no")
    assert "damaged" in worst(workspace, "corpus vc")[1]
    (workspace.corpus_dir("short") / "manifest.json").write_text("[")
    assert "damaged" in worst(workspace, "corpus short")[1]


def model_files(workspace: Workspace, name: str) -> Path:
    """Every file that an engine opens, and no manifest yet."""
    model = workspace.model_dir(name)
    model.mkdir(parents=True)
    config = {"model_type": "llama", "hidden_size": 8, "num_attention_heads": 2, "num_hidden_layers": 1}
    (model / "config.json").write_text(json.dumps({**config, "hidden_act": "silu", "vocab_size": 9}))
    header = json.dumps({"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}).encode()
    (model / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + bytes(8))
    (model / "tokenizer.json").write_text("{}")
    PostFormat(0, 1).save(model)
    return model


def test_models(workspace: Workspace) -> None:
    made = write_corpus(workspace, "vc", posts(20), {}, "", {"splits": {"train": 10, "validation": 0, "test": 10}})
    model = model_files(workspace, "vc")
    assert worst(workspace, "model vc")[0] == "problem"
    assert "was not saved" in worst(workspace, "model vc")[1]
    with workspace.lock("train-vc"):
        assert not found(workspace, "model vc")
    (model / "checkpoints" / "step-00000001").mkdir(parents=True)
    write_manifest(model / "checkpoints" / "step-00000001", {})
    assert worst(workspace, "model vc")[0::2] == ("warning", f"pasquin train vc --resume, or remove {model}.")
    write_manifest(model, {"corpus": "vc", "corpus_hash": made["hash"]})
    assert not found(workspace, "model vc")
    add_tombstones(workspace, "forgotten", ["https://posts.invalid/1"])
    assert worst(workspace, "model vc")[1] == "The model `vc` learned 1 post that was forgotten since."
    (workspace.root / ".lineage" / f"{made['hash']}.parquet").write_bytes(b"PAR1")
    assert "record of what `vc` learned is damaged" in worst(workspace, "model vc")[1]
    whole_config = (model / "config.json").read_text()
    (model / "config.json").write_text('{"model_type": "llama"}')
    assert any("is incomplete" in one["found"] for one in found(workspace, "model vc"))
    (model / "config.json").write_text(whole_config)
    weights = model / "model.safetensors"
    whole = weights.read_bytes()
    for spoilt in (whole[:-1], whole[:20], b"", whole[:8] + b"[" + whole[9:], b"\xff" * 8 + whole[8:]):
        weights.write_bytes(spoilt)
        assert "cut off or damaged" in worst(workspace, "model vc")[1]
    weights.unlink()
    assert "no weights" in worst(workspace, "model vc")[1]
    (model / "config.json").write_text("{")
    assert "config.json" in worst(workspace, "model vc")[1]


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "post_format.json", "model.safetensors"])
def test_the_remedy_for_a_missing_file_of_a_model_brings_it_back(
    name: str, workspace: Workspace, tmp_path: Path
) -> None:
    model = model_files(workspace, "vc")
    write_manifest(model, {"corpus": "vc"})
    assert not found(workspace, "model vc")
    pasquin.backup(workspace, tmp_path / "b.tar")
    (model / name).unlink()
    level, says, remedy = worst(workspace, "model vc")
    assert level == "problem"
    assert says.endswith(f"has no {'weights' if name.startswith('model') else 'readable'} {name}.")
    command = remedy.removeprefix("pasquin train vc, or take it out of a backup: ").replace("BACKUP", "b.tar")
    subprocess.run(command.split(), cwd=tmp_path, check=True)
    assert not found(workspace, "model vc")


def test_weights_in_several_files_are_all_there(workspace: Workspace) -> None:
    model = model_files(workspace, "vc")
    write_manifest(model, {"corpus": "vc"})
    parts = [f"model-0000{part}-of-00002.safetensors" for part in (1, 2)]
    shutil.copy(model / "model.safetensors", model / parts[1])
    (model / "model.safetensors").rename(model / parts[0])
    (model / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"v": parts[0], "w": parts[1]}}))
    assert not found(workspace, "model vc")
    (model / parts[1]).unlink()
    assert worst(workspace, "model vc")[1] == f"The model `vc` has no weights {parts[1]}."


def test_what_may_not_be_read_is_told_once_a_folder(workspace: Workspace, tmp_path: Path) -> None:
    collected(workspace, tmp_path)
    write_corpus(workspace, "vc", posts(20), {}, "", {"splits": {"train": 10, "validation": 0, "test": 10}})
    write_manifest(model_files(workspace, "seen"), {"corpus": "vc"})
    write_manifest(model_files(workspace, "vc"), {"corpus": "vc"})
    write_cursor(workspace, "bluesky:somebody", Cursor("3"))
    add_tombstones(workspace, "forgotten", ["https://posts.invalid/1"])
    _quarantined(workspace, tmp_path)
    cursors, shard = workspace.posts / "cursors", next(workspace.posts.glob("*/*/*.parquet"))
    locked = [cursors, shard, workspace.corpus_dir("vc") / "posts.parquet", workspace.posts / "tombstones.jsonl"]
    locked += [workspace.model_dir("vc") / name for name in ("manifest.json", "config.json")]
    for path in locked:
        path.chmod(0)
    run = bound("doctor", "--json", cwd=workspace.root)
    cursors.chmod(0o700)
    told = json.loads(run.stdout)["findings"]
    problems = {one["found"].partition(" may not")[0]: one for one in told if one["level"] == "problem"}
    assert set(problems) == {
        *map(str, locked[:4]),
        f"{workspace.model_dir('vc') / 'config.json'} and 1 more file there",
    }
    assert problems[str(cursors)]["do"].endswith(f"chmod -R u+rwX {cursors}")
    assert any(one["about"] == "models" and one["found"] == "Whole: seen." for one in told)
    assert any(one["about"] == "quarantine" for one in told)
    assert any(one["about"] == "database" and one["level"] == "fine" for one in told)
    assert not run.stderr


def test_settings_and_database_that_may_not_be_read(workspace: Workspace) -> None:
    shut = [workspace.toml, workspace.root / "pasquin.db"]
    for path in shut:
        path.chmod(0)
    told = json.loads(bound("doctor", "--json", cwd=workspace.root).stdout)
    assert [one["found"].partition(" may")[0] for one in told["findings"] if one["level"] == "problem"] == [
        f"{shut[1]} and 1 more file there"
    ]
    assert any(one["found"] == "pasquin.db was not looked at: this user may not read it." for one in told["findings"])


def test_no_command_dies_of_what_may_not_be_read(workspace: Workspace) -> None:
    model_files(workspace, "vc")
    for path, command in ((workspace.toml, "bot list"), (workspace.root / "models", "generate vc")):
        path.chmod(0)
        run = bound(*command.split(), cwd=workspace.root)
        path.chmod(0o700)
        assert run.returncode == 2
        assert run.stderr.startswith(f"Error: {path} may not be read by the user ")
        assert len(run.stderr.splitlines()) == 1


def test_settings_and_secrets_in_the_file(workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    text = workspace.toml.read_text()
    workspace.toml.write_text(f'{text}\n[train]\nepoch = 3\n[trian]\nepochs = 3\n[publish.x]\npassword = "{CANARY}"\n')
    said = found(workspace, "pasquin.toml")
    assert any("no setting `epoch`" in one["found"] for one in said)
    assert any("Nothing reads the table [trian]" in one["found"] for one in said)
    assert any("`publish.x.password` looks like a secret" in one["found"] for one in said)
    assert CANARY not in json.dumps(doctor(workspace))
    workspace.toml.write_text("[workspace]\nformat = 2\n")
    assert "knows up to 1" in worst(workspace, "pasquin.toml")[1]
    workspace.toml.write_text("[train\n")
    assert any(one["level"] == "problem" for one in found(workspace, "pasquin.toml"))


def test_a_lock_file_binds_nobody_and_a_lock_names_its_process(workspace: Workspace) -> None:
    folder = workspace.root / ".locks"
    folder.mkdir()
    (folder / "collect.lock").touch()
    assert not found(workspace, "lock")
    with (folder / "collect.lock").open("rb") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        level, says, _ = worst(workspace, "lock collect")
    assert level == "note"
    assert says.endswith("process is at work on `collect`.") or says.startswith("process ")


def test_permissions_and_disk(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    (workspace.root / "pasquin.db").chmod(0o666)
    assert "chmod o-w" in worst(workspace, "permissions")[2]
    access = os.access
    monkeypatch.setattr("os.access", lambda path, mode: mode != os.W_OK and access(path, mode))
    (workspace.root / "models").mkdir()
    said = " ".join(one["found"] for one in found(workspace, "permissions") if one["level"] == "problem")
    assert f"{workspace.root} and 1 more folder cannot be written" in said
    usage = shutil.disk_usage(workspace.root)
    for free, level in ((5 * 10**8, "warning"), (10**7, "problem")):
        monkeypatch.setattr("shutil.disk_usage", lambda _, free=free: usage._replace(free=free))
        assert worst(workspace, "disk")[0] == level


def test_a_read_only_file_system_is_fine_for_publishing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = Workspace.create(tmp_path / "w")
    with workspace.toml.open("a") as toml:
        toml.write('\n[bots.b]\nnetwork = "file"\naccount = "x"\nmodels = ["m"]\n')
    access, statvfs = os.access, os.statvfs

    def read_only(path: Path) -> SimpleNamespace:
        there = statvfs(path)
        flags = os.ST_RDONLY if Path(path).is_relative_to(workspace.root) else 0
        return SimpleNamespace(
            **{name: getattr(there, name) for name in dir(there) if name.startswith("f_")} | {"f_flag": flags}
        )

    monkeypatch.setattr("os.statvfs", read_only)
    monkeypatch.setattr("os.access", lambda path, mode: mode != os.W_OK and access(path, mode))
    assert worst(workspace, "permissions")[0] == "note"
    assert not found(workspace, "disk")
    assert worst(workspace, "database")[0::2] == (
        *("problem", "Set PASQUIN_DATABASE_URL to the address of a database that can be written."),
    )
    monkeypatch.setenv("PASQUIN_DATABASE_URL", f"sqlite:///{tmp_path / 'elsewhere.db'}")
    Store.of(workspace).close()
    assert doctor(workspace)["ok"]
    assert ("note", "") in {(one["level"], one["do"]) for one in found(workspace, "bot b")}


def test_on_a_full_disk_the_remedy_is_room(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    (workspace.root / "pasquin.db").write_bytes(b"this is not a database" * 100)
    assert "a new workspace of the last backup" in worst(workspace, "database")[2]
    usage = shutil.disk_usage(workspace.root)
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage._replace(free=0))
    assert worst(workspace, "database")[2] == "Free some space on its disk, then look again: it may be whole."


@pytest.mark.parametrize(
    ("statement", "about", "level", "says"),
    [
        ("UPDATE alembic_version SET version_num = '9999'", "migrations", "problem", "this Pasquin knows"),
        ("UPDATE alembic_version SET version_num = '0001'", "migrations", "note", "newest is"),
        ("DELETE FROM alembic_version", "migrations", "problem", "broke off"),
        ("DROP TABLE daily_items", "migrations", "problem", "lacks daily_items"),
        ("ALTER TABLE trials DROP COLUMN arm", "migrations", "problem", "lacks trials.arm"),
        (
            "INSERT INTO guesses (trial, player, guess, correct, response_ms, server_ms, created_at) "
            "VALUES ('t', 'p', 'human', 1, 1, 1, '2026-01-01')",
            *("database", "problem", "refer to what is not there"),
        ),
    ],
)
def test_databases(statement: str, about: str, level: str, says: str, workspace: Workspace) -> None:
    engine = sa.create_engine(workspace.database_url)
    with engine.begin() as connection:
        connection.execute(sa.text(statement))
    engine.dispose()
    said = worst(workspace, about)
    assert said[0] == level
    assert says in said[1]


def test_what_is_no_database_and_where_none_answers(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    (workspace.root / "pasquin.db").write_bytes(b"this is not a database" * 100)
    assert worst(workspace, "database")[0] == "problem"
    monkeypatch.setenv("PASQUIN_DATABASE_URL", f"postgresql+psycopg://me:{CANARY}@127.0.0.1:1/x")
    level, says, remedy = worst(workspace, "database")
    assert level == "problem"
    assert "127.0.0.1:1/x" in says
    assert "PASQUIN_DATABASE_URL" in remedy
    assert CANARY not in json.dumps(doctor(workspace))


def test_a_network_disk_is_told(tmp_path: Path) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(f"/dev/sda1 / ext4 rw 0 0\nserver:/x {tmp_path}/with\\040space nfs4 rw 0 0\nbroken\n")
    assert disk_kind(tmp_path / "with space" / "pasquin.db", mounts) == "nfs4"
    assert disk_kind(tmp_path / "pasquin.db", mounts) == "ext4"
    assert disk_kind(tmp_path, tmp_path / "nothing") is None


def test_installation(tmp_path: Path) -> None:
    version = tmp_path / "version.py"
    for text, gpu, level in (
        ("cuda: Optional[str] = '12.8'\n", False, "note"),
        ("cuda: Optional[str] = None\n", True, "warning"),
        ("cuda = '12.8'\n", True, "fine"),
        ("cuda: Optional[str] = None\n", False, "fine"),
    ):
        version.write_text(text)
        assert [one.level for one in torch_build(version, gpu)] == [level]
    assert [one.level for one in torch_build(tmp_path / "none.py", False)] == ["problem"]
    asked = ["a>=1", "torch>=2.6; extra == 'train'", 's3fs; extra == "data"', "pytest; extra == 'dev'"]
    assert wanted_by_extra(asked) == {"train": ["torch"], "data": ["s3fs"]}
    (tmp_path / "meminfo").write_text("MemTotal: 9 kB\nMemAvailable:    1000 kB\n")
    assert available_memory(tmp_path, tmp_path) == 1_024_000
    (tmp_path / "memory.max").write_text("500000\n")
    (tmp_path / "memory.current").write_text("100000\n")
    assert available_memory(tmp_path, tmp_path) == 400_000
    (tmp_path / "memory.max").write_text("max\n")
    assert available_memory(tmp_path, tmp_path) == 1_024_000


def test_bots_settings_and_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sky = {"network": "bluesky", "account": "me.bsky.social", "schedule": "25:99", "minimum_stock": 3, "corpus": "vc"}
    workspace = workspace_with(tmp_path / "w", {"sky": sky, "out": FILE_BOT, "away": {**FILE_BOT, "network": "gopher"}})
    Store.of(workspace).close()
    workspace.posts.mkdir()
    said = " ".join(one["found"] for one in found(workspace, "bot sky"))
    for words in ("has no password", "25:99", "who answers for it", "0 left in the queue", "the corpus `vc`"):
        assert words in said
    assert "PASQUIN_BOT_SKY_PASSWORD" in said
    assert any("nothing here can publish" in one["found"] for one in found(workspace, "bot away"))
    assert [one["found"] for one in found(workspace, "bot out")] == [
        "It publishes what `m` wrote, and there is no such model here."
    ]
    monkeypatch.setenv("PASQUIN_BOT_SKY_PASSWORD", CANARY)
    told = doctor(workspace)
    assert "has no password" not in json.dumps(told)
    assert CANARY not in json.dumps(told)
    workspace.toml.write_text("[bots.b]\nnetwork = 3\n")
    assert found(workspace, "bots")[0]["level"] == "problem"


def test_a_model_that_is_elsewhere_is_no_fault(tmp_path: Path) -> None:
    workspace = workspace_with(tmp_path / "w", {"out": FILE_BOT}, {"out": ["One."]})
    workspace.posts.mkdir()
    assert worst(workspace, "bot out")[0] == "note"
    with closing(Store.of(workspace)) as store, store.write() as connection:
        connection.execute(sa.text("UPDATE candidates SET model = 'other'"))
    assert worst(workspace, "bot out")[0::2] == ("warning", "pasquin train m, or mend models in [bots.out].")


def test_bots_entries(tmp_path: Path) -> None:
    texts = [f"The {number}th startup is always the best one." for number in range(6)]
    workspace = workspace_with(tmp_path / "w", {"out": FILE_BOT, "gone": FILE_BOT}, {"out": texts, "gone": ["Bye."]})
    past = datetime.now(UTC) - timedelta(hours=3)
    changes: list[dict[str, Any]] = [
        {"state": "unknown", "check_at": None},
        {"state": "unknown", "check_at": past},
        {"state": "failed", "reason": "It was too long."},
        {"state": "attempting", "lease_until": past, "owner": "?|1"},
        {"due_at": past},
    ]
    with closing(Store.of(workspace)) as store:
        with store.read() as connection:
            mine = publications.c.bot == "out"
            ids = list(connection.execute(sa.select(publications.c.id).where(mine)).scalars())
        with store.write() as connection:
            for id, values in zip(ids, changes, strict=False):
                connection.execute(sa.update(publications).where(publications.c.id == id).values(values))
    said = {one["found"]: one for one in found(workspace, "bot out")}
    doubt = said[f"Nobody knows whether the entry {ids[0]} was published."]
    assert doubt["level"] == "problem"
    assert f"pasquin bot resolve out {ids[0]}" in doubt["do"]
    words = " ".join(said)
    for expected in (
        "looked for again: 1.",
        "the last: It was too long.",
        "died while it held it",
        "Overdue posts: 1.",
    ):
        assert expected in words
    switch_bot(workspace, "out", "stopped", "an uproar")
    assert any(one["found"] == "It is stopped: an uproar" for one in found(workspace, "bot out"))
    workspace.toml.write_text(workspace.toml.read_text().replace("[bots.gone]", "[bots.come]"))
    assert any(
        "the bot `gone`, which pasquin.toml does not have: 1." in one["found"] for one in found(workspace, "bot gone")
    )


def test_online_asks_what_the_profile_says(tmp_path: Path) -> None:
    workspace = workspace_with(tmp_path / "w", {"out": FILE_BOT})
    Store.of(workspace).close()
    fine = [one["found"] for one in doctor(workspace, online=True)["findings"] if one["level"] == "fine"]
    assert "It says of itself what it must." in fine


def test_a_workspace_of_a_later_format_is_told_by_doctor_alone(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace.toml.write_text("[workspace]\nformat = 2\n")
    monkeypatch.chdir(workspace.root)
    told = doctor()["findings"]
    (one,) = [one for one in told if one["level"] == "problem"]
    assert one["found"] == "The workspace has format 2, and this Pasquin knows up to 1."
    assert any(one["about"] == "database" for one in told)


def test_the_command(tmp_path: Path) -> None:
    bare = program("doctor", cwd=tmp_path)
    assert bare.returncode == 0
    assert "pasquin init" in bare.stdout
    Workspace.create(tmp_path / "w").toml.write_text("[train\n")
    told = program("doctor", "--json", "--workspace", "w", cwd=tmp_path)
    assert told.returncode == 1
    assert json.loads(told.stdout)["problems"] >= 1
    said = program("doctor", "--workspace", "w", cwd=tmp_path)
    assert said.returncode == 1
    assert "  ✗ pasquin.toml" in said.stdout
    assert "      → Mend that line." in said.stdout
    assert not said.stderr
