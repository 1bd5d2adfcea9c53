"""A wire in front of a server that loses what networks lose: the request, or the answer to one that was carried out."""

from __future__ import annotations

import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx

FAULTS = ("none", "refuse", "drop before", "drop after", "reset after", "500 after", "503 before", "cut after")

TOO_LONG = b'{"error":"InvalidRequest","message":"Record/text must not be longer than 200 graphemes"}'
"""What `400 before` answers: the network takes less than it did."""


class LossyWire:
    """A proxy on a free port. `fault` is asked for each request that matches `watched` (method and path)."""

    def __init__(self, target: str, watched: Callable[[str, str], bool], fault: Callable[[], str]) -> None:
        self.target, self.watched, self.fault = target.rstrip("/"), watched, fault
        self.seen: Counter[str] = Counter()
        self.after: Callable[[], None] = lambda: None
        wire = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True  # else each answer waits 40 ms for the acknowledgement of its headers

            def do_GET(self) -> None:
                wire.pass_on(self)

            def do_POST(self) -> None:
                wire.pass_on(self)

            def do_PATCH(self) -> None:
                wire.pass_on(self)

            def log_message(self, *_: object) -> None:
                return None

        class Server(ThreadingHTTPServer):
            request_queue_size = 128
            daemon_threads = True

            def handle_error(self, *_: object) -> None:
                return None

        self.server = Server(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.client = httpx.Client(timeout=60, limits=httpx.Limits(max_keepalive_connections=0))
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """End the wire."""
        self.server.shutdown()
        self.server.server_close()
        self.client.close()

    def pass_on(self, asked: BaseHTTPRequestHandler) -> None:
        """One request, with whatever goes wrong."""
        body = asked.rfile.read(int(asked.headers.get("Content-Length") or 0))
        fault = self.fault() if self.watched(asked.command, asked.path) else "none"
        self.seen[fault] += 1
        if fault == "drop before":
            self._hang_up(asked, reset=False)
            return
        if fault == "503 before":
            self._answer(asked, 503, {}, b"")
            return
        if fault == "400 before":
            self._answer(asked, 400, {"Content-Type": "application/json"}, TOO_LONG)
            return
        headers = {name: value for name, value in asked.headers.items() if name.lower() not in _OWN}
        found = self.client.request(asked.command, f"{self.target}{asked.path}", content=body, headers=headers)
        self.after()
        if fault in ("drop after", "reset after"):
            self._hang_up(asked, reset=fault.startswith("reset"))
            return
        if fault == "500 after":
            self._answer(asked, 500, {"Content-Type": "application/json"}, b'{"error":"InternalServerError"}')
            return
        kept = {name: value for name, value in found.headers.items() if name.lower() not in _OWN}
        if fault == "cut after":
            self._answer(asked, found.status_code, kept, found.content[: len(found.content) // 2], len(found.content))
            self._hang_up(asked, reset=False)
            return
        self._answer(asked, found.status_code, kept, found.content)

    def _answer(
        self,
        asked: BaseHTTPRequestHandler,
        status: int,
        headers: dict[str, str],
        body: bytes,
        length: int | None = None,
    ) -> None:
        try:
            asked.send_response(status)
            for name, value in headers.items():
                asked.send_header(name, value)
            asked.send_header("Content-Length", str(len(body) if length is None else length))
            asked.end_headers()
            asked.wfile.write(body)
        except OSError:
            asked.close_connection = True  # whoever asked was killed

    def _hang_up(self, asked: BaseHTTPRequestHandler, *, reset: bool) -> None:
        asked.close_connection = True
        try:
            if reset:
                asked.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            asked.connection.shutdown(socket.SHUT_RDWR) if not reset else asked.connection.close()
        except OSError:
            return


_OWN = frozenset({"connection", "content-length", "transfer-encoding", "content-encoding", "accept-encoding", "host"})
