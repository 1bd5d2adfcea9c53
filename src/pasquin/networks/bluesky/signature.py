"""Whether an account signed the commit at the root of its repository, by the key in its DID document.

A commit's signature is ECDSA over SHA-256 of its DAG-CBOR without `sig`: 64 bytes, r and s, s in the lower half
(AT Protocol, "Repository" and "Cryptography"). The curve is P-256 or secp256k1. The arithmetic is that of the package
`cryptography`, which comes with `pasquin[bluesky]`; without it nothing is claimed to be verified.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from functools import cache
from importlib.util import find_spec
from typing import Any, Final

from cbrrr import decode_dag_cbor, encode_dag_cbor

UNCHECKED: Final = (
    "The signatures of Bluesky repositories were not checked: that needs the package cryptography. "
    "To have it: pip install 'pasquin[bluesky]'."
)
_ALPHABET: Final = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_K256: Final = b"\xe7\x01"
_P256: Final = b"\x80\x24"
"""Multicodec prefixes of compressed public keys."""
_ORDERS: Final = {
    _K256: 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141,
    _P256: 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551,
}
_OLD_TYPES: Final = {"EcdsaSecp256k1VerificationKey2019": _K256, "EcdsaSecp256r1VerificationKey2019": _P256}
"""Kinds of keys that stand in DID documents of before 2023, without a multicodec prefix."""
_LONGEST_KEY: Final = 200


class Signed(Enum):
    """What is known of a commit's signature."""

    VERIFIED = "verified"
    FALSE = "false"
    UNKNOWN = "unknown"
    """`cryptography` is not installed."""


def signing_key(document: Mapping[str, Any]) -> bytes | None:
    """The key of an account as (multicodec prefix, point), from the method `#atproto` of its DID document."""
    methods = document.get("verificationMethod")
    for method in methods if isinstance(methods, list) else ():
        if not isinstance(method, Mapping) or not str(method.get("id")).endswith("#atproto"):
            continue
        written = method.get("publicKeyMultibase")
        content = _base58(written[1:]) if isinstance(written, str) and written[:1] == "z" else None
        if content is None:
            return None
        old = _OLD_TYPES.get(str(method.get("type")))
        key = content if old is None else old + content
        return key if key[:2] in _ORDERS else None
    return None


def check_signature(commit: bytes, key: bytes | None) -> Signed:
    """Whether `commit` (a block) was signed with `key`, as `signing_key` gives it; FALSE when either makes no sense."""
    if not can_check():
        return Signed.UNKNOWN
    try:
        content: Any = decode_dag_cbor(commit)
        signature = content.pop("sig")
        message = encode_dag_cbor(content)
    except (ValueError, KeyError, TypeError, AttributeError):
        return Signed.FALSE
    if key is None or not isinstance(signature, bytes) or len(signature) != 64:
        return Signed.FALSE
    r, s = int.from_bytes(signature[:32]), int.from_bytes(signature[32:])
    if not 0 < s <= _ORDERS[key[:2]] // 2:
        return Signed.FALSE
    return Signed.VERIFIED if _is_signed(message, r, s, key) else Signed.FALSE


@cache
def can_check() -> bool:
    """Whether signatures can be checked here."""
    return find_spec("cryptography") is not None


def _is_signed(message: bytes, r: int, s: int, key: bytes) -> bool:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric import ec, utils
    from cryptography.hazmat.primitives.hashes import SHA256

    curve = ec.SECP256K1() if key[:2] == _K256 else ec.SECP256R1()
    try:
        public = ec.EllipticCurvePublicKey.from_encoded_point(curve, key[2:])
        public.verify(utils.encode_dss_signature(r, s), message, ec.ECDSA(SHA256()))
    except (InvalidSignature, ValueError):
        return False
    return True


def _base58(text: str) -> bytes | None:
    """The bytes that base58btc text means; None when it is none."""
    if len(text) > _LONGEST_KEY or not set(text) <= set(_ALPHABET):
        return None
    value = 0
    for letter in text:
        value = value * 58 + _ALPHABET.index(letter)
    zeros = len(text) - len(text.lstrip("1"))
    return b"\0" * zeros + value.to_bytes((value.bit_length() + 7) // 8)
