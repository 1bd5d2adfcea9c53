"""How a post is written as tokens: start, condition, text, end. Training, engines and the endpoint share it.

    <start> [account] [ # word word word] <separator> text <end>

The account in front is a condition, and so are the words the text is about; an example without them has nothing between
start and separator, so one model writes in an account's voice and in everybody's, about something and about anything. A
format without conditions (one account, no topics) is `<start> text <end>`. Conditions are plain text, so they work
wherever the model runs: `someone # coffee trains`, a line break, and the post begins.
Start and end are the tokenizer's own special tokens where it has suitable ones. Texts are encoded so that special
tokens spelled out in a post stay plain text.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pasquin.config.access import may_not_read
from pasquin.errors import ModelError, UsageError
from pasquin.workspace.files import write_atomically

if TYPE_CHECKING:
    from tokenizers import Tokenizer

FILE = "post_format.json"
BOUNDARIES: Final = (("<|im_start|>", "<|im_end|>"), ("<s>", "</s>"), ("<|begin_of_text|>", "<|end_of_text|>"))
"""Pairs of special tokens that mark a start and an end, best first."""
ABOUT: Final = " #"
"""The mark before the words a text is about. No account's name can contain it."""
ADDED: Final = ("<|startofpost|>", "<|endofpost|>")
"""What is added to a tokenizer that has no suitable special tokens."""


@dataclass(frozen=True)
class PostFormat:
    """Token ids of the boundaries, the accounts the model can be conditioned on (empty: a single voice), and the mark
    before the words a text is about (empty: the model learned no topics)."""

    start_id: int
    end_id: int
    separator: str = "\n"
    accounts: tuple[str, ...] = ()
    about: str = ""

    def save(self, model_dir: Path) -> None:
        """Write the format beside the model."""
        write_atomically(model_dir / FILE, json.dumps(asdict(self), ensure_ascii=False, indent=2) + "\n")

    @classmethod
    def load(cls, model_dir: Path) -> PostFormat:
        """The format of a trained model; ModelError when the directory has none (it was not trained by Pasquin)."""
        try:
            values = json.loads((model_dir / FILE).read_text(encoding="utf-8"))
            accounts, about = tuple(values["accounts"]), str(values.get("about", ""))
            return cls(values["start_id"], values["end_id"], values["separator"], accounts, about)
        except PermissionError as exc:
            raise ModelError(may_not_read(model_dir / FILE)) from exc
        except (OSError, ValueError, KeyError, TypeError) as exc:
            raise ModelError(f"{model_dir} has no readable {FILE}: train it with `pasquin train` first.") from exc

    def prompt_ids(
        self, tokenizer: Tokenizer, account: str | None = None, prefix: str = "", about: Sequence[str] = ()
    ) -> tuple[int, ...]:
        """Token ids from which a post by `account` (None: anybody) about some words, beginning with `prefix`, is
        completed.

        Raises UsageError when the model was not trained on `account`, or not on topics.
        """
        if account is not None and account not in self.accounts:
            known = ", ".join(self.accounts) or "none: it learned a single voice"
            raise UsageError(f"The model does not know the account `{account}` (it knows {known}).")
        words = [word for each in about for word in each.lower().split()]
        if words and not self.about:
            raise UsageError(
                "The model learned no topics, so it cannot write about one: train it again, or use --prefix."
            )
        topic = "".join([self.about, *(f" {word}" for word in words)]) if words else ""
        header = f"{account or ''}{topic}{self.separator}" if self.accounts or self.about else ""
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
