"""How human the stored candidates of a corpus are to programs: detectors, likeness, and how much was copied.

Needs no game: what is compared are candidates and held-out posts.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from pasquin.counts import counted
from pasquin.measure.detectors import Losses, scorecard
from pasquin.measure.likeness import FEWEST, likeness
from pasquin.measure.reading import texts_of_both_origins
from pasquin.progress import Progress
from pasquin.store import Store
from pasquin.store.schema import candidates
from pasquin.workspace import Workspace
from pasquin.workspace.files import read_manifest


def voice_figures(
    store: Store, workspace: Workspace, corpora: Sequence[str] = (), progress: Progress | None = None
) -> dict[str, Any]:
    """`{detectors, likeness, copies}` of the candidates of `corpora` (none: of all) beside their held-out posts.

    `likeness` is None with fewer than 100 texts of an origin. The detector of likelihood is there when torch is and one
    model, still in the workspace, wrote most of the texts. Raises CorpusError with too few texts, ResourceError without
    the packages, ModelError for a damaged model.
    """
    human: list[str] = []
    model: list[str] = []
    for name in corpora or workspace.corpora():
        ours, theirs = texts_of_both_origins(store, workspace, name)
        human += ours
        model += theirs
    return {
        "detectors": scorecard(human, model, losses=_losses(store, workspace, corpora, progress)),
        "likeness": likeness(human, model) if min(len(human), len(model)) >= 2 * FEWEST else None,
        "copies": copies(store, workspace, corpora),
    }


def copies(store: Store, workspace: Workspace, corpora: Sequence[str] = ()) -> dict[str, Any]:
    """`{verbatim_rate, near_rate, n}`: shares of the completions compared with all posts that copied one.

    What the screen rejected for another reason is not among them. None for shares of nothing.
    """
    wrote = sa.select(candidates.c.model, candidates.c.generation, sa.func.count())
    query = wrote.group_by(candidates.c.model, candidates.c.generation)
    with store.read() as connection:
        rows = connection.execute(query.where(candidates.c.corpus.in_(corpora)) if corpora else query).all()
    found: Counter[str] = Counter(novel=sum(row[2] for row in rows))
    for model, generation, _ in rows:
        found.update(_rejected(workspace.root / "generated" / "rejected" / f"{model}_{generation}.jsonl"))
    n = found["novel"] + found["verbatim"] + found["near"]
    return {
        "verbatim_rate": found["verbatim"] / n if n else None,
        "near_rate": found["near"] / n if n else None,
        "n": n,
    }


def _rejected(path: Path) -> list[str]:
    """Reasons of what was rejected, one for each position: a run that was killed may have written some twice."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    reasons: dict[int, str] = {}
    for line in lines:
        try:
            row = json.loads(line)
            reasons[row["position"]] = row["reason"]
        except (ValueError, KeyError, TypeError):  # cut off by a crash
            continue
    return list(reasons.values())


def _losses(store: Store, workspace: Workspace, corpora: Sequence[str], progress: Progress | None) -> Losses | None:
    from pasquin.engines.transformers import Transformers

    query = sa.select(candidates.c.model, candidates.c.model_hash).group_by(candidates.c.model, candidates.c.model_hash)
    query = query.order_by(sa.func.count().desc(), candidates.c.model)
    with store.read() as connection:
        wrote = connection.execute(query.where(candidates.c.corpus.in_(corpora)) if corpora else query).first()
    if wrote is None or wrote.model not in workspace.models():
        return None
    folder = workspace.model_dir(wrote.model)
    manifest = read_manifest(folder)
    if manifest is None or manifest.get("hash") != wrote.model_hash or Transformers.supports(folder) is not None:
        return None

    def losses(texts: Sequence[str]) -> Any:
        from pasquin.engines.likelihood import token_losses

        if progress is not None:
            progress.say(f"Reading {len(texts):,} texts with the model `{wrote.model}`.")
        return token_losses(folder, texts)

    return losses


def printed(figures: dict[str, Any]) -> list[str]:
    """The figures as lines for a terminal."""
    from pasquin.measure.plots import interval_text

    rows = figures["detectors"]
    lines = [f"Programs that tell candidates from held-out posts of the same length ({rows[0]['n'] // 2:,} pairs):"]
    lines += [f"  AUC {interval_text(row['auc'], share=False)}  {row['name']}" for row in rows]
    alike, copied = figures["likeness"], figures["copies"]
    if alike is not None:
        lines.append(
            f"  MAUVE {alike['mauve']:.2f} (posts against posts: {alike['ceiling']:.2f}); different pairs of words: "
            f"{alike['distinct_2']:.1%} (posts: {alike['human_distinct_2']:.1%})"
        )
    if copied["n"]:
        lines.append(
            f"  of {counted(copied['n'], 'completion')} {copied['verbatim_rate']:.2%} copied a post and "
            f"{copied['near_rate']:.2%} nearly; none of those is a candidate"
        )
    return lines
