"""report.html of a training: how good, how much is copied, and what it writes, over time.

One file without network and script that follows the reader's light or dark setting. It is written anew at each
evaluation, and loads itself anew while the training runs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any, Final

from pasquin.config import TrainSettings
from pasquin.counts import counted
from pasquin.workspace.files import write_atomically

FILE: Final = "report.html"
REFRESH_SECONDS: Final = 15
_WIDTH: Final = 640.0
_HEIGHT: Final = 220.0
_STYLE: Final = Path(__file__).with_name("report.css")


def write_report(
    folder: Path, name: str, history: Sequence[Mapping[str, Any]], settings: TrainSettings, finished: bool
) -> None:
    """Write the page of the training called `name` into `folder`; `history` as in `history.jsonl`."""
    write_atomically(folder / FILE, render(name, history, settings, finished))


def render(name: str, history: Sequence[Mapping[str, Any]], settings: TrainSettings, finished: bool) -> str:
    """The page."""
    refresh = "" if finished else f'<meta http-equiv="refresh" content="{REFRESH_SECONDS}">\n'
    sections = [
        _section("Bits per byte", _bits(history)),
        _section("Copied", _copied(history, settings.max_copies)),
        _section("What it writes", _samples(history)),
        _section("Every evaluation", _table(history)),
        _section("Settings", _settings(settings)),
    ]
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        f"{refresh}<title>Training {escape(name)}</title>\n<style>\n{_STYLE.read_text(encoding='utf-8')}</style>\n"
        f"</head>\n<body>\n<main>\n{_heading(name, history, finished)}\n"
        + "\n".join(sections)
        + "\n</main>\n</body>\n</html>\n"
    )


def _heading(name: str, history: Sequence[Mapping[str, Any]], finished: bool) -> str:
    first, last = history[0], history[-1]
    best = min(history, key=lambda entry: float(entry["validation"]))
    state = "Finished" if finished else "Training; this page loads itself anew"
    tiles = [
        (f"{best['validation']:.3f}", f"bits per byte at best (before: {first['validation']:.3f})"),
        (f"{last['step']:,}", "steps"),
        (f"{last['tokens']:,}", "tokens read"),
        (f"{last['seconds'] / 60:.1f}", "minutes"),
    ]
    cells = "".join(f"<li><strong>{escape(value)}</strong> {escape(label)}</li>" for value, label in tiles)
    return f'<header><p class="kind">{state}</p><h1>{escape(name)}</h1><ul class="tiles">{cells}</ul></header>'


def _section(title: str, body: str) -> str:
    return f"<section><h2>{escape(title)}</h2>{body}</section>"


def _bits(history: Sequence[Mapping[str, Any]]) -> str:
    held_out = [(entry["step"], float(entry["validation"])) for entry in history]
    training = [(entry["step"], float(entry["train"])) for entry in history if entry.get("train") is not None]
    lines = [("one", held_out), ("two", training)]
    legend = (
        '<ul class="legend"><li><span class="key one"></span>held-out posts</li>'
        '<li><span class="key two"></span>posts it learns from</li></ul>'
    )
    note = '<p class="note">What a post costs the model, divided by its length. Lower is better.</p>'
    return legend + _plot("Bits per byte over steps", lines, 3) + note


def _copied(history: Sequence[Mapping[str, Any]], most: float) -> str:
    points = [(entry["step"], 100 * float(entry["copied"])) for entry in history if entry.get("copied") is not None]
    if not points:
        return '<p class="note">Looked at with the first evaluation.</p>'
    note = (
        f'<p class="note">Per cent of the texts it wrote that copy a training post, whole or nearly. Above {most:.0%} '
        "twice running, training stops.</p>"
    )
    return _plot("Per cent copied over steps", [("one", points)], 0, lowest=0.0, highest=max(100 * most, 1.0)) + note


def _plot(
    title: str,
    lines: Sequence[tuple[str, Sequence[tuple[int, float]]]],
    digits: int,
    lowest: float | None = None,
    highest: float | None = None,
) -> str:
    """Lines over steps, labels in HTML so that they keep their size on a phone."""
    values = [value for _, points in lines for _, value in points]
    low = min(values) if lowest is None else min(lowest, *values)
    high = max(values) if highest is None else max(highest, *values)
    span, steps = (high - low) or 1.0, max([step for _, points in lines for step, _ in points] + [1])
    shapes = []
    for colour, points in lines:
        places = [(_WIDTH * step / steps, _HEIGHT * (1 - (value - low) / span)) for step, value in points]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        shapes.append(f'<polyline class="{colour}" points="{path}"/>')
        for (x, y), (step, value) in zip(places, points, strict=True):
            shapes.append(
                f'<circle class="{colour}" cx="{x:.1f}" cy="{y:.1f}" r="4"><title>step {step:,}: {value:.{digits}f}'
                "</title></circle>"
            )
    return (
        f'<figure><div class="scale"><span>{high:.{digits}f}</span><span>{low:.{digits}f}</span></div>'
        f'<svg viewBox="-6 -6 {_WIDTH + 12:.0f} {_HEIGHT + 12:.0f}" role="img" aria-label="{escape(title)}">'
        f'<line x1="0" y1="{_HEIGHT:.0f}" x2="{_WIDTH:.0f}" y2="{_HEIGHT:.0f}"/>{"".join(shapes)}</svg>'
        f"<figcaption><span>0</span><span>{counted(steps, 'step')}</span></figcaption></figure>"
    )


def _samples(history: Sequence[Mapping[str, Any]]) -> str:
    shown = [entry for entry in reversed(history) if entry.get("samples")]
    if not shown:
        return '<p class="note">Nothing yet: it writes at each evaluation.</p>'
    blocks = []
    for number, entry in enumerate(shown):
        texts = "".join(f"<blockquote>{escape(text) or '<em>nothing</em>'}</blockquote>" for text in entry["samples"])
        summary = f"step {entry['step']:,}, {entry['validation']:.3f} bits per byte"
        blocks.append(f"<details{' open' if number == 0 else ''}><summary>{summary}</summary>{texts}</details>")
    return "".join(blocks)


def _table(history: Sequence[Mapping[str, Any]]) -> str:
    rows = []
    for entry in history:
        train = f"{entry['train']:.3f}" if entry.get("train") is not None else ""
        copied = f"{entry['copied']:.0%}" if entry.get("copied") is not None else ""
        cells = (
            f"{entry['step']:,}", f"{entry['seconds'] / 60:.1f}", f"{entry['validation']:.3f}", train, copied,
            f"{entry['learning_rate']:.1e}" if entry["step"] else "",
        )  # fmt: skip
        rows.append("<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
    heads = ("step", "minutes", "held out", "training", "copied", "learning rate")
    head = "".join(f'<th scope="col">{word}</th>' for word in heads)
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>'


def _settings(settings: TrainSettings) -> str:
    rows = "".join(
        f"<tr><th scope='row'>{key}</th><td>{escape(str(value))}</td></tr>"
        for key, value in settings.model_dump().items()
        if value is not None
    )
    return f"<table><tbody>{rows}</tbody></table>"
