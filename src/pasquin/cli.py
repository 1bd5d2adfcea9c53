"""The command line: one command a stage. Parse, call, print; no decisions here.

Data goes to stdout, talk and progress bars to stderr. With `--json` stdout carries one JSON object and nothing else.
Exit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted (safely). Stages are imported by the command that runs
them, so that `pasquin --help` stays instant.
"""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pasquin import __version__
from pasquin.errors import Interrupted, PasquinError, UsageError

if TYPE_CHECKING:
    from pasquin.progress import Progress
    from pasquin.workspace import Workspace

app = typer.Typer(
    help="From somebody's short posts to an honest parody bot, and a measure of how human it sounds.",
    epilog="The whole path: pasquin init mybot; cd mybot; pasquin collect …; pasquin prepare NAME; "
    "pasquin train NAME; pasquin generate NAME; pasquin play NAME.  To see it all first: pasquin demo",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)

WorkspaceOption = Annotated[
    Path | None,
    typer.Option("--workspace", metavar="DIR", help="The workspace (default: the nearest pasquin.toml upward)."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout and nothing else.")]


def main() -> None:
    """Entry point of the `pasquin` program."""
    app()


def _reporting(command: Callable[..., None]) -> Callable[..., None]:
    """Turn our errors into a sentence on stderr and the right exit code."""

    @functools.wraps(command)
    def run(*args: Any, **kwargs: Any) -> None:
        try:
            command(*args, **kwargs)
        except PasquinError as exc:
            typer.echo(str(exc) if isinstance(exc, Interrupted) else f"Error: {exc}", err=True)
            raise typer.Exit(exc.exit_code) from exc
        except KeyboardInterrupt as exc:
            typer.echo("Stopped. Run the same command again to go on; what was finished is kept.", err=True)
            raise typer.Exit(Interrupted.exit_code) from exc
        except MemoryError as exc:
            typer.echo("Error: the machine ran out of memory. Close other programs or give it less to do.", err=True)
            raise typer.Exit(1) from exc

    return run


def _command(name: str, example: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Register a command whose `--help` ends with an example."""

    def register(function: Callable[..., None]) -> Callable[..., None]:
        run = _reporting(function)
        app.command(name, epilog=f"Example:  {example}", no_args_is_help=False)(run)
        return run

    return register


def _progress() -> Progress:
    from pasquin.progress import Terminal

    return Terminal()


def _open(directory: Path | None) -> Workspace:
    from pasquin.workspace import Workspace

    return Workspace.open(directory)


def _print(result: Mapping[str, object], as_json: bool, lines: list[str]) -> None:
    """Print a stage's result: the JSON object, or lines for people."""
    typer.echo(json.dumps(result, ensure_ascii=False, default=str) if as_json else "\n".join(lines))


def _reasons(counts: object) -> str:
    """`{reason: n}` as "n reason, n reason", most first."""
    if not isinstance(counts, Mapping) or not counts:
        return "none"
    ordered = sorted(counts.items(), key=lambda pair: -pair[1])
    return ", ".join(f"{number:,} {str(reason).replace('_', ' ')}" for reason, number in ordered if number)


def _pairs(values: list[str] | None, option: str) -> dict[str, str]:
    """`FIELD=COLUMN` options as a mapping; UsageError when one has no equals sign."""
    pairs = {}
    for value in values or []:
        field, equals, column = value.partition("=")
        if not equals or not field or not column:
            raise UsageError(f"{option} wants FIELD=COLUMN, for example {option} text=body; it got `{value}`.")
        pairs[field] = column
    return pairs


def _version(show: bool) -> None:
    if show:
        typer.echo(f"pasquin {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    return None


@_command("init", "pasquin init mybot && cd mybot")
def init(
    directory: Annotated[Path, typer.Argument(help="Directory to make a workspace.")] = Path("."),
    as_json: JsonOption = False,
) -> None:
    """Make a workspace: the directory in which posts, corpora, models and decisions live."""
    from pasquin.store import Store
    from pasquin.workspace import Workspace

    workspace = Workspace.create(directory)
    Store.of(workspace).close()
    _print(
        {"workspace": str(workspace.root)},
        as_json,
        [
            f"{workspace.root} is a Pasquin workspace.",
            "Next: pasquin collect SOURCE…, for example `pasquin collect x-archive:twitter-2026.zip`.",
        ],
    )


@_command("collect", "pasquin collect x-archive:twitter-2026.zip bluesky:someone.bsky.social @sources/vc.txt --watch")
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
    directory: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Bring posts into the workspace. Collecting the same source again adds only what is new."""
    from pasquin.collect import collect as run
    from pasquin.config import CollectSettings, load

    workspace = _open(directory)
    result = run(
        workspace,
        sources,
        account=account,
        columns=_pairs(column, "--map"),
        rights=rights,
        watch=watch,
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
        progress=_progress(),
    )
    sources_read = result["sources"]
    lines = [_source_line(source) for source in sources_read] if len(sources_read) > 1 else []
    lines.append(f"{result['new']:,} new posts, {result['posts']:,} read, in {result['seconds']:.1f} s.")
    for count, said in (("updated", "changed since, and were updated"), ("deleted", "are gone upstream, and so here")):
        if result[count]:
            lines.append(f"{result[count]:,} {said}.")
    if result["skipped"]:
        lines.append(f"Skipped: {_reasons(result['skipped'])}.")
    if result["quarantined"]:
        lines.append(f"{result['quarantined']:,} could not be read; they are in {workspace.quarantine}.")
    _print(result, as_json, [*lines, "Next: pasquin prepare NAME"])


def _source_line(source: Mapping[str, Any]) -> str:
    if source["error"]:
        return f"  {source['source']}: {source['error']}"
    return f"  {source['source']}: {source['new']:,} new posts, {source['posts']:,} read"


@_command("rights", "pasquin rights")
def rights(directory: WorkspaceOption = None, as_json: JsonOption = False) -> None:
    """Why the collected posts may be used, what was stated about it, and what stays out of every corpus."""
    from pasquin.rights import rights as run

    result = run(_open(directory))
    lines = [
        f"{entry['posts']:>9,}  {entry['rights']:<15} {entry['network']}:{entry['handle']}"
        + ("" if entry["permitted"] else "  (stays out of every corpus)")
        for entry in result["accounts"]
    ] or ["Nothing was collected here yet."]
    lines += [f"{count:,} posts stay out: {result['remedy'][name]}" for name, count in result["left_out"].items()]
    lines += [f"Stated for {name}: {text}" for name, text in result["statements"].items()]
    provided = [entry for entry in result["recorded"] if entry["kind"] == "provided"]
    lines += [
        f"Stated by giving a file: {entry['source']}, {entry['posts']:,} posts, {entry['at']}" for entry in provided
    ]
    rules = [entry for entry in result["recorded"] if entry["kind"] == "rules"]
    lines += [f"Rules accepted: {entry['host']}, {entry['at']}" for entry in rules]
    gone = result["forgotten"]
    if gone["posts"] or gone["accounts"]:
        lines.append(f"Forgotten: {gone['posts']:,} posts, {gone['accounts']:,} accounts.")
    _print(result, as_json, lines)


@_command("forget", "pasquin forget https://x.com/someone/status/123456")
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

    result = run(_open(directory), target, confirm=None if yes else confirm, progress=_progress())
    whose = f" of {', '.join(result['accounts'])}" if result["accounts"] else ""
    lines = [f"Forgotten: {result['forgotten']:,} posts{whose}."]
    lines += [f"{posts:,} left the corpus `{name}`." for name, posts in result["corpora"].items()]
    if result["models"]:
        models = ", ".join(f"`{name}`" for name in result["models"])
        lines.append(f"Learned from it and unchanged: {models}. Run `pasquin prepare` and `pasquin train` again.")
    _print(result, as_json, lines)


@_command("lineage", "pasquin lineage https://x.com/someone/status/123456")
def lineage(
    target: Annotated[str, typer.Argument(metavar="URI|ACCOUNT", help="The address of a post, or an account.")],
    directory: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Which corpora, models, candidates and trials a post has reached."""
    from pasquin.rights import lineage as run

    result = run(_open(directory), target)
    state = "forgotten" if result["forgotten"] else "collected" if result["collected"] else "no longer collected"
    lines = [f"{result['posts']:,} posts, {state}."]
    lines += [f"Corpus `{entry['corpus']}`: {_reasons(entry['splits'])}" for entry in result["corpora"]]
    for entry in result["models"]:
        seen = f"{_reasons(entry['splits'])}" if entry["known"] else "not on record which posts it saw"
        lines.append(f"Model `{entry['model']}` (corpus `{entry['corpus']}`): {seen}")
    lines.append(
        f"{result['candidates']:,} candidates of models that learned it; {result['nearest']:,} name it as their "
        f"nearest post; shown in {result['trials']:,} trials."
    )
    _print(result, as_json, lines)


@_command("prepare", "pasquin prepare vc --include-replies --split time")
def prepare(
    corpus: Annotated[str, typer.Argument(help="Name of the corpus to make.")],
    account: Annotated[
        list[str] | None, typer.Option("--account", help="Only this account (handle or id); several allowed.")
    ] = None,
    source_list: Annotated[
        list[str] | None, typer.Option("--list", help="Only accounts collected through this source list.")
    ] = None,
    include_replies: Annotated[
        bool | None, typer.Option("--include-replies/--no-replies", help="Keep replies and posts that begin with @.")
    ] = None,
    include_reposts: Annotated[
        bool | None, typer.Option("--include-reposts/--no-reposts", help="Keep reposts (other people's words).")
    ] = None,
    include_links: Annotated[
        bool | None, typer.Option("--include-links/--no-links", help="Keep URLs and link-only posts.")
    ] = None,
    strip_usertags: Annotated[
        bool | None, typer.Option("--strip-usertags/--keep-usertags", help="Remove @mentions.")
    ] = None,
    strip_hashtags: Annotated[
        bool | None, typer.Option("--strip-hashtags/--keep-hashtags", help="Remove #hashtags.")
    ] = None,
    max_per_account: Annotated[int | None, typer.Option(help="At most this many posts of one account.")] = None,
    split: Annotated[str | None, typer.Option(help="random (default), or time: the newest are the test split.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of every draw (default 0).")] = None,
    directory: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a clean, deduplicated, split corpus of the collected posts, with a report to look at."""
    from pasquin.config import PrepareSettings, load
    from pasquin.prepare import prepare as run

    workspace = _open(directory)
    settings = load(
        PrepareSettings,
        workspace.toml,
        include_replies=include_replies,
        include_reposts=include_reposts,
        include_links=include_links,
        strip_usertags=strip_usertags,
        strip_hashtags=strip_hashtags,
        max_per_account=max_per_account,
        split=split,
        seed=seed,
    )
    result = run(
        workspace, corpus, accounts=account or (), lists=source_list or (), settings=settings, progress=_progress()
    )
    splits = result["splits"]
    _print(
        result,
        as_json,
        [
            f"Corpus `{corpus}`: kept {result['kept']:,} posts, in {result['seconds']:.1f} s.",
            f"Dropped: {_reasons(result['dropped'])}.",
            f"Splits: {splits['train']:,} train, {splits['validation']:,} validation, {splits['test']:,} test.",
            f"Report: {workspace.corpus_dir(corpus) / 'report.html'}",
            f"Next: pasquin train {corpus} --minutes 7",
        ],
    )


@_command("export", "pasquin export vc -o vc.csv")
def export(
    corpus: Annotated[str, typer.Argument(help="Name of the corpus.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="File to write: .csv (one column), .txt or .jsonl.")],
    split: Annotated[str | None, typer.Option(help="Only this split: train, validation or test.")] = None,
    directory: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write a corpus to a file: the single-column CSV that gpt-2-simple's users know, text, or JSON lines."""
    from pasquin.export import export_corpus

    result = export_corpus(_open(directory), corpus, output, split=split)
    _print(result, as_json, [f"{result['posts']:,} posts in {output}."])


@_command("train", "pasquin train vc --minutes 7")
def train(
    corpus: Annotated[str, typer.Argument(help="Name of the corpus to learn.")],
    name: Annotated[str | None, typer.Option(help="Name of the model (default: the corpus's).")] = None,
    model: Annotated[
        str | None, typer.Option(help="Base model: smollm2 (default), a Hugging Face name such as gpt2, or a folder.")
    ] = None,
    full: Annotated[bool, typer.Option("--full", help="Train all weights.")] = False,
    lora: Annotated[bool, typer.Option("--lora", help="Train low-rank weights only (less memory).")] = False,
    minutes: Annotated[float | None, typer.Option(help="Train at most this long.")] = None,
    epochs: Annotated[float | None, typer.Option(help="At most this many passes over the posts.")] = None,
    steps: Annotated[int | None, typer.Option(help="At most this many optimizer steps.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Peak learning rate.")] = None,
    compile_model: Annotated[
        bool | None,
        typer.Option("--compile/--no-compile", help="Compile the model first, which takes minutes (default: no)."),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of data order and sampling (default 0).")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on exactly where an interrupted training stopped.")] = (
        False
    ),
    directory: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Train a small language model on a corpus. Stops by itself when it no longer gets better; Ctrl-C saves."""
    from pasquin.config import TrainSettings, load
    from pasquin.train import train as run

    if full and lora:
        raise UsageError("--full and --lora exclude each other; give one of them.")
    workspace = _open(directory)
    settings = load(
        TrainSettings,
        workspace.toml,
        model=model,
        method="full" if full else "lora" if lora else None,
        minutes=minutes,
        epochs=epochs,
        steps=steps,
        learning_rate=learning_rate,
        compile=compile_model,
        seed=seed,
    )
    result = run(workspace, corpus, name=name, resume=resume, settings=settings, progress=_progress())
    bits = result["bits_per_byte"]
    _print(
        result,
        as_json,
        [
            f"Model `{result['model']}`: {bits['before']:.3f} -> {bits['after']:.3f} bits per byte on held-out posts, "
            f"best at step {result['best_step']:,}, {result['seconds']:.0f} s "
            f"({result['tokens_per_second']:,.0f} tokens/s); {result['verbatim_rate']:.1%} of samples copy a post.",
            f"Its card, history and plot: {workspace.model_dir(result['model'])}",
            f"Next: pasquin generate {result['model']} -n 1000",
        ],
    )


@_command("generate", 'pasquin generate vc -n 1000 --temperature 1.0 --top-p 0.9 --prefix "Startups are" -o tweets.txt')
def generate(
    model: Annotated[str, typer.Argument(help="Name of the model.")],
    n: Annotated[int | None, typer.Option("-n", "--n", help="Candidates wanted (default 1000).")] = None,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="File to write: .txt (divided by lines of 20 =), .csv or .jsonl."),
    ] = None,
    account: Annotated[
        str | None, typer.Option(help="Whose voice (default: all, in proportion to their posts).")
    ] = None,
    prefix: Annotated[str, typer.Option(help="Text every candidate begins with.")] = "",
    include_prefix: Annotated[
        bool, typer.Option("--include-prefix/--no-include-prefix", help="Whether the prefix is part of the candidate.")
    ] = True,
    stop: Annotated[
        list[str] | None, typer.Option("--stop", "--truncate", help="End a text where this appears; several allowed.")
    ] = None,
    temperature: Annotated[float | None, typer.Option(help="0 is greedy, 1 as learned, more is wilder.")] = None,
    top_k: Annotated[int | None, typer.Option(help="Draw from this many likeliest tokens (0: all).")] = None,
    top_p: Annotated[float | None, typer.Option(help="Draw from the likeliest tokens of this total probability.")] = (
        None
    ),
    max_tokens: Annotated[int | None, typer.Option(help="Longest completion, in tokens.")] = None,
    min_characters: Annotated[int | None, typer.Option(help="Shorter candidates are rejected.")] = None,
    max_characters: Annotated[int | None, typer.Option(help="Longer candidates are rejected (default 280).")] = None,
    batch: Annotated[int | None, typer.Option(help="Sequences generated at a time.")] = None,
    engine: Annotated[str | None, typer.Option(help="openvino or transformers (default: the fastest that can).")] = (
        None
    ),
    seed: Annotated[int | None, typer.Option(help="Same seed, same candidates (default 0).")] = None,
    directory: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Generate candidates by the thousand: complete, novel texts in the voice of the corpus."""
    from pasquin.config import GenerateSettings, load
    from pasquin.generate import generate as run

    workspace = _open(directory)
    settings = load(
        GenerateSettings,
        workspace.toml,
        n=n,
        engine=engine,
        batch=batch,
        temperature=temperature,
        top_k=top_k,
        top_p=top_p,
        max_tokens=max_tokens,
        min_characters=min_characters,
        max_characters=max_characters,
        seed=seed,
    )
    result = run(
        workspace,
        model,
        output=output,
        account=account,
        prefix=prefix,
        include_prefix=include_prefix,
        stop=stop or (),
        settings=settings,
        progress=_progress(),
    )
    _print(
        result,
        as_json,
        [
            f"{result['candidates']:,} candidates of {result['completions']:,} completions, "
            f"in {result['seconds']:.1f} s ({result['tokens_per_second']:,.0f} tokens/s).",
            f"Rejected: {_reasons(result['rejected'])}.",
            f"Written to {result['output']}",
            f"Next: pasquin play {model}",
        ],
    )


@_command("play", "pasquin play vc --port 8080")
def play(
    corpora: Annotated[
        list[str] | None, typer.Argument(metavar="[CORPUS...]", help="Corpora to play with (default: all).")
    ] = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on (default 127.0.0.1: only you).")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on (default 8000; 0: any free one).")] = None,
    directory: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Serve the game "human or AI?" until Ctrl-C."""

    def ready(url: str) -> None:
        _print({"url": url}, as_json, [_GAME_IS_ON.format(url=url)])
        sys.stdout.flush()

    _serve(_open(directory), corpora or [], ready, host=host, port=port)


_GAME_IS_ON = "The game is on {url}  (Ctrl-C ends it)"


def _serve(
    workspace: Workspace, corpora: list[str], ready: Callable[[str], None], *, host: str | None, port: int | None
) -> None:
    from pasquin.config import PlaySettings, load
    from pasquin.server import play as run

    run(workspace, corpora, settings=load(PlaySettings, workspace.toml, host=host, port=port), ready=ready)


@_command("demo", "pasquin demo --minutes 2")
def demo(
    directory: Annotated[Path, typer.Option("--workspace", metavar="DIR", help="Where the demo lives.")] = Path(
        "pasquin-demo"
    ),
    minutes: Annotated[float, typer.Option(help="Training time.", min=0.05)] = 6.0,
    serve: Annotated[bool, typer.Option("--serve/--no-serve", help="Serve the game at the end.")] = True,
    port: Annotated[int | None, typer.Option(help="Port of the game (default 8000; 0: any free one).")] = None,
    as_json: JsonOption = False,
) -> None:
    """The whole path on data and a model from the package registry: collect to game, in about ten minutes."""
    from pasquin.demo import CORPUS, NEXT
    from pasquin.demo import demo as run

    workspace, result = run(directory, minutes=minutes, progress=_progress())
    if as_json:
        _print(result, True, [])
    if serve:
        typer.echo(NEXT.format(directory=directory), err=True)
        _serve(workspace, [CORPUS], lambda url: typer.echo(_GAME_IS_ON.format(url=url), err=True), host=None, port=port)


if __name__ == "__main__":
    main()
