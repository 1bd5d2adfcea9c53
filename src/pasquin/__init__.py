"""Pasquin: from somebody's short posts to an honest parody bot, and a measure of how human it sounds.

The verbs of the command line are functions here, imported on first use, so that `import pasquin` is instant and never
imports torch:

>>> import pasquin
>>> workspace = pasquin.Workspace.create(Path("mybot"))
>>> pasquin.collect(workspace, ["twint:vc.jsonl.gz"])
>>> pasquin.prepare(workspace, "vc")
>>> pasquin.train(workspace, "vc", settings=TrainSettings(minutes=5))
>>> pasquin.generate(workspace, "vc", settings=GenerateSettings(n=1000))
>>> pasquin.play(workspace, ["vc"])
>>> pasquin.measure(workspace, ["vc"])["fool_rate"]

The settings classes are in `pasquin.config`.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOMES = {
    "Workspace": "pasquin.workspace",
    "Store": "pasquin.store",
    "PasquinError": "pasquin.errors",
    "collect": "pasquin.collect",
    "prepare": "pasquin.prepare",
    "train": "pasquin.train",
    "generate": "pasquin.generate",
    "curate": "pasquin.server",
    "publish": "pasquin.publish",
    "play": "pasquin.server",
    "measure": "pasquin.measure",
    "serve": "pasquin.server",
    "backup": "pasquin.backup",
    "restore": "pasquin.backup",
    "doctor": "pasquin.doctor",
    "rights": "pasquin.rights",
    "forget": "pasquin.rights",
    "lineage": "pasquin.rights",
}
__all__ = [
    "PasquinError",
    "Store",
    "Workspace",
    "__version__",
    "backup",
    "collect",
    "curate",
    "doctor",
    "forget",
    "generate",
    "lineage",
    "measure",
    "play",
    "prepare",
    "publish",
    "restore",
    "rights",
    "serve",
    "train",
]

if TYPE_CHECKING:
    from pasquin.backup import backup, restore
    from pasquin.collect import collect
    from pasquin.doctor import doctor
    from pasquin.errors import PasquinError
    from pasquin.generate import generate
    from pasquin.measure import measure
    from pasquin.prepare import prepare
    from pasquin.publish import publish
    from pasquin.rights import forget, lineage, rights
    from pasquin.server import curate, play, serve
    from pasquin.store import Store
    from pasquin.train import train
    from pasquin.workspace import Workspace


class _Stage(ModuleType):
    """A stage's module: calling it calls the stage, as importing `pasquin.collect` puts it in the verb's place."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return __getattr__(self.__name__.rpartition(".")[2])(*args, **kwargs)


class _Package(ModuleType):
    def __setattr__(self, name: str, value: object) -> None:
        if name in _HOMES and type(value) is ModuleType:
            value.__class__ = _Stage
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'pasquin' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
