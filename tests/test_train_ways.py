"""Ways to train: passes written out beside automatic differentiation, memory, frozen layers, from scratch, bad luck."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from pasquin.config import TrainSettings
from pasquin.errors import ModelError, ResourceError, UsageError
from pasquin.post_format import PostFormat, load_tokenizer
from pasquin.progress import Silent
from pasquin.train import train
from pasquin.workspace import Workspace
from test_train import corpus, settings
from tiny_model import make_tiny_model

SHAPE = {
    "vocab_size": 300,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
}
FAMILIES = {
    "llama": {"tie_word_embeddings": True},
    "llama-untied": {"tie_word_embeddings": False},
    "qwen2": {"tie_word_embeddings": True},
    "qwen3": {"tie_word_embeddings": False, "head_dim": 32},
}


@pytest.fixture(autouse=True)
def one_thread() -> None:
    import torch

    torch.set_num_threads(1)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    made = Workspace.create(tmp_path / "ws")
    corpus(made)
    return made


class Ears(Silent):
    """Remembers what is said."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)


def random_model(family: str) -> Any:
    import torch
    import transformers

    kind = family.split("-")[0]
    config, model = {
        "llama": (transformers.LlamaConfig, transformers.LlamaForCausalLM),
        "qwen2": (transformers.Qwen2Config, transformers.Qwen2ForCausalLM),
        "qwen3": (transformers.Qwen3Config, transformers.Qwen3ForCausalLM),
    }[kind]
    torch.manual_seed(0)
    made = model(config(**SHAPE, **FAMILIES[family])).train()
    for weight in made.parameters():  # biases and norms too, which begin as zeros and ones
        torch.nn.init.normal_(weight, std=0.2)
    return made


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("recompute", [False, True])
def test_the_written_out_passes_have_the_losses_and_gradients_of_the_model(family: str, recompute: bool) -> None:
    import torch
    from torch.nn.functional import cross_entropy

    from pasquin.train.llama import Llama

    model = random_model(family)
    written = Llama.of(model, torch.float32, recompute)
    assert written is not None
    inputs, targets = torch.randint(300, (3, 12)), torch.randint(300, (3, 12))
    targets[0, :3] = targets[2, 8:] = -100
    loss = cross_entropy(model(input_ids=inputs).logits.flatten(0, 1), targets.flatten(), reduction="sum")
    (loss / 4).backward()
    assert written.learn(inputs[:1], targets[:1], 1 / 4) + written.learn(inputs[1:], targets[1:], 1 / 4) == (
        pytest.approx(loss.item(), rel=1e-5)
    )
    assert written.nats(inputs, targets) == pytest.approx(loss.item(), rel=1e-5)
    found = {name: gradient for weight in written.weights() for name, _, gradient in weight.slices()}
    expected = {name: weight.grad for name, weight in model.named_parameters()}
    assert found.keys() == expected.keys()
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, rtol=1e-4, atol=1e-5 * float(gradient.abs().max()), msg=name)


def low_rank(model: Any, **given: Any) -> Any:
    """The model with low-rank parts that do something, unlike new ones."""
    import torch
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(r=4, lora_alpha=6, target_modules="all-linear", task_type="CAUSAL_LM", **given)
    network = get_peft_model(model, config).train()
    for name, weight in network.named_parameters():
        if "lora_" in name:
            torch.nn.init.normal_(weight, std=0.2)
    return network


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("recompute", [False, True])
def test_low_rank_parts_have_the_losses_and_gradients_of_automatic_differentiation(
    family: str, recompute: bool
) -> None:
    import torch
    from torch.nn.functional import cross_entropy

    from pasquin.train.llama import Llama

    network = low_rank(random_model(family))
    written = Llama.of(network.get_base_model(), torch.float32, recompute, network)
    assert written is not None
    inputs, targets = torch.randint(300, (3, 12)), torch.randint(300, (3, 12))
    targets[1, 5:] = -100
    loss = cross_entropy(network(input_ids=inputs).logits.flatten(0, 1), targets.flatten(), reduction="sum")
    (loss / 4).backward()
    assert written.nats(inputs, targets) == pytest.approx(loss.item(), rel=1e-5)
    assert written.learn(inputs[:2], targets[:2], 1 / 4) + written.learn(inputs[2:], targets[2:], 1 / 4) == (
        pytest.approx(loss.item(), rel=1e-5)
    )
    found = {name: part for weight in written.weights() for name, _, part in weight.slices() if part is not None}
    expected = {name: weight.grad for name, weight in network.named_parameters() if weight.requires_grad}
    assert found.keys() == expected.keys()
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, rtol=1e-4, atol=1e-5 * float(gradient.abs().max()), msg=name)


