"""Settings of `pasquin publish`: how a publisher claims, waits and looks again."""

from __future__ import annotations

from pydantic import Field, field_validator

from pasquin.config.reading import StageSettings, words


class PublishSettings(StageSettings):
    """[publish]"""

    stage = "publish"

    lease_seconds: float = Field(120.0, ge=5)
    """A publisher that is not heard of for so long has lost its claim, and another one takes over."""
    timeout_seconds: float = Field(20.0, gt=0)
    """How long a network may take to answer."""
    poll_seconds: float = Field(15.0, gt=0)
    """How often the daemon looks for what is due."""
    settle_minutes: float = Field(10.0, gt=0)
    """How long to wait before looking again for a post of which nobody knows whether it was published."""
    metrics_port: int | None = Field(None, ge=0, le=65_535)
    """Port on 127.0.0.1 at which the daemon tells Prometheus how its bots stand; none without it."""
    settle_times: int = Field(6, ge=1)
    """How often to look before the person is asked."""
    allow_private_hosts: tuple[str, ...] = ()
    """Hosts (`name` or `name:port`) that may be in a private network and without https: one's own servers."""

    @field_validator("allow_private_hosts", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return words(value)
