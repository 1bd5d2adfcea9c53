"""One training from beginning to end: load or resume, run, measure, and put the finished model in its place."""

from __future__ import annotations

import os
import platform
import shutil
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final, Literal

import torch

from pasquin.config import TrainSettings
from pasquin.counts import counted
from pasquin.errors import CorpusError, Interrupted, ModelError, UsageError
from pasquin.progress import Progress
from pasquin.records import CorpusPost
from pasquin.train import card
from pasquin.train.batch_size import most_tokens
from pasquin.train.checkpoint import (
    FOLDER,
    check_space,
    last_checkpoint,
    load_checkpoint,
    save_checkpoint,
    weight_errors,
)
from pasquin.train.compiling import compile_or_say, wants_compiled
from pasquin.train.evaluate import COPY_SAMPLES, CopyProbe, Validation, sample
from pasquin.train.examples import conditions, encode, evaluation_posts
from pasquin.train.learner import Learner, base_of, check_base, load_learner
from pasquin.train.loop import Run
from pasquin.train.loss import Loss
from pasquin.train.memory import kept_memory
from pasquin.train.preflight import plan
from pasquin.train.report import write_report
from pasquin.train.scratch import make_base
from pasquin.workspace import Workspace
from pasquin.workspace.files import file_hash, read_manifest, write_manifest

BASE_FOLDER: Final = "base"
BOUNDS: Final = frozenset({"minutes", "epochs", "steps", "patience", "compile", "memory_gb"})
"""Settings that a resumed run may change; all others belong to the run."""


def execute(
    workspace: Workspace,
    name: str,
    corpus: str,
    corpus_manifest: Mapping[str, Any],
    posts: Mapping[str, list[CorpusPost]],
    settings: TrainSettings,
    resume: bool | Literal["auto"],
    progress: Progress,
    on_cluster: bool = False,
) -> dict[str, Any]:
    """`train`, with everything read and the model's name locked."""
    final = workspace.model_dir(name)
    finish_replacing(final)
    checkpoints = final / FOLDER
    identity = {"corpus": corpus, "corpus_hash": str(corpus_manifest["hash"])}
    found = _checkpoint(checkpoints, identity, settings, resume, name)
    snapshot: dict[str, Any] | None = None
    if found is not None:
        snapshot, kept = load_checkpoint(found)
        settings = _resumed_settings(kept, settings)
    if not settings.from_scratch:
        check_base(settings.model)  # before anything is removed for this run
    if found is None and checkpoints.exists():
        shutil.rmtree(checkpoints)
    final.parent.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix=f".{name}-", dir=final.parent) as temporary,
        torch.random.fork_rng(),
        kept_memory(),
    ):
        folder = Path(temporary) / "model"
        folder.mkdir()
        base = _scratch(checkpoints, posts, settings, snapshot is not None, progress)
        learner = load_learner(settings, conditions(posts["train"]), folder, progress, base)
        settings = settings.model_copy(update={"method": learner.method})  # also where its minutes are changed later
        if snapshot is not None:
            learner.bf16 = snapshot["bf16"]
        run = _run(learner, posts, settings, progress, snapshot)
        if on_cluster:
            from pasquin.train.shares import Shares

            run.shares = Shares(settings, learner.post_format.accounts, learner.bf16, progress, base)
        check_space(final.parent, 2 * _checkpoint_bytes(run))
        run.evaluated = lambda history: write_report(final, name, history, settings, finished=False)
        if snapshot is None:
            run.start()
        else:
            run.restore(snapshot)
            del snapshot
            progress.say(f"Going on at step {run.state.step:,}.")
        marks = {"kind": "checkpoint", **identity, "base": base_of(settings), "settings": settings.model_dump()}

        def save() -> None:
            save_checkpoint(checkpoints, run.state.step, run.snapshot(), {**marks, "step": run.state.step})

        finished = run.go(save)
        if run.shares is not None:
            run.shares.close()
        if not finished:
            flag = "" if name == corpus else f" --name {name}"
            raise Interrupted(
                f"Stopped at step {run.state.step:,}; everything is saved. "
                f"Go on with `pasquin train {corpus}{flag} --resume`."
            )
        run.restore_best()
        manifest = _manifest(name, run, identity, settings)
        _write_model(folder, run, manifest, corpus_manifest, settings)
        _replace(final, folder)
    result: dict[str, Any] = manifest["result"]
    return result


