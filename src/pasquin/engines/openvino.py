"""The `openvino` engine: OpenVINO GenAI's continuous batching on the CPU, fed with token ids.

The model is read from a graph written beside it once (`openvino_graph`). Prompts and completions are token ids in and
out, so its own tokenizer plays no part. Where it is known which tokens are needed (`vocabulary`), only those are
scored, and the graph numbers tokens in its own way. A sequence that ends makes room for the next one at once.

What holds of determinism (tests/test_engines.py, docs/generate.md): each sequence has a random generator of its own,
and the arithmetic of a sequence does not depend on its neighbours as long as it has enough of them. Few rows take
another code path that rounds differently, so the engine gives the last few sequences idle neighbours. Other kinds of
processors and other versions of OpenVINO may round differently.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pasquin.engines import COLDEST, Drawn
from pasquin.engines.batches import complete
from pasquin.engines.gguf_tokenizer import write_placeholder_tokenizer
from pasquin.engines.openvino_graph import export_graph, has_tiles, numbering
from pasquin.engines.vocabulary import check_tokens, output_tokens
from pasquin.engines.weights import head_size, key_heads, read_config, why_not
from pasquin.errors import ModelError
from pasquin.post_format import PostFormat, load_tokenizer
from pasquin.records import Completion, Prompt, Sampling

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_PACKAGES: Final = ("openvino_genai", "openvino", "gguf", "tokenizers", "numpy")
_BLOCK: Final = 32
"""Tokens in a block of OpenVINO's key-value cache on the CPU."""
_CACHE_BLOCKS: Final = 1_024
"""Size of the cache: 150 sequences of up to 160 tokens, with a block to spare each; 0.42 GB for the starter model."""
_CACHE_SHARE: Final = 0.25
"""The cache takes at most this share of the machine's memory."""
_STEP_TOKENS: Final = 1_024
"""Tokens in one step of the model, all sequences together, and so the longest prompt: more costs memory."""
_LEAST_ROWS: Final = 16
"""Fewer rows than this are multiplied by other code, which rounds differently (measured: fewer than 4 to 9)."""
_PRECISION: Final = {"KV_CACHE_PRECISION": "u8"}
"""Eight bits for what is kept. OpenVINO multiplies in eight bits, too, each row scaled by itself alone."""
_IDLE: Final = Prompt(token_ids=(0,), seed=0)
_IDLE_TOKENS: Final = 31
_LEAST_TOP_P: Final = 1e-30
_MOST_MIN_P: Final = 1 - 1e-7
"""What draws no differently than anything beyond, and is still neither 0 nor 1 in float32, which OpenVINO refuses."""
_SERVED_TOKENS: Final = 160
"""Tokens of a prompt and a post together that the cache has room for, times the batch, when the model is served."""


@dataclass(frozen=True, slots=True)
class _Sequence:
    handle: Any
    blocks: int
    follow: bool
    log_probs: bool


