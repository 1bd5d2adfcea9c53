"""Who an account is and where it lives: handle -> DID -> DID document -> personal data server (PDS)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

from pasquin.config import CollectSettings
from pasquin.errors import NetworkError, Refused, UsageError
from pasquin.networks.bluesky.dns import can_ask, did_in_dns
from pasquin.networks.bluesky.signature import signing_key
from pasquin.networks.transport import Transport

_HANDLE: Final = re.compile(
    r"(?=.{4,253}$)(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?"
)
_DID: Final = re.compile(r"did:(?:plc:[a-z2-7]{24}|web:[a-z0-9.-]+(?:%3[aA]\d{1,5})?)")
_SMALL: Final = 2**20
PDS_LIMIT: Final = (3_000, 300.0)
"""Requests and seconds that Bluesky's servers allow an address."""


@dataclass(frozen=True)
class Identity:
    """An account: its DID, the handle it gives itself (None when it gives none), and its server's address."""

    did: str
    handle: str | None
    pds: str
    key: bytes | None = None
    """What it signs its repository with, see `signature`."""


class Directory:
    """Looks accounts up."""

    def __init__(self, settings: CollectSettings, transport: Transport) -> None:
        self._plc = settings.bluesky_plc.rstrip("/")
        self._api = settings.bluesky_api.rstrip("/")
        self._transport = transport
        for service in (self._plc, self._api):
            transport.limit(service, *PDS_LIMIT)

    def find(self, name: str) -> Identity:
        """The account called `name`, a handle or a DID.

        Raises UsageError when it can be neither, Refused when there is no such account (any more).
        """
        name = name.strip().removeprefix("@").strip("\u200e\u200f\u202a\u202c\u2066\u2069")
        if name.startswith("did:"):
            if not _DID.fullmatch(name):
                raise UsageError(f"`{name[:100]}` is no DID of an account: they begin with did:plc: or did:web:.")
            return self._identity(name)
        handle = name.lower()
        if not _HANDLE.fullmatch(handle):
            raise UsageError(f"`{name[:100]}` is no Bluesky handle: write it in full, such as someone.bsky.social.")
        found = self._identity(self._resolve(handle))
        if found.handle != handle:
            raise Refused(
                f"{handle} points to the account {found.did}, which does not call itself so. "
                f"If that is the account you mean, write bluesky:{found.did}."
            )
        return found

    def _resolve(self, handle: str) -> str:
        """The DID that a handle stands for: as the public API says, else DNS, else the handle's own host."""
        failures: list[NetworkError] = []
        for ask in (self._ask_api, self._ask_dns, self._ask_host):
            try:
                did = ask(handle)
            except NetworkError as exc:
                failures.append(exc)
                continue
            if did is not None and _DID.fullmatch(did):
                return did
        if failures and not isinstance(failures[0], Refused):
            raise failures[0]
        hint = "" if can_ask() else " DNS was not asked: that needs pip install 'pasquin[bluesky]'."
        raise Refused(
            f"There is no Bluesky account {handle}: it may have been renamed or deleted. Look up its present handle, "
            f"or use its DID, which never changes.{hint}"
        ) from (failures[0] if failures else None)

    def _ask_api(self, handle: str) -> str | None:
        url = f"{self._api}/xrpc/com.atproto.identity.resolveHandle"
        answer = self._transport.get_json(url, params={"handle": handle}, max_bytes=_SMALL)
        did = answer.get("did") if isinstance(answer, Mapping) else None
        return did if isinstance(did, str) else None

    def _ask_dns(self, handle: str) -> str | None:
        return did_in_dns(handle) if can_ask() else None

    def _ask_host(self, handle: str) -> str | None:
        return self._transport.get(f"https://{handle}/.well-known/atproto-did", max_bytes=_SMALL).text.strip()

    def _identity(self, did: str) -> Identity:
        document = self._document(did)
        handle = next(
            (name[5:].lower() for name in _texts(document.get("alsoKnownAs")) if name.startswith("at://")), None
        )
        for service in document.get("service") or []:
            if isinstance(service, Mapping) and str(service.get("id")).endswith("#atproto_pds"):
                pds = service.get("serviceEndpoint")
                if isinstance(pds, str) and pds.startswith(("https://", "http://")):
                    self._transport.limit(pds, *PDS_LIMIT)
                    known = handle if handle and _HANDLE.fullmatch(handle) else None
                    return Identity(did, known, pds.rstrip("/"), signing_key(document))
        raise Refused(f"The account {did} names no server where its posts are: it has been deactivated or deleted.")

    def _document(self, did: str) -> Mapping[str, Any]:
        """The DID document. Raises Refused with status 410 when the account was deleted for good."""
        if did.startswith("did:plc:"):
            url = f"{self._plc}/{did}"
        else:
            url = f"https://{did[8:].replace('%3A', ':').replace('%3a', ':')}/.well-known/did.json"
        try:
            document = self._transport.get(url, keep=True, max_bytes=_SMALL).json()
        except Refused as exc:
            if exc.status in (404, 410):
                word = "was deleted" if exc.status == 410 else "is not registered"
                raise Refused(f"The account {did} {word}.", status=exc.status) from exc
            raise
        if not isinstance(document, Mapping) or document.get("id") != did:
            raise NetworkError(f"The directory answered with another account than {did}. Try again later.")
        return document


def _texts(value: object) -> list[str]:
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []


def error_name(error: NetworkError) -> str:
    """The name that an AT Protocol server gives its refusal (`RepoNotFound`), empty when it gives none."""
    try:
        name = orjson.loads(error.body)["error"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return ""
    return name if isinstance(name, str) else ""
