"""The models that are offered: loaded when they are asked for, unloaded when another one needs the memory."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pasquin.config import ServeSettings, load, model_sampling
from pasquin.engines import choose_engine, openvino_graph
from pasquin.errors import ModelError, PasquinError
from pasquin.server.inference.ahead import Ahead
from pasquin.server.inference.errors import ApiError, unavailable
from pasquin.server.inference.process import ModelProcess
from pasquin.workspace import Workspace

_MB: Final = 10**6
_WEIGHTS_FACTOR: Final = 1.5
_OTHER_MB: Final = 300
"""Before a model was ever loaded it is taken to need its weights' files and half as much again, and this."""


@dataclass(slots=True)
class Offer:
    """A model by name.

    `users` counts requests that hold it, `used` is when the last one let go (monotonic), `sequences` how many of theirs
    wait or run, `defaults` what a request that does not say is drawn with, `ahead` what was begun before it is asked.
    """

    name: str
    created: int
    defaults: ServeSettings
    ahead: Ahead
    process: ModelProcess | None = None
    users: int = 0
    sequences: int = 0
    used: float = 0.0
    megabytes: float | None = None


class Shelf:
    """All offered models of a workspace."""

    def __init__(self, workspace: Workspace, names: Sequence[str], settings: ServeSettings) -> None:
        """Raises ModelError when one of `names` is missing, unfinished, or of a kind that no engine here can run,
        UsageError when what it should be drawn with makes no sense."""
        self._workspace, self._settings = workspace, settings
        self._changed = asyncio.Condition()
        self._closed = False
        self.offers: dict[str, Offer] = {}
        for name in names:
            workspace.model_manifest(name)
            folder = workspace.model_dir(name)
            choose_engine(folder, settings.engine)
            created = int((folder / "manifest.json").stat().st_mtime)
            self.offers[name] = Offer(
                name, created, _defaults(folder, settings), Ahead(min(settings.ahead, settings.batch // 2))
            )

    def offer(self, name: str) -> Offer:
        """The model by its name; ApiError 404 when it is not offered."""
        offer = self.offers.get(name)
        if offer is None:
            there = ", ".join(self.offers)
            raise ApiError(404, f"There is no such model here; there are: {there}.", "model", "model_not_found")
        return offer

    @asynccontextmanager
    async def model(self, name: str) -> AsyncIterator[ModelProcess]:
        """The loaded model, kept loaded until the block ends. Waits for it to load, or for memory to become free.

        Raises ApiError: 404 for an unknown name, 503 when the model cannot be loaded or fails inside the block.
        """
        offer = self.offer(name)
        offer.users += 1
        try:
            yield await self._loaded(offer)
        except ModelError as exc:
            raise unavailable(str(exc)) from exc
        finally:
            offer.users -= 1
            offer.used = time.monotonic()
            async with self._changed:
                self._changed.notify_all()

    async def close(self) -> None:
        """Unload everything; nothing is loaded any more."""
        self._closed = True
        await asyncio.gather(*(self._unload(offer) for offer in self.offers.values()))

    async def _loaded(self, offer: Offer) -> ModelProcess:
        async with self._changed:
            while offer.process is None or offer.process.ended:
                if self._closed:
                    raise ModelError("The server is being stopped. Ask again when it is back.")
                if await self._make_room(offer):
                    folder = self._workspace.model_dir(offer.name)
                    try:
                        self._workspace.model_manifest(offer.name)
                        offer.defaults = _defaults(folder, self._settings)
                    except PasquinError as exc:
                        raise ModelError(str(exc)) from exc
                    offer.process = await ModelProcess.start(
                        offer.name, folder, self._settings.engine, self._settings.batch
                    )
                else:
                    await self._changed.wait()
            process = offer.process
        await asyncio.shield(process.ready)
        return process

    async def _make_room(self, wanted: Offer) -> bool:
        """Unload what is idle, least recently used first, until `wanted` fits; whether it does.

        Where nothing else is loaded it fits whatever its size: the machine decides then.
        """
        while True:
            loaded = [offer for offer in self.offers.values() if offer.process is not None and not offer.process.ended]
            taken = sum(self._megabytes(offer) for offer in loaded)
            if not loaded or taken + self._megabytes(wanted) <= self._settings.memory_mb:
                return True
            idle = [offer for offer in loaded if offer.users == 0]
            if not idle:
                return False
            await self._unload(min(idle, key=lambda offer: offer.used))

    async def _unload(self, offer: Offer) -> None:
        process, offer.process = offer.process, None
        if process is not None:
            await process.stop()

    def _megabytes(self, offer: Offer) -> float:
        """What a model takes: what it takes now, or took when it was last loaded, or what its files make likely."""
        if offer.process is not None and offer.process.ready.done() and not offer.process.ended:
            offer.megabytes = max(offer.megabytes or 0.0, offer.process.memory_bytes / _MB)
        if offer.megabytes:
            return offer.megabytes
        folder = self._workspace.model_dir(offer.name)
        files = (
            [graph]
            if (graph := folder / openvino_graph.FOLDER / openvino_graph.WEIGHTS).exists()
            else list(folder.glob("model*.safetensors"))
        )
        return sum(file.stat().st_size for file in files) / _MB * _WEIGHTS_FACTOR + _OTHER_MB


def _defaults(model_dir: Path, settings: ServeSettings) -> ServeSettings:
    """The settings, and where they do not say how to draw, what tuning found for this model. Raises UsageError."""
    given = settings.model_dump(exclude_unset=True)
    return load(ServeSettings, None, defaults=model_sampling(model_dir), **given)