def _checkpoint(
    folder: Path, identity: Mapping[str, str], settings: TrainSettings, resume: bool | Literal["auto"], name: str
) -> Path | None:
    """The checkpoint to go on from, None to begin afresh; ModelError when `resume` is asked and impossible."""
    if not resume:
        return None
    path = last_checkpoint(folder)
    if path is None:
        if resume == "auto":
            return None
        finished = read_manifest(folder.parent) is not None
        raise ModelError(
            f"There is nothing to resume: the training of `{name}` "
            + ("is finished" if finished else "has saved no checkpoint yet")
            + ". Train it anew without --resume."
        )
    manifest = read_manifest(path) or {}
    same = all(manifest.get(key) == value for key, value in identity.items())
    if resume == "auto":
        expected = settings.model_dump(exclude={*BOUNDS, *(() if settings.method else ("method",))})
        kept = manifest.get("settings")
        alike = isinstance(kept, dict) and expected.items() <= _without_bounds(kept).items()
        return path if same and alike else None
    if not same:
        raise ModelError(
            f"The checkpoint of `{name}` was made from another corpus or another version of it. "
            "Train again without --resume."
        )
    return path


def _without_bounds(settings: Mapping[str, object]) -> dict[str, object]:
    return {key: value for key, value in settings.items() if key not in BOUNDS}


def _resumed_settings(manifest: Mapping[str, Any], given: TrainSettings) -> TrainSettings:
    """The interrupted run's settings, with bounds given now in place of its own.

    Raises UsageError when a setting given now would make it another run.
    """
    kept: dict[str, Any] = dict(manifest["settings"])
    asked = {key: getattr(given, key) for key in given.model_fields_set}
    for key, value in asked.items():
        if key not in BOUNDS and value is not None and kept.get(key) != value:
            raise UsageError(
                f"The interrupted training has {key} {kept.get(key)}, not {value}: a resumed run keeps its settings. "
                f"Leave {key} out, or train again without --resume."
            )
    bounds = {key: value for key, value in asked.items() if key in BOUNDS and value is not None}
    if {"minutes", "epochs", "steps"} & set(bounds):
        kept |= {"minutes": None, "epochs": None, "steps": None}
    return TrainSettings(**{**kept, **bounds})


def _scratch(
    checkpoints: Path,
    posts: Mapping[str, list[CorpusPost]],
    settings: TrainSettings,
    resuming: bool,
    progress: Progress,
) -> Path | None:
    """The base of a model from scratch: made now, or the one beside the checkpoint; None when there is another base."""
    if not settings.from_scratch:
        return None
    folder = checkpoints / BASE_FOLDER
    if resuming and read_manifest(folder) is None:
        raise ModelError(f"{folder}, with which the training began, is missing. Train again without --resume.")
    if not resuming:
        progress.say("Making a tokenizer from the posts, and a model around it.")
        make_base(folder, (post.text for post in posts["train"]), settings)
    return folder


