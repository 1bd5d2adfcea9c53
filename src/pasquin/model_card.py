"""The model card: what a model learned from, how, how well, what it is for, and what a bot that uses it must say.

Training writes it beside the model with samples of what it wrote; a card that leaves the workspace (`export`) has none,
as a sample may be a copy of somebody's post, and tells how often people took the model's texts for a person's.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from pasquin.counts import counted

CARD: Final = "README.md"
PLOT: Final = "loss.svg"


def model_card(
    manifest: Mapping[str, Any],
    corpus: Mapping[str, Any],
    history: Sequence[Mapping[str, Any]],
    *,
    samples: bool = True,
    played: Mapping[str, Any] | None = None,
) -> str:
    """The card as Markdown with the metadata that the Hugging Face hub reads.

    `manifest` is the model's and `corpus` its corpus's (empty when that is gone); `history` as in `history.jsonl`
    (empty for a model that learned from people); with `samples` the table of evaluations shows what was written.
    `played` are the model's figures in the game, with `fool_rate` and `human_pass_rate`, as `pasquin measure` has them.
    """
    name, base = manifest["name"], _named(str(manifest["base"]))
    return "\n".join(
        [
            "---",
            "library_name: transformers",
            "pipeline_tag: text-generation",
            "tags: [pasquin, parody]",
            "---",
            f"# {name}",
            "",
            f"A parody of short posts: `{base}`, trained by Pasquin on the corpus `{manifest['corpus']}`.",
            "",
            "## Data",
            "",
            *_data(manifest, corpus),
            "",
            "## Training",
            "",
            *(_feedback(manifest) if "feedback" in manifest["result"] else _training(manifest, history, samples)),
            "",
            "Settings:",
            "",
            "```json",
            json.dumps({**manifest["settings"], **_named_model(manifest["settings"])}, indent=2),
            "```",
            "",
            *(["## In the game", "", *_game(played), ""] if played and played.get("fool_rate") else []),
            "## Use",
            "",
            "Meant for parody that is open about being one, and for games and studies that ask people to tell human "
            "from machine. It states falsehoods fluently, may repeat what its sources said badly, and must not be "
            "passed off as the people it learned from. Screen what it writes (`pasquin generate` does) and have a "
            "person choose.",
            "",
            "A bot that publishes its texts says so:",
            "",
            f"> I am a bot. My posts are written by a language model ({base}, trained with Pasquin on public "
            f"posts of “{manifest['corpus']}”), not by the people it imitates.",
            "",
        ]
    )


def _named(base: str) -> str:
    """A base by name: of a folder the last part, as the others say where somebody keeps things."""
    return Path(base).name if base.startswith(("/", ".", "~")) or base.count("/") > 1 else base


def _named_model(settings: Mapping[str, Any]) -> dict[str, str]:
    return {"model": _named(str(settings["model"]))} if "model" in settings else {}


def _data(manifest: Mapping[str, Any], corpus: Mapping[str, Any]) -> list[str]:
    splits: Mapping[str, int] = corpus.get("splits") or {}
    dropped: Mapping[str, int] = corpus.get("dropped") or {}
    accounts: Sequence[str] = manifest["accounts"]
    counts = [
        *(f"| {name} | {count:,} |" for name, count in splits.items()),
        *(f"| left out: {reason} | {count:,} |" for reason, count in dropped.items() if count),
    ]
    voices = (
        f"It knows {len(accounts)} accounts and writes in the voice of any one, or of all."
        if accounts
        else "It has a single voice."
    )
    hashed = f"Corpus hash `{manifest['corpus_hash']}`. The `test` posts were never trained on. {voices}"
    return [*(["| | posts |", "|---|---|", *counts, ""] if counts else []), hashed]


def _training(manifest: Mapping[str, Any], history: Sequence[Mapping[str, Any]], samples: bool) -> list[str]:
    result = manifest["result"]
    bits = result["bits_per_byte"]
    conditioned = f" ({bits['conditioned']:.3f} when told the account)" if "conditioned" in bits else ""
    return [
        f"Method `{manifest['method']}`, {result['seconds']:.0f} s, {result['tokens']:,} tokens "
        f"({result['tokens_per_second']:,.0f} a second), best at step {result['best_step']:,}, "
        f"seed {manifest['seed']}.",
        "",
        *_figures(result, conditioned),
        "",
        f"![bits per byte over steps]({PLOT})",
        "",
        *_evaluations(history, samples),
    ]


def _figures(result: Mapping[str, Any], conditioned: str = "") -> list[str]:
    bits = result["bits_per_byte"]
    return [
        "| figure | |",
        "|---|---|",
        f"| bits per byte on held-out posts, before | {bits['before']:.3f} |",
        f"| after | {bits['after']:.3f}{conditioned} |",
        f"| samples that copy a training post, whole or nearly | {result['verbatim_rate']:.1%} |",
    ]


def _feedback(manifest: Mapping[str, Any]) -> list[str]:
    """What a model that learned from people says instead of steps and losses."""
    result = manifest["result"]
    said, auc = result["feedback"], result["auc"]
    return [
        f"Made of the model `{result['parent']}` and of what people said of texts of its corpus: {said['liked']:,} "
        f"liked and {said['disliked']:,} disliked, of which {said['held_out']:,} were kept back to measure "
        f"with. Method `{manifest['method']}`, {result['seconds']:.0f} s, {result['tokens']:,} tokens, "
        f"seed {manifest['seed']}.",
        "",
        *_figures(result),
        f"| of a liked and a disliked text kept back, the liked one is likelier, before | {auc['before']:.0%} |",
        f"| after (50% is chance) | {auc['after']:.0%} |",
        f"| the liked one gained more | {auc['reward']:.0%} |",
    ]


def _evaluations(history: Sequence[Mapping[str, Any]], samples: bool) -> list[str]:
    """The history as a table, with a sample of what the model wrote at each evaluation."""
    rows = ["| step | minutes | bits per byte | copied |", "|---|---|---|---|"]
    if samples:
        rows = [f"{rows[0]} it wrote |", f"{rows[1]}---|"]
    for entry in history:
        copied = f"{entry['copied']:.0%}" if entry.get("copied") is not None else ""
        minutes, bits = entry["seconds"] / 60, entry["validation"]
        row = f"| {entry['step']:,} | {minutes:.1f} | {bits:.3f} | {copied} |"
        sample = " ".join(next(iter(entry.get("samples") or [""])).split()).replace("|", "¦")
        rows.append(f"{row} {sample} |" if samples else row)
    return rows


def _game(played: Mapping[str, Any]) -> list[str]:
    """How often people took its texts for a person's, always beside how often they took a person's for one."""

    def share(figure: Mapping[str, Any]) -> str:
        low, high = figure["low"], figure["high"]
        interval = "" if low is None or high is None else f"95% interval {low:.0%} to {high:.0%}; "
        guesses = f"{counted(figure['n'], 'guess', 'guesses')} of {counted(figure['players'], 'player')}"
        return f"{figure['value']:.0%} ({interval}{guesses})"

    passed = played.get("human_pass_rate")
    return [
        "Players who were shown one text at a time and asked whether a person or a program had written it:",
        "",
        "| figure | |",
        "|---|---|",
        f"| fool rate: its texts taken for a person's | {share(played['fool_rate'])} |",
        *([f"| human pass rate: real posts taken for a person's | {share(passed)} |"] if passed else []),
    ]
