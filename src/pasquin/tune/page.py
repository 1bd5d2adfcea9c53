"""The page of a tuning: the trade-off as a plot, every setting as a row."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

from pasquin.workspace.files import write_atomically

_STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem; }
figure { margin: 1.5rem 0; background: #fff; color: #222; border-radius: .5rem; padding: .5rem; }
figure svg { width: 100%; min-width: 38rem; height: auto; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .5rem; text-align: right; border-bottom: 1px solid #8884; white-space: nowrap; }
th:last-child, td:last-child { text-align: left; white-space: normal; min-width: 16rem; }
tr.best { background: #3a86ff26; font-weight: 600; }
code { overflow-wrap: anywhere; }
"""
_FIGURES = ("score", "n-grams", "likelihood", "unknown", "varied", "kept", "copied")
_COLUMNS = ("no.", "T", "top-k", "top-p", "min-p", *_FIGURES, "one of them")


def write_page(path: Path, result: Mapping[str, Any]) -> None:
    """Write the result of a tuning as one HTML page that needs nothing else."""
    best = result["recommended"]
    words = " ".join(f"--{name.replace('_', '-')} {value}" for name, value in (best or {}).items())
    told = (
        f"<p>Recommended: <code>{escape(words)}</code>{' (applied)' if result['applied'] else ''}</p>"
        if best
        else "<p>No setting can be recommended: too few candidates, or too many copies.</p>"
    )
    rows = "".join(_row(number, row, best) for number, row in enumerate(result["settings"], 1))
    head = "".join(f'<th scope="col">{name}</th>' for name in _COLUMNS)
    human = result["human"]
    write_atomically(
        path,
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Tuning of {escape(result["model"])}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{_STYLE}</style><h1>Tuning of {escape(result['model'])}</h1>{told}"
        f"<p>{result['tried']} of {result['of']} settings. Left and down is better: programs guess worse, and words "
        f"are those of the posts (held-out posts: {human['unknown_words']:.1%} unknown words, "
        f"{_share(human['distinct_2'])} different pairs of words).</p>"
        f'<figure class="scroll">{_plot(result)}</figure>'
        f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'
        "<p>n-grams, likelihood: how often a program picks the model’s text from a pair (AUC, 0.5 is chance). "
        "unknown: words that no training post has. "
        "varied: different pairs of words over all. kept: candidates over completions. "
        "copied: of what was compared with all posts. score: their product, each beside the posts’ own.</p></html>\n",
    )


def _is_best(row: Mapping[str, Any], best: Mapping[str, Any] | None) -> bool:
    return best is not None and all(row[name] == value for name, value in best.items())


def _row(number: int, row: Mapping[str, Any], best: Mapping[str, Any] | None) -> str:
    cells = [number, row["temperature"], row["top_k"], row["top_p"], row["min_p"]]
    cells += [_figure(row[name]) for name in ("score", "detector_auc", "likelihood_auc")]
    cells += [_share(row[name]) for name in ("unknown_words", "distinct_2", "kept", "copied")]
    body = "".join(f"<td>{cell}</td>" for cell in cells) + f"<td>{escape(row['example'])}</td>"
    return f'<tr class="best">{body}</tr>' if _is_best(row, best) else f"<tr>{body}</tr>"


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.1%}"


def _plot(result: Mapping[str, Any]) -> str:
    """Every setting as a dot with its number in the table; a legend of a dozen settings would not fit."""
    import pygal
    from pygal.style import CleanStyle

    # Labels stand off their dots by the size of the values' letters, which nobody sees here.
    chart = pygal.XY(
        stroke=False,
        x_title="told apart by n-grams and likelihood (mean AUC)",
        y_title="unknown words, per cent",
        style=CleanStyle(
            font_family="system-ui, sans-serif",
            value_font_size=8,
            value_label_font_size=13,
            colors=("#5a6b7b", "#d6336c"),
        ),
        width=900,
        height=460,
        legend_at_bottom=True,
        print_labels=True,
        dots_size=6,
        js=[],
        disable_xml_declaration=True,
    )
    best = result["recommended"]
    dots: dict[bool, list[dict[str, Any]]] = {False: [], True: []}
    for number, row in enumerate(result["settings"], 1):
        areas = [area for area in (row["detector_auc"], row["likelihood_auc"]) if area is not None]
        if areas:
            place = (round(sum(areas) / len(areas), 3), round(100 * row["unknown_words"], 2))
            dots[_is_best(row, best)].append({"value": place, "label": str(number)})
    chart.add("tried (numbers as in the table)", dots[False])
    if best is not None:
        chart.add("recommended", dots[True])
    drawn: str = chart.render(is_unicode=True)
    return drawn
