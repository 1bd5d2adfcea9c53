"""Finding an account on its server, and what it and the server ask of us before we read: opt-outs and rules."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final
from urllib.parse import quote, urlsplit

from pasquin.errors import NetworkError, Refused, UsageError
from pasquin.networks.html_text import html_text
from pasquin.networks.mastodon.statuses import Owner, host_of
from pasquin.networks.transport import Response, Transport
from pasquin.networks.values import to_name

NO: Final = frozenset((400, 401, 403, 404, 405, 406, 410, 422, 501))
"""Answers that are a no, to be understood here."""
_ACCOUNT: Final = re.compile(r"@?(?P<user>[\w.+-]{1,100})@(?P<host>[\w.-]{1,253}(?::\d{1,5})?)")
_ADDRESS: Final = re.compile(r"(?P<base>https?://(?P<host>[^/?#@\s]{1,260}))/(?:@|users/)(?P<user>[\w.+-]{1,100})/?")
_OPT_OUT: Final = re.compile(
    r"#no[-_]?(?:bots?|archiv(?:e|ing)|index|ai|scrap(?:e|ing))\b|\bno[-_]?(?:bots|archive)\b", re.IGNORECASE
)
_MATTERS: Final = re.compile(
    r"\b(?:bots?|scrap\w*|archiv\w*|AI|LLMs?|train\w*|machine|generat\w*|consent)\b", re.IGNORECASE
)


@dataclass(frozen=True)
class InstanceRules:
    """The rules of a server. `digest` names this wording of them."""

    host: str
    rules: tuple[str, ...]

    @property
    def digest(self) -> str:
        """Changes when the rules do."""
        return sha256("\0".join(self.rules).encode("utf-8", "replace")).hexdigest()[:16]


class RulesNotAccepted(UsageError):  # noqa: N818 - it is no failure
    """A server has rules that nobody has accepted yet; `rules` are what to show and record."""

    def __init__(self, rules: InstanceRules, is_known: bool = False) -> None:
        """The message lists the rules, those that may be about us with an arrow, unless they were shown already."""
        self.rules = rules
        if is_known:
            super().__init__(f"The rules of {rules.host} have to be accepted first: `--accept-rules {rules.host}`.")
            return
        shown = "\n".join(f"  {'→' if _MATTERS.search(rule) else ' '} {rule}" for rule in rules.rules)
        super().__init__(
            f"{rules.host} has rules for those who use it:\n{shown}\n"
            f"If you can keep them, say so with `--accept-rules {rules.host}`; it is recorded."
        )


@dataclass(frozen=True)
class Wanted:
    """An account as a person wrote it: its user name and the address of the server asked first."""

    user: str
    host: str
    base: str

    @classmethod
    def parse(cls, written: str) -> Wanted:
        """`@user@host`, or the address of the profile. Raises UsageError when it is neither."""
        if found := _ACCOUNT.fullmatch(written.strip()):
            return cls(found["user"], found["host"].lower(), f"https://{found['host'].lower()}")
        if found := _ADDRESS.fullmatch(written.strip()):
            return cls(found["user"], found["host"].lower(), found["base"].lower())
        raise UsageError(f"`{written[:100]}` is no account on Mastodon: write mastodon:@user@host.")

    @property
    def handle(self) -> str:
        """`@user@host`."""
        return f"@{self.user}@{self.host}"


class Profiles:
    """Looks accounts and servers up; shared by threads."""

    def __init__(self, transport: Transport, accepted: tuple[str, ...]) -> None:
        """`accepted` are hosts whose rules a person accepted, or `host#digest` for one wording of them."""
        self._transport = transport
        self._accepted = {entry.lower() for entry in accepted}
        self._rules: dict[str, InstanceRules] = {}
        self._shown: set[str] = set()
        self._lock = threading.Lock()
        self._locks: dict[str, threading.Lock] = {}

    def find(self, wanted: Wanted) -> tuple[Owner, Mapping[str, Any]]:
        """The account and its profile as its server describes it.

        Raises Refused when there is none, it is gone or suspended, or the server only answers those who sign in.
        """
        base, profile = wanted.base, self._looked_up(wanted.base, wanted)
        if profile is None:
            actor = self._actor(wanted)
            home = "{0.scheme}://{0.netloc}".format(urlsplit(actor))
            profile = self._looked_up(home, wanted) if home != base else None
            profile = profile or self._searched(home, wanted)
            if profile is None:
                raise Refused(
                    f"{wanted.handle} exists, but {host_of(home)} does not let its posts be read in Mastodon's way. "
                    "Try its feed, or the owner's archive."
                )
            base, profile = home, {"uri": actor, **profile}
        if profile.get("suspended") is True:
            raise Refused(f"{wanted.handle} is suspended by its server, so there is nothing to read.")
        actor = _actor_of(profile) or self._actor(wanted)
        return Owner(to_name(profile.get("id")) or "", actor, wanted.handle, base), profile

    def headers(self, base: str) -> dict[str, str]:
        """What proves to a server that we may ask: the access token in the environment, if there is one."""
        token = os.environ.get(token_name(base), "").strip()
        return {"Authorization": f"Bearer {token}"} if token else {}

    def check_wish(self, owner: Owner, profile: Mapping[str, Any]) -> None:
        """Raises Refused when the account asks not to be collected, unless the access token is its own."""
        reason = opt_out(profile)
        if reason is None or self._is_own(owner):
            return
        raise Refused(
            f"{owner.handle} asks not to be collected ({reason}), so it is left alone. If it is your own account, use "
            f"your archive (mastodon-archive:), or give its access token in {token_name(owner.server)}."
        )

    def check_rules(self, base: str) -> InstanceRules:
        """The server's rules. Raises RulesNotAccepted when it has any that nobody has accepted."""
        with self._lock:
            asking = self._locks.setdefault(base, threading.Lock())
        with asking:  # one question a server, and no server waits for another
            rules = self._rules.get(base) or self._read_rules(base)
            self._rules[base] = rules
            is_known = base in self._shown
            if rules.rules and not {rules.host, f"{rules.host}#{rules.digest}"} & self._accepted:
                self._shown.add(base)
                raise RulesNotAccepted(rules, is_known)
        return rules

    def accepted_rules(self) -> list[InstanceRules]:
        """The rules of all servers that were asked."""
        return [rules for rules in tuple(self._rules.values()) if rules.rules]

    def _read_rules(self, base: str) -> InstanceRules:
        host = urlsplit(base).netloc
        answer = self._transport.get(f"{base}/api/v1/instance/rules", headers=self.headers(base), accept=NO)
        rules = _json(answer)
        texts = (
            [to_name(rule.get("text")) for rule in rules if isinstance(rule, dict)] if isinstance(rules, list) else []
        )
        return InstanceRules(host, tuple(" ".join(text.split()) for text in texts[:100] if text))

    def _looked_up(self, base: str, wanted: Wanted) -> dict[str, Any] | None:
        """A server's own account; None when it does not know it, or not this way of asking."""
        url = f"{base}/api/v1/accounts/lookup"
        answer = self._transport.get(url, params={"acct": wanted.user}, headers=self.headers(base), accept=NO)
        if answer.status == 410:
            raise Refused(gone(wanted.handle), status=410)
        said = _json(answer)
        if answer.status in (401, 403) and isinstance(said, dict):  # a web page may be of a site that is no server
            raise Refused(sign_in(base), status=answer.status)
        return said if answer.status == 200 and _is(said, base, wanted) else None

    def _searched(self, base: str, wanted: Wanted) -> dict[str, Any] | None:
        """The account on a server that has no lookup: by its name as an id (Pleroma), or by searching."""
        host = host_of(base)
        attempts: tuple[tuple[str, dict[str, str | int]], ...] = (
            (f"/api/v1/accounts/{quote(wanted.user, safe='')}", {}),
            ("/api/v2/search", {"q": f"@{wanted.user}@{host}", "type": "accounts", "limit": 10}),
            ("/api/v1/accounts/search", {"q": f"{wanted.user}@{host}", "limit": 10}),
        )
        for path, params in attempts:
            answer = self._transport.get(base + path, params=params, headers=self.headers(base), accept=NO)
            found = _json(answer) if answer.status == 200 else None
            if isinstance(found, dict):
                found = found.get("accounts", [found])
            for profile in found if isinstance(found, list) else ():
                if _is(profile, base, wanted):
                    return dict(profile)
        return None

    def _actor(self, wanted: Wanted) -> str:
        """The URI that identifies the account, from its host's WebFinger. Raises Refused when there is no account."""
        url = f"{wanted.base}/.well-known/webfinger"
        answer = self._transport.get(url, params={"resource": f"acct:{wanted.user}@{wanted.host}"}, accept=NO)
        if answer.status == 410:
            raise Refused(gone(wanted.handle), status=410)
        found = _json(answer) if answer.status == 200 else None
        links = found.get("links") if isinstance(found, dict) else None
        for link in links if isinstance(links, list) else ():
            href = to_name(link.get("href")) if isinstance(link, dict) and link.get("rel") == "self" else None
            if href and href.startswith(("https://", "http://")) and host_of(href):
                return href
        raise Refused(
            f"There is no account {wanted.handle}: {wanted.host} does not know it. Check the name; it may have been "
            "renamed or deleted.",
            status=404,
        )

    def _is_own(self, owner: Owner) -> bool:
        headers = self.headers(owner.server)
        if not headers:
            return False
        answer = self._transport.get(
            f"{owner.server}/api/v1/accounts/verify_credentials", headers=headers, account=owner.handle, accept=NO
        )
        me = _json(answer) if answer.status == 200 else None
        return isinstance(me, dict) and to_name(me.get("id")) == owner.id


