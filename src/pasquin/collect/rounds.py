"""One round over all sources: files one after the other, networks many at a time, past those that fail."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Final

from pasquin.collect.quarantine import quarantine_path
from pasquin.collect.reading import Reader
from pasquin.collect.threads import in_threads
from pasquin.collect.wanted import Wanted
from pasquin.config import CollectSettings
from pasquin.counts import counted
from pasquin.errors import InputError, Interrupted, NetworkError, UsageError
from pasquin.networks import HasNotes, HasRules, Page
from pasquin.progress import Progress, Task
from pasquin.records import Rights
from pasquin.withdrawal import withdraw
from pasquin.workspace import Workspace
from pasquin.workspace.rights import record, recorded
from pasquin.workspace.shards import open_shards

_FAILURES: Final = (InputError, NetworkError, UsageError)
"""What ends one source and not the others."""
_NAME: Final = 28
_REPEAT_SECONDS: Final = 20.0


def one_round(
    workspace: Workspace, wanted: Sequence[Wanted], rights: Rights | None, settings: CollectSettings, progress: Progress
) -> None:
    """Read every source once; what came of it, a failure too, is noted in each.

    Raises WorkspaceError and ResourceError when the workspace cannot be written, KeyboardInterrupt on Ctrl-C. What was
    deleted upstream is gone everywhere afterwards.
    """
    responsible = bool(recorded(workspace, "provided"))
    files = [one for one in wanted if one.source.reads_files]
    remote = [one for one in wanted if not one.source.reads_files]
    with workspace.lock("collect"), open_shards(workspace) as shards:
        reader = Reader(workspace, shards, rights)
        try:
            for one in files:
                _read_alone(reader, one, progress)
            if len(remote) == 1:
                with _patience(settings, progress):
                    _read_alone(reader, remote[0], progress)
            elif remote:
                with _patience(settings, progress), progress.task("Collecting", len(remote), "sources") as task:
                    board = _Board(task, progress)
                    in_threads(
                        remote,
                        lambda one: board.follow(reader, one),
                        settings.workers,
                        lambda: _stop(reader, settings),
                    )
        finally:
            _record_rules(workspace, wanted, settings)
    _say_notes(wanted, progress)
    if not responsible and recorded(workspace, "provided"):
        progress.say("You answer for the right to use what you give as a file; it is noted, see `pasquin rights`.")
    withdraw(workspace, progress)


def _read_alone(reader: Reader, one: Wanted, progress: Progress) -> None:
    """Read a source with a bar of its own."""
    shown = 0.0
    with progress.task(f"Reading {one.written}", 100, "%") as task:

        def on_page(page: Page) -> None:
            nonlocal shown
            share = 100 * page.share if page.share is not None else shown
            task.advance(share - shown, f"{counted(one.posts, 'post')}, {one.new:,} new")
            shown = share

        _read(reader, one, on_page)
        if one.error is None:
            task.advance(100 - shown, f"{counted(one.posts, 'post')}, {one.new:,} new")
    _say_quarantined(reader.workspace, one, progress)


def _read(reader: Reader, one: Wanted, on_page: Callable[[Page], None]) -> None:
    try:
        reader.read(one, on_page)
    except _FAILURES as exc:
        one.error = exc


def _say_quarantined(workspace: Workspace, one: Wanted, progress: Progress) -> None:
    if one.quarantined:
        where = quarantine_path(workspace, one.written)
        progress.say(f"{counted(one.quarantined, 'piece')} of {one.written} could not be read; see {where}.")


_MOST_NOTES: Final = 5


def _say_notes(wanted: Sequence[Wanted], progress: Progress) -> None:
    """What sources have to say about what they read."""
    for source in {id(one.source): one.source for one in wanted}.values():
        notes = source.notes() if isinstance(source, HasNotes) else ()
        for note in notes[:_MOST_NOTES]:
            progress.say(note)
        if len(notes) > _MOST_NOTES:
            progress.say(f"… and {len(notes) - _MOST_NOTES:,} more of this kind.")


class _Board:
    """What is said while many sources are read: one bar, the few that are being read, and each that fails."""

    def __init__(self, task: Task, progress: Progress) -> None:
        self._task = task
        self._progress = progress
        self._lock = threading.Lock()
        self._reading: list[Wanted] = []
        self._posts = self._failed = 0

    def follow(self, reader: Reader, one: Wanted) -> None:
        """Read one source, in any thread."""
        with self._lock:
            self._reading.append(one)
            self._show()
        new = 0

        def on_page(_: Page) -> None:
            nonlocal new
            with self._lock:
                self._posts += one.new - new
                new = one.new
                self._show()

        try:
            _read(reader, one, on_page)
        finally:
            with self._lock:
                self._reading.remove(one)
                self._failed += one.error is not None
                self._show(1)
        _say_quarantined(reader.workspace, one, self._progress)

    def _show(self, done: int = 0) -> None:
        failed = f", {self._failed:,} failed" if self._failed else ""
        names = ", ".join(_short(one.written) for one in self._reading)
        self._task.advance(done, f"{self._posts:,} new{failed}; {names}".rstrip("; "))


def _short(name: str) -> str:
    return name if len(name) <= _NAME else f"{name[: _NAME - 1]}…"


class _patience:  # noqa: N801 - used like a function
    """While in use, long waits that services ask for are said, each once in a while."""

    def __init__(self, settings: CollectSettings, progress: Progress) -> None:
        from pasquin.networks.transport import shared

        self._transport = shared(settings)
        self._progress = progress
        self._said: dict[str, float] = {}

    def __enter__(self) -> None:
        self._transport.on_wait(self._say)

    def __exit__(self, *_: object) -> None:
        self._transport.on_wait(lambda _: None)

    def _say(self, text: str) -> None:
        host = text.partition(" ")[0]
        now = time.monotonic()
        if now - self._said.get(host, -_REPEAT_SECONDS) >= _REPEAT_SECONDS:
            self._said[host] = now
            self._progress.say(text)


def _stop(reader: Reader, settings: CollectSettings) -> None:
    """End the reading of all sources: those that wait at once, the others with their page."""
    from pasquin.networks.transport import stop_shared

    reader.stopped.set()
    stop_shared(settings)


def _record_rules(workspace: Workspace, wanted: Sequence[Wanted], settings: CollectSettings) -> None:
    """Note the rules of servers that the person accepted now, with their words."""
    accepted = {entry.lower() for entry in settings.accepted_rules}
    known = {(entry.get("host"), entry.get("digest")) for entry in recorded(workspace, "rules")}
    for source in {id(one.source): one.source for one in wanted}.values():
        for rules in source.rules() if isinstance(source, HasRules) else ():
            if rules.host.lower() in accepted and (rules.host, rules.digest) not in known:
                record(workspace, "rules", host=rules.host, digest=rules.digest, rules=list(rules.rules))


def accepted_before(workspace: Workspace) -> tuple[str, ...]:
    """Servers whose rules were accepted in earlier runs, each with the wording that was (`host#digest`)."""
    return tuple(f"{entry['host']}#{entry['digest']}" for entry in recorded(workspace, "rules"))


def interrupted() -> Interrupted:
    """What Ctrl-C ends with."""
    return Interrupted(
        "Collecting was interrupted; what was written so far is kept. Run the same command again to go on."
    )
