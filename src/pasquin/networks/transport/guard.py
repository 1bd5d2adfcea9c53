"""Which addresses may be asked: only public ones, over https, and the one that was checked is the one connected to.

An instance's URL comes from whoever runs the instance, so it may be made to lead into our own network: by an address,
by a name that resolves to one, by a redirect, or by a name that resolves differently the second time (rebinding).
`Guard` refuses such URLs, and `CheckedBackend` resolves, checks and connects in one step. One's own servers are named
in the setting `allow_private_hosts`.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final, cast

import httpcore
import httpx

from pasquin.errors import InwardAddress, NetworkError

if TYPE_CHECKING:
    Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_NUMBER: Final = re.compile(r"0x[0-9a-f]*|[0-9]+", re.IGNORECASE)
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")
_NEVER: Final = tuple(
    ipaddress.ip_network(network)
    for network in (
        "0.0.0.0/8",
        "100.64.0.0/10",
        "192.0.0.0/24",
        "192.88.99.0/24",  # 6to4 relays
        "198.18.0.0/15",
        "240.0.0.0/4",
        "::/96",  # IPv4-compatible
        "64:ff9b:1::/48",  # local NAT64
        "100::/64",
        "2001::/23",  # Teredo, ORCHID and other special purposes
        "2002::/16",  # 6to4 carries any IPv4 address inside
        "3fff::/20",
        "5f00::/16",
        "fc00::/7",
        "fec0::/10",
    )
)
"""Ranges that are not public, whatever the running Python's tables say."""


def is_public(address: Address) -> bool:
    """Whether an address is reachable on the Internet and can lead to no private one."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return is_public(address.ipv4_mapped)
        if address in _NAT64:
            return is_public(ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF))
        if address.scope_id is not None or int(address) >> 32 & 0xFFFF_FFFF in (0x5EFE, 0x0200_5EFE):  # link, ISATAP
            return False
    if any(address.version == network.version and address in network for network in _NEVER):
        return False
    return address.is_global and not address.is_multicast and not address.is_reserved


class Guard:
    """Says which URLs and addresses may be asked."""

    def __init__(self, allowed: Iterable[str]) -> None:
        """`allowed` are hosts (`name` or `name:port`) that may be private and without https."""
        self._allowed = {host.lower().removesuffix(".") for host in allowed}

    def is_allowed(self, host: str, port: int | None) -> bool:
        """Whether the person said that this host may be in a private network."""
        bracketed = f"[{host}]" if ":" in host else host
        return bool(self._allowed & {host, bracketed, f"{bracketed}:{port}"})

    def check(self, url: str | httpx.URL) -> httpx.URL:
        """The URL to ask for `url`: with https, unless the host is one's own.

        Raises NetworkError when it is none, InwardAddress when it is made to deceive or leads inward as it stands.
        """
        try:
            parsed = httpx.URL(url)
        except (httpx.InvalidURL, TypeError, ValueError, UnicodeError) as exc:
            raise NetworkError(f"A web address cannot be understood ({type(exc).__name__}). Check it.") from exc
        host = parsed.host.lower().removesuffix(".")
        if parsed.scheme not in ("http", "https") or not host:
            raise NetworkError("A web address must begin with https:// and name a host. Check it.")
        if parsed.userinfo:
            raise InwardAddress(f"The address of {host} has a name or password in it, and is not asked.")
        port = parsed.port or (443 if parsed.scheme == "https" else 80)
        if self.is_allowed(host, port):
            return parsed
        self._check_literal(host)
        if parsed.scheme == "http":
            parsed = parsed.copy_with(scheme="https", port=None if port in (80, 443) else port)
        return parsed

    def _check_literal(self, host: str) -> None:
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            if _NUMBER.fullmatch(host.rpartition(".")[2]) or "%" in host:
                raise InwardAddress(f"{host} is an address in disguise, and is not asked.") from None
            if "." not in host or host.endswith((".localhost", ".local", ".internal", ".home.arpa")):
                raise InwardAddress(_inward(host)) from None
            return
        if not is_public(address):
            raise InwardAddress(_inward(host))

    def addresses(self, host: str, port: int) -> list[str]:
        """Addresses of a host, IPv4 first; all of them are public unless the host is one's own.

        Raises InwardAddress when any is not, NetworkError when there is no such name, httpcore.ConnectError when that
        cannot be told now.
        """
        host = host.lower().removesuffix(".")
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as exc:
            if isinstance(exc, UnicodeError) or exc.errno == socket.EAI_NONAME:
                raise NetworkError(f"There is no host {host}. Check the address, and the connection.") from exc
            raise httpcore.ConnectError(f"the name {host} does not resolve") from exc
        addresses = list(dict.fromkeys(cast(str, entry[4][0]) for entry in found))
        if not self.is_allowed(host, port) and not all(is_public(ipaddress.ip_address(one)) for one in addresses):
            raise InwardAddress(_inward(host))
        return sorted(addresses, key=lambda address: ":" in address)


def _inward(host: str) -> str:
    return (
        f"{host} leads into a private network, and is not asked. If it is your own server, name it in the setting "
        "`allow_private_hosts` of [collect]."
    )


class CheckedBackend(httpcore.NetworkBackend):
    """Connects to the very addresses that the guard checked: a name cannot change its mind in between."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        self._backend = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        """A connection to the first address that takes one."""
        failure: Exception = httpcore.ConnectError(f"the name {host} has no address")
        for address in self._guard.addresses(host, port):
            try:
                return self._backend.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as exc:
                failure = exc
        raise failure