def opt_out(profile: Mapping[str, Any]) -> str | None:
    """How a profile says that it does not want to be collected; None when it does not say so."""
    source = profile.get("source")
    source = source if isinstance(source, dict) else {}
    if profile.get("noindex") is True or source.get("noindex") is True:
        return "its profile says noindex"
    if profile.get("discoverable") is False or source.get("discoverable") is False:
        return "its profile says that it is not to be discovered"
    fields = profile.get("fields")
    rows = [row for row in fields if isinstance(row, dict)] if isinstance(fields, list) else []
    written = [profile.get("note"), *(row.get(key) for row in rows for key in ("name", "value"))]
    for text in written:
        if isinstance(text, str) and (found := _OPT_OUT.search(html_text(text[:20_000]))):
            return f"its profile says {found[0]}"
    return None


def moved_to(profile: Mapping[str, Any], owner: Owner) -> str | None:
    """Where an account has moved, as `@user@host`."""
    moved = profile.get("moved")
    acct = to_name(moved.get("acct")) if isinstance(moved, dict) else None
    if acct is None:
        return None
    return f"@{acct}" if "@" in acct else f"@{acct}@{host_of(owner.server)}"


def token_name(base: str) -> str:
    """The environment variable for the access token of a server."""
    return "PASQUIN_MASTODON_TOKEN_" + re.sub(r"[^A-Z0-9]", "_", urlsplit(base).netloc.upper())


