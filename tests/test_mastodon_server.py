"""Mastodon against a server with a memory, through a wire that drops, delays, cuts and refuses, with kills of both.

The server is `mastodon-mock` (PyPI); what is collected at the end must be what an undisturbed run collects.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socket import socket

import httpx
import pytest

from pasquin.collect import collect
from pasquin.config import CollectSettings
from pasquin.networks.mastodon import timeline
from pasquin.workspace import Workspace
from pasquin.workspace.shards import posts_query

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(
        not shutil.which("mastodon_mock", path=Path(sys.executable).parent), reason="needs mastodon-mock"
    ),
]
PASQUIN = str(Path(sys.executable).with_name("pasquin"))


def free_port() -> int:
    with closing(socket()) as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@dataclass
class Mock:
    """The server as a process of its own, on a database in a file, so that it survives being killed."""

    folder: Path
    texts: list[str]
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        config = self.folder / "mock.toml"
        seed = [
            '[[seed.accounts]]\nusername = "alice"\naccess_token = "of_alice"\n',
            '[[seed.accounts]]\nusername = "bo"\naccess_token = "of_bo"\n',
            *(f'[[seed.statuses]]\naccount = "alice"\ntext = "{text}"\n' for text in self.texts),
        ]
        config.write_text(
            f'rules = ["Be kind."]\ndomain = "127.0.0.1:{self.port}"\nurl_scheme = "http"\n'
            f'[database]\npath = "{self.folder / "mock.sqlite"}"\n' + "".join(seed)
        )
        command = [str(Path(sys.executable).with_name("mastodon_mock")), "serve", "--config", str(config)]
        self.process = subprocess.Popen(
            [*command, "--port", str(self.port), "--log-level", "error"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for _ in range(200):
            try:
                httpx.get(f"http://127.0.0.1:{self.port}/api/v1/instance/rules").raise_for_status()
                return
            except httpx.HTTPError:
                time.sleep(0.1)
        raise TimeoutError("the mock did not start")

    def close(self) -> None:
        self.kill()

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def say(self, texts: list[str], visibility: str = "public", token: str = "of_alice") -> None:
        headers = {"Authorization": f"Bearer {token}"}
        with httpx.Client(base_url=f"http://127.0.0.1:{self.port}", headers=headers) as client:
            for text in texts:
                client.post("/api/v1/statuses", json={"status": text, "visibility": visibility}).raise_for_status()


class Wire:
    """A proxy in front of the server that does to its answers what networks do, from a seed."""

    def __init__(self, port: int, seed: int) -> None:
        self.chance, self.faults, self.early = random.Random(seed), Counter[str](), 0
        self.held_until = 0.0
        wire = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                wire.answer(self, port)

            def log_message(self, *_: object) -> None:
                return None

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def answer(self, asked: BaseHTTPRequestHandler, port: int) -> None:
        self.early += time.monotonic() < self.held_until
        time.sleep(0.03)
        fault = self.chance.choices(["none", "drop", "cut", "500", "429", "page"], weights=[90, 2, 2, 2, 2, 1])[0]
        self.faults[fault] += 1
        try:
            if fault == "drop":
                asked.connection.close()
            elif fault in ("500", "429"):
                if fault == "429":
                    self.held_until = time.monotonic() + 1
                asked.send_response(int(fault))
                asked.send_header("Retry-After", "1") if fault == "429" else None
                asked.send_header("Content-Length", "0")
                asked.end_headers()
            else:
                found = httpx.get(f"http://127.0.0.1:{port}{asked.path}", timeout=10)
                content = b"<html>we will be back</html>" if fault == "page" else found.content
                asked.send_response(200 if fault == "page" else found.status_code)
                asked.send_header("Content-Length", str(len(content)))
                if "link" in found.headers:
                    asked.send_header("Link", found.headers["link"])
                asked.end_headers()
                asked.wfile.write(content[: len(content) // 2] if fault == "cut" else content)
                if fault == "cut":
                    asked.connection.close()
        except (OSError, httpx.HTTPError, ValueError):
            asked.close_connection = True


@contextmanager
def collecting(folder: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """`pasquin collect` of alice's posts through a port."""
    environment = os.environ | {
        "PASQUIN_COLLECT_ALLOW_PRIVATE_HOSTS": f"127.0.0.1:{port}",
        "PASQUIN_COLLECT_ACCEPTED_RULES": f"127.0.0.1:{port}",
        "XDG_CACHE_HOME": str(folder / "cache"),
    }
    process = subprocess.Popen(
        [PASQUIN, "collect", f"mastodon:http://127.0.0.1:{port}/@alice", "--json"],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def rows(folder: Path) -> tuple[int, set[str]]:
    """How many rows the shards have, and the texts of the posts."""
    import duckdb

    workspace = Workspace.open(folder)
    shards = f"{workspace.posts}/*/*/*.parquet"
    with duckdb.connect() as database:
        (count,) = database.execute("SELECT count(*) FROM read_parquet(?)", [shards]).fetchone() or (0,)
        return count, {text for (text,) in database.execute(f"SELECT text FROM {posts_query(workspace)}").fetchall()}


def new_workspace(folder: Path) -> Path:
    folder.mkdir()
    subprocess.run([PASQUIN, "init", "."], cwd=folder, check=True, capture_output=True)
    return folder


def finish(folder: Path, port: int) -> dict[str, object]:
    """Collect until a run ends well."""
    for _ in range(20):
        with collecting(folder, port) as process:
            said, complained = process.communicate(timeout=120)
        if process.returncode == 0:
            return dict(json.loads(said))
        assert b"Traceback" not in complained, complained.decode()
    raise AssertionError(complained.decode())


def test_kills_of_both_sides_and_a_bad_wire_change_nothing(tmp_path: Path) -> None:
    disturb(tmp_path, seed=3, statuses=1_000, kills=5)


def disturb(tmp_path: Path, seed: int, statuses: int, kills: int) -> Counter[str]:
    """Collect with faults and kills drawn from `seed`, compare with an undisturbed run; returns the faults."""
    chance = random.Random(seed)
    texts = [f"post number {number}" for number in range(statuses)]
    mock = Mock(tmp_path, list(texts))
    with closing(mock):
        return _disturb(tmp_path, mock, texts, chance, seed, kills)


def _disturb(
    tmp_path: Path, mock: Mock, texts: list[str], chance: random.Random, seed: int, kills: int
) -> Counter[str]:
    mock.start()
    mock.say(["for followers only"], "private")
    mock.say(["between us"], "direct")
    mock.say(["by somebody else"], token="of_bo")
    wire = Wire(mock.port, seed)
    folder = new_workspace(tmp_path / "disturbed")
    for number in range(kills):
        with collecting(folder, wire.port) as process:
            time.sleep(chance.uniform(0.8, 2.5))
            process.send_signal(signal.SIGKILL)
        more = [f"while it was dead {number} {one}" for one in range(45)]
        if number % 3 == 2:
            mock.kill()
            mock.start()
        mock.say(more)
        texts += more
    finish(folder, wire.port)
    found, posts = rows(folder)
    assert found == len(posts) == len(texts)
    assert posts == set(texts)
    assert wire.early == 0, "it was asked before the time it had named"
    assert len(wire.faults) > 1, "nothing went wrong"
    again = finish(folder, wire.port)
    assert again["new"] == 0
    undisturbed = new_workspace(tmp_path / "undisturbed")
    result = finish(undisturbed, mock.port)
    assert result["new"] == len(texts)
    assert rows(undisturbed)[1] == posts
    return wire.faults


def test_deletions_and_edits_reach_the_workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def texts() -> set[str]:
        return rows(folder)[1]

    folder = new_workspace(tmp_path / "bot")
    mock = Mock(tmp_path, [f"post number {number}" for number in range(90)])
    with closing(mock):
        mock.start()
        host = f"127.0.0.1:{mock.port}"
        chosen = CollectSettings(allow_private_hosts=(host,), accepted_rules=(host,))
        client = httpx.Client(base_url=f"http://{host}", headers={"Authorization": "Bearer of_alice"})

        def run() -> dict[str, object]:
            return collect(Workspace.open(folder), [f"mastodon:http://{host}/@alice"], settings=chosen)

        assert run()["new"] == 90
        id = client.get("/api/v1/accounts/lookup", params={"acct": "alice"}).json()["id"]
        deleted, edited, *_ = client.get(f"/api/v1/accounts/{id}/statuses").json()
        client.delete(f"/api/v1/statuses/{deleted['id']}").raise_for_status()
        client.put(f"/api/v1/statuses/{edited['id']}", json={"status": "said better"}).raise_for_status()
        mock.say(["a new one"])
        assert run()["new"] == 1
        assert len(texts()) == 91
        monkeypatch.setattr(timeline, "RECHECK_SECONDS", 0)  # a day later
        run()
        assert len(texts()) == 90
        assert {"said better", "a new one"} < texts()
