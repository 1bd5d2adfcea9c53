"""A byte-level BPE tokenizer as GGUF metadata, so that llama.cpp, Ollama and others read a model without other files.

llama.cpp splits text before BPE by rules that it knows by name (`tokenizer.ggml.pre`); the names of the families that
Pasquin trains are told from `tokenizer.json` here. Source: the GGUF specification (ggml-org), section "Tokenizer".
OpenVINO GenAI wants one, too, for a model that is given tokens: the smallest there is.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pasquin.errors import ModelError
from pasquin.post_format import PostFormat


def add_tokenizer(writer: Any, model_dir: Path, vocabulary: int) -> None:
    """Add the tokenizer of `model_dir` to a GGUF writer, padded to `vocabulary` tokens.

    A text begins with the post format's start token and ends with its end token. Raises ModelError when the tokenizer
    is damaged or of a kind that llama.cpp has no name for.
    """
    import gguf

    path = model_dir / "tokenizer.json"
    try:
        described = json.loads(path.read_text(encoding="utf-8"))
        model, added = described["model"], described["added_tokens"]
        ids = {**model["vocab"], **{token["content"]: token["id"] for token in added}}
        special = {token["id"] for token in added if token["special"]}
        merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in model["merges"]]
    except (OSError, ValueError, KeyError, TypeError) as exc:
        raise ModelError(f"{path} is missing, damaged or no byte-level BPE: this model cannot be exported.") from exc
    names = {number: name for name, number in ids.items()}
    size = max(vocabulary, max(names) + 1)
    post_format = PostFormat.load(model_dir)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(_splitting(described))
    writer.add_token_list([names.get(number, f"[PAD{number}]") for number in range(size)])
    kinds = (gguf.TokenType.UNUSED, gguf.TokenType.CONTROL, gguf.TokenType.NORMAL)
    writer.add_token_types([kinds[0 if n not in names else 1 if n in special else 2] for n in range(size)])
    writer.add_token_merges(merges)
    writer.add_bos_token_id(post_format.start_id)
    writer.add_eos_token_id(post_format.end_id)
    writer.add_add_bos_token(True)
    writer.add_add_eos_token(False)


def _splitting(described: dict[str, Any]) -> str:
    """llama.cpp's name for how this tokenizer splits text. Raises ModelError when it has none."""
    pre = described.get("pre_tokenizer") or {}
    steps = pre.get("pretokenizers", [pre])
    kinds = [step.get("type") for step in steps]
    if kinds == ["ByteLevel"] and steps[0].get("use_regex", True) and not steps[0].get("add_prefix_space"):
        return "gpt-2"
    if kinds == ["Digits", "ByteLevel"] and steps[0].get("individual_digits"):
        return "smollm"
    if kinds == ["Split", "ByteLevel"] and r"\p{N}|" in str(steps[0].get("pattern")):
        return "qwen2"
    raise ModelError("This model's tokenizer splits text in a way that GGUF has no name for: it cannot be exported.")


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
