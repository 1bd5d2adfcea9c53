"""The curation page's routes, `/api/curation/*`: signed-in curators look at candidates and decide."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from pasquin.config import CurateSettings
from pasquin.curate import Card, Curator, Desk, Entry, Filters, Preference
from pasquin.curate.agreement import Kappa, agreement
from pasquin.curate.cards import Mark, Status
from pasquin.curate.curators import all_curators
from pasquin.curate.sheet import write_sheet
from pasquin.errors import PasquinError
from pasquin.lengths import BLUESKY_GRAPHEMES, X_WEIGHT
from pasquin.server import interpreter
from pasquin.server.fields import NUMBER
from pasquin.server.sign_in import PROBLEMS, CuratorDependency, SignedIn
from pasquin.store import Store
from pasquin.texts import normalise
from pasquin.workspace import Workspace

REASONS = ("nonsense", "dull", "out of character", "too close", "hurtful", "about a person")
"""What the keys 1 to 6 say of a rejected candidate."""

Key = Annotated[str, Field(pattern="^[A-Za-z0-9_-]{8,64}$")]
Id = Annotated[str, Field(pattern="^[0-9a-f]{1,32}$")]


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True, from_attributes=True)


class Network(_Answer):
    """A network whose lengths are counted."""

    name: Literal["bluesky", "mastodon", "x"]
    limit: int


class Progress(_Answer):
    """How far the work is, and what I did of it. `seconds` are those spent looking."""

    candidates: int
    open: int
    accepted: int
    rejected: int


class Mine(_Answer):
    """What I decided. `per_minute` is the pace of the latest decisions."""

    decided: int
    kept: int
    seconds: float
    per_minute: float | None
    minutes_per_keeper: float | None


class CurationState(_Answer):
    """What the page needs first."""

    curator: SignedIn
    curators: int
    models: list[str]
    accounts: list[str]
    reasons: list[str]
    networks: list[Network]
    progress: Progress
    mine: Mine


class Span(_Answer):
    """A piece of a text, in code points, end exclusive."""

    begin: int
    end: int


class Run(_Answer):
    """Where the shared run stands."""

    candidate: Span
    post: Span


class NearestReal(_Answer):
    """The real post that comes closest."""

    text: str
    author: str
    url: str | None


class Decided(_Answer):
    """A decision that stands."""

    key: str
    number: int
    decision: Literal["accept", "edit", "reject", "skip"]
    text: str | None
    reason: str | None
    curator: str
    mine: bool


class Candidate(_Answer):
    """A candidate with its novelty certificate. `decided` is what stands on it, by whomever."""

    id: str
    model: str
    account: str | None
    text: str
    novelty: str
    similarity: float
    longest_run: int
    nearest: NearestReal | None
    run: Run | None
    decided: Decided | None


class EntryBody(BaseModel):
    """One decision. `key` is made by the page, so that sending it again changes nothing."""

    model_config = ConfigDict(extra="forbid")

    key: Key
    candidate: Id
    decision: Literal["accept", "edit", "reject", "skip", "undo"]
    undoes: Key | None = None
    text: Annotated[str, Field(max_length=3_000)] | None = None
    reason: Annotated[str, Field(max_length=200)] | None = None
    seconds: Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False), NUMBER] = 0.0
    via: Literal["card", "grid", "list"] = "card"


class DecisionsBody(BaseModel):
    """Decisions in the order they were made."""

    model_config = ConfigDict(extra="forbid")

    entries: Annotated[list[EntryBody], Field(min_length=1, max_length=50)]


class PreferenceBody(BaseModel):
    """Which of two."""

    model_config = ConfigDict(extra="forbid")

    key: Key
    better: Id
    worse: Id
    seconds: Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False), NUMBER] = 0.0


class Outcome(_Answer):
    """What became of a decision: `stored`, `known` (sent before), or `gone` (its candidate was withdrawn)."""

    key: str
    outcome: Literal["stored", "known", "gone"]


class Recorded(_Answer):
    """The decisions are on the disk."""

    outcomes: list[Outcome]
    mine: Mine


class Past(_Answer):
    """A decision of mine that stands, and what it was about."""

    decided: Decided
    candidate: Candidate


class Two(_Answer):
    """Two candidates to choose from."""

    one: Candidate
    other: Candidate


class Pair(_Answer):
    """Two candidates to choose from, none when there are not two left."""

    pair: Two | None


class KappaOf(_Answer):
    """Agreement of some curators beyond chance, with a 95% interval, over `n` candidates."""

    curators: list[str]
    n: int
    observed: float | None
    value: float | None
    low: float | None
    high: float | None


class Disagreement(_Answer):
    """A candidate on which curators decided differently."""

    candidate: Candidate
    decisions: list[Decided]


class Together(_Answer):
    """How far the curators agree. `overlap` is the percentage of candidates that everybody decides."""

    overlap: int
    kappas: list[KappaOf]
    disagreements: list[Disagreement]


class Curation:
    """The desk of a running server, opened when somebody needs it first."""

    def __init__(self, workspace: Workspace, store: Store, names: Sequence[str], settings: CurateSettings) -> None:
        """Curate the candidates of the models `names` (none named: of all)."""
        self.settings = settings
        self.store = store
        self._workspace, self._names = workspace, tuple(names)
        self._desk: Desk | None = None
        self._opening = asyncio.Lock()
        self.names: dict[str, str] = {}

    async def desk(self) -> Desk:
        """The desk. Raises StoreError, WorkspaceError."""
        if self._desk is None:
            async with self._opening:
                if self._desk is None:
                    desk = await asyncio.to_thread(Desk, self._workspace, self.store, self._names, self.settings)
                    interpreter.spare_more()
                    self._desk = desk
                    await self._read_names()
        return self._desk

    async def refresh(self) -> None:
        """Notice what is new; what cannot be read now leaves the desk as it is."""
        if self._desk is not None:
            with suppress(PasquinError):
                await asyncio.to_thread(self._desk.refresh)
                await self._read_names()

    async def _read_names(self) -> None:
        self.names = {each.id: each.name for each in await asyncio.to_thread(all_curators, self.store)}

    async def close(self) -> None:
        """Finish writing."""
        if self._desk is not None:
            await asyncio.to_thread(self._desk.close)


async def _desk(request: Request, curator: CuratorDependency) -> Desk:
    curation: Curation = request.app.state.curation
    desk = await curation.desk()
    curation.names.setdefault(curator.id, curator.name)
    return desk


async def _filters(
    model: Annotated[str | None, Query(max_length=64)] = None,
    account: Annotated[str | None, Query(max_length=255)] = None,
    about: Annotated[str, Query(max_length=200)] = "",
    shortest: Annotated[int, Query(ge=0, le=100_000)] = 0,
    longest: Annotated[int | None, Query(ge=0, le=100_000)] = None,
    status: Annotated[Status, Query()] = "open",
) -> Filters:
    return Filters(model, account, about, shortest, longest, status)


DeskDependency = Annotated[Desk, Depends(_desk)]
FiltersDependency = Annotated[Filters, Depends(_filters)]
Have = Annotated[str, Query(max_length=6_000, pattern="^[0-9a-f,]*$")]

router = APIRouter(prefix="/api/curation", tags=["curation"])


@router.get("", responses=PROBLEMS)
async def state(request: Request, desk: DeskDependency, curator: CuratorDependency) -> CurationState:
    """Who I am, what there is to filter by, how far the work is."""
    models, accounts = desk.choices()
    names: dict[str, str] = request.app.state.curation.names
    return CurationState(
        curator=SignedIn.model_validate(curator),
        curators=len(names),
        models=models,
        accounts=accounts,
        reasons=list(REASONS),
        networks=[Network(name=name, limit=_limit(name, desk.settings)) for name in desk.settings.networks],
        progress=Progress.model_validate(await asyncio.to_thread(desk.totals, curator.id)),
        mine=Mine.model_validate(desk.tally(curator.id)),
    )


@router.get("/cards", responses=PROBLEMS)
async def cards(
    request: Request,
    desk: DeskDependency,
    curator: CuratorDependency,
    filters: FiltersDependency,
    n: Annotated[int, Query(ge=1, le=100)] = 20,
    have: Have = "",
) -> list[Candidate]:
    """The next candidates, best first, without those the page `have` (ids, commas between)."""
    found = desk.cards(curator.id, filters, n, {key for key in have.split(",") if key})
    blind = filters.status == "open"
    return [_candidate(request, desk, card, curator, blind=blind) for card in found]


@router.post("/decisions", responses=PROBLEMS)
async def decide(desk: DeskDependency, curator: CuratorDependency, body: DecisionsBody) -> Recorded:
    """Take decisions; the answer comes once they are on the disk."""
    entries = [_entry(desk, each) for each in body.entries]
    return await _record(desk, curator, entries)


@router.post("/preferences", responses=PROBLEMS)
async def prefer(desk: DeskDependency, curator: CuratorDependency, body: PreferenceBody) -> Recorded:
    """Take the answer to "which of two?"."""
    entry = Preference(key=body.key, better=body.better, worse=body.worse, seconds=body.seconds)
    return await _record(desk, curator, [entry])


@router.get("/history", responses=PROBLEMS)
async def history(
    request: Request,
    desk: DeskDependency,
    curator: CuratorDependency,
    before: Annotated[int | None, Query(ge=0)] = None,
    n: Annotated[int, Query(ge=1, le=100)] = 30,
) -> list[Past]:
    """My decisions that stand, latest first, those with a `number` below `before`."""
    return [
        Past(decided=_decided(request, mark, curator), candidate=_candidate(request, desk, card, curator))
        for mark, card in desk.history(curator.id, before, n)
    ]


@router.get("/pair", responses=PROBLEMS)
async def pair(
    request: Request, desk: DeskDependency, curator: CuratorDependency, filters: FiltersDependency, have: Have = ""
) -> Pair:
    """Two candidates that are hard to tell apart."""
    found = desk.pair(curator.id, filters, {key for key in have.split(",") if key})
    if found is None:
        return Pair(pair=None)
    one, other = (_candidate(request, desk, card, curator, blind=True) for card in found)
    return Pair(pair=Two(one=one, other=other))


@router.get("/together", responses=PROBLEMS)
async def together(request: Request, desk: DeskDependency, curator: CuratorDependency) -> Together:
    """How far the curators agree, and where they do not."""
    names: dict[str, str] = request.app.state.curation.names
    verdicts = {card.id: card.verdicts() for card in desk.all_cards()}
    shared = {key: given for key, given in verdicts.items() if len(given) > 1}
    result = await asyncio.to_thread(
        agreement,
        {key: {who: mark.decision != "reject" for who, mark in given.items()} for key, given in shared.items()},
    )
    kappas = [_kappa(pair, kappa, names) for pair, kappa in result.pairs.items()]
    if result.everybody is not None:
        kappas.append(_kappa(sorted({who for given in shared.values() for who in given}), result.everybody, names))
    disagreements = []
    for key in result.disagreements[:200]:
        card = desk.card(key)
        if card is not None:
            marks = [_decided(request, mark, curator) for mark in verdicts[key].values()]
            candidate = _candidate(request, desk, card, curator)
            disagreements.append(Disagreement(candidate=candidate, decisions=marks))
    return Together(overlap=desk.settings.overlap, kappas=kappas, disagreements=disagreements)


@router.get("/sheet", responses=PROBLEMS, response_class=Response)
async def sheet(request: Request, desk: DeskDependency) -> Response:
    """All candidates and what was decided, as a spreadsheet (CSV)."""
    content = await asyncio.to_thread(write_sheet, desk, request.app.state.curation.names)
    headers = {"Content-Disposition": 'attachment; filename="decisions.csv"'}
    return Response(content, media_type="text/csv; charset=utf-8", headers=headers)


async def _record(desk: Desk, curator: Curator, entries: Sequence[Entry | Preference]) -> Recorded:
    outcomes = await asyncio.wrap_future(desk.record(curator.id, entries))
    return Recorded(
        outcomes=[Outcome(key=entry.key, outcome=outcome) for entry, outcome in zip(entries, outcomes, strict=True)],
        mine=Mine.model_validate(desk.tally(curator.id)),
    )


def _entry(desk: Desk, body: EntryBody) -> Entry:
    """The decision as it is stored: an edit that changes nothing is an accept, an empty one too."""
    values: dict[str, Any] = body.model_dump()
    text = normalise(body.text) if body.decision == "edit" and body.text else None
    card = desk.card(body.candidate)
    if body.decision == "edit" and (not text or (card is not None and text == card.text)):
        values["decision"], text = "accept", None
    return Entry(**values | {"text": text, "reason": normalise(body.reason) if body.reason else None})


def _candidate(request: Request, desk: Desk, card: Card, curator: Curator, *, blind: bool = False) -> Candidate:
    """A candidate as `curator` sees it; `blind`: without what others decided, so that agreement means something."""
    nearest = desk.nearest(card)
    run = card.shared_run(nearest) if nearest else None
    mine = card.mark_of(curator.id)
    mark = mine if blind else card.standing or mine
    return Candidate(
        id=card.id,
        model=card.model,
        account=card.account,
        text=card.text,
        novelty=card.novelty,
        similarity=card.similarity,
        longest_run=card.longest_run,
        nearest=NearestReal.model_validate(nearest) if nearest else None,
        run=Run.model_validate(run) if run else None,
        decided=_decided(request, mark, curator) if mark else None,
    )


def _decided(request: Request, mark: Mark, curator: Curator) -> Decided:
    names: dict[str, str] = request.app.state.curation.names
    return Decided(
        key=mark.key,
        number=mark.id,
        decision=mark.decision,
        text=mark.text,
        reason=mark.reason,
        curator=names.get(mark.curator, "somebody"),
        mine=mark.curator == curator.id,
    )


def _kappa(who: Sequence[str], kappa: Kappa, names: dict[str, str]) -> KappaOf:
    return KappaOf(
        curators=[names.get(each, "somebody") for each in who],
        n=kappa.n,
        observed=kappa.observed,
        value=kappa.value,
        low=kappa.low,
        high=kappa.high,
    )


def _limit(name: str, settings: CurateSettings) -> int:
    return {"bluesky": BLUESKY_GRAPHEMES, "mastodon": settings.mastodon_characters, "x": X_WEIGHT}[name]
