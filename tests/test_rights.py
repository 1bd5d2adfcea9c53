"""Rights and deletion: what may be learned from, and what is gone when it is gone."""

from __future__ import annotations

import itertools
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import duckdb
import pytest
import sqlalchemy as sa

from invented import add_candidates, texts
from networks_fake import FakeNetwork, install
from pasquin.collect import collect
from pasquin.config import CollectSettings, PlaySettings, PrepareSettings
from pasquin.errors import CorpusError, Interrupted, UsageError
from pasquin.networks import Page
from pasquin.play import Game
from pasquin.prepare import prepare
from pasquin.records import Post
from pasquin.rights import forget, lineage, rights
from pasquin.screen import open_screen
from pasquin.store import Store
from pasquin.store.schema import candidates, players, trials
from pasquin.withdrawal import withdraw
from pasquin.workspace import Workspace
from pasquin.workspace.corpora import read_corpus
from pasquin.workspace.files import write_manifest
from pasquin.workspace.rights import record, recorded
from pasquin.workspace.shards import fetch_posts, open_shards
from pasquin.workspace.tombstones import add_tombstones, withdrawal_pending

SETTINGS = PrepareSettings(near_threshold=1, test_share=0.3)


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return Workspace.create(tmp_path / "bot")


def write_tweets(path: Path, written: list[str], accounts: int = 3) -> Path:
    rows = (
        {
            "tweet": text,
            "link": f"https://twitter.com/a{number % accounts}/status/{number + 1}",
            "user_id": number % accounts,
            "username": f"a{number % accounts}",
            "created_at": 1590958168000 + number,
        }
        for number, text in enumerate(written)
    )
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def village(workspace: Workspace) -> Workspace:
    """Posts of three accounts, the corpus `vc`, a model that learned it, and candidates."""
    write_tweets(Path("vc.jsonl"), texts(300))
    collect(workspace, ["twint:vc.jsonl"])
    made = prepare(workspace, "vc", settings=SETTINGS)
    workspace.model_dir("vc").mkdir(parents=True)
    write_manifest(workspace.model_dir("vc"), {"kind": "model", "corpus": "vc", "corpus_hash": made["hash"]})
    store = Store.of(workspace)
    nearest = [post.uri for post in read_corpus(workspace, "vc", "train")[:2]]
    add_candidates(store, "vc", texts(120, start=300), nearest=nearest)
    store.close()
    return workspace


def words_on_disk(workspace: Workspace, text: str) -> list[str]:
    """Every file of the workspace in which `text` still stands."""
    found = []
    for path in workspace.root.rglob("*"):
        if path.suffix == ".parquet" or ".tmp" in path.name:
            rows = duckdb.connect().execute("SELECT * FROM read_parquet(?)", [str(path)]).fetchall()
            found += [str(path)] if any(text in row for row in rows) else []
        elif path.is_file():
            found += [str(path)] if text.encode() in path.read_bytes() else []
    return found


# What may be learned from


def post(number: int, text: str, right: str) -> Post:
    return Post(uri=f"u:{number}", network="x", account="1", handle="ada", text=text, rights=right)


def test_posts_of_the_api_stay_out_until_a_permission_is_stated(workspace: Workspace) -> None:
    given = ("x-api", "unknown", "own-archive", "consented", "licence:CC0-1.0", "public-network", "provided")
    with open_shards(workspace) as shards:
        shards.append([post(number, text, given[number % 7]) for number, text in enumerate(texts(140))], "test")
    result = prepare(workspace, "vc", settings=SETTINGS)
    assert result["dropped"]["no_right"] == 40
    assert {found.rights for found in read_corpus(workspace, "vc")} == set(given[2:])
    assert workspace.corpus_manifest("vc")["rights"]["left_out"] == {"unknown": 20, "x-api": 20}

    statement = "X permits it in writing, 2026-03-01."
    workspace.toml.write_text(f'{workspace.toml.read_text()}\n[rights]\nx-api = "{statement}"\n')
    again = prepare(workspace, "vc", settings=SETTINGS)
    assert again["dropped"]["no_right"] == 20
    manifest = workspace.corpus_manifest("vc")
    assert manifest["statements"]["x-api"] == statement
    assert manifest["rights"]["kept"]["x-api"] == 20
    ledger = rights(workspace)
    assert ledger["left_out"] == {"unknown": 20}
    assert "[rights] unknown" in ledger["remedy"]["unknown"]
    assert ledger["statements"] == {"x-api": statement}


