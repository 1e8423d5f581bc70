"""Which side a request falls on: a bucket of 10,000 by salt, operation group and subject.

Invariant: the bucket depends on nothing else. A subject below a percentage is below every larger one,
so that widening never moves anyone back, and operations of one group keep an address on one side.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from typing import Any

import orjson
from django.core.exceptions import SuspiciousOperation
from django.http import HttpRequest
from django.http.request import RawPostDataException, UnreadablePostError

from ..http.catalogue import Operation, Subject

BUCKETS = 10_000
TOKEN_LIMIT = 8192  # characters of a token that are looked at
_ADDRESS = re.compile(r"(?:0x)?[0-9a-f]{40}\Z")


def bucket(salt: str, group: str, subject: str) -> int:
    """The bucket, 0 to 9999, of a subject within a group of operations."""
    text = "\0".join((salt, group, subject)).encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest()) % BUCKETS


def subject(operation: Operation, request: HttpRequest) -> str:
    """Whom the request is about: its address, else the API key's prefix, else the request itself."""
    found = address(operation, request)
    if found is not None:
        return f"address:{found}"
    prefix = key_prefix(request)
    if prefix:
        return f"key:{prefix}"
    return f"request:{_digest(request)}"


def is_address(lowered: str) -> bool:
    """Whether a lower-cased text is 20 bytes of hex, with or without ``0x``."""
    return _ADDRESS.match(lowered) is not None


def address(operation: Operation, request: HttpRequest) -> str | None:
    """The lower-cased address the request is about; None where it brings none that is well-formed.

    A token is read without checking its signature: good for choosing a side and for nothing else.
    """
    match operation.subject:
        case Subject.PATH:
            found = operation.pattern.match(request.path_info)
            text = found["address"] if found else None
        case Subject.QUERY:
            text = request.GET.get("address")
        case Subject.TOKEN:
            text = _did_of_token(request)
        case Subject.BODY:
            text = _subject_of_body(request)
        case _:
            return None
    if not isinstance(text, str):
        return None
    lowered = text.rsplit(":", 1)[-1].lower()
    return lowered if is_address(lowered) else None


def body(request: HttpRequest) -> bytes:
    """The body, kept by the request so that every later reader finds it; empty where it cannot be had."""
    try:
        return request.body
    except (SuspiciousOperation, UnreadablePostError, RawPostDataException):
        return b""


def _did_of_token(request: HttpRequest) -> Any:
    words = request.META.get("HTTP_AUTHORIZATION", "").split()
    parts = words[-1].split(".") if words else []
    if len(parts) != 3 or len(parts[1]) > TOKEN_LIMIT:
        return None
    try:
        claims = orjson.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (ValueError, binascii.Error):
        return None
    return claims.get("did") if isinstance(claims, dict) else None


def _subject_of_body(request: HttpRequest) -> Any:
    try:
        entries = orjson.loads(body(request))
    except ValueError:
        return None
    for entry in entries if isinstance(entries, list) else ():
        named = entry.get("credentialSubject") if isinstance(entry, dict) else None
        if isinstance(named, dict) and isinstance(named.get("id"), str):
            return named["id"]
    return None


def key_prefix(request: HttpRequest) -> str:
    """The part of an API key that is no secret; empty where the request brings no key."""
    # As the host reads it: a header that a test client sets as HTTP_X-API-KEY counts too.
    key: str = request.META.get("HTTP_X_API_KEY", "") or request.headers.get("X-API-Key", "")
    if not key:
        words = request.META.get("HTTP_AUTHORIZATION", "").split()
        # Three parts are a token, whose first part is the same for everybody.
        key = words[1] if len(words) > 1 and words[1].count(".") != 2 else ""
    return key.partition(".")[0]


def _digest(request: HttpRequest) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for part in (
        (request.method or "").encode(),
        request.path_info.encode("utf-8", "surrogatepass"),
        request.META.get("QUERY_STRING", "").encode("utf-8", "surrogatepass"),
        body(request),
    ):
        digest.update(len(part).to_bytes(8))
        digest.update(part)
    return digest.hexdigest()
