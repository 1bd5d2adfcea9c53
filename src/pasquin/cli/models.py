"""Commands from posts to candidates: prepare, train, generate, tune."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from pasquin.cli import names
from pasquin.cli.command import (
    JsonOption,
    OnOption,
    WorkspaceOption,
    command,
    open_workspace,
    print_result,
    reasons,
    terminal,
)
from pasquin.counts import counted
from pasquin.errors import UsageError


@command("prepare", "pasquin prepare vc --include-replies --split time")
def prepare(
    corpus: Annotated[str, typer.Argument(autocompletion=names.corpora, help="Name of the corpus to make.")],
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
    languages: Annotated[
        list[str] | None, typer.Option("--language", help="Keep only texts in this language (en); several allowed.")
    ] = None,
    drop_personal: Annotated[
        bool | None, typer.Option("--drop-personal/--keep-personal", help="Drop texts with private data in them.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of every draw (default 0).")] = None,
    on: OnOption = None,
    directory: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a clean, deduplicated, split corpus of the collected posts, with a report to look at."""
    from pasquin.config import PrepareSettings, load
    from pasquin.prepare import prepare as run

    workspace = open_workspace(directory)
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
        languages=tuple(languages) if languages else None,
        drop_personal=drop_personal,
        seed=seed,
    )
    result = run(
        workspace,
        corpus,
        accounts=account or (),
        lists=source_list or (),
        settings=settings,
        on=on,
        progress=terminal(),
    )
    splits = result["splits"]
    print_result(
        result,
        as_json,
        [
            f"Corpus `{corpus}`: kept {counted(result['kept'], 'post')}, in {result['seconds']:.1f} s.",
            f"Dropped: {reasons(result['dropped'])}.",
            f"Splits: {splits['train']:,} train, {splits['validation']:,} validation, {splits['test']:,} test.",
            f"Report: {workspace.corpus_dir(corpus) / 'report.html'}",
            f"Next: pasquin train {corpus} --minutes 7",
        ],
    )


