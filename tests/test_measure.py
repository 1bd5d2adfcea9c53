"""The statistics are right: textbook and published values, known truth, and a clear word for what makes no sense."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import special, stats

from pasquin.errors import InputError, UsageError
from pasquin.measure.clustered import clustering, difference, proportion
from pasquin.measure.detection import area_under_curve, d_prime_and_c, d_prime_of, detection
from pasquin.measure.item_response import fit
from pasquin.measure.planning import independent_guesses, need
from pasquin.measure.ranking import bradley_terry, holm, wins_of_players
from pasquin.measure.sequential import looks, multiplier
from pasquin.measure.simulation import World, draw, truth

# Section 6 of the Law School Admission Test, 1,000 people, 5 items (Bock and Lieberman 1970): answers -> people.
LSAT6 = {
    "00000": 3, "00001": 6, "00010": 2, "00011": 11, "00100": 1, "00101": 1, "00110": 3, "00111": 4,
    "01000": 1, "01001": 8, "01011": 16, "01101": 3, "01110": 2, "01111": 15, "10000": 10, "10001": 29,
    "10010": 14, "10011": 81, "10100": 3, "10101": 28, "10110": 15, "10111": 80, "11000": 16, "11001": 56,
    "11010": 21, "11011": 173, "11100": 11, "11101": 61, "11110": 28, "11111": 298,
}  # fmt: skip
# American League 1987 (Agresti, Categorical Data Analysis): Milwaukee, Detroit, Toronto, New York, Boston, Cleveland,
# Baltimore; row beat column.
BASEBALL = [
    [0, 7, 9, 7, 7, 9, 11],
    [6, 0, 7, 5, 11, 9, 9],
    [4, 6, 0, 7, 7, 8, 12],
    [6, 8, 6, 0, 6, 7, 10],
    [6, 2, 6, 7, 0, 7, 12],
    [4, 4, 5, 6, 6, 0, 6],
    [2, 4, 1, 3, 1, 7, 0],
]


def lsat6() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    answers = np.array([[int(bit) for bit in pattern] for pattern, people in LSAT6.items() for _ in range(people)])
    person, item = np.indices(answers.shape)
    return person.ravel(), item.ravel(), answers.ravel() == 1


# Shares with intervals


def test_one_guess_a_player_gives_the_textbook_logit_interval() -> None:
    found = proportion([1] * 30 + [0] * 70, range(100))
    assert found is not None
    reach = stats.t.ppf(0.975, 99) * math.sqrt(0.3 * 0.7 / 99) / (0.3 * 0.7)
    assert (found.value, found.n, found.clusters) == (0.3, 100, 100)
    assert found.low == pytest.approx(special.expit(special.logit(0.3) - reach), abs=1e-9)
    assert found.high == pytest.approx(special.expit(special.logit(0.3) + reach), abs=1e-9)


def test_variance_is_the_cr2_sandwich_computed_the_long_way() -> None:
    random = np.random.default_rng(1)
    player = np.repeat(np.arange(6), [1, 2, 3, 5, 8, 13])
    yes = random.integers(0, 2, len(player)).astype(float)
    n, residual, total = len(yes), yes - yes.mean(), 0.0
    for one in range(6):
        mine = player == one
        hat = np.full((mine.sum(), mine.sum()), 1 / n)
        values, vectors = np.linalg.eigh(np.eye(mine.sum()) - hat)
        root = vectors @ np.diag(values**-0.5) @ vectors.T
        total += float((root @ residual[mine]).sum() ** 2)
    found = proportion(yes, player)
    assert found is not None
    assert found.se == pytest.approx(math.sqrt(total) / n, rel=1e-9)


def test_copies_of_a_players_guess_add_no_certainty() -> None:
    once = proportion([1, 0] * 20, range(40))
    tenfold = proportion(np.repeat([1, 0] * 20, 10), np.repeat(np.arange(40), 10))
    assert once is not None
    assert tenfold is not None
    assert (tenfold.low, tenfold.high) == (pytest.approx(once.low), pytest.approx(once.high))


@pytest.mark.parametrize("all_say", [0, 1])
def test_when_all_say_the_same_the_interval_is_clopper_pearsons_of_the_players(all_say: int) -> None:
    found = proportion([all_say] * 60, np.repeat(np.arange(20), 3))
    assert found is not None
    edge = stats.beta.ppf(0.975, 1, 20)
    expected = (0, edge) if all_say == 0 else (1 - edge, 1)
    assert (found.low, found.high) == (pytest.approx(expected[0]), pytest.approx(expected[1]))


def test_one_player_says_nothing_about_others_and_none_nothing_at_all() -> None:
    found = proportion([1, 0, 1], [7, 7, 7])
    assert found is not None
    assert (found.value, found.low, found.high) == (pytest.approx(2 / 3), 0, 1)
    assert proportion([], []) is None


@pytest.mark.parametrize("seed", range(8))
def test_bounds_are_within_0_and_1_and_around_the_value(seed: int) -> None:
    random = np.random.default_rng(seed)
    size = int(random.integers(2, 60))
    player = random.integers(0, max(size // 4, 2), size)
    found = proportion(random.random(size) < random.choice([0.02, 0.5, 0.99]), player)
    assert found is not None
    assert found.low is not None
    assert found.high is not None
    assert 0 <= found.low <= found.value <= found.high <= 1


@pytest.mark.parametrize(
    ("yes", "player", "word"),
    [
        ([1, math.nan], [1, 2], "NaN"),
        ([1, 2], [1, 2], "between 0 and 1"),
        ([1, 0], [1], "one value a guess"),
        ([1, 0], [1.0, math.nan], "NaN"),
        ([[1, 0]], [1, 2], "one dimension"),
        (["yes", "no"], [1, 2], "numbers"),
    ],
)
def test_what_makes_no_sense_is_named(yes: list, player: list, word: str) -> None:
    with pytest.raises(InputError, match=word):
        proportion(yes, player)


def test_a_difference_uses_that_a_player_guessed_on_both_sides() -> None:
    lean = np.repeat(np.random.default_rng(2).random(60) < 0.5, 2).astype(float)
    side, player = np.tile([0, 1], 60), np.repeat(np.arange(60), 2)
    same = difference(lean, side, player)
    apart = difference(lean, side, np.arange(120))
    assert same is not None
    assert apart is not None
    assert same.se == pytest.approx(0, abs=1e-12)
    assert apart.se > 0.05
    assert difference([1, 0], [1, 1], [0, 1]) is None


def test_clustering_by_item_widens_the_interval() -> None:
    random = np.random.default_rng(3)
    player, item = np.repeat(np.arange(80), 10), np.tile(np.arange(10), 80)
    easy = random.random(10)
    found = clustering(random.random(800) < easy[item], player, item)
    assert found is not None
    assert found.by_item > 20 > 2 > found.by_player
    assert found.two_way.high - found.two_way.low > 0.2


# Signal detection


def test_d_prime_and_c_are_those_of_the_tables() -> None:
    # Macmillan and Creelman, table of z: H = .69, F = .31 is one standard deviation; H = .8, F = .4 is 1.095 and -.294.
    assert d_prime_of(0.6915, 0.3085) == pytest.approx(1.0, abs=1e-3)
    assert d_prime_of(0.8, 0.4) == pytest.approx(0.842 + 0.253, abs=1e-3)
    d_prime, c = d_prime_and_c(8e6, 1e7, 4e6, 1e7)
    assert (d_prime, c) == (pytest.approx(1.095, abs=1e-3), pytest.approx(-0.294, abs=1e-3))


def test_perfect_scores_stay_finite_by_the_log_linear_rule() -> None:
    # Hautus 1995: 20 of 20 is 20.5 / 21.
    d_prime, c = d_prime_and_c(20, 20, 0, 20)
    assert d_prime == pytest.approx(2 * stats.norm.ppf(20.5 / 21))
    assert c == pytest.approx(0)


def test_d_prime_of_independent_guesses_has_the_known_standard_error() -> None:
    # Gourevitch and Galanter 1967: var = H(1-H)/(n φ(zH)²) + F(1-F)/(m φ(zF)²).
    hits, alarms, n = 160, 90, 200
    signal = np.repeat([1, 0], n)
    said = np.r_[np.arange(n) < hits, np.arange(n) < alarms]
    found = detection(signal, said, np.arange(2 * n))
    assert found is not None
    shares = np.array([(hits + 0.5) / (n + 1), (alarms + 0.5) / (n + 1)])
    expected = math.sqrt(sum(p * (1 - p) / n / stats.norm.pdf(stats.norm.ppf(p)) ** 2 for p in shares))
    assert found.d_prime.se == pytest.approx(expected, rel=0.01)
    assert found.auc.value == pytest.approx(stats.norm.cdf(found.d_prime.value / math.sqrt(2)))


def test_one_origin_only_has_no_d_prime_and_one_player_no_interval() -> None:
    assert detection([1, 1], [1, 0], [0, 1]) is None
    lonely = detection([1, 0, 1, 0], [1, 0, 0, 0], [5, 5, 5, 5])
    assert lonely is not None
    assert lonely.d_prime.low is None
    assert (lonely.auc.low, lonely.auc.high) == (0, 1)


def test_auc_is_the_share_of_pairs_in_order_and_its_interval_delongs() -> None:
    random = np.random.default_rng(4)
    scores, positive = np.r_[random.normal(1, 1, 60), random.normal(0, 1, 40)], np.arange(100) < 60
    found = area_under_curve(scores, positive)
    pairs = scores[:60, None] - scores[None, 60:]
    wins = (pairs > 0) + 0.5 * (pairs == 0)
    expected = math.sqrt(wins.mean(axis=1).var(ddof=1) / 60 + wins.mean(axis=0).var(ddof=1) / 40)
    assert found is not None
    assert (found.value, found.se) == (pytest.approx(wins.mean()), pytest.approx(expected))


# Known truth


@pytest.mark.parametrize(
    "world", [World(), World(players=15), World(players=60, items=60, item_sd=0.4)], ids=["100", "15", "items"]
)
def test_intervals_cover_the_truth_of_simulated_games(world: World) -> None:
    """400 games: 95% ± 3.3 points with three standard errors; the benchmark plays 10,000."""
    random, games, covered = np.random.default_rng(5), 400, np.zeros(3)
    for _ in range(games):
        game = draw(world, random)
        hit, alarm = truth(world, game.item_effect if world.item_sd else None)
        ours = game.from_model
        rate = proportion(~game.judged_model[ours], game.player[ours])
        told = detection(ours, game.judged_model, game.player)
        assert rate is not None
        assert told is not None
        covered[0] += rate.low <= 1 - hit <= rate.high
        covered[1] += told.d_prime.low <= d_prime_of(hit, alarm) <= told.d_prime.high
        if world.item_sd:
            both = clustering(~game.judged_model[ours], game.player[ours], game.item[ours])
            assert both is not None
            covered[2] += both.two_way.low <= 1 - truth(world)[0] <= both.two_way.high
    shares = covered / games
    assert shares[:2].min() > 0.917
    assert shares.max() < 0.983
    if world.item_sd:
        assert shares[2] > 0.91


def test_a_confidence_sequence_survives_peeking_and_a_plain_interval_does_not() -> None:
    world, random, wrong, games = World(players=150, guesses=5), np.random.default_rng(6), np.zeros(2), 120
    rate = 1 - truth(world)[0]
    for _ in range(games):
        game = draw(world, random)
        ours = game.from_model
        seen = looks(~game.judged_model[ours], game.player[ours])
        wrong[0] += any(not look.fixed.low <= rate <= look.fixed.high for look in seen)
        wrong[1] += any(not look.low <= rate <= look.high for look in seen)
    assert wrong[0] / games > 0.1
    assert wrong[1] / games <= 0.06


def test_few_players_get_no_sequence_and_the_reach_shrinks_with_them() -> None:
    assert looks([1, 0] * 5, range(10)) == []
    assert looks([], []) == []
    assert multiplier(20) > multiplier(200) > 1.96


# Planning


def test_385_independent_guesses_give_five_points() -> None:
    assert independent_guesses(0.05) == 385
    assert independent_guesses(0.03) == 1068
    assert need(0.05, design_effect=2.0, guesses_per_player=10).guesses == 770
    assert need(0.05, design_effect=2.0, guesses_per_player=10).players == 77
    with pytest.raises(UsageError):
        independent_guesses(5)


# Ranking


def test_bradley_terry_gives_the_published_baseball_table() -> None:
    found = bradley_terry(np.array(BASEBALL, dtype=float))
    assert found is not None
    beside_baltimore = [found.difference(team, 6) for team in range(6)]
    assert [value for value, _, _ in beside_baltimore] == pytest.approx(
        [1.5814, 1.4364, 1.2945, 1.2476, 1.1077, 0.6839], abs=5e-4
    )
    assert [se for _, se, _ in beside_baltimore] == pytest.approx(
        [0.3433, 0.3396, 0.3367, 0.3359, 0.3339, 0.3319], abs=5e-4
    )


def test_ties_follow_davidson() -> None:
    """At the maximum, expected wins and ties are those observed (Davidson 1970, the likelihood equations)."""
    wins = np.array([[0, 12, 9], [5, 0, 8], [4, 7, 0]], dtype=float)
    ties = np.array([[0, 3, 6], [3, 0, 2], [6, 2, 0]], dtype=float)
    found = bradley_terry(wins, ties)
    assert found is not None
    strength = np.exp(found.strength)
    between = found.tie * np.sqrt(np.outer(strength, strength))
    total = strength[:, None] + strength[None, :] + between
    number = wins + wins.T + ties
    expected_ties = number * between / total
    expected_wins = number * strength[:, None] / total
    off = ~np.eye(3, dtype=bool)
    assert expected_ties[off].sum() == pytest.approx(ties[off].sum(), rel=1e-6)
    scores, expected = (table + half / 2 for table, half in ((wins, ties), (expected_wins, expected_ties)))
    assert (scores * off).sum(axis=1) == pytest.approx((expected * off).sum(axis=1), rel=1e-6)


def test_a_model_that_never_wins_has_no_finite_strength() -> None:
    assert bradley_terry(np.array([[0.0, 5.0], [0.0, 0.0]])) is None
    with pytest.raises(InputError):
        bradley_terry(np.array([[0.0, math.nan], [1.0, 0.0]]))


def test_ranking_from_guesses_ignores_how_players_lean() -> None:
    random = np.random.default_rng(7)
    player, model = np.repeat(np.arange(600), 12), np.tile(np.arange(3), 2400)
    lean = random.normal(0, 2, 600)[player]
    human = random.random(len(player)) < special.expit(lean + np.array([-0.5, 0.0, 0.5])[model])
    wins = wins_of_players(player, model, human, 3)
    found = bradley_terry(wins.sum(axis=0), by_cluster=wins)
    assert found is not None
    assert found.strength == pytest.approx([-0.5, 0, 0.5], abs=4 * found.se.max())
    assert 0.02 < found.se.max() < 0.1


def test_holm_adjusts_for_the_number_of_comparisons() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])


# Item response


def test_1pl_gives_the_published_lsat_values() -> None:
    # Bock and Aitkin 1981; the same to four digits by the R package ltm: slope 0.7551, log-likelihood -2466.94.
    found = fit(*lsat6(), prior=False, tolerance=1e-6)
    assert found.difficulty == pytest.approx([-3.6153, -1.3224, -0.3176, -1.7301, -2.7802], abs=1e-3)
    assert found.slope[0] == pytest.approx(0.7551, abs=1e-3)
    assert found.log_likelihood == pytest.approx(-2466.94, abs=0.01)
    assert found.converged


def test_2pl_gives_the_published_lsat_values() -> None:
    # ltm stops a little before the maximum, hence the width; the log-likelihood agrees.
    found = fit(*lsat6(), two_parameters=True, prior=False, tolerance=1e-6, most_steps=3000)
    assert found.slope == pytest.approx([0.8254, 0.7229, 0.8905, 0.6886, 0.6575], abs=2e-3)
    assert found.difficulty == pytest.approx([-3.3597, -1.3696, -0.2799, -1.8659, -3.1236], abs=4e-3)
    assert found.log_likelihood == pytest.approx(-2466.65, abs=0.01)
    assert found.slope_se == pytest.approx([0.258, 0.187, 0.233, 0.185, 0.210], rel=0.06)


def test_parameters_are_recovered_with_honest_errors() -> None:
    random, players, items = np.random.default_rng(8), 1500, 40
    ability, difficulty = random.normal(size=players), random.normal(-0.3, 0.8, items)
    slope = np.exp(random.normal(0, 0.3, items))
    player, item = np.repeat(np.arange(players), 20), random.integers(0, items, 20 * players)
    right = random.random(len(item)) < special.expit(slope[item] * (ability[player] - difficulty[item]))
    found = fit(player, item, right, two_parameters=True)
    assert np.std((found.difficulty - difficulty) / found.difficulty_se) == pytest.approx(1, abs=0.35)
    assert np.std((found.slope - slope) / found.slope_se) == pytest.approx(1, abs=0.35)
    assert np.std((found.ability - ability) / found.ability_sd) == pytest.approx(1, abs=0.06)
    assert np.corrcoef(found.ability, ability)[0, 1] > 0.85


def test_items_everybody_got_right_stay_finite() -> None:
    found = fit(np.repeat(np.arange(30), 2), np.tile([0, 1], 30), np.tile([True, False], 30))
    assert np.isfinite(found.difficulty).all()
    assert found.difficulty[0] < 0 < found.difficulty[1]
    with pytest.raises(InputError):
        fit(np.zeros(0, dtype=int), np.zeros(0, dtype=int), np.zeros(0, dtype=bool))


def test_degrees_of_freedom_are_imbens_and_kolesars_computed_the_long_way() -> None:
    random = np.random.default_rng(9)
    player = np.repeat(np.arange(9), [1, 2, 3, 3, 4, 6, 8, 9, 20])
    yes = random.random(len(player)) < random.random(9)[player]
    found = proportion(yes, player)
    assert found is not None
    n = np.bincount(player).astype(float)
    total, share = n.sum(), yes.mean()
    spread = (yes.sum() + 0.5) / (total + 1) * (1 - (yes.sum() + 0.5) / (total + 1))
    ratio = found.se**2 / (spread / total)
    rho = min(max((ratio - 1) / ((n**2).sum() / total - 1), 0), 1)
    omega = np.where(player[:, None] == player[None, :], rho, 0.0)
    np.fill_diagonal(omega, 1)
    rest = np.eye(len(player)) - 1 / total
    inside = np.array([rest @ (player == g) / np.sqrt(1 - n[g] / total) for g in range(9)])
    m = inside @ omega @ inside.T
    assert 0 < share < 1
    assert found.df == pytest.approx(np.trace(m) ** 2 / (m**2).sum(), rel=1e-9)
    equal = proportion(random.random(60) < 0.5, np.repeat(np.arange(12), 5))
    assert equal is not None
    assert equal.df == pytest.approx(11, abs=1e-9)
