"""The game's routes, `/api/game/*`. Same path, same fields and same size class whatever a card's origin."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Annotated, Any, Final, Literal, cast, get_args

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.security import APIKeyCookie
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
from pasquin.records import Mode
from pasquin.server.fields import NUMBER
from pasquin.server.limits import Limits
from pasquin.server.quick import QuickRoute, invalid, quick, read_body
from pasquin.server.setup import SetupStep, setup_step

COOKIE = "pasquin_player"
_COOKIE_SECONDS = 180 * 24 * 3600
_FEW_OTHERS = 3
_LONGEST_CATEGORY = 400
_MODES: frozenset[str] = frozenset(get_args(Mode))

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
    daily: bool


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


class Standing(_Answer):
    """What else is known of who is asking: the nick on the boards, the longest endless run, badges earned."""

    nick: str | None
    best_run: int
    badges: list[str]


class GameState(_Answer):
    """What the page needs first. `score` is null until the player has started."""

    categories: list[Category]
    score: Score | None
    player: Standing | None
    setup: Setup | None


class Trial(_Answer):
    """One masked card. `check` is set on attention checks, which have no text: it is the answer to give."""

    id: str
    category: str
    text: str
    check: OriginName | None


class Day(_Answer):
    """A daily round: for each of its cards whether the player was right, null where not answered."""

    day: str
    results: list[bool | None]


class Round(_Answer):
    """The next card (in mode `pair` with `other`, the second one), or why there is none.

    `position` is the card's place in a daily round or an endless run, from 0.
    """

    trial: Trial | None
    other: Trial | None
    position: int | None
    day: Day | None
    message: str | None


class GuessBody(BaseModel):
    """The answer to a trial, in mode `pair` to either card. `response_ms` is the time from showing the card to
    answering, by the browser's clock; `confidence` is null when the player said nothing.
    """

    model_config = ConfigDict(extra="forbid")

    trial: Annotated[str, Field(pattern="^[0-9a-f]{32}$")]
    guess: OriginName
    response_ms: Annotated[int, Field(ge=0, le=86_400_000), NUMBER]
    confidence: Literal["sure", "unsure"] | None = None


class ReasonBody(BaseModel):
    """Why the player guessed as they did, said after the answer was shown. `knew`: they knew the post."""

    model_config = ConfigDict(extra="forbid")

    trial: Annotated[str, Field(pattern="^[0-9a-f]{32}$")]
    reason: Literal["sense", "style", "facts", "feeling", "knew"]


class NickBody(BaseModel):
    """What to be called on the boards; null to be on none."""

    model_config = ConfigDict(extra="forbid")

    nick: Annotated[str, Field(max_length=200)] | None


class RankedRow(_Answer):
    """The longest endless run, and right answers in today's round."""

    nick: str
    best_run: int
    today: int | None


class CasualRow(_Answer):
    """Right answers of all in classic and side by side."""

    nick: str
    right: int
    total: int


class Boards(_Answer):
    """Players who chose to be named, best first."""

    ranked: list[RankedRow]
    casual: list[CasualRow]


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
    arm: Literal["screened", "curated", "edited"]


class OtherReveal(_Answer):
    """What the second card of a pair was."""

    human: HumanReveal | None
    model: ModelReveal | None


class Reveal(_Answer):
    """The outcome of a guess that is stored. `right_share` is the share of other players who got the card right.

    `check`: it was an attention check. `run`: right answers in the endless run this guess continued, or ended; a check
    does neither.
    """

    trial: str
    guess: OriginName
    origin: OriginName
    correct: bool
    check: bool
    human: HumanReveal | None
    model: ModelReveal | None
    other: OtherReveal | None
    score: Score
    run: int | None
    best_run: int
    day: Day | None
    others: int
    right_share: float | None


router = APIRouter(prefix="/api/game", tags=["game"], route_class=QuickRoute)


async def _game(request: Request) -> Game:
    """The game, for whoever does not ask too often: TooFastError (429) else."""
    limits: Limits = request.app.state.limits
    limits.take(request.cookies.get(COOKIE), request.client.host if request.client else None)
    running: Game = request.app.state.game
    return running


_SCHEME: Final = APIKeyCookie(name=COOKIE, scheme_name="player", description="Who started to play.", auto_error=False)


async def _player(request: Request, _: Annotated[str | None, Depends(_SCHEME)] = None) -> Player:
    """The player of the cookie; PlayerError (401) when there is none. Quick routes call it without FastAPI."""
    running: Game = request.app.state.game
    token = request.cookies.get(COOKIE)
    if not token:
        raise PlayerError("You have not started yet. Start to play.")
    player = running.recall(token)
    return player if player is not None else await asyncio.to_thread(running.player, token)


GameDependency = Annotated[Game, Depends(_game)]
PlayerDependency = Annotated[Player, Depends(_player)]
_Responses = dict[int | str, dict[str, Any]]
_UNAVAILABLE: _Responses = {status: {"model": Message} for status in (429, 503)}
_ERRORS: _Responses = {status: {"model": Message} for status in (401, 404, 422, 429, 503)}
_WRITE_ERRORS: _Responses = {status: {"model": Message} for status in (403, 413)}


