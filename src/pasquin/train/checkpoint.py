"""Saved states of a running training: whole or not there, only the last one kept.

    models/<name>/checkpoints/step-<number>/state.pt, manifest.json

A checkpoint is written into a temporary folder, synced and renamed; the one before it is removed after that. So a
training that is killed at any point goes on from the last whole one.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from pasquin.errors import ModelError, ResourceError, disk_errors
from pasquin.workspace.files import read_manifest, sync, write_manifest

FOLDER: Final = "checkpoints"
_STATE: Final = "state.pt"


@contextmanager
def weight_errors(doing: str) -> Iterator[None]:
    """`disk_errors`, also for the libraries that report a failed write of weights in their own way."""
    import torch
    from safetensors import SafetensorError

    try:
        with disk_errors(doing):
            yield
    except (torch.AcceleratorError, SafetensorError, RuntimeError) as exc:
        message = str(exc)
        if isinstance(exc, SafetensorError) or "PytorchStreamWriter" in message or "inline_container" in message:
            raise ResourceError(
                f"Could not {doing}: the disk is full or failing. Free some space and run the same command again "
                "with --resume; the last whole checkpoint is kept."
            ) from exc
        raise


def save_checkpoint(folder: Path, step: int, state: Mapping[str, object], manifest: Mapping[str, object]) -> None:
    """Write the state of `step` into `folder` (a model's `checkpoints`) and remove all others.

    Raises ResourceError when the disk is full; the checkpoint before is then still whole.
    """
    import torch

    final = folder / f"step-{step:08d}"
    temporary = folder / f".step-{step:08d}.{os.getpid()}.tmp"
    with weight_errors("write a checkpoint"):
        folder.mkdir(parents=True, exist_ok=True)
        _remove_others(folder, keep=last_checkpoint(folder))
        try:
            temporary.mkdir()
            torch.save(dict(state), temporary / _STATE)
            sync(temporary / _STATE)
            write_manifest(temporary, manifest)
            if final.exists():
                shutil.rmtree(final)
            temporary.rename(final)
            sync(folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    _remove_others(folder, keep=final)


def last_checkpoint(folder: Path) -> Path | None:
    """The newest whole checkpoint in `folder`, None when there is none."""
    whole = [path for path in folder.glob("step-*") if read_manifest(path) is not None]
    return max(whole, default=None)


def load_checkpoint(path: Path) -> tuple[dict[str, Any], dict[str, object]]:
    """State and manifest of a whole checkpoint. Raises ModelError when it is damaged."""
    import torch

    manifest = read_manifest(path)
    try:
        state = torch.load(path / _STATE, map_location="cpu", weights_only=True)
    except Exception as exc:  # a damaged file makes the unpickler fail in any way
        raise ModelError(
            f"The checkpoint {path} is damaged ({str(exc).splitlines()[0]}). Train again without --resume."
        ) from exc
    return state, manifest or {}


def check_space(folder: Path, bytes_needed: int) -> None:
    """Raise ResourceError before the work begins when the disk cannot hold its checkpoints."""
    free = shutil.disk_usage(folder).free
    if free < bytes_needed:
        raise ResourceError(
            f"Training needs about {bytes_needed / 1e9:.1f} GB in {folder} for its checkpoints and only "
            f"{free / 1e9:.1f} GB are free. Make space, or move the workspace to a larger disk."
        )


def _remove_others(folder: Path, keep: Path | None) -> None:
    for path in [*folder.glob("step-*"), *folder.glob(".step-*")]:
        if path != keep:
            shutil.rmtree(path, ignore_errors=True)
