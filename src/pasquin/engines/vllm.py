"""The `vllm` engine: models on an NVIDIA GPU, by vLLM's own scheduler.

Written against vLLM's interface (`LLM`, `SamplingParams`, `TokensPrompt`, and the engine behind `LLM` with its
`add_request`, `step` and `abort_request`) and tested against an imitation of it: we have not run it on a GPU. Every
prompt has a seed of its own; how far a text repeats when its neighbours change is up to vLLM's kernels. Min-p is looked
at before top-k and top-p there, so with both, what is drawn from differs a little from the other engines.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pasquin.engines import Drawn
from pasquin.engines.batches import complete
from pasquin.errors import ModelError, ResourceError, UsageError
from pasquin.post_format import PostFormat, load_tokenizer
from pasquin.records import Completion, Prompt, Sampling

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_LONGEST: Final = 4_096
"""Tokens of context asked for, at most: vLLM wants room for a sequence of that length."""
_SEQUENCES: Final = 256
_SEED_BITS: Final = 63


class VLLM:
    """A model loaded with vLLM."""

    name = "vllm"

    def __init__(self, model: Any, context: int, tokenizer: Tokenizer, end_id: int) -> None:
        """Use `open`."""
        self.context = context
        self._model, self._tokenizer, self._end_id = model, tokenizer, end_id

    @staticmethod
    def supports(model_dir: Path) -> str | None:
        """None when vLLM is installed and there is a CUDA device, else what is missing."""
        if find_spec("vllm") is None:
            return "it is not installed, `pip install 'pasquin[vllm]'` does that (on Linux with an NVIDIA GPU)"
        import torch

        return None if torch.cuda.is_available() else "it needs an NVIDIA GPU with CUDA, and there is none here"

    @staticmethod
    def open(model_dir: Path, batch: int | None = None) -> VLLM:
        """Load the model. Raises ModelError when vLLM cannot, ResourceError when the GPU's memory is short."""
        import torch
        from vllm import LLM

        post_format, tokenizer = PostFormat.load(model_dir), load_tokenizer(model_dir)
        context = _context(model_dir)
        try:
            model = LLM(
                model=str(model_dir),
                skip_tokenizer_init=True,
                max_model_len=context,
                max_num_seqs=batch or _SEQUENCES,
                generation_config="vllm",  # not what generation_config.json says
                seed=0,
            )
        except (MemoryError, torch.OutOfMemoryError) as exc:
            raise ResourceError(
                f"The GPU has not enough memory for {model_dir.name}. Close what else uses it, or take another engine."
            ) from exc
        except (OSError, ValueError, KeyError, RuntimeError) as exc:
            said = (str(exc).splitlines() or [type(exc).__name__])[0]
            raise ModelError(f"vLLM cannot load {model_dir.name} ({said}): take --engine transformers.") from exc
        return VLLM(model, context, tokenizer, post_format.end_id)

    def generate(
        self, prompts: Sequence[Prompt], sampling: Sampling, batch: int = 128
    ) -> Generator[Completion, None, None]:
        """See `Engine.generate`."""
        return complete(self.session(batch), prompts, sampling, self._end_id, self._tokenizer)

    def session(self, batch: int = 128) -> Requests:
        """See `Engine.session`."""
        return Requests(self._model.llm_engine, self._end_id, batch)


@dataclass(slots=True)
class _Row:
    """A sequence that runs; whether it is told of at every token, and with log-probabilities."""

    follow: bool
    log_probs: bool
    made: list[int] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)


class Requests:
    """A `Session` whose sequences are requests to vLLM's engine, which batches them as it sees fit."""

    def __init__(self, engine: Any, end_id: int, batch: int) -> None:
        """Use `VLLM.session`."""
        self._engine, self._end_id, self._batch = engine, end_id, batch
        self._rows: dict[str, _Row] = {}
        self._next = 0

    def fits(self, prompt: Prompt, sampling: Sampling) -> bool:
        """See `Session.fits`."""
        return len(self._rows) < self._batch

    def add(self, prompt: Prompt, sampling: Sampling, *, follow: bool = False, log_probs: bool = False) -> int:
        """See `Session.add`. Raises UsageError for a prompt that blends voices."""
        from vllm import SamplingParams
        from vllm.inputs import TokensPrompt
        from vllm.sampling_params import RequestOutputKind

        if prompt.blend:
            raise UsageError("The engine vllm cannot blend voices: use --engine transformers.")
        asked = SamplingParams(
            temperature=sampling.temperature,
            top_k=sampling.top_k,
            top_p=sampling.top_p,
            min_p=sampling.min_p,
            max_tokens=sampling.max_tokens,
            seed=prompt.seed % 2**_SEED_BITS,
            stop_token_ids=[self._end_id],
            ignore_eos=True,  # the post's end is ours to say
            detokenize=False,
            logprobs=0 if log_probs else None,  # of the token drawn alone
            output_kind=RequestOutputKind.DELTA,
        )
        number, self._next = self._next, self._next + 1
        with_ids = TokensPrompt(prompt_token_ids=list(prompt.token_ids))
        try:
            self._engine.add_request(str(number), with_ids, asked)
        except ValueError as exc:
            raise ModelError(f"vLLM refused a prompt ({str(exc).splitlines()[0]}): make it shorter.") from exc
        self._rows[str(number)] = _Row(follow, log_probs)
        return number

    def step(self) -> list[Drawn]:
        """See `Session.step`."""
        if not self._rows:
            return []
        try:
            outputs = self._engine.step()
        except RuntimeError as exc:
            said = (str(exc).splitlines() or [type(exc).__name__])[0]
            raise ModelError(
                f"vLLM stopped ({said}): run it again, with a smaller --batch if memory is short."
            ) from exc
        news = [self._take(output) for output in outputs if output.request_id in self._rows]
        return [drawn for drawn in news if drawn is not None]

    def cancel(self, number: int) -> None:
        """See `Session.cancel`."""
        if self._rows.pop(str(number), None) is not None:
            self._engine.abort_request([str(number)])

    def close(self) -> None:
        """See `Session.close`."""
        if self._rows:
            self._engine.abort_request(list(self._rows))
        self._rows = {}

    def _take(self, output: Any) -> Drawn | None:
        """What a request has drawn since the last step; kept back until its end when nobody follows it."""
        row, new = self._rows[output.request_id], output.outputs[0]
        ids = list(new.token_ids)
        row.made += ids
        if row.log_probs:
            row.scores += [float(at[token].logprob) for at, token in zip(new.logprobs or (), ids, strict=False)]
        if not (output.finished or row.follow):
            return None
        if output.finished:
            del self._rows[output.request_id]
        drawn = Drawn(int(output.request_id), tuple(row.made), tuple(row.scores), bool(output.finished))
        row.made, row.scores = [], []
        return drawn


def _context(model_dir: Path) -> int:
    """Positions asked for; 1,024 for the rare model that does not say."""
    try:
        config = json.loads((model_dir / "config.json").read_text(encoding="utf-8"))
        return min(int(config.get("max_position_embeddings") or config.get("n_positions") or 1_024), _LONGEST)
    except (OSError, ValueError, TypeError, AttributeError) as exc:
        raise ModelError(f"{model_dir / 'config.json'} is missing or damaged: train the model again.") from exc
