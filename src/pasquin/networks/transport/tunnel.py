"""A way through an HTTP proxy for encrypted connections: `CONNECT` to the address that was checked here.

The proxy never gets to resolve the name, so a name cannot mean one host to us and another to the proxy; encryption and
the check of the certificate are by name, end to end.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable
from typing import Final

import httpcore
import httpx

from pasquin.networks.transport.guard import Guard

_LONGEST_HEAD: Final = 16 * 1024


class TunnelBackend(httpcore.NetworkBackend):
    """Connects to checked addresses through one proxy."""

    def __init__(self, guard: Guard, proxy: httpx.URL) -> None:
        """`proxy` may carry a name and a password."""
        self._guard = guard
        self._host, self._port = proxy.host, proxy.port or (443 if proxy.scheme == "https" else 80)
        self._secure = proxy.scheme == "https"
        credentials = f"{proxy.username}:{proxy.password}".encode()
        self._authorization = base64.b64encode(credentials).decode() if proxy.username else ""
        self._backend = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        """A stream to `host` by way of the proxy; raises httpcore.ProxyError when the proxy does not provide it."""
        address = host if self._guard.is_allowed(host, port) else self._guard.addresses(host, port)[0]
        target = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
        stream = self._backend.connect_tcp(self._host, self._port, timeout, local_address, socket_options)
        try:
            if self._secure:
                stream = stream.start_tls(httpx.create_ssl_context(), self._host, timeout)
            head = f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n"
            if self._authorization:
                head += f"Proxy-Authorization: Basic {self._authorization}\r\n"
            stream.write(f"{head}\r\n".encode(), timeout)
            _expect_success(stream, timeout)
        except (httpcore.NetworkError, httpcore.TimeoutException) as exc:
            stream.close()
            raise httpcore.ProxyError("the proxy does not answer") from exc
        except httpcore.ProxyError:
            stream.close()
            raise
        return stream


def _expect_success(stream: httpcore.NetworkStream, timeout: float | None) -> None:
    head = b""
    while b"\r\n\r\n" not in head:
        more = stream.read(4096, timeout)
        head += more
        if not more or len(head) > _LONGEST_HEAD:
            raise httpcore.ProxyError("the proxy hung up")
    if not re.match(rb"HTTP/1\.[01] 2\d\d\b", head):
        raise httpcore.ProxyError("the proxy refused")
