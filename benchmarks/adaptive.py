"""Whether difficulty that adapts stays out of the fool rate, and whether it adapts.

    python benchmarks/adaptive.py [--quick]

Simulated players of unlike ability play the game's own code (`play.table.deal`, ratings that learn as they play) on
decks of cards of unlike difficulty, whose truth is known: P(right) = logistic(ability - difficulty). A figure's bias is
the mean, over its guesses on model cards, of how likely the player was to be fooled by that card, less how likely the
same player is by all model cards of the deck. Decks: 300 cards of each origin, and 40, which many players play out.
Beside the evenly drawn guesses, which count, stand those chosen by difficulty, and all together, as if nobody had
parted them. Last, how often the 95% interval of the counted guesses held the truth of all such players, and how much
ability shows in the share of right answers: less on cards that suit the player.

Goal: bias of the counted guesses below 0.3 points, coverage 94 to 96%. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from scipy import special

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from dealt import Dealt, deck_of, play_on  # noqa: E402
from pasquin.measure.clustered import proportion  # noqa: E402

DECKS = {"300 cards of each origin": 300, "40, played out": 40}
PLAYERS = 60
ABILITY_SD, CARD_SD, EASE = 0.7, 1.0, 0.5


@dataclass
class Sums:
    """What the games of one deck add up to."""

    excess: dict[str, list[float]] = field(default_factory=dict)
    covered: list[bool] = field(default_factory=list)
    reach: dict[str, list[float]] = field(default_factory=dict)


def one_game(size: int, random: np.random.Generator, sums: Sums) -> None:
    """Play one game and add what it shows."""
    table, difficulty = deck_of(size, random, card_sd=CARD_SD, ease=EASE)
    ability = random.normal(0, ABILITY_SD, PLAYERS)
    lengths = np.clip(random.lognormal(math.log(30), 0.8, PLAYERS).astype(int), 5, 2 * size)
    dealt = play_on(table, difficulty, ability, lengths, random)
    ours = [each for each in dealt if each.origin == "model"]
    model = np.array([value for key, value in difficulty.items() if key.startswith("model")])
    usual = fooled(ability, model)
    for name in ("evenly", "by_difficulty", None):
        chosen = [each for each in ours if name in (None, each.drawn)]
        if chosen:
            excess = np.mean([each.fooled - usual[each.player] for each in chosen])
            sums.excess.setdefault(name or "all", []).append(float(excess))
    even = [each for each in ours if each.drawn == "evenly"]
    truth = float(fooled(ABILITY_SD * special.ndtri((np.arange(200) + 0.5) / 200), model).mean())
    found = proportion([not each.right for each in even], [each.player for each in even])
    if found is not None and found.low is not None and found.high is not None:
        sums.covered.append(found.low <= truth <= found.high)
    for name in ("evenly", "by_difficulty"):
        sums.reach.setdefault(name, []).append(reach([each for each in dealt if each.drawn == name], ability))


def fooled(ability: np.ndarray, difficulty: np.ndarray) -> np.ndarray:
    """How likely players of these abilities are wrong, over cards of these difficulties."""
    return special.expit(difficulty - ability[:, None]).mean(axis=1)


def reach(dealt: list[Dealt], ability: np.ndarray) -> float:
    """How many points of right answers one standard deviation of ability is worth, by least squares."""
    skill = ability[[each.player for each in dealt]]
    return 100 * ABILITY_SD * float(np.polyfit(skill, [float(each.right) for each in dealt], 1)[0])


def main() -> None:
    """Play, print the table, print the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="60 games a deck instead of 600")
    games = 60 if parser.parse_args().quick else 600
    random = np.random.default_rng(2026)
    result: dict[str, object] = {"games": games * len(DECKS)}
    for label, size in DECKS.items():
        sums = Sums()
        for _ in range(games):
            one_game(size, random, sums)
        print(f"{label} ({games} games of {PLAYERS} players)")
        for name, found in sums.excess.items():
            bias, reached = 100 * np.mean(found), 196 * np.std(found) / math.sqrt(len(found))
            print(f"  bias of the fool rate, {name:14} {bias:+6.2f} ± {reached:.2f} points")
            result[f"bias_{name}_{size}"] = [float(bias), float(reached)]
        covered = float(np.mean(sums.covered))
        worth = {name: float(np.mean(found)) for name, found in sums.reach.items()}
        print(f"  95% intervals that held the truth  {covered:.1%}")
        print(
            f"  one SD of ability is worth         {worth['evenly']:.1f} points of right answers on cards drawn evenly,"
        )
        print(f"                                     {worth['by_difficulty']:.1f} on those by difficulty")
        result |= {f"coverage_{size}": covered, f"ability_points_{size}": worth}
    print(json.dumps(result))


if __name__ == "__main__":
    main()
