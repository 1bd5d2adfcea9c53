"""Many sources at once, in threads that nobody has to wait for: a read from a network can take its time to end."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from typing import TypeVar

_T = TypeVar("_T")


def in_threads(items: Sequence[_T], work: Callable[[_T], None], threads: int, stop: Callable[[], None]) -> None:
    """Call `work` on every item, on up to `threads` of them at a time.

    When one raises, `stop` is called, the others are waited for, and the first exception is raised. On Ctrl-C `stop`
    is called and KeyboardInterrupt raised at once: the threads end by themselves, at the latest with the process.
    """
    left: queue.SimpleQueue[_T] = queue.SimpleQueue()
    for item in items:
        left.put(item)
    ended: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()
    running = min(threads, len(items))
    for number in range(running):
        threading.Thread(target=_run, args=(left, work, ended), name=f"collect-{number}", daemon=True).start()
    failures: list[BaseException] = []
    try:
        for _ in range(running):
            if (failure := ended.get()) is not None:
                if not failures:
                    stop()
                failures.append(failure)
    except KeyboardInterrupt:
        stop()
        raise
    if failures:
        raise failures[0]


def _run(
    left: queue.SimpleQueue[_T], work: Callable[[_T], None], ended: queue.SimpleQueue[BaseException | None]
) -> None:
    failure: BaseException | None = None
    try:
        while True:
            work(left.get_nowait())
    except queue.Empty:
        pass
    except BaseException as exc:  # noqa: BLE001 - raised again in the thread that waits
        failure = exc
    ended.put(failure)
