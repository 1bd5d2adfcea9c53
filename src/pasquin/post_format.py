"""How a post is written as tokens: start, condition, text, end. Training, engines and the endpoint share it.

    <start> [account] <separator> text <end>

The account in front is the condition; an example without it has nothing between start and separator, so one model
writes both in an account's voice and in everybody's. A format without conditions (one account) is `<start> text <end>`.
Start and end are the tokenizer's own special tokens where it has suitable ones. Texts are encoded so that special
tokens spelled out in a post stay plain text.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pasquin.errors import ModelError, UsageError
from pasquin.workspace.files import write_atomically

if TYPE_CHECKING:
    from tokenizers import Tokenizer

FILE = "post_format.json"
BOUNDARIES: Final = (("<|im_start|>", "<|im_end|>"), ("<s>", "</s>"), ("<|begin_of_text|>", "<|end_of_text|>"))
"""Pairs of special tokens that mark a start and an end, best first."""
ADDED: Final = ("<|startofpost|>", "<|endofpost|>")
"""What is added to a tokenizer that has no suitable special tokens."""


@dataclass(frozen=True)
class PostFormat:
    """Token ids of the boundaries, and the accounts the model can be conditioned on (empty: no conditions)."""

    start_id: int
    end_id: int
    separator: str = "\n"
    accounts: tuple[str, ...] = ()

    def save(self, model_dir: Path) -> None:
        """Write the format beside the model."""
        write_atomically(model_dir / FILE, json.dumps(asdict(self), ensure_ascii=False, indent=2) + "\n")

    @classmethod
    def load(cls, model_dir: Path) -> PostFormat:
        """The format of a trained model; ModelError when the directory has none (it was not trained by Pasquin)."""
        try:
            values = json.loads((model_dir / FILE).read_text(encoding="utf-8"))
            return cls(values["start_id"], values["end_id"], values["separator"], tuple(values["accounts"]))
        except (OSError, ValueError, KeyError, TypeError) as exc:
            raise ModelError(f"{model_dir} has no readable {FILE}: train it with `pasquin train` first.") from exc

    def prompt_ids(self, tokenizer: Tokenizer, account: str | None = None, prefix: str = "") -> tuple[int, ...]:
        """Token ids from which a post by `account` (None: anybody), beginning with `prefix`, is completed.

        Raises UsageError when the model was not trained on `account`.
        """
        if account is not None and account not in self.accounts:
            known = ", ".join(self.accounts) or "none: it learned a single voice"
            raise UsageError(f"The model does not know the account `{account}` (it knows {known}).")
        header = f"{account or ''}{self.separator}" if self.accounts else ""
        return (self.start_id, *_encode(tokenizer, header), *(_encode(tokenizer, prefix) if prefix else ()))

    def example_ids(self, tokenizer: Tokenizer, text: str, account: str | None = None) -> tuple[tuple[int, ...], int]:
        """Token ids of a whole post, and how many of them at the start are prompt (they are not learned).

        The text is tokenised apart from its header, exactly as generation will see it.
        """
        prompt = self.prompt_ids(tokenizer, account)
        return (*prompt, *_encode(tokenizer, text), self.end_id), len(prompt)


def _encode(tokenizer: Tokenizer, text: str) -> tuple[int, ...]:
    return tuple(tokenizer.encode(text, add_special_tokens=False).ids) if text else ()


def load_tokenizer(model_dir: Path) -> Tokenizer:
    """The model's tokenizer, without importing transformers, set to treat special tokens in texts as plain text.

    Raises ModelError when the directory has no `tokenizer.json`.
    """
    from tokenizers import Tokenizer

    path = model_dir / "tokenizer.json"
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as exc:  # the Rust library raises bare Exception
        raise ModelError(f"{path} is missing or damaged: train the model again.") from exc
    tokenizer.encode_special_tokens = True
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def boundary_tokens(tokenizer: Tokenizer, eos: str | None) -> tuple[str, str] | None:
    """The tokenizer's own start and end tokens, None when it has no suitable ones.

    `eos` is the token its configuration calls the end of a text; GPT-2 uses that one on both sides.
    """
    special = {token.content for token in tokenizer.get_added_tokens_decoder().values() if token.special}
    for pair in BOUNDARIES:
        if special.issuperset(pair):
            return pair
    return (eos, eos) if eos in special else None
