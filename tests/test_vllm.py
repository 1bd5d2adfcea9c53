"""The engine `vllm` against an imitation of vLLM's interface: what it asks for, and what it makes of the answers."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from pasquin.engines.vllm import VLLM
from pasquin.errors import ModelError, UsageError
from pasquin.post_format import PostFormat, load_tokenizer
from pasquin.records import Prompt, Sampling
from tiny_model import SPECIAL, write_tokenizer

END = 2


class Imitation:
    """`LLM` and the engine behind it: each request draws its seed's last digit as that many tokens, then the end."""

    def __init__(self, **settings: Any) -> None:
        if "broken" in settings["model"]:
            raise ValueError("no such architecture\nmore")
        self.settings, self.llm_engine = settings, self
        self.asked: dict[str, tuple[Any, Any]] = {}
        self.left: dict[str, list[int]] = {}
        self.aborted: list[str] = []

    def add_request(self, request_id: str, prompt: Any, params: Any) -> None:
        assert isinstance(request_id, str)
        self.asked[request_id] = (prompt, params)
        self.left[request_id] = ([40] * (params.seed % 10) + [END])[: params.max_tokens]

    def step(self) -> list[Any]:
        told = []
        for number in list(self.left):
            token = self.left[number].pop(0)
            scored = [{token: SimpleNamespace(logprob=-0.5)}] if self.asked[number][1].logprobs is not None else None
            finished = not self.left[number]
            if finished:
                del self.left[number]
            new = SimpleNamespace(token_ids=[token], logprobs=scored)
            told.append(SimpleNamespace(request_id=number, outputs=[new], finished=finished))
        return told

    def abort_request(self, numbers: list[str]) -> None:
        self.aborted += numbers
        for number in numbers:
            self.left.pop(number, None)


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    module, sampling = ModuleType("vllm"), ModuleType("vllm.sampling_params")
    names = {"LLM": Imitation, "SamplingParams": SimpleNamespace}
    for name, value in names.items():
        setattr(module, name, value)
    sampling.RequestOutputKind = SimpleNamespace(DELTA="delta")  # type: ignore[attr-defined]
    inputs = ModuleType("vllm.inputs")
    inputs.TokensPrompt = dict  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "vllm", module)
    monkeypatch.setitem(sys.modules, "vllm.inputs", inputs)
    monkeypatch.setitem(sys.modules, "vllm.sampling_params", sampling)
    folder = tmp_path / "model"
    folder.mkdir()
    write_tokenizer(folder, SPECIAL["llama"])
    PostFormat(1, END).save(folder)
    (folder / "config.json").write_text('{"max_position_embeddings": 256}')
    return folder


def test_it_says_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pasquin.engines.vllm.find_spec", lambda _: None)
    assert "pasquin[vllm]" in str(VLLM.supports(tmp_path))
    monkeypatch.setattr("pasquin.engines.vllm.find_spec", lambda _: object())
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert "CUDA" in str(VLLM.supports(tmp_path))
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    assert VLLM.supports(tmp_path) is None


def test_prompts_go_as_tokens_with_seeds_of_their_own_and_come_back_as_texts(model: Path) -> None:
    engine = VLLM.open(model)
    prompts = [Prompt(token_ids=(1, 50 + at), seed=2**64 - 16 + at) for at in range(5)]
    sampling = Sampling(temperature=0.8, top_k=20, top_p=0.9, min_p=0.05, max_tokens=4)
    found = {one.index: one for one in engine.generate(prompts, sampling, batch=2)}
    llm = engine._model
    assert (llm.settings["model"], llm.settings["skip_tokenizer_init"]) == (str(model), True)
    assert engine.context == llm.settings["max_model_len"] == 256
    letter = load_tokenizer(model).decode([40])
    for at in range(5):
        prompt, asked = llm.asked[str(at)]
        assert prompt == {"prompt_token_ids": [1, 50 + at]}
        assert asked.seed == prompts[at].seed % 2**63
        assert (asked.temperature, asked.top_k, asked.top_p, asked.min_p) == (0.8, 20, 0.9, 0.05)
        assert (asked.stop_token_ids, asked.detokenize, asked.max_tokens) == ([END], False, 4)
        length = asked.seed % 10
        assert found[at].text == letter * min(length, 4)
        assert found[at].finish == ("stop" if length < 4 else "length")


def test_a_session_follows_scores_and_cancels(model: Path) -> None:
    engine = VLLM.open(model, batch=8)
    session, sampling = engine.session(2), Sampling(max_tokens=9)
    first = session.add(Prompt(token_ids=(1,), seed=2), sampling, follow=True, log_probs=True)
    second = session.add(Prompt(token_ids=(1,), seed=5), sampling)
    assert not session.fits(Prompt(token_ids=(1,), seed=0), sampling)
    told = [drawn for _ in range(3) for drawn in session.step()]
    assert [(one.number, one.token_ids, one.log_probs, one.ended) for one in told] == [
        (first, (40,), (-0.5,), False), (first, (40,), (-0.5,), False), (first, (END,), (-0.5,), True),
    ]  # fmt: skip
    session.cancel(second)
    session.cancel(99)
    assert engine._model.aborted == [str(second)]
    assert session.step() == []
    with pytest.raises(UsageError, match="blend"):
        session.add(Prompt(token_ids=(1,), seed=0, blend=(((1,), 0.5), ((1,), 0.5))), sampling)


def test_what_vllm_cannot_load_is_a_sentence(model: Path) -> None:
    with pytest.raises(ModelError, match="no such architecture"):
        VLLM.open(model.rename(model.with_name("broken")))
