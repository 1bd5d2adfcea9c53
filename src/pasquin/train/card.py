"""What a trained model says of itself: its card (README.md), its history and the plot of it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pasquin.model_card import CARD, PLOT, model_card
from pasquin.workspace.files import write_atomically

HISTORY = "history.jsonl"


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


def write_card(
    folder: Path, manifest: Mapping[str, Any], corpus: Mapping[str, Any], history: Sequence[Mapping[str, Any]]
) -> None:
    """Write the model card (`model_card`) into `folder`."""
    write_atomically(folder / CARD, model_card(manifest, corpus, history))
