"""A bot's own account on Bluesky: its session, and calls with it (through the AT Protocol SDK).

The session is renewed under the lock of `SessionKeeper`; a call that is refused because the token has expired was not
carried out, so it is made again with the new one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NoReturn
from urllib.parse import urlsplit

import httpx
import orjson

from pasquin.errors import (
    AccountRefused,
    NetworkError,
    NotSent,
    RateLimited,
    Refused,
    ResourceError,
)
from pasquin.networks.servers import limited, user_agent
from pasquin.networks.sessions import Kept, Session, SessionKeeper

ENTRYWAY: Final = "https://bsky.social"
_GONE: Final = frozenset(
    {
        "AccountTakedown",
        "AccountSuspended",
        "AccountDeactivated",
        "RepoTakendown",
        "RepoSuspended",
        "RepoDeactivated",
        "RepoNotFound",
        "AuthFactorTokenRequired",
    }
)
_TOKEN: Final = frozenset({"ExpiredToken", "InvalidToken"})


class CallRefusedError(Refused):
    """The server refused a call, for the reason it names in `error`; nothing was changed."""

    error: str = ""


@dataclass
class BlueskyAccount:
    """An account that we may write to; `server` is where it signs in."""

    handle: str
    server: str
    keeper: SessionKeeper
    timeout: float
    own_hosts: tuple[str, ...] = ()
    _clients: dict[str, Any] = field(default_factory=dict)

    def session(self) -> Session:
        """The session, signed in when there is none. Whatever goes wrong here, nothing was sent."""
        kept = self.keeper.kept()
        return kept.session if kept.session is not None else self.keeper.renew(kept, self._signed_in)

    def query(self, method: str, params: Mapping[str, str]) -> Any:
        """A GET with the session."""
        return self._with_token(
            lambda client, headers: client.invoke_query(method, params=_Params(params), headers=headers)
        )

    def procedure(self, method: str, body: Mapping[str, Any] | bytes, content_type: str = "application/json") -> Any:
        """A POST with the session; the body goes out to the letter."""
        content = body if isinstance(body, bytes) else orjson.dumps(dict(body))
        return self._with_token(
            lambda client, headers: client.invoke_procedure(
                method, content=content, headers={**headers, "Content-Type": content_type}
            )
        )

    def _with_token(self, call: Callable[[Any, dict[str, str]], Any]) -> Any:
        session = self.session()
        try:
            return self._as(session, call)
        except CallRefusedError as exc:
            if exc.error not in _TOKEN:
                raise
        kept = self.keeper.kept()
        if kept.session is None or kept.session["access"] == session["access"]:
            kept = Kept(self.keeper.renew(kept, self._renewed), kept.generation + 1)
        assert kept.session is not None
        return self._as(kept.session, call)

    def _as(self, session: Session, call: Callable[[Any, dict[str, str]], Any]) -> Any:
        headers = {"Authorization": f"Bearer {session['access']}"}
        return self._called(lambda: call(self._client(session["pds"]), headers), session["pds"])

    def _renewed(self, old: Session | None) -> Session:
        """A fresh session by the old one's refresh token, or by signing in."""
        if old is None:
            return self._signed_in(None)
        headers = {"Authorization": f"Bearer {old['refresh']}"}
        try:
            answer = self._before(
                lambda: self._client(old["pds"]).invoke_procedure("com.atproto.server.refreshSession", headers=headers),
                old["pds"],
            )
        except Refused:
            return self._signed_in(None)
        return self._as_session(answer, old["pds"])

    def _signed_in(self, _: Session | None) -> Session:
        body = orjson.dumps({"identifier": self.handle, "password": self.keeper.password})
        headers = {"Content-Type": "application/json"}
        answer = self._before(
            lambda: self._client(self.server).invoke_procedure(
                "com.atproto.server.createSession", content=body, headers=headers
            ),
            self.server,
        )
        return self._as_session(answer, self._endpoint(answer))

    def _before(self, call: Callable[[], Any], server: str) -> Any:
        """A call before anything is sent: every failure says that nothing was."""
        try:
            return self._called(call, server)
        except (NotSent, RateLimited, AccountRefused):
            raise
        except CallRefusedError as exc:
            raise AccountRefused(
                f"Bluesky does not let @{self.handle} sign in ({exc.error or exc.status}). "
                "Make a new app password, set it, then run `pasquin bot resume`."
            ) from exc
        except NetworkError as exc:
            raise NotSent(f"Signing in did not work: {exc}") from exc

    def _as_session(self, answer: Any, pds: str) -> Session:
        try:
            return {
                "did": str(answer["did"]),
                "handle": str(answer["handle"]),
                "access": str(answer["accessJwt"]),
                "refresh": str(answer["refreshJwt"]),
                "pds": pds,
            }
        except (KeyError, TypeError) as exc:
            raise NotSent(f"{urlsplit(pds).netloc} answered a sign-in with something else. Try again later.") from exc

    def _endpoint(self, answer: Any) -> str:
        """The account's own server, as its DID document says; where that is no address we may use, the one we asked."""
        try:
            services = answer["didDoc"]["service"]
            found = next(one["serviceEndpoint"] for one in services if one["id"].endswith("#atproto_pds"))
            parts = urlsplit(found)
            usable = parts.scheme == "https" or {parts.netloc, parts.hostname} & set(self.own_hosts)
        except (KeyError, TypeError, AttributeError, ValueError, StopIteration):
            return self.server
        return str(found).rstrip("/") if usable else self.server

    def _client(self, server: str) -> Any:
        if server not in self._clients:
            try:
                from atproto_client.client.base import ClientBase
                from atproto_client.request import Request
            except ImportError as exc:
                raise ResourceError('Publishing needs packages: `pip install "pasquin[publish]"`.') from exc
            request = Request(timeout=self.timeout)
            request.add_additional_header("User-Agent", user_agent())
            self._clients[server] = ClientBase(server, request)
        return self._clients[server]

    def _called(self, call: Callable[[], Any], server: str) -> Any:
        """The content of an answer; the SDK's errors become ours."""
        from atproto_client import exceptions

        host = urlsplit(server).netloc
        try:
            return call().content
        except exceptions.RequestErrorBase as exc:
            _refuse(exc, host, self.handle)
        except httpx.HTTPError as exc:
            raise NetworkError(f"{host} did not answer to the end ({type(exc).__name__}).") from exc
        except ValueError as exc:
            raise NetworkError(f"{host} answered something that is no JSON.") from exc


