"""Games whose truth is known: players of unlike skill and bias who learn, lapse and leave; items of unlike difficulty.

For planning a study and for proving the intervals: `benchmarks/coverage.py` plays ten thousand of these.

A player judges an item to be a model's with probability λ/2 + (1 - λ)Φ(±d/2 - b + e): λ is how often the player's
attention lapses (then a coin decides), d the sensitivity, which grows by `learning` from the first trial to late ones,
b the player's bias, e the item's own effect. d, b and e are normal, λ is Beta: so the truth of the whole population is
a closed form (a normal probability of normal variables is one again).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import special

from pasquin.measure.arrays import Codes, Flags, Floats

_LONGEST = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """A population of games. Standard deviations are on the scale of d'.

    `guesses` is the median number of guesses a player makes (lognormal with `guesses_spread`, at least 2, at most 400).
    """

    players: int = 100
    items: int = 200
    guesses: float = 12.0
    guesses_spread: float = 0.8
    d_prime: float = 0.8
    d_prime_sd: float = 0.4
    bias: float = 0.1
    bias_sd: float = 0.4
    item_sd: float = 0.0
    learning: float = 0.5
    learning_trials: float = 20.0
    lapse: float = 0.06
    lapse_concentration: float = 10.0


@dataclass(frozen=True, slots=True)
class Game:
    """One drawn game; arrays have one entry a guess, in the order of play of each player."""

    player: Codes
    item: Codes
    from_model: Flags
    judged_model: Flags
    trial: Codes
    item_effect: Floats


def draw(world: World, random: np.random.Generator) -> Game:
    """Play one game: items are drawn evenly, their origin by a coin."""
    lengths = _lengths(world, random)
    player = np.repeat(np.arange(world.players), lengths)
    trial = np.arange(len(player)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    effect = random.normal(0, world.item_sd, world.items) if world.item_sd else np.zeros(world.items)
    item = random.integers(0, world.items, len(player))
    from_model = item % 2 == 1
    d = random.normal(world.d_prime, world.d_prime_sd, world.players)[player] + _learned(world, trial)
    bias = random.normal(world.bias, world.bias_sd, world.players)[player]
    lapse = _lapses(world, random)[player]
    seen = np.where(from_model, d / 2, -d / 2) - bias + effect[item]
    judged = random.random(len(player)) < lapse / 2 + (1 - lapse) * special.ndtr(seen)
    return Game(player, item, from_model, judged, trial + 1, effect)


def truth(world: World, item_effect: Floats | None = None) -> tuple[float, float]:
    """The population's share of model items, and of human items, judged to be a model's.

    Over all items there could be, or over those whose `item_effect` (items,) is given.
    """
    weight = _survival(world)
    d = world.d_prime + _learned(world, np.arange(_LONGEST))
    spread = 1 + world.d_prime_sd**2 / 4 + world.bias_sd**2
    shares = []
    for origin, sign in ((1, 0.5), (0, -0.5)):
        mean = sign * d - world.bias
        if item_effect is None:
            seen = special.ndtr(mean / np.sqrt(spread + world.item_sd**2))
        else:
            effects = item_effect[origin::2]
            seen = special.ndtr((mean[:, None] + effects[None, :]) / np.sqrt(spread)).mean(axis=1)
        shares.append(world.lapse / 2 + (1 - world.lapse) * float((weight * seen).sum() / weight.sum()))
    return shares[0], shares[1]


def _learned(world: World, trial: Codes) -> Floats:
    return np.asarray(world.learning * (1 - np.exp(-trial / world.learning_trials)), dtype=np.float64)


def _lapses(world: World, random: np.random.Generator) -> Floats:
    if world.lapse == 0:
        return np.zeros(world.players)
    strength = world.lapse_concentration
    return np.asarray(random.beta(world.lapse * strength, (1 - world.lapse) * strength, world.players))


def _lengths(world: World, random: np.random.Generator) -> Codes:
    drawn = world.guesses * np.exp(world.guesses_spread * random.normal(size=world.players))
    return np.asarray(np.clip(np.ceil(drawn), 2, _LONGEST), dtype=np.int64)


def _survival(world: World) -> Floats:
    """How probable it is that a player makes the t-th guess, t from 0."""
    t = np.arange(_LONGEST, dtype=np.float64)
    if world.guesses_spread == 0:
        return np.asarray(t < max(np.ceil(world.guesses), 2), dtype=np.float64)
    with np.errstate(divide="ignore"):
        reached = special.ndtr(-(np.log(t) - np.log(world.guesses)) / world.guesses_spread)
    return np.asarray(np.where(t < 2, 1.0, reached), dtype=np.float64)
