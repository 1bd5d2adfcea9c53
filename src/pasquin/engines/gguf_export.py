"""A Hugging Face model directory written as GGUF, tokenizer included: a whole model to hand to Ollama and llama.cpp.

What it covers: decoder models of the types `llama`, `qwen2` and `qwen3` with plain rotary positions, stored as
safetensors in float32, float16 or bfloat16. Matrices become Q8_0 (blocks of 32 eight-bit weights with a float16 scale)
or what is asked for, norms and biases float32. Sources: the GGUF specification (ggml-org) for names and metadata;
llama-type files keep the rows of the query and key projections interleaved by rotary pair, as llama.cpp's converter
has always written them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pasquin.engines.gguf_tokenizer import add_tokenizer
from pasquin.engines.weights import (
    check_vocabulary,
    head_size,
    key_heads,
    read_config,
    read_weights,
    rotary_base,
    why_not,
)
from pasquin.errors import ModelError, disk_errors
from pasquin.workspace.files import replacing

if TYPE_CHECKING:
    import numpy as np
    from gguf import GGMLQuantizationType

    Array = np.ndarray[Any, np.dtype[Any]]

PRECISIONS = ("f16", "q8_0", "q4_0")
"""What matrices may be written in, most exact first: 16, 8.5 and 4.5 bits a weight."""
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
            if name == _INPUT:
                check_vocabulary(model_dir, len(tensor), config)
            writer.add_tensor(name, tensor, raw_dtype=written)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
    finally:
        writer.close()


def _add_metadata(writer: Any, config: Mapping[str, Any]) -> None:
    size = head_size(config)
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(key_heads(config))
    writer.add_key_length(size)
    writer.add_value_length(size)
    writer.add_rope_dimension_count(size)
    writer.add_rope_freq_base(rotary_base(config))
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_vocab_size(config["vocab_size"])


def _tensors(
    model_dir: Path, config: Mapping[str, Any], kind: GGMLQuantizationType
) -> Iterator[tuple[str, Array, GGMLQuantizationType | None]]:
    """Tensors under their GGUF names, in the row order the reader expects, with the type they are written in.

    Matrices are of type `kind`; those that tokens go in and out by have at least eight bits: with four there the
    starter model loses a third more accuracy, to save 14 MB.
    """
    import gguf

    heads = config["num_attention_heads"]
    interleave = {"attn_q": heads, "attn_k": key_heads(config)} if config["model_type"] == "llama" else {}
    for name, tensor in read_weights(model_dir):
        target = _gguf_name(name)
        if target is None or (target == _OUTPUT and config.get("tie_word_embeddings")):
            continue
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
