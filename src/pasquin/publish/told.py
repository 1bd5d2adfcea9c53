"""What the publishing daemon tells Prometheus, at `http://127.0.0.1:PORT/metrics`."""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

from pasquin.errors import PasquinError, ResourceError
from pasquin.metrics import MEDIA_TYPE, Metrics
from pasquin.publish.operation import gauges, standings
from pasquin.store import Store
from pasquin.workspace import Workspace

_HELP: Final = {
    "pasquin_publish_runs_total": "Looks of the daemon at a bot's queue, by what they ended with.",
    "pasquin_published_total": "Posts that were published.",
    "pasquin_publish_failed_total": "Posts that failed or are in doubt.",
}
Tell = Callable[[dict[str, Any], float], None]


@contextmanager
def telling(workspace: Workspace, port: int | None) -> Iterator[Tell]:
    """Serve metrics while the block runs (nothing without a `port`); what it yields takes each result and its seconds.

    Raises ResourceError when the port is taken.
    """
    metrics = Metrics(_HELP, ("pasquin_publish_run_seconds", "Seconds of a look at a bot's queue.", "bot"))

    def tell(result: dict[str, Any], seconds: float) -> None:
        bot = str(result["bot"])
        metrics.add("publish_runs", bot=bot, state=str(result["state"]))
        metrics.add("published", len(result["published"]), bot=bot)
        metrics.add("publish_failed", len(result["failed"]) + len(result["unknown"]), bot=bot)
        metrics.observe(bot, seconds)

    if port is None:
        yield tell
        return
    server = _server(port, lambda: _text(workspace, metrics))
    threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()
    try:
        yield tell
    finally:
        server.shutdown()
        server.server_close()


def _text(workspace: Workspace, metrics: Metrics) -> str:
    try:
        store = Store.of(workspace)
        try:
            found = gauges(standings(workspace, store))
        finally:
            store.close()
    except PasquinError:
        return metrics.text([("pasquin_database_up", "1 when the database answered.", [((), 0.0)])])
    return metrics.text([("pasquin_database_up", "1 when the database answered.", [((), 1.0)]), *found])


def _server(port: int, text: Callable[[], str]) -> ThreadingHTTPServer:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path != "/metrics":
                self.send_error(404)
                return
            body = text().encode()
            self.send_response(200)
            self.send_header("Content-Type", MEDIA_TYPE)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            return None

    try:
        return ThreadingHTTPServer(("127.0.0.1", port), Handler)
    except OSError as exc:
        if exc.errno != errno.EADDRINUSE:
            raise
        raise ResourceError(f"Port {port} is in use. Choose another for metrics_port under [publish].") from exc
