"""A model directory in the Hugging Face layout as it is read without torch: what its config says, and its weights.

For the graph of the `openvino` engine and for GGUF, which cover the same models (`why_not`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pasquin.errors import ModelError

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]

ARCHITECTURES: Final = ("llama", "qwen2", "qwen3")
PIECE: Final = 32
"""Weights of eight bits or fewer that share a scale: as many as in a block of GGUF's Q8_0. One for a whole row would
be a tenth faster and twice as wrong."""


def read_config(model_dir: Path) -> dict[str, Any]:
    """The model's `config.json`. Raises ModelError when it is missing or not an object."""
    path = model_dir / "config.json"
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as exc:
        raise ModelError(f"{path} is missing or damaged: train the model again.") from exc
    if not isinstance(config, dict):
        raise ModelError(f"{path} is damaged: train the model again.")
    return config


def why_not(config: Mapping[str, Any]) -> str | None:
    """None when a model with this `config.json` can be written faithfully, else the reason it cannot."""
    kind = config.get("model_type")
    if kind not in ARCHITECTURES:
        return f"it reads models of the types {', '.join(ARCHITECTURES)}, this one is `{kind}`"
    if (config.get("rope_scaling") or _rotary(config).get("rope_type", "default")) != "default":
        return "it does not know this model's scaled rotary positions"
    if config.get("hidden_act", "silu") != "silu":
        return f"it does not know the activation `{config['hidden_act']}`"
    if config.get("use_sliding_window"):
        return "it does not know sliding-window attention"
    if any(config[key] % PIECE for key in ("hidden_size", "intermediate_size")):
        return f"its rows of weights cannot be divided by {PIECE}"
    if config.get("mlp_bias") or (kind != "qwen2" and config.get("attention_bias")):
        return "it does not know biases in this type of model"
    return None


def head_size(config: Mapping[str, Any]) -> int:
    """Numbers in a head of attention."""
    return int(config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"])


def key_heads(config: Mapping[str, Any]) -> int:
    """Heads of keys and values, which several heads of queries may share."""
    return int(config.get("num_key_value_heads") or config["num_attention_heads"])


def rotary_base(config: Mapping[str, Any]) -> float:
    """The base of the rotary positions' wavelengths."""
    return float(_rotary(config).get("rope_theta") or config.get("rope_theta") or 10_000.0)


def _rotary(config: Mapping[str, Any]) -> Mapping[str, Any]:
    return config.get("rope_parameters") or {}


def read_weights(model_dir: Path) -> Iterator[tuple[str, Array]]:
    """Every tensor of the safetensors files, as float32 (numpy has no bfloat16, so the bytes are widened here).

    Format: 8 bytes of header length, a JSON header of dtype, shape and offsets, then the data
    (https://github.com/huggingface/safetensors#format). Raises ModelError when a file is missing or cut
    short, or a weight is no number.
    """
    import numpy as np

    for path in weight_files(model_dir):
        try:
            data = np.memmap(path, dtype=np.uint8, mode="r")
            begin = 8 + int(data[:8].view("<u8")[0])
            header = json.loads(bytes(data[8:begin]))
            for name, entry in header.items():
                if name != "__metadata__":
                    first, last = entry["data_offsets"]
                    tensor = _widen(data[begin + first : begin + last], entry["dtype"]).reshape(entry["shape"])
                    yield name, _finite(name, tensor)
        except (OSError, ValueError, KeyError, IndexError) as exc:
            raise ModelError(f"{path} is damaged or unfinished ({exc}): train the model again.") from exc


def _widen(raw: Array, dtype: str) -> Array:
    import numpy as np

    if dtype == "BF16":
        return (raw.view("<u2").astype(np.uint32) << 16).view(np.float32)
    if dtype in {"F16", "F32"}:
        return raw.view({"F16": "<f2", "F32": "<f4"}[dtype]).astype(np.float32)
    raise ValueError(f"weights of type {dtype}")


def weight_files(model_dir: Path) -> list[Path]:
    """The safetensors files of a model, in name order. Raises ModelError when there is none."""
    files = sorted(model_dir.glob("model*.safetensors"))
    if not files:
        raise ModelError(f"{model_dir} has no weights (model.safetensors): train the model again.")
    return files


def _finite(name: str, tensor: Array) -> Array:
    import numpy as np

    if not np.isfinite(tensor).all():
        raise ModelError(f"The weights `{name}` are not finite: the training went wrong, train the model again.")
    return tensor


def check_vocabulary(model_dir: Path, embedded: int, config: Mapping[str, Any]) -> None:
    """Raise ModelError when the weights embed another number of tokens than the config knows."""
    if embedded != config["vocab_size"]:
        raise ModelError(
            f"The weights of {model_dir.name} know {embedded:,} tokens, its config.json says "
            f"{config['vocab_size']:,}: they do not belong together. Train the model again."
        )
