"""Train: a language model learns the posts of a corpus.

    result = train(workspace, "vc", settings=TrainSettings(minutes=7))

Every post is its own example between boundary tokens (`post_format`), one post a row, so no post sees another
(`examples`); any causal language model learns (`learner`, `loss`), those of the llama family by written-out passes
(`llama`, of `products`, `passes` and `adamw`), whole or low-rank; bits per byte on held-out posts are measured before,
during and after, and decide what is kept (`loop`, `evaluate`); a run that is stopped or killed goes on from its last
whole checkpoint (`checkpoint`). The finished model directory has the Hugging Face layout with `post_format.json`,
`history.jsonl`, `loss.svg`, a model card (`card`) and, last, `manifest.json`.

Not covered: several GPUs, models that do not fit in memory, quantised training.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pasquin.config import TrainSettings
from pasquin.counts import counted
from pasquin.errors import CorpusError, Interrupted, UsageError
from pasquin.progress import Progress, Silent
from pasquin.threads import spin_briefly
from pasquin.workers import open_workers
from pasquin.workspace import Workspace, check_name

if TYPE_CHECKING:
    from pasquin.records import CorpusPost

MINIMUM_POSTS = 20
"""Training posts below which there is nothing to learn but copies."""


def train(
    workspace: Workspace,
    corpus: str,
    *,
    name: str | None = None,
    resume: bool | Literal["auto"] = False,
    from_feedback: bool | str = False,
    settings: TrainSettings | None = None,
    on: str | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Train a model called `name` (default: the corpus's name) on `corpus` and return its figures.

    Returns `{model, base, seconds, tokens, tokens_per_second, bits_per_byte: {before, after, conditioned?}, best_step,
    verbatim_rate}`: seconds of training with its evaluations and checkpoints, tokens read without padding, bits per
    UTF-8 byte of held-out posts without (and with) their account, share of samples that copy a training post.

    `resume` goes on from the last checkpoint with that run's settings; minutes, epochs, steps and patience given now
    replace its own; "auto" does so when there is a checkpoint of a run with the same corpus, base and settings. A
    finished model of the same name stays usable until the new one replaces it. `on` a Ray cluster (see
    `workers.open_workers`) every node works out a share of each batch.

    With `from_feedback` the corpus's model (or the model of that name) learns what people liked of what was generated
    (`feedback`), and becomes a new one, by default called as before with `-liked` behind.

    Raises CorpusError (missing, too small), ModelError (base model or checkpoint unusable), NetworkError (base model
    out of reach), ResourceError (disk, memory), UsageError (settings), Interrupted (Ctrl-C; the state is saved).
    """
    if from_feedback:
        parent = from_feedback if isinstance(from_feedback, str) else corpus
        settings, progress = settings or TrainSettings(), progress or Silent()
        _refuse_what_people_cannot_teach(settings, resume, on)
        return _from_feedback(workspace, corpus, parent, name, settings, progress)
    name = check_name(name or corpus, "model")
    progress = progress or Silent()
    settings = settings or TrainSettings()
    manifest = workspace.corpus_manifest(corpus)
    posts = _posts(workspace, corpus)
    spin_briefly()
    from pasquin.train.execution import execute

    try:
        with workspace.lock(f"train-{name}"), open_workers(on, 1):
            return execute(workspace, name, corpus, manifest, posts, settings, resume, progress, on is not None)
    except KeyboardInterrupt:
        raise Interrupted(
            f"Stopped. Go on from the last checkpoint, if one was saved, with `pasquin train {corpus}"
            f"{'' if name == corpus else f' --name {name}'} --resume`."
        ) from None


def _from_feedback(
    workspace: Workspace,
    corpus: str,
    parent: str,
    name: str | None,
    settings: TrainSettings,
    progress: Progress,
) -> dict[str, Any]:
    """`train`, of the model `parent` that is there, from what people said."""
    parent = check_name(parent, "model")
    name = check_name(name or f"{parent}-liked", "model")
    posts = _posts(workspace, corpus)
    spin_briefly()
    from pasquin.train.feedback import learn_from_feedback

    with workspace.lock(f"train-{name}"):
        return learn_from_feedback(workspace, parent, name, posts, settings, progress)


def _refuse_what_people_cannot_teach(settings: TrainSettings, resume: bool | Literal["auto"], on: str | None) -> None:
    """Raise UsageError for what learning from people would pass over in silence."""
    why = "Learning from people"
    if resume is True:
        raise UsageError(f"{why} takes minutes and cannot be resumed: leave out --resume.")
    if on is not None:
        raise UsageError(f"{why} takes minutes and one machine: leave out --on.")
    if settings.method == "lora":
        raise UsageError(f"{why} trains whole weights: leave out --lora, or say --full where pasquin.toml says lora.")
    if settings.from_scratch:
        raise UsageError(f"{why} goes on from a model that is there: leave out --from-scratch.")
    if settings.compile:
        raise UsageError(f"{why} is too short to compile the model for: say --no-compile.")


def _posts(workspace: Workspace, corpus: str) -> dict[str, list[CorpusPost]]:
    from pasquin.workspace.corpora import read_corpus

    posts = {
        "train": read_corpus(workspace, corpus, "train"),
        "validation": read_corpus(workspace, corpus, "validation"),
    }
    if len(posts["train"]) < MINIMUM_POSTS or not posts["validation"]:
        raise CorpusError(
            f"The corpus `{corpus}` is too small to train on ({len(posts['train'])} train and "
            f"{counted(len(posts['validation']), 'validation post')}; at least {MINIMUM_POSTS} and 1 are needed, "
            f"thousands are comfortable). Collect more posts, then run `pasquin prepare {corpus}` again."
        )
    return posts
