"""Stamps without a database: rows as the scoring read gives them, and what is left of them once they are read."""

from datetime import UTC, datetime, timedelta
from typing import Any

from scorer_fast.domain.credentials import Stamp, Valid

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
LATER = NOW + timedelta(days=30)
SOONER = NOW - timedelta(days=30)
ME = "0x" + "a1" * 20
OTHER = "0x" + "b2" * 20
THIRD = "0x" + "c3" * 20
ISSUER = "did:ethr:0xissuer"


def stamp(key: int = 1, provider: str = "Google", **fields: Any) -> Stamp:
    """A good stamp of ``ME``, save for ``fields``."""
    row: dict[str, Any] = {
        "key": key,
        "provider": provider,
        "digest": f"digest{key}",
        "remembered": True,
        "text": None,
        "issuer": ISSUER,
        "expiration_date": LATER.isoformat(),
        "subject_id": f"did:pkh:eip155:1:{ME}",
        "subject_provider": provider,
        "hash": None,
        "nullifiers": [f"v0:{provider}"],
    }
    return Stamp(**row | fields)


def valid(key: int = 1, provider: str = "Google", *nullifiers: str, expires_at: datetime = LATER) -> Valid:
    """A stamp that passed every check, with these nullifiers."""
    return Valid(
        key=key,
        provider=provider,
        subject_provider=provider,
        nullifiers=nullifiers,
        last_nullifier=nullifiers[-1] if nullifiers else "",
        expires_at=expires_at,
        expires_text=expires_at.isoformat(),
        digest=f"digest{key}",
        remembered=True,
        text=None,
    )
