"""Are corpora and models whole?"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from pasquin.counts import counted
from pasquin.doctor.findings import Finding, bytes_said, out_of_a_backup
from pasquin.doctor.reach import Barred
from pasquin.errors import ModelError, PasquinError
from pasquin.post_format import FILE as FORMAT_FILE
from pasquin.post_format import PostFormat
from pasquin.workspace import Workspace
from pasquin.workspace.corpora import POSTS, corpus_size, read_lineage
from pasquin.workspace.files import MANIFEST, read_manifest
from pasquin.workspace.locks import holders
from pasquin.workspace.tombstones import read_tombstones

_finding = partial(Finding, "workspace")


def examine_corpora(workspace: Workspace, barred: Barred) -> Iterator[Finding]:
    """Every folder under `corpora/`."""
    busy = {name for name, _ in holders(workspace)}
    whole = []
    for path in _folders(workspace.root / "corpora", barred):
        about = f"corpus {path.name}"
        if path.name.startswith("."):
            if "prepare" not in busy:
                yield _leftover(path, "`pasquin prepare`", "the next one puts it in order")
            continue
        if not (path / MANIFEST).is_file():
            yield _finding(
                *(
                    about,
                    "problem",
                    f"The corpus `{path.name}` has no manifest: it was not finished, or not by Pasquin.",
                ),
                f"pasquin prepare {path.name}",
            )
            continue
        if reason := _damage_of_corpus(workspace, path.name):
            backup = out_of_a_backup(workspace.root, path)
            yield _finding(
                about, "problem", reason, f"pasquin prepare {path.name}, or take it out of a backup: {backup}"
            )
        else:
            whole.append(path.name)
    if whole:
        yield _finding("corpora", "fine", f"Whole: {', '.join(whole)}.")


def _damage_of_corpus(workspace: Workspace, name: str) -> str | None:
    try:
        manifest: dict[str, Any] = workspace.corpus_manifest(name)
        posts = corpus_size(workspace, name)
    except PasquinError as exc:
        return str(exc)
    wanted = sum(manifest["splits"].values()) if isinstance(manifest.get("splits"), dict) else None
    if wanted is not None and posts != wanted:
        return f"The corpus `{name}` holds {counted(posts, 'post')} in {POSTS}, and its manifest says {wanted:,}."
    return None


def examine_models(workspace: Workspace, barred: Barred) -> Iterator[Finding]:
    """Every folder under `models/`."""
    busy = {name for name, _ in holders(workspace)}
    whole = []
    for path in _folders(workspace.root / "models", barred):
        about = f"model {path.name}"
        if path.name.startswith("."):
            if not any(name.startswith("train-") for name in busy):
                yield _leftover(path, "`pasquin train`", "the next training of that model puts it in order")
            continue
        if not (path / MANIFEST).is_file():
            if f"train-{path.name}" not in busy:
                yield _unfinished(path)
            continue
        if reason := _damage_of_model(path):
            yield _finding(about, "problem", reason, _again(workspace, path))
            continue
        whole.append(path.name)
        yield from barred.past(_learned_forgotten(workspace, path.name, barred))
        yield from _engine(workspace, path)
    if whole:
        yield _finding("models", "fine", f"Whole: {', '.join(whole)}.")


def _unfinished(path: Path) -> Finding:
    resumable = any((path / "checkpoints").glob(f"step-*/{MANIFEST}"))
    return _finding(
        f"model {path.name}",
        "warning" if resumable else "problem",
        f"The training of `{path.name}` did not end; its last state {'is saved' if resumable else 'was not saved'}.",
        f"pasquin train {path.name}{' --resume' if resumable else ''}, or remove {path}.",
    )


def _again(workspace: Workspace, path: Path) -> str:
    return f"pasquin train {path.name}, or take it out of a backup: {out_of_a_backup(workspace.root, path)}"


def _damage_of_model(path: Path) -> str | None:
    """What keeps the engines from opening a model, by the files that they read; None: nothing."""
    try:
        read_manifest(path)
    except PasquinError as exc:
        return str(exc)
    for name in ("config.json", "tokenizer.json"):
        if _object_in(path / name) is None:
            return f"The model `{path.name}` has no readable {name}."
    try:
        PostFormat.load(path)
    except ModelError:
        return f"The model `{path.name}` has no readable {FORMAT_FILE}."
    weights = sorted(path.glob("model*.safetensors"))
    index = (_object_in(path / "model.safetensors.index.json") or {}).get("weight_map")
    wanted = {str(name) for name in index.values()} if isinstance(index, dict) else {"model.safetensors"}
    if missing := sorted(wanted - {file.name for file in weights}):
        return f"The model `{path.name}` has no weights {missing[0]}."
    cut = [file.name for file in weights if not whole_safetensors(file)]
    return f"The weights {', '.join(cut)} of the model `{path.name}` are cut off or damaged." if cut else None


def _object_in(path: Path) -> dict[str, Any] | None:
    """The object in a JSON file, None where there is none."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def whole_safetensors(path: Path) -> bool:
    """Whether a file of weights is as long as its own table of contents says (the weights are not read)."""
    size = path.stat().st_size
    with path.open("rb") as handle:
        length = int.from_bytes(handle.read(8), "little")
        if size < 8 or length > min(size - 8, 100 * 2**20):
            return False
        try:
            header = json.loads(handle.read(length))
            ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
            return bool(size == 8 + length + max(ends, default=0))
        except (ValueError, KeyError, TypeError, IndexError, AttributeError):
            return False


