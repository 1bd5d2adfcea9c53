"""Filling the game's pool ahead of the players: while it is served, its models write on, one after the other.

A player is only ever shown what is stored already, so a slow model never shows. Whoever has seen most AI cards of a
corpus of late shall find `fill` more; when there are fewer, a process of its own writes them, by the same
`generate` as ever, and ends. It runs only when nobody else wants the processor, ends when the server does, and where it
fails (the model was deleted, somebody else generates, the disk is full) the game goes on with the cards there are, and
it is tried again later. Never more than twice as many AI cards as human ones are made: then the human ones run out.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal

import orjson

from pasquin.config import PlaySettings
from pasquin.errors import PasquinError
from pasquin.play import Game
from pasquin.workspace import Workspace

State = Literal["filled", "filling", "waiting", "no model"]

_LOOK_SECONDS: Final = 5.0
_AGAIN_SECONDS: Final = 60.0
_LATEST_SECONDS: Final = 3_600.0
_GRACE_SECONDS: Final = 5.0
_LEAST: Final = 25
_MOST: Final = 200
"""Candidates a process writes before it ends, at least and at most: starting one costs seconds."""
_MOST_A_HUMAN: Final = 2


@dataclass(frozen=True, slots=True)
class Standing:
    """How far ahead a corpus is: of the AI cards that the keenest player has not seen, `wanted` and there (`ahead`).

    `why` says what a `waiting` one waits for.
    """

    corpus: str
    state: State
    ahead: int
    wanted: int
    why: str = ""


class Filling:
    """Fills the pool of `game` from a thread of its own; off where `fill` is 0."""

    def __init__(self, game: Game, settings: PlaySettings) -> None:
        """Nothing runs before `start`."""
        self._game, self._fill = game, settings.fill
        self._over = threading.Event()
        self._thread: threading.Thread | None = None
        self._standings: dict[str, Standing] = {}
        self._patience: dict[str, tuple[float, float]] = {}

    @property
    def standings(self) -> list[Standing]:
        """How each corpus stands; none where filling is off."""
        return list(self._standings.values())

    def start(self) -> None:
        """Begin to look after the pool."""
        if self._fill:
            self._thread = threading.Thread(target=self._run, name="filling", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """End what is being written, which keeps what is done, and look no more."""
        self._over.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        while not self._over.wait(_LOOK_SECONDS):
            for corpus in self._game.corpora:
                if self._over.is_set():
                    return
                try:
                    self._look_after(corpus)
                except (OSError, PasquinError) as exc:  # a full disk, no more processes: that passes, or is told
                    self._standings[corpus] = Standing(corpus, "waiting", 0, self._fill, str(exc))

    def _look_after(self, corpus: str) -> None:
        deck = self._game.decks.get(corpus)
        if deck is None:
            return
        seen = self._game.most_seen(corpus)
        room = _MOST_A_HUMAN * deck.human - deck.model
        standing = Standing(corpus, "filled", max(0, deck.model - seen), self._fill)
        missing = min(seen + self._fill - deck.model, room)
        until, pause = self._patience.get(corpus, (0.0, _AGAIN_SECONDS))
        models = self._game.workspace.models_of(corpus)
        if not models:
            self._standings[corpus] = replace(standing, state="no model")
        elif missing <= 0:
            self._standings[corpus] = standing
        elif time.monotonic() < until:
            self._standings[corpus] = replace(standing, state="waiting", why=self._standings[corpus].why)
        else:
            self._standings[corpus] = replace(standing, state="filling")
            why = self._write(models[0], min(max(missing, _LEAST), _MOST))
            if why is None:
                self._patience.pop(corpus, None)
                with suppress(PasquinError):
                    self._game.refresh()
            else:
                self._patience[corpus] = (time.monotonic() + pause, min(2 * pause, _LATEST_SECONDS))
                self._standings[corpus] = replace(standing, state="waiting", why=why)

    def _write(self, model: str, more: int) -> str | None:
        """Have `model` write `more` candidates; why there were none, or None."""
        path = os.pathsep.join(entry for entry in sys.path if entry)
        words = [sys.executable, "-m", "pasquin.server.filling", str(self._game.workspace.root), model, str(more)]
        process = subprocess.Popen(
            words,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": path},
            start_new_session=True,  # Ctrl-C is for the server
        )
        only_when_idle(process.pid)
        with process:
            while process.poll() is None and not self._over.wait(0.2):
                continue
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.close()
            with suppress(subprocess.TimeoutExpired):
                process.wait(_GRACE_SECONDS)
            process.kill()
            try:
                result = orjson.loads(process.stdout.read())
            except orjson.JSONDecodeError:
                return "What wrote ended without a word, as programs do when memory is short."
        if result.get("added") == 0:
            return "Nothing the model wrote was fit to be a candidate."
        return str(result["why"]) if "why" in result else None


def only_when_idle(process: int) -> None:
    """Have a process run only when nobody else wants the processor."""
    with suppress(OSError):  # it has ended already
        os.setpriority(os.PRIO_PROCESS, process, 19)
        if hasattr(os, "SCHED_IDLE"):  # only Linux has it
            os.sched_setscheduler(process, os.SCHED_IDLE, os.sched_param(0))


def _end_with_the_server() -> None:
    """Interrupt this process, as Ctrl-C does, once the pipe from the server is closed, however that came."""
    sys.stdin.buffer.read()
    os.kill(os.getpid(), signal.SIGINT)


def main(root: str, model: str, more: str) -> None:
    """Write `more` candidates of `model`; one JSON object says what came of it."""
    from pasquin.generate.more import generate_more

    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what anything prints is no answer
    threading.Thread(target=_end_with_the_server, daemon=True).start()
    try:
        result = {"added": generate_more(Workspace.open(Path(root)), model, int(more))["added"]}
    except PasquinError as exc:
        result = {"why": str(exc)}
    answers.write(orjson.dumps(result))
    answers.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
