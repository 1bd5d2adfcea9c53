"""Workspaces on an object store, a real S3-speaking server: alike on both sides, whole, and through bad weather."""

from __future__ import annotations

import json
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

import pasquin
from invented import make_corpus, posts, texts
from pasquin.errors import InputError, NetworkError, UsageError, WorkspaceError
from pasquin.sync import bucket as buckets
from pasquin.sync import sync
from pasquin.sync.bucket import INDEX
from pasquin.sync.plan import make_plan
from pasquin.workspace import Workspace
from pasquin.workspace.corpora import read_corpus
from pasquin.workspace.cursors import Cursor, read_cursor, write_cursor
from pasquin.workspace.files import write_manifest
from pasquin.workspace.shards import fetch_posts
from pasquin.workspace.tombstones import add_tombstones, read_tombstones
from test_cli import pasquin as program

CANARY = "canary-secret-key"


class Weather(BaseHTTPRequestHandler):
    """A proxy before the server that answers 503 as often as `storms` says, or to every write of `refused`; late."""

    protocol_version = "HTTP/1.1"
    target = ""
    storms = 0
    refused = ""
    delay = 0.0
    asked: list[tuple[str, str]] = []  # noqa: RUF012

    def _pass_on(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        kind = type(self)
        time.sleep(kind.delay)
        kind.asked.append((self.command, self.path.split("?")[0]))
        if kind.storms > 0 or (kind.refused and kind.refused in self.path and self.command == "PUT"):
            kind.storms -= 1
            self._answer(503, {"Content-Type": "application/xml"}, b"<Error><Code>SlowDown</Code></Error>")
            return
        headers = {name: value for name, value in self.headers.items() if name.lower() not in ("expect", "connection")}
        headers.setdefault("Content-Type", "application/octet-stream")  # urllib would say that it is a form
        request = urllib.request.Request(self.target + self.path, body or None, headers, method=self.command)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                self._answer(answer.status, dict(answer.headers), answer.read())
        except urllib.error.HTTPError as exc:
            self._answer(exc.code, dict(exc.headers), exc.read())

    def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            if name.lower() not in ("transfer-encoding", "connection", "content-length", "date", "server"):
                self.send_header(name, value)
        lengths = [value for name, value in headers.items() if name.lower() == "content-length"]
        length = lengths[0] if self.command == "HEAD" and lengths else str(len(body))
        self.send_header("Content-Length", length)
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _pass_on  # noqa: N815 - names of the library

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    moto = pytest.importorskip("moto.server")
    running = moto.ThreadedMotoServer(port=0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    Weather.target = f"http://{host}:{port}"
    proxy = ThreadingHTTPServer(("127.0.0.1", 0), Weather)
    threading.Thread(target=proxy.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{proxy.server_port}"
    proxy.shutdown()
    running.stop()


@pytest.fixture
def place(server: str, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[str]:
    """An empty place in a bucket."""
    import boto3

    monkeypatch.setenv("AWS_ENDPOINT_URL", server)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", CANARY)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setattr(buckets, "_PAUSES", (0.0,) * 6)
    boto3.client("s3").create_bucket(Bucket="bots")
    yield f"s3://bots/{abs(hash(request.node.name))}"
    Weather.storms, Weather.refused, Weather.delay = 0, "", 0.0


def collected(folder: Path, start: int = 0) -> Workspace:
    """A workspace with posts, a corpus and something like a model."""
    workspace = Workspace.create(folder)
    file = folder.parent / f"{folder.name}.csv"
    file.write_text(
        "text,id,account\n" + "".join(f'"{text}",{i},{folder.name}\n' for i, text in enumerate(texts(20, start)))
    )
    pasquin.collect(workspace, [f"csv:{file}"], rights="own-archive")
    write_cursor(workspace, f"bluesky:{folder.name}", Cursor("3"))
    make_corpus(workspace, "vc", posts(12))
    model(workspace, b"one")
    return workspace


def model(workspace: Workspace, weights: bytes) -> None:
    folder = workspace.model_dir("vc")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.safetensors").write_bytes(weights * 500_000)
    write_manifest(folder, {"base": weights.decode()})


def uris(workspace: Workspace) -> list[Any]:
    return sorted(fetch_posts(workspace, "SELECT uri, text FROM {posts}"))


def test_both_ways(place: str, tmp_path: Path) -> None:
    one, two = collected(tmp_path / "one"), Workspace.create(tmp_path / "two")
    first = sync(one, place)
    assert first["sent"] > 5
    assert first["fetched"] == 0
    assert sync(one, place)["sent"] == 0
    told = sync(two, place)
    assert (told["fetched"], told["sent"]) == (first["sent"], 0)
    assert uris(two) == uris(one)
    assert read_corpus(two, "vc") == read_corpus(one, "vc")
    assert two.model_manifest("vc") == {"base": "one"}
    assert read_cursor(two, "bluesky:one").position == "3"
    # each side adds something else, and a model is replaced; a checkpoint here stays
    pasquin.collect(two, [f"csv:{_more(tmp_path)}"], rights="own-archive")
    (two.model_dir("vc") / "checkpoints").mkdir()
    (two.model_dir("vc") / "checkpoints" / "state.pt").write_bytes(b"x")
    model(one, b"two")
    (one.model_dir("vc") / "extra.json").write_text("{}")
    assert sync(one, place)["sent"] == 3
    told = sync(two, place)
    assert told["sent"] > 0
    assert told["fetched"] == 3
    assert (two.model_dir("vc") / "model.safetensors").read_bytes().startswith(b"twotwo")
    assert (two.model_dir("vc") / "checkpoints" / "state.pt").exists()
    sync(one, place)
    assert uris(two) == uris(one)
    # what is removed on one side goes on the other
    (one.model_dir("vc") / "extra.json").unlink()
    assert sync(one, place)["removed_there"] == 1
    assert sync(two, place)["removed_here"] == 1
    assert not (two.model_dir("vc") / "extra.json").exists()


def _more(tmp_path: Path) -> Path:
    (tmp_path / "more.csv").write_text("text,id,account\n" + "".join(f'"{t}",{t[-9:]},bo\n' for t in texts(9, 500)))
    return tmp_path / "more.csv"


def test_what_was_forgotten_anywhere_is_forgotten_everywhere(place: str, tmp_path: Path) -> None:
    one, two = collected(tmp_path / "one"), Workspace.create(tmp_path / "two")
    sync(one, place)
    sync(two, place)
    add_tombstones(one, "forgotten", ["u:1"])
    add_tombstones(two, "forgotten", ["u:2"])
    sync(one, place)
    sync(two, place)
    sync(one, place)
    assert read_tombstones(one).uris == read_tombstones(two).uris == {"u:1", "u:2"}


def test_what_changed_on_both_sides_is_for_a_person(place: str, tmp_path: Path) -> None:
    one, two = collected(tmp_path / "one"), Workspace.create(tmp_path / "two")
    sync(one, place)
    sync(two, place)
    for workspace, position in ((one, "4"), (two, "5")):
        write_cursor(workspace, "bluesky:one", Cursor(position))
    sync(one, place)
    with pytest.raises(UsageError, match="changed posts/cursors/bluesky-one"):
        sync(two, place)
    assert read_cursor(two, "bluesky:one").position == "5"
    sync(two, place, prefer="there")
    assert read_cursor(two, "bluesky:one").position == "4"


def test_one_way_only(place: str, tmp_path: Path) -> None:
    one, two = collected(tmp_path / "one"), Workspace.create(tmp_path / "two")
    assert sync(one, place, only="fetch")["sent"] == 0
    sync(one, place, only="send")
    model(one, b"new")
    make_corpus(two, "own", posts(4))
    told = sync(two, place, only="fetch")
    assert (told["sent"], told["removed_here"]) == (0, 0)
    assert set(two.corpora()) == {"own", "vc"}
    assert sync(two, place)["sent"] == 2


def test_shards_before_cursors_and_manifests_after_their_folders(place: str, tmp_path: Path) -> None:
    one = collected(tmp_path / "one")
    Weather.asked.clear()
    sync(one, place)
    put = [path for method, path in Weather.asked if method in ("PUT", "POST")]

    def last(part: str) -> int:
        return max(at for at, path in enumerate(put) if part in path)

    def first(part: str) -> int:
        return min(at for at, path in enumerate(put) if part in path)

    assert last(".parquet") < first("cursors/")
    assert last("safetensors") < first("models/vc/manifest.json")
    assert put[-1].endswith(INDEX)


def test_killed_while_sending_goes_on_and_nobody_sees_half(place: str, tmp_path: Path) -> None:
    one, two = collected(tmp_path / "one"), Workspace.create(tmp_path / "two")
    sync(one, place)
    sync(two, place)
    model(one, b"new")
    Weather.refused = "models/vc/manifest.json"  # everything but the manifest arrives
    with pytest.raises(NetworkError, match="run the same command again"):
        sync(one, place)
    third = Workspace.create(tmp_path / "three")
    with pytest.raises(NetworkError, match="another one is under way"):
        sync(third, place)
    assert third.models() == []
    assert sync(two, place)["fetched"] == 0
    Weather.refused = ""
    Weather.asked.clear()
    sync(one, place)
    assert not any(method in ("PUT", "POST") and "safetensors" in path for method, path in Weather.asked)
    sync(third, place)
    assert third.model_manifest("vc") == {"base": "new"}


def test_a_busy_store_is_asked_again_and_a_dead_one_is_said(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = collected(tmp_path / "one")
    Weather.storms = 4
    assert sync(one, place)["sent"] > 5
    Weather.storms = 10_000
    with pytest.raises(NetworkError, match="7 times") as caught:
        sync(one, place)
    assert CANARY not in str(caught.value)
    Weather.storms = 0
    with pytest.raises(NetworkError, match="no bucket"):
        sync(one, "s3://nowhere/x")


def test_hostile_and_damaged_indexes(place: str, tmp_path: Path) -> None:
    import boto3

    one = Workspace.create(tmp_path / "one")
    bucket, _, prefix = place.removeprefix("s3://").partition("/")
    for files in (
        {"../evil": [1, "0" * 64]},
        {"posts/../../evil": [1, "0" * 64]},
        {"pasquin.toml": [1, "0" * 64]},
        {"posts/a": [1, "short"]},
        {"posts/a": "x"},
        [],
    ):
        index = json.dumps({"format": 1, "generation": 1, "files": files})
        boto3.client("s3").put_object(Bucket=bucket, Key=f"{prefix}/{INDEX}", Body=index.encode())
        with pytest.raises(InputError, match="makes no sense"):
            sync(one, place)
    boto3.client("s3").put_object(Bucket=bucket, Key=f"{prefix}/{INDEX}", Body=b"{")
    with pytest.raises(InputError, match="makes no sense"):
        sync(one, place)


def test_who_is_at_work_is_not_disturbed(place: str, tmp_path: Path) -> None:
    one, two = collected(tmp_path / "one"), Workspace.create(tmp_path / "two")
    sync(one, place)
    with two.lock("train-vc"), pytest.raises(WorkspaceError, match="busy with train-vc"):
        sync(two, place)
    assert two.models() == []
    assert sync(two, place)["fetched"] > 5


@pytest.mark.parametrize("url", ["https://x/y", "s3://", "s3://key:secret@bucket", "bucket"])
def test_addresses_that_are_none(url: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no place to sync"):
        sync(Workspace.create(tmp_path / "w"), url)


def test_plans() -> None:
    a, b, c = (1, "a"), (1, "b"), (1, "c")
    plan = make_plan({"x": a, "y": b, "z": a, "same": a}, {"x": a, "y": a, "w": a}, {"x": b, "y": a, "w": a, "same": a})
    assert (plan.send, plan.fetch, plan.remove_there, plan.remove_here) == (("y", "z"), ("x",), ("w",), ())
    assert make_plan({"x": b}, {"x": a}, {"x": c}).conflicts == ("x",)
    assert make_plan({"x": b}, {"x": a}, {"x": c}, "here").send == ("x",)
    assert make_plan({}, {"x": a}, {"x": c}, "there").fetch == ("x",)
    assert make_plan({"x": a}, {"x": a}, {}).remove_here == ("x",)


def test_the_command_and_the_setting(place: str, tmp_path: Path) -> None:
    one = collected(tmp_path / "one")
    one.toml.write_text(one.toml.read_text().replace("format = 1", f'format = 1\nstorage = "{place}"'))
    run = program("sync", "--json", cwd=one.root)
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout)["url"] == place
    assert CANARY not in run.stdout + run.stderr


def test_a_workspace_that_is_a_bucket(place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Collected on one machine, prepared on another, through a store that is slow and busy."""
    file = tmp_path / "posts.csv"
    file.write_text("text,id,account\n" + "".join(f'"{text}",{i},ada\n' for i, text in enumerate(texts(60))))

    def on(machine: str, *words: str) -> Any:
        monkeypatch.setenv("PASQUIN_CACHE_DIR", str(tmp_path / machine))
        return program(*words, "--workspace", place, "--json", cwd=tmp_path)

    monkeypatch.delenv("PASQUIN_DATABASE_URL", raising=False)
    assert "PASQUIN_DATABASE_URL" in on("one", "collect", f"csv:{file}").stderr
    monkeypatch.setenv("PASQUIN_DATABASE_URL", f"sqlite:///{tmp_path / 'people.db'}")
    Weather.delay, Weather.storms = 0.02, 2
    run = on("one", "collect", f"csv:{file}", "--rights", "own-archive")
    assert run.returncode == 0, run.stderr
    Weather.storms = 2
    run = on("two", "prepare", "vc")
    assert run.returncode == 0, run.stderr
    kept = json.loads(run.stdout)["kept"]
    assert kept > 20
    third = Workspace.create(tmp_path / "three")
    sync(third, place)
    assert len(read_corpus(third, "vc")) == kept