@pytest.mark.parametrize(
    ("table", "word"),
    [
        ("x-api = true", "in a sentence"),
        ('x-api = "yes"', "in a sentence"),
        ('twitter = "I may do that."', "nothing like `twitter`"),
    ],
)
def test_a_statement_has_to_say_something(workspace: Workspace, table: str, word: str) -> None:
    with open_shards(workspace) as shards:
        shards.append([post(number, text, "x-api") for number, text in enumerate(texts(60))], "test")
    with pytest.raises(CorpusError, match="pasquin rights"):
        prepare(workspace, "vc")
    workspace.toml.write_text(f"[rights]\n{table}\n")
    for stage in (lambda: prepare(workspace, "vc"), lambda: rights(workspace)):
        with pytest.raises(UsageError, match=word):
            stage()


def test_giving_a_file_is_a_statement_that_is_recorded(workspace: Workspace) -> None:
    write_tweets(Path("vc.jsonl"), texts(60))
    for _ in range(2):
        collect(workspace, ["twint:vc.jsonl"])
    (entry,) = recorded(workspace, "provided")
    assert (entry["source"], entry["posts"]) == ("twint:vc.jsonl", 60)
    prepare(workspace, "vc", settings=SETTINGS)
    assert "answers for the right" in str(workspace.corpus_manifest("vc")["statements"]["provided"])
    (account, *_) = rights(workspace)["accounts"]
    assert (account["rights"], account["posts"], account["permitted"]) == ("provided", 20, True)


