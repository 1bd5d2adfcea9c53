"""Structured logs: with `PASQUIN_LOG=json` all talk is one JSON object a line on stderr, without secrets.

    {"at": "2026-11-24T23:00:00.000Z", "event": "request", "route": "/api/game/round", "status": 200, "ms": 1.2}

Whatever is written goes through `redacted` first: the values of secrets that the environment holds, passwords inside
addresses, and bearer tokens become `[secret]`. Post texts, addresses of players and cookies are never handed in.
"""

from __future__ import annotations

import json
import logging
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Final

from pasquin.progress import Task

VARIABLE: Final = "PASQUIN_LOG"
_HIDDEN: Final = "[secret]"
_SECRET_NAME: Final = re.compile(r"TOKEN|SECRET|PASSWORD|PASSWD|PGPASS|API_?KEY|ACCESS_KEY|CREDENTIAL|PRIVATE", re.I)
_SHORTEST: Final = 6
_PATTERNS: Final = (
    (re.compile(r"(\w[\w+.-]*://[^\s/:@]*:)[^\s/@]+(@)"), rf"\1{_HIDDEN}\2"),
    (re.compile(r"(?i)\b(bearer|basic)\s+[\w.~+/=-]{8,}"), rf"\1 {_HIDDEN}"),
    (re.compile(r"(?i)\b((?:access_|refresh_)?token|api_?key|password|secret)=[^\s&\"']+"), rf"\1={_HIDDEN}"),
    (re.compile(r"#sign-in=[\w-]+"), f"#sign-in={_HIDDEN}"),
)


def wanted() -> bool:
    """Whether talk is to be JSON."""
    return os.environ.get(VARIABLE, "").lower() == "json"


def redacted(text: str) -> str:
    """`text` without anything that the environment calls a secret, or that looks like one."""
    for name, value in os.environ.items():
        if len(value) >= _SHORTEST and _SECRET_NAME.search(name) and value in text:
            text = text.replace(value, _HIDDEN)
    if "://" in os.environ.get("PASQUIN_DATABASE_URL", ""):
        text = text.replace(os.environ["PASQUIN_DATABASE_URL"], "[database]")
    for pattern, instead in _PATTERNS:
        text = pattern.sub(instead, text)
    return text


def event(name: str, **fields: Any) -> None:
    """Write a line, where JSON is wanted; nothing otherwise. A log that cannot be written stops nobody."""
    if not wanted():
        return
    at = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    line = json.dumps({"at": at, "event": name, **fields}, ensure_ascii=False, default=str)
    try:
        print(redacted(line), file=sys.stderr, flush=True)
    except OSError:
        return


class JsonLines:
    """`Progress` for logs: what begins, what is said, what has ended and how much it was."""

    @contextmanager
    def task(self, label: str, total: float | None, unit: str) -> Iterator[Task]:
        """A line when it begins and one when it ends."""
        event("began", what=label, total=total, unit=unit)
        counting = _Counting()
        try:
            yield counting
        finally:
            event("ended", what=label, done=counting.done, unit=unit)

    def say(self, text: str) -> None:
        """A line of talk."""
        event("said", text=text)


class _Counting:
    def __init__(self) -> None:
        self.done = 0.0

    def advance(self, amount: float = 1, note: str = "") -> None:
        self.done += amount

    def set_total(self, total: float) -> None:
        return None


class _Handler(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        kind = record.exc_info[0].__name__ if record.exc_info and record.exc_info[0] else None
        event("log", level=record.levelname.lower(), logger=record.name, text=record.getMessage(), exception=kind)


def take_over() -> None:
    """Send what libraries log (warnings and worse) the same way, where JSON is wanted."""
    if wanted():
        logging.basicConfig(level=logging.WARNING, handlers=[_Handler()], force=True)
