"""report.html: what became of the posts, in one file that needs no network and no script.

Plots are bars in SVG with their labels in HTML around them, so that text keeps its size on a phone; colours follow the
reader's light or dark setting. The same corpus gives the same page.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from html import escape
from itertools import accumulate
from pathlib import Path
from typing import Any, Final

from pasquin.counts import counted
from pasquin.prepare.clean import REASONS

ACCOUNTS_SHOWN: Final = 20
_NAME_SHOWN: Final = 32
_BINS: Final = 40
_SPLIT_WORDS: Final = {
    "train": "learned from",
    "validation": "measures the training",
    "test": "kept for the game, never trained on",
}
_EMOJI: Final = "emoji"
_CONTENTS: Final = {
    _EMOJI: ("", r"\p{Emoji_Presentation}|\p{Emoji}\ufe0f"),
    "a #hashtag": ("#", r"(?<!\w)#\w"),
    "an @mention": ("@", r"(?<!\w)@\w"),
    "a line break": ("\n", ""),
    "a question mark": ("?", ""),
    "a digit": ("", r"\d"),
}
"""What may be in a text: a character that stands in every such text, and the pattern that then decides."""
_STYLE: Final = Path(__file__).with_name("report.css")


@dataclass
class Summary:
    """What the report says of the texts: how many have which length, are of which month (None: they don't say), and
    have what in them. Summaries of parts add up.
    """

    lengths: Counter[int] = field(default_factory=Counter)
    months: Counter[tuple[int, int] | None] = field(default_factory=Counter)
    contents: Counter[str] = field(default_factory=Counter)

    def add(self, other: Summary) -> None:
        """Count those of `other`, too."""
        self.lengths += other.lengths
        self.months += other.months
        self.contents += other.contents


def summarised(posts: Iterable[Mapping[str, Any]]) -> Summary:
    """The summary of posts (`text`, `created_at`)."""
    import regex

    texts, times = [], []
    for post in posts:
        texts.append(post["text"])
        times.append(post["created_at"])
    summary = Summary(Counter(map(len, texts)), Counter((time.year, time.month) if time else None for time in times))
    for label, (sign, pattern) in _CONTENTS.items():
        having = [text for text in texts if sign in text] if sign else texts
        if label is _EMOJI:
            having = [text for text in having if not text.isascii()]
        found = regex.compile(pattern).search
        summary.contents[label] = sum(found(text) is not None for text in having) if pattern else len(having)
    return summary


def render(name: str, manifest: Mapping[str, Any], summary: Summary) -> str:
    """The page for the corpus `name`; `manifest` needs its counts, dropped, splits, accounts, settings and verdict."""
    counts, dropped = manifest["counts"], manifest["dropped"]
    sections = [
        _section("Kept and dropped", _kept_and_dropped(counts["collected"], counts["kept"], dropped), "wide"),
        _section("Splits", _splits(manifest["splits"]), "wide"),
        _section("Length of a post, in characters", _lengths(summary.lengths)),
        _section("Posts over time", _over_time(summary.months)),
        _section("Posts per account", _accounts(manifest["accounts"]), "tall"),
        _section("What is in them", _contents(summary.contents, counts["kept"])),
        _section("Settings", _settings(manifest["settings"])),
    ]
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        f"<title>Corpus {escape(name)}</title>\n<style>\n{_STYLE.read_text(encoding='utf-8')}</style>\n</head>\n"
        f"<body>\n<main>\n{_heading(name, manifest)}\n" + "\n".join(sections) + "\n</main>\n</body>\n</html>\n"
    )


def _heading(name: str, manifest: Mapping[str, Any]) -> str:
    counts = manifest["counts"]
    tiles = [
        counted(counts["kept"], "post").partition(" ")[::2],
        counted(len(manifest["accounts"]), "account").partition(" ")[::2],
        (f"{counts['bytes'] / 1e6:,.2f} MB", "of text"),
        (f"{manifest['splits']['test']:,}", "for the game"),
    ]
    cells = "".join(f"<li><strong>{escape(value)}</strong> {escape(label)}</li>" for value, label in tiles)
    return (
        f'<header><p class="kind">Corpus</p><h1>{escape(name)}</h1><p>{escape(manifest["verdict"])}</p>'
        f'<ul class="tiles">{cells}</ul></header>'
    )


def _section(title: str, body: str, shape: str = "") -> str:
    return f'<section class="{shape}"><h2>{escape(title)}</h2>{body}</section>'


def _kept_and_dropped(collected: int, kept: int, dropped: Mapping[str, int]) -> str:
    lead = f"<p>Of {collected:,} collected posts, {kept:,} were kept ({_percent(kept, collected)}).</p>"
    parts = [("kept", kept, "one"), ("dropped", collected - kept, "none")]
    if not dropped:
        return lead + _stack(parts)
    rows = sorted(((REASONS[reason], count) for reason, count in dropped.items()), key=lambda row: -row[1])
    return lead + _stack(parts) + "<h3>Why posts were dropped</h3>" + _bars(rows, collected)


def _splits(splits: Mapping[str, int]) -> str:
    total = sum(splits.values())
    parts = [
        (split, count, colour) for (split, count), colour in zip(splits.items(), ("one", "two", "three"), strict=True)
    ]
    words = "".join(
        f'<li><span class="key {colour}"></span><strong>{split}</strong> {count:,} ({_percent(count, total)}): '
        f"{escape(_SPLIT_WORDS[split])}</li>"
        for split, count, colour in parts
    )
    return _stack(parts) + f'<ul class="legend">{words}</ul><p class="note">Near copies are never in two splits.</p>'


def _lengths(lengths: Counter[int]) -> str:
    width = next(size for size in _nice_steps() if size * _BINS > max(lengths))
    bins: Counter[int] = Counter()
    for length, count in lengths.items():
        bins[length // width] += count
    last = max(bins)
    values = [bins[number] for number in range(last + 1)]
    titles = [f"{number * width}–{(number + 1) * width - 1} characters: {bins[number]:,}" for number in range(last + 1)]
    step = next(size for size in _nice_steps() if size >= width * (last + 1) / 6)
    ticks = [(at / (width * (last + 1)), f"{at:,}") for at in range(0, width * (last + 1) + 1, step)]
    return _columns("Number of posts by length", values, titles, ticks) + (
        f'<p class="note">Median {_median(lengths):,.0f}, longest {max(lengths):,}.</p>'
    )


def _median(counts: Counter[int]) -> float:
    total = counts.total()
    ordered = sorted(counts)
    upto = list(accumulate(counts[value] for value in ordered))
    low, high = (ordered[bisect_right(upto, place)] for place in ((total - 1) // 2, total // 2))
    return (low + high) / 2


def _over_time(times: Counter[tuple[int, int] | None]) -> str:
    undated = times[None]
    months_counted = {month: count for month, count in times.items() if month is not None}
    told = counted(undated, "post doesn’t say when it was", "posts don’t say when they were")
    note = f'<p class="note">{told} written.</p>' if undated else ""
    if not months_counted:
        return note
    first, last = min(months_counted), max(months_counted)
    months = (last[0] - first[0]) * 12 + last[1] - first[1] + 1
    per = 1 if months <= 48 else 3 if months <= 240 else 12  # months a column stands for
    start = date(first[0], (first[1] - 1) // per * per + 1, 1)
    columns: Counter[int] = Counter()
    for (year, month), count in months_counted.items():
        columns[((year - start.year) * 12 + month - start.month) // per] += count
    number = max(columns) + 1
    names = [_month(start, index * per) for index in range(number)]
    span = {1: "", 3: " and two months more", 12: " and the year from it"}[per]
    titles = [f"{name}{span}: {columns[index]:,}" for index, name in enumerate(names)]
    return _columns("Number of posts over time", [columns[i] for i in range(number)], titles, _ticks(names)) + note


def _month(start: date, months: int) -> str:
    total = start.month - 1 + months
    return f"{start.year + total // 12}-{total % 12 + 1:02d}"


def _ticks(names: Sequence[str]) -> list[tuple[float, str]]:
    """At most about six labels: years where they begin, months in a shorter time."""
    starts = [index for index, name in enumerate(names) if name.endswith("-01")]
    if len(starts) >= 3:
        chosen = starts[:: -(-len(starts) // 6)]
        return [(index / len(names), names[index][:4]) for index in chosen]
    chosen = list(range(0, len(names), -(-len(names) // 5)))
    return [(index / len(names), names[index]) for index in chosen]


def _accounts(accounts: Sequence[Mapping[str, Any]]) -> str:
    rows = [(_name(entry), int(entry["posts"])) for entry in accounts[:ACCOUNTS_SHOWN]]
    rest = accounts[ACCOUNTS_SHOWN:]
    total = sum(int(entry["posts"]) for entry in accounts)
    note = ""
    if rest:
        told = counted(sum(int(entry["posts"]) for entry in rest), "post in all", "posts in all")
        note = f'<p class="note">{counted(len(rest), "more account has", "more accounts have")} {told}.</p>'
    return _bars(rows, total) + note


def _name(entry: Mapping[str, Any]) -> str:
    name = str(entry["handle"] or entry["account"])
    return name if len(name) <= _NAME_SHOWN else name[: _NAME_SHOWN - 1] + "…"


def _contents(contents: Counter[str], posts: int) -> str:
    return _bars([(label, contents[label]) for label in _CONTENTS], posts, whole=True)


def _settings(settings: Mapping[str, Any]) -> str:
    items = "".join(
        f"<div><dt>{escape(key)}</dt><dd>{escape(_setting(value))}</dd></div>" for key, value in settings.items()
    )
    return f"<dl>{items}</dl>"


def _setting(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value)) or "all"
    return "none" if value is None else f"{value}"


def _bars(rows: Sequence[tuple[str, int]], total: int, *, whole: bool = False) -> str:
    """Horizontal bars with label and count, as long as the largest, or as the whole."""
    longest = max(total if whole else max((count for _, count in rows), default=0), 1)
    lines = "".join(
        f'<tr><th scope="row"><bdi>{escape(label)}</bdi></th>'
        f'<td class="bar">{_bar(count / longest)}</td>'
        f"<td>{count:,}</td><td>{_percent(count, total)}</td></tr>"
        for label, count in rows
    )
    return f'<table class="bars">{lines}</table>'


def _bar(share: float) -> str:
    return f'<span style="width:{100 * share:.2f}%"></span>' if share else ""


def _stack(parts: Sequence[tuple[str, int, str]]) -> str:
    """One bar cut into parts; narrow parts keep a sliver one can see."""
    total = max(sum(count for _, count, _ in parts), 1)
    spans = "".join(
        f'<span class="{colour}" style="flex:{count / total:.5f}" title="{escape(label)}: {count:,}"></span>'
        for label, count, colour in parts
        if count
    )
    words = ", ".join(f"{label} {count:,}" for label, count, _ in parts)
    return f'<div class="stack" role="img" aria-label="{escape(words)}">{spans}</div>'


def _columns(label: str, values: Sequence[int], titles: Sequence[str], ticks: Sequence[tuple[float, str]]) -> str:
    """Vertical bars over an axis; `ticks` are (position between 0 and 1, label)."""
    top = next(size for size in _nice_tops() if size >= max(values))
    rects = "".join(
        f'<rect x="{index + 0.06:.2f}" width="0.88" y="{100 - 100 * value / top:.2f}" height="{100 * value / top:.2f}">'
        f"<title>{escape(title)}</title></rect>"
        for index, (value, title) in enumerate(zip(values, titles, strict=True))
    )
    below = "".join(f'<span style="left:{100 * at:.2f}%">{escape(text)}</span>' for at, text in ticks if at < 0.9)
    return (
        f'<figure role="img" aria-label="{escape(label)}, at most {max(values):,}">'
        f'<div class="scale"><span>{top:,}</span><span>{top // 2:,}</span><span>0</span></div>'
        f'<svg viewBox="0 0 {len(values)} 100" preserveAspectRatio="none" aria-hidden="true">{rects}</svg>'
        f'<div class="ticks">{below}</div></figure>'
    )


def _nice_steps() -> list[int]:
    """1, 2, 4, 5, 10, 20, …: sizes that make readable axes."""
    return [digit * 10**power for power in range(12) for digit in (1, 2, 4, 5)]


def _nice_tops() -> list[int]:
    """2, 4, 6, 8, 10, 20, 30, …: even sizes for the top of an axis with a line in the middle."""
    return [2, 4, 6, 8, *(digit * 10**power for power in range(12) for digit in (10, 16, 20, 30, 40, 50, 60, 80))]


def _percent(part: int, whole: int) -> str:
    share = 100 * part / whole if whole else 0.0
    return (
        f"{share:.0f}%"
        if share >= 10 or share == 0
        else f"{share:.1f}%"
        if share >= 0.1
        else "<0.1%".replace("<", "&lt;")
    )
