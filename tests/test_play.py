"""The game's rules: what is shown, that guesses are durable and count once, and that nothing tells the origin."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa

from dealt import deck_of, play_on
from invented import HANDLES, add_candidates, candidate_rows, make_corpus, make_game, posts, texts
from pasquin.config import PlaySettings
from pasquin.errors import CorpusError, StoreError
from pasquin.play import (
    CategoryError,
    FinishedError,
    Game,
    HumanSource,
    ModelSource,
    NickError,
    PlayerError,
    TrialError,
    shown_text,
)
from pasquin.play.cards import fit_to_show
from pasquin.play.game import _hash
from pasquin.play.ledger import Ledger
from pasquin.play.marks import Answered, guess_mark, player_rules
from pasquin.play.players import Player, load_player
from pasquin.play.ratings import Rating, Ratings
from pasquin.play.table import deal
from pasquin.store import Store
from pasquin.store.schema import (
    attention_checks,
    candidates,
    curators,
    decisions,
    guesses,
    player_marks,
    players,
    trials,
)
from pasquin.workspace import Workspace
from pasquin.workspace.files import write_manifest

WAIT = 10


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace.create(tmp_path)


@pytest.fixture
def store(workspace: Workspace) -> Iterator[Store]:
    opened = Store.of(workspace)
    yield opened
    opened.close()


@pytest.fixture
def game(workspace: Workspace, store: Store) -> Iterator[Game]:
    make_game(workspace)
    running = Game(workspace, store)
    yield running
    running.close()


def start(game: Game) -> tuple[str, Player]:
    token, written = game.start()
    written.result(WAIT)
    return token, game.player(token)


def play_out(game: Game, player: Player, category: str, limit: int = 10_000) -> list:
    """Guess "human" on every card there is; the results."""
    results = []
    for _ in range(limit):
        try:
            trial = game.next_trial(player, category)
        except FinishedError:
            break
        result = game.guess(player, trial.id, "human", 900).result(WAIT)
        if not result.check:
            results.append(result)
    return results


def count(store: Store, table: sa.Table) -> int:
    with store.read() as connection:
        return connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()


def test_human_cards_come_from_the_test_split_and_no_card_comes_twice(game: Game, workspace: Workspace) -> None:
    held_back = {post.uri for post in posts(240) if post.split == "test"}
    _, player = start(game)
    results = play_out(game, player, "village")
    keys = [result.card.item.key for result in results]
    assert len(keys) == len(set(keys)) >= 80
    human = [result for result in results if result.origin == "human"]
    assert {result.card.item.key for result in human} <= held_back
    assert 0.3 < len(human) / len(results) < 0.7
    with pytest.raises(FinishedError, match="every card of “village”"):
        game.next_trial(player, "village")


def test_a_card_seen_in_one_category_does_not_come_back_in_another(game: Game) -> None:
    _, player = start(game)
    results = [result for category in game.decks for result in play_out(game, player, category)]
    keys = [result.card.item.key for result in results]
    assert len(keys) == len(set(keys))


def test_length_and_account_do_not_tell_the_origin(workspace: Workspace, store: Store) -> None:
    """Real posts made much longer than the model's, and the model fond of one account: neither may show."""
    real = [
        dataclasses.replace(post, text=f"{post.text} {'and so on ' * (at % 9)}") for at, post in enumerate(posts(900))
    ]
    make_corpus(workspace, "skew", real)
    add_candidates(store, "skew", texts(600, start=900), accounts=(*HANDLES, HANDLES[0], HANDLES[0]))
    game = Game(workspace, store)
    shown: dict[str, list[tuple[int, str]]] = {"human": [], "model": []}
    for _ in range(30):
        _, player = start(game)
        for result in play_out(game, player, "skew", limit=60):
            shown[result.origin].append((len(result.card.item.text), result.card.account))
    game.close()
    human, model = ([length for length, _ in shown[origin]] for origin in ("human", "model"))
    wins = sum((h > m) + 0.5 * (h == m) for h in human for m in model)
    assert abs(wins / (len(human) * len(model)) - 0.5) < 0.07
    shares = [sum(account == HANDLES[0] for _, account in cards) / len(cards) for cards in shown.values()]
    assert abs(shares[0] - shares[1]) < 0.12


