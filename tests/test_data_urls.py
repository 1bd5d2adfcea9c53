"""Data sets by their address: brought here whole or not at all, through the guard, and read as a local file is."""

from __future__ import annotations

import gzip
import io
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import duckdb
import pytest

from pasquin.collect import collect
from pasquin.config import CollectSettings
from pasquin.errors import InputError, InwardAddress, NetworkError, PasquinError, ResourceError, UsageError
from pasquin.networks import files, transport
from pasquin.records import Post
from pasquin.workspace import Workspace
from pasquin.workspace.shards import posts_query


@dataclass
class Web:
    """A web server with some files, some of which it does not give as it should."""

    files: dict[str, bytes] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    url: str = ""


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Web]:
    served = Web()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = urlsplit(self.path).path
            served.asked.append(self.path)
            if path == "/inward":
                self.send_response(302)
                self.send_header("Location", "http://169.254.169.254/latest/meta-data")
                self.end_headers()
                return
            body = served.files.get(path.removesuffix("/cut").removesuffix("/long"))
            if body is None:
                self.send_error(404)
                return
            self.send_response(200)
            self.send_header("Content-Length", str(len(body) + (10 if path.endswith("/cut") else 0)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    served.url = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setattr(transport, "shared", lambda settings: transport.Transport(settings, backoff=0.001, tries=2))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    yield served
    server.shutdown()
    server.server_close()


def settings(web: Web, **values: Any) -> CollectSettings:
    return CollectSettings(**({"allow_private_hosts": (urlsplit(web.url).netloc,)} | values))


def parquet_bytes(tmp_path: Path) -> bytes:
    path = tmp_path / "made.parquet"
    duckdb.sql(f"COPY (SELECT 'post ' || range AS body, 'ada' AS who FROM range(3)) TO '{path}' (FORMAT parquet)")
    return path.read_bytes()


def read(source: files.FileSource, what: str) -> list[Post]:
    return [post for page in source.posts(what, None) for post in page.posts]


def test_tables_from_the_web(web: Web, tmp_path: Path) -> None:
    web.files = {
        "/data/table.parquet": parquet_bytes(tmp_path),
        "/data/table.csv": b"body,who\nhello,ada\n",
        "/data/some.jsonl.gz": gzip.compress(b'{"body": "hi", "who": "bo"}\n{"body": 5}\n'),
        "/data/only_tweets.csv": b"tweets\nhello\n",
    }
    workspace = Workspace.create(tmp_path / "bot")
    columns = {"text": "body", "account": "who"}
    for source in (f"parquet:{web.url}/data/table.parquet", f"csv:{web.url}/data/table.csv?sig=secret"):
        collect(workspace, [source], columns=columns, settings=settings(web))
    result = collect(workspace, [f"{web.url}/data/some.jsonl.gz"], columns=columns, settings=settings(web))
    assert (result["new"], result["quarantined"]) == (1, 1)
    rows = duckdb.sql(f"SELECT account, text FROM {posts_query(workspace)} ORDER BY ALL").fetchall()
    assert rows == [("ada", "hello"), ("ada", "post 0"), ("ada", "post 1"), ("ada", "post 2"), ("bo", "hi")]
    kept = next(workspace.quarantine.iterdir()).read_text()
    assert f"{web.url}/data/some.jsonl.gz:2" in kept
    (post,) = read(files.csv(settings(web)), f"{web.url}/data/only_tweets.csv")
    assert post.account == "only"
    assert not [path for path in tmp_path.iterdir() if path.name.startswith("pasquin-")]


@pytest.mark.parametrize(
    ("where", "error", "word"),
    [
        ("/none.csv", NetworkError, "does not have it"),
        ("/table.csv/cut", NetworkError, "."),
        ("/inward", InwardAddress, "private network"),
        ("/page.csv", InputError, "no column"),
        ("/empty.csv", InputError, "is empty"),
    ],
)
def test_what_the_web_gives_wrongly_is_a_sentence(web: Web, where: str, error: type[PasquinError], word: str) -> None:
    web.files = {"/table.csv": b"a,b\n1,2\n", "/page.csv": b"<html>,\n", "/empty.csv": b""}
    with pytest.raises(error, match=word) as caught:
        read(files.csv(settings(web)), f"{web.url}{where}?sig=secret")
    assert "secret" not in str(caught.value)


def test_addresses_that_are_not_asked(web: Web) -> None:
    web.files = {"/big.csv": b"text\n" + b"x\n" * 1_000}
    with pytest.raises(InwardAddress):
        read(files.csv(CollectSettings()), f"{web.url}/big.csv")
    assert web.asked == []
    with pytest.raises(ResourceError, match="max_download_bytes"):
        read(files.csv(settings(web, max_download_bytes=100)), f"{web.url}/big.csv")
    with pytest.raises(UsageError, match="not from ftp"):
        read(files.csv(settings(web)), "ftp://example.org/a.csv")
    with pytest.raises(UsageError, match="another machine"):
        read(files.csv(settings(web)), "file://server/a.csv")
    with pytest.raises(InputError, match="no file"):
        read(files.text(settings(web)), f"{web.url}/big.csv")


def test_local_addresses_and_partitions(tmp_path: Path) -> None:
    folder = tmp_path / "data set"
    query = "SELECT 'p' || range AS text, 'a' || range % 2 AS account FROM range(4)"
    duckdb.sql(f"COPY ({query}) TO '{folder}' (FORMAT parquet, PARTITION_BY (account))")
    posts = read(files.parquet(CollectSettings()), f"file://{tmp_path}/data%20set")
    assert sorted((post.account, post.text) for post in posts) == [
        ("a0", "p0"),
        ("a0", "p2"),
        ("a1", "p1"),
        ("a1", "p3"),
    ]
    assert len(read(files.parquet(CollectSettings()), f"{folder}/account=a1/*.parquet")) == 2


@pytest.fixture(scope="module")
def s3() -> Iterator[Any]:
    server_module = pytest.importorskip("moto.server")
    pytest.importorskip("s3fs")
    import boto3

    patch = pytest.MonkeyPatch()
    server = server_module.ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    patch.setenv("AWS_ACCESS_KEY_ID", "key")
    patch.setenv("AWS_SECRET_ACCESS_KEY", "canary-secret")
    patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    client = boto3.client("s3")
    client.create_bucket(Bucket="data")
    yield client
    server.stop()
    patch.undo()


def test_tables_from_an_object_store(s3: Any, tmp_path: Path) -> None:
    s3.put_object(Bucket="data", Key="in/a.parquet", Body=parquet_bytes(tmp_path))
    s3.put_object(Bucket="data", Key="in/b.csv", Body=b"body\nhello\n")
    packed = io.BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb") as handle:
        handle.write(b"body\nthere\n")
    s3.put_object(Bucket="data", Key="in/more/c.csv.gz", Body=packed.getvalue())
    chosen = CollectSettings(columns={"text": "body"})
    assert len(read(files.parquet(chosen), "s3://data/in/a.parquet")) == 3
    assert [(post.account, post.text) for post in read(files.csv(chosen), "s3://data/in")] == [
        ("b", "hello"),
        ("c", "there"),
    ]
    assert [post.text for post in read(files.csv(chosen), "s3://data/in/*.csv")] == ["hello"]
    with pytest.raises(InputError, match=r"^s3://data/in/b.csv has no column `nothing`"):
        read(files.csv(CollectSettings(columns={"text": "nothing"})), "s3://data/in/b.csv")
    for where, error in (("s3://data/none.csv", InputError), ("s3://none/a.csv", (InputError, NetworkError))):
        with pytest.raises(error) as caught:
            read(files.csv(chosen), where)
        assert "canary" not in str(caught.value)
    with pytest.raises(InputError, match=r"no \.parquet file"):
        read(files.parquet(chosen), "s3://data/in/**/*.csv*")
    with pytest.raises(ResourceError, match="larger than"):
        read(files.csv(CollectSettings(max_download_bytes=5)), "s3://data/in/b.csv")
