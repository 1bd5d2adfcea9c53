"""A real Bluesky server (PDS) and its directory (PLC) for tests: installed once from npm, started on free ports."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import platformdirs
import pytest

SCRIPTS = Path(__file__).parent / "pds"
PASSWORD = "not a secret"
ADMIN_PASSWORD = "local-test-admin"
"""As in `pds/start.mjs`."""


def installed() -> Path:
    """The folder with the server's packages; installs them the first time (a few minutes). Skips where Node is none."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip("the Bluesky server for tests needs Node 20 and npm, which are not here")
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    if int(version.removeprefix("v").split(".")[0]) not in (20, 22):
        pytest.skip(f"the Bluesky server for tests needs Node 20 or 22, here is {version}")
    content = b"".join((SCRIPTS / name).read_bytes() for name in ("package.json", "package-lock.json"))
    key = hashlib.sha256(content + version.encode()).hexdigest()[:12]
    folder = Path(platformdirs.user_cache_dir("pasquin")) / "tests" / f"pds-{key}"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "complete").exists():
            for name in ("package.json", "package-lock.json"):
                shutil.copy(SCRIPTS / name, folder)
            command = [npm, "ci", "--no-audit", "--no-fund"]
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=900)
            if done.returncode != 0:
                pytest.skip(f"the Bluesky server for tests could not be installed: {done.stderr[-500:]}")
            (folder / "complete").touch()
    shutil.copy(SCRIPTS / "start.mjs", folder)
    return folder


class LocalPds:
    """One server with its data; `kill` and `start` may follow each other at will."""

    def __init__(self, data: Path, packages: Path) -> None:
        self.data, self.packages = data, packages
        self.pds_port, self.plc_port = _free_ports()
        self.pds, self.plc = f"http://127.0.0.1:{self.pds_port}", f"http://127.0.0.1:{self.plc_port}"
        self.process: subprocess.Popen[str] | None = None
        self.http = httpx.Client(base_url=self.pds, timeout=30)

    def start(self) -> None:
        """Start the server and wait until it answers."""
        command = ["node", "start.mjs", str(self.data), str(self.pds_port), str(self.plc_port)]
        log = (self.data.parent / f"{self.data.name}.log").open("a")
        self.process = subprocess.Popen(command, cwd=self.packages, stdout=subprocess.PIPE, stderr=log, text=True)
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line.strip() == "ready", f"the server did not start: see {log.name}"

    def kill(self) -> None:
        """SIGKILL."""
        self.stop(signal.SIGKILL)

    def stop(self, how: int = signal.SIGTERM) -> None:
        """End the server."""
        if self.process is not None:
            self.process.send_signal(how)
            self.process.wait(30)
            self.process = None

    @property
    def environment(self) -> dict[str, str]:
        """What a collector must be told to use this server."""
        return {
            "PASQUIN_COLLECT_BLUESKY_PLC": self.plc,
            "PASQUIN_COLLECT_BLUESKY_API": self.pds,
            "PASQUIN_COLLECT_ALLOW_PRIVATE_HOSTS": f"127.0.0.1:{self.pds_port},127.0.0.1:{self.plc_port},"
            f"localhost:{self.pds_port}",
        }

    @property
    def settings(self) -> dict[str, Any]:
        """The same as settings of `CollectSettings`."""
        hosts = self.environment["PASQUIN_COLLECT_ALLOW_PRIVATE_HOSTS"].split(",")
        return {"bluesky_plc": self.plc, "bluesky_api": self.pds, "allow_private_hosts": tuple(hosts)}

    def account(self, name: str) -> LocalAccount:
        """A new account `name.test`."""
        body = {"handle": f"{name}.test", "email": f"{name}@example.com", "password": PASSWORD}
        answer = self.http.post("/xrpc/com.atproto.server.createAccount", json=body).raise_for_status().json()
        return LocalAccount(self, answer["did"], answer["handle"], answer["accessJwt"])

    def take_down(self, account: LocalAccount, *, applied: bool) -> None:
        """Suspend an account, as a moderator does, or lift that."""
        subject = {"$type": "com.atproto.admin.defs#repoRef", "did": account.did}
        body = {"subject": subject, "takedown": {"applied": applied, "ref": "a test"}}
        path = "/xrpc/com.atproto.admin.updateSubjectStatus"
        self.http.post(path, json=body, auth=("admin", ADMIN_PASSWORD)).raise_for_status()


class LocalAccount:
    """An account of the local server, able to write."""

    def __init__(self, server: LocalPds, did: str, handle: str, token: str) -> None:
        self.server, self.did, self.handle = server, did, handle
        self.headers = {"Authorization": f"Bearer {token}"}

    def call(self, method: str, body: dict[str, Any]) -> dict[str, Any]:
        """A procedure with this account's token; raises httpx.HTTPError when it fails."""
        answer = self.server.http.post(f"/xrpc/{method}", json=body, headers=self.headers).raise_for_status()
        return answer.json() if answer.content else {}

    def create(self, records: list[dict[str, Any]], collection: str = "app.bsky.feed.post") -> list[str]:
        """Write records, up to 200 in one commit; returns their URIs."""
        uris: list[str] = []
        for start in range(0, len(records), 200):
            writes = [
                {"$type": "com.atproto.repo.applyWrites#create", "collection": collection, "value": record}
                for record in records[start : start + 200]
            ]
            answer = self.call("com.atproto.repo.applyWrites", {"repo": self.did, "writes": writes, "validate": False})
            uris += [result["uri"] for result in answer["results"]]
        return uris

    def put(self, collection: str, rkey: str, record: dict[str, Any]) -> None:
        """Write one record under a key, new or not."""
        body = {"repo": self.did, "collection": collection, "rkey": rkey, "record": record, "validate": False}
        self.call("com.atproto.repo.putRecord", body)

    def delete(self, uri: str) -> None:
        """Delete one record."""
        collection, rkey = uri.split("/")[-2:]
        self.call("com.atproto.repo.deleteRecord", {"repo": self.did, "collection": collection, "rkey": rkey})

    def listed(self, collection: str = "app.bsky.feed.post") -> dict[str, dict[str, Any]]:
        """URI -> record, as the server lists them."""
        found: dict[str, dict[str, Any]] = {}
        cursor = ""
        while True:
            params = {
                "repo": self.did,
                "collection": collection,
                "limit": "100",
                **({"cursor": cursor} if cursor else {}),
            }
            page = self.server.http.get("/xrpc/com.atproto.repo.listRecords", params=params).raise_for_status().json()
            if not page["records"]:
                return found
            found |= {record["uri"]: record["value"] for record in page["records"]}
            cursor = page["cursor"]


@contextmanager
def local_pds(folder: Path) -> Iterator[LocalPds]:
    """A running server whose data is in `folder`."""
    server = LocalPds(folder / "pds", installed())
    server.start()
    try:
        yield server
    finally:
        server.kill()
        server.http.close()


def _free_ports() -> tuple[int, int]:
    with socket.socket() as first, socket.socket() as second:
        first.bind(("127.0.0.1", 0))
        second.bind(("127.0.0.1", 0))
        return first.getsockname()[1], second.getsockname()[1]


def post(text: str, **fields: Any) -> dict[str, Any]:
    """A post record as apps write it."""
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime()) + f".{os.urandom(2).hex()[:3].translate(_DIGITS)}Z"
    return {"$type": "app.bsky.feed.post", "text": text, "createdAt": stamp, "langs": ["en"], **fields}


_DIGITS = str.maketrans("abcdef", "012345")
