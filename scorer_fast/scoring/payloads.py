"""Posted stamps: what may be stored, decided before anything is read or written."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, time
from typing import Any, NamedTuple

import orjson
from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime

from ..errors import Problem, Refused
from ..settings import conf
from .read import Posted
from .stamps import NewStamp

VARCHAR = 256  # characters: provider and proof_value of the cache


class Entry(NamedTuple):
    """One entry of a payload: a provider, and the stamp it brings, if any."""

    provider: Any
    stamp: Any = None


def check_size(entries: Sequence[Any]) -> None:
    """Refused where a payload has more entries than ``MAX_BULK_CACHE_SIZE``."""
    if len(entries) > conf.max_bulk_cache_size:
        raise Refused(Problem.TOO_MANY_STAMPS)


def subject_entry(stamp: Any) -> Entry:
    """An entry whose provider is the one the credential's subject names."""
    if not isinstance(stamp, dict):
        raise Refused(Problem.STAMP_NOT_AN_OBJECT)
    subject = stamp.get("credentialSubject")
    provider = subject.get("provider") if isinstance(subject, dict) else None
    if not isinstance(provider, str) or not provider:
        raise Refused(Problem.STAMP_WITHOUT_PROVIDER)
    return Entry(provider, stamp)


def new_stamps(entries: Iterable[Entry]) -> list[NewStamp]:
    """The rows that the entries' stamps become; Refused for what the tables cannot hold."""
    stamps: list[NewStamp] = []
    providers: set[str] = set()
    for entry in entries:
        stamp = _new_stamp(entry)
        if stamp.provider in providers:
            raise Refused(Problem.PROVIDER_TWICE)
        providers.add(stamp.provider)
        stamps.append(stamp)
    return stamps


def _new_stamp(entry: Entry) -> NewStamp:
    provider, stamp = entry
    if not isinstance(stamp, dict):
        raise Refused(Problem.STAMP_NOT_AN_OBJECT)
    if len(provider) > VARCHAR:
        raise Refused(Problem.PROVIDER_TOO_LONG)
    proof = stamp.get("proof")
    proof_value = proof.get("proofValue") if isinstance(proof, dict) else None
    if not isinstance(proof_value, str) or len(proof_value) > VARCHAR:
        raise Refused(Problem.STAMP_WITHOUT_PROOF_VALUE)
    return NewStamp(
        provider,
        _json(stamp),
        proof_value,
        _instant(stamp.get("issuanceDate")),
        _instant(stamp.get("expirationDate")),
    )


def posted(stamps: Sequence[NewStamp], replaced: Sequence[str]) -> Posted:
    """The stamps as the scoring read takes them in."""
    entries = ",".join(f'{{"provider":{_json(stamp.provider)},"stamp":{stamp.stamp}}}' for stamp in stamps)
    return Posted(f"[{entries}]", replaced)


def _json(value: Any) -> str:
    try:
        return orjson.dumps(value).decode()
    except TypeError:  # an integer beyond 64 bits
        import json

        return json.dumps(value, ensure_ascii=False, allow_nan=False)


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