@router.get("", responses=_UNAVAILABLE)
async def state(request: Request, game: GameDependency) -> GameState:
    """The categories, and the score of who is asking."""
    try:
        player: Player | None = await _player(request)
    except PlayerError:
        player = None
    decks = game.decks
    step: SetupStep | None = None
    if all(deck.reason for deck in decks.values()):
        step = await asyncio.to_thread(setup_step, game)
    return GameState(
        categories=[_category(deck) for deck in decks.values()],
        score=Score.model_validate(player.score) if player else None,
        player=Standing.model_validate(player) if player else None,
        setup=Setup.model_validate(step) if step else None,
    )


@router.post("/start", responses=_UNAVAILABLE | _WRITE_ERRORS)
async def start(request: Request, response: Response, game: GameDependency, embedded: bool = False) -> Score:
    """Begin to play, which is to agree to what the first screen says. Starting again changes nothing.

    `embedded`: in a frame of another site, where browsers take only a cookie that is kept for that site alone.
    """
    try:
        return Score.model_validate((await _player(request)).score)
    except PlayerError:
        token, written = game.start()
        await asyncio.wrap_future(written)
    secure = request.url.scheme == "https"
    partitioned = embedded and secure and bool(game.settings.embed)
    response.set_cookie(
        COOKIE,
        token,
        max_age=_COOKIE_SECONDS,
        httponly=True,
        samesite="none" if partitioned else "lax",
        secure=secure,
    )
    if partitioned:
        response.headers["set-cookie"] += "; Partitioned"
    return Score.model_validate(GameScore())


@router.get("/round", responses=_ERRORS)
async def round_(
    game: GameDependency,
    player: PlayerDependency,
    category: Annotated[str, Query(max_length=_LONGEST_CATEGORY)],
    mode: Mode = "classic",
) -> Round:
    """The player's card in a category and mode: the open one, else a new one."""
    day = game.day(player, category) if mode == "daily" else None
    shown_day = Day.model_validate(day) if day else None
    try:
        shown = game.next_trials(player, category, mode)
    except FinishedError as exc:
        return Round(trial=None, other=None, position=None, day=shown_day, message=str(exc))
    cards = [Trial(id=trial.id, category=trial.category, text=trial.text, check=trial.check) for trial in shown]
    return Round(
        trial=cards[0],
        other=cards[1] if len(cards) > 1 else None,
        position=None if mode == "pair" else shown[0].position,
        day=shown_day,
        message=None,
    )


@quick(round_)
async def _quick_round(request: Request) -> Round:
    game, player = await _game(request), await _player(request)
    query = request.query_params
    category, mode = query.get("category"), query.get("mode", "classic")
    if category is None or len(category) > _LONGEST_CATEGORY:
        raise invalid("query", "category")
    if mode not in _MODES:
        raise invalid("query", "mode")
    return await round_(game, player, category, cast(Mode, mode))


@router.post("/guess", responses=_ERRORS | _WRITE_ERRORS)
async def guess(game: GameDependency, player: PlayerDependency, body: GuessBody) -> Reveal:
    """Answer a trial; the reveal comes once the guess is on the disk. The first answer counts, however often sent."""
    answer = game.guess(player, body.trial, body.guess, body.response_ms, body.confidence)
    return _reveal(await asyncio.wrap_future(answer))


@quick(guess)
async def _quick_guess(request: Request) -> Reveal:
    game, player = await _game(request), await _player(request)
    return await guess(game, player, await read_body(request, GuessBody))


@router.post("/reason", status_code=204, responses=_ERRORS | _WRITE_ERRORS)
async def reason(game: GameDependency, player: PlayerDependency, body: ReasonBody) -> None:
    """Say why, after a guess. The last reason given counts."""
    await asyncio.wrap_future(game.give_reason(player, body.trial, body.reason))


@router.put("/nick", status_code=204, responses=_ERRORS | _WRITE_ERRORS | {409: {"model": Message}})
async def nick(game: GameDependency, player: PlayerDependency, body: NickBody) -> None:
    """Be named on the boards, or not any more."""
    await asyncio.wrap_future(game.rename(player, body.nick))


@router.get("/boards", responses=_UNAVAILABLE)
async def boards(game: GameDependency) -> Boards:
    """The ranked and the casual board, of those who chose to be named."""
    return Boards.model_validate(await asyncio.to_thread(game.boards))


@router.delete("/player", status_code=204, responses=_ERRORS | _WRITE_ERRORS)
async def erase(request: Request, response: Response, game: GameDependency, player: PlayerDependency) -> None:
    """Delete everything stored of the player."""
    await asyncio.wrap_future(game.erase(request.cookies[COOKIE]))
    response.delete_cookie(COOKIE, httponly=True, samesite="lax", secure=request.url.scheme == "https")


def _category(deck: Deck) -> Category:
    account = shown_text(deck.account) if deck.account else None
    return Category(
        key=deck.key, corpus=deck.corpus, account=account, cards=deck.cards, reason=deck.reason, daily=deck.daily
    )


def _reveal(result: Result) -> Reveal:
    human, model = _sources(result.card)
    other_human, other_model = _sources(result.other)
    return Reveal(
        trial=result.trial,
        guess=result.guess,
        origin=result.origin,
        correct=result.correct,
        check=result.check,
        human=human,
        model=model,
        other=OtherReveal(human=other_human, model=other_model) if result.mode == "pair" else None,
        score=Score.model_validate(result.score),
        run=result.run,
        best_run=result.best_run,
        day=Day.model_validate(result.day) if result.day else None,
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
