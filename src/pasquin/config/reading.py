"""What all settings share, and where their values are read: `pasquin.toml` and the environment."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from pasquin.config.access import may_not_read
from pasquin.errors import UsageError


class StageSettings(BaseModel):
    """What all settings classes share: what is not given comes from the environment, unknown keys are mistakes, values
    are checked. (pydantic-settings would do the same, and add 50 ms to the start of every command.)
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    stage: ClassVar[str]
    """Its table in `pasquin.toml`, and `PASQUIN_<STAGE>_` in the environment."""

    def __init__(self, **given: Any) -> None:
        """Settings with what is `given`. Raises ValidationError for what makes no sense."""
        found = _environment(self.stage)
        super().__init__(**{key: value for key, value in found.items() if key in type(self).model_fields} | given)


def _environment(stage: str) -> dict[str, str]:
    """What the environment says of a stage's settings, and of others that it does not have."""
    prefix = f"PASQUIN_{stage.upper()}_"
    names = {name.upper(): value for name, value in os.environ.items()}
    return {name.removeprefix(prefix).lower(): value for name, value in names.items() if name.startswith(prefix)}


def read_toml(path: Path) -> dict[str, Any]:
    """The parsed `pasquin.toml`, empty when there is none.

    Raises UsageError when the file cannot be read or is not TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except PermissionError as exc:
        raise UsageError(may_not_read(path)) from exc
    except OSError as exc:
        raise UsageError(f"{path} cannot be read ({exc.strerror or exc}). Look at the file and its disk.") from exc
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as exc:
        raise UsageError(f"{path} is not valid TOML ({exc}). Mend that line, or run `pasquin init` elsewhere.") from exc


_Settings = TypeVar("_Settings", bound=StageSettings)


def load(
    settings: type[_Settings], toml: Path | None, defaults: Mapping[str, object] | None = None, **flags: object
) -> _Settings:
    """Settings of one stage from flags, environment, file and defaults, in that order.

    `flags` that are None count as not given; `defaults` stand in for the stage's own. Raises UsageError naming the
    value that makes no sense.
    """
    stage = settings.stage
    table = read_toml(toml).get(stage, {}) if toml else {}
    if not isinstance(table, dict):
        raise UsageError(f"[{stage}] in {toml} must be a table of settings.")
    from_environment = _environment(stage)
    given = {**(defaults or {}), **table}
    values = {key: value for key, value in given.items() if key not in from_environment}
    values.update({key: value for key, value in flags.items() if value is not None})
    try:
        return settings(**values)
    except ValidationError as exc:
        name, first = first_mistake(exc)
        if first["type"] == "extra_forbidden":
            known = ", ".join(settings.model_fields)
            raise UsageError(f"There is no setting `{name}` for {stage}; there are {known}.") from exc
        raise UsageError(
            f"The {stage} setting `{name}` makes no sense: {first['msg']} (it is {first['input']!r})."
        ) from exc


def first_mistake(exc: ValidationError) -> tuple[str, ErrorDetails]:
    """The first setting that makes no sense (`table.key` inside a table), and what pydantic says of it."""
    first = exc.errors()[0]
    first["msg"] = first["msg"].removeprefix("Value error, ")  # pydantic's, before what a validator of ours says
    return ".".join(str(part) for part in first["loc"]), first


def words(value: object) -> object:
    """In the environment, and on a flag, several values are separated by commas or spaces."""
    return value.replace(",", " ").split() if isinstance(value, str) else value
