"""Commands about posts: init, collect, rights, forget, lineage."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from pasquin.cli.command import (
    JsonOption,
    OnOption,
    WorkspaceOption,
    command,
    open_workspace,
    pairs,
    print_result,
    reasons,
    terminal,
)
from pasquin.counts import counted
from pasquin.errors import UsageError


@command("init", "pasquin init mybot && cd mybot")
def init(
    directory: Annotated[Path, typer.Argument(help="Directory to make a workspace.")] = Path("."),
    as_json: JsonOption = False,
) -> None:
    """Make a workspace: the directory in which posts, corpora, models and decisions live."""
    from pasquin.store import Store
    from pasquin.workspace import Workspace

    workspace = Workspace.create(directory)
    Store.of(workspace).close()
    print_result(
        {"workspace": str(workspace.root)},
        as_json,
        [
            f"{workspace.root} is a Pasquin workspace.",
            "Next: pasquin collect SOURCE…, for example `pasquin collect x-archive:twitter-2026.zip`.",
        ],
    )


@command("collect", "pasquin collect x-archive:twitter-2026.zip bluesky:someone.bsky.social @sources/vc.txt --watch")
def collect(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE...",
            help="KIND:PATH of a file, folder or pattern (x-archive, twint, csv, jsonl, parquet, text, …), "
            "NETWORK:ACCOUNT (bluesky:NAME, mastodon:@NAME@HOST, feed:URL, …), or @LIST.txt with one source a line.",
        ),
    ],
    account: Annotated[
        str | None, typer.Option(help="Whose posts they are, where the input doesn't say (default: the file's name).")
    ] = None,
    column: Annotated[
        list[str] | None,
        typer.Option("--map", metavar="FIELD=COLUMN", help="Where a field of a post is found (csv, jsonl, parquet)."),
    ] = None,
    rights: Annotated[
        str | None, typer.Option(help="Why you may use them: own-archive, consented, licence:NAME, public-network.")
    ] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Keep the archive current, until Ctrl-C.")] = False,
    every: Annotated[
        float | None, typer.Option("--every", metavar="MINUTES", help="How often to look, with --watch (default 15).")
    ] = None,
    workers: Annotated[int | None, typer.Option(help="Network sources read at a time (default 8).")] = None,
    proxy: Annotated[
        list[str] | None,
        typer.Option("--proxy", metavar="URL", help="Forward proxy, or a file with one a line; several allowed."),
    ] = None,
    max_cost: Annotated[
        float | None, typer.Option(metavar="DOLLARS", help="What paid requests (X's API) may cost together.")
    ] = None,
    allow_private: Annotated[
        list[str] | None,
        typer.Option("--allow-private", metavar="HOST", help="A server of your own, in a private network."),
    ] = None,
    accept_rules: Annotated[
        list[str] | None,
        typer.Option("--accept-rules", metavar="HOST", help="You have read this server's rules and keep them."),
    ] = None,
    on: OnOption = None,
    directory: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Bring posts into the workspace. Collecting the same source again adds only what is new."""
    from pasquin.collect import collect as run
    from pasquin.config import CollectSettings, load

    workspace = open_workspace(directory)
    result = run(
        workspace,
        sources,
        account=account,
        columns=pairs(column, "--map"),
        rights=rights,
        watch=watch,
        on=on,
        settings=load(
            CollectSettings,
            workspace.toml,
            workers=workers,
            watch_minutes=every,
            proxies=proxy or None,
            max_cost=max_cost,
            allow_private_hosts=allow_private or None,
            accepted_rules=accept_rules or None,
        ),
        progress=terminal(),
    )
    sources_read = result["sources"]
    by_failure = sorted(sources_read, key=lambda source: source["error"] is not None)  # what went wrong stands last
    lines = [_source_line(source) for source in by_failure] if len(sources_read) > 1 else []
    lines.append(f"{counted(result['new'], 'new post')}, {result['posts']:,} read, in {result['seconds']:.1f} s.")
    if result["failed"]:
        lines.append(f"{result['failed']:,} of {counted(len(sources_read), 'source')} failed; the others were read.")
    if result["updated"]:
        lines.append(f"{counted(result['updated'], 'changed since, and was', 'changed since, and were')} updated.")
    if result["deleted"]:
        lines.append(f"{counted(result['deleted'], 'is', 'are')} gone upstream, and so here.")
    if result["skipped"]:
        lines.append(f"Skipped: {reasons(result['skipped'])}.")
    if result["quarantined"]:
        lines.append(f"{counted(result['quarantined'], 'piece')} could not be read; see {workspace.quarantine}.")
    print_result(result, as_json, [*lines, "Next: pasquin prepare NAME"])


