"""Whether the intervals of `measure` cover the truth, in simulated games whose truth is known.

    python benchmarks/coverage.py [--quick] [--games N]

Players differ in skill and bias, learn, lapse, and leave after a lognormal number of guesses; texts differ where the
row says so. A 95% interval must cover in 95% of the games. Beside ours stand, for the fool rate of the same games, the
intervals that others use: Wilson's, which takes guesses for independent; the plain sandwich with z = 1.96; and a
bootstrap of players (BCa, 600 resamples, on the first games only, as it is slow). Last, how often a figure is wrong at
*some* look when one looks 40 times while data arrive.

10,000 games a row (about ten minutes); `--quick` 1,500. The last line is one JSON object; `coverage` and
`d_prime_coverage` are of all rows' games together.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from dataclasses import dataclass, field, replace

import numpy as np
from scipy import special

from pasquin.measure.clustered import Estimate, cells, clustering, proportion
from pasquin.measure.detection import d_prime_of, detection
from pasquin.measure.sequential import looks
from pasquin.measure.simulation import Game, World, draw, truth

TYPICAL = World()
WORLDS = {
    "100 players, 12 guesses each (median)": TYPICAL,
    "10 players": replace(TYPICAL, players=10),
    "20 players": replace(TYPICAL, players=20),
    "400 players, 5 guesses": replace(TYPICAL, players=400, guesses=5),
    "a few players give most guesses": replace(TYPICAL, guesses_spread=1.4),
    "players much unlike": replace(TYPICAL, d_prime_sd=0.9, bias_sd=0.9),
    "20% lapses": replace(TYPICAL, lapse=0.2),
    "steep learning": replace(TYPICAL, learning=2.0),
    "hardly anybody fooled (7%)": replace(TYPICAL, d_prime=3.0, lapse=0.03, lapse_concentration=20.0, learning=0.0),
    "60 texts, unlike": replace(TYPICAL, items=60, item_sd=0.5),
}
BOOTSTRAPPED = 150
RESAMPLES = 600


@dataclass
class Tally:
    """Games, and how many of them each interval covered."""

    games: int = 0
    covered: dict[str, int] = field(default_factory=dict)
    width: dict[str, float] = field(default_factory=dict)
    number: dict[str, int] = field(default_factory=dict)

    def add(self, name: str, low: float, high: float, true: float) -> None:
        """Count one interval."""
        self.covered[name] = self.covered.get(name, 0) + (low <= true <= high)
        self.width[name] = self.width.get(name, 0.0) + high - low
        self.number[name] = self.number.get(name, 0) + 1

    def share(self, name: str) -> float:
        """Share of the intervals `name` that covered."""
        return self.covered[name] / self.number[name] if self.number.get(name) else math.nan


def wilson(share: float, n: int) -> tuple[float, float]:
    """The textbook interval of independent guesses (Wilson 1927)."""
    z = 1.96
    middle, reach = (share + z * z / (2 * n)), z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return (middle - reach) / (1 + z * z / n), (middle + reach) / (1 + z * z / n)


def plain_sandwich(yes: np.ndarray, player: np.ndarray) -> tuple[float, float]:
    """Cluster-robust without correction, ± 1.96."""
    table = cells(yes.astype(float), np.zeros(len(yes), dtype=np.int64), player, 1)
    share = float(table.share[0])
    reach = 1.96 * math.sqrt(float(((table.yes - share * table.n) ** 2).sum())) / len(yes)
    return share - reach, share + reach


def bootstrap(yes: np.ndarray, player: np.ndarray, random: np.random.Generator) -> tuple[float, float]:
    """Bias-corrected and accelerated bootstrap of players (Efron 1987)."""
    table = cells(yes.astype(float), np.zeros(len(yes), dtype=np.int64), player, 1)
    there = table.n[0] > 0
    said, n = table.yes[0][there], table.n[0][there]
    share = said.sum() / n.sum()
    drawn = random.integers(0, len(n), (RESAMPLES, len(n)))
    again = said[drawn].sum(axis=1) / n[drawn].sum(axis=1)
    without = (said.sum() - said) / (n.sum() - n)
    off = without.mean() - without
    speed = (off**3).sum() / (6 * (off**2).sum() ** 1.5)
    shift = special.ndtri(np.clip((again < share).mean(), 0.5 / RESAMPLES, 1 - 0.5 / RESAMPLES))
    at = [special.ndtr(shift + (shift + z) / (1 - speed * (shift + z))) for z in (-1.96, 1.96)]
    low, high = np.quantile(again, at)
    return float(low), float(high)


def play(world: World, games: int, random: np.random.Generator) -> Tally:
    """Play `games` and count what covers."""
    tally = Tally()
    whole = truth(world)
    for number in range(games):
        game = draw(world, random)
        hit, alarm = truth(world, game.item_effect) if world.item_sd else whole
        judge(tally, game, hit, alarm)
        if world.item_sd:
            two_way(tally, game, 1 - whole[0])
        if number < BOOTSTRAPPED:
            ours = game.from_model
            tally.add("bootstrap", *bootstrap(~game.judged_model[ours], game.player[ours], random), 1 - hit)
        tally.games += 1
    return tally


def judge(tally: Tally, game: Game, hit: float, alarm: float) -> None:
    """Count the intervals of one game."""
    ours = game.from_model
    yes, player = ~game.judged_model[ours], game.player[ours]
    fooled = proportion(yes, player)
    passed = proportion(~game.judged_model[~ours], game.player[~ours])
    told = detection(ours, game.judged_model, game.player)
    if fooled is None or passed is None or told is None:
        raise SystemExit("A simulated game had items of one origin only: draw larger ones.")
    count(tally, "fool rate", fooled, 1 - hit)
    count(tally, "human pass rate", passed, 1 - alarm)
    count(tally, "d'", told.d_prime, d_prime_of(hit, alarm))
    tally.add("wilson", *wilson(fooled.value, fooled.n), 1 - hit)
    tally.add("sandwich", *plain_sandwich(yes, player), 1 - hit)


def two_way(tally: Tally, game: Game, rate: float) -> None:
    """Count the two-way interval, and the one by player, for texts in general."""
    ours = game.from_model
    yes, player = ~game.judged_model[ours], game.player[ours]
    found, one_way = clustering(yes, player, game.item[ours]), proportion(yes, player)
    if found is not None and one_way is not None:
        count(tally, "two-way", found.two_way, rate)
        count(tally, "one-way for other texts", one_way, rate)


def count(tally: Tally, name: str, estimate: Estimate, true: float) -> None:
    """Count an estimate's interval; one without bounds covers everything."""
    low, high = (
        (-math.inf, math.inf) if estimate.low is None or estimate.high is None else (estimate.low, estimate.high)
    )
    tally.add(name, low, high, true)


