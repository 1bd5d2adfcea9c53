"""Settings of `pasquin serve`: the endpoint, its models and its keys."""

from __future__ import annotations

from pydantic import Field

from pasquin.config.reading import StageSettings


class ServeSettings(StageSettings):
    """[serve]"""

    stage = "serve"

    host: str = "127.0.0.1"
    """Address to listen on; anything but this machine's own requires API keys."""
    port: int = Field(8001, ge=0, le=65_535)
    """Port to listen on; 0 takes any free one."""
    require_key: bool = False
    """Ask for an API key on 127.0.0.1 too: behind a reverse proxy everybody comes from there."""
    engine: str | None = None
    """`openvino`, `transformers`, or another installed engine; the fastest that can run the model when not given."""
    batch: int = Field(32, ge=1, le=256)
    """Sequences that run at a time, for each model."""
    queue: int = Field(128, ge=0)
    """Sequences that wait for a place, for each model; who comes when it is full is told to come back (429)."""
    ahead: int = Field(16, ge=0)
    """Texts begun for a request without a seed that comes again and again, before it does (0: none)."""
    memory_mb: int = Field(2_000, ge=1)
    """Models that are not in use are unloaded when all together would take more than this (10^6 bytes)."""
    deadline_seconds: float = Field(120.0, gt=0)
    """A request that is not answered by then is given up (503)."""
    drain_seconds: int = Field(30, ge=0)
    """When told to end, finish what is under way for at most this long."""
    key_requests_per_minute: int = Field(600, ge=1)
    """Requests a minute of one API key, unless the key has a limit of its own."""
    key_sequences: int = Field(64, ge=1)
    """Sequences of one API key that wait or run at a time."""
    temperature: float = Field(1.0, ge=0, le=100)
    """What a request that does not say is drawn with, where tuning did not settle that for the model."""
    top_k: int = Field(1000, ge=0)
    """Draw from this many likeliest tokens (0: all)."""
    top_p: float = Field(0.98, gt=0, le=1)
    """Draw from the likeliest tokens that have this probability together (1: all)."""
    min_p: float = Field(0.0005, ge=0, lt=1)
    """Draw no token less likely than this share of the likeliest one (0: any)."""
    max_tokens: int = Field(128, ge=1)
    """Tokens before a text is cut off, where the request does not say."""
