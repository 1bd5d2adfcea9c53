"""A model as a directory that leaves the workspace: weights, tokenizer, configuration and card, and nothing else.

What goes is on a list (`NAMES`, and weights in parts): a model's directory also holds what the model wrote while it was
trained, which may be somebody's post, checkpoints, and what engines keep there.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pasquin.config import MeasureSettings, load
from pasquin.errors import CorpusError, ModelError, UsageError, disk_errors
from pasquin.model_card import CARD, PLOT, model_card
from pasquin.store import Store
from pasquin.workspace import Workspace
from pasquin.workspace.files import sync

WEIGHTS: Final = "model.safetensors"
NAMES: Final = (
    *("config.json", "generation_config.json", WEIGHTS, f"{WEIGHTS}.index.json", "post_format.json"),
    *("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"),
    *("vocab.json", "merges.txt", "chat_template.jinja", PLOT, CARD),
)
"""The files that may leave the workspace."""
_PART: Final = re.compile(r"model-\d{5}-of-\d{5}\.safetensors")
_NEEDED: Final = ("config.json", "tokenizer.json", "post_format.json")
_HISTORY: Final = "history.jsonl"


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A file that leaves the workspace under `name`: as it lies at `source`, or, without one, made of `content`."""

    name: str
    source: Path | None
    content: bytes = b""

    @property
    def bytes(self) -> int:
        """Its size."""
        return len(self.content) if self.source is None else self.source.stat().st_size


def may_leave(name: str) -> bool:
    """Whether a file of this name is among those that leave the workspace."""
    return name in NAMES or _PART.fullmatch(name) is not None


def outgoing(workspace: Workspace, name: str) -> list[Outgoing]:
    """The files of the model `name` that leave the workspace, in the order of their names, with a card for others.

    The card has no samples, and the figures of the game when enough people played with the model's texts. Raises
    ModelError when the model is missing, unfinished or lacks a file, StoreError.
    """
    manifest = workspace.model_manifest(name)
    folder = workspace.model_dir(name)
    there = [path for path in folder.iterdir() if path.is_file() and may_leave(path.name) and path.name != CARD]
    found = {path.name for path in there}
    missing = [wanted for wanted in _NEEDED if wanted not in found]
    if not any(other == WEIGHTS or _PART.fullmatch(other) for other in found):
        missing.append(WEIGHTS)
    if missing:
        raise ModelError(f"The model `{name}` lacks {', '.join(missing)}. Train it again.")
    card = model_card(
        manifest, _corpus(workspace, manifest), _history(folder), samples=False, played=_played(workspace, manifest)
    )
    files = [Outgoing(CARD, None, card.encode()), *(Outgoing(path.name, path) for path in there)]
    return sorted(files, key=lambda file: file.name)


def export_folder(workspace: Workspace, name: str, output: Path) -> dict[str, Any]:
    """Write the model `name` as a directory at `output`, whole or not at all; one exported earlier is replaced.

    Returns `model, files: [{name, bytes}], bytes, output`. Raises UsageError when something else is at `output`,
    ModelError as `outgoing`, ResourceError, WorkspaceError.
    """
    files = outgoing(workspace, name)
    _refuse_others(output)
    output = output.absolute()
    with disk_errors(f"write {output}"):
        output.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{output.name}-", dir=output.parent) as temporary:
            made, old = Path(temporary) / "new", Path(temporary) / "old"
            made.mkdir()
            for file in files:
                if file.source is None:
                    (made / file.name).write_bytes(file.content)
                else:
                    shutil.copyfile(file.source, made / file.name)
                sync(made / file.name)
            if output.exists():
                output.rename(old)
            os.rename(made, output)
            sync(output.parent)
    return {"model": name, "output": str(output), **sizes(files)}


def sizes(files: list[Outgoing]) -> dict[str, Any]:
    """`files: [{name, bytes}], bytes`, for results."""
    return {
        "files": [{"name": file.name, "bytes": file.bytes} for file in files],
        "bytes": sum(file.bytes for file in files),
    }


def _refuse_others(output: Path) -> None:
    """Nothing but an earlier export is replaced."""
    if not output.exists() and not output.is_symlink():
        return
    if not output.is_dir() or output.is_symlink():
        raise UsageError(f"{output} is there already and is no directory. Give another name.")
    others = sorted(path.name for path in output.iterdir() if not (path.is_file() and may_leave(path.name)))
    if others:
        raise UsageError(
            f"{output} holds more than an exported model ({', '.join(others[:3])}), so it stays. Give another name."
        )


def _corpus(workspace: Workspace, manifest: dict[str, Any]) -> dict[str, Any]:
    """The manifest of the corpus the model learned, empty when that is gone or has been prepared anew."""
    try:
        corpus = workspace.corpus_manifest(str(manifest["corpus"]))
    except CorpusError:
        return {}
    return corpus if corpus.get("hash") == manifest["corpus_hash"] else {}


def _history(folder: Path) -> list[dict[str, Any]]:
    try:
        lines = (folder / _HISTORY).read_text(encoding="utf-8").splitlines()
        return [json.loads(line) for line in lines if line]
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as exc:
        raise ModelError(f"{folder / _HISTORY} is damaged. Remove it, or train the model again.") from exc


def _played(workspace: Workspace, manifest: dict[str, Any]) -> dict[str, Any] | None:
    """The model's figures that anybody may see; None without enough players, or the packages for figures."""
    from pasquin.measure import public_figures, ready

    if ready() is not None:
        return None
    store = Store.of(workspace)
    try:
        figures = public_figures(store, [str(manifest["corpus"])], load(MeasureSettings, workspace.toml))
    finally:
        store.close()
    rows = figures.get("by", {}).get("model", [])
    return next((row for row in rows if row["name"] == manifest["name"]), None)