class OpenVINO:
    """A model loaded into OpenVINO GenAI."""

    name = "openvino"

    def __init__(
        self,
        pipeline: Any,
        blocks: int,
        context: int,
        tokenizer: Tokenizer,
        end_id: int,
        least_rows: int,
        tokens: list[int] | None,
    ) -> None:
        """`blocks` is the size of the pipeline's cache, `tokens` the pipeline's numbering of them. Use `open`."""
        self.context = context
        self._pipeline = pipeline
        self._blocks = blocks
        self._tokenizer = tokenizer
        self._end_id = end_id
        self._least_rows = least_rows
        self._numbers = count()
        self._tokens = _Tokens(tokens)

    @staticmethod
    def supports(model_dir: Path) -> str | None:
        """None when the model is of a type that `openvino_graph` covers and the packages are installed."""
        missing = [package for package in _PACKAGES if find_spec(package) is None]
        if missing:
            return "it is not installed, `pip install 'pasquin[openvino]'` does that"
        return why_not(read_config(model_dir))

    @staticmethod
    def open(model_dir: Path, batch: int | None = None) -> OpenVINO:
        """Load the model, writing its graph beside it first where that is missing or out of date.

        With `batch` (see `EngineEntry.open`) weights have eight bits, there are no idle neighbours, and the cache is
        as large as that many posts: a text may then depend on its neighbours.

        Raises ModelError when the model is unfinished, damaged or refused by OpenVINO.
        """
        import openvino_genai

        config = read_config(model_dir)
        post_format, tokenizer = PostFormat.load(model_dir), load_tokenizer(model_dir)
        check_tokens(model_dir, tokenizer, post_format.end_id, config["vocab_size"])
        kept = output_tokens(model_dir, config["vocab_size"], post_format.end_id)
        graph = export_graph(model_dir, kept, wide=batch is None and has_tiles())
        scheduler = openvino_genai.SchedulerConfig()
        most = _cache_blocks(config)
        served = (batch or 0) * _blocks_for(_SERVED_TOKENS) + _blocks_for(_STEP_TOKENS)
        scheduler.num_kv_blocks = blocks = min(most, served) if batch else most
        scheduler.max_num_seqs = blocks
        scheduler.max_num_batched_tokens = _STEP_TOKENS
        scheduler.dynamic_split_fuse = True  # prompts share steps with running sequences, so no step has few rows
        try:
            with tempfile.TemporaryDirectory() as folder:
                placeholder = openvino_genai.Tokenizer(write_placeholder_tokenizer(Path(folder)))
            pipeline = openvino_genai.ContinuousBatchingPipeline(graph, placeholder, scheduler, "CPU", **_PRECISION)
        except (RuntimeError, IndexError) as exc:
            raise ModelError(
                f"OpenVINO cannot load {model_dir.name} ({_first_line(exc)}). Try `--engine transformers`."
            ) from exc
        context = min(int(config["max_position_embeddings"]), _STEP_TOKENS - _LEAST_ROWS)
        numbers = numbering(kept, config["vocab_size"]) if kept else None
        least_rows = 0 if batch else _LEAST_ROWS
        return OpenVINO(pipeline, blocks, context, tokenizer, post_format.end_id, least_rows, numbers)

    def generate(
        self, prompts: Sequence[Prompt], sampling: Sampling, batch: int = 128
    ) -> Generator[Completion, None, None]:
        """See `Engine.generate`. Fewer than `batch` sequences run at a time where the cache would not hold them."""
        return complete(self.session(batch), prompts, sampling, self._end_id, self._tokenizer)

    def session(self, batch: int = 128) -> Running:
        """See `Engine.session`."""
        return Running(self._pipeline, self._blocks, self._end_id, self._numbers, batch, self._least_rows, self._tokens)


class _Tokens:
    """The two ways between the model's numbering of tokens and the pipeline's, which may be the same."""

    def __init__(self, tokens: list[int] | None) -> None:
        self._outward = tokens
        self._inward = {token: number for number, token in enumerate(tokens)} if tokens else None

    def inward(self, ids: Sequence[int]) -> list[int]:
        """The pipeline's numbers of the model's tokens."""
        return list(ids) if self._inward is None else [self._inward[token] for token in ids]

    def outward(self, ids: Sequence[int]) -> tuple[int, ...]:
        """The model's tokens of the pipeline's numbers."""
        return tuple(int(token) if self._outward is None else self._outward[int(token)] for token in ids)


