"""One loaded model, as the server sees it: a `worker` process, and the requests that are under way in it."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import orjson

from pasquin.errors import ModelError

Tell = Callable[[dict[str, Any]], None]
"""Takes a sequence's news as the worker tells them, or `{"failed": sentence}`."""
_LINE_BYTES: Final = 2**24
_END_SECONDS: Final = 2.0
_ENDED: Final = "The process of the model ended (perhaps for lack of memory). It is started again at the next request."


class ModelProcess:
    """A model that is loading or loaded. Use `start`."""

    def __init__(self, name: str, process: asyncio.subprocess.Process) -> None:
        """See `start`."""
        self.name = name
        self.ready: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._sequences: dict[int, Tell] = {}
        self.ended = False
        self._process = process
        self._next = 0
        self._reading = asyncio.create_task(self._read())

    @classmethod
    async def start(cls, name: str, model_dir: Path, engine: str | None, batch: int) -> ModelProcess:
        """Start the process; `ready` is done once the model is loaded, or has a ModelError."""
        module = "pasquin.server.inference.worker"
        words = [sys.executable, "-m", module, str(model_dir), engine or "", str(batch)]
        process = await asyncio.create_subprocess_exec(
            *words, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=_LINE_BYTES
        )
        return cls(name, process)

    @property
    def memory_bytes(self) -> int:
        """Memory the process holds now; 0 where the system does not say (it does on Linux)."""
        with suppress(OSError, ValueError, IndexError):
            pages = Path(f"/proc/{self._process.pid}/statm").read_text().split()[1]
            return int(pages) * os.sysconf("SC_PAGE_SIZE")
        return 0

    def add(self, order: dict[str, Any], tell: Tell) -> int:
        """Hand in a sequence; `tell` is called with its news until it has ended. Raises ModelError when it cannot."""
        number, self._next = self._next, self._next + 1
        self._say({"add": number, **order})
        self._sequences[number] = tell
        return number

    def cancel(self, number: int) -> None:
        """Drop a sequence that may have ended already; its place is free at the next step."""
        if self._sequences.pop(number, None) is not None:
            with suppress(ModelError):  # it is free then, too
                self._say({"cancel": number})

    async def stop(self) -> None:
        """End the process; its memory is free when this returns."""
        self.ended = True
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            await asyncio.wait_for(self._process.wait(), _END_SECONDS)
        except TimeoutError:
            with suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()
        await self._reading

    def _say(self, order: dict[str, Any]) -> None:
        if self.ended or self._process.stdin is None:
            raise ModelError(_ENDED)
        try:
            self._process.stdin.write(orjson.dumps(order) + b"\n")
        except RuntimeError as exc:  # uvloop's, of a pipe whose other end is known to be gone before its output is
            self.ended = True
            raise ModelError(_ENDED) from exc

    def _hand_out(self, told: dict[str, Any]) -> None:
        over = told.get("finish") or "refused" in told
        tell = self._sequences.pop(told["id"], None) if over else self._sequences.get(told["id"])
        if tell is not None:
            tell(told)

    async def _read(self) -> None:
        """Hand out what the process says until it ends."""
        assert self._process.stdout is not None
        reason = _ENDED
        with suppress(OSError, ValueError):
            async for line in self._process.stdout:
                message = orjson.loads(line)
                for told in message.get("news", ()):
                    self._hand_out(told)
                if "ready" in message:
                    self.ready.set_result(message["ready"])
                reason = message.get("failed", reason)
        self.ended = True
        if not self.ready.done():
            self.ready.set_exception(ModelError(reason))
            self.ready.exception()  # whoever waits gets it; when nobody does, it is no matter
        for tell in self._sequences.values():
            tell({"failed": reason})
        self._sequences.clear()
        if self._process.returncode is None:
            with suppress(ProcessLookupError):
                self._process.kill()
