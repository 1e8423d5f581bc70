"""Whose an access token is, by the keys that may sign it. Each key has its one algorithm, whatever a header says.

The host's signing key signs by HS256. Where the host's revision has ``SIWE_JWT_PUBLIC_KEY``, a token may also be
signed by RS256 for that key. The text of the public key is never taken for a secret, for it is none.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from .. import revision
from ..domain.addresses import is_address
from ..errors import Problem, Refused
from ..settings import conf
from ..telemetry import note, step

ISSUER = "passport-scorer"  # of RS256 tokens
_UNREADABLE = (jwt.PyJWTError, ArithmeticError, RecursionError, TypeError, ValueError)
_HS256: Any = {"require": ["exp"], "verify_aud": False, "verify_iss": False, "verify_sub": False,
                          "verify_jti": False}  # fmt: skip
_RS256: Any = {"require": ["exp", "iss"], "verify_sub": False, "verify_jti": False}


def authenticate(token: str) -> str:
    """:func:`address_of`, as a step of the request under way."""
    with step("auth"):
        address = address_of(token)
    note(address=address)
    return address


def address_of(token: str) -> str:
    """The address, lower-cased, that a good access token belongs to; Refused for any other token."""
    claims = _by_public_key(token) or _by_signing_key(token)
    did = claims.get("did")
    address = did.rpartition(":")[2].lower() if isinstance(did, str) else ""
    if not is_address(address):
        raise Refused(Problem.INVALID_TOKEN)
    return address


def public_key(pem: str) -> RSAPublicKey | None:
    """The RSA key that a PEM text holds; None for one that cannot be read: no RS256 token is good then."""
    try:
        key = load_pem_public_key(pem.encode())
    except Exception:  # of many kinds, from several libraries
        return None
    return key if isinstance(key, RSAPublicKey) else None


def _by_public_key(token: str) -> Mapping[str, Any] | None:
    """The claims of a token signed by RS256 for the public key; None for any other."""
    pem = conf.siwe_public_key if revision.current().rs256_tokens else ""
    if not pem:
        return None
    try:
        claims = _decoded_rs256(token, pem)
    except _UNREADABLE:
        return None
    return claims if _holds_now(claims) else None


def _by_signing_key(token: str) -> Mapping[str, Any]:
    try:
        claims = _decoded_hs256(token, conf.jwt_signing_key)
    except _UNREADABLE:
        raise Refused(Problem.INVALID_TOKEN) from None
    if claims.get("token_type") != "access" or not claims.get("jti") or not _holds_now(claims):
        raise Refused(Problem.INVALID_TOKEN)
    return claims


def _holds_now(claims: Mapping[str, Any]) -> bool:
    """What was good may have expired since it was decoded, or the clock may have been turned back."""
    now = datetime.now(UTC).timestamp()
    return int(claims["exp"]) > now and int(claims.get("nbf", 0)) <= now


# A client sends the same token again and again. What is not good is not kept.
@lru_cache(maxsize=1024)
def _decoded_hs256(token: str, key: str) -> Mapping[str, Any]:
    claims: dict[str, Any] = jwt.decode(token, key, algorithms=["HS256"], options=_HS256)
    return claims


@lru_cache(maxsize=1024)
def _decoded_rs256(token: str, pem: str) -> Mapping[str, Any]:
    key = _public_key(pem)
    if key is None:
        raise jwt.InvalidKeyError
    claims: dict[str, Any] = jwt.decode(token, key, algorithms=["RS256"], issuer=ISSUER, options=_RS256)
    return claims


_public_key = lru_cache(maxsize=8)(public_key)
