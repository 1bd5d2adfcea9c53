"""Prepare, end to end: the same posts give the same corpus, nothing leaks between splits, mistakes are sentences."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import numpy as np
import pytest

from invented import HANDLES, texts
from pasquin.config import PrepareSettings
from pasquin.errors import CorpusError, Interrupted, ResourceError, UsageError, WorkspaceError
from pasquin.export import export_corpus
from pasquin.prepare import prepare
from pasquin.prepare.duplicates import jaccard, shingle_set
from pasquin.prepare.splits import SPLITS, Posts, draw
from pasquin.prepare.splits import assign_splits as assign
from pasquin.progress import Silent
from pasquin.records import Post
from pasquin.texts import comparable, normalise
from pasquin.workspace import Workspace
from pasquin.workspace.corpora import read_corpus
from pasquin.workspace.files import file_hash
from pasquin.workspace.shards import open_shards

REAL = Path(__file__).resolve().parents[2] / "shared" / "data" / "tweets" / "covid19.jsonl.gz"
FIRST = datetime(2020, 1, 1, tzinfo=UTC)


def invented(count: int, handles: Sequence[str] = HANDLES) -> list[Post]:
    return [
        Post(
            uri=f"file:{number:05d}",
            network="csv",
            account=f"id-{handles[number % len(handles)]}",
            handle=handles[number % len(handles)],
            text=text,
            created_at=FIRST + timedelta(hours=number),
            likes=number,
            rights="provided",
        )
        for number, text in enumerate(texts(count))
    ]


def workspace_with(folder: Path, posts: Iterable[Post]) -> Workspace:
    workspace = Workspace.create(folder)
    with open_shards(workspace) as shards:
        shards.append(list(posts), "csv:invented")
    return workspace


def assign_splits(posts: Sequence[Post], clusters: Sequence[int], settings: PrepareSettings) -> list[str]:
    """The names of the splits of posts in order of time."""
    owners: dict[str, int] = {}
    arrays = Posts(
        np.array([draw(settings.seed, post.uri) for post in posts], np.uint64),
        np.array([owners.setdefault(post.account, len(owners)) for post in posts], np.int32),
        np.array([post.created_at is not None for post in posts], bool),
    )
    return [SPLITS[number] for number in assign(arrays, np.array(clusters, np.int64), settings)]


def test_posts_become_a_corpus_with_a_report(tmp_path: Path) -> None:
    posts = invented(400)
    posts += [
        replace(posts[0], uri="file:copy", text=posts[0].text.upper()),
        replace(posts[1], uri="file:reply", text="@you yes"),
        replace(posts[2], uri="file:link", text="https://example.com/a"),
    ]
    workspace = workspace_with(tmp_path, posts)
    result = prepare(workspace, "vc", settings=PrepareSettings(near_threshold=0.95))
    assert result["dropped"] == {"leading_at": 1, "link_only": 1, "duplicate": 1}
    assert result["kept"] == 400 == sum(result["splits"].values())
    corpus = read_corpus(workspace, "vc")
    assert {post.uri for post in corpus} == {post.uri for post in posts[:400]}
    assert corpus[5].created_at == FIRST + timedelta(hours=5)
    assert corpus[5].likes == 5
    assert {split: len(read_corpus(workspace, "vc", split)) for split in result["splits"]} == result["splits"]
    manifest = workspace.corpus_manifest("vc")
    assert manifest["hash"] == result["hash"]
    dropped = duckdb.read_parquet(str(workspace.corpus_dir("vc") / "dropped.parquet")).fetchall()
    assert sorted(dropped) == [("file:copy", "duplicate"), ("file:link", "link_only"), ("file:reply", "leading_at")]
    assert "very little" in result["verdict"]


def test_a_thread_stays_and_a_reply_to_somebody_goes(tmp_path: Path) -> None:
    posts = invented(100)
    thread = [
        replace(posts[0], uri="file:second", text="And this goes on about turnips", reply_to=posts[0].uri),
        replace(posts[0], uri="file:answer", text="I answer you about turnips here", reply_to=posts[1].uri),
        replace(posts[0], uri="file:lost", text="Whoever wrote that never saw one", reply_to="file:nobody"),
    ]
    workspace = workspace_with(tmp_path, posts + thread)
    result = prepare(workspace, "vc", settings=PrepareSettings(near_threshold=1))
    assert result["dropped"] == {"reply": 2}
    assert "file:second" in {post.uri for post in read_corpus(workspace, "vc")}


def test_the_same_posts_give_the_same_bytes_and_other_posts_others(tmp_path: Path) -> None:
    posts = invented(200)
    hashes = []
    for name, order in (("a", posts), ("b", posts[::-1])):
        workspace = workspace_with(tmp_path / name, order)
        prepare(workspace, "vc")
        folder = workspace.corpus_dir("vc")
        hashes.append({file.name: file_hash(file) for file in folder.iterdir()})
    assert hashes[0] == hashes[1]
    again = prepare(workspace, "vc")
    assert again["up_to_date"]
    other = prepare(workspace, "vc", settings=PrepareSettings(seed=1))
    assert not other["up_to_date"]
    assert other["hash"] != again["hash"]
    with open_shards(workspace) as shards:
        shards.append([replace(posts[0], uri="file:new", text="A wholly new thought about turnips.")], "csv:more")
    assert prepare(workspace, "vc", settings=PrepareSettings(seed=1))["kept"] == other["kept"] + 1


def test_most_posts_stay_in_their_split_when_posts_are_added(tmp_path: Path) -> None:
    posts = invented(1_000)
    settings = PrepareSettings(near_threshold=1)
    alone = range(len(posts))
    before = assign_splits(posts[:900], list(alone[:900]), settings)
    after = assign_splits(posts, list(alone), settings)
    assert sum(one != other for one, other in zip(before, after[:900], strict=True)) < 15


def test_no_near_copy_straddles_two_splits(tmp_path: Path) -> None:
    posts = invented(300)
    twins = [
        replace(post, uri=f"{post.uri}-twin", text=post.text.replace("the", "that"))
        for post in posts
        if "the" in post.text
    ]
    workspace = workspace_with(tmp_path, posts + twins)
    prepare(workspace, "vc", settings=PrepareSettings(near_threshold=0.97, test_share=0.3))
    shingles = [(post.split, post.cluster, shingle_set(comparable(post.text))) for post in read_corpus(workspace, "vc")]
    held_out = [entry for entry in shingles if entry[0] == "test"]
    assert len(held_out) > 20
    for _, cluster, mine in held_out:
        for split, other_cluster, theirs in shingles:
            if jaccard(mine, theirs) >= 0.6:
                assert (split, other_cluster) == ("test", cluster)


def test_every_account_has_posts_for_the_game(tmp_path: Path) -> None:
    posts = [
        replace(post, account="rare", handle="rare") if number < 60 else post
        for number, post in enumerate(invented(3_000))
    ]
    splits = assign_splits(posts, range(len(posts)), PrepareSettings())
    rare = [split for split, post in zip(splits, posts, strict=True) if post.handle == "rare"]
    assert rare.count("test") >= 10
    assert rare.count("train") >= 40


def test_a_split_by_time_keeps_the_newest_for_the_game() -> None:
    posts = invented(500)
    splits = assign_splits(posts, range(len(posts)), PrepareSettings(split="time", test_share=0.1))
    assert splits[-50:] == ["test"] * 50
    assert splits[-70:-50] == ["validation"] * 20
    assert splits[:-70] == ["train"] * 430
    undated = [replace(post, created_at=None) for post in posts]
    with pytest.raises(CorpusError, match="--split random"):
        assign_splits(undated, range(len(posts)), PrepareSettings(split="time"))


def test_accounts_are_chosen_and_capped(tmp_path: Path) -> None:
    workspace = workspace_with(tmp_path, invented(300))
    settings = PrepareSettings(max_per_account=40, near_threshold=1)
    both = prepare(workspace, "two", accounts=["@Ada_Baker", "csv:id-botanist_bo"], settings=settings)
    assert both["kept"] == 80
    assert both["dropped"] == {"account_cap": 120}
    assert {post.handle for post in read_corpus(workspace, "two")} == {"ada_baker", "botanist_bo"}
    with pytest.raises(UsageError, match="ada_baker"):
        prepare(workspace, "x", accounts=["nobody"])
    with pytest.raises(WorkspaceError, match="collect @"):
        prepare(workspace, "x", lists=["nolist"])


def test_too_little_is_a_sentence_and_leaves_the_old_corpus(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="pasquin collect"):
        prepare(Workspace.create(tmp_path / "empty"), "vc")
    workspace = workspace_with(tmp_path / "few", invented(3))
    with pytest.raises(CorpusError, match="Only 3 of the 3"):
        prepare(workspace, "vc")
    workspace = workspace_with(tmp_path / "good", invented(100))
    before = prepare(workspace, "vc")
    with pytest.raises(CorpusError, match="too short: 100"):
        prepare(workspace, "vc", settings=PrepareSettings(min_characters=900))
    assert workspace.corpus_manifest("vc")["hash"] == before["hash"]
    copies = [replace(post, text=f"{'the same words again and again ' * 3}{n}") for n, post in enumerate(invented(60))]
    with pytest.raises(CorpusError, match=r"near copies|Only 1 of"):
        prepare(workspace_with(tmp_path / "copies", copies), "vc")


def test_small_corpora_still_have_three_splits(tmp_path: Path) -> None:
    workspace = workspace_with(tmp_path, invented(24))
    splits = prepare(workspace, "vc", settings=PrepareSettings(near_threshold=1))["splits"]
    assert splits["test"] >= 4
    assert splits["validation"] >= 2
    assert splits["train"] >= 12


def test_interrupting_changes_nothing(tmp_path: Path) -> None:
    workspace = workspace_with(tmp_path, invented(100))

    class Impatient(Silent):
        def task(self, label: str, total: float | None, unit: str):  # type: ignore[no-untyped-def]
            if label == "Writing the corpus":
                raise KeyboardInterrupt
            return super().task(label, total, unit)

    with pytest.raises(Interrupted, match="pasquin prepare vc"):
        prepare(workspace, "vc", progress=Impatient())
    assert workspace.corpora() == []
    assert list((workspace.root / "corpora").glob("*")) == []
    prepare(workspace, "vc")
    assert [entry.name for entry in (workspace.root / "corpora").iterdir()] == ["vc"]


def test_what_was_done_before_an_interruption_is_not_done_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Impatient(Silent):
        def task(self, label: str, total: float | None, unit: str):  # type: ignore[no-untyped-def]
            if label == "Comparing":
                raise KeyboardInterrupt
            return super().task(label, total, unit)

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("cleaned again")

    hashes = []
    for name in ("straight", "interrupted"):
        workspace = workspace_with(tmp_path / name, invented(200))
        with monkeypatch.context() as patch:
            if name == "interrupted":
                with pytest.raises(Interrupted):
                    prepare(workspace, "vc", progress=Impatient())
                patch.setattr("pasquin.prepare.parts.clean", refuse)
                with pytest.raises(AssertionError, match="cleaned again"):
                    prepare(workspace, "vc", settings=PrepareSettings(strip_hashtags=True))
            prepare(workspace, "vc")
        hashes.append({file.name: file_hash(file) for file in workspace.corpus_dir("vc").iterdir()})
        assert not list((workspace.root / ".preparing").glob("*"))
    assert hashes[0] == hashes[1]


def test_a_full_disk_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = workspace_with(tmp_path, invented(100))
    first = prepare(workspace, "vc")

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pasquin.workspace.corpora.write_manifest", full)
    with pytest.raises(ResourceError, match="disk is full"):
        prepare(workspace, "vc", settings=PrepareSettings(seed=9))
    assert workspace.corpus_manifest("vc")["hash"] == first["hash"]
    assert [entry.name for entry in (workspace.root / "corpora").iterdir()] == ["vc"]


def test_a_full_disk_is_no_damaged_post(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import duckdb

    workspace = workspace_with(tmp_path, invented(30))

    def full(*_: object) -> None:
        raise duckdb.IOException("IO Error: Could not write file: No space left on device")

    monkeypatch.setattr("pasquin.prepare.inputs._order", full)
    with pytest.raises(ResourceError, match="the disk is full"):
        prepare(workspace, "vc")


@pytest.mark.parametrize(
    ("file", "content"),
    [("manifest.json", b"{"), ("posts.parquet", None), ("posts.parquet", b"PAR1"), ("report.html", None)],
)
def test_a_spoilt_corpus_is_made_again(file: str, content: bytes | None, tmp_path: Path) -> None:
    workspace = workspace_with(tmp_path, invented(60))
    first = prepare(workspace, "vc")
    assert prepare(workspace, "vc")["up_to_date"]
    spoilt = workspace.corpus_dir("vc") / file
    spoilt.unlink() if content is None else spoilt.write_bytes(content)
    again = prepare(workspace, "vc")
    assert (again["up_to_date"], again["hash"]) == (False, first["hash"])
    assert prepare(workspace, "vc")["up_to_date"]


def test_a_damaged_shard_is_a_sentence(tmp_path: Path) -> None:
    workspace = workspace_with(tmp_path, invented(30))
    shard = next(workspace.posts.glob("*/*/*.parquet"))
    shard.write_bytes(shard.read_bytes()[:100])
    with pytest.raises(WorkspaceError, match="collect its source again"):
        prepare(workspace, "vc")


def test_hostile_names_cannot_act_in_the_report(tmp_path: Path) -> None:
    name = "\"><img src=x onerror=alert(1)><script>alert('1')</script>"
    workspace = workspace_with(tmp_path, invented(100, handles=(name, "plain")))
    report = Path(prepare(workspace, "vc")["report"]).read_text(encoding="utf-8")
    assert "<img" not in report
    assert "<script" not in report
    assert "&lt;img src=x" in report
    assert not re.search(r"https?://", report)


def test_export_writes_what_the_older_tools_read(tmp_path: Path) -> None:
    posts = [replace(post, text=f'He said "{post.text}"\nand left, {n}') for n, post in enumerate(invented(60))]
    workspace = workspace_with(tmp_path, posts)
    prepare(workspace, "vc", settings=PrepareSettings(near_threshold=1))
    result = export_corpus(workspace, "vc", tmp_path / "vc.csv")
    rows = duckdb.sql(
        f"SELECT * FROM read_csv('{tmp_path / 'vc.csv'}', header = true, quote = '\"', escape = '\"', "
        "columns = {'tweets': 'VARCHAR'}, delim = ',')"
    ).fetchall()
    assert result["posts"] == 60
    assert [text for (text,) in rows] == [post.text for post in read_corpus(workspace, "vc")]
    assert export_corpus(workspace, "vc", tmp_path / "test.txt", "test")["posts"] < 60
    assert (tmp_path / "test.txt").read_text(encoding="utf-8").endswith("\n" + "=" * 20 + "\n")
    export_corpus(workspace, "vc", tmp_path / "vc.jsonl")
    assert len((tmp_path / "vc.jsonl").read_text(encoding="utf-8").splitlines()) == 60
    with pytest.raises(UsageError, match=r"\.csv"):
        export_corpus(workspace, "vc", tmp_path / "vc.xlsx")
    with pytest.raises(UsageError, match="validation"):
        export_corpus(workspace, "vc", tmp_path / "vc.csv", "dev")


@pytest.mark.real
@pytest.mark.skipif(not REAL.exists(), reason="the real tweets are not beside this checkout")
def test_real_tweets_come_out_clean(tmp_path: Path) -> None:
    from pasquin.collect import collect

    workspace = Workspace.create(tmp_path)
    collect(workspace, [f"twint:{REAL}"])
    result = prepare(workspace, "covid19")
    assert result["kept"] > 12_000
    assert result["verdict"].startswith("That is comfortable")
    for post in read_corpus(workspace, "covid19"):
        assert normalise(post.text) == post.text
        assert not re.search(r"https?://|pic\.twitter|&amp;|\u00a0|^@|^RT @", post.text), post.uri
