"""Bluesky (AT Protocol): an account's posts, from its own server, without signing in.

`bluesky:handle-or-did` finds the account's server and reads the whole repository in one request, later only what has
changed since. What the repository no longer has was deleted, and is reported so: mostly at once, and always when the
whole is read again, twice a day (a change shows the parts of the tree it touched, and a deletion can join two parts
that it does not show). That the account signed it is checked. A server that does not give the repository is asked for
its posts page by page. `bluesky:list:at://…` reads every account on a list. Accounts that ask not to be shown to the
signed-out, or not to be used for generative AI, are left alone.

Not covered: private data (there is none in a repository), and posts of others that the account reposted.
"""

from __future__ import annotations

import re
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import IO, Any, Final, NamedTuple
from urllib.parse import quote

import orjson
from cbrrr import decode_dag_cbor

from pasquin.config import CollectSettings
from pasquin.errors import InputError, NetworkError, RateLimited, Refused, UsageError
from pasquin.networks import Complete, Page, Quarantined
from pasquin.networks.bluesky.car import POSTS, Entry, Gap, Repository, read_repository
from pasquin.networks.bluesky.identity import Directory, Identity, error_name
from pasquin.networks.bluesky.listing import MARK, UNSIGNED, list_posts, list_records
from pasquin.networks.bluesky.records import OTHER_KIND, asks_for_sign_in, to_post
from pasquin.networks.bluesky.signature import UNCHECKED, Signed, check_signature
from pasquin.networks.files.reading import EXCERPT
from pasquin.networks.transport import Transport, shared
from pasquin.networks.values import to_count
from pasquin.records import Post

_LARGEST_REPOSITORY: Final = 4 * 2**30
_SMALL: Final = 2**20
_BATCH: Final = 25
"""Posts that the AppView counts in one request."""
_OPT_OUT: Final = "the account asks not to be shown to people who are not signed in"
_NO_AI: Final = "the account asks not to be used for generative AI"
_WRITING: Final = "rewritten while it was read: the next run reads it"
_LIST: Final = re.compile(r"at://([^/]+)/app\.bsky\.graph\.list/([^/]+)")
_GONE: Final = "RepoNotFound"
_STATES: Final = {
    _GONE: "is not on its server any more: it was deleted",
    "RepoDeactivated": "is deactivated by its owner",
    "RepoSuspended": "is suspended",
    "RepoTakendown": "was taken down",
    "RepoDesynchronized": "cannot be read at the moment",
}


class _Mark(NamedTuple):
    """How far an account was read: `revision` (or `list:` and a key), when it was last read whole, and whether only
    changes were read since."""

    revision: str = ""
    read_whole: float = 0.0
    by_changes: bool = False


_Marks = dict[str, _Mark]


def bluesky(settings: CollectSettings) -> BlueskySource:
    """Accounts and lists of accounts on Bluesky."""
    return BlueskySource(settings, shared(settings))


@dataclass(frozen=True)
class _Download:
    """A repository as it came: only the changes (`is_partial`) or all, and whether it can be taken at its word."""

    repository: Repository
    is_partial: bool
    is_consistent: bool


@dataclass
class _Found:
    """What a pass over a repository has found so far. `absent` are records without their block."""

    damage: list[Quarantined]
    unreadable: list[Quarantined] = field(default_factory=list)
    posts: list[Post] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)
    uris: list[str] = field(default_factory=list)
    gaps: list[tuple[str, str]] = field(default_factory=list)
    absent: list[tuple[bytes, str]] = field(default_factory=list)


