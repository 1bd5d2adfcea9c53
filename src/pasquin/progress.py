"""How long work tells people where it stands: a label, a bar, a rate and an estimate, on stderr.

Stages take a `Progress` and never print. `Silent` is what scripts and tests use; `Terminal` draws bars with rich when
stderr is a terminal and prints a plain line every few seconds when it is not (a log, CI).
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID


_TELLING = 0.05
"""Share of the work from which its rate tells how long the rest takes: loading comes first, and batches end late."""


class Task(Protocol):
    """One running bar."""

    def advance(self, amount: float = 1, note: str = "") -> None:
        """Move the bar by `amount` units; `note` replaces the short text behind it when given."""

    def set_total(self, total: float) -> None:
        """Correct the total once it is known better."""


class Progress(Protocol):
    """Where a stage reports what it is doing."""

    def task(self, label: str, total: float | None, unit: str) -> AbstractContextManager[Task]:
        """Open a bar: `with progress.task("Training", 300, "steps") as task: task.advance()`."""

    def say(self, text: str) -> None:
        """Print one line of talk (to stderr, never stdout)."""


class _SilentTask:
    def advance(self, amount: float = 1, note: str = "") -> None:
        return None

    def set_total(self, total: float) -> None:
        return None


class Silent:
    """Reports nothing."""

    @contextmanager
    def task(self, label: str, total: float | None, unit: str) -> Iterator[Task]:
        """Open a bar nobody sees."""
        yield _SilentTask()

    def say(self, text: str) -> None:
        """Say nothing."""


class _LineTask:
    """Progress for logs: one line at most every `every` seconds, and one at the end."""

    def __init__(self, label: str, total: float | None, unit: str, every: float) -> None:
        self.label, self.total, self.unit, self.every = label, total, unit, every
        self.done, self.note = 0.0, ""
        self.began = self.printed = time.monotonic()

    def advance(self, amount: float = 1, note: str = "") -> None:
        self.done += amount
        self.note = note or self.note
        if time.monotonic() - self.printed >= self.every:
            self.show()

    def set_total(self, total: float) -> None:
        self.total = total

    def show(self) -> None:
        self.printed = now = time.monotonic()
        elapsed = max(now - self.began, 1e-9)
        rate = self.done / elapsed
        share = f" of {self.total:,.0f}" if self.total else ""
        left = ""
        if self.total and self.done >= _TELLING * self.total:
            left = f", {max(0.0, (self.total - self.done) / rate):,.0f} s left"
        note = f"  {self.note}" if self.note else ""
        print(
            f"{self.label}: {self.done:,.0f}{share} {self.unit}, {rate:,.1f}/s{left}{note}", file=sys.stderr, flush=True
        )


class Terminal:
    """Bars on a terminal, lines in a log; always on stderr."""

    def __init__(self, every: float = 10.0) -> None:
        """`every` is the seconds between two lines where stderr is not a terminal."""
        self.every = every
        self._live = None if not sys.stderr.isatty() else _rich_progress()
        self._open = 0

    @contextmanager
    def task(self, label: str, total: float | None, unit: str) -> Iterator[Task]:
        """Open a bar; it disappears from the screen when the block ends, a log keeps its last line."""
        if self._live is None:
            line = _LineTask(label, total, unit, self.every)
            try:
                yield line
            finally:
                line.show()
            return
        live = self._live
        if self._open == 0:
            live.start()
        self._open += 1
        key = live.add_task(label, total=total, unit=unit, note="")
        try:
            yield _RichTask(live, key)
        finally:
            live.refresh()
            live.stop_task(key)
            live.update(key, visible=False)
            self._open -= 1
            if self._open == 0:
                live.stop()

    def say(self, text: str) -> None:
        """Print one line above the bars."""
        if self._live is None:
            print(text, file=sys.stderr, flush=True)
        else:
            self._live.console.print(text, markup=False, highlight=False)


class _RichTask:
    def __init__(self, live: RichProgress, key: TaskID) -> None:
        self.live, self.key = live, key

    def advance(self, amount: float = 1, note: str = "") -> None:
        if note:
            self.live.update(self.key, advance=amount, note=note)
        else:
            self.live.update(self.key, advance=amount)

    def set_total(self, total: float) -> None:
        self.live.update(self.key, total=total)


def _rich_progress() -> RichProgress:
    from rich.console import Console
    from rich.progress import BarColumn, ProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.progress import Progress as RichProgress
    from rich.progress import Task as RichTask
    from rich.table import Column
    from rich.text import Text

    class Rate(ProgressColumn):
        def render(self, task: RichTask) -> Text:
            total = f"/{task.total:,.0f}" if task.total else ""
            speed = task.finished_speed or task.speed
            rate = f"  {speed:,.1f}/s" if speed else ""
            return Text(f"{task.completed:,.0f}{total} {task.fields['unit']}{rate}", style="progress.data.speed")

    console = Console(stderr=True)
    return RichProgress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=18 if console.width >= 100 else 8),
        Rate(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}", table_column=Column(ratio=1, no_wrap=True, overflow="ellipsis")),
        console=console,
        expand=True,  # so that the note takes what is left of the line, and nothing else gives way to it
        refresh_per_second=8,
    )