def _refuse(exc: Any, host: str, handle: str) -> NoReturn:
    answer = exc.response
    if answer is None:
        if isinstance(exc.__cause__, httpx.ConnectError | httpx.ConnectTimeout):
            raise NotSent(f"{host} cannot be reached. Check the address and the connection.") from exc
        raise NetworkError(f"{host} did not answer to the end ({type(exc.__cause__).__name__}).") from exc
    error = str(getattr(answer.content, "error", None) or "")
    status = int(answer.status_code)
    if status == 429:
        wait = limited(answer.headers, f"{host} asks to wait", at_least=300.0)
        assert wait is not None
        raise wait from exc
    if error in _GONE:
        raise AccountRefused(
            f"Bluesky does not let @{handle} publish ({error}). Look at the account, then run `pasquin bot resume`.",
            status=status,
        ) from exc
    if 400 <= status < 500 and status not in (408, 409):
        message = str(getattr(answer.content, "message", None) or "")[:200]
        refused = CallRefusedError(f"{host} refused: {error or status}. {message}".strip(), status=status)
        refused.error = error
        raise refused from exc
    raise NetworkError(f"{host} answered {status}.", status=status) from exc


class _Params:
    """Parameters in the shape in which the SDK takes them."""

    def __init__(self, params: Mapping[str, str]) -> None:
        self._params = dict(params)

    def model_dump(self, **_: Any) -> dict[str, str]:
        return self._params
