"""Settings of `pasquin measure`: which guesses count."""

from __future__ import annotations

from pydantic import Field

from pasquin.config.reading import StageSettings


class MeasureSettings(StageSettings):
    """[measure]"""

    stage = "measure"

    fastest_ms: int = Field(500, ge=0)
    """Faster answers do not count: the text was not read."""
    most_guesses: int = Field(500, ge=1)
    """Later guesses of a player do not count."""
