"""The web server: game and curators' page (`play`, `curate`), models behind OpenAI's interface (`serve`).

Each runs until Ctrl-C.

Requests are answered on one event loop; writes go through the game's ledger, reads of a player not in memory through a
thread. No request is logged with its address.
"""

from __future__ import annotations

import errno
import signal
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from pasquin import logs
from pasquin.config import CurateSettings, PlaySettings, ServeSettings, load
from pasquin.errors import ResourceError, UsageError
from pasquin.workspace import Workspace

if TYPE_CHECKING:
    from fastapi import FastAPI

    from pasquin.store import Store

__all__ = ["curate", "invite", "play", "serve"]

_GRACE_SECONDS = 5


def play(
    workspace: Workspace,
    corpora: Sequence[str] = (),
    *,
    settings: PlaySettings | None = None,
    ready: Callable[[str], None] | None = None,
) -> None:
    """Serve the game over `corpora` (none named: all there are) until Ctrl-C; call `ready(url)` once it answers.

    Port 0 takes any free one. Raises CorpusError when a named corpus is missing, ResourceError when the port is taken,
    UsageError when the host is none of this machine's.
    """
    from pasquin.server.app import create_app

    settings = settings or load(PlaySettings, workspace.toml)
    with _listen(settings.host, settings.port) as listener:
        app = create_app(workspace, corpora, settings=settings)
        _serve(app, listener, lambda: ready(_url(settings.host, listener)) if ready else None)


def curate(
    workspace: Workspace,
    names: Sequence[str] = (),
    *,
    settings: CurateSettings | None = None,
    ready: Callable[[str], None] | None = None,
) -> None:
    """Serve the page on which candidates are accepted, edited and rejected until Ctrl-C, those of the models `names`
    (none named: of all); call `ready(link)` once it answers. The link signs the owner in, once.

    The game is served beside it. Raises ModelError when a model has no candidates, ResourceError when the port is
    taken, UsageError when the host is none of this machine's.
    """
    from pasquin.curate import models_named
    from pasquin.server.app import create_app

    settings = settings or load(CurateSettings, workspace.toml)
    models = models_named(workspace, names)
    with _listen(settings.host, settings.port) as listener:
        app = create_app(workspace, curated=models, curate_settings=settings)
        url = _url(settings.host, listener)
        _serve(app, listener, lambda: ready(_owner_link(app.state.store, url)) if ready else None)


def invite(workspace: Workspace, name: str, *, settings: CurateSettings | None = None) -> str:
    """A link that signs the curator `name` (made if there is none yet) in, once, within a week. Raises UsageError."""
    from pasquin.curate.curators import INVITATION, curator_named, make_link
    from pasquin.store import Store

    settings = settings or load(CurateSettings, workspace.toml)
    store = Store.of(workspace)
    try:
        token = make_link(store, curator_named(store, name), INVITATION)
    finally:
        store.close()
    host = "127.0.0.1" if settings.host in ("0.0.0.0", "::") else settings.host
    return _sign_in_link(settings.public_url or f"http://{f'[{host}]' if ':' in host else host}:{settings.port}", token)


def _owner_link(store: Store, url: str) -> str:
    from pasquin.curate.curators import curator_named, make_link

    return _sign_in_link(url, make_link(store, curator_named(store)))


def _sign_in_link(url: str, token: str) -> str:
    """The token stands behind the `#`: browsers send that to nobody, so no server or proxy can log it."""
    return f"{url.rstrip('/')}/curate#sign-in={token}"


def serve(
    workspace: Workspace,
    models: Sequence[str],
    *,
    settings: ServeSettings | None = None,
    on: str | None = None,
    ready: Callable[[str], None] | None = None,
) -> None:
    """Serve `models` behind `/v1` until Ctrl-C or SIGTERM; call `ready(url)` once it answers.

    What is under way then is finished first, for `settings.drain_seconds` at most. The first model loads at once,
    the others when they are asked for. `on` is the Ray cluster whose nodes serve (`workers.open_workers`). Raises
    UsageError when no model is named, or the host is not this machine's own and there is no API key yet; ModelError
    when a model cannot be served; ResourceError when the port is taken, or the cluster cannot.
    """
    from pasquin.server.inference.app import create_inference_app

    settings = settings or load(ServeSettings, workspace.toml)
    if not models:
        raise UsageError(f"Name the models to serve; there are: {', '.join(workspace.models()) or 'none yet'}.")
    if on is not None:
        _serve_on(workspace, list(dict.fromkeys(models)), settings, on, ready)
        return
    with _listen(settings.host, settings.port) as listener:
        app = create_inference_app(workspace, list(dict.fromkeys(models)), settings)
        _require_key(app)
        # After draining, uvicorn raises the signal again, for whoever would want to know.
        before = signal.signal(signal.SIGTERM, lambda *_: None)
        try:
            _serve(
                app,
                listener,
                lambda: ready(_url(settings.host, listener)) if ready else None,
                grace=settings.drain_seconds,
            )
        finally:
            signal.signal(signal.SIGTERM, before)


def _require_key(app: FastAPI) -> None:
    access = app.state.inference.access
    if access.required and not access.keys:
        raise UsageError("Serving here requires API keys, and there is none. Make one with `pasquin key add NAME`.")


def _serve_on(
    workspace: Workspace, models: list[str], settings: ServeSettings, on: str, ready: Callable[[str], None] | None
) -> None:
    from pasquin.server.cluster import serve_on_cluster
    from pasquin.server.inference.app import create_inference_app
    from pasquin.workers import check_place

    check_place(on)
    here = create_inference_app(workspace, models, settings)  # what cannot be served is said before a cluster is asked
    here.state.store.close()
    _require_key(here)
    with _listen(settings.host, settings.port) as listener:
        settings = settings.model_copy(update={"port": listener.getsockname()[1]})
    serve_on_cluster(workspace, models, settings, on, ready)


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio switches off Nagle's delay (40 ms an answer) only where the protocol is named.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        # Listening at once, so that a second server on this port fails here and not while it starts.
        listener.listen(2048)
    except OSError as exc:
        listener.close()
        if exc.errno == errno.EADDRINUSE:
            raise ResourceError(
                f"Port {port} is in use: something else, perhaps another game, is serving there. "
                f"Stop it, or choose another port with `--port {port + 1 if port < 65_535 else 0}`."
            ) from exc
        if exc.errno == errno.EACCES:
            raise ResourceError(f"Port {port} is not yours to use. Choose one above 1023 with --port.") from exc
        raise UsageError(
            f"Cannot serve on `{host}` ({exc.strerror or exc}). Use 127.0.0.1, or 0.0.0.0 for everybody."
        ) from exc
    return listener


def _url(host: str, listener: socket.socket) -> str:
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)
    return f"http://{shown}:{listener.getsockname()[1]}"


def _serve(app: FastAPI, listener: socket.socket, started: Callable[[], None], *, grace: int = _GRACE_SECONDS) -> None:
    import uvicorn

    from pasquin.server import interpreter

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets=sockets)
            if self.started:
                interpreter.spare()
                started()

    logs.take_over()
    config = uvicorn.Config(
        app,
        log_config=None if logs.wanted() else uvicorn.config.LOGGING_CONFIG,
        access_log=False,
        log_level="warning",
        lifespan="on",
        server_header=False,
        timeout_graceful_shutdown=grace,
    )
    # Ctrl-C is how a server is told to stop; when it is raised here, what was being answered has been.
    with interpreter.restored(), suppress(KeyboardInterrupt):
        Server(config).run(sockets=[listener])
