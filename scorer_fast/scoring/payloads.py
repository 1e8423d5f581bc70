"""Posted stamps: what may be stored, decided before anything is read or written."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, time
from typing import Any, NamedTuple

from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime

from ..db.json import jsonb_text, loads
from ..domain.credentials import posted_stamp
from ..errors import Problem, Refused
from ..inputs import storable
from .plan import PostedStamp
from .verifier import VERIFIER

VARCHAR = 256  # characters: provider and proof_value of the cache


class Entry(NamedTuple):
    """One entry of a payload: a provider, and the stamp it brings, if any."""

    provider: Any
    stamp: Any = None


def subject_entry(stamp: Any) -> Entry:
    """An entry whose provider is the one the credential's subject names."""
    if not isinstance(stamp, dict):
        raise Refused(Problem.STAMP_NOT_AN_OBJECT)
    subject = stamp.get("credentialSubject")
    provider = subject.get("provider") if isinstance(subject, dict) else None
    if not isinstance(provider, str) or not provider:
        raise Refused(Problem.STAMP_WITHOUT_PROVIDER)
    return Entry(provider, stamp)


def posted_stamps(entries: Iterable[Entry]) -> list[PostedStamp]:
    """The stamps that the entries bring, in their order; Refused for what the tables cannot hold."""
    stamps: list[PostedStamp] = []
    providers: set[str] = set()
    for place, entry in enumerate(entries, start=1):
        posted = _posted_stamp(-place, entry)
        if posted.stamp.provider in providers:
            raise Refused(Problem.PROVIDER_TWICE)
        providers.add(posted.stamp.provider)
        stamps.append(posted)
    return stamps


def _posted_stamp(key: int, entry: Entry) -> PostedStamp:
    provider, credential = entry
    if not isinstance(credential, dict):
        raise Refused(Problem.STAMP_NOT_AN_OBJECT)
    if len(storable(provider)) > VARCHAR:
        raise Refused(Problem.PROVIDER_TOO_LONG)
    proof = credential.get("proof")
    proof_value = proof.get("proofValue") if isinstance(proof, dict) else None
    if not isinstance(proof_value, str) or len(proof_value) > VARCHAR:
        raise Refused(Problem.STAMP_WITHOUT_PROOF_VALUE)
    try:
        text = jsonb_text(credential)
    except ValueError:
        raise Refused(Problem.NOT_STORABLE) from None
    return PostedStamp(
        proof_value,
        _instant(credential.get("issuanceDate")),
        _instant(credential.get("expirationDate")),
        # As it will be read: a number beyond 64 bits is another one there, and cannot be kept as it is.
        posted_stamp(key, provider, loads(text), text, VERIFIER),
    )


def _instant(written: Any) -> datetime | None:
    """A date as Django's own DateTimeField takes it; None for null; Refused for what is none."""
    if written is None:
        return None
    try:
        if not isinstance(written, str):
            raise ValueError
        instant = parse_datetime(written)
        if instant is None:
            day = parse_date(written)
            if day is None:
                raise ValueError
            instant = _midnight(day)
        if timezone.is_naive(instant):
            instant = timezone.make_aware(instant)
        return instant.astimezone(UTC)
    except (ValueError, OverflowError):
        raise Refused(Problem.STAMP_DATE) from None


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time.min)
