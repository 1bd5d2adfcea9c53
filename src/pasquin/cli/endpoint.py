"""Commands of the endpoint: serve, and `key` with its own."""

from __future__ import annotations

import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pasquin.cli import names
from pasquin.cli.command import JsonOption, OnOption, WorkspaceOption, command, group, open_workspace, print_result

if TYPE_CHECKING:
    from pasquin.store import Store


@command("serve", "pasquin serve vc democrats --port 8001")
def serve(
    models: Annotated[
        list[str], typer.Argument(metavar="MODEL...", autocompletion=names.models, help="Models to offer, by name.")
    ],
    host: Annotated[str | None, typer.Option(help="Address to listen on (default 127.0.0.1: only you).")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on (default 8001; 0: any free one).")] = None,
    require_key: Annotated[
        bool | None, typer.Option("--require-key/--no-key", help="Ask for an API key on 127.0.0.1 too.")
    ] = None,
    engine: Annotated[str | None, typer.Option(help="openvino or transformers (default: the fastest that can).")] = (
        None
    ),
    batch: Annotated[int | None, typer.Option(help="Texts written at a time, for each model (default 32).")] = None,
    queue: Annotated[int | None, typer.Option(help="Texts that may wait, for each model (default 128).")] = None,
    memory_mb: Annotated[
        int | None, typer.Option(help="Unload idle models beyond this many megabytes (default 2000).")
    ] = None,
    on: OnOption = None,
    directory: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Serve models to any OpenAI client (/v1/completions) until Ctrl-C, which finishes what is under way."""
    from pasquin.config import ServeSettings, load
    from pasquin.server import serve as run

    workspace = open_workspace(directory)
    settings = load(
        ServeSettings,
        workspace.toml,
        host=host,
        port=port,
        require_key=require_key,
        engine=engine,
        batch=batch,
        queue=queue,
        memory_mb=memory_mb,
    )

    def ready(url: str) -> None:
        print_result({"url": f"{url}/v1", "models": models}, as_json, [f"Serving on {url}/v1  (Ctrl-C ends it)"])
        sys.stdout.flush()

    run(workspace, models, settings=settings, on=on, ready=ready)


key = group("key", "API keys for `pasquin serve`.")

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="Whose key.")]


@command("add", "pasquin key add alice --requests-per-minute 60", key)
def add(
    name: NameArgument,
    requests_per_minute: Annotated[
        int | None, typer.Option(help="Requests a minute of this key (default: as the [serve] settings say).")
    ] = None,
    directory: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a key and print it, once: only its hash is stored."""
    from pasquin.server.inference.keys import add_key

    with _store(directory) as store:
        made = add_key(store, name, requests_per_minute)
    print_result({"name": name, "key": made}, as_json, [made])
    typer.echo("Keep it now: it cannot be shown again.", err=True)


@command("list", "pasquin key list", key)
def list_(directory: WorkspaceOption = None, as_json: JsonOption = False) -> None:
    """All keys ever made, by name and first characters."""
    from pasquin.server.inference.keys import list_keys

    with _store(directory) as store:
        found = list_keys(store)
    print_result({"keys": found}, as_json, [_line(row) for row in found] or ["There are no keys."])


@command("revoke", "pasquin key revoke alice", key)
def revoke(name: NameArgument, directory: WorkspaceOption = None, as_json: JsonOption = False) -> None:
    """Make a key invalid for ever; a running server notices within seconds."""
    from pasquin.server.inference.keys import revoke_key

    with _store(directory) as store:
        revoke_key(store, name)
    print_result({"name": name, "revoked": True}, as_json, [f"The key `{name}` is revoked."])


def _store(directory: Path | None) -> closing[Store]:
    from pasquin.store import Store

    return closing(Store.of(open_workspace(directory)))


def _line(row: dict[str, object]) -> str:
    limit = f"{row['requests_per_minute']} requests/min" if row["requests_per_minute"] else "default limit"
    state = f"revoked {row['revoked_at']:%Y-%m-%d}" if row["revoked_at"] else "valid"
    return f"{row['name']:20} {row['hint']}…  made {row['created_at']:%Y-%m-%d}  {limit:20} {state}"
