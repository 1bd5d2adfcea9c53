"""Learning from people: a trained model becomes likelier to write what they liked than what they did not.

The method is KTO (Ethayarajh et al. 2024, https://arxiv.org/abs/2402.01306) by the library trl, which needs no pairs: a
decision is an example. All weights learn, beside a copy that stays as it was. What came of it is measured on a fifth of
the decisions, which were not learned from, and on the held-out posts, since a model that only pleases forgets.

Needs `pip install 'pasquin[feedback]'`.
"""

from __future__ import annotations

import random
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from pasquin.config import TrainSettings
from pasquin.counts import counted
from pasquin.errors import Interrupted, ModelError, ResourceError, UsageError
from pasquin.post_format import PostFormat, load_tokenizer
from pasquin.progress import Progress
from pasquin.records import CorpusPost
from pasquin.train.opinions import Opinion, read_opinions
from pasquin.workspace import Workspace
from pasquin.workspace.files import file_hash, write_manifest

LEARNING_RATE: Final = 2e-5
EPOCHS: Final = 3.0
BATCH: Final = 8
METHOD: Final = "kto"


def learn_from_feedback(
    workspace: Workspace,
    parent: str,
    name: str,
    posts: Mapping[str, list[CorpusPost]],
    settings: TrainSettings,
    progress: Progress,
) -> dict[str, Any]:
    """Make the model `name` of the model `parent` and what people said of texts of its corpus; `posts` are that corpus.

    Of the settings `epochs`, `steps`, `minutes`, `learning_rate`, `freeze` and `seed` matter. Returns what `train`
    returns (`best_step` is the last one, which is kept), and `parent`,
    `feedback: {liked, disliked, held_out}` and `auc: {before, after, reward}`: the chance that of a liked and a
    disliked held-out text the liked one is likelier (a token) to the model before and after, and that it gained more.

    Raises CorpusError when there are too few opinions, ModelError, ResourceError without trl, UsageError, Interrupted.
    """
    from pasquin.store import Store

    if name == parent:
        raise UsageError(f"The model `{parent}` is learned from, so the new one needs another name: --name {parent}-2.")
    manifest = workspace.model_manifest(parent)
    store = Store.of(workspace)
    try:
        opinions = read_opinions(store, str(manifest["corpus"]))
    finally:
        store.close()
    try:
        import trl  # noqa: F401
    except ImportError as exc:
        raise ResourceError("Learning from people needs trl: install `pip install 'pasquin[feedback]'`.") from exc
    from pasquin.train.execution import _replace, finish_replacing

    final = workspace.model_dir(name)
    finish_replacing(final)
    with tempfile.TemporaryDirectory(prefix=f".{name}-", dir=final.parent) as temporary:
        folder = Path(temporary) / "model"
        folder.mkdir()
        made = _learn(workspace, manifest, name, opinions, posts, settings, folder, progress)
        _replace(final, folder)
    return made


