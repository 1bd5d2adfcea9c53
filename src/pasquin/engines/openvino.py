"""The `openvino` engine: OpenVINO GenAI's continuous batching on the CPU, fed with token ids.

The model is read from a GGUF written beside it once (`gguf_export`). Prompts and completions are token ids in and out,
so its own tokenizer plays no part. A sequence that ends makes room for the next one at once.

What holds of determinism (tests/test_engines.py, docs/generate.md): each sequence has a random generator of its own,
and the arithmetic of a sequence does not depend on its neighbours as long as it has enough of them. Few rows take
another code path that rounds differently, so the engine gives the last few sequences idle neighbours. Other kinds of
processors and other versions of OpenVINO may round differently.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Generator, Sequence
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pasquin.engines.decoding import completion
from pasquin.engines.gguf_export import export_gguf, read_config, why_not, write_placeholder_tokenizer
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
_PRECISION: Final = {"KV_CACHE_PRECISION": "u8", "DYNAMIC_QUANTIZATION_GROUP_SIZE": "0"}
"""Eight bits for what is kept, bfloat16 (where there is no such hardware, float32) for what is computed."""
_IDLE: Final = Prompt(token_ids=(0,), seed=0)


class OpenVINO:
    """A model loaded into OpenVINO GenAI."""

    name = "openvino"

    def __init__(self, pipeline: Any, blocks: int, context: int, tokenizer: Tokenizer, end_id: int) -> None:
        """`blocks` is the size of the pipeline's cache. Use `open`."""
        self.context = context
        self._pipeline = pipeline
        self._blocks = blocks
        self._tokenizer = tokenizer
        self._end_id = end_id
        self._ids = count()

    @staticmethod
    def supports(model_dir: Path) -> str | None:
        """None when the model is of a type that its GGUF reader knows and the packages are installed."""
        missing = [package for package in _PACKAGES if find_spec(package) is None]
        if missing:
            return "it is not installed, `pip install 'pasquin[openvino]'` does that"
        return why_not(read_config(model_dir))

    @staticmethod
    def open(model_dir: Path) -> OpenVINO:
        """Load the model, writing `model.gguf` beside it first where that is missing or out of date.

        Raises ModelError when the model is unfinished, damaged or refused by OpenVINO.
        """
        import openvino_genai

        config = read_config(model_dir)
        post_format, tokenizer = PostFormat.load(model_dir), load_tokenizer(model_dir)
        weights = export_gguf(model_dir)
        scheduler = openvino_genai.SchedulerConfig()
        scheduler.num_kv_blocks = blocks = _cache_blocks(config)
        scheduler.max_num_seqs = blocks
        scheduler.max_num_batched_tokens = _STEP_TOKENS
        scheduler.dynamic_split_fuse = True  # prompts share steps with running sequences, so no step has few rows
        try:
            with tempfile.TemporaryDirectory() as folder:
                placeholder = openvino_genai.Tokenizer(write_placeholder_tokenizer(Path(folder)))
            pipeline = openvino_genai.ContinuousBatchingPipeline(weights, placeholder, scheduler, "CPU", **_PRECISION)
        except (RuntimeError, IndexError) as exc:
            raise ModelError(
                f"OpenVINO cannot load {model_dir.name} ({_first_line(exc)}). Try `--engine transformers`."
            ) from exc
        context = min(int(config["max_position_embeddings"]), _STEP_TOKENS - _LEAST_ROWS)
        return OpenVINO(pipeline, blocks, context, tokenizer, post_format.end_id)

    def generate(
        self, prompts: Sequence[Prompt], sampling: Sampling, batch: int = 128
    ) -> Generator[Completion, None, None]:
        """See `Engine.generate`. Fewer than `batch` sequences run at a time where the cache would not hold them."""
        waiting = iter(enumerate(prompts))
        upcoming = next(waiting, None)
        live: dict[int, tuple[Any, int]] = {}
        idle: list[Any] = []
        free = self._blocks - _LEAST_ROWS * _blocks_for(1 + sampling.max_tokens)
        try:
            while upcoming is not None or live:
                room = _STEP_TOKENS - max(len(live), _LEAST_ROWS)
                while upcoming is not None and len(live) < batch:
                    index, prompt = upcoming
                    blocks = _blocks_for(len(prompt.token_ids) + sampling.max_tokens)
                    # A prompt waits for a step that reads it whole: one read in pieces would round differently.
                    if live and (blocks > free or len(prompt.token_ids) > room):
                        break
                    free -= blocks
                    room -= len(prompt.token_ids)
                    live[index] = (self._add(prompt, sampling), blocks)
                    upcoming = next(waiting, None)
                idle = [handle for handle in idle if not _ended(handle)]
                idle += [self._add(_IDLE, sampling, idle=True) for _ in range(_LEAST_ROWS - len(live) - len(idle))]
                self._step()
                for index in [index for index, (handle, _) in live.items() if _ended(handle)]:
                    handle, blocks = live.pop(index)
                    free += blocks
                    yield completion(index, _generated(handle), self._end_id, self._tokenizer, sampling)
        finally:
            self._drop([handle for handle, _ in live.values()] + idle)

    def _add(self, prompt: Prompt, sampling: Sampling, idle: bool = False) -> Any:
        import numpy as np
        import openvino
        import openvino_genai

        config = openvino_genai.GenerationConfig()
        config.apply_chat_template = False
        config.max_new_tokens = sampling.max_tokens
        config.eos_token_id = self._end_id
        config.stop_token_ids = {self._end_id}
        config.ignore_eos = idle
        config.do_sample = sampling.temperature > 0 and not idle
        if config.do_sample:
            config.rng_seed = prompt.seed
            config.temperature = sampling.temperature
            config.top_p = sampling.top_p
            if sampling.top_k:
                config.top_k = sampling.top_k
        ids = openvino.Tensor(np.array([prompt.token_ids], dtype=np.int64))
        try:
            return self._pipeline.add_request(next(self._ids), ids, config)
        except RuntimeError as exc:
            raise ModelError(f"OpenVINO refused a prompt ({_first_line(exc)}).") from exc

    def _step(self) -> None:
        try:
            self._pipeline.step()
        except RuntimeError as exc:
            raise ModelError(
                f"OpenVINO failed while generating ({_first_line(exc)}). Try `--engine transformers`."
            ) from exc

    def _drop(self, handles: list[Any]) -> None:
        """Free what is unfinished: cancelled requests leave the pipeline at its next step."""
        for handle in handles:
            if not _ended(handle):
                handle.cancel()
        while self._pipeline.has_non_finished_requests():
            self._pipeline.step()


def _ended(handle: Any) -> bool:
    return str(handle.get_status().name) != "RUNNING"


def _generated(handle: Any) -> list[int]:
    return [int(token) for token in handle.read_all()[0].generated_ids]


def _blocks_for(tokens: int) -> int:
    return -(-tokens // _BLOCK) + 1


def _cache_blocks(config: dict[str, Any]) -> int:
    """Blocks of the cache: `_CACHE_BLOCKS`, or what a share of this machine's memory holds when that is less."""
    heads = config.get("num_key_value_heads") or config["num_attention_heads"]
    size = config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"]
    block_bytes = 2 * config["num_hidden_layers"] * heads * (size + 8) * _BLOCK  # 8: a scale and a zero point each
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return max(64, min(_CACHE_BLOCKS, int(memory * _CACHE_SHARE / block_bytes)))


def _first_line(exc: BaseException) -> str:
    lines = [line.strip() for line in str(exc).splitlines() if line.strip()]
    return lines[-1] if lines else type(exc).__name__
