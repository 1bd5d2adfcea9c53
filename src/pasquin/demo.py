"""The demo: the whole path, on a model and posts that come from the package registry.

Every step is skipped when its result is there already, so a second run is up in seconds and an interrupted one goes on
where it stopped. It is also the shortest complete script of what Pasquin does: read it top to bottom.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from pasquin.collect import collect
from pasquin.config import CollectSettings, GenerateSettings, PrepareSettings, TrainSettings, load
from pasquin.generate import generate
from pasquin.prepare import prepare
from pasquin.progress import Progress, Silent
from pasquin.starter import BASE, demo_posts
from pasquin.store import Store
from pasquin.train import train
from pasquin.workspace import Workspace
from pasquin.workspace.files import read_manifest

CORPUS: Final = "fortunes"
CANDIDATES: Final = 240
NEXT: Final = """\
The demo's workspace is {directory}: look at corpora/fortunes/report.html and models/fortunes/README.md in it.
Next, on your own posts:  pasquin init mybot; cd mybot; pasquin collect x-archive:YOUR-ARCHIVE.zip; pasquin prepare me;
pasquin train me --minutes 7; pasquin generate me -n 1000; pasquin play me"""


def demo(
    directory: Path, *, minutes: float = 6.0, progress: Progress | None = None
) -> tuple[Workspace, dict[str, object]]:
    """Run init, collect, prepare, train and generate in `directory`; return the workspace and each stage's result.

    `minutes` is the training time. Raises whatever the stages raise; run again, it goes on where it was.
    """
    progress = progress or Silent()
    workspace = Workspace.create(directory)
    Store.of(workspace).close()
    texts = demo_posts(progress=progress)
    results: dict[str, object] = {
        "collect": collect(
            workspace,
            [f"fortune:{path}" for path in texts.values()],
            rights="licence:BSD",
            settings=load(CollectSettings, workspace.toml),
            progress=progress,
        ),
        "prepare": prepare(workspace, CORPUS, settings=load(PrepareSettings, workspace.toml), progress=progress),
        "train": _train(workspace, minutes, progress),
        "generate": generate(
            workspace, CORPUS, settings=load(GenerateSettings, workspace.toml, n=CANDIDATES), progress=progress
        ),
    }
    return workspace, results


def _train(workspace: Workspace, minutes: float, progress: Progress) -> dict[str, object]:
    """The result of the finished model when it learned this very corpus, else train, going on where it stopped."""
    manifest = read_manifest(workspace.model_dir(CORPUS))
    corpus_hash = workspace.corpus_manifest(CORPUS)["hash"]
    if manifest is not None and (manifest["corpus_hash"], manifest["base"]) == (corpus_hash, BASE):
        result = manifest["result"]
        if isinstance(result, dict):
            return result
    settings = load(TrainSettings, workspace.toml, minutes=minutes)
    return train(workspace, CORPUS, resume="auto", settings=settings, progress=progress)
