"""From counting stamps to a score, its stored evidence and its answer. Formats here are exact on purpose."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any, NamedTuple

from .credentials import Valid
from .dedup import Clash
from .weights import Weights

FIVE_PLACES = Decimal("0.00001")
EVIDENCE_TYPE = "ThresholdScoreCheck"
NO_SCORE = "0.00000"
DEFAULT_THRESHOLD = "20.00000"  # what the host shows where a stored score has no evidence


class Score(NamedTuple):
    """A decided score. ``expires_at`` keeps the earliest credential's own offset; None without stamps."""

    raw: Decimal
    threshold: Decimal
    passing: bool
    expires_at: datetime | None
    stamp_scores: dict[str, float]
    stamps: dict[str, dict[str, Any]]

    @property
    def evidence(self) -> dict[str, Any]:
        return {
            "type": EVIDENCE_TYPE,
            "success": self.passing,
            "rawScore": str(self.raw),
            "threshold": str(self.threshold),
        }


def shown(counting: Iterable[Valid]) -> list[tuple[str, str]]:
    """Provider and expiry of each stamp that counts, as a score shows them."""
    return [(stamp.provider, _iso(stamp.expires_at, stamp.expires_text)) for stamp in counting]


def earliest_expiry(counting: Iterable[Valid]) -> datetime | None:
    """The earliest expiry, the first of equal ones, in its credential's own offset; None without stamps."""
    return min((stamp.expires_at for stamp in counting), default=None)


def score_stamps(
    counting: Iterable[tuple[str, str]],
    expires_at: datetime | None,
    clashes: Iterable[Clash],
    weights: Weights,
    threshold: Decimal,
) -> Score:
    """Weigh the counting stamps (:func:`shown`), in row order: a sum of floats depends on it in its last digits."""
    raw = Decimal(0)
    stamp_scores: dict[str, float] = {}
    stamps: dict[str, dict[str, Any]] = {}
    for provider, until in counting:
        exact, as_float, written = weights.weigh(provider)
        raw += exact
        stamp_scores[provider] = as_float
        stamps[provider] = {"score": written, "dedup": False, "expiration_date": until}
    for clash in clashes:
        shown = stamps.setdefault(clash.stamp.subject_provider, {"score": NO_SCORE})
        shown["dedup"] = True
        shown["expiration_date"] = clash.stamp.expires_text
    return Score(raw, threshold, raw >= threshold, expires_at, stamp_scores, stamps)


def _iso(instant: datetime, written: str) -> str:
    """``instant.isoformat()`` of what was read from ``written``: its usual form, to the millisecond in UTC, is cut."""
    if written[4:20:3] == "--T::." and written[23:] == "Z":
        return f"{written[:19]}+00:00" if written[20:23] == "000" else f"{written[:23]}000+00:00"
    return instant.isoformat()


def five_places(value: Decimal) -> str:
    """A Decimal with exactly five places, rounded half-even."""
    return format(value, ".5f") if value.adjusted() > 20 else str(value.quantize(FIVE_PLACES, ROUND_HALF_EVEN))


def fresh_answer(address: str, score: Score, now: datetime) -> dict[str, Any]:
    """The Score body of a score just decided, points aside."""
    return {
        "address": address,
        "score": five_places(score.raw),
        "passing_score": score.passing,
        "last_score_timestamp": now.isoformat(),
        "expiration_timestamp": None if score.expires_at is None else score.expires_at.isoformat(),
        "threshold": five_places(score.threshold),
        "error": None,
        "stamps": score.stamps,
        "points_data": None,
        "possible_points_data": None,
    }


class StoredScore(NamedTuple):
    """A registry_score row as it is answered; ``evidence`` as JSON gave it, ``stamps`` as they are shown, or None."""

    last_score_timestamp: datetime | None
    expiration_date: datetime | None
    error: str | None
    evidence: Any
    stamps: Any

    def has_expired(self, now: datetime) -> bool:
        return self.expiration_date is not None and self.expiration_date <= now


def stored_answer(address: str, stored: StoredScore) -> dict[str, Any]:
    """The Score body of a stored score, points aside; a row without evidence shows the constants."""
    evidence = stored.evidence if isinstance(stored.evidence, dict) else {}
    raw = Decimal(evidence["rawScore"]) if "rawScore" in evidence else None
    threshold = Decimal(evidence["threshold"]) if "threshold" in evidence else None
    return {
        "address": address,
        "score": NO_SCORE if raw is None else five_places(raw),
        "passing_score": raw is not None and threshold is not None and raw >= threshold,
        "last_score_timestamp": _utc(stored.last_score_timestamp),
        "expiration_timestamp": _utc(stored.expiration_date),
        "threshold": DEFAULT_THRESHOLD if threshold is None else five_places(threshold),
        "error": stored.error,
        "stamps": {} if stored.stamps is None else stored.stamps,
        "points_data": None,
        "possible_points_data": None,
    }


def _utc(instant: datetime | None) -> str | None:
    return None if instant is None else instant.astimezone(UTC).isoformat()


def milliseconds_z(instant: datetime | None) -> str | None:
    """How Django's JSON encoder writes an instant: cut to milliseconds, no fraction where there is none, ``Z``."""
    if instant is None:
        return None
    written = instant.isoformat()
    if instant.microsecond:
        written = written[:23] + written[26:]
    return written.removesuffix("+00:00") + "Z" if written.endswith("+00:00") else written


def event_fields(score: Score, now: datetime) -> dict[str, Any]:
    """The score row as Django's JSON serializer writes it; pk and passport are added where they are known."""
    return {
        "score": "1" if score.passing else "0",
        "last_score_timestamp": milliseconds_z(now),
        "status": "DONE",
        "error": None,
        "evidence": score.evidence,
        "stamp_scores": score.stamp_scores,
        "stamps": score.stamps,
        "expiration_date": milliseconds_z(score.expires_at),
    }
