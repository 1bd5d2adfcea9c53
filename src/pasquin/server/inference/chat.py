"""Chat templates: a conversation as the tokens a model was taught to expect.

The template is a program of the model's makers (Jinja), so it runs in Jinja's sandbox. What people wrote is put in
after rendering, as plain text: a message that spells out a special token does not become one.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pasquin.errors import ModelError, UsageError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

FILE: Final = "chat_template.jinja"
_MARK: Final = re.compile("\ue000([0-9]+)\ue001")


@dataclass(frozen=True, slots=True)
class ChatTemplate:
    """The source of a template, the special tokens it may name, and the texts that end an answer."""

    source: str
    special: dict[str, str]
    ends: tuple[str, ...]


def chat_template(model_dir: Path) -> ChatTemplate | None:
    """The chat template of the model's tokenizer, None when it has none. Raises ModelError when it is damaged."""
    path = model_dir / "tokenizer_config.json"
    try:
        settings = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        file = model_dir / FILE
        source = file.read_text(encoding="utf-8") if file.exists() else settings.get("chat_template")
    except (OSError, ValueError, AttributeError) as exc:
        raise ModelError(f"The chat template in {model_dir} is damaged ({exc}). Train the model again.") from exc
    if not isinstance(source, str) or not source.strip():
        return None
    special = {}
    for name in ("bos_token", "eos_token", "pad_token", "unk_token"):
        value = settings.get(name)
        value = value.get("content") if isinstance(value, dict) else value
        special[name] = value if isinstance(value, str) else ""
    return ChatTemplate(source, special, (special["eos_token"],) if special["eos_token"] else ())


def chat_ids(template: ChatTemplate, tokenizer: Tokenizer, messages: list[dict[str, str]]) -> tuple[int, ...]:
    """Token ids from which the answer to `messages` is completed. Raises UsageError when the template refuses them."""
    rendered = _render(template, [{**message, "content": _mark(at)} for at, message in enumerate(messages)])
    ids: list[int] = []
    for at, part in enumerate(_MARK.split(rendered)):
        text = messages[int(part)]["content"] if at % 2 else part
        ids += _encode(tokenizer, text, special=at % 2 == 0)
    return tuple(ids)


def _mark(at: int) -> str:
    return f"\ue000{at}\ue001"


def _render(template: ChatTemplate, messages: list[dict[str, str]]) -> str:
    from jinja2 import TemplateError
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    def refuse(message: str) -> None:
        raise TemplateError(message)

    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    environment.globals["raise_exception"] = refuse
    try:
        values: dict[str, Any] = {"messages": messages, "add_generation_prompt": True, **template.special}
        return environment.from_string(template.source).render(**values)
    except (TemplateError, TypeError, ValueError, KeyError, IndexError) as exc:
        raise UsageError(
            f"The model's chat template does not take these messages ({exc}). Change their roles."
        ) from exc


def _encode(tokenizer: Tokenizer, text: str, special: bool) -> list[int]:
    if not text:
        return []
    before = tokenizer.encode_special_tokens
    tokenizer.encode_special_tokens = not special
    try:
        ids: list[int] = tokenizer.encode(text, add_special_tokens=False).ids
    finally:
        tokenizer.encode_special_tokens = before
    return ids
