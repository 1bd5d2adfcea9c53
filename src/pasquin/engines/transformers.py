"""The `transformers` engine: any causal language model, on any device torch knows.

Prompts are padded on the left and run in batches; rows that have ended are taken out of the batch and its cache. Each
row draws with numbers of its own (one uniform number a token, from a generator seeded with the prompt's seed, by
inverting the cumulative distribution), so what it draws does not depend on its neighbours. The logits it draws from
may, in the last bits: the libraries below choose their kernels by the shape of a batch. In bfloat16 that now and then
turns a token, in float32 hardly ever.
"""

from __future__ import annotations

import io
from collections.abc import Generator, Iterator, Sequence
from contextlib import redirect_stderr
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pasquin.engines import COLDEST, Drawn
from pasquin.engines.batches import complete
from pasquin.engines.vocabulary import check_tokens
from pasquin.errors import ModelError, ResourceError
from pasquin.post_format import PostFormat, load_tokenizer
from pasquin.records import Completion, Prompt, Sampling
from pasquin.threads import spin_briefly

if TYPE_CHECKING:
    import torch
    from tokenizers import Tokenizer

_SHORTLIST: Final = 1_024
"""The nucleus of top-p is looked for among this many tokens first: sorting a whole vocabulary is slow."""
_COMPACT_BELOW: Final = 0.75
"""A batch is compacted when fewer than this share of its rows are unfinished: each compaction copies the cache."""


class Transformers:
    """A model loaded with Hugging Face transformers."""

    name = "transformers"

    def __init__(self, model: Any, context: int, tokenizer: Tokenizer, end_id: int) -> None:
        """Use `open`."""
        self.context = context
        self._model = model
        self._tokenizer = tokenizer
        self._end_id = end_id

    @staticmethod
    def supports(model_dir: Path) -> str | None:
        """None when torch and transformers are installed: any causal language model will do."""
        missing = [package for package in ("torch", "transformers", "tokenizers") if find_spec(package) is None]
        return "it is not installed, `pip install 'pasquin[train]'` does that" if missing else None

    @staticmethod
    def open(model_dir: Path, batch: int | None = None) -> Transformers:
        """Load the model: on a GPU when there is one, in bfloat16 where the processor computes in it.

        Raises ModelError when it is damaged or not a causal language model, ResourceError when memory is short.
        """
        spin_briefly()
        import torch
        import transformers
        from safetensors import SafetensorError
        from transformers import AutoModelForCausalLM

        transformers.logging.disable_progress_bar()
        post_format, tokenizer = PostFormat.load(model_dir), load_tokenizer(model_dir)
        device, dtype = _place()
        try:
            with redirect_stderr(io.StringIO()):  # its bars, which no setting turns off
                model = AutoModelForCausalLM.from_pretrained(model_dir, dtype=dtype, local_files_only=True)
            model = model.to(device).eval()
        except (MemoryError, torch.OutOfMemoryError) as exc:
            raise ResourceError(f"There is not enough memory for {model_dir.name}. Use a smaller model.") from exc
        except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as exc:
            raise ModelError(
                f"transformers cannot load {model_dir.name} ({str(exc).splitlines()[0]}): train the model again."
            ) from exc
        check_tokens(model_dir, tokenizer, post_format.end_id, model.get_input_embeddings().num_embeddings)
        return Transformers(model, _context(model.config), tokenizer, post_format.end_id)

    def generate(
        self, prompts: Sequence[Prompt], sampling: Sampling, batch: int = 128
    ) -> Generator[Completion, None, None]:
        """See `Engine.generate`. A new batch begins when the one before has ended."""
        return complete(self.session(batch), prompts, sampling, self._end_id, self._tokenizer)

    def losses(self, ids: torch.Tensor) -> torch.Tensor:
        """The loss of each token behind the first, in nats, (rows, tokens - 1), of token ids padded on the right."""
        import torch

        ids = ids.to(self._model.device)
        with torch.inference_mode():
            logits = self._model(input_ids=ids[:, :-1]).logits.float()
            return torch.nn.functional.cross_entropy(logits.mT, ids[:, 1:], reduction="none").cpu()

    def session(self, batch: int = 128) -> Waves:
        """See `Engine.session`."""
        return Waves(self._model, self._end_id, batch)


@dataclass(slots=True)
class _Row:
    """A sequence of a wave; `told` counts the tokens that `step` has handed over."""

    number: int
    prompt: Prompt
    sampling: Sampling
    follow: bool
    log_probs: bool
    made: list[int] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    told: int = 0
    dropped: bool = False


