"""The endpoint on a Ray cluster: Ray Serve runs the application of `pasquin serve`, batching included, once a node.

One address, on the head, hands requests to the node with the fewest under way. A node that dies takes the requests it
was answering along (5xx, which clients try again); Ray starts its copy anew where there is a core. Keys are in the
workspace's database, so every copy knows them; requests a minute and what may wait are counted by each copy.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pasquin import __version__
from pasquin.config import ServeSettings
from pasquin.errors import ResourceError
from pasquin.workers.cluster import check_version, open_cluster
from pasquin.workspace import Workspace

if TYPE_CHECKING:
    from fastapi import FastAPI

_NAME: Final = "pasquin"
_HANDED: Final = 10_000
"""Requests that Ray hands to a copy at once: the copy itself decides how many wait, and says 429."""


def serve_on_cluster(
    workspace: Workspace, models: Sequence[str], settings: ServeSettings, on: str, ready: Callable[[str], None] | None
) -> None:
    """Serve on the nodes of the cluster `on` until Ctrl-C; call `ready(url)` once every copy answers.

    Raises ResourceError when Ray Serve is not installed, the cluster does not answer, or no copy comes up.
    """
    with open_cluster(on) as cluster:
        try:
            from ray import serve
        except ImportError as exc:
            raise ResourceError(
                "`serve --on ray` needs Ray Serve. Install it with `pip install 'pasquin[ray]'`."
            ) from exc
        serve.start(
            proxy_location="HeadOnly",
            http_options={"host": settings.host, "port": settings.port, "request_timeout_s": None},
            logging_config={"log_level": "ERROR", "enable_access_log": False},
        )
        before = signal.signal(signal.SIGTERM, signal.default_int_handler)  # or the copies would stay
        try:
            application = _application(serve, cluster.nodes, workspace.root, models, settings)
            try:
                serve.run(application, name=_NAME, route_prefix="/")
            except RuntimeError as exc:
                raise ResourceError(
                    f"No node of the cluster could serve ({str(exc).strip().splitlines()[0]}). "
                    "See that every node has the workspace under the same path and the engine of the model."
                ) from exc
            if ready:
                ready(f"http://{settings.host}:{settings.port}")
            threading.Event().wait()
        except KeyboardInterrupt:
            return
        finally:
            serve.shutdown()
            signal.signal(signal.SIGTERM, before)


def _application(serve: Any, copies: int, root: Path, models: Sequence[str], settings: ServeSettings) -> Any:
    def build() -> FastAPI:
        return application_on_node(__version__, root, models, settings)

    class Endpoint:
        """A copy of the endpoint."""

    return serve.deployment(
        name=_NAME,
        num_replicas=copies,
        max_ongoing_requests=_HANDED,
        graceful_shutdown_timeout_s=settings.drain_seconds,
        ray_actor_options={"num_cpus": 1},
    )(serve.ingress(build)(Endpoint)).bind()


def application_on_node(version: str, root: Path, models: Sequence[str], settings: ServeSettings) -> FastAPI:
    """The application of a copy, on its node. Raises ResourceError when the node has another version of Pasquin."""
    from pasquin.server.inference.app import create_inference_app

    check_version(version)
    return create_inference_app(Workspace.open(root), models, settings)
