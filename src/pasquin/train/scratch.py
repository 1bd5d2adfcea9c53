"""A model of one's own, from nothing: a byte-level BPE tokenizer of the corpus's words and a small llama around it.

It knows only what the posts say, so it babbles where a pretrained model of the same age makes sense; but it is a few
megabytes, writes ten times as fast, and owes nothing to anybody else's text.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import torch

from pasquin.config import TrainSettings
from pasquin.errors import UsageError, disk_errors
from pasquin.post_format import BOUNDARIES
from pasquin.workspace.files import write_manifest

HEAD: Final = 64
"""Width of an attention head; half of it where the model is narrower than four of them."""
CONTEXT: Final = 1_024
_UNKNOWN: Final = "<|endoftext|>"


def make_base(folder: Path, texts: Iterable[str], settings: TrainSettings) -> Path:
    """Write tokenizer and random weights into `folder` (made if needed), a manifest last; returns it.

    The same texts, seed and sizes give the same model. Raises UsageError for a width that heads cannot share.
    """
    head = HEAD if settings.width >= 4 * HEAD else HEAD // 2
    if settings.width % (2 * head):
        raise UsageError(f"width must be a multiple of {2 * head} (it is {settings.width}), as heads share it evenly.")
    with disk_errors("write the new model"):
        folder.mkdir(parents=True, exist_ok=True)
        words = _write_tokenizer(folder, texts, settings.vocabulary)
        _write_model(folder, words, head, settings)
        write_manifest(folder, {"kind": "base", "vocabulary": words})
    return folder


def _write_tokenizer(folder: Path, texts: Iterable[str], vocabulary: int) -> int:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    start, end = BOUNDARIES[0]
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        min_frequency=2,
        special_tokens=[_UNKNOWN, start, end],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": CONTEXT,
        "bos_token": start,
        "eos_token": end,
        "unk_token": _UNKNOWN,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=2), encoding="utf-8")
    return tokenizer.get_vocab_size()


def _write_model(folder: Path, words: int, head: int, settings: TrainSettings) -> None:
    from transformers import LlamaConfig, LlamaForCausalLM

    heads = settings.width // head
    config = LlamaConfig(
        vocab_size=words,
        hidden_size=settings.width,
        intermediate_size=settings.width * 8 // 3 // 32 * 32,
        num_hidden_layers=settings.layers,
        num_attention_heads=heads,
        num_key_value_heads=heads // 2,
        max_position_embeddings=CONTEXT,
        tie_word_embeddings=True,
        bos_token_id=1,
        eos_token_id=2,
    )
    with torch.random.fork_rng():
        torch.manual_seed(settings.seed)
        LlamaForCausalLM(config).save_pretrained(folder)
