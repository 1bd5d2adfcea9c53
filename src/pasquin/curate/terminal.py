"""Deciding in a terminal, over ssh for example: one candidate at a time, one key a decision."""

from __future__ import annotations

import secrets
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from rich.console import Console, Group
from rich.panel import Panel
from rich.text import Text

from pasquin.curate.cards import Card, Filters
from pasquin.curate.curators import Curator
from pasquin.curate.desk import Desk
from pasquin.curate.ledger import Entry, Verdict
from pasquin.errors import ResourceError
from pasquin.lengths import length_for
from pasquin.texts import normalise

KEYS: Final = "[a] accept  [e] edit  [r] reject  [s] skip  [u] undo  [q] quit"
_DECISIONS: Final[dict[str, Verdict]] = {"a": "accept", "r": "reject", "x": "reject", "s": "skip"}
_QUIT: Final = {"q", "\x03", "\x04", ""}


def decide(
    desk: Desk,
    curator: Curator,
    *,
    console: Console | None = None,
    read_key: Callable[[], str] | None = None,
    read_line: Callable[[str], str] | None = None,
) -> dict[str, Any]:
    """Show candidates best first until all are decided or somebody quits; returns `{decided, kept, open}`.

    `read_key` answers with one key (empty at the end of input), `read_line` with an edited text, given the old one.
    Each decision is on the disk before the next candidate comes. Raises ResourceError where there is no terminal.
    """
    console = console or Console(highlight=False)
    session = _Session(desk, curator, console, read_line or _read_line)
    with _keys(read_key) as key_of:
        while (card := session.next_card()) is not None:
            session.show(card)
            if not session.take(card, key_of):
                break
        else:
            console.print("Everything is decided.")
    return {"decided": session.decided, "kept": session.kept, "open": desk.totals(curator.id).open}


class _Session:
    def __init__(self, desk: Desk, curator: Curator, console: Console, read_line: Callable[[str], str]) -> None:
        self.desk, self.curator, self.console, self.read_line = desk, curator, console, read_line
        self.decided = self.kept = 0
        self._again: Card | None = None

    def next_card(self) -> Card | None:
        """The candidate to look at: the one whose decision was just undone, else the best that is open."""
        card, self._again = self._again, None
        if card is not None:
            return card
        found = self.desk.cards(self.curator.id, Filters(), 1)
        return found[0] if found else None

    def show(self, card: Card) -> None:
        """Draw a candidate, its certificate, and the keys."""
        tally, totals = self.desk.tally(self.curator.id), self.desk.totals(self.curator.id)
        pace = f" · {tally.minutes_per_keeper:.1f} min a keeper" if tally.minutes_per_keeper is not None else ""
        done = f"{tally.decided:,} decided · {tally.kept:,} kept{pace} · {totals.open:,} to go"
        lengths = "  ".join(
            f"{each.target} {each.length}/{each.limit}"
            for each in (length_for(name, card.text) for name in self.desk.settings.networks)
        )
        who = f"in the manner of {card.account}" if card.account else card.model
        self.console.clear()
        self.console.print(Text(done, style="dim"))
        self.console.print(Panel(Text(_visible(card.text), style="bold"), title=Text(_visible(who)), padding=(1, 2)))
        self.console.print(Text(lengths, style="dim"))
        self.console.print(self._certificate(card))
        self.console.print(Text(KEYS))

    def _certificate(self, card: Card) -> Group:
        nearest = self.desk.nearest(card)
        if nearest is None:
            return Group(Text("No real post comes near it.", style="dim"))
        text = Text(nearest.text)
        run = card.shared_run(nearest)
        if run is not None:
            text.stylize("reverse", run.post.begin, run.post.end)
        head = f"Nearest real post ({card.similarity:.0%} alike), by {nearest.author}:"
        return Group(Text(_visible(head), style="dim"), Text(_visible(text.plain), spans=text.spans))

    def take(self, card: Card, key_of: Callable[[], str]) -> bool:
        """Wait for a key that means something, and do it; False when that is to quit."""
        began = time.monotonic()
        while True:
            key = key_of().lower()
            if key in _QUIT:
                return False
            if key == "u":
                if self._undo():
                    return True
                self.console.print("There is nothing to undo.")
            elif key == "e":
                text = normalise(self.read_line(card.text))
                if text:
                    changed = text != card.text
                    self._record(card, "edit" if changed else "accept", began, text if changed else None)
                    return True
                self.console.print("An empty text cannot be published; the candidate stays as it was.")
            elif key in _DECISIONS:
                self._record(card, _DECISIONS[key], began)
                return True

    def _record(self, card: Card, decision: Verdict, began: float, text: str | None = None) -> None:
        seconds = time.monotonic() - began
        key = f"terminal-{secrets.token_hex(16)}"
        entry = Entry(key=key, candidate=card.id, decision=decision, text=text, seconds=seconds, via="terminal")
        if self.desk.record(self.curator.id, [entry]).result() == ["stored"]:
            self.decided += decision != "skip"
            self.kept += decision in ("accept", "edit")

    def _undo(self) -> bool:
        past = self.desk.history(self.curator.id, None, 1)
        if not past:
            return False
        mark, card = past[0]
        key = f"terminal-{secrets.token_hex(16)}"
        entry = Entry(key=key, candidate=card.id, decision="undo", undoes=mark.key, via="terminal")
        self.desk.record(self.curator.id, [entry]).result()
        self.decided -= mark.decision != "skip"
        self.kept -= mark.decision in ("accept", "edit")
        self._again = card
        return True


def _visible(text: str) -> str:
    """A text without what would command the terminal."""
    return "".join(letter if letter.isprintable() or letter == "\n" else "�" for letter in text)


def _read_line(text: str) -> str:
    """Let the person change `text` in place; line breaks are written as ⏎ meanwhile."""
    import readline

    readline.set_startup_hook(lambda: readline.insert_text(text.replace("\n", "⏎")))
    try:
        return input("> ").replace("⏎", "\n")
    except EOFError:
        return ""
    finally:
        readline.set_startup_hook(None)


@contextmanager
def _keys(read_key: Callable[[], str] | None) -> Iterator[Callable[[], str]]:
    if read_key is not None:
        yield read_key
        return
    if not sys.stdin.isatty():
        raise ResourceError("There is no terminal to decide in. Run `pasquin curate --tui` in one, or use the page.")
    import termios
    import tty

    def key() -> str:
        before = termios.tcgetattr(sys.stdin)
        try:
            tty.setraw(sys.stdin)
            return sys.stdin.read(1)
        finally:
            termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)

    yield key