def _run(
    learner: Learner,
    posts: Mapping[str, list[CorpusPost]],
    settings: TrainSettings,
    progress: Progress,
    snapshot: Mapping[str, Any] | None,
) -> Run:
    longest = min(learner.context, 1024)
    encoded = encode(posts["train"], learner.post_format, learner.tokenizer, longest)
    held_out = encode(evaluation_posts(posts["validation"]), learner.post_format, learner.tokenizer, longest)
    if not encoded or not held_out:
        raise CorpusError(f"Every post is longer than the {longest} tokens this model reads. Prepare shorter posts.")
    if left_out := len(posts["train"]) - len(encoded):
        progress.say(f"{counted(left_out, 'post is', 'posts are')} longer than {longest} tokens and left out.")
    loss = Loss(learner)
    if wants_compiled(loss, settings, encoded, snapshot["run"].get("compiled", False) if snapshot else None):
        compile_or_say(loss, progress)
    validation = Validation(held_out, learner.post_format.end_id)
    most = max(len(post.conditioned.ids) for post in encoded)
    kept = (snapshot["run"]["micro_tokens"], snapshot["run"]["recompute"]) if snapshot else None
    way = plan(loss, settings, most, resuming=snapshot is not None, kept=kept if kept and kept[0] else None)
    if way.recompute:
        loss.use_recompute()
    if way.recompute or way.micro_tokens < most_tokens(settings):
        progress.say(
            f"Memory is short: batches are learned in parts of {way.micro_tokens:,} tokens"
            + (
                ", and layers are computed a second time instead of being kept (a third slower)."
                if way.recompute
                else "."
            )
        )
    run = Run(learner, loss, encoded, validation, CopyProbe(posts["train"]), settings, progress)
    run.way = way
    return run


def _checkpoint_bytes(run: Run) -> int:
    """Weights and two moments in float32, and the best weights."""
    return sum(weight.numel() for weight in run.weights.values()) * 16


def _manifest(name: str, run: Run, identity: Mapping[str, str], settings: TrainSettings) -> dict[str, Any]:
    learner, state = run.learner, run.state
    bits = {"before": state.before, "after": state.best_bits}
    if learner.post_format.accounts:
        bits["conditioned"] = run.validation.bits_per_byte(run.loss, conditioned=True)
    texts = sample(learner, COPY_SAMPLES, seed=settings.seed)
    result = {
        "model": name,
        "base": base_of(settings),
        "seconds": round(state.seconds, 2),
        "tokens": state.tokens,
        "tokens_per_second": round(state.tokens / max(state.seconds, 1e-9), 1),
        "bits_per_byte": {key: round(value, 4) for key, value in bits.items()},
        "best_step": state.best_step,
        "verbatim_rate": round(run.copies.rate(texts), 4),
    }
    return {
        "kind": "model",
        "name": name,
        "base": result["base"],
        **identity,
        "method": learner.method,
        "settings": settings.model_dump(),
        "seed": settings.seed,
        "accounts": list(learner.post_format.accounts),
        "versions": {
            "pasquin": version("pasquin"),
            "python": platform.python_version(),
            **{package: version(package) for package in ("torch", "transformers", "tokenizers")},
        },
        "result": result,
        "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _write_model(
    folder: Path, run: Run, manifest: dict[str, Any], corpus_manifest: Mapping[str, Any], settings: TrainSettings
) -> None:
    """Weights, format, history, plot, card and, last, the manifest. LoRA weights are merged, and kept apart too."""
    learner = run.learner
    with weight_errors("write the model"):
        network = learner.network
        if learner.method == "lora":
            network.save_pretrained(folder / "adapter")
            network = network.merge_and_unload()
        if learner.bf16:
            network = network.to(torch.bfloat16)
        network.config.use_cache = True
        network.save_pretrained(folder)
        learner.post_format.save(folder)
        card.write_history(folder, run.state.history)
        card.write_plot(folder, run.state.history)
        write_report(folder, str(manifest["name"]), run.state.history, settings, finished=True)
        card.write_card(folder, manifest, corpus_manifest, run.state.history)
        manifest["hash"] = file_hash(next(folder.glob("model*.safetensors")))
        write_manifest(folder, manifest)


def _replace(final: Path, folder: Path) -> None:
    """Put the finished model where the unfinished or older one is (its checkpoints go with it)."""
    old = final.with_name(f".{final.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if final.exists():
        final.rename(old)
    os.rename(folder, final)
    shutil.rmtree(old, ignore_errors=True)


def finish_replacing(final: Path) -> None:
    """Bring an older model back when a kill came between the two renames of `_replace`."""
    old = final.with_name(f".{final.name}.old")
    if old.exists() and not final.exists():
        old.rename(final)