class Waves:
    """A `Session` whose sequences start together: what joins while a wave is running begins with the next.

    A wave is of prompts that are drawn alike (temperature, top-k, top-p, min-p) and blend as many beginnings. A prompt
    that blends takes a row of the batch for each of its beginnings.
    """

    def __init__(self, model: Any, end_id: int, batch: int) -> None:
        """Use `Transformers.session`."""
        self._model, self._end_id, self._batch = model, end_id, batch
        self._rows: dict[int, _Row] = {}
        self._wave: Iterator[list[Drawn]] | None = None
        self._next = 0

    def fits(self, prompt: Prompt, sampling: Sampling) -> bool:
        """See `Session.fits`."""
        if self._wave is not None or len(self._rows) >= self._batch:
            return False
        return all(
            _drawn_as(row.sampling) == _drawn_as(sampling) and len(row.prompt.blend) == len(prompt.blend)
            for row in self._rows.values()
        )

    def add(self, prompt: Prompt, sampling: Sampling, *, follow: bool = False, log_probs: bool = False) -> int:
        """See `Session.add`."""
        number, self._next = self._next, self._next + 1
        self._rows[number] = _Row(number, prompt, sampling, follow, log_probs)
        return number

    def step(self) -> list[Drawn]:
        """See `Session.step`."""
        if self._wave is None:
            if not self._rows:
                return []
            self._wave = self._run(list(self._rows.values()))
        news = next(self._wave)
        for drawn in news:
            if drawn.ended:
                del self._rows[drawn.number]
        if not self._rows:
            self.close()
        return news

    def cancel(self, number: int) -> None:
        """See `Session.cancel`. Its place in the running wave stays empty."""
        row = self._rows.pop(number, None)
        if row is not None:
            row.dropped = True
            if not self._rows:
                self.close()

    def close(self) -> None:
        """See `Session.close`."""
        self._rows, self._wave = {}, None

    def _run(self, rows: list[_Row]) -> Iterator[list[Drawn]]:
        """The news of each step of one wave. A row leaves the batch and its cache some time after it has ended."""
        import torch
        from transformers import DynamicCache

        device, sampling = self._model.device, rows[0].sampling
        prompts = [row.prompt for row in rows]
        steps = max(row.sampling.max_tokens for row in rows)
        draws = _draws(prompts, steps).to(device)
        begin = [ids for prompt in prompts for ids, _ in prompt.blend or ((prompt.token_ids, 1.0),)]
        voices = len(begin) // len(prompts)
        shares = torch.tensor([[share for _, share in prompt.blend] for prompt in prompts], device=device)
        tokens, mask = (tensor.to(device) for tensor in _padded(begin))
        cache = DynamicCache(config=self._model.config)
        positions = (mask.cumsum(-1) - 1).clamp(min=0)
        for step in range(steps):
            with torch.inference_mode():
                logits = self._model(
                    input_ids=tokens,
                    attention_mask=mask,
                    position_ids=positions,
                    past_key_values=cache,
                    use_cache=True,
                    logits_to_keep=1,
                ).logits[:, -1]
                logits = logits.float() if voices == 1 else _blended(logits.float(), shares)
                drawn = draw(logits, draws[:, step], sampling)
                scores = _scores(logits, drawn) if any(row.log_probs for row in rows) else None
            ended = self._take(rows, drawn.tolist(), scores)
            yield [told for told in map(_news, rows, ended) if told is not None]
            for row, end in zip(rows, ended, strict=True):
                row.dropped |= end
            unfinished = [not row.dropped for row in rows]
            if not any(unfinished):
                return
            with torch.inference_mode():
                mask = torch.cat([mask, mask.new_ones(len(mask), 1)], dim=1)
                positions = positions[:, -1:] + 1
                tokens = drawn.repeat_interleave(voices)[:, None]
                if sum(unfinished) < _COMPACT_BELOW * len(rows):
                    keep = torch.tensor([at for at, going in enumerate(unfinished) if going], device=device)
                    each = (keep[:, None] * voices + torch.arange(voices, device=device)).flatten()
                    cache.batch_select_indices(each)
                    tokens, mask, positions = (tensor[each] for tensor in (tokens, mask, positions))
                    draws, shares = draws[keep], shares[keep]
                    rows = [rows[at] for at in keep.tolist()]

    def _take(self, rows: list[_Row], drawn: list[int], scores: list[float] | None) -> list[bool]:
        """Give each unfinished row its token; whether that was its last."""
        ended = []
        for at, row in enumerate(rows):
            if not row.dropped:
                row.made.append(drawn[at])
                if row.log_probs and scores is not None:
                    row.scores.append(scores[at])
            done = drawn[at] == self._end_id or len(row.made) >= row.sampling.max_tokens
            ended.append(done and not row.dropped)
        return ended


