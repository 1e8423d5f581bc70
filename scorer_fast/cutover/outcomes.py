"""What became of a request, decided once, where it is recorded; and who asked, as a number without a name."""

from __future__ import annotations

import hashlib
import sys
from typing import Any

from django.conf import settings
from django.core.signals import got_request_exception
from django.http import HttpRequest
from django.http.request import UnreadablePostError

from ..db.faults import chain
from ..errors import VerifierDown
from ..http.catalogue import Operation, Subject
from ..outages import is_out_of_time, is_outage
from . import split
from .figures import Outcome

# Answered before any work: no or a bad key, a method or form that is none, too much, too often.
REFUSALS = frozenset({401, 403, 405, 413, 414, 415, 422, 429, 431})
# What a gateway or an overloaded server says, of this side or of what it stands on.
OVERLOADS = frozenset({502, 503, 504})

_KEYED = frozenset({"v2_score", "embed_validate_api_key"})
_ERROR = "_scorer_fast_error"
CALLER = "_scorer_fast_caller"  # of the request, once it was asked for
MOST_KEYS = 10_000
_keys_seen: set[tuple[str, str]] = set()  # side and prefix


def of_status(status: int) -> Outcome:
    """What an answer's status says of it."""
    if status < 400:
        return Outcome.OK
    if status in REFUSALS:
        return Outcome.REFUSED
    if status in OVERLOADS:
        return Outcome.INFRASTRUCTURE
    return Outcome.ERROR if status >= 500 else Outcome.CLIENT_ERROR


def of_answer(operation: Operation, request: HttpRequest, status: int, side: str = "fast") -> Outcome:
    """What became of a request that this side's own code answered."""
    outcome = of_status(status)
    if outcome in (Outcome.OK, Outcome.CLIENT_ERROR) and is_first_use(operation, request, side):
        return Outcome.FIRST_USE
    return outcome


def of_the_host(operation: Operation, request: HttpRequest, status: int) -> Outcome:
    """The same of the host's view, whose exceptions Django has turned into answers by then."""
    error: BaseException | None = getattr(request, _ERROR, None)
    if error is not None:
        if is_outage(error):
            return of_outage(error)
        if has_gone_away(error):
            return Outcome.WENT_AWAY
    if status >= 400 and request.method != "GET" and not hasattr(request, "_body"):
        # Nobody has the body: it broke off on its way, or it was refused unread.
        if getattr(request, "_read_started", False):
            return Outcome.WENT_AWAY
        if status < 500:
            return Outcome.REFUSED
    return of_answer(operation, request, status, "legacy")


def of_outage(error: BaseException) -> Outcome:
    """What became of a request that time, the verifier or the database ended."""
    return Outcome.TIMED_OUT if is_out_of_time(error) else Outcome.INFRASTRUCTURE


def is_first_use(operation: Operation, request: HttpRequest, side: str) -> bool:
    """Whether a side of this process meets the request's API key for the first time.

    Checking it may cost each a slow hash, once.
    """
    if operation.id not in _KEYED:
        return False
    prefix = split.key_prefix(request)
    if not prefix or (side, prefix) in _keys_seen:
        return False
    if len(_keys_seen) >= MOST_KEYS:
        _keys_seen.clear()
    _keys_seen.add((side, prefix))
    return True


def is_verifiers(error: BaseException) -> bool:
    """Whether the verifying processes gave no answer: the host, which verifies by itself, would fare better."""
    return any(isinstance(link, VerifierDown) for link in chain(error))


def has_gone_away(error: BaseException) -> bool:
    """Whether the client broke off while its body was read."""
    return any(isinstance(link, UnreadablePostError) for link in chain(error))


def caller(operation: Operation, request: HttpRequest) -> int | None:
    """A number that stands for the address, else the key, else the client; None where an operation knows neither.

    Hashed with a secret: nobody's address follows from it.
    """
    known: int | None = getattr(request, CALLER, None)
    if known is None and operation.subject is not Subject.REQUEST:
        name = split.address(operation, request) or split.key_prefix(request) or _client(request)
        digest = hashlib.blake2b(
            name.encode("utf-8", "surrogatepass"), digest_size=8, key=str(settings.SECRET_KEY).encode()[:64]
        )
        known = int.from_bytes(digest.digest())
        setattr(request, CALLER, known)
    return known


def _client(request: HttpRequest) -> str:
    forwarded: str = request.META.get("HTTP_X_FORWARDED_FOR", "")
    return forwarded.partition(",")[0].strip() or str(request.META.get("REMOTE_ADDR", ""))


def _on_exception(*, request: HttpRequest | None = None, **_: Any) -> None:
    if request is not None:
        setattr(request, _ERROR, sys.exc_info()[1])


got_request_exception.connect(_on_exception, dispatch_uid="scorer_fast.outcomes")
