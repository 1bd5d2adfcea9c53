"""Passes made one loop each by a compiler: they compute what the plain ones do, and are done without where need be."""

from __future__ import annotations

import shutil
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pasquin.config import TrainSettings
from pasquin.errors import Interrupted
from pasquin.train import train
from pasquin.workspace import Workspace
from test_train import InterruptAt, corpus, settings
from test_train_ways import SHAPE, Ears, random_model

COMPILER = shutil.which("g++") or shutil.which("clang++")
HEADERS = Path(sysconfig.get_path("include")) / "Python.h"
needs_compiler = pytest.mark.skipif(not (COMPILER and HEADERS.exists()), reason="no C++ compiler, or no headers")


@pytest.fixture(scope="module")
def passes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The passes of the small model of `test_train_ways`, compiled in float32."""
    import torch

    from pasquin.train.passes import Passes

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield Passes.compiled(SHAPE["hidden_size"], SHAPE["intermediate_size"], torch.float32)


@needs_compiler
@pytest.mark.real
def test_compiled_passes_have_the_losses_and_gradients_of_the_model(passes: Any) -> None:
    import torch
    from torch.nn.functional import cross_entropy

    from pasquin.train.llama import Llama

    for family in ("llama", "qwen3"):
        for rows, length in ((3, 12), (1, 40), (7, 2)):
            model = random_model(family)
            written = Llama.of(model, torch.float32)
            assert written is not None
            written.passes = passes
            inputs, targets = torch.randint(300, (rows, length)), torch.randint(300, (rows, length))
            loss = cross_entropy(model(input_ids=inputs).logits.flatten(0, 1), targets.flatten(), reduction="sum")
            (loss / 4).backward()
            assert written.learn(inputs, targets, 1 / 4) == pytest.approx(loss.item(), rel=1e-5)
            assert written.nats(inputs, targets) == pytest.approx(loss.item(), rel=1e-5)
            found = {name: gradient for weight in written.weights() for name, _, gradient in weight.slices()}
            for name, weight in model.named_parameters():
                most = 1e-5 * float(weight.grad.abs().max())
                torch.testing.assert_close(found[name], weight.grad, rtol=1e-4, atol=most, msg=name)


@needs_compiler
@pytest.mark.real
def test_the_compiled_optimizer_is_the_other(passes: Any) -> None:
    import torch

    from pasquin.train.adamw import AdamW

    torch.manual_seed(0)
    start = {"big": torch.randn(700, 100), "small": torch.randn(7)}
    weights = [{name: torch.nn.Parameter(weight.clone()) for name, weight in start.items()} for _ in range(2)]
    copies = [{name: torch.zeros_like(weight) for name, weight in start.items()} for _ in range(2)]
    optimizers = [AdamW(weights[0]), AdamW(weights[1], passes)]
    for _ in range(5):
        gradients = {name: 3 * torch.randn_like(weight) for name, weight in start.items()}
        for optimizer, copy in zip(optimizers, copies, strict=True):
            optimizer.step({name: (gradient, copy[name]) for name, gradient in gradients.items()}, 1e-2)
    for name in start:
        torch.testing.assert_close(weights[1][name], weights[0][name], rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(copies[1][name], weights[1][name].detach(), rtol=0, atol=0)
        torch.testing.assert_close(optimizers[1].second[name], optimizers[0].second[name], rtol=1e-5, atol=1e-7)


@needs_compiler
@pytest.mark.real
def test_a_compiled_training_is_exactly_resumed(
    tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("pasquin.train.learner.bf16_is_faster", lambda _: True)
    workspace = Workspace.create(tmp_path / "ws")
    corpus(workspace)
    ears, again = Ears(), Ears()
    given = settings(tiny_model, compile=True)
    plain = train(workspace, "village", name="plain", settings=settings(tiny_model))
    result = train(workspace, "village", name="whole", settings=given, progress=ears)
    assert sum("once on this machine" in line for line in ears.said) == 1, ears.said
    assert not [line for line in ears.said if "without compiled" in line]
    assert result["bits_per_byte"]["after"] == pytest.approx(plain["bits_per_byte"]["after"], abs=0.02)
    with pytest.raises(Interrupted):
        train(workspace, "village", name="parts", settings=given, progress=InterruptAt(9))
    train(workspace, "village", name="parts", resume=True, progress=again)
    assert not any("once on this machine" in line for line in again.said)
    assert workspace.model_manifest("parts")["hash"] == workspace.model_manifest("whole")["hash"]


def test_without_a_compiler_training_says_so_and_goes_on(
    tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace, ears = Workspace.create(tmp_path / "ws"), Ears()
    corpus(workspace)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    train(workspace, "village", settings=settings(tiny_model, steps=2, compile=True), progress=ears)
    assert any("there is no C++ compiler. With one (g++)" in line for line in ears.said)


def test_a_compiler_that_gets_it_wrong_is_not_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    from pasquin.train.passes import CannotCompile, Passes

    monkeypatch.setattr("pasquin.train.passes.has_compiler", lambda: True)
    monkeypatch.setattr(sysconfig, "get_path", lambda _: str(tmp_path))
    with pytest.raises(CannotCompile, match="no headers of Python"):
        Passes.compiled(8, 16, torch.float32)
    (tmp_path / "Python.h").touch()
    monkeypatch.setattr(torch, "compile", lambda function: lambda *given: tuple(-one for one in function(*given)))
    with pytest.raises(CannotCompile, match="`norm` computes something else"):
        Passes.compiled(8, 16, torch.float32)

    def breaks(_: Any) -> Any:
        raise RuntimeError("Python.h: No such file or directory\nmore")

    monkeypatch.setattr(torch, "compile", breaks)
    with pytest.raises(CannotCompile, match=r"Python\.h: No such file or directory$"):
        Passes.compiled(8, 16, torch.float32)


@pytest.mark.parametrize(
    ("given", "there", "before", "expected"),
    [
        ({"minutes": 1.0}, False, None, False),
        ({"minutes": 1.0}, True, None, True),
        ({"minutes": 0.5}, True, None, False),
        ({"minutes": 10.0}, False, None, True),
        ({"minutes": 10.0}, False, False, False),
        ({"minutes": 1.0}, False, True, True),
        ({"minutes": 10.0, "compile": False}, True, True, False),
        ({"minutes": 10.0, "epochs": 0.1}, True, None, False),
        ({"steps": 20}, True, None, False),
        ({"steps": 1_000}, False, None, True),
        ({"steps": 1_000, "batch_tokens": 64}, True, None, False),
        ({}, False, None, True),
    ],
)
def test_what_is_worth_compiling(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, Any], there: bool, before: bool | None, expected: bool
) -> None:
    from pasquin.train import compiling

    monkeypatch.setattr(compiling, "is_there", lambda *_: there)
    posts: Any = [SimpleNamespace(conditioned=SimpleNamespace(ids=range(30)))] * 10_000
    loss: Any = SimpleNamespace(written=SimpleNamespace(sizes=(8, 16), dtype=None))
    assert compiling.wants_compiled(loss, TrainSettings(**given), posts, before) is expected
    loss.written = None
    assert compiling.wants_compiled(loss, TrainSettings(**given | {"compile": None}), posts) is False
