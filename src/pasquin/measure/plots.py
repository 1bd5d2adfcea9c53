"""Plots of the report: SVG without text, its labels in HTML around it so that they keep their size on a phone.

Positions are attributes, never styles, so that the same markup passes the server's content security policy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

Figure = Mapping[str, Any]
Point = tuple[float, float]


def percent(value: float | None) -> str:
    """0.4137 as "41%"; small and large shares keep a digit."""
    if value is None:
        return "–"
    share = 100 * value
    return f"{share:.0f}%" if 1 <= share <= 99 or share in (0, 100) else f"{share:.1f}%"


def number(value: float | None) -> str:
    """0.4137 as "0.41", with a true minus."""
    return "–" if value is None else f"{value:.2f}".replace("-", "−")


def interval_text(figure: Figure | None, *, share: bool = True) -> str:
    """A value with its interval: "41% (36–46%)"."""
    if figure is None:
        return "–"
    show = percent if share else number
    if figure["low"] is None:
        return show(figure["value"])
    low, high = show(figure["low"]), show(figure["high"])
    return (
        f"{show(figure['value'])} ({low.removesuffix('%')}–{high})"
        if share
        else (f"{show(figure['value'])} ({low} to {high})")
    )


def intervals(
    rows: Sequence[tuple[str, Sequence[tuple[str, Figure | None]]]],
    ends: tuple[float, float],
    marks: Sequence[str],
    *,
    middle: float | None = None,
    share: bool = True,
) -> str:
    """Dots with their intervals, a row a group, a line a series: `rows` are (label, [(colour class, figure)]).

    `ends` are the scale's, `marks` its evenly spaced labels, `middle` a line of reference.
    """
    lines = []
    for label, series in rows:
        words = "".join(
            f'<span class="{colour}">{escape(interval_text(figure, share=share))}</span>' for colour, figure in series
        )
        count = "".join(f"<span>{figure['n'] if figure else 0:,}</span>" for _, figure in series)
        lines.append(
            f'<tr><th scope="row"><bdi>{escape(label)}</bdi></th>'
            f'<td class="plot">{_whiskers(series, ends, middle)}</td>'
            f'<td class="value">{words}</td><td class="n">{count}</td></tr>'
        )
    axis = "".join(f"<span>{escape(mark)}</span>" for mark in marks)
    head = (
        '<tr class="head"><td></td><td class="plot"><div class="axis" aria-hidden="true">'
        f'{axis}</div></td><td class="value">95% interval</td><td class="n">n</td></tr>'
    )
    return f'<table class="intervals"><thead>{head}</thead><tbody>{"".join(lines)}</tbody></table>'


def _whiskers(series: Sequence[tuple[str, Figure | None]], ends: tuple[float, float], middle: float | None) -> str:
    height = 10 * len(series)
    parts = [_line("reference", _at(middle, ends), _at(middle, ends), 0, height)] if middle is not None else []
    for place, (colour, figure) in enumerate(series):
        if figure is None:
            continue
        y = 10 * place + 5
        if figure["low"] is not None:
            parts.append(_line(f"range {colour}", _at(figure["low"], ends), _at(figure["high"], ends), y, y))
        parts.append(_line(f"dot {colour}", _at(figure["value"], ends), _at(figure["value"], ends), y, y))
    return (
        f'<svg class="rows{len(series)}" viewBox="0 0 100 {height}" preserveAspectRatio="none" aria-hidden="true">'
        f"{''.join(parts)}</svg>"
    )


def _at(value: float, ends: tuple[float, float]) -> float:
    low, high = ends
    return min(max(100 * (value - low) / (high - low), 0.0), 100.0)


def _line(kind: str, x1: float, x2: float, y1: float, y2: float) -> str:
    longer = x2 + 0.01 if (x1, y1) == (x2, y2) else x2
    return f'<line class="{kind}" x1="{x1:.2f}" x2="{longer:.2f}" y1="{y1:g}" y2="{y2:g}"/>'


def bands(
    label: str,
    layers: Sequence[tuple[str, Sequence[tuple[float, float, float]]]],
    line: Sequence[Point],
    x_marks: Sequence[str],
    y_marks: Sequence[str],
) -> str:
    """A curve in its bands: `layers` are (class, [(x, low, high)]), `line` [(x, y)], x and y between 0 and 1.

    `x_marks` and `y_marks` are evenly spaced labels, from the left and from the top.
    """
    areas = []
    for kind, edges in layers:
        path = [f"{100 * x:.2f} {100 - 100 * high:.2f}" for x, _, high in edges]
        path += [f"{100 * x:.2f} {100 - 100 * low:.2f}" for x, low, _ in reversed(edges)]
        areas.append(f'<path class="{kind}" d="M{"L".join(path)}Z"/>')
    curve = "L".join(f"{100 * x:.2f} {100 - 100 * y:.2f}" for x, y in line)
    return _framed(label, f'{"".join(areas)}<path class="curve" d="M{curve}"/>', x_marks, y_marks)


def columns(label: str, series: Sequence[tuple[str, Sequence[int]]], x_marks: Sequence[str]) -> str:
    """Histograms beside each other: `series` are (colour class, counts), each drawn as shares of its own total."""
    shares = [(colour, [count / max(sum(counts), 1) for count in counts]) for colour, counts in series]
    top = max((max(values, default=0.0) for _, values in shares), default=0.0) or 1.0
    width = 100 / max(len(values) for _, values in shares)
    bar = width * 0.84 / len(shares)
    bars = "".join(
        f'<rect class="{colour}" x="{width * (at + 0.08) + bar * place:.2f}" width="{bar:.2f}" '
        f'y="{100 - 100 * value / top:.2f}" height="{100 * value / top:.2f}"/>'
        for place, (colour, values) in enumerate(shares)
        for at, value in enumerate(values)
    )
    return _framed(label, bars, x_marks, (percent(top), percent(top / 2), "0"))


def _framed(label: str, drawing: str, x_marks: Sequence[str], y_marks: Sequence[str]) -> str:
    left = "".join(f"<span>{escape(mark)}</span>" for mark in y_marks)
    below = "".join(f"<span>{escape(mark)}</span>" for mark in x_marks)
    return (
        f'<figure role="img" aria-label="{escape(label)}"><div class="scale">{left}</div>'
        f'<svg viewBox="0 0 100 100" preserveAspectRatio="none" aria-hidden="true">{drawing}</svg>'
        f'<div class="ticks">{below}</div></figure>'
    )
