"""Publishing to Bluesky: exactly once.

The key is the record's key. A record is put with `swapRecord: null`, which makes it only where there is none: the same
request again changes nothing, and no commit. `createdAt` and the facets are frozen with it.

After an attempt of which nobody knows, the record is looked for. Where it is not there, the repository's revision tells
why: as it was before the attempt, nothing was written, and the request may be sent again; otherwise the post may have
been made and deleted, and it must not come back: a person decides. So a bot has one post in doubt at a time.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from pasquin.errors import AccountRefused, NetworkError, NotSent, RateLimited, Refused, TextRefused
from pasquin.networks.bluesky.account import ENTRYWAY, BlueskyAccount, CallRefusedError
from pasquin.networks.bluesky.richtext import MAX_BYTES, MAX_GRAPHEMES, facets, graphemes
from pasquin.networks.publishing import Access, Request, Settled
from pasquin.networks.servers import check_server
from pasquin.networks.sessions import SessionKeeper
from pasquin.networks.tids import tid_time
from pasquin.records import Profile, Publication

_POSTS: Final = "app.bsky.feed.post"
_PROFILE: Final = "app.bsky.actor.profile"
_LABELS: Final = "com.atproto.label.defs#selfLabels"
_BOT: Final = "bot"
_ABSENT: Final = frozenset({"RecordNotFound"})
_MAX_BIO: Final = 256


class BlueskyPublisher:
    """Puts records into the account's repository."""

    in_order = True
    """What is in doubt is settled before the next is sent."""

    def __init__(self, account: BlueskyAccount) -> None:
        self.account = account

    def publish(self, text: str, key: str) -> Publication:
        """Put the post under its key; again, it is the same post."""
        return self.send(self.freeze(text, key))

    def freeze(self, text: str, key: str) -> Request:
        """The record, its key, and the revision of the repository before. Raises TextRefused when it is too long."""
        if (count := graphemes(text)) > MAX_GRAPHEMES or len(text.encode()) > MAX_BYTES:
            raise TextRefused(
                f"The text has {count} characters ({len(text.encode())} bytes); Bluesky takes {MAX_GRAPHEMES} "
                f"({MAX_BYTES:,}). Edit it, or let the models write shorter."
            )
        created = tid_time(key).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
        record: dict[str, Any] = {"$type": _POSTS, "text": text, "createdAt": created}
        if found := facets(text):
            record["facets"] = found
        repo = self.account.session()["did"]
        return {
            "method": "com.atproto.repo.putRecord",
            "body": {"repo": repo, "collection": _POSTS, "rkey": key, "record": record, "swapRecord": None},
            "revision": self._revision(repo),
        }

    def send(self, request: Request) -> Publication:
        """Put the record. Raises as `pasquin.networks.publishing` says."""
        try:
            answer = self.account.procedure(str(request["method"]), request["body"])
        except CallRefusedError as exc:
            if exc.error == "InvalidSwap":
                raise NetworkError("There is a record under this key already.") from exc
            if exc.status in (401, 403):
                raise AccountRefused(f"{exc} Make a new app password, then run `pasquin bot resume`.") from exc
            raise TextRefused(str(exc), status=exc.status) from exc
        details = {"cid": answer.get("cid"), "revision": (answer.get("commit") or {}).get("rev")}
        return self._publication(request, details)

    def settle(self, request: Request, attempted_at: datetime) -> Settled:
        """Whether the record is there; `absent` only where the repository is as it was before the attempt."""
        body = request["body"]
        where = {"repo": body["repo"], "collection": body["collection"], "rkey": body["rkey"]}
        try:
            answer = self.account.query("com.atproto.repo.getRecord", where)
        except CallRefusedError as exc:
            if exc.error not in _ABSENT:
                raise
        else:
            return self._publication(request, {"cid": answer.get("cid")})
        before = request.get("revision")
        return "absent" if before is not None and self._revision(body["repo"]) == before else "undecided"

    def said_before(self, text: str) -> str | None:
        """The URI of one of the latest hundred posts that has this text."""
        where = {"repo": self.account.session()["did"], "collection": _POSTS, "limit": "100"}
        records = self.account.query("com.atproto.repo.listRecords", where).get("records")
        for record in records if isinstance(records, list) else ():
            value = record.get("value") if isinstance(record, dict) else None
            if isinstance(value, dict) and value.get("text") == text and "reply" not in value:
                return str(record["uri"])
        return None

    def profile(self) -> Profile:
        """The profile record of the account, with its picture."""
        session = self.account.session()
        value = self._profile_record(session["did"])[0]
        labels = (value.get("labels") or {}).get("values") or []
        return Profile(
            handle=session["handle"],
            name=str(value.get("displayName") or ""),
            bio=str(value.get("description") or ""),
            bot=any(isinstance(label, dict) and label.get("val") == _BOT for label in labels),
            avatar=self._avatar(session["did"], value.get("avatar")),
        )

    def set_up(self, bio: str, avatar: bytes | None) -> list[str]:
        """Write bio, bot label and avatar into the profile record; what else is in it stays."""
        if graphemes(bio) > _MAX_BIO:
            raise TextRefused(f"The bio has {graphemes(bio)} characters; Bluesky takes {_MAX_BIO}. Shorten the names.")
        did = self.account.session()["did"]
        value, cid = self._profile_record(did)
        record: dict[str, Any] = {**value, "$type": _PROFILE, "description": bio}
        old = (value.get("labels") or {}).get("values") or []
        others = [label for label in old if not (isinstance(label, dict) and label.get("val") == _BOT)]
        record["labels"] = {"$type": _LABELS, "values": [*others, {"val": _BOT}]}
        done = ["wrote the bio", "set the bot label"]
        if avatar is not None:
            record["avatar"] = self.account.procedure("com.atproto.repo.uploadBlob", avatar, "image/png")["blob"]
            done.append("uploaded the avatar")
        body = {"repo": did, "collection": _PROFILE, "rkey": "self", "record": record, "swapRecord": cid}
        self.account.procedure("com.atproto.repo.putRecord", body)
        return done

    def _profile_record(self, did: str) -> tuple[dict[str, Any], str | None]:
        where = {"repo": did, "collection": _PROFILE, "rkey": "self"}
        try:
            answer = self.account.query("com.atproto.repo.getRecord", where)
        except CallRefusedError as exc:
            if exc.error in _ABSENT:
                return {}, None
            self._check_active(did)
            raise
        value = answer.get("value")
        return (value if isinstance(value, dict) else {}), answer.get("cid")

    def _check_active(self, did: str) -> None:
        """Raise AccountRefused when the account is suspended: its records are then said not to be there."""
        answer = self.account.query("com.atproto.sync.getRepoStatus", {"did": did})
        if answer.get("active") is False:
            raise AccountRefused(
                f"Bluesky does not let @{self.account.handle} publish ({answer.get('status') or 'not active'}). "
                "Look at the account, then run `pasquin bot resume`."
            )

    def _avatar(self, did: str, blob: Any) -> bytes | None:
        link = ((blob or {}).get("ref") or {}).get("$link") if isinstance(blob, dict) else None
        if link is None:
            return None
        content = self.account.query("com.atproto.sync.getBlob", {"did": did, "cid": str(link)})
        if not isinstance(content, bytes):
            raise NetworkError("The avatar cannot be read. Try again later.")
        return content

    def _revision(self, did: str) -> str:
        try:
            answer = self.account.query("com.atproto.sync.getLatestCommit", {"did": did})
            return str(answer["rev"])
        except (AccountRefused, RateLimited, NotSent):
            raise
        except (Refused, NetworkError, KeyError, TypeError) as exc:
            raise NotSent(f"The repository of @{self.account.handle} cannot be read: {exc}") from exc

    def _publication(self, request: Mapping[str, Any], details: Mapping[str, object]) -> Publication:
        body = request["body"]
        repo, key = body["repo"], body["rkey"]
        return Publication(
            uri=f"at://{repo}/{body['collection']}/{key}",
            url=f"https://bsky.app/profile/{repo}/post/{key}",
            published_at=tid_time(key).astimezone(UTC),
            details=details,
        )


def bluesky(access: Access) -> BlueskyPublisher:
    """The publisher of `network = "bluesky"`; the bot's `PASSWORD` is an app password."""
    server = check_server(access, access.settings.server or ENTRYWAY)
    handle = access.settings.account.removeprefix("@")
    keeper = SessionKeeper(access.store, access.bot, handle, access.secret("PASSWORD"))
    own = tuple(host.lower() for host in access.publish.allow_private_hosts)
    account = BlueskyAccount(handle, server, keeper, access.publish.timeout_seconds, own)
    return BlueskyPublisher(account)
