"""An account's picture, from its network's own address."""

from __future__ import annotations

from urllib.parse import urlsplit

import httpx

from pasquin.errors import NetworkError
from pasquin.networks.servers import user_agent

_MAX_BYTES = 20 * 2**20


def picture(url: str, timeout: float, own_hosts: tuple[str, ...] = ()) -> bytes:
    """The bytes at `url`: https (or a host of one's own), no redirects, 20 MB at most. Raises NetworkError."""
    parts = urlsplit(url)
    if parts.scheme != "https" and not {parts.netloc, parts.hostname} & set(own_hosts):
        raise NetworkError("The account's picture is at an address that is not https. Upload it again.")
    try:
        with httpx.stream("GET", url, timeout=timeout, headers={"User-Agent": user_agent()}) as answer:
            if not answer.is_success:
                raise NetworkError(f"The account's picture cannot be read ({answer.status_code}). Try again later.")
            content = bytearray()
            for part in answer.iter_bytes():
                content += part
                if len(content) > _MAX_BYTES:
                    raise NetworkError("The account's picture is too large to look at. Upload a smaller one.")
    except httpx.HTTPError as exc:
        raise NetworkError(f"The account's picture cannot be read ({type(exc).__name__}). Try again later.") from exc
    return bytes(content)
