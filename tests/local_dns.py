"""A name server for tests, on a free port of this machine; `records` maps names to the texts they have."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import dns.flags
import dns.message
import dns.rcode
import dns.resolver
import dns.rrset
import pytest


@contextmanager
def local_dns(records: Mapping[str, Sequence[str]]) -> Iterator[None]:
    """While in use, `dns.resolver` asks this server and no other. A name with no texts never gets an answer."""
    held = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    held.bind(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                wire, who = held.recvfrom(4096)
            except OSError:
                return
            query = dns.message.from_wire(wire)
            name = query.question[0].name
            texts = records.get(name.to_text(omit_final_dot=True))
            if texts is not None and not texts:
                continue
            answer = dns.message.make_response(query)
            answer.flags |= dns.flags.RA
            if texts is None:
                answer.set_rcode(dns.rcode.NXDOMAIN)
            else:
                answer.answer.append(dns.rrset.from_text(name, 60, "IN", "TXT", *texts))
            held.sendto(answer.to_wire(), who)

    threading.Thread(target=serve, daemon=True).start()
    resolver = dns.resolver.Resolver(configure=False)
    resolver.nameservers, resolver.port = ["127.0.0.1"], held.getsockname()[1]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dns.resolver, "default_resolver", resolver)
        try:
            yield
        finally:
            held.close()