def test_no_option_makes_the_api_harmless(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    network = install(monkeypatch, FakeNetwork(rights="x-api"))
    network.add("ada", texts(5))
    collect(workspace, ["fake:ada"], rights="consented")
    assert rights(workspace)["posts"] == {"x-api": 5}
    with pytest.raises(UsageError, match="no right"):
        collect(workspace, ["fake:ada"], rights="because")


def test_rules_that_were_accepted_are_recorded_once_with_their_words(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Ruled(FakeNetwork):
        def rules(self) -> list[SimpleNamespace]:
            return [
                SimpleNamespace(host=host, rules=("Be kind.",), digest="abc") for host in ("a.example", "b.example")
            ]

    network = install(monkeypatch, Ruled())
    network.add("ada", texts(5))
    for _ in range(2):
        collect(workspace, ["fake:ada"], settings=CollectSettings(accepted_rules=("A.example",)))
    (entry,) = recorded(workspace, "rules")
    assert (entry["host"], entry["digest"], entry["rules"]) == ("a.example", "abc", ["Be kind."])
    given: list[CollectSettings] = []
    monkeypatch.setattr("pasquin.networks.open_source", lambda name, settings: given.append(settings) or network)
    collect(workspace, ["fake:ada"])
    assert given[0].accepted_rules == ("a.example#abc",)


def test_a_record_cut_off_by_a_kill_is_mended(workspace: Workspace) -> None:
    record(workspace, "rules", host="a")
    path = workspace.posts / "rights.jsonl"
    path.write_bytes(path.read_bytes() + b'{"at": "20')
    assert [entry["host"] for entry in recorded(workspace)] == ["a"]
    record(workspace, "rules", host="b")
    assert [entry["host"] for entry in recorded(workspace)] == ["a", "b"]


# What is gone


def test_a_forgotten_post_is_gone_from_everything(village: Workspace) -> None:
    store = Store.of(village)
    game = Game(village, store, settings=PlaySettings())
    shown = next(card for deck in game.decks.values() for s in deck.strata for card in s.human)
    key, text = shown.item.key, shown.item.text
    with store.write() as connection:
        connection.execute(sa.insert(players).values(id="p", token_hash="h", created_at=sa.func.now()))
        row = {"id": "t", "player": "p", "category": "vc", "origin": "human", "item_key": key}
        connection.execute(sa.insert(trials).values(**row, shown_at=sa.func.now()))
    before = village.corpus_manifest("vc")

    result = forget(village, key)
    assert (result["forgotten"], result["posts"], result["corpora"], result["trials"]) == (1, 1, {"vc": 1}, 1)
    assert result["complete"]
    assert game.refresh()
    cards = {card.item.key for deck in game.decks.values() for s in deck.strata for card in (*s.human, *s.model)}
    assert key not in cards
    assert cards
    game.close()
    with store.read() as connection:
        assert connection.execute(sa.select(trials.c.item_key)).scalar_one().startswith("withdrawn:")
    store.close()

    assert key not in {post.uri for post in read_corpus(village, "vc")}
    after = village.corpus_manifest("vc")
    assert after["hash"] != before["hash"]
    assert after["withdrawn"][0]["hash"] == before["hash"]
    assert after["splits"]["test"] == before["splits"]["test"] - 1
    assert after["counts"]["kept"] == len(read_corpus(village, "vc"))
    assert sum(entry["posts"] for entry in after["accounts"]) == after["counts"]["kept"]
    screen = open_screen(village, min_characters=1, max_characters=500)
    assert screen.index.certificate(text).kind == "novel"
    assert words_on_disk(village, text) == []

    again = collect(village, ["twint:vc.jsonl"])
    assert (again["new"], again["skipped"]["forgotten"]) == (0, 1)
    remade = prepare(village, "vc", settings=SETTINGS)
    assert remade["kept"] == after["counts"]["kept"]
    with pytest.raises(UsageError, match="forgotten before"):
        forget(village, key)


def test_a_candidate_stays_but_loses_the_reference(village: Workspace) -> None:
    store = Store.of(village)
    with store.read() as connection:
        uri = connection.execute(sa.select(candidates.c.nearest_uri).limit(1)).scalar_one()
    result = forget(village, uri)
    assert (result["candidates"], result["models"]) == (60, ["vc"])
    with store.read() as connection:
        rows = connection.execute(sa.select(candidates.c.nearest_uri)).scalars().all()
    store.close()
    assert len(rows) == 120
    assert rows.count(None) == 60


def test_an_account_is_forgotten_with_what_it_will_post(village: Workspace) -> None:
    asked: list[str] = []
    with pytest.raises(Interrupted, match="Nothing was forgotten"):
        forget(village, "@A1", confirm=lambda what: bool(asked.append(what)))
    assert asked == ["all 100 posts of x:a1 (1), and whatever they post from now on"]
    result = forget(village, "@A1", confirm=lambda _: True)
    assert (result["forgotten"], result["posts"], result["accounts"]) == (100, 100, ["x:1"])
    assert {found.handle for found in read_corpus(village, "vc")} == {"a0", "a2"}
    assert [entry["handle"] for entry in village.corpus_manifest("vc")["accounts"]] == ["a0", "a2"]
    write_tweets(Path("vc.jsonl"), texts(330))
    assert collect(village, ["twint:vc.jsonl"])["new"] == 20
    assert rights(village)["forgotten"] == {"posts": 100, "accounts": 1}


@pytest.mark.parametrize(
    "address", ["https://twitter.com/a1/status/2", "https://x.com/other/status/2?s=20", "https://x.com/i/status/2"]
)
def test_a_post_is_found_by_any_of_its_addresses(village: Workspace, address: str) -> None:
    assert lineage(village, address)["posts"] == 1
    assert forget(village, address)["posts"] == 1
    with pytest.raises(UsageError, match="is here"):
        forget(village, "https://x.com/i/status/987654321")


def test_everything_can_be_forgotten(village: Workspace) -> None:
    for name in ("a0", "a1", "x:a2"):
        forget(village, name)
    assert fetch_posts(village, "SELECT * FROM {posts}") == []
    assert read_corpus(village, "vc") == []
    assert list(village.posts.rglob("*.parquet")) == []


def test_lineage_outlives_the_post_and_the_corpus(village: Workspace) -> None:
    uri = read_corpus(village, "vc", "train")[0].uri
    told = lineage(village, uri)
    content = str(village.corpus_manifest("vc")["hash"])
    assert told["corpora"] == [{"corpus": "vc", "hash": content, "splits": {"train": 1}}]
    model = {"model": "vc", "corpus": "vc", "corpus_hash": content, "splits": {"train": 1}, "known": True}
    assert told["models"] == [{**model, "learned": True}]
    assert (told["candidates"], told["nearest"], told["collected"]) == (120, 60, True)
    forget(village, uri)
    prepare(village, "vc", settings=PrepareSettings(seed=5))
    after = lineage(village, uri)
    assert (after["corpora"], after["collected"], after["forgotten"], after["nearest"]) == ([], False, 1, 0)
    assert after["models"] == [{**model, "learned": True}]
    held_back = next(post.uri for post in read_corpus(village, "vc", "test"))
    write_manifest(village.model_dir("old"), {"kind": "model", "corpus": "vc", "corpus_hash": "no more"})
    entries = {entry["model"]: entry for entry in lineage(village, held_back)["models"]}
    assert entries["old"]["known"] is False


def test_a_forgetting_that_is_killed_is_completed(village: Workspace) -> None:
    """A killed `forget` either did nothing yet or has hidden everything, and the next one finishes it."""
    script = (
        "import sys; from pathlib import Path; from pasquin.rights import forget;"
        "from pasquin.workspace import Workspace; import duckdb, sqlalchemy, alembic.config;"
        "print('ready', flush=True); forget(Workspace.open(Path(sys.argv[1])), 'a1')"
    )
    draw = random.Random(11)
    for _ in range(5):
        with subprocess.Popen([sys.executable, "-c", script, str(village.root)], stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(draw.uniform(0.0, 0.3))
            os.kill(process.pid, signal.SIGKILL)
        _hidden_or_untouched(village)
    if "a1" in _handles(village) or withdrawal_pending(village):
        forget(village, "a1")
    _all_gone(village)
    assert collect(village, ["twint:vc.jsonl"])["new"] == 0


def test_a_forgetting_that_is_cut_off_at_any_step_is_completed(
    village: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.fsync
    for step in itertools.count(1, 2):
        workspace = Workspace(shutil.copytree(village.root, tmp_path / f"cut{step}"))
        left = [step]

        def fsync(handle: int, left: list[int] = left) -> None:
            left[0] -= 1
            if left[0] == 0:
                raise KeyboardInterrupt
            real(handle)

        with monkeypatch.context() as patched:
            patched.setattr(os, "fsync", fsync)
            try:
                forget(workspace, "a1")
                break
            except KeyboardInterrupt:
                pass
        _hidden_or_untouched(workspace)
        if step == 5:  # killed between the two renames that put the new corpus in the place of the old
            (workspace.root / "corpora" / "vc").rename(workspace.root / "corpora" / ".vc.old")
        if withdrawal_pending(workspace) or "a1" in _handles(workspace):
            forget(workspace, "a1")
        _all_gone(workspace)
    assert step > 10


def _handles(workspace: Workspace) -> set[str]:
    return {handle for (handle,) in fetch_posts(workspace, "SELECT DISTINCT handle FROM {posts}")}


def _hidden_or_untouched(workspace: Workspace) -> None:
    collected, seen = _handles(workspace), {found.handle for found in read_corpus(workspace, "vc")}
    assert {"a0", "a2"} <= collected & seen
    assert ("a1" in collected) == ("a1" in seen)


def _all_gone(workspace: Workspace) -> None:
    assert not withdrawal_pending(workspace)
    assert {found.handle for found in read_corpus(workspace, "vc")} == {"a0", "a2"}
    assert words_on_disk(workspace, texts(300)[1]) == []


def test_a_busy_workspace_hides_now_and_removes_later(village: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pasquin.rights._PATIENCE", 0.0)
    uri = read_corpus(village, "vc")[0].uri
    text = read_corpus(village, "vc")[0].text
    with village.lock("collect"):
        assert not forget(village, uri)["complete"]
    assert uri not in {post.uri for post in read_corpus(village, "vc")}
    assert words_on_disk(village, text)
    collect(village, ["twint:vc.jsonl"])
    assert words_on_disk(village, text) == []


def test_what_is_deleted_upstream_is_gone_from_the_game_and_the_next_corpus(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = install(monkeypatch, FakeNetwork())
    for name in ("ada", "bo"):
        network.add(name, texts(150, start=0 if name == "ada" else 150))
    collect(workspace, ["fake:ada", "fake:bo"])
    prepare(workspace, "two", settings=SETTINGS)
    store = Store.of(workspace)
    add_candidates(store, "two", texts(120, start=300))
    game = Game(workspace, store)
    keys = {card.item.key for s in game.decks["two"].strata for card in s.human}
    gone = [number for number in range(150) if network.uri("ada", number) in keys][:3]
    for number in gone:
        del network.posts_of["ada"][number]
    network.deleted["ada"] = [*gone, 99_999]
    network.posts_of["ada"][149] = "Mended: nobody owes the moon anything."

    began = time.monotonic()
    result = collect(workspace, ["fake:ada", "fake:bo"])
    assert (result["deleted"], result["failed"]) == (3, 0)
    assert game.refresh()
    lag = time.monotonic() - began
    uris = {network.uri("ada", number) for number in gone}
    assert not uris & {card.item.key for s in game.decks["two"].strata for card in s.human}
    game.close()
    store.close()
    assert lag < 30
    assert not uris & {found.uri for found in read_corpus(workspace, "two")}
    assert prepare(workspace, "two", settings=SETTINGS)["kept"] == 297


def test_a_complete_list_tells_what_was_deleted(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    class Listing(FakeNetwork):
        def _pages(self, account: str, since: int):  # type: ignore[no-untyped-def]
            yield from super()._pages(account, since)
            yield Page((), complete=self.complete(account))

    network = install(monkeypatch, Listing())
    network.add("ada", texts(25))
    network.add("bo", texts(5, start=25))
    collect(workspace, ["fake:ada", "fake:bo"])
    del network.posts_of["ada"][3], network.posts_of["ada"][24]
    result = collect(workspace, ["fake:ada", "fake:bo"])
    assert [source["deleted"] for source in result["sources"]] == [2, 0]
    left = {uri for (uri,) in fetch_posts(workspace, "SELECT uri FROM {posts}")}
    assert len(left) == 28
    assert network.uri("ada", 3) not in left


def test_what_only_the_owners_archive_has_is_not_taken_for_deleted(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Listing(FakeNetwork):
        def _pages(self, account: str, since: int):  # type: ignore[no-untyped-def]
            yield from super()._pages(account, since)
            yield Page((), complete=self.complete(account))

    def left() -> set[str]:
        return {uri for (uri,) in fetch_posts(workspace, "SELECT uri FROM {posts}")}

    network = install(monkeypatch, Listing(rights="own-archive"))
    network.add("ada", texts(30))
    archive = dict(network.posts_of["ada"])
    with monkeypatch.context() as patch:  # the archive: all posts, and no word on what there is now
        patch.setattr(Listing, "_pages", FakeNetwork._pages)
        collect(workspace, ["fake:ada"])
    network.rights = "public-network"
    for number in range(10):  # long deleted, or hidden
        del network.posts_of["ada"][number]
    for _ in range(2):
        assert collect(workspace, ["fake:ada"])["deleted"] == 0
        assert len(left()) == 30
    del network.posts_of["ada"][25]
    assert collect(workspace, ["fake:ada"])["deleted"] == 1
    assert left() == {network.uri("ada", number) for number in archive if number != 25}

    shown = next((workspace.posts / "shown").iterdir())
    assert len(shown.read_text().splitlines()) == 20
    forget(workspace, network.uri("ada", 0))
    network.add("ada", ["Rather new."])
    collect(workspace, ["fake:ada"])
    assert len(left()) == 29
    assert network.uri("ada", 25) not in shown.read_text()


def test_withdrawing_costs_nothing_when_nothing_was_forgotten(workspace: Workspace) -> None:
    class Loud:
        def say(self, text: str) -> None:
            raise AssertionError(text)

    assert withdraw(workspace, Loud())["posts"] == 0  # type: ignore[arg-type]
    add_tombstones(workspace, "forgotten", ["nowhere"])
    assert withdrawal_pending(workspace)
    assert withdraw(workspace, Loud())["posts"] == 0  # type: ignore[arg-type]
    assert not withdrawal_pending(workspace)