class Running:
    """A `Session`: the pipeline's own batch, and how much of its cache is spoken for."""

    def __init__(
        self,
        pipeline: Any,
        blocks: int,
        end_id: int,
        numbers: Iterator[int],
        batch: int,
        least_rows: int,
        tokens: _Tokens,
    ) -> None:
        """Use `OpenVINO.session`."""
        self._pipeline, self._numbers, self._batch, self._tokens = pipeline, numbers, batch, tokens
        self._end = tokens.inward([end_id])[0]
        self._least_rows = least_rows
        self._free = blocks - least_rows * _blocks_for(1 + _IDLE_TOKENS)
        self._live: dict[int, _Sequence] = {}
        self._idle: list[Any] = []
        self._read = 0

    def fits(self, prompt: Prompt, sampling: Sampling) -> bool:
        """See `Session.fits`."""
        if not self._live:
            return True
        tokens = len(prompt.token_ids)
        # A prompt waits for a step that reads it whole: one read in pieces would round differently.
        room = _STEP_TOKENS - max(len(self._live), self._least_rows) - self._read
        free = _blocks_for(tokens + sampling.max_tokens) <= self._free
        return len(self._live) < self._batch and free and tokens <= room

    def add(self, prompt: Prompt, sampling: Sampling, *, follow: bool = False, log_probs: bool = False) -> int:
        """See `Session.add`."""
        blocks = _blocks_for(len(prompt.token_ids) + sampling.max_tokens)
        number, handle = self._request(prompt, sampling, log_probs=log_probs)
        self._live[number] = _Sequence(handle, blocks, follow, log_probs)
        self._free -= blocks
        self._read += len(prompt.token_ids)
        return number

    def step(self) -> list[Drawn]:
        """See `Session.step`."""
        if not self._live:
            return []
        self._idle = [handle for handle in self._idle if not _ended(handle)]
        while len(self._live) + len(self._idle) < self._least_rows:
            self._idle.append(self._request(_IDLE, Sampling(max_tokens=_IDLE_TOKENS), idle=True)[1])
        try:
            self._pipeline.step()
        except RuntimeError as exc:
            raise ModelError(
                f"OpenVINO failed while generating ({_first_line(exc)}). Try `--engine transformers`."
            ) from exc
        self._read = 0
        return [drawn for drawn in [self._news(number) for number in list(self._live)] if drawn is not None]

    def cancel(self, number: int) -> None:
        """See `Session.cancel`."""
        sequence = self._live.pop(number, None)
        if sequence is not None:
            self._free += sequence.blocks
            sequence.handle.cancel()
            if not self._live:
                self.close()

    def close(self) -> None:
        """See `Session.close`. Cancelled requests leave the pipeline at its next step."""
        for handle in [*(sequence.handle for sequence in self._live.values()), *self._idle]:
            if not _ended(handle):
                handle.cancel()
        self._free += sum(sequence.blocks for sequence in self._live.values())
        self._live, self._idle, self._read = {}, [], 0
        while self._pipeline.has_non_finished_requests():
            self._pipeline.step()

    def _news(self, number: int) -> Drawn | None:
        sequence = self._live[number]
        ended = _ended(sequence.handle)
        if not (ended or (sequence.follow and sequence.handle.can_read())):
            return None
        if ended:
            del self._live[number]
            self._free += sequence.blocks
        outputs = sequence.handle.read_all() if ended else list(sequence.handle.read().values())
        ids = self._tokens.outward(outputs[0].generated_ids) if outputs else ()
        scored = outputs and sequence.log_probs
        log_probs = tuple(float(value) for value in outputs[0].generated_log_probs) if scored else ()
        return Drawn(number, ids, log_probs, ended)

    def _request(
        self, prompt: Prompt, sampling: Sampling, idle: bool = False, log_probs: bool = False
    ) -> tuple[int, Any]:
        import numpy as np
        import openvino
        import openvino_genai

        config = openvino_genai.GenerationConfig()
        config.apply_chat_template = False
        config.max_new_tokens = sampling.max_tokens
        config.eos_token_id = self._end
        config.stop_token_ids = {self._end}
        config.ignore_eos = idle
        config.logprobs = int(log_probs)
        config.do_sample = sampling.temperature > COLDEST and not idle
        if config.do_sample:
            config.rng_seed = prompt.seed
            config.temperature = sampling.temperature
            config.top_p = max(sampling.top_p, _LEAST_TOP_P)
            config.min_p = min(sampling.min_p, _MOST_MIN_P)
            if sampling.top_k:
                config.top_k = sampling.top_k
        ids = openvino.Tensor(np.array([self._tokens.inward(prompt.token_ids)], dtype=np.int64))
        number = next(self._numbers)
        try:
            return number, self._pipeline.add_request(number, ids, config)
        except RuntimeError as exc:
            raise ModelError(f"OpenVINO refused a prompt ({_first_line(exc)}).") from exc


def _ended(handle: Any) -> bool:
    return str(handle.get_status().name) != "RUNNING"


def _blocks_for(tokens: int) -> int:
    return -(-tokens // _BLOCK) + 1


def _cache_blocks(config: dict[str, Any]) -> int:
    """Blocks of the cache: `_CACHE_BLOCKS`, or what a share of this machine's memory holds when that is less."""
    heads, size = key_heads(config), head_size(config)
    block_bytes = 2 * config["num_hidden_layers"] * heads * (size + 8) * _BLOCK  # 8: a scale and a zero point each
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return max(64, min(_CACHE_BLOCKS, int(memory * _CACHE_SHARE / block_bytes)))


def _first_line(exc: BaseException) -> str:
    lines = [line.strip() for line in str(exc).splitlines() if line.strip()]
    return lines[-1] if lines else type(exc).__name__