def _learned_forgotten(workspace: Workspace, name: str, barred: Barred) -> Iterator[Finding]:
    try:
        stones = sorted(read_tombstones(workspace).uris)
        manifest: dict[str, Any] = workspace.model_manifest(name)
    except PasquinError:
        return  # said elsewhere
    content = manifest.get("corpus_hash")
    lineage = workspace.root / ".lineage" / f"{content}.parquet"
    if not stones or not isinstance(content, str) or lineage in barred:
        return
    import duckdb

    try:
        learned = read_lineage(workspace, content, stones)
    except duckdb.Error as exc:
        yield _finding(
            *(
                f"model {name}",
                "problem",
                f"The record of what `{name}` learned is damaged ({str(exc).splitlines()[0]}).",
            ),
            f"Take it out of a backup: {out_of_a_backup(workspace.root, lineage)}",
        )
        return
    seen = sum(split == "train" for split in (learned or {}).values())
    if seen:
        corpus = manifest.get("corpus", name)
        yield _finding(
            f"model {name}",
            "warning",
            f"The model `{name}` learned {counted(seen, 'post that was', 'posts that were')} forgotten since.",
            f"pasquin prepare {corpus} and pasquin train {corpus}",
        )


def _engine(workspace: Workspace, path: Path) -> Iterator[Finding]:
    from pasquin.engines import choose_engine

    try:
        choose_engine(path)
    except (KeyError, TypeError, ValueError, AttributeError) as exc:  # what an engine wants to know is not there
        yield _finding(
            *(f"model {path.name}", "problem", f"The config.json of the model `{path.name}` is incomplete ({exc})."),
            _again(workspace, path),
        )
    except PasquinError as exc:
        yield _finding(f"model {path.name}", "problem", str(exc), "pip install 'pasquin[openvino]' or 'pasquin[train]'")


def _leftover(path: Path, command: str, next_one: str) -> Finding:
    size = bytes_said(sum(file.stat().st_size for file in path.rglob("*") if file.is_file()))
    return _finding(path.parent.name, "note", f"A killed {command} left {path.name} ({size}).", f"Nothing: {next_one}.")


def _folders(folder: Path, barred: Barred) -> list[Path]:
    """The folders in a folder, without those in which this user may not read everything."""
    there = sorted(folder.iterdir()) if folder.is_dir() and folder not in barred else []
    return [path for path in there if path.is_dir() and not barred.touches(path)]