def _learn(
    workspace: Workspace,
    parent: Mapping[str, Any],
    name: str,
    opinions: Sequence[Opinion],
    posts: Mapping[str, list[CorpusPost]],
    settings: TrainSettings,
    folder: Path,
    progress: Progress,
) -> dict[str, Any]:
    from pasquin.train import card
    from pasquin.train.checkpoint import weight_errors
    from pasquin.train.evaluate import COPY_SAMPLES, CopyProbe, Validation, sample
    from pasquin.train.examples import encode, evaluation_posts
    from pasquin.train.learner import freeze_lower
    from pasquin.train.loss import Loss

    source = workspace.model_dir(str(parent["name"]))
    learner = _learner(source)
    if settings.freeze:
        freeze_lower(learner.network, settings.freeze, "full")
    held_out = [opinion for opinion in opinions if opinion.held_out]
    posts_held_out = encode(evaluation_posts(posts["validation"]), learner.post_format, learner.tokenizer, 1024)
    validation = Validation(posts_held_out, learner.post_format.end_id)
    loss = Loss(learner)
    bits, before = {"before": validation.bits_per_byte(loss)}, _likelihoods(loss, held_out)
    began = time.monotonic()
    learned = [opinion for opinion in opinions if not opinion.held_out]
    kept = counted(len(held_out), "is", "are")
    progress.say(f"Learning from {counted(len(learned), 'opinion')}; {kept} kept back to measure with.")
    with _interruptions():
        steps, passes = _trained(learner, learned, settings)
    seconds = time.monotonic() - began
    loss = Loss(learner)
    bits["after"], after = validation.bits_per_byte(loss), _likelihoods(loss, held_out)
    tokens = round(sum(len(_example(learner, one)[0]) for one in learned) * passes)
    liked = [opinion.liked for opinion in held_out]
    auc = {
        "before": area([score / length for score, length in before], liked),
        "after": area([score / length for score, length in after], liked),
        "reward": area([now - then for (now, _), (then, _) in zip(after, before, strict=True)], liked),
    }
    result = {
        "model": name,
        "base": str(parent["base"]),
        "seconds": round(seconds, 2),
        "tokens": tokens,
        "tokens_per_second": round(tokens / max(seconds, 1e-9), 1),
        "bits_per_byte": {key: round(value, 4) for key, value in bits.items()},
        "best_step": steps,
        "verbatim_rate": round(CopyProbe(posts["train"]).rate(sample(learner, COPY_SAMPLES, settings.seed)), 4),
        "parent": str(parent["name"]),
        "feedback": {
            "liked": sum(opinion.liked for opinion in opinions),
            "disliked": sum(not opinion.liked for opinion in opinions),
            "held_out": len(held_out),
        },
        "auc": {key: round(value, 4) for key, value in auc.items()},
    }
    manifest = {
        **parent,
        "name": name,
        "method": METHOD,
        "parent": {"name": parent["name"], "hash": parent["hash"]},
        "settings": settings.model_dump(),
        "seed": settings.seed,
        "versions": {**parent["versions"], "pasquin": version("pasquin"), "trl": version("trl")},
        "result": result,
        "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    with weight_errors("write the model"):
        learner.hf_tokenizer.save_pretrained(folder)
        shutil.copyfile(source / "tokenizer.json", folder / "tokenizer.json")
        network = learner.network
        network.config.use_cache = True
        network.save_pretrained(folder)
        learner.post_format.save(folder)
        card.write_card(folder, manifest, workspace.corpus_manifest(str(parent["corpus"])), [])
        manifest["hash"] = file_hash(next(folder.glob("model*.safetensors")))
        write_manifest(folder, manifest)
    return result


def area(scores: Sequence[float], liked: Sequence[bool]) -> float:
    """The chance that a liked one scores higher than a disliked one, ties half (Mann and Whitney); there are both."""
    high = [score for score, good in zip(scores, liked, strict=True) if good]
    low = [score for score, good in zip(scores, liked, strict=True) if not good]
    return sum((one > other) + 0.5 * (one == other) for one in high for other in low) / (len(high) * len(low))


def _learner(source: Path) -> Any:
    import torch
    import transformers

    from pasquin.train.learner import Learner, bf16_is_faster

    post_format = PostFormat.load(source)
    try:
        tokenizer: Any = transformers.AutoTokenizer.from_pretrained(str(source))
        network: Any = transformers.AutoModelForCausalLM.from_pretrained(str(source), dtype=torch.float32)
    except (OSError, ValueError, KeyError) as exc:
        raise ModelError(f"{source} cannot be loaded ({str(exc).splitlines()[0]}). Train it again.") from exc
    tokenizer.eos_token = tokenizer.convert_ids_to_tokens(post_format.end_id)
    network.config.use_cache = False
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return Learner(
        network=network.to(device),
        tokenizer=load_tokenizer(source),
        hf_tokenizer=tokenizer,
        post_format=post_format,
        method="full",
        device=device,
        bf16=bf16_is_faster(device),
    )


def _example(learner: Any, opinion: Opinion) -> tuple[tuple[int, ...], int]:
    account = opinion.account if opinion.account in learner.post_format.accounts else None
    found: tuple[tuple[int, ...], int] = learner.post_format.example_ids(learner.tokenizer, opinion.text, account)
    return found


def _likelihoods(loss: Any, opinions: Sequence[Opinion]) -> list[tuple[float, int]]:
    """Log-likelihood (nats) of each text and its end, and how many tokens that are."""
    from pasquin.train.examples import Example, tensors

    learner = loss.learner
    found = []
    learner.network.eval()
    for opinion in opinions:
        ids, prompt = _example(learner, opinion)
        example = Example(ids, prompt, len(opinion.text.encode()))
        found.append((-loss.nats(*tensors([example], learner.post_format.end_id)), len(ids) - prompt))
    return found


def _trained(learner: Any, opinions: Sequence[Opinion], settings: TrainSettings) -> tuple[int, float]:
    """Let trl change the learner's weights; how many steps it took, and how many passes over the opinions."""
    import datasets
    import torch
    import transformers
    from trl.trainer.kto_config import KTOConfig
    from trl.trainer.kto_trainer import KTOTrainer

    # Shuffled once: a text is paired with its neighbour's prompt beforehand, so the order given is kept to.
    opinions = random.Random(settings.seed).sample(opinions, len(opinions))
    rows = _rows(learner, opinions)
    liked = sum(opinion.liked for opinion in opinions)
    level = transformers.logging.get_verbosity()
    transformers.logging.set_verbosity_error()
    datasets.disable_progress_bars()
    try:
        with tempfile.TemporaryDirectory(prefix="pasquin-") as scratch, torch.random.fork_rng():
            config = KTOConfig(
                output_dir=scratch,
                num_train_epochs=settings.epochs or EPOCHS,
                max_steps=settings.steps or -1,
                learning_rate=settings.learning_rate or LEARNING_RATE,
                per_device_train_batch_size=BATCH,
                desirable_weight=max(1.0, (len(opinions) - liked) / max(1, liked)),
                undesirable_weight=max(1.0, liked / max(1, len(opinions) - liked)),
                max_length=min(learner.context, 1024),
                train_sampling_strategy="sequential",
                gradient_checkpointing=False,
                seed=settings.seed,
                use_cpu=learner.device.type == "cpu",
                bf16=learner.bf16,
                save_strategy="no",
                report_to="none",
                logging_strategy="no",
                disable_tqdm=True,
            )
            trainer = KTOTrainer(
                model=learner.network,
                args=config,
                train_dataset=datasets.Dataset.from_list(_as_text(learner, opinions)),
                processing_class=learner.hf_tokenizer,
                callbacks=[_bound(settings.minutes)],
            )
            trainer.remove_callback(transformers.PrinterCallback)  # it prints to stdout, which is for results
            # Its own tokens are of prompt and text in one piece, where a special token spelled out is special.
            trainer.train_dataset = datasets.Dataset.from_list(rows)
            trainer.train()
            return int(trainer.state.global_step), float(trainer.state.epoch or 0)
    finally:
        transformers.logging.set_verbosity(level)
        datasets.enable_progress_bars()


def _rows(learner: Any, opinions: Sequence[Opinion]) -> list[dict[str, Any]]:
    """What trl makes of `_as_text`, with the tokens that generation will see. Within a batch each prompt also has the
    text of the opinion before, from which the method estimates how far the model has moved."""
    examples = [_example(learner, opinion) for opinion in opinions]
    texts = [list(ids[prompt:]) for ids, prompt in examples]
    rows = []
    for at, ((ids, prompt), opinion) in enumerate(zip(examples, opinions, strict=True)):
        before = at - 1 if at % BATCH else min(at + BATCH, len(texts)) - 1
        rows.append(
            {
                "label": opinion.liked,
                "prompt_ids": list(ids[:prompt]),
                "completion_ids": texts[at],
                "KL_completion_ids": texts[before],
            }
        )
    return rows


def _as_text(learner: Any, opinions: Sequence[Opinion]) -> list[dict[str, Any]]:
    rows = []
    for opinion in opinions:
        ids, prompt = _example(learner, opinion)
        shown = learner.hf_tokenizer.decode(ids[:prompt])
        rows.append({"prompt": shown, "completion": opinion.text, "label": opinion.liked})
    return rows


def _bound(minutes: float | None) -> Any:
    """What ends a training of transformers after so many minutes."""
    from transformers import TrainerCallback

    end = time.monotonic() + 60 * minutes if minutes else float("inf")

    class Bound(TrainerCallback):  # type: ignore[misc]
        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            control.should_training_stop |= time.monotonic() >= end

    return Bound()


@contextmanager
def _interruptions() -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        raise Interrupted("Stopped; the model is as it was. Run the same command to begin again.") from None