class BlueskySource:
    """The reading side of Bluesky. A cursor is a JSON object: DID -> `[revision read last, when it was read whole,
    whether only changes were read since]`.

    In the place of the revision stands `list:` and the last key where posts are listed.
    """

    reads_files = False

    def __init__(self, settings: CollectSettings, transport: Transport) -> None:
        self._settings = settings
        self._transport = transport
        self._directory = Directory(settings, transport)
        self._notes: set[str] = set()
        self._told: set[str] = set()

    def notes(self) -> list[str]:
        """What is to be said of what was read, and was not asked for before."""
        new = sorted(self._notes.copy() - self._told)
        self._told.update(new)
        return new

    def posts(self, account: str, since: str | None) -> Iterator[Page]:
        """Pages of the posts of `account` (a handle, a DID, or `list:at://…`) that are new, changed or deleted since.

        Raises UsageError, Refused when the account is gone or closed, NetworkError when its server cannot be reached.
        """
        marks = _marks(since)
        if not account.startswith("list:"):
            yield from self._account(self._find(account, marks), marks)
            return
        members = self._members(account.removeprefix("list:"))
        for number, did in enumerate(members, 1):
            try:
                for page in self._account(self._directory.find(did), marks):
                    yield replace(page, share=(number - 1 + (page.share or 0.0)) / len(members))
            except RateLimited:
                raise
            except (NetworkError, UsageError) as exc:
                yield Page((), quarantined=(Quarantined(did, str(exc), b""),), share=number / len(members))

    def _find(self, account: str, marks: _Marks) -> Identity:
        """The account, by its DID where an earlier run has learnt it: handles change."""
        try:
            return self._directory.find(account)
        except Refused:
            if len(marks) == 1 and not account.startswith("did:"):
                return self._directory.find(next(iter(marks)))
            raise

    def _account(self, identity: Identity, marks: _Marks) -> Iterator[Page]:
        """Pages of one account; `marks` is brought up to date with the last."""
        refusal = self._refusal(identity)
        if refusal:
            yield Page((), skipped={refusal: 1}, share=1.0)
            return
        try:
            yield from self._from_repository(identity, marks)
        except InputError:
            yield from self._from_listing(identity, marks)
        except Refused as exc:
            state = error_name(exc)
            if state not in _STATES:
                yield from self._from_listing(identity, marks)
                return
            if state == _GONE and identity.did in marks:
                prefix = f"at://{identity.did}/{POSTS}"
                yield Page((), complete=Complete("bluesky", identity.did, prefix, ()), share=1.0)
            name = identity.handle or identity.did
            raise Refused(f"{name} {_STATES[state]}. Nothing of it was read.", status=exc.status) from exc

    def _from_repository(self, identity: Identity, marks: _Marks) -> Iterator[Page]:
        """Pages of the repository, or of what changed in it. Raises InputError when it is damaged."""
        known, read_whole, by_changes = _revision(marks, identity)
        latest = self._latest(identity)
        is_fresh = self._is_fresh(read_whole)
        if latest == known and (is_fresh or not by_changes):  # changes may have hidden a deletion
            yield Page((), share=1.0)
            return
        since = known if known and known < latest and is_fresh else None
        with tempfile.TemporaryFile(prefix="pasquin-") as handle:
            yield from self._pages(identity, self._download(identity, since, handle), marks)

    def _from_listing(self, identity: Identity, marks: _Marks) -> Iterator[Page]:
        """Pages of the posts as the server lists them: behind what was read, or all of them again twice a day.

        A first reading that was cut off goes on where it was; one of all posts that were read before begins anew, as
        only a list without a break says what was deleted.
        """
        mark, read_whole, _ = marks.get(identity.did, _Mark())
        is_listed = mark.startswith(MARK)
        start = mark.removeprefix(MARK) if is_listed and (not read_whole or self._is_fresh(read_whole)) else ""
        is_again = is_listed and not start
        last, uris = start, list[str]()
        self._notes.add(UNSIGNED.format(identity.handle or identity.did))
        for page in list_posts(self._transport, identity, start):
            uris += page.uris
            last = page.after
            if not is_again:
                marks[identity.did] = _Mark(MARK + last, read_whole if is_listed else 0.0)
            posts = self._counted(page.posts)
            cursor = None if is_again else _cursor(marks)
            yield Page(posts, cursor, +page.skipped, tuple(page.unreadable), current=True)
        if not start or not read_whole:
            marks[identity.did] = _Mark(MARK + last, int(time.time()))
        prefix = f"at://{identity.did}/{POSTS}"
        complete = Complete("bluesky", identity.did, prefix, tuple(uris)) if uris and not start else None
        yield Page((), _cursor(marks), share=1.0, complete=complete)

    def _is_fresh(self, read_whole: float) -> bool:
        return 0 <= time.time() - read_whole < self._settings.bluesky_whole_hours * 3600

    def _latest(self, identity: Identity) -> str:
        url = f"{identity.pds}/xrpc/com.atproto.sync.getLatestCommit"
        commit = self._transport.get_json(url, params={"did": identity.did}, max_bytes=_SMALL)
        if isinstance(commit, Mapping) and isinstance(commit.get("rev"), str):
            return str(commit["rev"])
        raise NetworkError(f"The server of {identity.did} does not answer as a Bluesky server. Try again later.")

    def _download(self, identity: Identity, since: str | None, handle: IO[bytes]) -> _Download:
        """The repository, or what changed in it since; the whole when something is wrong with that.

        A server may go on writing while it answers, and drop blocks that the answer still needs. So an answer counts as
        consistent when nothing was written meanwhile, or nothing is missing from it.
        """
        url = f"{identity.pds}/xrpc/com.atproto.sync.getRepo"
        download: _Download | None = None
        failure = InputError(f"The repository of {identity.did} could not be read.")
        for revision in (since, since, None, None) if since else (None,) * 3:
            download = None
            params = {"did": identity.did} | ({"since": revision} if revision else {})
            self._transport.download(url, handle, params=params, max_bytes=_LARGEST_REPOSITORY)
            try:
                repository = read_repository(handle, f"The repository of {identity.did}")
            except InputError as exc:
                failure = exc
                continue
            if repository.did != identity.did:
                raise NetworkError(f"The server of {identity.did} answered with the posts of another account.")
            self._check_signature(identity, repository)
            consistent = self._latest(identity) == repository.rev or (revision is None and repository.is_whole())
            download = _Download(repository, revision is not None, consistent)
            if consistent and not repository.damage:
                break
        if download is None:
            raise failure
        return download

    def _check_signature(self, identity: Identity, repository: Repository) -> None:
        signed = check_signature(repository.commit, identity.key)
        if signed is Signed.UNKNOWN:
            self._notes.add(UNCHECKED)
        elif signed is not Signed.VERIFIED:
            raise NetworkError(
                f"What the server of {identity.did} gave as its posts is not signed by that account, and was not "
                "taken. Try again later: the account may just have changed its key."
            )

    def _pages(self, identity: Identity, download: _Download, marks: _Marks) -> Iterator[Page]:
        repository = download.repository
        found = _Found([Quarantined(identity.did, what, b"") for what in repository.damage])
        if not download.is_partial:
            found.skipped["repost"] = repository.count_reposts()
        for item in repository.posts():
            _take(item, found, repository, identity)
            if len(found.posts) >= self._settings.page_posts:
                yield Page(self._counted(found.posts), current=True)
                found.posts = []
        _explain(found, download)
        complete = cursor = None
        known, read_whole, _ = _revision(marks, identity)
        is_older = repository.rev < known  # a lagging copy or a backup: what it lacks was not deleted
        if download.is_consistent and not found.damage and not is_older:
            is_partial = download.is_partial
            marks[identity.did] = _Mark(repository.rev, read_whole if is_partial else int(time.time()), is_partial)
            cursor = _cursor(marks)
            prefix = f"at://{identity.did}/{POSTS}"
            complete = Complete("bluesky", identity.did, prefix, tuple(found.uris), tuple(found.gaps))
        yield Page(
            self._counted(found.posts),
            cursor,
            +found.skipped,
            (*found.damage, *found.unreadable),
            1.0,
            complete=complete,
            current=True,
        )

    def _refusal(self, identity: Identity) -> str | None:
        """Why the account wants to be left alone, None when it does not say so."""
        profile = self._record(identity, "app.bsky.actor.profile")
        if asks_for_sign_in(profile):
            return _OPT_OUT
        intent = self._record(identity, "org.user-intents.declaration").get("syntheticContentGeneration")
        return _NO_AI if isinstance(intent, Mapping) and intent.get("allow") is False else None

    def _record(self, identity: Identity, collection: str) -> Mapping[str, Any]:
        """The one record `self` of a collection, empty when there is none."""
        url = f"{identity.pds}/xrpc/com.atproto.repo.getRecord"
        params = {"repo": identity.did, "collection": collection, "rkey": "self"}
        answer = self._transport.get(url, params=params, max_bytes=_SMALL, accept=(400, 404))
        record = answer.json().get("value") if answer.status == 200 else None
        return record if isinstance(record, Mapping) else {}

    def _members(self, written: str) -> list[str]:
        """The accounts on a list, as its owner's repository has them."""
        match = _LIST.fullmatch(written)
        if match is None:
            raise UsageError(f"`{written[:200]}` is no list: write list:at://did:plc:…/app.bsky.graph.list/….")
        owner = self._directory.find(match[1])
        wanted = f"at://{owner.did}/app.bsky.graph.list/{match[2]}"
        subjects = [
            value.get("subject")
            for records in list_records(self._transport, owner, "app.bsky.graph.listitem")
            for value in (record["value"] for record in records)
            if value.get("list") == wanted
        ]
        members = [did for did in dict.fromkeys(subjects) if isinstance(did, str)]
        if not members:
            raise Refused(f"The list {wanted} has no members, or was deleted. Check its address.")
        return members

    def _counted(self, posts: list[Post]) -> tuple[Post, ...]:
        """The posts with their likes and reposts, where those are wanted and the AppView can be reached."""
        if not self._settings.bluesky_engagement:
            return tuple(posts)
        counts: dict[str, Mapping[str, Any]] = {}
        url = f"{self._settings.bluesky_api.rstrip('/')}/xrpc/app.bsky.feed.getPosts"
        try:
            for batch in _batches(posts, _BATCH):
                query = "&".join(f"uris={quote(post.uri)}" for post in batch)
                views = self._transport.get_json(f"{url}?{query}")["posts"]
                counts |= {view["uri"]: view for view in views}
        except (NetworkError, KeyError, TypeError):
            pass  # a count that is not known stays empty
        return tuple(_with_counts(post, counts.get(post.uri, {})) for post in posts)


