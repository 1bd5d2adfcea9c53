"""An HTTP server for tests that misbehaves as told, and writes down when it was asked for what."""

from __future__ import annotations

import gzip
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Asked:
    """One request as it came in."""

    at: float
    path: str
    headers: dict[str, str]


@dataclass
class HostileServer:
    """`answers` maps a path to what is done with the n-th request for it: `answer(request, n)`."""

    port: int = 0
    answers: dict[str, Callable[[Any, int], None]] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    closed_until: float = 0.0
    violations: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    def close_for(self, seconds: float) -> None:
        """From now on every request is a violation, until `seconds` have passed."""
        self.closed_until = time.time() + seconds

    def took(self, path: str) -> list[Asked]:
        return [one for one in self.asked if one.path.partition("?")[0] == path]


@contextmanager
def hostile_server() -> Iterator[HostileServer]:
    """A running server."""
    state = HostileServer()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            if path.startswith("http://"):
                path = "/" + path.split("/", 3)[-1]
            with state.lock:
                state.asked.append(Asked(time.time(), path, dict(self.headers)))
                number = sum(one.path == path for one in state.asked)
                state.violations += time.time() < state.closed_until
            state.answers.get(path, lambda request, _: give(request, b"{}"))(self, number)

        do_POST = do_GET  # noqa: N815

        def log_message(self, *_: object) -> None:
            return None

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 128

        def handle_error(self, *_: object) -> None:
            return None

    server = Server(("127.0.0.1", 0), Handler)
    state.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()


def give(request: Any, body: bytes = b"", status: int = 200, **headers: str) -> None:
    """An answer; `Content_Length` and the like are headers."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    request.send_response(status)
    for name, value in ({"Content-Length": str(len(body))} | named).items():
        request.send_header(name, value)
    request.end_headers()
    request.wfile.write(body)
    request.wfile.flush()


def reset(request: Any) -> None:
    """Cut the connection without an answer."""
    request.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    request.connection.close()
    request.close_connection = True


def cut_short(request: Any, body: bytes) -> None:
    """Claim twice the length and hang up."""
    give(request, body, Content_Length=str(2 * len(body)))
    request.close_connection = True


def bomb(request: Any, megabytes: int) -> None:
    """A small answer that unpacks to a large one."""
    give(request, gzip.compress(b"\0" * megabytes * 2**20), Content_Encoding="gzip")
