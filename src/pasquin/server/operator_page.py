"""The operator's page as HTML: what is wrong first, then bots, game, machine. It renews itself."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from html import escape
from typing import TYPE_CHECKING, Any, Final

from pasquin.doctor.findings import bytes_said

if TYPE_CHECKING:
    from pasquin.server.operator import Sight

_RENEW_SECONDS: Final = 15
_SIGNS: Final = {"problem": "✗", "warning": "!", "note": "·"}
_POOL: Final = {"filled": "good", "filling": "muted"}
_CSS: Final = """
:root { --paper: #faf8f4; --card: #fff; --text: #221f1b; --muted: #6b645a; --line: #e4ded4; --bad: #a3261d;
  --odd: #8a5a00; --good: #2b6b3f; --accent: #a8471f; }
@media (prefers-color-scheme: dark) { :root { --paper: #151311; --card: #1f1c19; --text: #f0ebe3; --muted: #a79f93;
  --line: #37322c; --bad: #ff8f80; --odd: #e9b55c; --good: #7fcf97; --accent: #e08257; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--text);
  font: 15px/1.5 system-ui, "Segoe UI", Roboto, sans-serif; font-variant-numeric: tabular-nums; }
main { max-width: 72rem; margin: 0 auto; padding: 1.5rem 1rem 3rem; display: grid; gap: 1rem; }
h1 { font: 600 1.9rem/1.2 Georgia, "Times New Roman", serif; margin: 0; }
h2 { font-size: 1rem; margin: 0 0 .6rem; }
header p, .muted { color: var(--muted); margin: .2rem 0 0; }
section { background: var(--card); border: 1px solid var(--line); border-radius: .7rem; padding: 1rem 1.1rem;
  overflow-x: auto; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .35rem .9rem .35rem 0; vertical-align: top; border-top: 1px solid var(--line); }
tr:first-child th, tr:first-child td { border-top: 0; }
thead th { color: var(--muted); font-weight: 500; font-size: .85rem; white-space: nowrap; }
tbody th { font-weight: 600; }
.n { text-align: right; white-space: nowrap; }
.time { white-space: nowrap; } .why { min-width: 15rem; }
.bad { color: var(--bad); } .odd { color: var(--odd); } .good { color: var(--good); }
.tiles { display: grid; grid-template-columns: repeat(auto-fill, minmax(9.5rem, 1fr)); gap: .75rem; margin: 0; }
.tiles div { border: 1px solid var(--line); border-radius: .5rem; padding: .5rem .7rem; }
.tiles dt { color: var(--muted); font-size: .85rem; } .tiles dd { margin: 0; font-size: 1.25rem; font-weight: 600; }
ul { list-style: none; margin: 0; padding: 0; display: grid; gap: .55rem; }
li { overflow-wrap: anywhere; }
code { font: .88em ui-monospace, Menlo, Consolas, monospace; }
a { color: var(--accent); }
"""


def render(seen: Sight, findings: Sequence[dict[str, Any]], nonce: str) -> str:
    """The whole page."""
    parts = [
        f"<header><h1>Operation</h1><p>As of {_time(seen.at)}. This page renews itself.</p></header>",
        _findings(seen, findings),
        _bots(seen),
        _troubles(seen),
        _game(seen),
        _machine(seen),
    ]
    renew = f'<meta http-equiv="refresh" content="{_RENEW_SECONDS}">'
    return _page("Operation", "".join(parts), nonce, renew)


def sign_in_page(nonce: str, *, owner: bool) -> str:
    """What somebody sees who may not see more."""
    if owner:
        why = "Sign in first: <code>pasquin curate</code> prints a link that works once. Then come back here."
    else:
        why = "Only the owner of this workspace sees this page."
    return _page("Operation", f"<header><h1>Operation</h1><p>{why}</p></header>", nonce, "")


def _page(title: str, inside: str, nonce: str, head: str) -> str:
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title} · Pasquin</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">{head}'
        f'<link rel="icon" href="/favicon.svg"><style nonce="{nonce}">{_CSS}</style></head>'
        f"<body><main>{inside}</main></body></html>"
    )


def _findings(seen: Sight, findings: Sequence[dict[str, Any]]) -> str:
    wrong = [one for level in ("problem", "warning") for one in findings if one["level"] == level]
    if seen.error:
        wrong.insert(0, {"level": "problem", "about": "database", "found": seen.error, "do": ""})
    if not wrong:
        return '<section><h2>What is wrong</h2><p class="good">Nothing: doctor finds no problem.</p></section>'
    rows = "".join(
        f'<li><span class="{"bad" if one["level"] == "problem" else "odd"}">{_SIGNS[one["level"]]} '
        f"<strong>{escape(one['about'])}</strong></span> {_words(one['found'])}"
        + (f'<br><span class="muted">→ {_words(one["do"])}</span>' if one["do"] else "")
        + "</li>"
        for one in wrong
    )
    return f"<section><h2>What is wrong</h2><ul>{rows}</ul></section>"


def _words(text: str) -> str:
    """A sentence in which commands and names stand between backticks."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))


def _bots(seen: Sight) -> str:
    if not seen.bots:
        return ""
    rows = []
    for bot in seen.bots:
        state = "good" if bot.state == "active" else "odd"
        doubt, failed = bot.entries.get("unknown", 0), bot.entries.get("failed", 0)
        spent = f"${bot.spent_month:,.2f}" if bot.spent_month else "–"
        late = f' <span class="bad">{_span(bot.overdue)} late</span>' if bot.overdue > 900 else ""
        rows.append(
            [
                f"<th>{escape(bot.bot)}</th>",
                f"<td>{escape(bot.network)}</td>",
                f'<td class="{state}">{escape(bot.state)}</td>',
                f'<td class="n {"odd" if bot.low else ""}">{bot.entries.get("approved", 0)} / {bot.minimum_stock}</td>',
                f'<td class="time">{_time(bot.next_due)}{late}</td>',
                f'<td class="time">{_time(bot.last_at)}</td>',
                f'<td class="n">{bot.published_day}</td>',
                f'<td class="n {"bad" if doubt else ""}">{doubt}</td>',
                f'<td class="n {"odd" if failed else ""}">{failed}</td>',
                f'<td class="n">{spent}</td>',
            ]
        )
    head = ("Bot", "Network", "State", "Queue / least", "Next", "Last", "Today", "In doubt", "Failed", "30 days")
    return f"<section><h2>Bots</h2>{_table(head, rows, numbers={3, 6, 7, 8, 9})}</section>"


def _troubles(seen: Sight) -> str:
    rows = [
        [
            f'<td class="time">{_time(one["at"])}</td>',
            f"<th>{escape(one['bot'])}</th>",
            f'<td class="{"bad" if one["state"] == "unknown" else "odd"}">{escape(one["state"])}</td>',
            f'<td class="why">{escape(one["note"] or "")}</td>',
            f"<td><code>{escape(one['id'])}</code></td>",
        ]
        for one in seen.troubles
    ]
    rows += [
        [
            f'<td class="time">{_time(at)}</td>',
            "<th>server</th>",
            f'<td class="bad">{status}</td>',
            f"<td><code>{escape(route)}</code></td>",
            "<td></td>",
        ]
        for at, route, status in seen.failures[:10]
    ]
    if not rows:
        return '<section><h2>Errors</h2><p class="muted">None that are known.</p></section>'
    return f"<section><h2>Errors</h2>{_table(('When', 'Where', 'What', 'Why', 'Entry'), rows)}</section>"


def _game(seen: Sight) -> str:
    counts = seen.counts
    undecided = counts.get("candidates", 0) - counts.get("decided", 0)
    tiles = {
        "Requests a second": f"{seen.per_second:,.1f}",
        "Players": f"{counts.get('players', 0):,}",
        "Guesses": f"{counts.get('guesses', 0):,}",
        "Guesses, last hour": f"{counts.get('guesses_hour', 0):,}",
        "Writes that wait": f"{seen.ledger_waiting:,}",
        "Candidates undecided": f"{undecided:,}",
        "Accepted": f"{counts.get('accepted', 0):,}",
    }
    return f"<section><h2>Game and curation</h2>{_tiles(tiles.items())}</section>{_ahead(seen)}"


def _ahead(seen: Sight) -> str:
    """How far the pool of AI cards is filled ahead of the keenest player, where that is switched on."""
    if not seen.ahead:
        return ""
    rows = [
        [
            f"<th>{escape(each.corpus)}</th>",
            f'<td class="n">{each.ahead:,} / {each.wanted:,}</td>',
            f'<td class="{_POOL.get(each.state, "odd")}">{escape(each.state)}</td>',
            f'<td class="why">{_words(each.why)}</td>',
        ]
        for each in seen.ahead
    ]
    table = _table(("Corpus", "Ahead / wanted", "State", "Why"), rows, numbers={1})
    return f"<section><h2>AI cards ahead of the keenest player</h2>{table}</section>"


def _machine(seen: Sight) -> str:
    share = seen.disk_free / seen.disk_total if seen.disk_total else 0.0
    tiles = {"Disk free": f"{bytes_said(seen.disk_free)} ({share:.0%})"}
    tiles |= {name.capitalize(): bytes_said(size) for name, size in seen.sizes.items()}
    tiles["At work now"] = ", ".join(map(escape, seen.busy)) or "nobody"
    return f"<section><h2>Machine</h2>{_tiles(tiles.items())}</section>"


def _tiles(pairs: Iterable[tuple[str, str]]) -> str:
    inside = "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in pairs)
    return f'<dl class="tiles">{inside}</dl>'


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], numbers: set[int] | None = None) -> str:
    aligned = numbers or set()
    cells = "".join(f'<th scope="col"{" class=n" if at in aligned else ""}>{name}</th>' for at, name in enumerate(head))
    body = "".join(f"<tr>{''.join(row)}</tr>" for row in rows)
    return f"<table><thead><tr>{cells}</tr></thead><tbody>{body}</tbody></table>"


def _time(moment: datetime | None) -> str:
    return f"{moment.astimezone(UTC):%d %b %H:%M} UTC" if moment else "–"


def _span(seconds: float) -> str:
    return f"{seconds / 3600:,.1f} h" if seconds >= 3600 else f"{seconds / 60:,.0f} min"