def _with_counts(post: Post, view: Mapping[str, Any]) -> Post:
    return replace(post, likes=to_count(view.get("likeCount")), reposts=to_count(view.get("repostCount")))


def _batches(posts: list[Post], size: int) -> Iterator[list[Post]]:
    for start in range(0, len(posts), size):
        yield posts[start : start + size]


def _take(item: Entry | Gap, found: _Found, repository: Repository, identity: Identity) -> None:
    """Add what stands at one place of the tree to what was found."""
    if isinstance(item, Gap):
        found.gaps.append((f"at://{identity.did}/{item.after}", f"at://{identity.did}/{item.before}"))
        return
    uri = f"at://{identity.did}/{item.path}"
    block = repository.block(item.cid)
    if block is None:
        found.absent.append((item.cid, uri))
        return
    try:
        record = decode_dag_cbor(block, cid_ctor=bytes)
        post = to_post(record, uri=uri, did=identity.did, handle=identity.handle)
    except ValueError as exc:
        found.unreadable.append(Quarantined(uri, str(exc), block[:EXCERPT]))
        found.uris.append(uri)
        return
    if isinstance(post, Post):
        found.posts.append(post)
        found.uris.append(uri)
    else:
        found.skipped[post] += 1


def _explain(found: _Found, download: _Download) -> None:
    """Say what is missing. In the changes since a revision, what is not there is unchanged; in a whole, it is lost."""
    if download.is_partial:
        found.uris = sorted([*found.uris, *(uri for _, uri in found.absent)])
        return
    other = download.repository.elsewhere({cid for cid, _ in found.absent}) if found.absent else set()
    found.skipped[OTHER_KIND] += sum(cid in other for cid, _ in found.absent)
    lost = [uri for cid, uri in found.absent if cid not in other]
    if not download.is_consistent:
        found.skipped[_WRITING] += len(lost) + len(found.gaps)
        return
    found.damage += [Quarantined(uri, "its content is missing or damaged", b"") for uri in lost]
    for after, before in found.gaps:
        found.damage.append(Quarantined(after, f"part of the repository is missing, up to {before}", b""))


def _revision(marks: _Marks, identity: Identity) -> _Mark:
    """The mark of a repository that was read; an empty one where there was none."""
    mark = marks.get(identity.did, _Mark())
    return _Mark() if mark.revision.startswith(MARK) else mark


def _cursor(marks: _Marks) -> str:
    return orjson.dumps({did: list(mark) for did, mark in marks.items()}, option=orjson.OPT_SORT_KEYS).decode()


def _marks(cursor: str | None) -> _Marks:
    """What a cursor says; where it makes no sense it says nothing, and the account is read anew."""
    try:
        content = orjson.loads(cursor or "{}")
    except orjson.JSONDecodeError:
        return {}
    marks = content.items() if isinstance(content, dict) else ()
    return {did: mark for did, content in marks if (mark := _mark(content))}


def _mark(content: object) -> _Mark | None:
    """One account's mark; that of an older version has two values, the second of which may be of changes."""
    match content:
        case [str(revision), int() | float() as read_whole]:
            return _Mark(revision, read_whole, by_changes=True)
        case [str(revision), int() | float() as read_whole, bool(by_changes)]:
            return _Mark(revision, read_whole, by_changes)
    return None
