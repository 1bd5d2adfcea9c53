"""More candidates of the generation that `pasquin.toml` describes, wherever it stands: what fills the game's pool."""

from __future__ import annotations

from contextlib import closing
from typing import Any

from pasquin.config import GenerateSettings, load, model_sampling
from pasquin.errors import UsageError
from pasquin.generate import generate
from pasquin.generate.candidates import stored
from pasquin.generate.plan import Wish
from pasquin.generate.writers import CONTESTANT, trained
from pasquin.store import Store
from pasquin.workspace import Workspace


def generate_more(workspace: Workspace, model: str, more: int) -> dict[str, Any]:
    """Add `more` candidates of `model` behind those that its generation has, as `generate` with a larger `n` would.

    Settings are those of `pasquin.toml`. All of the generation is then in `generated/<model>_more.txt`. Returns what
    `generate` does, and `added`: how many are new. Raises as `generate` does, and UsageError for an engine behind a
    server: nobody spends somebody's money unasked.
    """
    settings = load(GenerateSettings, workspace.toml, defaults=model_sampling(workspace.model_dir(model)))
    if settings.engine == CONTESTANT:
        raise UsageError("Only a model of this workspace writes more by itself: take `engine` out of [generate].")
    plan = trained(workspace, model, Wish(), settings).plan
    with closing(Store.of(workspace)) as store:
        have = len(stored(store, plan.id))
    output = workspace.root / "generated" / f"{model}_more.txt"
    output.parent.mkdir(exist_ok=True)
    result = generate(workspace, model, output=output, settings=settings.model_copy(update={"n": have + more}))
    return {**result, "added": result["candidates"] - have}
