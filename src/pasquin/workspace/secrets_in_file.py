"""Secrets that somebody wrote into `pasquin.toml`, where they do not belong."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from pasquin.config import read_toml

_WORDS: Final = ("password", "secret", "token", "api_key", "access_key")
_NOT_SECRET: Final = frozenset({"max_tokens", "batch_tokens", "token_budget", "require_key"})


def secrets_of(toml: Path) -> list[str]:
    """Names of settings that look like secrets, dots between tables; never their values. Raises UsageError."""
    return list(_secrets(read_toml(toml), ""))


def _secrets(table: dict[str, object], above: str) -> Iterator[str]:
    for key, value in table.items():
        place = f"{above}{key}"
        if isinstance(value, dict):
            yield from _secrets(value, f"{place}.")
        elif isinstance(value, str) and key not in _NOT_SECRET and any(word in key.lower() for word in _WORDS):
            yield place
