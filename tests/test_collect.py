"""Collect, from the sources as people write them to what is in the workspace afterwards."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

import pasquin
from invented import texts
from networks_fake import FakeNetwork, install
from pasquin.collect import collect
from pasquin.collect.wanted import without_secrets
from pasquin.config import CollectSettings
from pasquin.errors import (
    InputError,
    Interrupted,
    NetworkError,
    Refused,
    ResourceError,
    UsageError,
    WorkspaceError,
)
from pasquin.networks import Page, files
from pasquin.progress import Silent
from pasquin.records import Post
from pasquin.workspace import Workspace
from pasquin.workspace.lists import read_list
from pasquin.workspace.shards import open_shards, posts_query

TWEETS = Path(__file__).parents[2] / "shared" / "data" / "tweets"


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.chdir(tmp_path)
    return Workspace.create(tmp_path / "bot")


def stored(workspace: Workspace, columns: str = "uri") -> list[tuple[object, ...]]:
    return duckdb.sql(f"SELECT {columns} FROM {posts_query(workspace)} ORDER BY ALL").fetchall()


def write_tweets(path: Path, count: int, accounts: int = 3) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as handle:
        for number in range(count):
            account = number % accounts
            record = {
                "tweet": f"post {number}",
                "link": f"https://twitter.com/a{account}/status/{number + 1}",
                "user_id": account,
                "username": f"a{account}",
                "created_at": 1590958168000 + number,
            }
            handle.write(json.dumps(record) + "\n")
    return path


def quarantine(workspace: Workspace) -> list[dict[str, str]]:
    return [
        json.loads(line) for path in sorted(workspace.quarantine.iterdir()) for line in path.read_text().splitlines()
    ]


def test_collecting_twice_adds_nothing(workspace: Workspace) -> None:
    write_tweets(Path("vc.jsonl"), 20)
    first = pasquin.collect(workspace, ["twint:vc.jsonl"])
    assert (first["posts"], first["new"], first["skipped"], first["quarantined"]) == (20, 20, {}, 0)
    again = pasquin.collect(workspace, ["vc.jsonl", "twint:./vc.jsonl"])
    assert (again["posts"], again["new"], again["skipped"]) == (40, 0, {"already collected": 40})
    assert set(again) == {
        *("posts", "new", "skipped", "quarantined", "seconds", "sources"),
        *("updated", "deleted", "failed"),
    }
    assert len(stored(workspace)) == 20
    write_tweets(Path("vc.jsonl"), 25)
    assert collect(workspace, ["vc.jsonl"])["new"] == 5


def test_options_reach_the_files(workspace: Workspace) -> None:
    Path("table.csv").write_text("words,who\nhello,ada\n")
    Path("wise").write_text("One.\n%\nTwo.\n%\n")
    collect(workspace, ["csv:table.csv"], columns={"text": "words", "account": "who"}, rights="licence:CC0-1.0")
    collect(workspace, ["fortune:wise"], account="sage")
    assert stored(workspace, "account, text, rights") == [
        ("ada", "hello", "licence:CC0-1.0"),
        ("sage", "One.", "provided"),
        ("sage", "Two.", "provided"),
    ]


def test_source_lists(workspace: Workspace) -> None:
    write_tweets(Path("data/vc.jsonl"), 6)
    Path("data/wise").write_text("One.\n%\n")
    Path("sources").mkdir()
    Path("sources/mix.txt").write_text(
        "# a mix\n\ntwint:../data/vc.jsonl  # three accounts\nfortune:../data/wise\n../data/vc.jsonl\n"
    )
    result = collect(workspace, ["@sources/mix.txt"])
    assert result["new"] == 7
    assert read_list(workspace, "mix") == [("files", "wise"), ("x", "0"), ("x", "1"), ("x", "2")]
    assert len(stored(workspace)) == 7


@pytest.mark.parametrize(
    ("source", "error", "word"),
    [
        ("facebook:me", UsageError, "no source `facebook:`"),
        ("twint:", UsageError, "lacks"),
        ("someone", UsageError, "is no source"),
        ("twint:none.jsonl", InputError, "no file none.jsonl"),
        ("none.jsonl", InputError, "no file none.jsonl"),
        ("@none.txt", InputError, "cannot be read"),
        ("@empty.txt", InputError, "names no source"),
        ("@nested.txt", UsageError, "cannot name another"),
        ("twint:empty.txt", InputError, "is empty"),
        ("x-archive:broken.txt", InputError, "no zip"),
        ("twint:broken.txt", InputError, "No post could be read"),
        ("csv:broken.txt", InputError, "No post could be read|no column|header"),
    ],
)
def test_what_makes_no_sense_is_a_sentence(
    workspace: Workspace, source: str, error: type[Exception], word: str
) -> None:
    Path("empty.txt").touch()
    Path("nested.txt").write_text("@nested.txt\n")
    Path("broken.txt").write_bytes(b"tweets\n\xff\xff\n")
    with pytest.raises(error, match=word) as caught:
        collect(workspace, [source])
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


def test_a_file_whose_name_is_not_utf8(workspace: Workspace) -> None:
    name = os.fsdecode(b"caf\xe9.txt")
    Path(name).write_bytes(b"one\n\xff\n")
    result = collect(workspace, [f"text:{name}"])
    assert (result["new"], result["quarantined"]) == (1, 1)
    assert stored(workspace, "account") == [("caf\\udce9",)]
    assert json.dumps(result, ensure_ascii=False).encode()


def test_nothing_to_collect(workspace: Workspace) -> None:
    with pytest.raises(UsageError, match="nothing to collect"):
        collect(workspace, [])


def test_what_cannot_be_read_can_be_looked_at(workspace: Workspace) -> None:
    path = write_tweets(Path("vc.jsonl"), 3)
    path.write_bytes(path.read_bytes() + b'{"tweet": "\xff\n' + b'{"cut": \n')
    result = collect(workspace, ["twint:vc.jsonl"])
    assert (result["posts"], result["quarantined"]) == (3, 2)
    first, second = quarantine(workspace)
    assert first["where"] == "vc.jsonl:4"
    assert first["excerpt"] == '{"tweet": "\\xff'
    assert second["where"] == "vc.jsonl:5"
    assert "JSON" in second["reason"]
    collect(workspace, ["twint:vc.jsonl"])
    assert len(quarantine(workspace)) == 2
    write_tweets(path, 3)
    collect(workspace, ["twint:vc.jsonl"])
    assert quarantine(workspace) == []


class Feed:
    """A network that gives a page of two posts a step, and may break."""

    reads_files = False

    def __init__(self, breaks_after: int = 99, error: BaseException | None = None) -> None:
        self.breaks_after, self.error, self.asked = breaks_after, error, list[str | None]()

    def posts(self, account: str, since: str | None) -> Iterator[Page]:
        self.asked.append(since)
        for step in range(int(since or 0), 5):
            if step == self.breaks_after and self.error is not None:
                raise self.error
            numbers = (2 * step, 2 * step + 1)
            yield Page(
                tuple(Post(uri=f"feed:{n}", network="feed", account=account, handle="f", text=f"{n}") for n in numbers),
                cursor=str(step + 1),
            )


@pytest.mark.parametrize("error", [KeyboardInterrupt(), NetworkError("The feed is away. Try again later.")])
def test_a_network_goes_on_where_it_was_left(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    feeds = [Feed(3, error), Feed(), Feed()]
    opened = iter(feeds)
    monkeypatch.setattr("pasquin.networks.sources", lambda: {"feed": "a test"})
    monkeypatch.setattr("pasquin.networks.open_source", lambda name, settings: next(opened))
    with pytest.raises(Interrupted if isinstance(error, KeyboardInterrupt) else NetworkError):
        collect(workspace, ["feed:ada"])
    assert len(stored(workspace)) == 6
    assert collect(workspace, ["feed:ada"])["new"] == 4
    Path("later.txt").write_text("feed:ada\n")
    assert collect(workspace, ["@later.txt"])["posts"] == 0
    assert [feed.asked for feed in feeds] == [[None], ["3"], ["5"]]
    assert read_list(workspace, "later") == [("feed", "ada")]  # although nothing new came


def test_two_hundred_accounts_of_which_some_are_dead(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    network = install(monkeypatch, FakeNetwork(page=5, delay=0.002))
    for number in range(200):
        network.add(f"a{number}", texts(5, start=5 * number))
    network.dead = {
        **{f"a{number}": Refused(f"a{number} is gone.") for number in range(0, 200, 20)},
        "a7": UsageError("a.example has rules for those who use it."),
    }
    Path("vc.txt").write_text("".join(f"fake:a{number}\n" for number in range(200)))
    said: list[str] = []

    class Listening(Silent):
        def say(self, text: str) -> None:
            said.append(text)

    result = collect(workspace, ["@vc.txt", "fake:a1"], settings=CollectSettings(workers=8), progress=Listening())
    assert (result["new"], result["failed"], len(result["sources"])) == (945, 11, 200)
    assert len(stored(workspace)) == 945
    assert network.most_at_once == 8
    errors = {source["source"]: source["error"] for source in result["sources"] if source["error"]}
    assert errors["fake:a20"] == "a20 is gone."
    assert len(errors) == 11
    assert len(read_list(workspace, "vc")) == 189
    network.dead = {}
    again = collect(workspace, ["@vc.txt"])
    assert (again["new"], again["failed"]) == (55, 0)
    assert len(stored(workspace)) == 1_000
    assert said == []


def test_nothing_but_dead_accounts(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    network = install(monkeypatch, FakeNetwork())
    network.add("ada", texts(5))
    with pytest.raises(InputError, match=r"None of the 2 sources[^$]*no account bo"):
        collect(workspace, ["fake:bo", "fake:cy"])
    with pytest.raises(NetworkError, match="no account bo"):
        collect(workspace, ["fake:bo"])
    assert collect(workspace, ["fake:bo", "fake:ada"])["failed"] == 1


def test_a_page_without_news_moves_the_cursor(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    network = install(monkeypatch, FakeNetwork())
    network.add("ada", ["one", "two"])
    Path("given.jsonl").write_text("")
    with open_shards(workspace) as shards:  # another source gave the same posts before
        shards.append(
            [
                Post(uri=network.uri("ada", n), network="fake", account="id-ada", handle="ada", text="t")
                for n in range(2)
            ],
            "other",
        )
    first = collect(workspace, ["fake:ada"])
    assert (first["new"], first["updated"]) == (0, 2)
    collect(workspace, ["fake:ada"])
    assert network.asked == [("ada", None), ("ada", "2")]


INTERRUPTED = """
import os, signal, sys
from pathlib import Path

