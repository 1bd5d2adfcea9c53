"""A Hugging Face model directory written as GGUF, tokenizer included: a whole model to hand to Ollama and llama.cpp.

What it covers: decoder models of the types `llama`, `qwen2` and `qwen3` with plain rotary positions, stored as
safetensors in float32, float16 or bfloat16. Matrices become Q8_0 (blocks of 32 eight-bit weights with a float16 scale)
or what is asked for, norms and biases float32. Sources: the GGUF specification (ggml-org) for names and metadata;
llama-type files keep the rows of the query and key projections interleaved by rotary pair, as llama.cpp's converter
has always written them. What is read of a model directory here serves `openvino_graph`, too.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pasquin.engines.gguf_tokenizer import add_tokenizer
from pasquin.errors import ModelError, disk_errors
from pasquin.workspace.files import replacing

if TYPE_CHECKING:
    import numpy as np
    from gguf import GGMLQuantizationType

    Array = np.ndarray[Any, np.dtype[Any]]

PRECISIONS = ("f16", "q8_0", "q4_0")
"""What matrices may be written in, most exact first: 16, 8.5 and 4.5 bits a weight."""
ARCHITECTURES = ("llama", "qwen2", "qwen3")
_Q8_BLOCK = 32
_NAMES = {
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
_INPUT, _OUTPUT = "token_embd.weight", "output.weight"
_TOP_NAMES = {"embed_tokens": "token_embd", "norm": "output_norm"}


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
    if (config.get("rope_scaling") or rotary(config).get("rope_type", "default")) != "default":
        return "it does not know this model's scaled rotary positions"
    if config.get("hidden_act", "silu") != "silu":
        return f"it does not know the activation `{config['hidden_act']}`"
    if config.get("use_sliding_window"):
        return "it does not know sliding-window attention"
    if any(config[key] % _Q8_BLOCK for key in ("hidden_size", "intermediate_size")):
        return f"its rows of weights cannot be divided by {_Q8_BLOCK}"
    if config.get("mlp_bias") or (kind != "qwen2" and config.get("attention_bias")):
        return "it does not know biases in this type of model"
    return None


def write_gguf(model_dir: Path, path: Path, precision: str = "q8_0") -> None:
    """Write the model of `model_dir`, tokenizer included, to `path` in one of `PRECISIONS`.

    Raises ModelError when the model is damaged or of a kind that cannot be written, ResourceError on a full disk.
    """
    reason = why_not(read_config(model_dir))
    if reason is not None:
        raise ModelError(f"{model_dir.name} cannot be written as GGUF: {reason}.")
    with disk_errors(f"write {path}"), replacing(path) as temporary:
        _write(model_dir, temporary, precision)


def _write(model_dir: Path, path: Path, precision: str) -> None:
    import gguf

    config = read_config(model_dir)
    kind = gguf.GGMLQuantizationType[precision.upper()]
    writer = gguf.GGUFWriter(path, config["model_type"])
    try:
        writer.add_name(model_dir.name)
        add_tokenizer(writer, model_dir, config["vocab_size"])
        writer.add_file_type(gguf.LlamaFileType[f"MOSTLY_{precision.upper()}"])
        _add_metadata(writer, config)
        for name, tensor, written in _tensors(model_dir, config, kind):
            if name == _INPUT and len(tensor) != config["vocab_size"]:
                raise ModelError(
                    f"The weights of {model_dir.name} know {len(tensor):,} tokens, its config.json says "
                    f"{config['vocab_size']:,}: they do not belong together. Train the model again."
                )
            writer.add_tensor(name, tensor, raw_dtype=written)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
    finally:
        writer.close()


def _add_metadata(writer: Any, config: Mapping[str, Any]) -> None:
    heads = config["num_attention_heads"]
    head_size = config.get("head_dim") or config["hidden_size"] // heads
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(heads)
    writer.add_head_count_kv(config.get("num_key_value_heads") or heads)
    writer.add_key_length(head_size)
    writer.add_value_length(head_size)
    writer.add_rope_dimension_count(head_size)
    writer.add_rope_freq_base(float(rotary(config).get("rope_theta") or config.get("rope_theta") or 10_000.0))
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_vocab_size(config["vocab_size"])


def write_placeholder_tokenizer(folder: Path) -> Path:
    """A GGUF with a tokenizer of two tokens and no weights: OpenVINO GenAI wants one, and is never asked to use it."""
    import gguf

    path = folder / "tokenizer.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(["a", "b"])
    writer.add_token_types([gguf.TokenType.CONTROL] * 2)
    writer.add_token_merges(["a b"])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(1)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _tensors(
    model_dir: Path, config: Mapping[str, Any], kind: GGMLQuantizationType
) -> Iterator[tuple[str, Array, GGMLQuantizationType | None]]:
    """Tensors under their GGUF names, in the row order the reader expects, with the type they are written in.

    Matrices are of type `kind`; those that tokens go in and out by have at least eight bits: with four there the
    starter model loses a third more accuracy, to save 14 MB.
    """
    import gguf
    import numpy as np

    heads = config["num_attention_heads"]
    kv_heads = config.get("num_key_value_heads") or heads
    interleave = {"attn_q": heads, "attn_k": kv_heads} if config["model_type"] == "llama" else {}
    for name, tensor in read_weights(model_dir):
        target = _gguf_name(name)
        if target is None or (target == _OUTPUT and config.get("tie_word_embeddings")):
            continue
        if not np.isfinite(tensor).all():
            raise ModelError(f"The weights `{name}` are not finite: the training went wrong, train the model again.")
        if tensor.ndim == 1:
            yield target, tensor, None
            continue
        part = target.split(".")[-2]
        if part in interleave:
            tensor = _interleave(tensor, interleave[part])
        four = kind == gguf.GGMLQuantizationType.Q4_0
        written = gguf.GGMLQuantizationType.Q8_0 if four and part in {"token_embd", "output"} else kind
        yield target, gguf.quants.quantize(tensor, written), written


def _gguf_name(name: str) -> str | None:
    """The GGUF name of a Hugging Face weight; None for what GGUF leaves out (rotary buffers)."""
    name = name.removeprefix("model.")
    stem, _, kind = name.rpartition(".")
    if stem == "lm_head":
        return f"output.{kind}"
    if stem in _TOP_NAMES:
        return f"{_TOP_NAMES[stem]}.{kind}"
    _, _, rest = stem.partition("layers.")
    layer, _, part = rest.partition(".")
    return f"blk.{layer}.{_NAMES[part]}.{kind}" if part in _NAMES else None


def _interleave(weight: Array, heads: int) -> Array:
    """Rows of each head from halves (Hugging Face) to rotary pairs side by side (GGUF, llama type)."""
    rows, columns = weight.shape
    return weight.reshape(heads, 2, rows // heads // 2, columns).swapaxes(1, 2).reshape(rows, columns)


def read_weights(model_dir: Path) -> Iterator[tuple[str, Array]]:
    """Every tensor of the safetensors files, as float32 (numpy has no bfloat16, so the bytes are widened here).

    Format: 8 bytes of header length, a JSON header of dtype, shape and offsets, then the data
    (https://github.com/huggingface/safetensors#format). Raises ModelError when a file is missing or cut short.
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
                    yield name, _widen(data[begin + first : begin + last], entry["dtype"]).reshape(entry["shape"])
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


def rotary(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """What the config says of rotary positions."""
    return config.get("rope_parameters") or {}


def weights_stamp(model_dir: Path, kept: Sequence[int]) -> str:
    """What a model's form for an engine that scores the tokens `kept` was made from.

    Config and weight files by size and time of change: hashing would cost a second.
    """
    files = [model_dir / "config.json", *weight_files(model_dir)]
    parts = [f"{path.name}:{path.stat().st_size}:{path.stat().st_mtime_ns}" for path in files]
    if kept:
        parts.append(f"tokens:{len(kept)}:{zlib.crc32(json.dumps(list(kept)).encode()):08x}")
    return " ".join(parts)
