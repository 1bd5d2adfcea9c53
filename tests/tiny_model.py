"""A tiny random language model in the Hugging Face layout, made in about a second: what tests train and generate with.

It has the shape of the starter model (llama, tied embeddings, grouped heads, byte-level BPE, `<|im_start|>` and
`<|im_end|>`) or, with `kind="gpt2"`, that of GPT-2 (`<|endoftext|>` only).
"""

from __future__ import annotations

import json
from pathlib import Path

SPECIAL = {"llama": ["<|endoftext|>", "<|im_start|>", "<|im_end|>"], "gpt2": ["<|endoftext|>"], "bare": []}
_WORDS = [
    "the",
    "cat",
    "sat",
    "on",
    "a",
    "warm",
    "red",
    "mat",
    "and",
    "saw",
    "two",
    "small",
    "birds",
    "sing",
    "over",
    "green",
    "hills",
    "by",
    "the",
    "quiet",
    "sea",
    "at",
    "noon",
]


def invented_posts(count: int, seed: int = 0) -> list[str]:
    """`count` distinct short texts made of a few words, with digits, capitals, an emoji and accents among them."""
    import random

    draw = random.Random(seed)
    extras = ["7 times!", "naïve café", "😀", "#tag", "At last.", "(why?)"]
    texts: dict[str, None] = {}
    while len(texts) < count:
        words = draw.choices(_WORDS, k=draw.randint(3, 14))
        if draw.random() < 0.3:
            words.append(draw.choice(extras))
        texts[" ".join(words).capitalize()] = None
    return list(texts)


def make_tiny_model(folder: Path, kind: str = "llama", seed: int = 0, vocabulary: int = 512) -> Path:
    """Write config.json, model.safetensors and the tokenizer into `folder` (made if needed) and return it.

    `kind` is `llama`, `gpt2`, or `bare` (a llama whose tokenizer has no special tokens at all).
    """
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

    folder.mkdir(parents=True, exist_ok=True)
    size = write_tokenizer(folder, SPECIAL[kind], vocabulary)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        if kind == "gpt2":
            shape = {"n_positions": 256, "n_embd": 64, "n_layer": 2, "n_head": 4}
            config = GPT2Config(vocab_size=size, bos_token_id=0, eos_token_id=0, **shape)
            model = GPT2LMHeadModel(config)
        else:
            config = LlamaConfig(
                vocab_size=size,
                hidden_size=64,
                intermediate_size=128,
                num_hidden_layers=2,
                num_attention_heads=4,
                num_key_value_heads=2,
                max_position_embeddings=256,
                tie_word_embeddings=True,
                bos_token_id=1 if kind == "llama" else None,
                eos_token_id=2 if kind == "llama" else None,
            )
            model = LlamaForCausalLM(config)
    model.save_pretrained(folder)
    return folder


def write_tokenizer(folder: Path, special: list[str], vocabulary: int = 512) -> int:
    """Write `tokenizer.json` and its settings into `folder`; how many tokens it has."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(invented_posts(400, seed=1), trainer)
    tokenizer.save(str(folder / "tokenizer.json"))
    settings: dict[str, object] = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 256}
    if special:
        settings |= {"bos_token": special[-2:][0], "eos_token": special[-1], "unk_token": special[0]}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=2))
    return tokenizer.get_vocab_size()
