"""Commands that hand a corpus or a model to other programs: export, push."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from pasquin.cli import names
from pasquin.cli.command import JsonOption, WorkspaceOption, command, open_workspace, print_result, terminal
from pasquin.counts import counted
from pasquin.errors import UsageError


@command("export", "pasquin export vc -o vc.csv;  pasquin export vc -o vc.gguf;  pasquin export vc -o vc-model")
def export(
    name: Annotated[
        str,
        typer.Argument(
            autocompletion=names.models_or_corpora, help="Name of the corpus; of the model for .gguf and a directory."
        ),
    ],
    output: Annotated[
        Path,
        typer.Option(
            "-o",
            "--output",
            help="File to write: .csv, .txt or .jsonl of a corpus, .gguf of a model; without an ending, a model's "
            "directory.",
        ),
    ],
    split: Annotated[str | None, typer.Option(help="Only this split: train, validation or test.")] = None,
    precision: Annotated[str, typer.Option(help="Of the weights in a .gguf: f16, q8_0 or q4_0.")] = "q8_0",
    directory: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write a corpus or a model: the CSV that gpt-2-simple's users know, GGUF for Ollama and llama.cpp, or a directory
    in the Hugging Face layout."""
    from pasquin.export import export_corpus, export_model
    from pasquin.export.folder import export_folder

    workspace = open_workspace(directory)
    if output.suffix.lower() == ".gguf":
        result = export_model(workspace, name, output, precision)
        print_result(result, as_json, [f"{output}: {result['bytes'] / 1e6:,.0f} MB in {precision}."])
        return
    if not output.suffix:
        result = export_folder(workspace, name, output)
        print_result(result, as_json, [*_files(result), f"Written to {output}."])
        return
    result = export_corpus(workspace, name, output, split=split)
    print_result(result, as_json, [f"{counted(result['posts'], 'post')} in {output}."])


@command("push", "pasquin push vc someone/vc-parody --dry-run")
def push(
    model: Annotated[str, typer.Argument(autocompletion=names.models, help="Name of the model.")],
    repo: Annotated[
        str, typer.Argument(metavar="OWNER/NAME", help="The repository: your name on the hub, the model's.")
    ],
    public: Annotated[
        bool, typer.Option("--public", help="Let anybody read it (default: private); asks first.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say which files would go, and send nothing.")] = False,
    directory: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Send a model to the Hugging Face hub, privately; the token is HF_TOKEN or that of `hf auth login`."""
    from pasquin.export.hub import push as run

    def confirm(question: str) -> bool:
        if not sys.stdin.isatty():
            raise UsageError(f"{question} Say so with --yes.")
        return typer.confirm(question, err=True)

    result = run(
        open_workspace(directory),
        model,
        repo,
        public=public,
        dry_run=dry_run,
        confirm=None if yes else confirm,
        progress=terminal(),
    )
    seen = "private" if result["private"] else "public"
    end = f"Nothing was sent; {repo} would be {seen}." if dry_run else f"Sent to {result['url']} ({seen})."
    print_result(result, as_json, [*_files(result), end])


def _files(result: dict[str, Any]) -> list[str]:
    return [f"{file['bytes']:>13,}  {file['name']}" for file in result["files"]]
