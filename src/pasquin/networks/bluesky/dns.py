"""The DID that a handle has in DNS: the TXT record `did=…` at `_atproto.` (AT Protocol, "Handle", "DNS TXT method").

Asked with the package `dnspython`, which comes with `pasquin[bluesky]`. A name is asked from the resolver of this
machine, also where there are proxies.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import Final

from pasquin.errors import NetworkError

_SECONDS: Final = 5.0


def can_ask() -> bool:
    """Whether DNS can be asked here."""
    return find_spec("dns") is not None


def did_in_dns(handle: str) -> str | None:
    """What the records of `handle` say is its DID; None when they say nothing, or several things.

    Raises NetworkError when DNS does not answer.
    """
    import dns.exception
    import dns.resolver

    try:
        answer = dns.resolver.resolve(f"_atproto.{handle}.", "TXT", lifetime=_SECONDS)
    except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer, dns.resolver.YXDOMAIN):
        return None
    except (dns.exception.DNSException, OSError) as exc:
        raise NetworkError(f"DNS does not say who {handle} is ({type(exc).__name__}). Try again later.") from exc
    texts = {b"".join(record.strings).decode("utf-8", "replace") for record in answer}
    dids = {text.removeprefix("did=") for text in texts if text.startswith("did=")}
    return dids.pop() if len(dids) == 1 else None