@command("train", "pasquin train vc --minutes 7")
def train(
    corpus: Annotated[str, typer.Argument(autocompletion=names.corpora, help="Name of the corpus to learn.")],
    name: Annotated[str | None, typer.Option(help="Name of the model (default: the corpus's).")] = None,
    model: Annotated[
        str | None, typer.Option(help="Base model: smollm2 (default), a Hugging Face name such as gpt2, or a folder.")
    ] = None,
    full: Annotated[bool, typer.Option("--full", help="Train all weights.")] = False,
    lora: Annotated[bool, typer.Option("--lora", help="Train low-rank weights only (less memory, quicker).")] = False,
    minutes: Annotated[float | None, typer.Option(help="Train at most this long.")] = None,
    epochs: Annotated[float | None, typer.Option(help="At most this many passes over the posts.")] = None,
    steps: Annotated[int | None, typer.Option(help="At most this many optimizer steps.")] = None,
    freeze: Annotated[
        int | None, typer.Option(metavar="N", help="Leave the embeddings and the N lower layers as they are.")
    ] = None,
    from_scratch: Annotated[
        bool | None, typer.Option("--from-scratch", help="A small model with a tokenizer of its own, from nothing.")
    ] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Peak learning rate.")] = None,
    compile_model: Annotated[
        bool | None,
        typer.Option("--compile/--no-compile", help="Compile what can be (default: where it pays)."),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of data order and sampling (default 0).")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on exactly where an interrupted training stopped.")] = (
        False
    ),
    from_feedback: Annotated[
        bool,
        typer.Option(
            "--from-feedback",
            help="Teach the corpus's model (or that of --model) what people accepted, rejected and took for human.",
        ),
    ] = False,
    on: OnOption = None,
    directory: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Train a small language model on a corpus. Stops by itself when it no longer gets better; Ctrl-C saves."""
    from pasquin.config import TrainSettings, load
    from pasquin.train import train as run

    if full and lora:
        raise UsageError("--full and --lora exclude each other; give one of them.")
    workspace = open_workspace(directory)
    settings = load(
        TrainSettings,
        workspace.toml,
        model=None if from_feedback else model,
        method="full" if full else "lora" if lora else None,
        minutes=minutes,
        epochs=epochs,
        steps=steps,
        freeze=freeze,
        from_scratch=from_scratch,
        learning_rate=learning_rate,
        compile=compile_model,
        seed=seed,
    )
    result = run(
        workspace,
        corpus,
        name=name,
        resume=resume,
        from_feedback=(model or True) if from_feedback else False,
        settings=settings,
        on=on,
        progress=terminal(),
    )
    if from_feedback:
        auc, said = result["auc"], result["feedback"]
        lines = [
            f"Model `{result['model']}` learned from {said['liked']:,} liked and {said['disliked']:,} disliked texts, "
            f"{result['seconds']:.0f} s.",
            f"Of a liked and a disliked text kept back, the liked one is likelier in {auc['before']:.0%} of cases "
            f"before and {auc['after']:.0%} after; it gained more in {auc['reward']:.0%} "
            f"({said['held_out']:,} kept back).",
            f"Next: pasquin generate {result['model']} -n 1000",
        ]
        print_result(result, as_json, lines)
        return
    bits = result["bits_per_byte"]
    print_result(
        result,
        as_json,
        [
            f"Model `{result['model']}`: {bits['before']:.3f} -> {bits['after']:.3f} bits per byte on held-out posts, "
            f"best at step {result['best_step']:,}, {result['seconds']:.0f} s "
            f"({result['tokens_per_second']:,.0f} tokens/s); {result['verbatim_rate']:.1%} of samples copy a post.",
            f"Its card, history and report.html: {workspace.model_dir(result['model'])}",
            f"Next: pasquin generate {result['model']} -n 1000",
        ],
    )


@command("generate", 'pasquin generate vc -n 1000 --temperature 1.0 --top-p 0.9 --prefix "Startups are" -o tweets.txt')
def generate(
    model: Annotated[str, typer.Argument(autocompletion=names.models, help="Name of the model.")],
    n: Annotated[int | None, typer.Option("-n", "--n", help="Candidates wanted (default 1000).")] = None,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="File to write: .txt (divided by lines of 20 =), .csv or .jsonl."),
    ] = None,
    account: Annotated[
        str | None, typer.Option(help="Whose voice (default: all, in proportion to their posts).")
    ] = None,
    blend: Annotated[
        str, typer.Option("--as", metavar="A:0.7,B:0.3", help="Mix several voices in every text, in these shares.")
    ] = "",
    about: Annotated[
        str, typer.Option(metavar="WORDS", help="What every text is about: a few words, such as 'coffee, trains'.")
    ] = "",
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
    min_p: Annotated[
        float | None, typer.Option(help="Draw no token less likely than this share of the likeliest one.")
    ] = None,
    max_tokens: Annotated[int | None, typer.Option(help="Longest completion, in tokens.")] = None,
    min_characters: Annotated[int | None, typer.Option(help="Shorter candidates are rejected.")] = None,
    max_characters: Annotated[int | None, typer.Option(help="Longer candidates are rejected (default 280).")] = None,
    target: Annotated[
        str | None,
        typer.Option("--for", metavar="NETWORK", help="What does not fit bluesky, mastodon or x is rejected."),
    ] = None,
    allow: Annotated[
        list[str] | None,
        typer.Option("--allow", help="Let through what is rejected as mention, link, personal, blocked or language."),
    ] = None,
    batch: Annotated[int | None, typer.Option(help="Sequences generated at a time.")] = None,
    engine: Annotated[
        str | None,
        typer.Option(help="vllm, openvino or transformers (default: the fastest that can), or openai: see --base-url."),
    ] = None,
    base_url: Annotated[
        str | None,
        typer.Option(metavar="URL", help="An OpenAI-compatible server whose --model imitates the corpus MODEL."),
    ] = None,
    server_model: Annotated[str | None, typer.Option("--model", help="Name of a model on that server.")] = None,
    seed: Annotated[int | None, typer.Option(help="Same seed, same candidates (default 0).")] = None,
    on: OnOption = None,
    directory: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Generate candidates by the thousand: complete, novel texts in the voice of the corpus."""
    from pasquin.config import GenerateSettings, load, model_sampling
    from pasquin.generate import generate as run

    workspace = open_workspace(directory)
    settings = load(
        GenerateSettings,
        workspace.toml,
        defaults=model_sampling(workspace.model_dir(model)),
        n=n,
        engine=engine,
        batch=batch,
        temperature=temperature,
        top_k=top_k,
        top_p=top_p,
        min_p=min_p,
        max_tokens=max_tokens,
        min_characters=min_characters,
        max_characters=max_characters,
        target=target,
        allow=allow or None,
        base_url=base_url,
        model=server_model,
        seed=seed,
    )
    result = run(
        workspace,
        model,
        output=output,
        account=account,
        blend=blend,
        about=about,
        prefix=prefix,
        include_prefix=include_prefix,
        stop=stop or (),
        settings=settings,
        on=on,
        progress=terminal(),
    )
    print_result(
        result,
        as_json,
        [
            f"{counted(result['candidates'], 'candidate')} of {counted(result['completions'], 'completion')}, "
            f"in {result['seconds']:.1f} s ({result['tokens_per_second']:,.0f} tokens/s).",
            f"Rejected: {reasons(result['rejected'])}."
            + (f" They are in {result['rejected_output']}" if result["rejected"] else ""),
            f"Written to {result['output']}",
            f"Next: pasquin play {model}",
        ],
    )


