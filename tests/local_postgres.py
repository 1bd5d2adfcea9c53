"""A PostgreSQL of our own for tests: Debian's, in a temporary folder, as a user that is not root."""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa

_FAST = ("-c", "fsync=off", "-c", "full_page_writes=off", "-c", "max_connections=60")


@contextmanager
def new_database(server: str) -> Iterator[str]:
    """The URL of an empty database on a running server; it is dropped at the end."""
    engine = sa.create_engine(server, isolation_level="AUTOCOMMIT")
    name = f"test_{secrets.token_hex(6)}"
    with engine.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    try:
        yield server.rpartition("/")[0] + f"/{name}"
    finally:
        with engine.connect() as connection:
            connection.exec_driver_sql(f"DROP DATABASE {name} WITH (FORCE)")
        engine.dispose()


@contextmanager
def local_postgres() -> Iterator[str]:
    """The SQLAlchemy URL of an empty database; skips where PostgreSQL is not installed.

    Not in pytest's own temporary folder, which every run of pytest closes to other users again.
    """
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    found = str(programs[-1].parent) if programs else None
    if found is None:
        pytest.skip("needs PostgreSQL, which is not here")
    data = Path(tempfile.mkdtemp(prefix="pasquin-postgres-"))
    data.chmod(0o777)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    inside = str(data / "data")
    run = {"check": True, "capture_output": True, "timeout": 120}
    subprocess.run(_as_other([f"{found}/initdb", "-D", inside, "-A", "trust", "-U", "pasquin", "-N"]), **run)
    server = subprocess.Popen(
        _as_other([f"{found}/postgres", "-D", inside, "-p", str(port), "-k", str(data), "-h", "127.0.0.1", *_FAST]),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield _ready(port)
    finally:
        server.terminate()
        server.wait(30)
        shutil.rmtree(data, ignore_errors=True)


def _ready(port: int) -> str:
    import psycopg

    for _ in range(200):
        try:
            psycopg.connect(f"host=127.0.0.1 port={port} user=pasquin dbname=postgres").close()
            return f"postgresql+psycopg://pasquin@127.0.0.1:{port}/postgres"
        except psycopg.OperationalError:
            time.sleep(0.05)
    raise TimeoutError("PostgreSQL did not start")


def _as_other(command: Sequence[str]) -> list[str]:
    """PostgreSQL refuses to run as root."""
    if os.getuid() != 0:
        return list(command)
    name = next((user for user in ("postgres", "nobody") if _exists(user)), None)
    if name is None:
        pytest.skip("PostgreSQL does not run as root, and there is no other user here")
    return ["setpriv", f"--reuid={name}", f"--regid={pwd.getpwnam(name).pw_gid}", "--clear-groups", *command]


def _exists(user: str) -> bool:
    try:
        pwd.getpwnam(user)
    except KeyError:
        return False
    return True
