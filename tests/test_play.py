"""The game's rules: what is shown, that guesses are durable and count once, and that nothing tells the origin."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa

from invented import HANDLES, add_candidates, make_corpus, make_game, posts, texts
from pasquin.config import PlaySettings
from pasquin.errors import CorpusError, StoreError
from pasquin.play import (
    CategoryError,
    FinishedError,
    Game,
    HumanSource,
    ModelSource,
    PlayerError,
    TrialError,
    shown_text,
)
from pasquin.play.ledger import Ledger
from pasquin.play.players import Player
from pasquin.store import Store
from pasquin.store.schema import guesses, players, trials
from pasquin.workspace import Workspace

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
