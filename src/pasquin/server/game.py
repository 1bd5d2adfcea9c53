"""The game's routes, `/api/game/*`. Same path, same fields and same size class whatever a card's origin."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from pasquin.play import (
    Card,
    Deck,
    FinishedError,
    Game,
    HumanSource,
    ModelSource,
    Player,
    PlayerError,
    Result,
    shown_text,
)
from pasquin.play import Score as GameScore
from pasquin.server.setup import SetupStep, setup_step

COOKIE = "pasquin_player"
_COOKIE_SECONDS = 180 * 24 * 3600
_FEW_OTHERS = 3

OriginName = Literal["human", "model"]


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True, from_attributes=True)


class Message(_Answer):
    """What went wrong, for people."""

    message: str


class Category(_Answer):
    """A corpus, or one account of it, to play with. `reason` says why it cannot be chosen now."""

    key: str
    corpus: str
    account: str | None
    cards: int
    reason: str | None


class Score(_Answer):
    """Right answers of all, and the run of right answers now and at its best."""

    right: int
    total: int
    streak: int
    best_streak: int


class Setup(_Answer):
    """What the owner has to do before anybody can play."""

    message: str
    command: str


class GameState(_Answer):
    """What the page needs first. `score` is null until the player has started."""

    categories: list[Category]
    score: Score | None
    setup: Setup | None


class Trial(_Answer):
    """One masked card."""

    id: str
    category: str
    text: str


class Round(_Answer):
    """The next card, or why there is none."""

    trial: Trial | None
    message: str | None


class GuessBody(BaseModel):
    """The answer to a trial. `response_ms` is the time from showing the card to answering, by the browser's clock."""

    model_config = ConfigDict(extra="forbid")

    trial: Annotated[str, Field(pattern="^[0-9a-f]{32}$")]
    guess: OriginName
    response_ms: Annotated[int, Field(ge=0, le=86_400_000)]


class HumanReveal(_Answer):
    """Who really wrote a human item."""

    author: str
    created_at: datetime | None
    likes: int | None
    url: str | None


class Nearest(_Answer):
    """The real post a model item comes closest to."""

    text: str
    author: str
    url: str | None


class ModelReveal(_Answer):
    """What wrote a model item. `similarity` (0 to 1) and `longest_run` (characters) are against the nearest post."""

    model: str
    account: str | None
    similarity: float
    longest_run: int
    nearest: Nearest | None


class Reveal(_Answer):
    """The outcome of a guess that is stored. `right_share` is the share of other players who got the card right."""

    trial: str
    guess: OriginName
    origin: OriginName
    correct: bool
    human: HumanReveal | None
    model: ModelReveal | None
    score: Score
    others: int
    right_share: float | None


router = APIRouter(prefix="/api/game", tags=["game"])


async def _game(request: Request) -> Game:
    running: Game = request.app.state.game
    return running


async def _player(request: Request) -> Player:
    """The player of the cookie; PlayerError (401) when there is none."""
    running: Game = request.app.state.game
    token = request.cookies.get(COOKIE)
    if not token:
        raise PlayerError("You have not started yet. Start to play.")
    player = running.recall(token)
    return player if player is not None else await asyncio.to_thread(running.player, token)


GameDependency = Annotated[Game, Depends(_game)]
PlayerDependency = Annotated[Player, Depends(_player)]
_Responses = dict[int | str, dict[str, Any]]
_UNAVAILABLE: _Responses = {503: {"model": Message}}
_ERRORS: _Responses = {status: {"model": Message} for status in (401, 404, 422, 503)}
_WRITE_ERRORS: _Responses = {status: {"model": Message} for status in (403, 413)}


@router.get("", responses=_UNAVAILABLE)
async def state(request: Request, game: GameDependency) -> GameState:
    """The categories, and the score of who is asking."""
    try:
        score: Score | None = Score.model_validate((await _player(request)).score)
    except PlayerError:
        score = None
    decks = game.decks
    step: SetupStep | None = None
    if all(deck.reason for deck in decks.values()):
        step = await asyncio.to_thread(setup_step, game)
    return GameState(
        categories=[_category(deck) for deck in decks.values()],
        score=score,
        setup=Setup.model_validate(step) if step else None,
    )


@router.post("/start", responses=_UNAVAILABLE | _WRITE_ERRORS)
async def start(request: Request, response: Response, game: GameDependency) -> Score:
    """Begin to play, which is to agree to what the first screen says. Starting again changes nothing."""
    try:
        return Score.model_validate((await _player(request)).score)
    except PlayerError:
        token, written = game.start()
        await asyncio.wrap_future(written)
    response.set_cookie(
        COOKIE,
        token,
        max_age=_COOKIE_SECONDS,
        httponly=True,
        samesite="lax",
        secure=request.url.scheme == "https",
    )
    return Score.model_validate(GameScore())


@router.get("/round", responses=_ERRORS)
async def round_(
    game: GameDependency, player: PlayerDependency, category: Annotated[str, Query(max_length=400)]
) -> Round:
    """The player's card in a category: the open one, else a new one."""
    try:
        trial = game.next_trial(player, category)
    except FinishedError as exc:
        return Round(trial=None, message=str(exc))
    return Round(trial=Trial(id=trial.id, category=trial.category, text=trial.text), message=None)


@router.post("/guess", responses=_ERRORS | _WRITE_ERRORS)
async def guess(game: GameDependency, player: PlayerDependency, body: GuessBody) -> Reveal:
    """Answer a trial; the reveal comes once the guess is on the disk. The first answer counts, however often sent."""
    answer = game.guess(player, body.trial, body.guess, body.response_ms)
    return _reveal(await asyncio.wrap_future(answer))


@router.delete("/player", status_code=204, responses=_ERRORS | _WRITE_ERRORS)
async def erase(request: Request, response: Response, game: GameDependency, player: PlayerDependency) -> None:
    """Delete everything stored of the player."""
    await asyncio.wrap_future(game.erase(request.cookies[COOKIE]))
    response.delete_cookie(COOKIE, httponly=True, samesite="lax", secure=request.url.scheme == "https")


def _category(deck: Deck) -> Category:
    account = shown_text(deck.account) if deck.account else None
    return Category(key=deck.key, corpus=deck.corpus, account=account, cards=deck.cards, reason=deck.reason)


def _reveal(result: Result) -> Reveal:
    human, model = _sources(result.card)
    return Reveal(
        trial=result.trial,
        guess=result.guess,
        origin=result.origin,
        correct=result.correct,
        human=human,
        model=model,
        score=Score.model_validate(result.score),
        others=result.others,
        right_share=result.others_right / result.others if result.others >= _FEW_OTHERS else None,
    )


def _sources(card: Card | None) -> tuple[HumanReveal | None, ModelReveal | None]:
    if card is None:
        return None, None
    if isinstance(card.source, HumanSource):
        return HumanReveal.model_validate(card.source), None
    assert isinstance(card.source, ModelSource)
    return None, ModelReveal.model_validate(card.source)
