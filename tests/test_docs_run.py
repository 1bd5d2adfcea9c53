"""What the docs tell people to type does what it says: every command in a block is run, page by page, in order.

In this process, through the command line, in a workspace with posts, a corpus, a tiny model, candidates, guesses and a
bot. Sizes are small, networks are the fake one, servers start and end at once; nothing else is different. `ELSEWHERE`
are the few that cannot run so, with the test that runs them against what they need.
"""

from __future__ import annotations

import csv
import gzip
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy as sa
from typer.testing import CliRunner

import docs_commands
import played
from docs_commands import PAGES, Line
from invented import add_candidates, texts
from networks_fake import FakeNetwork
from pasquin import config, networks
from pasquin.cli import app
from pasquin.config import CollectSettings
from pasquin.networks import Source
from pasquin.publish import publish
from pasquin.store import Store
from pasquin.store.schema import candidates
from pasquin.workspace import Workspace

pytestmark = pytest.mark.real

ELSEWHERE = {
    "pasquin collect csv:https://data.example/posts.csv.gz": "a web server: test_data_urls.py",
    "pasquin collect --rights licence:CC-BY-4.0 parquet:s3://bucket/posts/*.parquet": "a bucket: test_data_urls.py",
    "pasquin generate vc --engine openai --base-url http://localhost:11434/v1 --model llama3.2 -n 200": (
        "another program's server: test_openai_engine.py"
    ),
    "pasquin curate --tui": "a terminal: test_curate.py",
    "pasquin forget someone.bsky.social": "a terminal, to answer its question: test_rights.py",
    "pasquin tune vc --minutes 10": "a corpus of thousands: test_tune.py",
    "pasquin tune vc --apply": "a corpus of thousands: test_tune.py",
    "pasquin train vc --from-feedback": "many decisions of curators: test_feedback.py",
    "pasquin db move postgresql+psycopg://pasquin@db.example.org/pasquin": "a PostgreSQL: test_store_move.py",
    "pasquin prepare vc --workspace s3://my-bucket/mybot": "a bucket: test_sync.py",
    "pasquin sync s3://my-bucket/mybot": "a bucket: test_sync.py",
    "pasquin sync s3://my-bucket/mybot --only fetch": "a bucket: test_sync.py",
    r"pasquin backup /backups/mybot-$(date +\%F).tar": "another disk, and cron: test_backup.py",
    "pasquin backup /backups/before.tar": "another disk: test_backup.py",
    "pasquin restore /backups/before.tar /var/lib/pasquin/mybot-before": "a server's folder: test_backup.py",
    "pasquin restore /var/lib/pasquin/mybot.tar /var/lib/pasquin/mybot": "a server's folder: test_backup.py",
    "pasquin collect @sources/vc.txt --on ray": "a cluster: test_ray.py",
    "pasquin prepare vc --on ray": "a cluster: test_ray.py",
    "pasquin train vc --on ray://head:10001": "a cluster: test_ray.py",
    "pasquin generate vc -n 100000 --on ray": "a cluster: test_ray.py",
    "pasquin serve vc --on ray": "a cluster: test_ray.py",
    "pasquin prepare vc --on ray://pasquin-head-svc:10001": "a cluster: test_ray.py",
    "pasquin --install-completion": "would change the shell of whoever runs the tests: test_completion.py",
    "pasquin push vc someone/vc-parody": "the Hugging Face hub: test_export.py",
    "pasquin train vc --resume": "an interrupted training: test_path.py",
}
OWN_FILES = {"csv", "jsonl", "parquet", "text", "twint"}
"""Sources that read the files made here; those of networks, archives and apps are the fake one."""
SMALL = {"PASQUIN_GENERATE_MAX_TOKENS": "60", "PASQUIN_COLLECT_MAX_WAIT_SECONDS": "0", "BROWSER": "true"}
BOT = """
[bots.mybot]
network = "file"
account = "out.jsonl"
models = ["vc"]
maintainer = "@me@example.social"
parodies = ["Some Body"]
rest_minutes = 0
"""
runner = CliRunner()


