"""How human the voice is to programs: train on real posts, generate, screen, and let detectors guess.

    python benchmarks/voice.py [POSTS] [--quick] [--model WORKSPACE NAME] [sampling, as of `pasquin generate`]

POSTS is a file of twint JSON lines (default: the real posts beside the checkout). A model is trained for ten minutes
(`--quick`: one and a half) with default settings, or taken from a workspace by `--model`; 1,000 screened candidates
(300) are drawn, and compared with as many held-out posts by `pasquin.measure.voice`, which no part of training,
screening or ranking looks at:

- `detector_auc`: words and character n-grams, logistic regression, 5 folds, pairs matched in length; 0.5 is chance. The
  same of the mean and spread of token losses under the model, and of length alone, stand in the table;
- `verbatim_rate`, `near_rate`: completions that copied a collected post, of those compared with them (all rejected);
- `distinct_2`: different pairs of words over all pairs, beside that of posts;
- `mauve`: beside its ceiling, posts against posts.

The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

REAL = Path(__file__).resolve().parents[2] / "shared" / "data" / "tweets" / "vc.jsonl.gz"
CORPUS = "voice"


def trained(root: Path, posts: Path, minutes: float) -> Any:
    """A workspace with a model of that name, trained on `posts`."""
    from pasquin.collect import collect
    from pasquin.config import TrainSettings
    from pasquin.prepare import prepare
    from pasquin.train import train
    from pasquin.workspace import Workspace

    workspace = Workspace.create(root)
    collect(workspace, [f"twint:{posts}"])
    prepare(workspace, CORPUS)
    result = train(workspace, CORPUS, settings=TrainSettings(minutes=minutes))
    bits = result["bits_per_byte"]
    print(f"trained {result['seconds']:.0f} s: {bits['before']:.3f} -> {bits['after']:.3f} bits per byte")
    return workspace


def compare(workspace: Any, model: str, n: int, sampling: dict[str, Any]) -> dict[str, float]:
    """Generate and measure; prints the table and returns the figures."""
    from pasquin.config import GenerateSettings
    from pasquin.generate import generate
    from pasquin.measure.voice import printed, voice_figures
    from pasquin.store import Store

    settings = GenerateSettings(n=n, **sampling)
    made = generate(workspace, model, settings=settings)
    rejected = ", ".join(f"{reason} {count}" for reason, count in made["rejected"].items())
    print(f"{made['candidates']:,} candidates in {made['seconds']:.0f} s, rejected: {rejected or 'none'}")
    store = Store.of(workspace)
    try:
        figures = voice_figures(store, workspace, [str(workspace.model_manifest(model)["corpus"])])
    finally:
        store.close()
    print("\n".join(printed(figures)))
    return {
        "detector_auc": round(figures["detectors"][0]["auc"]["value"], 3),
        "verbatim_rate": round(figures["copies"]["verbatim_rate"], 4),
        "near_rate": round(figures["copies"]["near_rate"], 4),
        "distinct_2": round(figures["likeness"]["distinct_2"], 3),
        "mauve": round(figures["likeness"]["mauve"], 3),
    }


def main() -> None:
    """Parse the arguments and run."""
    from pasquin.workspace import Workspace

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("posts", type=Path, nargs="?", default=REAL)
    parser.add_argument("--quick", action="store_true", help="at most 5 minutes on 2 cores")
    parser.add_argument("--model", nargs=2, metavar=("WORKSPACE", "NAME"), help="a model that is trained already")
    parser.add_argument("--temperature", type=float)
    parser.add_argument("--top-k", type=int)
    parser.add_argument("--top-p", type=float)
    parser.add_argument("--min-p", type=float)
    given = parser.parse_args()
    names = ("temperature", "top_k", "top_p", "min_p")
    sampling = {name: value for name in names if (value := getattr(given, name)) is not None}
    n = 300 if given.quick else 1_000
    if given.model:
        place, name = given.model
        return print(json.dumps(compare(Workspace.open(Path(place)), name, n, sampling)))
    if not given.posts.exists():
        sys.exit(f"There are no posts at {given.posts}: give a file of twint JSON lines.")
    with tempfile.TemporaryDirectory() as root:
        workspace = trained(Path(root) / "workspace", given.posts, 1.5 if given.quick else 10.0)
        return print(json.dumps(compare(workspace, CORPUS, n, sampling)))


if __name__ == "__main__":
    main()
