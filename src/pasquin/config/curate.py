"""Settings of `pasquin curate`: the curators' page and how they share the work."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from pasquin.config.reading import StageSettings, words


class CurateSettings(StageSettings):
    """[curate]"""

    stage = "curate"

    host: str = "127.0.0.1"
    """Address to listen on; 0.0.0.0 lets others in."""
    port: int = Field(8000, ge=0, le=65_535)
    """Port to listen on; 0 takes any free one."""
    public_url: str | None = Field(None, pattern=r"^https?://[^\s/?#]+/?$")
    """Address by which others reach this server (`https://curate.example.org`), for invitations."""
    overlap: int = Field(10, ge=0, le=100)
    """Per cent of the candidates that every curator decides, to measure how far they agree."""
    session_days: float = Field(30.0, gt=0, le=365)
    """Days after which a curator has to sign in again."""
    networks: tuple[Literal["bluesky", "mastodon", "x"], ...] = ("bluesky", "mastodon", "x")
    """Networks whose lengths are counted; the first is the one that cards look like."""
    mastodon_characters: int = Field(500, ge=1)
    """What the Mastodon instance allows."""

    @field_validator("networks", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return words(value)
