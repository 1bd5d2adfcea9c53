"""Training: it learns, it stops and goes on exactly, it leaves a whole model or none, and it says what is wrong."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
from collections import namedtuple
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from invented import make_corpus, posts
from pasquin.config import TrainSettings
from pasquin.errors import CorpusError, Interrupted, ModelError, ResourceError, UsageError
from pasquin.post_format import PostFormat, load_tokenizer
from pasquin.progress import Silent
from pasquin.threads import spin_briefly
from pasquin.train import train
from pasquin.train.batch_size import batch_tokens
from pasquin.train.checkpoint import FOLDER as CHECKPOINTS
from pasquin.train.examples import batches, conditions, encode, epoch_batches, tensors
from pasquin.workspace import Workspace
from pasquin.workspace.files import file_hash, read_manifest, write_manifest
from tiny_model import make_tiny_model


def corpus(
    workspace: Workspace, name: str = "village", n: int = 160, handles: tuple[str, ...] = ("ann", "bob")
) -> None:
    """A corpus of invented posts: most train, 12 validation, the rest test."""
    made = posts(n, handles=handles, test_share=0.1)
    make_corpus(workspace, name, [replace(post, split="validation") if i < 12 else post for i, post in enumerate(made)])
    folder = workspace.corpus_dir(name)
    manifest = read_manifest(folder) or {}
    write_manifest(folder, {**manifest, "hash": file_hash(folder / "posts.parquet"), "dropped": {"reply": 7}})


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """A tiny model gains nothing from a second thread, and loses much where the machine is busy."""
    import torch

    torch.set_num_threads(1)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    made = Workspace.create(tmp_path / "ws")
    corpus(made)
    return made


def settings(model: Path, **values: object) -> TrainSettings:
    given = {"model": str(model), "batch_tokens": 300, "steps": 24, "learning_rate": 3e-3, **values}
    return TrainSettings(**given)  # type: ignore[arg-type]


class InterruptAt(Silent):
    """Presses Ctrl-C when the bar has moved `moves` times.

    By calling what handles the signal: a signal itself also meets whatever other tests have loaded into this process.
    A real one is sent to a real run in test_path.py.
    """

    def __init__(self, moves: int) -> None:
        self.moves = moves

    @contextmanager
    def task(self, label: str, total: float | None, unit: str) -> Iterator[InterruptAt]:  # type: ignore[override]
        yield self

    def advance(self, amount: float = 1, note: str = "") -> None:
        self.moves -= 1
        if self.moves == 0:
            handle = signal.getsignal(signal.SIGINT)
            assert callable(handle)
            handle(signal.SIGINT, None)

    def set_total(self, total: float) -> None:
        pass


def test_training_leaves_a_complete_model_that_learned(workspace: Workspace, tiny_model: Path) -> None:
    result = train(workspace, "village", settings=settings(tiny_model))
    bits = result["bits_per_byte"]
    assert bits["after"] < 0.8 * bits["before"]
    assert set(result) == {
        "model", "base", "seconds", "tokens", "tokens_per_second", "bits_per_byte", "best_step", "verbatim_rate",
    }  # fmt: skip
    folder = workspace.model_dir("village")
    manifest = workspace.model_manifest("village")
    assert manifest["result"] == result
    assert manifest["accounts"] == ["ann", "bob"]
    assert manifest["method"] == "full"
    assert manifest["corpus_hash"] == workspace.corpus_manifest("village")["hash"]
    assert manifest["hash"] == file_hash(folder / "model.safetensors")
    assert not (folder / "checkpoints").exists()
    assert [path.name for path in folder.parent.iterdir()] == ["village"]
    history = [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]
    assert history[0]["step"] == 0
    assert history[-1]["step"] == 24
    assert history[0]["train"] is None
    assert min(entry["validation"] for entry in history) == pytest.approx(bits["after"], abs=1e-4)
    assert (folder / "loss.svg").read_text().count("<svg") == 1
    card = (folder / "README.md").read_text()
    assert "I am a bot" in card
    assert "| left out: reply | 7 |" in card
    assert str(manifest["corpus_hash"]) in card

    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder)
    post_format = PostFormat.load(folder)
    assert (model.config.bos_token_id, model.config.eos_token_id) == (post_format.start_id, post_format.end_id)
    assert load_tokenizer(folder).id_to_token(post_format.start_id) == "<|im_start|>"


def test_interrupted_and_resumed_equals_uninterrupted(
    workspace: Workspace, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # a measurement; on a machine busy with other things it may come out differently for the second run
    monkeypatch.setattr("pasquin.train.learner.bf16_is_faster", lambda _: True)
    given = settings(tiny_model)
    train(workspace, "village", name="whole", settings=given)
    with pytest.raises(Interrupted, match=r"pasquin train village --name parts --resume"):
        train(workspace, "village", name="parts", settings=given, progress=InterruptAt(9))
    with pytest.raises(ModelError, match="--resume"):
        workspace.model_manifest("parts")
    with pytest.raises(Interrupted):
        train(workspace, "village", name="parts", resume=True, progress=InterruptAt(8))
    result = train(workspace, "village", name="parts", resume="auto", settings=given)
    whole, parts = workspace.model_manifest("whole"), workspace.model_manifest("parts")
    assert parts["hash"] == whole["hash"]
    assert result["bits_per_byte"] == whole["result"]["bits_per_byte"]  # type: ignore[index]
    assert result["tokens"] == whole["result"]["tokens"]  # type: ignore[index]


def test_low_rank_training_with_new_tokens_is_exact_and_merged(
    tmp_path: Path, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pasquin.train.learner.bf16_is_faster", lambda _: False)
    bare = make_tiny_model(tmp_path / "bare", kind="bare")
    given = settings(bare, method="lora", steps=10)
    with pytest.raises(Interrupted):
        train(workspace, "village", settings=given, progress=InterruptAt(4))
    resumed = train(workspace, "village", resume=True)
    straight = train(workspace, "village", name="straight", settings=given)
    assert resumed["bits_per_byte"] == straight["bits_per_byte"]
    folder = workspace.model_dir("village")
    assert (folder / "adapter" / "adapter_model.safetensors").is_file()
    assert load_tokenizer(folder).id_to_token(PostFormat.load(folder).end_id) == "<|endofpost|>"

    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder)
    assert not any("lora" in name for name, _ in model.named_parameters())
    assert model.get_input_embeddings().num_embeddings == load_tokenizer(folder).get_vocab_size()


def test_a_short_run_learns_low_rank_weights_and_goes_on_so_when_it_gets_longer(
    workspace: Workspace, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pasquin.train.learner.bf16_is_faster", lambda _: False)
    short = settings(tiny_model, minutes=1, steps=10)
    with pytest.raises(Interrupted):
        train(workspace, "village", settings=short, progress=InterruptAt(4))
    longer = TrainSettings(minutes=60, steps=10)
    resumed = train(workspace, "village", settings=longer, resume=True)
    straight = train(workspace, "village", name="straight", settings=short)
    assert resumed["bits_per_byte"] == straight["bits_per_byte"]
    assert resumed["bits_per_byte"]["after"] < resumed["bits_per_byte"]["before"]
    for name in ("village", "straight"):
        manifest = json.loads((workspace.model_dir(name) / "manifest.json").read_text())
        assert manifest["method"] == manifest["settings"]["method"] == "lora"
        assert (workspace.model_dir(name) / "adapter" / "adapter_model.safetensors").is_file()


@pytest.mark.parametrize(
    ("given", "method"),
    [
        ({"minutes": 1}, "lora"),
        ({"minutes": 60}, "full"),
        ({"epochs": 1}, "full"),
        ({"minutes": 1, "freeze": 1}, "full"),
        ({"minutes": 1, "method": "full"}, "full"),
        ({"minutes": 60, "method": "lora"}, "lora"),
    ],
)
def test_how_is_trained_where_nobody_says(given: dict[str, Any], method: str, tiny_model: Path, tmp_path: Path) -> None:
    from pasquin.train.learner import load_learner

    learner = load_learner(TrainSettings(model=str(tiny_model), **given), (), tmp_path, Silent())
    assert learner.method == method


@pytest.mark.parametrize("kind", ["gpt2", "bare"])
def test_what_learns_new_tokens_or_has_no_written_out_passes_is_trained_in_full(kind: str, tmp_path: Path) -> None:
    from pasquin.train.learner import load_learner

    model = make_tiny_model(tmp_path / kind, kind=kind)
    (tmp_path / "made").mkdir()
    assert load_learner(TrainSettings(model=str(model), minutes=1), (), tmp_path / "made", Silent()).method == "full"


def test_gpt2_trains_between_its_one_special_token(tmp_path: Path, workspace: Workspace) -> None:
    model = make_tiny_model(tmp_path / "gpt2", kind="gpt2")
    result = train(workspace, "village", settings=settings(model, steps=10))
    assert result["bits_per_byte"]["after"] < result["bits_per_byte"]["before"]
    post_format = PostFormat.load(workspace.model_dir("village"))
    assert post_format.start_id == post_format.end_id == 0


def test_a_finished_model_stays_until_its_successor_is_finished(workspace: Workspace, tiny_model: Path) -> None:
    train(workspace, "village", settings=settings(tiny_model, steps=4))
    before = workspace.model_manifest("village")
    with pytest.raises(Interrupted):
        train(workspace, "village", settings=settings(tiny_model, steps=6), progress=InterruptAt(3))
    assert workspace.model_manifest("village") == before
    train(workspace, "village", resume=True)
    assert workspace.model_manifest("village")["hash"] != before["hash"]
    with pytest.raises(ModelError, match="is finished"):
        train(workspace, "village", resume=True)


def test_training_stops_when_held_out_posts_no_longer_improve(
    workspace: Workspace, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    figures = iter([9.0, 5.0, 4.0, 6.0, 7.0, 8.0])
    monkeypatch.setattr("pasquin.train.evaluate.Validation.bits_per_byte", lambda *_, **__: next(figures))
    result = train(workspace, "village", settings=settings(tiny_model, steps=80, patience=2))
    assert result["bits_per_byte"] == {"before": 9.0, "after": 4.0, "conditioned": 8.0}
    history = (workspace.model_dir("village") / "history.jsonl").read_text().splitlines()
    assert (result["best_step"], json.loads(history[-1])["step"]) == (20, 40)


def test_training_stops_when_the_model_begins_to_copy(
    workspace: Workspace, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bits = iter([9.0, 5.0, 4.0, 3.0, 2.0, 1.0, 1.0])
    shares = iter([0.0, 0.09, 0.2, 0.3, 0.0])
    monkeypatch.setattr("pasquin.train.evaluate.Validation.bits_per_byte", lambda *_, **__: next(bits))
    monkeypatch.setattr("pasquin.train.evaluate.CopyProbe.rate", lambda *_: next(shares))
    said: list[str] = []

    class Ears(Silent):
        def say(self, text: str) -> None:
            said.append(text)

    result = train(workspace, "village", settings=settings(tiny_model, steps=80), progress=Ears())
    assert result["bits_per_byte"]["after"] == 4.0  # of the last state that did not copy, however good later ones look
    folder = workspace.model_dir("village")
    history = [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]
    assert [entry.get("copied") for entry in history] == [None, 0.0, 0.09, 0.2, 0.3]
    assert (result["best_step"], history[-1]["step"]) == (20, 40)
    assert any("Stopping: more than 10% (max_copies)" in line for line in said)
    assert "| 30 |" in (folder / "README.md").read_text()
    assert " ".join(history[-1]["samples"][0].split()) in "\n".join(said)


def test_the_probe_tells_copies_from_new_texts(workspace: Workspace) -> None:
    from pasquin.train.evaluate import CopyProbe
    from pasquin.workspace.corpora import read_corpus

    train_posts = read_corpus(workspace, "village", "train")
    copies = [post.text.upper() for post in train_posts[:30]]
    new = [f"Nothing like this was ever said about turnips by anybody, {n}" for n in range(10)]
    assert CopyProbe(train_posts).rate([*copies, *new, ""]) == 0.75
    assert CopyProbe(train_posts).rate(["", ""]) == 0.0


def test_resume_refuses_another_run(workspace: Workspace, tiny_model: Path) -> None:
    with pytest.raises(ModelError, match="no checkpoint"):
        train(workspace, "village", resume=True)
    with pytest.raises(Interrupted):
        train(workspace, "village", settings=settings(tiny_model), progress=InterruptAt(3))
    with pytest.raises(UsageError, match="seed"):
        train(workspace, "village", resume=True, settings=TrainSettings(seed=5))
    corpus(workspace, n=150)
    with pytest.raises(ModelError, match="another corpus"):
        train(workspace, "village", resume=True)
    # "auto" begins afresh instead
    train(workspace, "village", resume="auto", settings=settings(tiny_model, steps=2))


def test_a_damaged_or_half_written_checkpoint(workspace: Workspace, tiny_model: Path) -> None:
    with pytest.raises(Interrupted):
        train(workspace, "village", settings=settings(tiny_model), progress=InterruptAt(3))
    folder = workspace.model_dir("village") / "checkpoints"
    (whole,) = folder.iterdir()
    half = folder / "step-99999999"
    half.mkdir()
    (half / "state.pt").write_bytes(b"PK half a checkpoint")  # killed before its manifest was written
    (folder / ".step-00000005.1.tmp").mkdir()
    with pytest.raises(Interrupted):
        train(workspace, "village", resume=True, progress=InterruptAt(4))
    (later,) = folder.iterdir()
    assert whole.name < later.name < "step-00000010"
    (later / "state.pt").write_bytes(b"broken")
    with pytest.raises(ModelError, match="damaged"):
        train(workspace, "village", resume=True)


def test_bad_base_models_are_said_to_be(workspace: Workspace, tiny_model: Path, tmp_path: Path) -> None:
    half = tmp_path / "half"
    shutil.copytree(tiny_model, half)
    weights = half / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:5000])
    with pytest.raises(ModelError, match="no whole causal language model"):
        train(workspace, "village", settings=settings(half))
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelError, match="no whole causal language model"):
        train(workspace, "village", settings=settings(tmp_path / "empty"))
    assert workspace.models() == []


@pytest.mark.parametrize("model", ["/nonexistent", "./here", "../there", "~/nowhere-at-all", "models/of/mine"])
def test_a_base_model_that_is_no_folder_is_not_looked_for_on_the_hub(workspace: Workspace, model: str) -> None:
    """And what an earlier run has kept to go on from stays."""
    kept = workspace.model_dir("village") / CHECKPOINTS / "step-1"
    kept.mkdir(parents=True)
    with pytest.raises(ModelError, match=f"no folder `{model}`.*path"):
        train(workspace, "village", settings=TrainSettings(model=model))
    assert kept.is_dir()


def test_too_few_posts_and_too_little_disk(
    workspace: Workspace, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_corpus(workspace, "three", posts(3))
    with pytest.raises(CorpusError, match="too small"):
        train(workspace, "three")
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10, 10, 0))
    with pytest.raises(ResourceError, match="GB"):
        train(workspace, "village", settings=settings(tiny_model))
    assert workspace.models() == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_while_saving_keeps_the_checkpoint_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    from pasquin.train.checkpoint import last_checkpoint, save_checkpoint

    save_checkpoint(tmp_path, 1, {"a": 1}, {"step": 1})
    real = torch.save
    monkeypatch.setattr(torch, "save", lambda state, path: real(state, "/dev/full"))
    with pytest.raises(ResourceError, match="disk"):
        save_checkpoint(tmp_path, 2, {"a": torch.zeros(1 << 20)}, {"step": 2})
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000001"]
    assert last_checkpoint(tmp_path) == tmp_path / "step-00000001"


def test_no_post_sees_another_and_padding_changes_nothing(tiny_model: Path) -> None:
    """A post's loss in a padded batch is its loss alone, in the loop's own code path."""
    from pasquin.train.learner import load_learner
    from pasquin.train.loss import Loss

    folder = tiny_model.parent / "tokenizer"
    folder.mkdir(exist_ok=True)
    learner = load_learner(settings(tiny_model), ("ann", "bob"), folder, Silent())
    learner.bf16 = False
    loss = Loss(learner)
    learner.network.eval()
    encoded = encode(posts(6, handles=("ann", "bob")), learner.post_format, learner.tokenizer, 256)
    examples = [post.conditioned for post in encoded]
    alone = [loss(*tensors([example], 0)).item() for example in examples]
    together = loss(*tensors(examples, 0)).item()
    assert together == pytest.approx(sum(alone), rel=1e-4)
    for example, nats in zip(examples, alone, strict=True):
        assert nats == pytest.approx(_plain_loss(learner.model, example.ids, example.prompt), rel=1e-4)


def test_the_loss_has_the_gradient_of_the_plain_one(tiny_model: Path) -> None:
    import torch
    from torch.nn.functional import cross_entropy

    from pasquin.train.loss import _HeadLoss

    torch.manual_seed(0)
    hidden, weight = torch.randn(300, 16, requires_grad=True), torch.randn(50, 16, requires_grad=True)
    targets = torch.randint(50, (300,))
    plain = cross_entropy(hidden @ weight.T, targets, reduction="sum") / 7
    expected = torch.autograd.grad(plain, (hidden, weight))
    ours = _HeadLoss.apply(hidden, weight, targets, torch.float32) / 7
    assert ours.item() == pytest.approx(plain.item(), rel=1e-5)
    for one, other in zip(torch.autograd.grad(ours, (hidden, weight)), expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def _plain_loss(model: object, ids: tuple[int, ...], prompt: int) -> float:
    import torch

    with torch.no_grad():
        logits = model(input_ids=torch.tensor([ids])).logits[0].log_softmax(-1)  # type: ignore[operator]
    return -sum(float(logits[at - 1, ids[at]]) for at in range(prompt, len(ids)))


def test_batches_hold_every_post_once_within_the_budget(tiny_model: Path) -> None:
    tokenizer = load_tokenizer(tiny_model)
    made = posts(200, handles=("ann", "bob", "cy"))
    encoded = encode(made, PostFormat(1, 2, accounts=conditions(made)), tokenizer, 256)
    epoch = epoch_batches(encoded, 400, 0.5, seed=3, epoch=1)
    assert sorted(example.ids[example.prompt :] for batch in epoch for example in batch) == sorted(
        post.plain.ids[post.plain.prompt :] for post in encoded
    )
    assert all(max(len(example.ids) for example in batch) * len(batch) <= 400 for batch in epoch)
    assert epoch == epoch_batches(encoded, 400, 0.5, seed=3, epoch=1)
    assert epoch != epoch_batches(encoded, 400, 0.5, seed=3, epoch=2)
    share = sum(example in {post.plain for post in encoded} for batch in epoch for example in batch) / len(encoded)
    assert 0.35 < share < 0.65
    assert len(batches([encoded[0].plain], budget=1)) == 1
    assert conditions(posts(5, handles=("ann",))) == ()
    lengths = [max(len(e.ids) for e in batch) - min(len(e.ids) for e in batch) for batch in epoch]
    assert random.Random(0).choice(lengths) <= 12


def test_only_text_and_end_are_learned(tiny_model: Path) -> None:
    tokenizer = load_tokenizer(tiny_model)
    (post,) = encode(posts(1, handles=("ann",)), PostFormat(1, 2, accounts=("ann", "bob")), tokenizer, 256)
    inputs, targets = tensors([post.conditioned], padding=2)
    learned = [int(target) for target in targets[0] if target != -100]
    assert learned == list(post.conditioned.ids[post.conditioned.prompt :])
    assert learned[-1] == 2
    assert inputs[0].tolist() == list(post.conditioned.ids[:-1])


@pytest.mark.parametrize(
    ("given", "epoch", "rate", "expected"),
    [
        ({}, 1_000_000, 1.0, 1_536),  # four passes over much
        ({}, 15_000, 1e9, 600),  # over little: a hundred steps
        ({}, 100, 1e9, 384),
        ({"epochs": 1.0}, 60_000, 1e9, 600),
        ({"minutes": 7.0}, 10, 7_000.0, 1_536),  # however few the posts, as many passes as fit
        ({"minutes": 1.0}, 10, 3_500.0, 600),
        ({"minutes": 1.0}, 10, 350.0, 384),
        ({"minutes": 1.0, "epochs": 1.0}, 50_000, 1e6, 500),
        ({"minutes": 1.0, "steps": 9}, 10, 350.0, 1_536),  # whoever counts steps has counted on their size
        ({"minutes": 1.0, "batch_tokens": 99}, 10, 350.0, 99),
    ],
)
def test_short_runs_take_small_steps(given: dict[str, Any], epoch: int, rate: float, expected: int) -> None:
    assert batch_tokens(TrainSettings(**given), epoch, rate) == expected


def test_a_resumed_run_keeps_the_size_of_its_steps(
    workspace: Workspace, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clock chose it, and might choose another one now."""
    from pasquin.train import loop

    budgets: list[int] = []

    def noted(posts: Any, budget: int, *rest: Any, **more: Any) -> Any:
        budgets.append(budget)
        return epoch_batches(posts, budget, *rest, **more)

    monkeypatch.setattr(loop, "epoch_batches", noted)
    given = TrainSettings(model=str(tiny_model), epochs=2.0, learning_rate=3e-3)
    for chosen, resume in ((200, False), (900, True)):
        monkeypatch.setattr(loop, "batch_tokens", lambda *_, chosen=chosen: chosen)
        stop = InterruptAt(4) if not resume else Silent()
        with nullcontext() if resume else pytest.raises(Interrupted):
            train(workspace, "village", settings=given, resume=resume, progress=stop)
    assert set(budgets) == {200}


def test_threads_wait_as_the_person_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.environ", {})
    spin_briefly()
    assert os.environ == {"GOMP_SPINCOUNT": "10000"}
    for own in ({"GOMP_SPINCOUNT": "7"}, {"OMP_WAIT_POLICY": "PASSIVE"}):
        monkeypatch.setattr("os.environ", dict(own))
        spin_briefly()
        assert os.environ == own
