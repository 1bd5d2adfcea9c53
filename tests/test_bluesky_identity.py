"""Who an account is and what it signed: DNS, DID documents and signatures, without a network."""

from __future__ import annotations

import json
from typing import Any

import pytest
from cbrrr import encode_dag_cbor
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from hostile_server import HostileServer, give, hostile_server
from local_dns import local_dns
from pasquin.config import CollectSettings
from pasquin.errors import NetworkError, Refused
from pasquin.networks.bluesky import identity, signature
from pasquin.networks.bluesky.dns import did_in_dns
from pasquin.networks.bluesky.identity import Directory
from pasquin.networks.bluesky.signature import Signed, check_signature, signing_key
from pasquin.networks.transport import Transport

DID = "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa"
OTHER = "did:plc:bbbbbbbbbbbbbbbbbbbbbbbb"
CURVES: list[tuple[ec.EllipticCurve, bytes, str, int]] = [
    (ec.SECP256K1(), b"\xe7\x01", "EcdsaSecp256k1VerificationKey2019", signature._ORDERS[b"\xe7\x01"]),
    (ec.SECP256R1(), b"\x80\x24", "EcdsaSecp256r1VerificationKey2019", signature._ORDERS[b"\x80\x24"]),
]


def base58(content: bytes) -> str:
    value, text = int.from_bytes(content), ""
    while value:
        value, rest = divmod(value, 58)
        text = signature._ALPHABET[rest] + text
    return text


def document(key: str, kind: str = "Multikey") -> dict[str, Any]:
    method = {"id": f"{DID}#atproto", "type": kind, "controller": DID, "publicKeyMultibase": key}
    return {"id": DID, "verificationMethod": [{"id": "#other"}, method]}


def signed(secret: ec.EllipticCurvePrivateKey, order: int, low: bool = True, **fields: object) -> bytes:
    """A commit with its signature, s in the lower half or not."""
    commit: dict[str, Any] = {"did": DID, "version": 3, "rev": "3kaaaaaaaaaa2", "prev": None, "data": b"x", **fields}
    r, s = utils.decode_dss_signature(secret.sign(encode_dag_cbor(commit), ec.ECDSA(SHA256())))
    s = min(s, order - s) if low else max(s, order - s)
    return encode_dag_cbor(commit | {"sig": r.to_bytes(32) + s.to_bytes(32)})


@pytest.mark.parametrize(("curve", "prefix", "old", "order"), CURVES, ids=["k256", "p256"])
def test_a_commit_is_signed_by_the_key_of_the_did_document(
    curve: ec.EllipticCurve, prefix: bytes, old: str, order: int
) -> None:
    secret, stranger = ec.generate_private_key(curve), ec.generate_private_key(curve)
    point = secret.public_key().public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
    whole = secret.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    for found in (document("z" + base58(prefix + point)), document("z" + base58(whole), old)):
        key = signing_key(found)
        assert check_signature(signed(secret, order), key) is Signed.VERIFIED
        assert check_signature(signed(stranger, order), key) is Signed.FALSE
        assert check_signature(signed(secret, order, low=False), key) is Signed.FALSE
        commit = signed(secret, order)
        assert check_signature(commit.replace(b"3kaaaaaaaaaa2", b"3kaaaaaaaaaa3"), key) is Signed.FALSE
        assert check_signature(encode_dag_cbor({"did": DID, "sig": b"short"}), key) is Signed.FALSE
        assert check_signature(encode_dag_cbor({"did": DID}), key) is Signed.FALSE
        assert check_signature(commit, None) is Signed.FALSE


@pytest.mark.parametrize(
    "key", ["z", "", "zI0", "x123", "z" + "2" * 500, None, 5, "z" + base58(b"\xed\x01" + b"k" * 32)]
)
def test_keys_of_no_sense_are_none(key: Any) -> None:
    assert signing_key(document(key)) is None
    assert signing_key({"verificationMethod": {"id": key}}) is None
    assert signing_key({"verificationMethod": [key, {"id": "#atproto"}]}) is None


@given(st.binary(max_size=200), st.binary(min_size=2, max_size=80))
def test_nothing_odd_is_taken_for_a_signature(commit: bytes, point: bytes) -> None:
    for prefix in (b"\xe7\x01", b"\x80\x24"):
        assert check_signature(commit, prefix + point) is Signed.FALSE
        sealed = encode_dag_cbor({"did": DID, "sig": (commit + b"1" * 64)[:64]})
        assert check_signature(sealed, prefix + point) is Signed.FALSE


def test_without_the_package_nothing_is_said_to_be_verified(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signature, "can_check", lambda: False)
    assert check_signature(b"anything", None) is Signed.UNKNOWN


def test_dns_says_which_did_a_handle_has() -> None:
    records = {
        "_atproto.one.example": ["v=spf1 -all", f"did={DID}"],
        "_atproto.twice.example": [f"did={DID}", f"did={DID}"],
        "_atproto.two.example": [f"did={DID}", f"did={OTHER}"],
        "_atproto.none.example": ["something else"],
        "_atproto.silent.example": [],
    }
    with local_dns(records):
        assert did_in_dns("one.example") == DID
        assert did_in_dns("twice.example") == DID
        assert did_in_dns("two.example") is None
        assert did_in_dns("none.example") is None
        assert did_in_dns("nobody.example") is None


def test_dns_that_does_not_answer_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    from pasquin.networks.bluesky import dns

    monkeypatch.setattr(dns, "_SECONDS", 0.3)
    with local_dns({"_atproto.silent.example": []}), pytest.raises(NetworkError, match="DNS does not say"):
        did_in_dns("silent.example")


def no_host(_: Directory, __: str) -> None:
    """The handle's own host says nothing."""


def directory(server: HostileServer, handle: str) -> Directory:
    """A directory whose API knows nobody, with one DID document that claims `handle`."""

    def plc(request: Any, _: int) -> None:
        service = [{"id": "#atproto_pds", "serviceEndpoint": "https://pds.example"}]
        give(request, json.dumps({"id": DID, "alsoKnownAs": [f"at://{handle}"], "service": service}).encode())

    server.answers[f"/{DID}"] = plc
    server.answers["/xrpc/com.atproto.identity.resolveHandle"] = lambda request, _: give(request, b"{}", 400)
    chosen = CollectSettings(
        bluesky_plc=server.url(""), bluesky_api=server.url(""), allow_private_hosts=(server.host,), max_wait_seconds=1
    )
    return Directory(chosen, Transport(chosen, backoff=0.01, tries=1))


def test_a_handle_counts_only_where_both_sides_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """DNS gives the DID; the DID's document has to name the handle."""
    monkeypatch.setattr(Directory, "_ask_host", no_host)
    with hostile_server() as server, local_dns({"_atproto.one.example": [f"did={DID}"]}):
        assert directory(server, "one.example").find("@One.example").did == DID
        with pytest.raises(Refused, match="does not call itself so"):
            directory(server, "else.example").find("one.example")
        with pytest.raises(Refused, match="no Bluesky account nobody"):
            directory(server, "one.example").find("nobody.example")


def test_without_the_package_dns_is_not_asked_and_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Directory, "_ask_host", no_host)
    monkeypatch.setattr(identity, "can_ask", lambda: False)
    wanted = pytest.raises(Refused, match=r"DNS was not asked: that needs pip install 'pasquin\[bluesky\]'")
    with hostile_server() as server, local_dns({"_atproto.one.example": [f"did={DID}"]}), wanted:
        directory(server, "one.example").find("one.example")