class Anyone(FakeNetwork):
    """A network on which whoever is asked for has posts."""

    def posts(self, account: str, since: str | None) -> Iterator[Any]:
        if account not in self.posts_of:
            self.add(account, texts(60, start=3000 + 100 * len(self.posts_of)))
        return super().posts(account, since)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Path:
    """A folder with the files that the docs name, which is also a workspace where everything was done once."""
    home = tmp_path_factory.mktemp("docs") / "home"
    home.mkdir()
    with _here(home), pytest.MonkeyPatch.context() as patch:
        _shrink(patch, tiny_model, first=True)
        _files(home)
        for words in (
            "init",
            "collect jsonl:said.jsonl --map uri=uri",
            "collect @sources/vc.txt",
            "prepare vc",
            "prepare fortunes",
            "train vc",
            "generate vc",
        ):
            _run(tuple(words.split()))
        with (home / "pasquin.toml").open("a") as toml:
            toml.write(BOT)
        shutil.copytree(home / "models/vc", home / "models/democrats")
        _people(Workspace.open(home))
    return home


def _files(home: Path) -> None:
    """The files that are named in the docs, of invented posts."""
    for name, columns in {
        "posts.csv": ("text", "author"),
        "export.csv": ("body", "who"),
        "comments.csv": ("body", "permalink"),
    }.items():
        with (home / name).open("w", newline="", encoding="utf-8") as file:
            table = csv.writer(file)
            table.writerow(columns)
            rows = enumerate(texts(300))
            table.writerows(
                (text, f"https://posts.invalid/{n}" if "permalink" in columns else "ada") for n, text in rows
            )
    said = [
        {
            "uri": f"https://x.com/{who}/status/{123456 + n}",
            "account": who,
            "handle": who,
            "text": text,
            "created_at": f"2020-{n % 12 + 1:02}-{n % 28 + 1:02}T12:00:00Z",
        }
        for n, (who, text) in enumerate(zip(("someone", "other") * 500, texts(1000, start=1000), strict=True))
    ]
    said[0]["text"] = (
        "Nobody in our valley has seen the mayor and the brass band in one room, which explains the tubas."
    )
    (home / "said.jsonl").write_text("".join(json.dumps(one) + "\n" for one in said))
    messages = home / "package/messages/c1/messages.json"
    messages.parent.mkdir(parents=True)
    messages.write_text("".join(json.dumps({"ID": n, "Contents": text}) + "\n" for n, text in enumerate(texts(30))))
    tweets = [
        {"link": f"https://twitter.com/a/status/{n}", "tweet": t, "username": "a"} for n, t in enumerate(texts(30))
    ]
    with gzip.open(home / "vc.jsonl.gz", "wt", encoding="utf-8") as lines:
        lines.write("".join(json.dumps(one) + "\n" for one in tweets))
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"body": texts(30), "who": ["ada"] * 30}), home / "posts.parquet")
    (home / "sources").mkdir()
    (home / "sources/vc.txt").write_text("bluesky:someone.bsky.social\nmastodon:@a@example.social\n")
    (home / "proxies.txt").write_text("http://proxy.example:3128\n")


def _people(workspace: Workspace) -> None:
    """What people did: guesses, two accepted candidates, one of them published."""
    store = Store.of(workspace)
    add_candidates(store, "vc", texts(200, start=5000))
    with store.read() as connection:
        written = list(connection.execute(sa.select(candidates.c.id).order_by(candidates.c.id)).scalars())
    rows = [
        (
            n,
            f"player{n % 30}",
            written[n % len(written)] if n % 2 else f"https://posts.invalid/{n}",
            n % 2 == 1,
            n % 3 == 0,
        )
        for n in range(300)
    ]
    played.put(store, rows, "vc", 4_000)
    store.close()
    _run(("bot", "queue", "mybot", *written[:4]))
    assert publish(workspace, "mybot")["published"]


