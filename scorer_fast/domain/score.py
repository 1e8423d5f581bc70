"""From counting stamps to a score, its stored evidence and its answer. Formats here are exact on purpose."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
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


def score_stamps(counting: Sequence[Valid], clashes: Iterable[Clash], weights: Weights, threshold: Decimal) -> Score:
    """Weigh the counting stamps, in row order: a sum of floats depends on it in its last digits."""
    raw = Decimal(0)
    stamp_scores: dict[str, float] = {}
    stamps: dict[str, dict[str, Any]] = {}
    for stamp in counting:
        exact, as_float, written = weights.weigh(stamp.provider)
        raw += exact
        stamp_scores[stamp.provider] = as_float
        until = _iso(stamp.expires_at, stamp.expires_text)
        stamps[stamp.provider] = {"score": written, "dedup": False, "expiration_date": until}
    for clash in clashes:
        shown = stamps.setdefault(clash.stamp.subject_provider, {"score": NO_SCORE})
        shown["dedup"] = True
        shown["expiration_date"] = clash.stamp.expires_text
    # The first of equal ones, in its credential's own offset.
    expires_at = min((stamp.expires_at for stamp in counting), default=None)
    return Score(raw, threshold, raw >= threshold, expires_at, stamp_scores, stamps)


def _iso(instant: datetime, written: str) -> str:
    """``instant.isoformat()`` of what was read from ``written``: its usual forms, in UTC, are cut and put together."""
    if written[4::3] == "--T::Z":  # to the second
        return f"{written[:19]}+00:00"
    if written[4:20:3] == "--T::." and written[23:] == "Z":  # to the millisecond
        return f"{written[:19]}+00:00" if written[20:23] == "000" else f"{written[:23]}000+00:00"
    return instant.isoformat()


def five_places(value: Decimal) -> str:
    """A Decimal with exactly five places, rounded half-even."""
    return format(value, ".5f") if value.adjusted() > 20 else str(value.quantize(FIVE_PLACES, ROUND_HALF_EVEN))


class StoredScore(NamedTuple):
    """A registry_score row as it is answered; ``evidence`` as JSON gave it, ``stamps`` as they are shown, or None.

    The others are the columns that ``db/functions/stored_score_1.sql`` reads.
    """

    last_score_timestamp: datetime | None
    expiration_date: datetime | None
    error: str | None
    evidence: Any
    stamps: Any

    @classmethod
    def of(cls, columns: Mapping[str, Any], stamps: Any) -> StoredScore:
        """Of what JSON says of the columns."""
        instants = {name: _instant(columns[name]) for name in ("last_score_timestamp", "expiration_date")}
        return cls(**{**columns, **instants}, stamps=stamps)

    @property
    def raw(self) -> Decimal | None:
        """The raw score of the evidence; None without one."""
        return self._evidence("rawScore")

    @property
    def threshold(self) -> Decimal | None:
        return self._evidence("threshold")

    def _evidence(self, name: str) -> Decimal | None:
        return Decimal(self.evidence[name]) if isinstance(self.evidence, dict) and name in self.evidence else None

    def has_expired(self, now: datetime) -> bool:
        return self.expiration_date is not None and self.expiration_date <= now


def _instant(written: str | None) -> datetime | None:
    return None if written is None else datetime.fromisoformat(written)


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


class Key(NamedTuple):
    """A key of a Score body: how a score that was just decided words it, and how a stored one does."""

    name: str
    fresh: Callable[[Score, datetime], Any]
    stored: Callable[[StoredScore], Any]


# The keys of a Score body behind the address, in their order. Points are put in where an operation answers them.
KEYS = (
    Key(
        "score",
        lambda score, now: five_places(score.raw),
        lambda stored: NO_SCORE if stored.raw is None else five_places(stored.raw),
    ),
    Key(
        "passing_score",
        lambda score, now: score.passing,
        lambda stored: stored.raw is not None and stored.threshold is not None and stored.raw >= stored.threshold,
    ),
    Key(
        "last_score_timestamp",
        lambda score, now: now.isoformat(),
        lambda stored: _utc(stored.last_score_timestamp),
    ),
    Key(
        "expiration_timestamp",
        lambda score, now: None if score.expires_at is None else score.expires_at.isoformat(),
        lambda stored: _utc(stored.expiration_date),
    ),
    Key(
        "threshold",
        lambda score, now: five_places(score.threshold),
        lambda stored: DEFAULT_THRESHOLD if stored.threshold is None else five_places(stored.threshold),
    ),
    Key("error", lambda score, now: None, lambda stored: stored.error),
    Key("stamps", lambda score, now: score.stamps, lambda stored: {} if stored.stamps is None else stored.stamps),
    Key("points_data", lambda score, now: None, lambda stored: None),
    Key("possible_points_data", lambda score, now: None, lambda stored: None),
)


def fresh_answer(address: str, score: Score, now: datetime) -> dict[str, Any]:
    """The Score body of a score just decided, points aside."""
    return {"address": address} | {key.name: key.fresh(score, now) for key in KEYS}


def stored_answer(address: str, stored: StoredScore) -> dict[str, Any]:
    """The Score body of a stored score, points aside; a row without evidence shows the constants."""
    return {"address": address} | {key.name: key.stored(stored) for key in KEYS}


class Column(NamedTuple):
    """A column of registry_score that scoring writes: as Django's JSON serializer has it in the event, and as JSON that
    PostgreSQL makes of the row."""

    name: str
    event: Callable[[Score, datetime], Any]
    row: Callable[[Score, datetime], Any]


def _both(name: str, value: Callable[[Score], Any]) -> Column:
    return Column(name, lambda score, now: value(score), lambda score, now: value(score))


# db/functions/write_scoring_1.sql writes the same, at first and again, and compares all but the time.
COLUMNS = (
    Column(
        "score",
        lambda score, now: "1" if score.passing else "0",
        lambda score, now: int(score.passing),
    ),
    Column("last_score_timestamp", lambda score, now: milliseconds_z(now), lambda score, now: _utc(now)),
    _both("status", lambda score: "DONE"),
    _both("error", lambda score: None),
    _both("evidence", lambda score: score.evidence),
    _both("stamp_scores", lambda score: score.stamp_scores),
    _both("stamps", lambda score: score.stamps),
    Column(
        "expiration_date",
        lambda score, now: milliseconds_z(score.expires_at),
        lambda score, now: _utc(score.expires_at),
    ),
)


def event_fields(score: Score, now: datetime) -> dict[str, Any]:
    """The score row as Django's JSON serializer writes it; pk and passport are added where they are known."""
    return {column.name: column.event(score, now) for column in COLUMNS}


def row_fields(score: Score, now: datetime) -> dict[str, Any]:
    """The score row as PostgreSQL makes JSON of it, without its ids."""
    return {column.name: column.row(score, now) for column in COLUMNS}
