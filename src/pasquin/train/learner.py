"""The model that learns: loading any causal language model, its boundary tokens, full or low-rank weights, precision.

Precision: weights and optimizer stay float32; the arithmetic is bfloat16 (autocast) where this machine is faster at it,
which is measured, not guessed from names.
"""

from __future__ import annotations

import time
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from pasquin.config import TrainSettings
from pasquin.counts import counted
from pasquin.errors import ModelError, NetworkError, ResourceError, UsageError
from pasquin.post_format import ABOUT, ADDED, PostFormat, boundary_tokens, load_tokenizer
from pasquin.progress import Progress
from pasquin.starter import BASE, starter_model
from pasquin.train.attention import use_short_rows
from pasquin.train.llama import TYPES

if TYPE_CHECKING:
    import torch
    from tokenizers import Tokenizer

Method = Literal["full", "lora"]
FULL_PARAMETERS: Final = 500_000_000
"""Models up to this size may be trained in full where nobody says: weights, gradients and AdamW's two moments in
float32 are 16 bytes a parameter, 8 GB here. Low-rank training needs 4 bytes (and a little)."""
SHORT_MINUTES: Final = 7.0
"""A run of so many minutes at most gets further with low-rank weights, whose steps are quicker (docs/train.md)."""
LEARNING_RATES: Final[dict[Method, float]] = {"full": 2e-4, "lora": 2e-3}
SCRATCH_LEARNING_RATE: Final = 2e-3
SCRATCH: Final = "scratch"
"""What a model from scratch has for a base, in manifests."""
LORA_RANK: Final = 32


@dataclass
class Learner:
    """A loaded model with everything needed to train it. `network` is a PeftModel when `method` is `lora`."""

    network: Any
    tokenizer: Tokenizer
    hf_tokenizer: Any
    post_format: PostFormat
    method: Method
    device: torch.device
    bf16: bool

    @property
    def model(self) -> Any:
        """The causal language model itself (with low-rank layers inside, when there are)."""
        return self.network.get_base_model() if self.method == "lora" else self.network

    @property
    def context(self) -> int:
        """The longest example the model can read, in tokens."""
        return int(getattr(self.model.config, "max_position_embeddings", None) or 1024)

    def autocast(self) -> AbstractContextManager[object]:
        """The precision in which forward passes run."""
        import torch

        return torch.autocast(self.device.type, torch.bfloat16) if self.bf16 else nullcontext()

    def trainable(self) -> dict[str, torch.nn.Parameter]:
        """The weights that are learned, by name."""
        return {name: weight for name, weight in self.network.named_parameters() if weight.requires_grad}


def load_learner(
    settings: TrainSettings,
    accounts: tuple[str, ...],
    folder: Path,
    progress: Progress,
    base: Path | None = None,
) -> Learner:
    """Load base model and tokenizer, choose boundaries and method, and write the tokenizer to `folder`.

    `base` is read instead of `settings.model`. Raises ModelError, NetworkError, ResourceError or UsageError saying what
    to do.
    """
    import torch

    network, hf_tokenizer = _load(str(base) if base else settings.model, progress)
    hf_tokenizer.save_pretrained(folder)
    pair = boundary_tokens(load_tokenizer(folder), hf_tokenizer.eos_token)
    added: list[int] = []
    if pair is None:
        hf_tokenizer.add_special_tokens({"bos_token": ADDED[0], "eos_token": ADDED[1]})
        hf_tokenizer.save_pretrained(folder)
        pair, added = ADDED, hf_tokenizer.convert_tokens_to_ids(list(ADDED))
        if max(added) >= network.get_input_embeddings().num_embeddings:
            network.resize_token_embeddings(max(added) + 1)
    start, end = hf_tokenizer.convert_tokens_to_ids(list(pair))
    network.config.bos_token_id, network.config.eos_token_id = start, end
    network.generation_config.bos_token_id, network.generation_config.eos_token_id = start, end
    network.config.use_cache = False
    use_short_rows(network)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    method = settings.method or _method(network, settings, plain=device.type == "cpu" and not added)
    if settings.freeze:
        freeze_lower(network, settings.freeze, method)
    if method == "lora":
        network = _low_rank(network, added)
    return Learner(
        network=network.to(device),
        tokenizer=load_tokenizer(folder),
        hf_tokenizer=hf_tokenizer,
        post_format=PostFormat(start, end, accounts=accounts, about=ABOUT if settings.about else ""),
        method=method,
        device=device,
        bf16=bf16_is_faster(device),
    )


