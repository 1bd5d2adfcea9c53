"""Which family of models a bot's texts come from."""

from __future__ import annotations

from pasquin.config import BotSettings
from pasquin.errors import CorpusError, ModelError, UsageError
from pasquin.workspace import Workspace


def family_of(workspace: Workspace, settings: BotSettings) -> str | None:
    """What the settings say, else what the bot's first model was trained from, as its manifest names it."""
    if settings.model_family:
        return settings.model_family
    for model in settings.models or ((settings.corpus,) if settings.corpus else ()):
        try:
            base = workspace.model_manifest(model).get("base")
        except (ModelError, CorpusError, UsageError):
            continue
        if isinstance(base, str) and base:
            return base.rstrip("/").rpartition("/")[2]
    return None