def test_the_same_card_stays_open_until_it_is_answered_even_over_a_restart(
    game: Game, workspace: Workspace, store: Store
) -> None:
    token, player = start(game)
    play_out(game, player, "village", limit=5)
    trial = game.next_trial(player, "village")
    assert game.next_trial(player, "village").id == trial.id
    before = player.score
    game.close()
    restarted = Game(workspace, store)
    player = restarted.player(token)
    assert player.score == before
    assert (again := restarted.next_trial(player, "village")).id == trial.id
    assert again.text == trial.text
    assert restarted.guess(player, trial.id, "human", 5).result(WAIT).score.total == 6
    restarted.close()


def test_the_first_of_many_parallel_guesses_counts_and_all_get_its_result(game: Game, store: Store) -> None:
    _, player = start(game)
    trial = game.next_trial(player, "village")
    with ThreadPoolExecutor(16) as pool:
        answers = list(
            pool.map(
                lambda at: game.guess(player, trial.id, "human" if at % 2 else "model", at).result(WAIT), range(64)
            )
        )
    assert len({(answer.guess, answer.correct) for answer in answers}) == 1
    assert count(store, guesses) == 1
    assert player.score.total == 1
    late = game.guess(player, trial.id, "human" if answers[0].guess == "model" else "model", 1).result(WAIT)
    assert late.guess == answers[0].guess
    assert late.others == 0


def test_trials_are_random_and_of_no_use_to_others(game: Game) -> None:
    (_, one), (_, other) = start(game), start(game)
    trial = game.next_trial(one, "village")
    assert len(trial.id) == 32
    assert not hasattr(trial, "origin")
    for player, trial_id in ((other, trial.id), (one, "0" * 32), (one, "")):
        with pytest.raises(TrialError):
            game.guess(player, trial_id, "human", 1)


