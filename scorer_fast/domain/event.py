"""What a scoring came to, as one event: for whoever wants scores written elsewhere than in the host's tables."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Protocol

from .credentials import Valid
from .dedup import Deduplicated
from .score import NO_SCORE, Score

VERSION = 1  # of the event's form; another key, or another meaning of one, is another version


class Row(Protocol):
    """Whom the scoring is for."""

    @property
    def community_id(self) -> int: ...


class Scored(Protocol):
    """A decided scoring: what :func:`scoring_event` reads of a plan."""

    @property
    def row(self) -> Row: ...
    @property
    def address(self) -> str: ...
    @property
    def now(self) -> datetime: ...
    @property
    def score(self) -> Score: ...
    @property
    def dedup(self) -> Deduplicated: ...


def scoring_event(plan: Scored) -> dict[str, Any]:
    """The event of ``plan``, of JSON's own types.

    ``address`` lower-case, ``community_id``, ``scored_at``; ``score`` (``"1"``: passing, or ``"0"``), ``raw_score`` and
    ``threshold`` as decimal texts, ``expires_at`` (null without stamps). ``stamps`` count, ``deduplicated`` would but
    for another address that holds one of their nullifiers: each with ``provider`` (the cache row's; of a deduplicated
    one the subject's), ``nullifiers`` as the credential lists them, ``weight`` with five places and ``expires_at``.
    Instants are ISO 8601 in UTC. ``version``: of this form.
    """
    score, weighed = plan.score, plan.score.stamps
    return {
        "version": VERSION,
        "address": plan.address,
        "community_id": plan.row.community_id,
        "scored_at": _utc(plan.now),
        "score": "1" if score.passing else "0",
        "raw_score": str(score.raw),
        "threshold": str(score.threshold),
        "expires_at": None if score.expires_at is None else _utc(score.expires_at),
        "stamps": _stamps((stamp, stamp.provider, weighed[stamp.provider]["score"]) for stamp in plan.dedup.counting),
        "deduplicated": _stamps((clash.stamp, clash.stamp.subject_provider, NO_SCORE) for clash in plan.dedup.clashes),
    }


def _stamps(stamps: Iterable[tuple[Valid, str, str]]) -> list[dict[str, Any]]:
    return [
        {
            "provider": provider,
            "nullifiers": list(stamp.nullifiers),
            "weight": weight,
            "expires_at": _utc(stamp.expires_at),
        }
        for stamp, provider, weight in stamps
    ]


def _utc(instant: datetime) -> str:
    return instant.astimezone(UTC).isoformat()