@contextmanager
def _here(folder: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def _shrink(patch: pytest.MonkeyPatch, base: Path, first: bool = False) -> None:
    """Small sizes, a tiny model, the fake network, servers that end when they are ready."""
    import pasquin.collect.watch
    import pasquin.generate
    import pasquin.publish
    import pasquin.server
    import pasquin.train.examples
    import pasquin.train.execution
    import pasquin.train.loop

    real_load, real_open = config.load, networks.open_source
    less: dict[str, dict[str, object]] = {
        "TrainSettings": {
            "model": str(base),
            "minutes": None,
            "steps": 50 if first else 2,
            "epochs": None,
            "batch_tokens": 512,
        },
        "GenerateSettings": {"n": 12 if first else 2},
        "PlaySettings": {"port": 0},
        "ServeSettings": {"port": 0, "require_key": False},
        "CurateSettings": {"port": 0},
    }
    if first:
        less["TrainSettings"]["learning_rate"] = 6e-3

    def load(settings: Any, toml: Path | None, **flags: object) -> Any:
        made = real_load(settings, toml, **flags)
        return made.model_copy(update=less.get(settings.__name__, {}))

    anyone: dict[str, Anyone] = {}

    def open_source(name: str, settings: CollectSettings) -> Source:
        return real_open(name, settings) if name in OWN_FILES else anyone.setdefault(name, Anyone())

    def serve(application: Any, listener: Any, ready: Callable[[], None], grace: float = 0) -> None:
        ready()

    def stop(_: float) -> None:
        raise KeyboardInterrupt

    for module in (config, pasquin.generate, pasquin.server):
        patch.setattr(module, "load", load)
    patch.setattr(networks, "open_source", open_source)
    patch.setattr(pasquin.server, "_serve", serve)
    clock = SimpleNamespace(sleep=stop, monotonic=time.monotonic, strftime=time.strftime)
    patch.setattr(pasquin.collect.watch, "time", clock)
    patch.setattr(pasquin.train.examples, "EVALUATION_POSTS", 20)
    patch.setattr(pasquin.train.execution, "COPY_SAMPLES", 2)
    patch.setattr(pasquin.train.loop, "PROBE_SAMPLES", 2)
    patch.setattr(pasquin.train.loop, "PROBE_TOKENS", 8)
    for name, value in SMALL.items():
        patch.setenv(name, value)


def _run(words: tuple[str, ...]) -> str:
    """Run a command; it must end well and print no traceback."""
    done = runner.invoke(app, list(words), input="yes\ny\n", prog_name="pasquin")
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == 0, f"pasquin {' '.join(words)}: {done.output}"
    return done.stdout


def _type(line: Line, home: Path) -> None:
    """Do what a line of the docs says."""
    words = tuple(_real(word) for word in line.words)
    match words[0]:
        case "cd":
            if Path(words[1]).is_dir():
                os.chdir(words[1])
        case "cp":
            shutil.copy(words[1], words[2])
        case _ if line.text not in ELSEWHERE:
            _run(words[1:])


def _real(word: str) -> str:
    """What stands for something of the reader's own, such as the URI of a published post."""
    if word == "URI":
        entries = json.loads(_run(("bot", "show", "mybot", "--json")))["queue"]
        return next(str(entry["id"]) for entry in entries if entry["state"] == "confirmed")
    return word


TYPED = {page: [line for line in docs_commands.lines(page) if line.fenced] for page in PAGES if page.name != "cli.md"}


@pytest.mark.parametrize("page", [page for page, lines in TYPED.items() if lines], ids=lambda page: page.name)
def test_what_a_page_says_to_type_works(
    page: Path, prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    shutil.copytree(prepared, home)
    _shrink(monkeypatch, prepared / "models/vc")
    with _here(home):
        for line in TYPED[page]:
            _type(line, home)


def test_the_list_of_those_run_elsewhere_is_no_longer_than_it_must_be() -> None:
    typed = {line.text for lines in TYPED.values() for line in lines}
    assert set(ELSEWHERE) <= typed
    for reason in ELSEWHERE.values():
        assert (Path(__file__).parent / reason.rpartition(" ")[2]).is_file()
