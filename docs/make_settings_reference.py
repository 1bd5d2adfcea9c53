"""Writes docs/settings.md from the settings classes. Run it after changing a setting; a test tells when you forgot.

python docs/make_settings_reference.py
"""

from __future__ import annotations

import ast
import inspect
import re
import types
import typing
from pathlib import Path

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from pasquin import config

HERE = Path(__file__).parent
ORDER = ("collect", "prepare", "train", "generate", "curate", "play", "serve", "measure", "publish", "bots")
"""The modules of `pasquin.config`, as the page shows them."""
HEAD = """# Settings

Made from `pasquin/config/` by `docs/make_settings_reference.py`. A value comes from, first that has it: an option
of the command, `PASQUIN_<STAGE>_<NAME>` in the environment, `pasquin.toml` (table `[stage]`), the default. Secrets
never stand in `pasquin.toml`: they come from the environment or the keyring.

```toml
[prepare]
include_replies = true

[play]
port = 8080
```

`PASQUIN_PLAY_PORT=9000 pasquin play vc` and `pasquin play vc --port 9000` both win over that file. An unknown name or
an impossible value is an error that says so.
"""


def classes() -> list[type[BaseModel]]:
    """The settings classes, in the order of the stages. Raises ValueError for one whose module `ORDER` lacks."""
    found = [value for _, value in inspect.getmembers(config, inspect.isclass)]
    settings = [value for value in found if issubclass(value, BaseModel) and (value.__doc__ or "").startswith("[")]
    return sorted(settings, key=lambda one: ORDER.index(one.__module__.rpartition(".")[2]))


def said(owner: type[BaseModel]) -> dict[str, str]:
    """Field name -> what is written under the field."""
    (body,) = ast.parse(inspect.getsource(owner)).body
    assert isinstance(body, ast.ClassDef)
    told = {}
    for field, note in zip(body.body, body.body[1:], strict=False):
        is_note = (
            isinstance(note, ast.Expr) and isinstance(note.value, ast.Constant) and isinstance(note.value.value, str)
        )
        if is_note and isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
            told[field.target.id] = " ".join(note.value.value.split())  # type: ignore[attr-defined]
    return told


def kind(annotation: object) -> str:
    """A type in words."""
    names = {str: "text", int: "whole number", float: "number", bool: "true or false", Path: "path", SecretStr: "text"}
    if annotation in names:
        return names[annotation]  # type: ignore[index]
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Literal:
        return ", ".join(f"`{value}`" for value in arguments)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(dict.fromkeys(kind(one) for one in arguments if one is not type(None)))
    if origin is typing.Annotated:
        return kind(arguments[0])
    if origin in (tuple, list, frozenset, set):
        return f"list of {kind(arguments[0])}"
    return "table"


def default(field: FieldInfo) -> str:
    """A field's default as it stands in TOML."""
    value = field.get_default(call_default_factory=True)
    if value is PydanticUndefined:
        return "**needed**"
    if value is None or value in ({}, (), ""):
        return "none"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{value:_}`" if isinstance(value, int) else f"`{value}`"


def bounds(field: FieldInfo) -> str:
    """The limits of a number, such as "from 1 to 64"."""
    words = {"ge": "from", "gt": "above", "le": "to", "lt": "below"}
    found = [
        f"{word} {getattr(one, key):,}" for key, word in words.items() for one in field.metadata if hasattr(one, key)
    ]
    return f", {' '.join(found)}" if found else ""


def table(owner: type[BaseModel]) -> str:
    """The settings of one class."""
    name = re.match(r"\[([\w.]+)\]", owner.__doc__ or "")
    assert name is not None
    notes = said(owner)
    rows = []
    for field, info in owner.model_fields.items():
        told = notes.get(field, "").replace("|", "\\|")
        rows.append(f"| `{field}` | {kind(info.annotation)}{bounds(info)} | {default(info)} | {told} |")
    note = (owner.__doc__ or "").partition("]")[2].lstrip(": ").strip()
    head = f"## {name[1]}\n\n" + (f"{note[0].upper()}{note[1:]}\n\n" if note else "")
    return head + "\n".join(["| name | kind | default | |", "|---|---|---|---|", *rows]) + "\n"


def reference() -> str:
    """The whole page."""
    return "\n".join([HEAD, *(table(one) for one in classes())])


if __name__ == "__main__":
    (HERE / "settings.md").write_text(reference(), encoding="utf-8")
