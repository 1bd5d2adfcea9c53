"""Settings of `pasquin generate`: how a model is drawn from and which of its texts are candidates."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator

from pasquin.config.access import may_not_read
from pasquin.config.reading import StageSettings, words
from pasquin.errors import UsageError

SAMPLING_FILE = "sampling.json"
"""Beside a model: how `pasquin tune --apply` found that it is best drawn from."""


class GenerateSettings(StageSettings):
    """[generate]"""

    stage = "generate"

    n: int = Field(1_000, ge=1, le=1_000_000)
    """Candidates wanted."""
    engine: str | None = None
    """`openvino`, `transformers`, or another installed engine; the fastest that can run the model when not given."""
    batch: int = Field(256, ge=1)
    """Sequences generated at a time, at most: the engine takes fewer when its cache is full."""
    temperature: float = Field(1.0, ge=0)
    """Scales the logits: 0 is greedy, 1 as learned."""
    top_k: int = Field(1000, ge=0)
    """Draw from this many likeliest tokens (0: all): looking at all costs time."""
    top_p: float = Field(0.98, gt=0, le=1)
    """Draw from the likeliest tokens that have this probability together (1: all)."""
    min_p: float = Field(0.0005, ge=0, lt=1)
    """Draw no token less likely than this share of the likeliest one (0: any)."""
    max_tokens: int = Field(128, ge=1)
    """Tokens before a completion is cut off (and rejected as incomplete)."""
    seed: int = Field(0, ge=0)
    """Same seed, same candidates."""
    min_characters: int = Field(10, ge=1)
    """Shorter candidates are rejected."""
    max_characters: int = Field(280, ge=1)
    """Longer candidates are rejected."""
    target: Literal["bluesky", "mastodon", "x"] | None = None
    """The network that candidates are for: what does not fit there, as it counts, is too long."""
    toxicity: float | None = Field(None, gt=0, le=1)
    """Candidates that score so much for swearing and insults are rejected; needs `pasquin[toxicity]`."""
    near_similarity: float = Field(0.8, gt=0, le=1)
    """Candidates this alike to a whole post are copies with edits."""
    near_window: float = Field(0.85, gt=0, le=1)
    """Candidates this alike to a piece of a longer post are copies."""
    near_short: float = Field(0.9, gt=0, le=1)
    """The same for candidates of fewer than 30 letters and digits, with a whole post."""
    long_run: int = Field(60, ge=30)
    """A run of so many characters shared with a post makes a candidate a copy, whatever else it says."""
    run_share: float = Field(0.6, gt=0, le=1)
    """A shared run of 30 characters or more that is this share of a candidate makes it a copy."""
    allow: tuple[str, ...] = ()
    """Of mention, link, personal, blocked and language: what does not speak against a candidate here."""
    base_url: str | None = None
    """With the engine `openai`: the server's address, for example `http://localhost:11434/v1`."""
    model: str | None = None
    """With the engine `openai`: the model's name on that server."""
    few_shot: int = Field(12, ge=1, le=200)
    """With the engine `openai`: posts of the train split shown with each request."""
    token_budget: int = Field(2_000_000, ge=1)
    """With the engine `openai`: tokens that one run may spend, prompts included."""

    @field_validator("allow", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return words(value)


def model_sampling(model_dir: Path) -> dict[str, object]:
    """What `generate` draws with by default from this model, where tuning settled that; else nothing.

    Raises UsageError for a file that is damaged, or that this user may not read.
    """
    path = model_dir / SAMPLING_FILE
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except PermissionError as exc:
        raise UsageError(may_not_read(path)) from exc
    except (OSError, ValueError):
        values = None
    if not isinstance(values, dict) or not values.keys() <= {"temperature", "top_k", "top_p", "min_p"}:
        raise UsageError(f"{path} is damaged: remove it, or run `pasquin tune {model_dir.name} --apply` again.")
    return values
