"""One settings class a stage. A value comes from, first that has it: a command-line flag, the environment
(`PASQUIN_<STAGE>_<FIELD>`), `pasquin.toml` (`[stage]` table), the default of its class.

Secrets never live in `pasquin.toml`: they come from the environment or the keyring, where they are used.
"""

from __future__ import annotations

from pasquin.config.bots import BotSettings, load_bots, secret_prefix
from pasquin.config.collect import CollectSettings
from pasquin.config.curate import CurateSettings
from pasquin.config.generate import SAMPLING_FILE, GenerateSettings, model_sampling
from pasquin.config.measure import MeasureSettings
from pasquin.config.play import PlaySettings
from pasquin.config.prepare import PrepareSettings
from pasquin.config.publish import PublishSettings
from pasquin.config.reading import StageSettings, load, read_toml
from pasquin.config.serve import ServeSettings
from pasquin.config.train import TrainSettings

__all__ = [
    "SAMPLING_FILE",
    "BotSettings",
    "CollectSettings",
    "CurateSettings",
    "GenerateSettings",
    "MeasureSettings",
    "PlaySettings",
    "PrepareSettings",
    "PublishSettings",
    "ServeSettings",
    "StageSettings",
    "TrainSettings",
    "load",
    "load_bots",
    "model_sampling",
    "read_toml",
    "secret_prefix",
]
