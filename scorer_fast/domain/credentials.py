"""Which of an address's stamps are valid. Invariant: a signature is the last thing asked, and never skipped.

A stamp whose fields cannot be read is left out alone; it never fails the whole score.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable
from datetime import UTC, datetime
from typing import Any, NamedTuple

NULLIFIER_LENGTH = 100  # characters: registry_hashscorerlink.hash
SUBJECT_PREFIX = "did:pkh:eip155:1:"


class Stamp(NamedTuple):
    """One live (or just posted) stamp: the row, and the credential's fields that decide, as JSON gave them.

    ``key`` is the cache row's id; a posted stamp has a negative one, -1 for the first. ``digest`` (hex) is that of
    :func:`digest`. ``text`` is the credential as PostgreSQL writes it, or None where nobody asked for it.
    All but the key stand in the order of ``db/functions/reading_1.sql``.
    """

    key: int
    provider: str
    digest: str
    remembered: bool
    text: str | None
    issuer: Any
    expiration_date: Any
    subject_id: Any
    subject_provider: Any
    hash: Any
    nullifiers: Any


class Valid(NamedTuple):
    """A stamp that passed every check but the signature, with its fields in their types.

    ``last_nullifier``: the last one listed that is not empty, also beside a hash; empty without one.
    """

    key: int
    provider: str
    subject_provider: str
    nullifiers: tuple[str, ...]
    last_nullifier: str
    expires_at: datetime
    expires_text: str
    digest: str
    remembered: bool
    text: str | None


class Unreadable(NamedTuple):
    """A stamp left out because a field is not what the format says; ``reason`` is for the log."""

    key: int
    provider: str
    reason: str


class Reading(NamedTuple):
    """Stamps in their order."""

    candidates: tuple[Valid, ...]
    unreadable: tuple[Unreadable, ...]


def digest(verifier: str, text: str) -> str:
    """Of the verifier (name, version, options) and of exactly the text that it is given: SHA-256, in hex.

    ``db/functions/digest_1.sql`` says the same of a stored credential.
    """
    return hashlib.sha256((verifier + text).encode()).hexdigest()


def posted_stamp(key: int, provider: str, credential: dict[str, Any], text: str, verifier: str) -> Stamp:
    """A posted stamp as it will be read once it is stored; ``text``: the credential as PostgreSQL will write it."""
    subject = credential.get("credentialSubject")
    subject = subject if isinstance(subject, dict) else {}
    return Stamp(
        key=key,
        provider=provider,
        digest=digest(verifier, text),
        remembered=False,
        text=text,
        issuer=credential.get("issuer"),
        expiration_date=credential.get("expirationDate"),
        subject_id=subject.get("id"),
        subject_provider=subject.get("provider"),
        hash=subject.get("hash"),
        nullifiers=subject.get("nullifiers"),
    )


def named_nullifiers(stamps: Iterable[Stamp]) -> set[str]:
    """Every nullifier that the stamps name, whether it takes part or not."""
    named: set[str] = set()
    for stamp in stamps:
        listed = stamp.nullifiers if isinstance(stamp.nullifiers, list) else []
        named.update(name for name in (stamp.hash, *listed) if isinstance(name, str))
    return named


def read_stamps(
    stamps: Iterable[Stamp], *, address: str, trusted_issuers: Collection[str], now: datetime, multi: bool
) -> Reading:
    """Every check of a stamp but its signature: issuer, expiry, subject, provider, nullifiers.

    ``stamps`` come in row order: stored rows by id, then posted ones in the order of the payload. ``multi``: as in
    :func:`effective_nullifiers`; what takes no part in deduplication need not fit its column.
    """
    candidates: list[Valid] = []
    unreadable: list[Unreadable] = []
    subject = SUBJECT_PREFIX + address.lower()
    for stamp in stamps:
        issuer = stamp.issuer
        if not isinstance(issuer, str) or issuer not in trusted_issuers:
            continue
        try:
            valid = _read(stamp, subject, now, multi)
        except ValueError as error:
            unreadable.append(Unreadable(stamp.key, stamp.provider, str(error)))
            continue
        if valid is not None:
            candidates.append(valid)
    return Reading(tuple(candidates), tuple(unreadable))


def _read(stamp: Stamp, subject: str, now: datetime, multi: bool) -> Valid | None:
    # All at once and by position: twenty stamps are read for every score.
    (key, row_provider, digest, remembered, text, _, expires_text, subject_id, provider, own_hash, listed) = stamp
    expires_at = read_expiry(expires_text)
    if expires_at <= now:
        return None
    if not isinstance(subject_id, str) or subject_id.lower() != subject:
        return None
    if not provider:
        return None
    if not isinstance(provider, str):
        raise ValueError("provider is no string")
    if not own_hash and not listed:
        return None
    if listed and not isinstance(listed, list):
        raise ValueError("nullifiers is no list")
    nullifiers = (own_hash,) if own_hash else tuple(listed)
    for nullifier in (own_hash, *(listed or ())) if own_hash else nullifiers:
        if not isinstance(nullifier, str):
            raise ValueError("a nullifier is no string")
    for nullifier in effective_nullifiers(nullifiers, multi=multi):
        if len(nullifier) > NULLIFIER_LENGTH:
            raise ValueError(f"a nullifier is longer than {NULLIFIER_LENGTH} characters")
    return Valid(
        key,
        row_provider,
        provider,
        nullifiers,
        _last_named(listed) if listed else "",
        expires_at,
        expires_text,
        digest,
        remembered,
        text,
    )


def _last_named(listed: list[str]) -> str:
    for nullifier in reversed(listed):
        if nullifier:
            return nullifier
    return ""


def read_expiry(written: Any) -> datetime:
    """The instant a credential expires, in its own offset; ValueError when it is none or has no offset."""
    if not isinstance(written, str):
        raise ValueError("expirationDate is no string")
    expires_at = datetime.fromisoformat(written)
    if expires_at.tzinfo is None:
        raise ValueError("expirationDate has no offset")
    if not 1 < expires_at.year < 9999:  # an offset is less than a day
        try:
            expires_at.astimezone(UTC)
        except OverflowError:
            raise ValueError("expirationDate is outside the years 1 to 9999") from None
    return expires_at


def effective_nullifiers(nullifiers: tuple[str, ...], *, multi: bool) -> tuple[str, ...]:
    """The nullifiers that take part in deduplication: all, or with ``multi`` off those of version ``v0``."""
    return nullifiers if multi else tuple([n for n in nullifiers if n[:2] == "v0"])