@pytest.mark.parametrize("given", [{"lora_dropout": 0.1}, {"use_dora": True}, {"lora_bias": True}])
def test_low_rank_parts_of_another_kind_are_left_to_automatic_differentiation(given: dict[str, Any]) -> None:
    import torch

    from pasquin.train.llama import Llama

    network = low_rank(random_model("llama"), **given)
    assert Llama.of(network.get_base_model(), torch.float32, network=network) is None


def test_a_model_that_computes_something_else_is_left_to_automatic_differentiation() -> None:
    import torch

    from pasquin.train.llama import Llama

    model = random_model("llama")
    model.config.num_key_value_heads = 4  # a config that does not tell the truth
    assert Llama.of(model, torch.float32) is None
    model = random_model("llama")
    model.model.norm.weight.data.neg_()
    forward = model.model.forward
    model.model.forward = lambda **given: forward(**{**given, "input_ids": given["input_ids"].flip(1)})
    assert Llama.of(model, torch.float32) is None


def test_the_optimizer_is_torchs_with_clipping() -> None:
    import torch

    from pasquin.train.adamw import AdamW

    torch.manual_seed(0)
    start = {"big": torch.randn(700, 1000), "small": torch.randn(7)}
    ours = {name: torch.nn.Parameter(weight.clone()) for name, weight in start.items()}
    theirs = {name: torch.nn.Parameter(weight.clone()) for name, weight in start.items()}
    copies = {name: torch.zeros_like(weight, dtype=torch.bfloat16) for name, weight in start.items()}
    one, other = AdamW(ours), torch.optim.AdamW(theirs.values(), lr=1e-2, betas=(0.9, 0.98), weight_decay=0.01)
    for _ in range(3):
        gradients = {name: torch.randn_like(weight) for name, weight in start.items()}
        for name, weight in theirs.items():
            weight.grad = gradients[name].clone()
        norm = torch.nn.utils.clip_grad_norm_(theirs.values(), 1.0)
        other.step()
        found = one.step({name: (gradient, copies[name]) for name, gradient in gradients.items()}, 1e-2)
        assert found == pytest.approx(float(norm), rel=1e-4)
    for name in start:
        torch.testing.assert_close(ours[name], theirs[name], rtol=1e-4, atol=1e-5)
        assert torch.equal(copies[name], ours[name].detach().bfloat16())
    before = {name: weight.detach().clone() for name, weight in ours.items()}
    broken = {name: (torch.full_like(weight, math.nan), None) for name, weight in start.items()}
    assert math.isnan(one.step(broken, 1e-2))
    assert all(torch.equal(before[name], ours[name]) for name in start)