@command("tune", "pasquin tune vc --minutes 10 --apply")
def tune(
    model: Annotated[str, typer.Argument(autocompletion=names.models, help="Name of the model.")],
    n: Annotated[int, typer.Option("-n", "--n", help="Completions drawn with each setting.")] = 200,
    minutes: Annotated[float, typer.Option(help="Begin no further setting after this long.")] = 10.0,
    max_copies: Annotated[float, typer.Option(help="Recommend nothing that copies posts at a higher rate.")] = 0.02,
    apply: Annotated[
        bool, typer.Option("--apply", help="Let `generate` draw from this model so, where you say nothing else.")
    ] = False,
    engine: Annotated[
        str | None, typer.Option(help="openvino or transformers (default: the fastest that can).")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of every draw.")] = 0,
    directory: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Try sampling settings, and show what each gains and loses: sense, variety, and what gives a text away."""
    from pasquin.tune import tune as run

    workspace = open_workspace(directory)
    result = run(
        workspace,
        model,
        n=n,
        minutes=minutes,
        max_copies=max_copies,
        apply=apply,
        engine=engine,
        seed=seed,
        progress=terminal(),
    )
    print_result(result, as_json, _tuned(result))


def _tuned(result: dict[str, Any]) -> list[str]:
    """The table, best first."""
    lines = [" score  n-grams  likelihood  unknown  varied   kept  copied  setting"]
    for row in sorted(result["settings"], key=lambda row: -(row["score"] or 0)):
        figures = [row["score"], row["detector_auc"], row["likelihood_auc"]]
        shown = ["–" if value is None else f"{value:.2f}" for value in figures]
        shares = [row["unknown_words"], row["distinct_2"] or 0, row["kept"], row["copied"]]
        setting = f"T {row['temperature']}  top-k {row['top_k']}  top-p {row['top_p']}  min-p {row['min_p']}"
        lines.append(
            f"{shown[0]:>6}{shown[1]:>9}{shown[2]:>12}"
            f"{shares[0]:>9.1%}{shares[1]:>8.1%}{shares[2]:>7.1%}{shares[3]:>8.1%}  {setting}"
        )
    best = result["recommended"]
    if best is None:
        return [*lines, "No setting can be recommended: too few candidates, or too many copies."]
    words = " ".join(f"--{name.replace('_', '-')} {value}" for name, value in best.items())
    after = "`generate` draws so from now on." if result["applied"] else "With --apply, `generate` draws so by default."
    return [*lines, f"Recommended: {words}", after, f"The trade-off as a plot: {result['page']}"]