def peeking(games: int, random: np.random.Generator) -> tuple[float, float]:
    """Share of games in which the plain interval, and the confidence sequence, was wrong at some of 40 looks."""
    world = replace(TYPICAL, players=300)
    rate, wrong = 1 - truth(world)[0], np.zeros(2)
    for _ in range(games):
        game = draw(world, random)
        ours = np.flatnonzero(game.from_model)
        seen = looks(~game.judged_model[ours], game.player[ours])
        wrong[0] += any(not look.fixed.low <= rate <= look.fixed.high for look in seen)
        wrong[1] += any(not look.low <= rate <= look.high for look in seen)
    return float(wrong[0] / games), float(wrong[1] / games)


def main() -> None:
    """Play, print the table, print the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="1,500 games a row instead of 10,000")
    parser.add_argument("--games", type=int, help="games a row")
    options = parser.parse_args()
    games = options.games or (1_500 if options.quick else 10_000)
    started, random = time.monotonic(), np.random.default_rng(2026)
    names = ("fool rate", "human pass rate", "d'", "wilson", "sandwich", "bootstrap")
    print(f"{'covered, of ' + format(games, ',') + ' games':42}" + "".join(f"{name:>17}" for name in names))
    rows = {}
    for label, world in WORLDS.items():
        rows[label] = tally = play(world, games, random)
        print(f"{label:42}" + "".join(f"{tally.share(name):17.1%}" for name in names), flush=True)
    other = rows["60 texts, unlike"]
    print(
        f"for other texts: two-way {other.share('two-way'):.1%}, by player {other.share('one-way for other texts'):.1%}"
    )
    plain, sequence = peeking(max(games // 10, 100), random)
    print(f"wrong at some of 40 looks: plain interval {plain:.1%}, confidence sequence {sequence:.1%}")
    result = {
        "games": sum(tally.games for tally in rows.values()),
        "coverage": float(np.mean([tally.share(name) for tally in rows.values() for name in names[:2]])),
        "d_prime_coverage": float(np.mean([tally.share("d'") for tally in rows.values()])),
        "lowest": min(tally.share(name) for tally in rows.values() for name in names[:3]),
        "highest": max(tally.share(name) for tally in rows.values() for name in names[:3]),
        "independent_coverage": float(np.mean([tally.share("wilson") for tally in rows.values()])),
        "sandwich_coverage": float(np.mean([tally.share("sandwich") for tally in rows.values()])),
        "bootstrap_coverage": float(np.mean([tally.share("bootstrap") for tally in rows.values()])),
        "two_way_coverage": other.share("two-way"),
        "peeking_error": plain,
        "sequence_error": sequence,
        "rows": {label: {name: tally.share(name) for name in names} for label, tally in rows.items()},
        "seconds": round(time.monotonic() - started, 1),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
