"""What a trained model says of itself: its card (README.md), its history and the plot of it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pasquin.workspace.files import write_atomically

HISTORY = "history.jsonl"
PLOT = "loss.svg"
CARD = "README.md"


def write_history(folder: Path, history: Sequence[Mapping[str, object]]) -> None:
    """One JSON line an evaluation: step, seconds, tokens, train and validation bits per byte, learning rate, and (but
    for the first) the share of samples that copy a training post, with some of the samples."""
    write_atomically(folder / HISTORY, "".join(json.dumps(entry, ensure_ascii=False) + "\n" for entry in history))


def write_plot(folder: Path, history: Sequence[Mapping[str, Any]]) -> None:
    """Training and validation bits per byte over steps."""
    import pygal
    from pygal.style import CleanStyle

    chart = pygal.XY(
        title="Bits per byte (lower is better)",
        x_title="optimizer steps",
        style=CleanStyle(font_family="system-ui, sans-serif", title_font_size=18),
        width=900,
        height=420,
        legend_at_bottom=True,
        dots_size=3,
        js=[],
    )
    for name, key in (("held-out posts", "validation"), ("training posts", "train")):
        chart.add(name, [(entry["step"], round(entry[key], 4)) for entry in history if entry.get(key) is not None])
    write_atomically(folder / PLOT, chart.render())


def _evaluations(history: Sequence[Mapping[str, Any]]) -> list[str]:
    """The history as a table, with a sample of what the model wrote at each evaluation."""
    rows = ["| step | minutes | bits per byte | copied | it wrote |", "|---|---|---|---|---|"]
    for entry in history:
        copied = f"{entry['copied']:.0%}" if entry.get("copied") is not None else ""
        sample = " ".join(next(iter(entry.get("samples") or [""])).split()).replace("|", "¦")
        minutes, bits = entry["seconds"] / 60, entry["validation"]
        rows.append(f"| {entry['step']:,} | {minutes:.1f} | {bits:.3f} | {copied} | {sample} |")
    return rows


def write_card(
    folder: Path, manifest: Mapping[str, Any], corpus: Mapping[str, Any], history: Sequence[Mapping[str, Any]]
) -> None:
    """The model card: what it learned from, how, how well, what it is for, and what a bot that uses it must say."""
    result, settings = manifest["result"], manifest["settings"]
    bits = result["bits_per_byte"]
    accounts: Sequence[str] = manifest["accounts"]
    dropped: Mapping[str, int] = corpus.get("dropped") or {}
    splits: Mapping[str, int] = corpus.get("splits") or {}
    conditioned = f" ({bits['conditioned']:.3f} when told the account)" if "conditioned" in bits else ""
    lines = [
        "---",
        "library_name: transformers",
        "pipeline_tag: text-generation",
        "tags: [pasquin, parody]",
        "---",
        f"# {manifest['name']}",
        "",
        f"A parody of short posts: `{manifest['base']}`, trained by Pasquin on the corpus `{manifest['corpus']}`.",
        "",
        "## Data",
        "",
        "| | posts |",
        "|---|---|",
        *(f"| {name} | {count:,} |" for name, count in splits.items()),
        *(f"| left out: {reason} | {count:,} |" for reason, count in dropped.items() if count),
        "",
        f"Corpus hash `{manifest['corpus_hash']}`. The `test` posts were never trained on. "
        + (
            f"It knows {len(accounts)} accounts and writes in the voice of any one, or of all."
            if accounts
            else "It has a single voice."
        ),
        "",
        "## Training",
        "",
        f"Method `{manifest['method']}`, {result['seconds']:.0f} s, {result['tokens']:,} tokens "
        f"({result['tokens_per_second']:,.0f} a second), best at step {result['best_step']:,}, "
        f"seed {manifest['seed']}.",
        "",
        "| figure | |",
        "|---|---|",
        f"| bits per byte on held-out posts, before | {bits['before']:.3f} |",
        f"| after | {bits['after']:.3f}{conditioned} |",
        f"| samples that copy a training post, whole or nearly | {result['verbatim_rate']:.1%} |",
        "",
        f"![bits per byte over steps]({PLOT})",
        "",
        *_evaluations(history),
        "",
        "Settings:",
        "",
        "```json",
        json.dumps(settings, indent=2),
        "```",
        "",
        "## Use",
        "",
        "Meant for parody that is open about being one, and for games and studies that ask people to tell human from "
        "machine. It states falsehoods fluently, may repeat what its sources said badly, and must not be passed off as "
        "the people it learned from. Screen what it writes (`pasquin generate` does) and have a person choose.",
        "",
        "A bot that publishes its texts says so:",
        "",
        f"> I am a bot. My posts are written by a language model ({manifest['base']}, trained with Pasquin on public "
        f"posts of “{manifest['corpus']}”), not by the people it imitates.",
        "",
    ]
    write_atomically(folder / CARD, "\n".join(lines))