def test_a_result_is_given_only_when_the_guess_is_on_the_disk(
    game: Game, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, player = start(game)
    trial = game.next_trial(player, "village")
    wait_for([player.trials[trial.id].written], WAIT)
    with monkeypatch.context() as patch:
        patch.setattr(store, "write", _refuse)
        with pytest.raises(StoreError):
            game.guess(player, trial.id, "human", 1).result(WAIT)
    assert player.score.total == 0
    assert game.next_trial(player, "village").id == trial.id
    assert game.guess(player, trial.id, "human", 1).result(WAIT).score.total == 1
    assert count(store, guesses) == 1


def test_a_trial_whose_row_could_not_be_written_is_written_with_its_guess(
    game: Game, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, player = start(game)
    with monkeypatch.context() as patch:
        patch.setattr(store, "write", _refuse)
        trial = game.next_trial(player, "village")
        wait_for([player.trials[trial.id].written], WAIT)
    assert game.guess(player, trial.id, "model", 1).result(WAIT).guess == "model"
    assert count(store, trials) == count(store, guesses) == 1


def _refuse() -> None:
    raise StoreError("The database could not be written (disk I/O error).")


def test_one_impossible_row_does_not_spoil_the_rows_beside_it(workspace: Workspace, store: Store) -> None:
    ledger = Ledger(store)
    now = datetime.now(UTC)
    rows = [{"id": f"{number}", "token_hash": f"{number % 4}", "created_at": now} for number in range(6)]
    futures = [ledger.insert(players, row) for row in rows]
    ledger.close()
    assert [future.exception() is None for future in futures] == [True, True, True, True, False, False]
    assert count(store, players) == 4


def test_nobody_who_stops_waiting_stops_the_writing(game: Game, store: Store) -> None:
    token, written = game.start()
    assert not written.cancel()
    written.result(WAIT)
    player = game.player(token)
    answer = game.guess(player, game.next_trial(player, "village").id, "human", 1)
    assert not answer.cancel()
    assert answer.result(WAIT).score.total == 1
    assert len(play_out(game, player, "village", limit=3)) == 3
    assert count(store, guesses) == 4


def test_erasing_leaves_nothing_of_a_player_and_everything_of_others(game: Game, store: Store) -> None:
    (token, player), (_, other) = start(game), start(game)
    play_out(game, player, "village", limit=4)
    play_out(game, other, "village", limit=3)
    open_trial = game.next_trial(player, "village")
    game.erase(token).result(WAIT)
    assert [count(store, table) for table in (players, trials, guesses)] == [1, 3, 3]
    with pytest.raises(PlayerError):
        game.player(token)
    with pytest.raises(TrialError):
        game.guess(player, open_trial.id, "human", 1)
    with pytest.raises(PlayerError):
        game.next_trial(player, "village")


def test_only_the_hash_of_a_token_is_stored(game: Game, workspace: Workspace) -> None:
    token, _ = start(game)
    game.close()
    for path in workspace.root.glob("pasquin.db*"):
        assert token.encode() not in path.read_bytes()


def test_what_others_did_is_counted_once_each_and_kept(game: Game, workspace: Workspace, store: Store) -> None:
    results = {}
    for _ in range(6):
        _, player = start(game)
        for result in play_out(game, player, "village"):
            results.setdefault(result.card.item.key, []).append(result)
    key, seen = max(results.items(), key=lambda pair: len(pair[1]))
    assert [result.others for result in seen] == list(range(len(seen)))
    game.close()
    restarted = Game(workspace, store)
    assert restarted._tallies.of(key)[1] == len(seen)
    restarted.close()


def test_the_nearest_post_is_shown_unless_it_is_held_back_for_the_game(workspace: Workspace, store: Store) -> None:
    corpus = posts(200)
    held_back = next(post for post in corpus if post.split == "test")
    learned = next(post for post in corpus if post.split == "train")
    make_corpus(workspace, "village", corpus)
    add_candidates(store, "village", texts(100, start=300), nearest=(held_back.uri, learned.uri, None))
    game = Game(workspace, store)
    sources = [card.source for card in game._table.cards.values() if isinstance(card.source, ModelSource)]
    game.close()
    assert {source.nearest.text if source.nearest else None for source in sources} == {learned.text, None}


def test_new_candidates_and_corpora_are_noticed(workspace: Workspace, store: Store) -> None:
    game = Game(workspace, store)
    assert game.decks == {}
    make_corpus(workspace, "village", posts(200))
    assert game.refresh()
    assert "pasquin generate village" in game.decks["village"].reason
    add_candidates(store, "village", texts(100, start=300))
    assert game.refresh()
    assert game.decks["village"].reason is None
    assert not game.refresh()
    game.close()


def test_a_game_without_texts_names_the_model_that_would_write_them(workspace: Workspace, store: Store) -> None:
    make_corpus(workspace, "village", posts(200))
    workspace.model_dir("village-gpt2").mkdir(parents=True)
    write_manifest(workspace.model_dir("village-gpt2"), {"kind": "model", "corpus": "village"})
    game = Game(workspace, store)
    assert "Run `pasquin generate village-gpt2`" in game.decks["village"].reason
    game.close()


def test_whatever_wrote_of_a_corpus_is_in_its_game(workspace: Workspace, store: Store) -> None:
    """A model with a name of its own, a contestant behind a server: the same game, or they could not be compared."""
    make_corpus(workspace, "village", posts(200))
    for model, begin in (("village-gpt2", 300), ("openai:llama", 400)):
        rows = [{**row, "corpus": "village"} for row in candidate_rows(model, texts(60, start=begin), (None,), (None,))]
        with store.write() as connection:
            connection.execute(sa.insert(candidates), rows)
    game = Game(workspace, store)
    wrote = {card.source.model for card in game._table.cards.values() if isinstance(card.source, ModelSource)}
    assert wrote == {"village-gpt2", "openai:llama"}
    game.close()


def test_a_card_removed_while_it_was_open_can_still_be_answered(game: Game, workspace: Workspace, store: Store) -> None:
    _, player = start(game)
    trial = game.next_trial(player, "village")
    with store.write() as connection:
        connection.execute(sa.text("DELETE FROM candidates"))
    make_corpus(workspace, "village", posts(30, test_share=0.1))
    game._load_cards()
    assert game.guess(player, trial.id, "human", 1).result(WAIT).card is None
    with pytest.raises(CategoryError, match="needed"):
        game.next_trial(player, "village")


def test_categories_with_too_little_say_what_to_do(workspace: Workspace, store: Store) -> None:
    make_corpus(workspace, "tiny", posts(6))
    make_corpus(workspace, "village", posts(300))
    add_candidates(store, "village", texts(100, start=300), accounts=HANDLES[:2])
    game = Game(workspace, store, settings=PlaySettings(min_items=8))
    reasons = {key: deck.reason for key, deck in game.decks.items()}
    game.close()
    assert "Only 3 real posts" in reasons["tiny"]
    assert reasons["village"] is None
    assert reasons[f"village/{HANDLES[0]}"] is None
    assert f"pasquin generate village --account {HANDLES[2]}" in reasons[f"village/{HANDLES[2]}"]
    with pytest.raises(CorpusError, match="pasquin prepare nowhere"):
        Game(workspace, store, ["nowhere"])


def test_texts_and_links_are_made_harmless(workspace: Workspace, store: Store) -> None:
    hostile = [
        dataclasses.replace(post, text=f"\u202e\x00{post.text}\ud800 a{chr(0x301) * 90}", url="javascript:alert(1)")
        for post in posts(100)
    ]
    for post in hostile:
        text = shown_text(post.text)
        assert not set(text) & {"\u202e", "\x00", "\ud800"}
        assert text.count("\u0301") <= 4
        text.encode()
    make_corpus(workspace, "village", [dataclasses.replace(post, text=shown_text(post.text)) for post in hostile])
    add_candidates(store, "village", texts(100, start=100))
    game = Game(workspace, store)
    sources = [card.source for card in game._table.cards.values() if isinstance(card.source, HumanSource)]
    game.close()
    assert sources
    assert {source.url for source in sources} == {None}


def test_players_forgotten_by_memory_are_read_back(game: Game, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pasquin.play.game._PLAYERS_IN_MEMORY", 2)
    tokens = []
    for _ in range(5):
        token, player = start(game)
        play_out(game, player, "village", limit=3)
        tokens.append(token)
    assert len(game._players) <= 2
    assert [game.player(token).score.total for token in tokens] == [3] * 5


def answer_one(game: Game, player: Player, mode: str, *, right: bool, category: str = "village"):
    """Answer the next card of a mode rightly or wrongly."""
    trial = game.next_trial(player, category, mode)
    origin = player.trials[trial.id].origin
    guess = origin if right else {"human": "model", "model": "human"}[origin]
    return game.guess(player, trial.id, guess, 900, "sure").result(WAIT)


def rows(store: Store, table: sa.Table) -> list[sa.RowMapping]:
    with store.read() as connection:
        return list(connection.execute(sa.select(table)).mappings())


def test_a_pair_has_one_card_of_each_origin_and_one_choice_answers_both(game: Game, store: Store) -> None:
    token, player = start(game)
    first, second = game.next_trials(player, "village", "pair")
    assert {player.trials[first.id].origin, player.trials[second.id].origin} == {"human", "model"}
    assert [trial.id for trial in game.next_trials(player, "village", "pair")] == [first.id, second.id]
    result = game.guess(player, second.id, "human", 900).result(WAIT)
    again = game.guess(player, first.id, "human", 900).result(WAIT)
    assert result.correct == (player.trials[second.id].origin == "human") == again.correct
    written = rows(store, guesses)
    assert {row["trial"]: row["guess"] for row in written} == {second.id: "human", first.id: "model"}
    assert len({row["correct"] for row in written}) == 1
    assert len({row["round"] for row in rows(store, trials)}) == 1
    assert player.score.total == 1
    later = load_player(store, _hash(token), Ratings.of(store))
    assert later.score == player.score
    assert later.open == {}


def test_the_daily_round_is_the_same_for_everybody_and_ends(game: Game, workspace: Workspace, store: Store) -> None:
    seen = []
    for _ in range(2):
        _, player = start(game)
        play_out(game, player, "village", limit=30)  # cards held back for the day do not come up here
        keys = []
        for at in range(10):
            keys.append(player.trials[game.next_trial(player, "village", "daily").id].item_key)
            day = answer_one(game, player, "daily", right=at != 3).day
        assert day.results == (True, True, True, False, *[True] * 6)
        with pytest.raises(FinishedError, match="today's round"):
            game.next_trial(player, "village", "daily")
        seen.append(keys)
    assert seen[0] == seen[1]
    assert len(set(seen[0])) == 10
    game.close()
    restarted = Game(workspace, store)
    _, player = start(restarted)
    assert player.days == {}
    assert restarted.day(player, "village").results == (None,) * 10
    assert player.trials.get(restarted.next_trial(player, "village", "daily").id).item_key == seen[0][0]
    restarted.close()


def test_an_endless_run_goes_on_until_the_first_mistake(game: Game, workspace: Workspace, store: Store) -> None:
    token, player = start(game)
    runs = [answer_one(game, player, "endless", right=right).run for right in (True, True, False, True)]
    assert runs == [1, 2, 2, 1]
    positions = [
        (row["round"], row["position"]) for row in sorted(rows(store, trials), key=lambda row: row["shown_at"])
    ]
    assert [place for _, place in positions] == [0, 1, 2, 0]
    assert len({name for name, _ in positions}) == 2
    game.close()
    restarted = Game(workspace, store)
    player = restarted.player(token)
    assert answer_one(restarted, player, "endless", right=True).run == 2
    assert player.best_run == 2
    restarted.close()


def test_endless_gets_harder_and_stays_even() -> None:
    """Cards few got right come later, but half of them stay human."""
    table, difficulty = deck_of(250, np.random.default_rng(3))
    ratings = known({key: -2.0 if at % 2 else 2.0 for at, key in enumerate(sorted(difficulty))})
    eases: dict[int, list[float]] = {0: [], 12: []}
    origins = []
    for run, found in eases.items():
        for at in range(60):
            player = Player(f"{run} {at}")
            player.runs["village"] = ("a", run)
            (trial,) = deal(table, ratings, player, table.decks["village"], "endless")
            found.append(ratings.ease(trial.item_key))
            origins.append(trial.origin)
    assert sum(eases[0]) / 60 > sum(eases[12]) / 60 + 0.3
    assert 35 < origins.count("human") < 85


def test_classic_suits_the_player_half_of_the_time() -> None:
    random = np.random.default_rng(4)
    table, difficulty = deck_of(250, random)
    ability = np.array([-2.0, 2.0] * 60)  # enough that chance alone is a fifth of what is allowed below
    dealt = play_on(table, difficulty, ability, np.full(120, 40), random, ratings=known(difficulty))
    hard = {
        (drawn, able): np.mean(
            [difficulty[each.key] for each in dealt if (each.drawn, each.player % 2) == (drawn, able)]
        )
        for drawn in ("evenly", "by_difficulty")
        for able in (0, 1)
    }
    assert hard["by_difficulty", 1] - hard["by_difficulty", 0] > 0.8
    assert abs(hard["evenly", 1] - hard["evenly", 0]) < 0.2
    assert 0.4 < sum(each.drawn == "evenly" for each in dealt) / len(dealt) < 0.6
    assert 0.45 < sum(each.origin == "human" for each in dealt) / len(dealt) < 0.55


def test_what_is_drawn_evenly_knows_nothing_of_difficulty_even_when_a_deck_is_played_out() -> None:
    """Else the cards that no choice by difficulty had wanted would be what is left to count."""
    random = np.random.default_rng(4)
    table, difficulty = deck_of(40, random, card_sd=1.5)
    usual = np.mean(list(difficulty.values()))
    for mode in ("classic", "endless"):
        ability, ratings = np.array([-2.0, 2.0] * 300), known(difficulty)
        dealt = play_on(table, difficulty, ability, np.full(600, 80), random, ratings=ratings, mode=mode)
        assert len(dealt) > 600 * 35  # no more can be shown fairly
        for able in (0, 1):
            evenly = [difficulty[each.key] for each in dealt if each.drawn == "evenly" and each.player % 2 == able]
            assert np.mean(evenly) == pytest.approx(usual, abs=0.12)


def known(difficulty: dict[str, float]) -> Ratings:
    """Ratings that know how hard every card is."""
    ratings = Ratings()
    ratings._cards = {key: Rating(value, 50) for key, value in difficulty.items()}
    return ratings


def test_without_adapting_every_card_is_drawn_evenly_in_every_mode() -> None:
    random = np.random.default_rng(5)
    for mode in ("classic", "endless"):
        table, difficulty = deck_of(40, random, adapt=0.0)
        dealt = play_on(table, difficulty, np.zeros(5), np.full(5, 30), random, mode=mode)
        assert {each.drawn for each in dealt} == {"evenly"}


def test_how_cards_were_drawn_and_what_a_player_can_do_outlast_a_restart(
    game: Game, workspace: Workspace, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pasquin.play.marks._FAST_MS", 0)  # the test answers faster than people may
    token, player = start(game)
    play_out(game, player, "village", limit=30)
    game.close()
    drawn = {row["id"]: row["drawn"] for row in rows(store, trials)}
    assert set(drawn.values()) == {"evenly", "by_difficulty"}
    restarted = Game(workspace, store)
    again = restarted.player(token)
    assert again.lot == player.lot
    assert again.ability.guesses == player.ability.guesses >= 25
    assert again.ability.value == pytest.approx(player.ability.value, abs=0.4)  # by what is known of the cards by now
    assert {name: restarted._ratings.difficulty(name) for name in again.seen} == pytest.approx(
        {name: game._ratings.difficulty(name) for name in player.seen}
    )
    assert {trial.id: trial.drawn for trial in again.trials.values()} == drawn
    restarted.close()


def test_near_copies_are_not_shown_to_one_player(workspace: Workspace, store: Store) -> None:
    corpus = posts(200)
    copies = [post for post in corpus if post.split == "test"][:40]
    make_corpus(workspace, "village", corpus)
    add_candidates(store, "village", [post.text.replace(" the ", " a ") + " Indeed" for post in copies])
    game = Game(workspace, store, settings=PlaySettings(attention_every=0))
    near = [card for card in game._table.cards.values() if card.near]
    assert len(near) >= 40
    _, player = start(game)
    shown = [result.card for result in play_out(game, player, "village")]
    game.close()
    assert shown
    for at, card in enumerate(shown):
        assert not {other.item.key for other in shown[:at]} & card.near


@pytest.mark.parametrize(
    ("text", "fit"),
    [
        ("1/ Let me tell you", False),
        ("(2/5) and then", False),
        ("That is why. 3/n", False),
        ("So it goes (4/", False),
        ("Read more:", False),
        ("and it was good …", False),
        ("Great piece by", False),
        ("\U0001f9f5 on benches", False),
        ("24/7 tea, and 1/2 price on Tuesdays.", True),
        ("We won 3 / 2 yesterday in the park", True),
        ("Half of it is mine", True),
        ("", False),
    ],
)
def test_pieces_of_threads_and_cut_off_texts_are_no_cards(text: str, fit: bool) -> None:
    assert fit_to_show(text) is fit


def test_the_arm_says_what_a_curator_made_of_a_candidate(workspace: Workspace, store: Store) -> None:
    make_corpus(workspace, "village", posts(200))
    add_candidates(store, "village", texts(100, start=300))
    ids = [row["id"] for row in rows(store, candidates)][:4]
    now = datetime.now(UTC)
    with store.write() as connection:
        connection.execute(sa.insert(curators).values(id="c", name="c", owner=True, created_at=now))
        for at, (decision, text) in enumerate(
            [("accept", None), ("edit", "A text that somebody mended."), ("reject", None), ("skip", None)]
        ):
            row = {"key": f"{at}", "candidate": ids[at], "curator": "c", "decision": decision, "text": text}
            connection.execute(sa.insert(decisions).values(**row, seconds=1.0, via="grid", created_at=now))
    game = Game(workspace, store)
    cards = {card.item.key: card for deck in game.decks.values() for part in deck.strata for card in part.model}
    game.close()
    assert {card.arm for card in cards.values()} <= {"screened", "curated", "edited"}
    assert ids[2] not in cards
    for key, arm in ((ids[0], "curated"), (ids[1], "edited"), (ids[3], "screened")):
        assert key not in cards or cards[key].arm == arm
    if ids[1] in cards:
        assert cards[ids[1]].item.text == "A text that somebody mended."


def test_attention_checks_are_no_trials_and_count_in_no_score(workspace: Workspace, store: Store) -> None:
    make_game(workspace)
    game = Game(workspace, store, settings=PlaySettings(attention_every=5))
    token, player = start(game)
    checks = 0
    for _ in range(40):
        trial = game.next_trial(player, "village")
        checks += trial.check is not None
        wrong = "model" if trial.check == "human" else "human"
        result = game.guess(player, trial.id, wrong if trial.check else "human", 900).result(WAIT)
        assert result.check == (trial.check is not None)
    game.close()
    assert 4 <= checks <= 10
    assert player.score.total == 40 - checks == count(store, guesses) == count(store, trials)
    assert {row["rule"] for row in rows(store, player_marks)} >= {"inattentive"}
    read_back = load_player(store, _hash(token), Ratings.of(store))
    assert read_back.failed_checks == checks == len(rows(store, attention_checks))


def test_an_attention_check_neither_continues_nor_ends_an_endless_run(workspace: Workspace, store: Store) -> None:
    make_game(workspace)
    game = Game(workspace, store, settings=PlaySettings(attention_every=3))
    _, player = start(game)
    length, checks = 0, 0
    while checks < 3:
        trial = game.next_trial(player, "village", "endless")
        assert trial.position == length
        right = trial.check or player.trials[trial.id].origin
        wrong = "model" if right == "human" else "human"
        length += trial.check is None
        checks += trial.check is not None
        result = game.guess(player, trial.id, wrong if trial.check and checks % 2 else right, 900).result(WAIT)
        assert result.run == length
    game.close()
    assert player.best_run == length > 0


def test_bots_are_recognised_by_how_they_play() -> None:
    def played(times: list[int], guess: list[str], failed: int = 0) -> set[str]:
        answers = [Answered(said, ms, guess_mark(ms, ms)) for ms, said in zip(times, guess, strict=True)]
        return player_rules(answers, failed)

    mixed = ["human", "model"] * 20
    people = [900 + 137 * (at * at % 17) for at in range(40)]
    assert played(people, mixed) == set()
    assert played([200] * 10 + people[:10], mixed[:20]) == {"hasty"}
    assert played([2_000 + at % 3 for at in range(40)], mixed) == {"regular"}
    assert played(people, ["model"] * 40) == {"one_answer"}
    assert played(people, mixed, failed=2) == {"inattentive"}
    assert guess_mark(9_000, 1_000) == "clock"
    assert guess_mark(700_000, 700_000) == "slow"


def test_confidence_and_reasons_are_stored(game: Game, store: Store) -> None:
    _, player = start(game)
    result = answer_one(game, player, "classic", right=True)
    game.give_reason(player, result.trial, "style").result(WAIT)
    game.give_reason(player, result.trial, "knew").result(WAIT)
    (row,) = rows(store, guesses)
    assert (row["confidence"], row["reason"]) == ("sure", "knew")
    with pytest.raises(TrialError):
        game.give_reason(player, game.next_trial(player, "village").id, "style")


@pytest.mark.parametrize(
    "nick",
    [
        "",
        "x",
        " ",
        "a" * 25,
        "a" * 1_000_000,
        "<b>bold</b>",
        "@ada",
        "http://x",
        "\ud800x",
        "раypal1",
        "ada_baker",
    ],
)
def test_hostile_nicks_are_refused(game: Game, nick: str) -> None:
    _, player = start(game)
    with pytest.raises(NickError):
        game.rename(player, nick)


def test_the_boards_list_who_wants_to_be_listed_and_no_bots(workspace: Workspace, store: Store) -> None:
    make_game(workspace)
    game = Game(workspace, store, settings=PlaySettings(attention_every=0))
    names = ("Pia", "Ro-Bot", None)
    for name in names:
        _, player = start(game)
        if name:
            game.rename(player, name).result(WAIT)
        for _ in range(3):
            trial = game.next_trial(player, "village", "endless")
            if name == "Pia":
                player.trials[trial.id].shown_clock -= 3
            game.guess(player, trial.id, player.trials[trial.id].origin, 3_000).result(WAIT)
        for at in range(20):
            trial = game.next_trial(player, "village")
            if name == "Pia":
                player.trials[trial.id].shown_clock -= 1 + at % 7
            game.guess(player, trial.id, ("human", "model")[at % 2], 1_000).result(WAIT)
    game._boards = None
    boards = game.boards()
    assert [(row.nick, row.best_run) for row in boards.ranked] == [("Pia", 3)]
    assert {row.nick for row in boards.casual} == {"Pia", "Ro-Bot"}
    _, other = start(game)
    with pytest.raises(NickError, match="else"):
        game.rename(other, "p i a").result(WAIT)
    game.rename(other, None).result(WAIT)
    game.close()
