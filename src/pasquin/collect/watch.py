"""Keeping an archive current: a round, a pause, a round, until Ctrl-C."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from pasquin.collect.rounds import one_round
from pasquin.collect.wanted import Wanted
from pasquin.config import CollectSettings
from pasquin.counts import counted
from pasquin.errors import Interrupted, PasquinError
from pasquin.progress import Progress
from pasquin.records import Rights
from pasquin.workspace import Workspace


def keep_watching(
    workspace: Workspace,
    wanted: Sequence[Wanted],
    resolve: Callable[[], Sequence[Wanted]],
    rights: Rights | None,
    settings: CollectSettings,
    progress: Progress,
) -> tuple[list[Wanted], int]:
    """Read the sources every `settings.watch_minutes` until Ctrl-C; their sums over all rounds, and how many rounds.

    Before each round `resolve` reads the source lists anew. Whatever fails in a round is said and tried again in the
    next: a network away, a full disk, another collector at work.
    """
    sums: dict[str, Wanted] = {}
    errors: dict[str, str] = {}
    rounds = 0
    try:
        while True:
            this_round = [one.fresh() for one in wanted]
            began = time.monotonic()
            try:
                one_round(workspace, this_round, rights, settings, progress)
                rounds += 1
                _say_errors(this_round, errors, progress)
                progress.say(_line(rounds, this_round, settings.watch_minutes))
            except Interrupted:
                raise
            except PasquinError as exc:
                progress.say(f"{_clock()}  {exc} Trying again in {settings.watch_minutes:g} min.")
            finally:
                _add(sums, this_round)
            time.sleep(max(0.0, settings.watch_minutes * 60 - (time.monotonic() - began)))
            try:
                wanted = resolve()
            except PasquinError as exc:
                progress.say(f"{exc} Going on with the sources of before.")
    except (KeyboardInterrupt, Interrupted):
        progress.say("Watching ended; everything that was read is kept.")
    return list(sums.values()), rounds


def _say_errors(wanted: Sequence[Wanted], errors: dict[str, str], progress: Progress) -> None:
    """Say what failed, and that it works again, once and not in every round."""
    for one in wanted:
        error = str(one.error) if one.error else ""
        if error != errors.get(one.key, ""):
            progress.say(f"{one.written}: {error}" if error else f"{one.written} can be read again.")
        errors[one.key] = error


def _line(number: int, wanted: Sequence[Wanted], minutes: float) -> str:
    new, deleted = sum(one.new for one in wanted), sum(one.deleted for one in wanted)
    having, failed = sum(one.new > 0 for one in wanted), sum(one.error is not None for one in wanted)
    return (
        f"{_clock()}  Round {number:,}: {counted(new, 'new post')} of {counted(having, 'source')}"
        + (f", {deleted:,} deleted" if deleted else "")
        + (f", {failed:,} of {counted(len(wanted), 'source')} failed" if failed else "")
        + f"; next in {minutes:g} min."
    )


def _add(sums: dict[str, Wanted], wanted: Sequence[Wanted]) -> None:
    for one in wanted:
        total = sums.setdefault(one.key, one.fresh())
        total.posts += one.posts
        total.new += one.new
        total.updated += one.updated
        total.deleted += one.deleted
        total.quarantined = one.quarantined
        total.skipped.update(one.skipped)
        total.error = one.error


def _clock() -> str:
    return time.strftime("%H:%M:%S")
