"""What sources as people write them mean: `NAME:WHAT`, a bare path, or `@sources/list.txt` with a source a line."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from pasquin import networks
from pasquin.config import CollectSettings
from pasquin.errors import InputError, PasquinError, UsageError
from pasquin.networks import Source
from pasquin.networks.files.guess import guess_source
from pasquin.workspace import check_name

_HANDLE = re.compile(r"@?[\w.-]+\.bsky\.social")
_FEDIVERSE_HANDLE = re.compile(r"@?[\w.-]+@[\w-]+(\.[\w-]+)+")
_ADDRESS = re.compile(
    r"(?P<start>(?:[a-z][a-z0-9-]*:)?https?://)(?P<user>[^/?#]*@)?(?P<place>[^?#]*)(?P<query>[?#].+)?", re.DOTALL
)


@dataclass
class Wanted:
    """One source to read, and what came of it."""

    written: str
    network: str
    what: str
    source: Source
    lists: tuple[str, ...] = ()
    posts: int = 0
    new: int = 0
    updated: int = 0
    deleted: int = 0
    quarantined: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    error: PasquinError | None = None

    @property
    def key(self) -> str:
        """What the source's cursor is kept under."""
        return without_secrets(f"{self.network}:{self.what}".encode("utf-8", "backslashreplace").decode())

    def fresh(self) -> Wanted:
        """The same source, not yet read."""
        return Wanted(self.written, self.network, self.what, self.source, self.lists)

    def result(self) -> dict[str, object]:
        """What came of it, for scripts."""
        return {
            "source": self.written,
            "posts": self.posts,
            "new": self.new,
            "updated": self.updated,
            "deleted": self.deleted,
            "skipped": dict(self.skipped),
            "quarantined": self.quarantined,
            "error": str(self.error) if self.error else None,
        }


def resolve(written: Sequence[str], settings: CollectSettings, opened: dict[str, Source]) -> list[Wanted]:
    """The sources that are meant, each once; networks not in `opened` yet are opened.

    Raises UsageError for what makes no sense, InputError for a list that cannot be read.
    """
    found: dict[tuple[str, str], Wanted] = {}
    for text in written:
        for one in _list_of(text, settings, opened) if text.startswith("@") else (_single(text, settings, opened),):
            there = found.setdefault((one.network, one.what), one)
            there.lists = tuple(dict.fromkeys((*there.lists, *one.lists)))
    return list(found.values())


def _list_of(written: str, settings: CollectSettings, opened: dict[str, Source]) -> Iterator[Wanted]:
    path = Path(written[1:]).expanduser()
    if not path.exists() and path.suffix != ".txt":
        raise UsageError(f"{_no_account(written)} A source list is given by its path: @sources/vc.txt.")
    name = check_name(path.stem, "source list")
    for number, line in _list_lines(path):
        try:
            one = _single(line, settings, opened, path.parent)
        except UsageError as exc:
            raise UsageError(f"{path}, line {number}: {exc}") from exc
        one.lists = (name,)
        yield one


def _list_lines(path: Path) -> list[tuple[int, str]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else "it is not UTF-8"
        raise InputError(f"The source list {path} cannot be read: {reason}. Check the path.") from exc
    lines = [re.split(r"(?:^|\s)#", line)[0].strip() for line in text.splitlines()]
    if not any(lines):
        raise InputError(f"The source list {path} names no source. Write one a line, such as `twint:tweets.jsonl`.")
    return [(number, line) for number, line in enumerate(lines, 1) if line]


def _single(written: str, settings: CollectSettings, opened: dict[str, Source], folder: Path | None = None) -> Wanted:
    """One source; `folder` is that of the list it stands in."""
    network, what = _split(written, settings, folder or Path())
    if network not in opened:
        opened[network] = networks.open_source(network, settings)
    if folder and opened[network].reads_files and "://" not in what:
        what = str(folder / Path(what).expanduser())
    shown = written.encode("utf-8", "backslashreplace").decode()  # file names need not be UTF-8
    return Wanted(without_secrets(shown), network, what, opened[network])


def without_secrets(written: str) -> str:
    """A source as it may be said and kept: the query of a web address (often a key), and a name and password in it, are
    `…` and a hash, by which two of them still differ.
    """
    found = _ADDRESS.fullmatch(written)
    if found is None or not (found["user"] or found["query"]):
        return written
    digest = sha256(written.encode("utf-8", "backslashreplace")).hexdigest()[:8]
    return f"{found['start']}{found['place']}?…{digest}"


def _split(written: str, settings: CollectSettings, folder: Path) -> tuple[str, str]:
    """Network and what is wanted of it; for a bare path, the network is seen from the file."""
    if written.startswith("@") and written.endswith(".txt"):
        raise UsageError(f"A source list cannot name another source list, as `{written}` does. Name both instead.")
    network, colon, what = written.partition(":")
    known = networks.sources()
    if colon and network in known:
        if not what:
            raise UsageError(f"`{written}` lacks what to collect: write {network}:{_example(network, known)}.")
        return network, what
    path = folder / Path(written).expanduser()
    if written.startswith("@") or (_HANDLE.fullmatch(written) and not path.exists()):
        raise UsageError(_no_account(written))
    if colon and re.fullmatch(r"[a-z][a-z0-9-]*", network) and not path.exists() and "://" not in written:
        raise UsageError(f"There is no source `{network}:`; there are {', '.join(sorted(known))}.")
    if "/" not in written and "." not in written and not path.exists():
        raise UsageError(
            f"`{written}` is no source: write NAME:WHAT with one of {', '.join(sorted(known))}, or the path of a file."
        )
    return guess_source(str(path) if "://" not in written else written, settings), written


def _example(network: str, known: Mapping[str, str]) -> str:
    examples = {
        "bluesky": "someone.bsky.social",
        "mastodon": "@someone@example.social",
        "feed": "https://example.org/feed",
    }
    return examples.get(network, "PATH" if network in known else "WHAT")


def _no_account(written: str) -> str:
    """What to say to a bare handle: it doesn't tell whose it is."""
    if _FEDIVERSE_HANDLE.fullmatch(written):
        return f"`{written}` lacks its network: write mastodon:@{written.lstrip('@')}."
    if _HANDLE.fullmatch(written):
        return f"`{written}` lacks its network: write bluesky:{written.lstrip('@')}."
    name = written.lstrip("@")
    return (
        f"`{written}` does not say on which network: write bluesky:{name}.bsky.social or mastodon:@{name}@HOST, "
        "or give a file."
    )