def test_where_memory_is_short_batches_are_learned_in_parts(
    workspace: Workspace, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pasquin.train import preflight

    ears = Ears()
    plain = train(workspace, "village", name="plain", settings=settings(tiny_model, steps=6, batch_tokens=1200))
    monkeypatch.setattr(preflight, "_batch_memory", lambda *_: lambda tokens: 10**9 * tokens)
    now = preflight.process_memory()
    monkeypatch.setattr(preflight, "process_memory", lambda: now)
    monkeypatch.setattr(preflight, "available_memory", lambda: 10**15)
    short = settings(tiny_model, steps=6, batch_tokens=1200, memory_gb=now / 1e9 + 301)
    parts = train(workspace, "village", name="parts", settings=short, progress=ears)
    assert any("in parts of 300 tokens" in line for line in ears.said)
    assert parts["bits_per_byte"]["after"] == pytest.approx(plain["bits_per_byte"]["after"], abs=0.01)
    assert parts["tokens"] == plain["tokens"]
    with pytest.raises(ResourceError, match="even in the smallest steps"):
        train(workspace, "village", name="none", settings=settings(tiny_model, memory_gb=now / 1e9 + 1))


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_layers_that_are_computed_again_change_nothing(workspace: Workspace, tmp_path: Path, kind: str) -> None:
    from pasquin.post_format import PostFormat
    from pasquin.train.examples import encode, tensors
    from pasquin.train.learner import load_learner
    from pasquin.train.loss import Loss
    from pasquin.workspace.corpora import read_corpus

    model = make_tiny_model(tmp_path / kind, kind=kind)
    posts = read_corpus(workspace, "village", "train")[:8]
    found = []
    for recompute in (False, True):
        folder = tmp_path / f"{kind}{recompute}"
        folder.mkdir()
        learner = load_learner(settings(model), (), folder, Silent())
        learner.bf16 = False
        learner.network.eval()  # no dropout
        loss = Loss(learner)
        if recompute:
            learner.network.train()
            loss.use_recompute()
            for module in learner.network.modules():
                if type(module).__name__ == "Dropout":
                    module.p = 0.0
        assert isinstance(learner.post_format, PostFormat)
        examples = [post.plain for post in encode(posts, learner.post_format, learner.tokenizer, 256)]
        nats = loss.learn(*tensors(examples, 0), 1.0)
        found.append((nats, {name: float(gradient.norm()) for name, (gradient, _) in loss.gradients().items()}))
    assert found[0][0] == pytest.approx(found[1][0], rel=1e-5)
    assert found[0][1] == pytest.approx(found[1][1], rel=1e-3)


def test_memory_of_control_groups_counts(tmp_path: Path) -> None:
    from pasquin.train.preflight import available_memory

    group = tmp_path / "sys/fs/cgroup/jobs/one"
    group.mkdir(parents=True)
    (tmp_path / "proc/self").mkdir(parents=True)
    assert available_memory(tmp_path) is None
    (tmp_path / "proc/meminfo").write_text("MemTotal: 9000000 kB\nMemAvailable:    8000000 kB\n")
    (tmp_path / "proc/self/cgroup").write_text("0::/jobs/one\n")
    assert available_memory(tmp_path) == 8_000_000 * 1024
    (group / "memory.max").write_text("max\n")
    (group.parent / "memory.max").write_text("2000000000\n")
    (group.parent / "memory.current").write_text("1500000000\n")
    assert available_memory(tmp_path) == 500_000_000
    (group.parent / "memory.stat").write_text("anon 7\ninactive_file 300000000\n")
    assert available_memory(tmp_path) == 800_000_000
    (tmp_path / "proc/self/cgroup").write_text("4:memory:/old\n3:cpu:/x\n")
    old = tmp_path / "sys/fs/cgroup/memory/old"
    old.mkdir(parents=True)
    (old / "memory.limit_in_bytes").write_text("1000000\n")
    (old / "memory.usage_in_bytes").write_text("1000\n")
    assert available_memory(tmp_path) == 999_000


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_frozen_layers_stay_as_they_are(workspace: Workspace, tmp_path: Path, kind: str) -> None:
    from safetensors.torch import load_file

    model = make_tiny_model(tmp_path / kind, kind=kind)
    train(workspace, "village", settings=settings(model, steps=4, freeze=1))
    before, after = (load_file(folder / "model.safetensors") for folder in (model, workspace.model_dir("village")))
    same = {name for name, weight in before.items() if (weight.to(after[name].dtype) == after[name]).all()}
    prefix = {"llama": "model.layers.{}.", "gpt2": "transformer.h.{}."}[kind]
    lower, upper = ({name for name in before if name.startswith(prefix.format(number))} for number in (0, 1))
    assert lower
    assert lower <= same
    assert not {name for name in upper if name.endswith("weight") and before[name].ndim == 2} & same
    with pytest.raises(UsageError, match="2 layers"):
        train(workspace, "village", settings=settings(model, freeze=2))
    with pytest.raises(UsageError, match="leave out --lora"):
        train(workspace, "village", settings=settings(model, freeze=1, method="lora"))


def test_a_model_from_scratch_has_its_own_tokenizer_and_resumes(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pasquin.errors import Interrupted
    from test_train import InterruptAt

    monkeypatch.setattr("pasquin.train.learner.bf16_is_faster", lambda _: False)
    given = {"from_scratch": True, "vocabulary": 400, "width": 64, "layers": 2, "batch_tokens": 400, "steps": 14}
    given["learning_rate"] = 1e-2
    whole = train(workspace, "village", name="whole", settings=TrainSettings(**given))  # type: ignore[arg-type]
    assert whole["base"] == "scratch"
    assert whole["bits_per_byte"]["after"] < 0.9 * whole["bits_per_byte"]["before"]
    folder = workspace.model_dir("whole")
    tokenizer = load_tokenizer(folder)
    assert 300 < tokenizer.get_vocab_size() <= 400
    assert tokenizer.decode(tokenizer.encode("naïve 😀 7").ids) == "naïve 😀 7"
    assert tokenizer.id_to_token(PostFormat.load(folder).end_id) == "<|im_end|>"
    with pytest.raises(Interrupted):
        train(workspace, "village", settings=TrainSettings(**given), progress=InterruptAt(5))  # type: ignore[arg-type]
    train(workspace, "village", resume=True)
    assert workspace.model_manifest("village")["hash"] == workspace.model_manifest("whole")["hash"]
    with pytest.raises(UsageError, match="multiple of 64"):
        train(workspace, "village", settings=TrainSettings(**{**given, "width": 100}))  # type: ignore[arg-type]


def test_a_loss_that_is_no_number_ends_training_and_keeps_the_last_good_model(
    workspace: Workspace, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pasquin.train.loss import Loss

    real, calls = Loss.learn, [0]

    def learn(self: Loss, inputs: Any, targets: Any, share: float) -> float:
        calls[0] += 1
        nats = real(self, inputs, targets, share)
        return math.nan if calls[0] == 3 or calls[0] > 8 else nats

    monkeypatch.setattr(Loss, "learn", learn)
    ears = Ears()
    result = train(workspace, "village", settings=settings(tiny_model, steps=24), progress=ears)
    assert result["best_step"] == 6  # step 3 alone did not matter
    assert any("no longer a number. The model of step 6 is kept" in line for line in ears.said)
    assert math.isfinite(result["bits_per_byte"]["after"])
    calls[0] = 8
    with pytest.raises(ModelError, match="lower --learning-rate"):
        train(workspace, "village", name="other", settings=settings(tiny_model, steps=24))
    assert workspace.models() == ["village"]


def test_an_unknown_architecture_is_said_to_be(workspace: Workspace, tiny_model: Path, tmp_path: Path) -> None:
    import shutil

    strange = tmp_path / "strange"
    shutil.copytree(tiny_model, strange)
    config = json.loads((strange / "config.json").read_text())
    (strange / "config.json").write_text(json.dumps({**config, "model_type": "perpetuum", "architectures": ["P"]}))
    with pytest.raises(ModelError, match="no whole causal language model"):
        train(workspace, "village", settings=settings(strange))


def test_a_corpus_smaller_than_a_batch_is_learned(workspace: Workspace, tiny_model: Path) -> None:
    corpus(workspace, "hamlet", n=50)
    result = train(workspace, "hamlet", settings=settings(tiny_model, steps=3, batch_tokens=100_000))
    assert result["bits_per_byte"]["after"] < result["bits_per_byte"]["before"]


def test_the_report_shows_a_running_and_a_finished_training(
    workspace: Workspace, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pasquin.train import execution

    pages: list[str] = []
    real = execution.write_report

    def write_report(folder: Path, *given: Any, **named: Any) -> None:
        real(folder, *given, **named)
        pages.append((folder / "report.html").read_text())

    monkeypatch.setattr(execution, "write_report", write_report)
    monkeypatch.setattr("pasquin.train.loop.sample", lambda *_, **__: ["<script>alert(1)</script>"] * 32)
    train(workspace, "village", settings=settings(tiny_model, steps=12))
    assert 'http-equiv="refresh"' in pages[0]
    assert "Nothing yet" in pages[0]
    assert "refresh" not in pages[-1].split("<style>")[0].replace("Content-Security-Policy", "")
    assert pages[-1] == (workspace.model_dir("village") / "report.html").read_text()
    assert "&lt;script&gt;alert(1)" in pages[-1]
    assert "<script" not in pages[-1]
    assert pages[-1].count("<polyline") == 3


def test_topics_are_words_of_the_post_that_others_rarely_have() -> None:
    from pasquin.train.topics import topics

    texts = [f"the same old words again about and {'abc'[n % 3]}" for n in range(300)]
    texts[7] = "The old words about COFFEE, coffee and again trains. https://x.example @someone 2019"
    found = topics([*texts, "", "…", "\0 😀"])
    assert found[7][:2] == ("coffee", "trains")
    assert not {"old", "words", "someone", "2019"} & set(found[7])
    assert found[0] == found[-1] == found[-2] == ()


def test_topics_stand_before_a_share_of_the_examples(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from invented import posts
    from pasquin.train.examples import encode, epoch_batches

    monkeypatch.setattr("pasquin.train.topics._COMMON", 0.5)  # the invented posts share few words
    tokenizer = load_tokenizer(tiny_model)
    post_format = PostFormat(1, 2, accounts=("ann", "bob"), about=" #")
    encoded = encode(posts(300, handles=("ann", "bob")), post_format, tokenizer, 256)

    def header(account: str | None, words: Any) -> tuple[int, ...]:
        return post_format.prompt_ids(tokenizer, account, about=words)

    epoch = [example for batch in epoch_batches(encoded, 400, 0.5, 3, 0, 0.5, header) for example in batch]
    fronts = [tokenizer.decode(list(example.ids[1 : example.prompt])) for example in epoch]
    told = [front for front in fronts if "#" in front]
    able = sum(bool(post.topics) for post in encoded)
    assert 0.4 * able < len(told) < 0.6 * able
    assert {front.split(" #")[0] for front in told} == {"", "ann", "bob"}
    assert all(1 <= len(front.split("# ")[1].split()) <= 3 for front in told)
    assert sorted(example.ids[example.prompt :] for example in epoch) == sorted(
        post.plain.ids[post.plain.prompt :] for post in encoded
    )


def test_trainings_that_are_killed_or_find_the_disk_full_end_as_if_nothing_had_been() -> None:
    """`make soak` does this 200 times; in a process of its own, as one that forks must have no threads."""
    import subprocess
    import sys

    script = Path(__file__).parents[1] / "benchmarks" / "train_kills.py"
    command = [sys.executable, str(script), "--kills", "5", "--seed", "3"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    result = json.loads(done.stdout.splitlines()[-1])
    assert result["lost"] == 0
    assert result["kills"] + result["full_disks"] == 5
