"""What goes with a text where there is no profile to say it: that a machine wrote it, which, and who answers for it."""

from __future__ import annotations

from typing import Any

from pasquin.config import BotSettings


def statement(bot: str, settings: BotSettings) -> dict[str, Any]:
    """The disclosure of a bot as plain data, for machines (EU AI Act, article 50: marked as generated)."""
    return {
        "ai_generated": True,
        "bot": bot,
        "model_family": settings.model_family,
        "curated_by_a_person": settings.curated,
        "maintainer": settings.maintainer or None,
        "parodies": list(settings.parodies),
    }
