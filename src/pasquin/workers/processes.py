"""Worker processes on this machine: Python processes that read pickled calls from a pipe and write pickled answers.

Not `multiprocessing`: that runs the caller's main module again in each worker, which surprises scripts without a guard,
or forks, which breaks programs with threads (DuckDB, torch).
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from queue import SimpleQueue
from typing import IO, Any, Final, TypeVar

from pasquin.errors import ResourceError

Item = TypeVar("Item")
Result = TypeVar("Result")

_AHEAD: Final = 2
"""Results a worker may be ahead of who reads them."""
_ATTEMPTS: Final = 2
"""A worker that dies twice over the same item is not started a third time."""


class Processes:
    """A pool of worker processes; use `open_processes`."""

    def __init__(self, count: int) -> None:
        """Processes are started when there is something to do."""
        self.count = count
        self._threads = ThreadPoolExecutor(count, thread_name_prefix="worker")
        self._all = [_Worker() for _ in range(count)]
        self._idle: SimpleQueue[_Worker] = SimpleQueue()
        self._closed = False
        for worker in self._all:
            self._idle.put(worker)

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """`function` of each item, in their order."""
        waiting: deque[Future[Result]] = deque()
        try:
            for item in items:
                waiting.append(self._threads.submit(self._call, function, item))
                if len(waiting) >= self.count * (1 + _AHEAD):
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()

    def _call(self, function: Callable[[Item], Result], item: Item) -> Result:
        worker = self._idle.get()
        try:
            if self._closed:
                raise CancelledError
            for _ in range(_ATTEMPTS):
                with suppress(EOFError, BrokenPipeError, ConnectionResetError):
                    result: Result = worker.call(function, item)
                    return result
                worker.stop()
                if self._closed:
                    raise CancelledError
        finally:
            self._idle.put(worker)
        raise ResourceError(
            "A worker process died twice over the same work, as they do when the machine runs out of memory. "
            "Give fewer `workers` or less `memory_mb`, or close other programs, and run the same command again."
        )

    def close(self) -> None:
        """Stop the processes and forget what they were doing."""
        self._closed = True
        for worker in self._all:
            worker.kill()
        self._threads.shutdown(cancel_futures=True)
        for worker in self._all:
            worker.stop()


class _Worker:
    """One process, started at the first call and again after it died."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def call(self, function: Callable[[Any], Any], item: Any) -> Any:
        if self._process is None:
            path = os.pathsep.join(entry for entry in sys.path if entry)  # where the functions are found
            environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
            self._process = subprocess.Popen(
                [sys.executable, "-m", "pasquin.workers.processes"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=environment,
                start_new_session=True,  # Ctrl-C is for the one who started us
            )
        pipe_in, pipe_out = self._process.stdin, self._process.stdout
        assert pipe_in is not None
        assert pipe_out is not None
        pickle.dump((function, item), pipe_in, protocol=5)
        pipe_in.flush()
        well, value = pickle.load(pipe_out)
        if not well:
            raise value
        return value

    def kill(self) -> None:
        """End the process, whatever it does; a call that waits for it fails."""
        if self._process is not None:
            self._process.kill()

    def stop(self) -> None:
        """End the process and forget it."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.communicate()


@contextmanager
def open_processes(count: int) -> Iterator[Processes]:
    """`count` worker processes, which end with the block."""
    processes = Processes(count)
    try:
        yield processes
    finally:
        processes.close()


def _work(calls: IO[bytes], answers: IO[bytes]) -> None:
    """Answer calls until the pipe is closed: whoever started us ended then, however that was."""
    while True:
        try:
            function, item = pickle.load(calls)
        except EOFError:
            return
        try:
            answer = (True, function(item))
        except Exception as exc:  # noqa: BLE001 - it is raised where the call came from
            exc.add_note("".join(traceback.format_tb(exc.__traceback__)))  # pickling forgets where it was
            answer = (False, exc)
        try:
            pickle.dump(answer, answers, protocol=5)
            answers.flush()
        except BrokenPipeError:  # whoever asked is gone
            os._exit(1)


if __name__ == "__main__":
    own_output = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what anything prints goes to stderr, never between the answers
    _work(os.fdopen(os.dup(0), "rb"), own_output)