def _news(row: _Row, ended: bool) -> Drawn | None:
    if row.dropped or not (ended or row.follow):
        return None
    told, row.told = row.told, len(row.made)
    return Drawn(row.number, tuple(row.made[told:]), tuple(row.scores[told:]), ended)


def _drawn_as(sampling: Sampling) -> tuple[float, int, float, float]:
    return sampling.temperature, sampling.top_k, sampling.top_p, sampling.min_p


def _scores(logits: torch.Tensor, drawn: torch.Tensor) -> list[float]:
    """The model's own log-probability of each token drawn."""
    values: list[float] = logits.log_softmax(-1).gather(-1, drawn[:, None])[:, 0].tolist()
    return values


def _blended(logits: torch.Tensor, shares: torch.Tensor) -> torch.Tensor:
    """Logits of the mixture, (rows, vocabulary), of those of each row's voices, (rows x voices, vocabulary)."""
    each = logits.log_softmax(-1).reshape(*shares.shape, -1)
    mixed: torch.Tensor = (each + shares.log()[..., None]).logsumexp(1)
    return mixed


def draw(logits: torch.Tensor, uniform: torch.Tensor, sampling: Sampling) -> torch.Tensor:
    """One token a row from float32 `logits` (rows, vocabulary) with `uniform` numbers (rows) in [0, 1).

    Top-k before temperature before top-p, as the libraries do; the nucleus holds the token that crosses `top_p`. Min-p
    looks at probabilities after temperature.
    """
    import torch

    if sampling.temperature <= COLDEST:
        return logits.argmax(-1)
    probabilities = torch.softmax(logits / sampling.temperature, dim=-1)
    tokens = None
    if sampling.top_k and sampling.top_k < logits.shape[-1]:
        probabilities, tokens = probabilities.topk(sampling.top_k)
        probabilities = probabilities / probabilities.sum(-1, keepdim=True)
    if sampling.top_p < 1:
        if tokens is None:
            probabilities, tokens = _ranked(probabilities, sampling.top_p)
        before = probabilities.cumsum(-1) - probabilities
        probabilities = probabilities.masked_fill(before > sampling.top_p, 0.0)
    if sampling.min_p:
        least = sampling.min_p * probabilities.amax(-1, keepdim=True)
        probabilities = probabilities.masked_fill(probabilities < least, 0.0)
    cumulative = probabilities.double().cumsum(-1)
    goal = uniform.double()[:, None] * cumulative[:, -1:]
    chosen = torch.searchsorted(cumulative, goal, right=True).clamp(max=cumulative.shape[-1] - 1)
    return (chosen if tokens is None else tokens.gather(-1, chosen))[:, 0]


def _ranked(probabilities: torch.Tensor, mass: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Probabilities and their tokens, likeliest first: as many as hold `mass` in every row, or all."""
    if probabilities.shape[-1] > _SHORTLIST:
        best, tokens = probabilities.topk(_SHORTLIST)
        if bool((best.sum(-1) > mass).all()):
            return best, tokens
    ranked = probabilities.sort(dim=-1, descending=True, stable=True)
    return ranked.values, ranked.indices


def _draws(prompts: Sequence[Prompt], steps: int) -> torch.Tensor:
    """A row of `steps` uniform numbers for each prompt, by its seed alone."""
    import torch

    return torch.stack([torch.rand(steps, generator=torch.Generator().manual_seed(prompt.seed)) for prompt in prompts])


def _padded(begin: Sequence[tuple[int, ...]]) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids padded on the left, and their attention mask."""
    import torch

    width = max(map(len, begin))
    gaps = [width - len(ids) for ids in begin]
    tokens = [[0] * gap + list(ids) for gap, ids in zip(gaps, begin, strict=True)]
    mask = [[0] * gap + [1] * (width - gap) for gap in gaps]
    return torch.tensor(tokens), torch.tensor(mask)


def _place() -> tuple[str, torch.dtype]:
    """The device to run on, and the type to compute in: bfloat16 where the hardware does, else float32."""
    import torch

    if torch.cuda.is_available():
        return "cuda", torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    if torch.backends.mps.is_available():
        return "mps", torch.float16
    has_bf16 = bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return "cpu", torch.bfloat16 if has_bf16 else torch.float32


def _context(config: Any) -> int:
    """Positions the model can hold; 1,024 for the rare one that does not say."""
    return int(getattr(config, "max_position_embeddings", None) or 1_024)
