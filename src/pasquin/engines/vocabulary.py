"""Which tokens a model's output needs: those of the posts it learned from, and every single byte.

A language model of 49,152 tokens spends a fifth of its work on scoring them all, and drawing from the whole vocabulary
costs as much again. A corpus uses some of them. The list lies beside the model as `output_tokens.json`; an engine that
heeds it scores those tokens only. Prompts are not bound by it. Any text stays possible, spelt in bytes if need be. What
it costs in probability is in docs/generate.md.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pasquin.errors import ModelError, disk_errors
from pasquin.workspace.files import write_atomically

if TYPE_CHECKING:
    from tokenizers import Tokenizer

FILE: Final = "output_tokens.json"
_MOST: Final = 0.9
"""A list of a larger share of the vocabulary saves nothing."""
_BATCH: Final = 4_096


def has_output_tokens(model_dir: Path, model_hash: str) -> bool:
    """Whether the list is there, and of the model with this hash."""
    try:
        return bool(json.loads((model_dir / FILE).read_text(encoding="utf-8"))["model"] == model_hash)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def write_output_tokens(
    model_dir: Path, model_hash: str, tokenizer: Tokenizer, texts: Iterable[str], always: Iterable[int]
) -> None:
    """Write the list for the tokens of `texts`, single bytes and those of `always` (the end token at least).

    Without any text, and where nearly every token is used, the list is empty: all tokens are needed. Raises
    WorkspaceError or ResourceError when it cannot be written.
    """
    from tokenizers.pre_tokenizers import ByteLevel

    used = set()
    waiting = list(texts)
    for first in range(0, len(waiting), _BATCH):
        for encoded in tokenizer.encode_batch(waiting[first : first + _BATCH], add_special_tokens=False):
            used.update(encoded.ids)
    size = tokenizer.get_vocab_size()
    spelt = (tokenizer.token_to_id(letter) for letter in ByteLevel.alphabet())
    kept = sorted(used.union(always, (token for token in spelt if token is not None)))
    few = bool(used) and len(kept) <= _MOST * size
    with disk_errors(f"write {model_dir / FILE}"):
        write_atomically(model_dir / FILE, json.dumps({"model": model_hash, "tokens": kept if few else []}) + "\n")


def check_tokens(model_dir: Path, tokenizer: Tokenizer, end_id: int, size: int) -> None:
    """Raise ModelError when the tokenizer has tokens that the weights, of a vocabulary of `size`, have none for."""
    most = max(tokenizer.get_vocab_size() - 1, end_id)
    if most >= size:
        raise ModelError(
            f"The tokenizer of {model_dir.name} has {most + 1:,} tokens and its weights know {size:,}: they do not "
            "belong together. Copy both from the same model, or train the model again."
        )


def output_tokens(model_dir: Path, size: int, end_id: int) -> list[int]:
    """The list of a model with a vocabulary of `size`, ascending; empty when all tokens are needed.

    Raises ModelError for a list that is not of this model's tokens, or lacks `end_id`.
    """
    path = model_dir / FILE
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))["tokens"]
        sound = all(isinstance(token, int) and 0 <= token < size for token in kept)
    except FileNotFoundError:
        return []
    except (OSError, ValueError, KeyError, TypeError):
        sound = False
    if not sound or (kept and (end_id not in kept or kept != sorted(set(kept)))):
        raise ModelError(f"{path} does not fit this model's vocabulary: remove that file, it is made again.")
    return list(kept)