def _source_line(source: Mapping[str, Any]) -> str:
    if source["error"]:
        return f"  {source['source']}: {source['error']}"
    return f"  {source['source']}: {counted(source['new'], 'new post')}, {source['posts']:,} read"


@command("rights", "pasquin rights")
def rights(directory: WorkspaceOption = None, as_json: JsonOption = False) -> None:
    """Why the collected posts may be used, what was stated about it, and what stays out of every corpus."""
    from pasquin.rights import rights as run

    result = run(open_workspace(directory))
    lines = [
        f"{entry['posts']:>9,}  {entry['rights']:<15} {entry['network']}:{entry['handle']}"
        + ("" if entry["permitted"] else "  (stays out of every corpus)")
        for entry in result["accounts"]
    ] or ["Nothing was collected here yet."]
    lines += [
        f"{counted(count, 'post stays', 'posts stay')} out: {result['remedy'][name]}"
        for name, count in result["left_out"].items()
    ]
    lines += [f"Stated for {name}: {text}" for name, text in result["statements"].items()]
    provided = [entry for entry in result["recorded"] if entry["kind"] == "provided"]
    lines += [
        f"Stated by giving a file: {entry['source']}, {counted(entry['posts'], 'post')}, {entry['at']}"
        for entry in provided
    ]
    rules = [entry for entry in result["recorded"] if entry["kind"] == "rules"]
    lines += [f"Rules accepted: {entry['host']}, {entry['at']}" for entry in rules]
    gone = result["forgotten"]
    if gone["posts"] or gone["accounts"]:
        lines.append(f"Forgotten: {counted(gone['posts'], 'post')}, {counted(gone['accounts'], 'account')}.")
    print_result(result, as_json, lines)


@command("forget", "pasquin forget https://x.com/someone/status/123456")
def forget(
    target: Annotated[
        str, typer.Argument(metavar="ACCOUNT|URI", help="A handle or an account's id, or the address of a post.")
    ],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    directory: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Forget a post or an account: it leaves posts, corpora, screen and game, and is never collected again."""
    from pasquin.rights import forget as run

    def confirm(what: str) -> bool:
        if not sys.stdin.isatty():
            raise UsageError(f"This would forget {what}. Say so with --yes.")
        return typer.confirm(f"Forget {what}? This cannot be undone.", err=True)

    result = run(open_workspace(directory), target, confirm=None if yes else confirm, progress=terminal())
    whose = f" of {', '.join(result['accounts'])}" if result["accounts"] else ""
    lines = [f"Forgotten: {counted(result['forgotten'], 'post')}{whose}."]
    lines += [f"{posts:,} left the corpus `{name}`." for name, posts in result["corpora"].items()]
    if result["models"]:
        models = ", ".join(f"`{name}`" for name in result["models"])
        lines.append(f"Learned from it and unchanged: {models}. Run `pasquin prepare` and `pasquin train` again.")
    print_result(result, as_json, lines)


@command("lineage", "pasquin lineage https://x.com/someone/status/123456")
def lineage(
    target: Annotated[str, typer.Argument(metavar="URI|ACCOUNT", help="The address of a post, or an account.")],
    directory: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Which corpora, models, candidates and trials a post has reached."""
    from pasquin.rights import lineage as run

    result = run(open_workspace(directory), target)
    state = "forgotten" if result["forgotten"] else "collected" if result["collected"] else "no longer collected"
    lines = [f"{counted(result['posts'], 'post')}, {state}."]
    lines += [f"Corpus `{entry['corpus']}`: {reasons(entry['splits'])}" for entry in result["corpora"]]
    for entry in result["models"]:
        seen = f"{reasons(entry['splits'])}" if entry["known"] else "not on record which posts it saw"
        lines.append(f"Model `{entry['model']}` (corpus `{entry['corpus']}`): {seen}")
    lines.append(
        f"{counted(result['candidates'], 'candidate')} of models that learned it; "
        f"{counted(result['nearest'], 'names it as its', 'name it as their')} nearest post; "
        f"shown in {counted(result['trials'], 'trial')}."
    )
    print_result(result, as_json, lines)