def _method(network: Any, settings: TrainSettings, plain: bool) -> Method:
    """How to train where nobody says: low-rank a large model, and on a CPU for a short time one that has its passes
    written out (`llama`) and learns no new tokens (`plain`).
    """
    if network.num_parameters() > FULL_PARAMETERS:
        return "lora"
    short = settings.minutes is not None and settings.minutes <= SHORT_MINUTES
    whole = settings.freeze or settings.from_scratch
    return "lora" if short and plain and not whole and network.config.model_type in TYPES else "full"


def base_of(settings: TrainSettings) -> str:
    """How the base of a training is called in manifests."""
    return SCRATCH if settings.from_scratch else base_name(settings.model)


def peak_rate(settings: TrainSettings, method: Method) -> float:
    """The highest learning rate of a training: as set, or what the experiments in docs/train.md speak for."""
    return settings.learning_rate or (SCRATCH_LEARNING_RATE if settings.from_scratch else LEARNING_RATES[method])


def freeze_lower(network: Any, lower: int, method: Method) -> None:
    """Leave the embeddings and the `lower` first layers as they are."""
    import torch

    if method == "lora":
        raise UsageError("--freeze is for training in full: leave it out, or leave out --lora.")
    lists = [child for child in network.get_decoder().children() if isinstance(child, torch.nn.ModuleList)]
    layers: list[Any] = max((list(child) for child in lists), key=len, default=[])
    if lower >= len(layers):
        raise UsageError(
            f"The model has {counted(len(layers), 'layer')}: --freeze must be below that, and it is {lower}."
        )
    for part in (network.get_input_embeddings(), *layers[:lower]):
        part.requires_grad_(False)


def base_name(model: str) -> str:
    """How a base model is called: `smollm2`, a hub name, or the absolute path of a directory."""
    return str(Path(model).expanduser().resolve()) if model != BASE and Path(model).expanduser().is_dir() else model


def check_base(model: str) -> None:
    """Raise ModelError when `model` can only be a folder, and there is none: the hub is not asked for a path."""
    is_path = Path(model).is_absolute() or model.startswith(("./", "../", "~")) or model.count("/") > 1
    if is_path and not Path(model).expanduser().is_dir():
        raise ModelError(
            f"There is no folder `{model}` to read a model from. Check the path, give a Hugging Face name such as "
            "`gpt2`, or leave out --model to use the starter model."
        )


def _load(model: str, progress: Progress) -> tuple[Any, Any]:
    import torch
    import transformers

    check_base(model)
    local = model == BASE or Path(model).expanduser().is_dir()
    source = str(starter_model(progress=progress)) if model == BASE else base_name(model)
    transformers.logging.disable_progress_bar()
    level = transformers.logging.get_verbosity()
    transformers.logging.set_verbosity_error()
    try:
        tokenizer: Any = transformers.AutoTokenizer.from_pretrained(source)
        network: Any = transformers.AutoModelForCausalLM.from_pretrained(source, dtype=torch.float32)
    except MemoryError as exc:
        raise ResourceError(
            f"There is not enough memory to load {model}. Choose a smaller model with --model."
        ) from exc
    except Exception as exc:  # from_pretrained lets OSError, ValueError, KeyError and errors of Rust and HTTP through
        reason = str(exc).strip().splitlines()[0] if str(exc).strip() else type(exc).__name__
        if local:
            raise ModelError(
                f"{source} is no whole causal language model in the Hugging Face layout ({reason}). "
                "Fetch or train it again, or name another with --model."
            ) from exc
        raise NetworkError(
            f"Could not load `{model}` from the model hub ({reason}). Check the name and the network, give the "
            "directory of a downloaded model, or leave out --model to use the starter model."
        ) from exc
    finally:
        transformers.logging.set_verbosity(level)
    return network, tokenizer


def _low_rank(network: Any, added: list[int]) -> Any:
    """The model with low-rank layers (LoRA, Hu et al. 2021) beside its linear ones; new tokens are learned whole."""
    import warnings

    from peft import LoraConfig, get_peft_model

    config = LoraConfig(
        r=LORA_RANK,
        lora_alpha=2 * LORA_RANK,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
        trainable_token_indices=added or None,
    )
    with warnings.catch_warnings():  # peft asks transformers for what will have another name
        warnings.simplefilter("ignore", FutureWarning)
        return get_peft_model(network, config)


def bf16_is_faster(device: torch.device) -> bool:
    """Whether a matrix product in bfloat16 takes less than 3/4 of the time it takes in float32, tried here and now."""
    import torch

    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported())

    def seconds(dtype: torch.dtype) -> float:
        one, other = torch.ones(512, 768, dtype=dtype), torch.ones(768, 1024, dtype=dtype)
        times = []
        for _ in range(16):
            began = time.perf_counter()
            one @ other
            times.append(time.perf_counter() - began)
        return min(times)

    return seconds(torch.bfloat16) < 0.75 * seconds(torch.float32)