import pytest

from networks_fake import FakeNetwork, install
from pasquin.collect import collect
from pasquin.errors import Interrupted
from pasquin.workspace import Workspace

signal.signal(signal.SIGINT, signal.default_int_handler)


def press_ctrl_c(account, start):
    if (account, start) == ("a0", 3):  # the pages before it are stored
        os.kill(os.getpid(), signal.SIGINT)


network = install(pytest.MonkeyPatch(), FakeNetwork(page=1, delay=0.01, on_page=press_ctrl_c))
for number in range(6):
    network.add(f"a{number}", [f"Post {at} of six times thirty" for at in range(30 * number, 30 * number + 30)])
with pytest.raises(Interrupted, match="Run the same command again"):
    collect(Workspace.open(Path(sys.argv[1])), [f"fake:a{number}" for number in range(6)])
"""


def test_ctrl_c_ends_many_sources_at_once(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a process of its own: what else a test process has loaded must not decide what a signal does."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    command = [sys.executable, "-c", INTERRUPTED, str(workspace.root)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    kept = len(stored(workspace))
    assert 0 < kept < 180
    assert not list(workspace.root.rglob("*.incoming.tmp"))
    network = install(monkeypatch, FakeNetwork(page=1))
    for number in range(6):
        network.add(f"a{number}", [f"Post {at} of six times thirty" for at in range(30 * number, 30 * number + 30)])
    result = collect(workspace, [f"fake:a{number}" for number in range(6)])
    assert kept + result["new"] == 180 == len(stored(workspace))


def test_a_full_disk_ends_all_sources(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    network = install(monkeypatch, FakeNetwork(page=1, delay=0.01))
    for number in range(4):
        network.add(f"a{number}", texts(50, start=50 * number))

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pasquin.workspace.files.sync", full)
    with pytest.raises(ResourceError, match="disk is full"):
        collect(workspace, [f"fake:a{number}" for number in range(4)])


@pytest.mark.parametrize(
    ("line", "word"),
    [
        ("@ada@example.social", "write mastodon:@ada@example.social"),
        ("ada.bsky.social", "write bluesky:ada.bsky.social"),
        ("@ada", "bluesky:ada.bsky.social or mastodon:@ada@HOST"),
        ("gopher:ada", "no source `gopher:`"),
    ],
)
def test_a_handle_without_its_network_is_a_sentence(workspace: Workspace, line: str, word: str) -> None:
    Path("old.txt").write_text(f"# of 2020\ntwint:vc.jsonl\n{line}\n")
    with pytest.raises(UsageError, match=word) as caught:
        collect(workspace, ["@old.txt"])
    assert "old.txt, line 3" in str(caught.value)
    with pytest.raises(UsageError, match=word):
        collect(workspace, [line])


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("feed:https://a.example/b", "feed:https://a.example/b"),
        ("feed:https://a.example/b?key=canary", r"feed:https://a\.example/b\?…[0-9a-f]{8}"),
        ("https://ann:canary@a.example/b.csv", r"https://a\.example/b\.csv\?…[0-9a-f]{8}"),
        ("jsonl:http://a.example/?x#canary", r"jsonl:http://a\.example/\?…[0-9a-f]{8}"),
        ("csv:what?.csv", r"csv:what\?\.csv"),
        ("bluesky:list:at://a/b?c", r"bluesky:list:at://a/b\?c"),
    ],
)
def test_keys_in_addresses_are_neither_said_nor_kept(written: str, shown: str) -> None:
    assert re.fullmatch(shown, without_secrets(written))
    other = written.replace("canary", "other")
    assert (without_secrets(other) == without_secrets(written)) == (other == written)


def test_only_one_collector_at_a_time(workspace: Workspace) -> None:
    write_tweets(Path("vc.jsonl"), 3)
    with workspace.lock("collect"), pytest.raises(WorkspaceError, match="busy with collect"):
        collect(workspace, ["twint:vc.jsonl"])


def test_a_killed_collector_loses_nothing_and_repeats_nothing(workspace: Workspace, tmp_path: Path) -> None:
    write_tweets(Path("vc.jsonl"), 4_000, accounts=4)
    script = (
        "import sys; from pathlib import Path; from pasquin.collect import collect;"
        "from pasquin.workspace import Workspace;"
        "from pasquin.config import CollectSettings;"
        "w = Workspace.open(Path(sys.argv[1])); print('ready', flush=True);"
        "collect(w, ['twint:vc.jsonl'], settings=CollectSettings(page_posts=100))"
    )
    draw = random.Random(7)
    for _ in range(4):
        with subprocess.Popen([sys.executable, "-c", script, str(workspace.root)], stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(draw.uniform(0.1, 0.6))
            os.kill(process.pid, signal.SIGKILL)
    collect(workspace, ["twint:vc.jsonl"])
    glob = f"{workspace.posts}/*/*/*.parquet"
    assert duckdb.sql(f"SELECT count(*), count(DISTINCT uri) FROM read_parquet('{glob}')").fetchall() == [
        (4_000, 4_000)
    ]
    assert not list(workspace.root.rglob("*.tmp"))


def test_a_killed_collector_of_many_accounts_equals_an_uninterrupted_one(workspace: Workspace) -> None:
    """SIGKILL again and again while eight accounts are read at a time: nothing is lost, nothing is there twice."""
    script = (
        "import sys; from pathlib import Path; sys.path.insert(0, sys.argv[2]);"
        "import pytest; from networks_fake import FakeNetwork, install; from invented import texts;"
        "from pasquin.collect import collect; from pasquin.workspace import Workspace;"
        "network = install(pytest.MonkeyPatch(), FakeNetwork(page=5, delay=0.01));"
        "[network.add(f'a{n}', texts(40, start=40 * n)) for n in range(16)];"
        "print('ready', flush=True);"
        "collect(Workspace.open(Path(sys.argv[1])), [f'fake:a{n}' for n in range(16)])"
    )
    command = [sys.executable, "-c", script, str(workspace.root), str(Path(__file__).parent)]
    draw = random.Random(3)
    for _ in range(5):
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(draw.uniform(0.1, 0.7))
            os.kill(process.pid, signal.SIGKILL)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    glob = f"{workspace.posts}/*/*/*.parquet"
    rows = duckdb.sql(f"SELECT handle, uri, text FROM read_parquet('{glob}') ORDER BY ALL").fetchall()
    expected = [
        (f"a{n}", f"fake://a{n}/{at:06d}", text) for n in range(16) for at, text in enumerate(texts(40, start=40 * n))
    ]
    assert rows == sorted(expected)


def test_memory_is_bounded_by_the_page(workspace: Workspace) -> None:
    write_tweets(Path("vc.jsonl"), 2_500)
    pages = list(files.twint(CollectSettings(page_posts=1_000)).posts("vc.jsonl", None))
    assert [len(page.posts) for page in pages] == [1_000, 1_000, 500]
    shares = [page.share for page in pages]
    assert shares == sorted(shares)  # type: ignore[type-var]
    assert shares[-1] == 1.0


@pytest.mark.skipif(not TWEETS.exists(), reason="the real tweets are not here")
def test_real_tweets(workspace: Workspace) -> None:
    result = collect(workspace, [f"twint:{TWEETS / 'vc.jsonl.gz'}"])
    assert (result["posts"], result["new"], result["quarantined"]) == (48_844, 48_844, 0)
    (row,) = stored(workspace, "count(*), count(DISTINCT account), count(created_at), count(likes), count(url)")
    assert row == (48_844, 24, 48_844, 48_844, 48_844)
