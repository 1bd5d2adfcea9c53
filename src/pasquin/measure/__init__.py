"""Measuring the game: how human the model sounds, with intervals that mean what they say.

`measure` reads the store's guesses and returns every figure. The modules beside it are plain functions over arrays,
of use without a workspace: `clustered` (shares with intervals clustered by player), `detection` (d', c, AUC),
`sequential` (reading while data arrive), `planning` (how many guesses), `ranking` (Bradley-Terry), `item_response`
(1PL, 2PL), `detectors` (programs that guess), `likeness` (MAUVE, distinct-n), `exclusions`, `simulation` (games of
known truth). docs/measure.md says what each does and where it is from.

Needs numpy and scipy: `pip install 'pasquin[measure]'`.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pasquin.config import MeasureSettings, load
from pasquin.counts import counted
from pasquin.errors import ResourceError, disk_errors
from pasquin.progress import Progress, Silent
from pasquin.store import Store
from pasquin.workspace import Workspace

if TYPE_CHECKING:
    from pasquin.measure.arrays import Guesses

__all__ = ["FEW_PLAYERS", "measure", "printed", "public_figures", "ready"]

FEW_PLAYERS = 5
"""Public figures are of at least so many players."""


def ready() -> str | None:
    """What is missing to measure, None when nothing is."""
    missing = [name for name in ("numpy", "scipy") if find_spec(name) is None]
    return None if not missing else "Figures need some more packages: pip install 'pasquin[measure]'."


def measure(
    workspace: Workspace,
    corpora: Sequence[str] = (),
    *,
    html: Path | None = None,
    export: Path | None = None,
    detectors: bool = False,
    settings: MeasureSettings | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """All figures of the guesses on `corpora` (none named: of all), after the exclusions.

    Writes the report to `html` and the anonymised guesses to `export` (.csv or .parquet, with a codebook beside it);
    `detectors` fits programs that guess, too, and compares the texts; it needs no guesses. Raises CorpusError for an
    unknown corpus or (for detectors) too few texts, ResourceError without the `measure` packages, UsageError for
    another kind of file, StoreError, WorkspaceError (a file cannot be written).
    """
    problem = ready()
    if problem:
        raise ResourceError(problem)
    from pasquin.measure.anonymised import check_kind, write_export
    from pasquin.measure.voice import voice_figures

    progress, settings = progress or Silent(), settings or load(MeasureSettings, workspace.toml)
    for name in corpora:
        workspace.corpus_manifest(name)
    if export is not None:
        check_kind(export)
    store = Store.of(workspace)
    try:
        progress.say("Reading the guesses.")
        guesses = _read(store, corpora)
        result = _figures(store, guesses, corpora, settings, public=False)
        if detectors:
            progress.say("Fitting the detectors.")
            result |= voice_figures(store, workspace, corpora, progress)
    finally:
        store.close()
    if html is not None:
        from pasquin.measure.report import render

        with disk_errors(f"write {html}"):
            html.write_text(render(result), encoding="utf-8")
    if export is not None:
        write_export(export, guesses, settings)
    return result


def public_figures(store: Store, corpora: Sequence[str], settings: MeasureSettings) -> dict[str, Any]:
    """The figures that anybody may see: of at least `FEW_PLAYERS` players each, and without any item.

    Raises StoreError, ResourceError without the `measure` packages.
    """
    problem = ready()
    if problem:
        raise ResourceError(problem)
    return _figures(store, _read(store, corpora), corpora, settings, public=True)


def _read(store: Store, corpora: Sequence[str]) -> Guesses:
    from pasquin.measure.reading import read_guesses

    return read_guesses(store, corpora)


def _figures(
    store: Store, guesses: Guesses, corpora: Sequence[str], settings: MeasureSettings, *, public: bool
) -> dict[str, Any]:
    from pasquin.measure.comparison import model_differences, model_ranking, scales
    from pasquin.measure.exclusions import effect, excluded_by_any, rules
    from pasquin.measure.figures import (
        breakdowns,
        by_drawing,
        evenly_drawn,
        fewest_players,
        growth,
        independence,
        main_figures,
        pair_figures,
        sample_guidance,
        without_pairs,
    )

    found = rules(guesses, settings)
    singles, choices = without_pairs(guesses.where(~excluded_by_any(found, len(guesses))))
    kept, choices = evenly_drawn(singles), evenly_drawn(choices)
    few = FEW_PLAYERS if public else 0
    if few and (kept.players < few or fewest_players(kept) < few):
        return {"corpora": list(corpora), "players": kept.players, "guesses": len(kept), "few_players": few}
    alike = independence(kept)
    result = {
        "corpora": list(corpora),
        **main_figures(kept),
        "pair": pair_figures(choices) if choices.players >= few else None,
        "by": breakdowns(kept, few=few) | {"drawn": by_drawing(singles, few=few)},
        "looks": growth(kept),
        "independence": alike,
        "sample": sample_guidance(kept, alike),
        "model_differences": model_differences(kept, few=few),
        "exclusions": effect(guesses, found, settings, few=few),
    }
    if not public:
        result["ranking"] = model_ranking(kept)
        result["curators_ranking"] = _curators_ranking(store, kept)
        result["item_response"] = scales(singles, with_items=True)
        result["examples"] = _examples(store, result["item_response"])
    return result


def _curators_ranking(store: Store, guesses: Guesses) -> list[dict[str, Any]] | None:
    from pasquin.measure.comparison import ranked
    from pasquin.measure.reading import read_preferences

    wins = read_preferences(store, guesses.models)
    return None if wins is None else ranked(wins, guesses.models)


def _examples(store: Store, fitted: dict[str, Any] | None) -> dict[str, list[dict[str, Any]]] | None:
    """The model items named by the item-response fit, with their texts."""
    if fitted is None:
        return None
    from pasquin.measure.reading import candidate_texts

    examples = fitted.pop("examples")
    texts = candidate_texts(store, [row["key"] for rows in examples.values() for row in rows])
    return {
        kind: [{**row, "text": texts[row["key"]]} for row in rows if row["key"] in texts]
        for kind, rows in examples.items()
    }


def printed(result: dict[str, Any]) -> list[str]:
    """The figures as lines for a terminal."""
    from pasquin.measure.plots import interval_text
    from pasquin.measure.report import none_counts
    from pasquin.measure.voice import printed as voice_lines

    pair = result.get("pair")
    chosen = (
        f"  of {counted(pair['choices'], 'choice')} between two texts, right: {interval_text(pair['right'])}"
        if pair
        else ""
    )
    voice = voice_lines(result) if result.get("detectors") else []
    if not result["guesses"]:
        nothing = none_counts(result) or "No guesses yet. Let people play first: pasquin play"
        return [chosen.strip() if pair else nothing, *voice]
    shares = [("fool rate", "fool_rate"), ("human pass rate", "human_pass_rate"), ("accuracy", "accuracy")]
    made = f"{counted(result['guesses'], 'guess', 'guesses')} of {counted(result['players'], 'player')}"
    lines = [f"{made}, with 95% intervals clustered by player:"]
    lines += [f"  {name:16} {interval_text(result[key])}" for name, key in shares]
    lines += [f"  {name:16} {interval_text(result[key], share=False)}" for name, key in (("d'", "d_prime"), ("c", "c"))]
    lines += [chosen] if pair else []
    sample = result["sample"]
    lines.append(
        f"For ±5 points: {sample['needed_guesses']:,} guesses on model items (design effect "
        f"{sample['design_effect']:.2f}); there are {sample['have_guesses']:,}."
    )
    chosen_by = next((row for row in result["by"]["drawn"] if row["name"] == "by difficulty"), None)
    if chosen_by:
        more = counted(chosen_by["guesses"], "guess more is", "guesses more are")
        lines.append(f"{more} on cards chosen by difficulty, and in no rate.")
    left_out = result["exclusions"]["guesses"]
    if left_out:
        lines.append(
            f"Left out by the rules: {left_out:,} of {counted(result['exclusions']['of'], 'guess', 'guesses')}."
        )
    return lines + voice