def gone(handle: str) -> str:
    """What to say of an account that its server says is gone."""
    return (
        f"{handle} is gone: its server says that it was deleted or suspended. What was collected of it is still here; "
        f"`pasquin forget` removes it."
    )


def sign_in(base: str) -> str:
    """What to say of a server that only answers those who have an account on it."""
    return (
        f"{host_of(base)} answers only those who have an account on it. Make an access token there (Preferences, "
        f"Development, scope `read`) and put it into the environment variable {token_name(base)}."
    )


def _json(answer: Response) -> Any:
    """The content parsed, None for a web page or anything else that is no JSON."""
    try:
        return answer.json()
    except NetworkError:
        return None


def _is(profile: object, base: str, wanted: Wanted) -> bool:
    """Whether a profile is that of the wanted account, on the server that speaks for it."""
    if not isinstance(profile, dict) or not to_name(profile.get("id")):
        return False
    user, _, host = (to_name(profile.get("acct")) or wanted.user).partition("@")
    hosts = {host_of(base), host_of(wanted.handle)}
    actor = _actor_of(profile)
    return (
        user.casefold() == wanted.user.casefold()
        and (not host or host.lower() in hosts)
        and (actor is None or host_of(actor) in hosts)
    )


def _actor_of(profile: Mapping[str, Any]) -> str | None:
    pleroma = profile.get("pleroma")
    return to_name(profile.get("uri")) or (to_name(pleroma.get("ap_id")) if isinstance(pleroma, dict) else None)
