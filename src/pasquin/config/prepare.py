"""Settings of `pasquin prepare`: what a corpus keeps and how it is split."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from pasquin.config.reading import StageSettings, words


class PrepareSettings(StageSettings):
    """[prepare]"""

    stage = "prepare"

    include_replies: bool = False
    """Keep replies and posts that begin with @."""
    include_reposts: bool = False
    """Keep reposts (other people's words)."""
    include_links: bool = False
    """Keep URLs in the text, and posts that are nothing but a link."""
    strip_usertags: bool = False
    """Remove @mentions from texts."""
    strip_hashtags: bool = False
    """Remove #hashtags from texts."""
    min_characters: int = Field(3, ge=1)
    """Shorter texts are dropped after cleaning."""
    max_characters: int = Field(1_000, ge=1)
    """Longer texts are dropped after cleaning: Pasquin learns short posts."""
    languages: tuple[str, ...] = ()
    """Keep only texts in these languages (ISO 639, `en`), and those too short to tell."""
    drop_personal: bool = False
    """Drop texts with e-mail or street addresses, telephone, card, bank account or social security numbers."""
    near_threshold: float = Field(0.8, gt=0, le=1)
    """Jaccard similarity of character shingles from which two posts are near-duplicates."""
    max_per_account: int | None = Field(None, ge=1)
    """Cap on posts per account (balancing); the newest are not favoured, the draw is seeded."""
    split: Literal["random", "time"] = "random"
    """`random`, or `time`: the newest posts are the test split."""
    validation_share: float = Field(0.02, gt=0, lt=0.5)
    """Share of posts held out to measure training."""
    test_share: float = Field(0.05, gt=0, lt=0.5)
    """Share of posts held out for the game."""
    seed: int = 0
    """Seed of every draw."""
    workers: int | None = Field(None, ge=1)
    """Processes to work with on this machine; one a core when not given."""
    memory_mb: int = Field(2_048, ge=512)
    """Megabytes that all processes together try to stay in; the rest goes to the disk."""

    @field_validator("languages", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return words(value)
