"""Networks: where posts are read from and (later) published to. One protocol a direction, one table.

A network is named in front of the colon of a source: `twint:vc.jsonl.gz`, `bluesky:someone.bsky.social`.
Built-in and third-party networks register alike, by the entry point group `pasquin.networks`: each entry is a function
`(settings: CollectSettings) -> Source`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Protocol, runtime_checkable

from pasquin.config import CollectSettings
from pasquin.errors import UsageError
from pasquin.records import Post

GROUP = "pasquin.networks"


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A piece of input that could not be read as a post: `where` (file and line), `reason`, and its first bytes."""

    where: str
    reason: str
    excerpt: bytes


@dataclass(frozen=True, slots=True)
class Complete:
    """All posts that `account` still has: a collected one whose URI begins with `prefix` and is not among `uris` was
    deleted upstream, unless it lies (in the order of code points) strictly between the two URIs of a pair in `unknown`.
    """

    network: str
    account: str
    prefix: str
    uris: tuple[str, ...]
    unknown: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Page:
    """Posts read together, and the cursor after them (None where the source has none).

    `skipped` counts well-formed input that is no post of its own by reason (deleted, direct message, …).
    `share` is how much of the source is read after this page, 0 to 1, where the source can tell.
    `deleted` are URIs of posts that were deleted upstream: they become tombstones where they were collected.
    `complete` lists everything an account still has: what else was collected of it was deleted upstream, too.
    `current` says that the posts are as the network has them now: one that was collected with another text was edited,
    and is replaced.
    """

    posts: Sequence[Post]
    cursor: str | None = None
    skipped: Mapping[str, int] = field(default_factory=dict)
    quarantined: tuple[Quarantined, ...] = ()
    share: float | None = None
    deleted: tuple[str, ...] = ()
    complete: Complete | None = None
    current: bool = False


class Source(Protocol):
    """The reading side of a network."""

    reads_files: bool
    """Whether what stands behind the colon is a path; in a source list it is then relative to the list."""

    def posts(self, account: str, since: str | None) -> Iterator[Page]:
        """Pages of posts of `account` (what stands behind the colon: a handle, a path), oldest cursor first.

        `since` is the cursor of the last committed page, None the first time. Raises InputError or NetworkError.
        """


class Rules(Protocol):
    """The rules of a server; `digest` names this wording of them."""

    @property
    def host(self) -> str: ...
    @property
    def rules(self) -> tuple[str, ...]: ...
    @property
    def digest(self) -> str: ...


@runtime_checkable
class HasRules(Protocol):
    """A source whose servers have rules that have to be accepted."""

    def rules(self) -> Sequence[Rules]:
        """The rules of the servers that were asked, all of them accepted."""


@runtime_checkable
class HasNotes(Protocol):
    """A source that has something to say about what it read as a whole."""

    def notes(self) -> Sequence[str]:
        """What is to be said, and was not asked for before."""


@runtime_checkable
class HasPurse(Protocol):
    """A source that may spend so much in a run: it is read in one process, where that is counted."""

    purse: object


@cache
def _registered() -> dict[str, EntryPoint]:
    """Looked for once in a process: every installed package's metadata is read for it."""
    return {entry.name: entry for entry in entry_points(group=GROUP)}


def sources() -> dict[str, str]:
    """Names of the networks that can be read, with the object reference that provides each."""
    return {name: entry.value for name, entry in _registered().items()}


def open_source(name: str, settings: CollectSettings) -> Source:
    """The source called `name`; UsageError, naming those there are, when there is none."""
    if (entry := _registered().get(name)) is None:
        raise UsageError(f"There is no source `{name}:`; there are {', '.join(sorted(sources()))}.")
    make: Callable[[CollectSettings], Source] = entry.load()
    return make(settings)
