"""What a trial tells besides its words: a classifier on everything but the text should not know the origin.

    python benchmarks/leak.py [--quick]

Players over HTTP take cards of an invented workspace whose human posts are longer than the model's; the classifier
(gradient boosting, five-fold, scored by AUC) sees the time to answer, the bytes of body and headers, the trial id and
the order. That lengths of texts are matched is tested in tests/test_play.py: an exact length stands for the words,
which whoever has seen a card revealed knows. The interval is Hanley and McNeil's (1982).
Goal: AUC at most 0.52, 0.5 inside.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import sys
import tempfile
import time
from pathlib import Path

import httpx
import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from invented import HANDLES, add_candidates, make_corpus, posts, texts  # noqa: E402
from pasquin.store import Store  # noqa: E402
from pasquin.workspace import Workspace  # noqa: E402
from test_game_browser import serving  # noqa: E402

_CARDS_A_PLAYER = 60


def play(url: str, players: int) -> tuple[list[list[float]], list[bool]]:
    """What each trial showed besides its words, and whether it was human."""
    seen: list[list[float]] = []
    human: list[bool] = []
    for _ in range(players):
        with httpx.Client(base_url=url) as client:
            client.post("/api/game/start").raise_for_status()
            for at in range(_CARDS_A_PLAYER):
                began = time.perf_counter()
                answer = client.get("/api/game/round", params={"category": "village"})
                seconds = time.perf_counter() - began
                trial = answer.json()["trial"]
                if trial is None:
                    break
                headers = len(b"".join(name + value for name, value in answer.headers.raw))
                number = int(trial["id"], 16)
                bits = [float(number >> shift & 255) for shift in (0, 8, 64, 120)]
                seen.append([seconds, len(answer.content), headers, at, *bits])
                body = {"trial": trial["id"], "guess": "human", "response_ms": 1_000}
                human.append(client.post("/api/game/guess", json=body).json()["origin"] == "human")
    return seen, human


def main() -> None:
    """Play, classify, print a table for people, then one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer players")
    players = 25 if parser.parse_args().quick else 100
    with tempfile.TemporaryDirectory() as folder:
        workspace = Workspace.create(Path(folder))
        longer = [
            dataclasses.replace(post, text=f"{post.text} {'so ' * (at % 7)}") for at, post in enumerate(posts(900))
        ]
        make_corpus(workspace, "village", longer)
        store = Store.of(workspace)
        add_candidates(store, "village", texts(600, start=900), accounts=HANDLES)
        store.close()
        with serving(workspace) as url:
            seen, human = play(url, players)
    origin = np.array(human)
    model = HistGradientBoostingClassifier(max_depth=3, random_state=0)
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    scores = cross_val_predict(model, np.array(seen), origin, cv=folds, method="predict_proba")[:, 1]
    auc, (positive, negative) = float(roc_auc_score(origin, scores)), (int(origin.sum()), int((~origin).sum()))
    one, two = auc / (2 - auc), 2 * auc**2 / (1 + auc)
    variance = auc * (1 - auc) + (positive - 1) * (one - auc**2) + (negative - 1) * (two - auc**2)
    half = 1.96 * math.sqrt(variance / (positive * negative))
    print(f"AUC without the words  {auc:.3f} ± {half:.3f}  ({len(origin):,} trials; goal: at most 0.52)")
    print(json.dumps({"auc": auc, "low": auc - half, "high": auc + half, "trials": len(origin)}))


if __name__ == "__main__":
    main()
