"""Comparing two answers to one request: status, JSON body and the rows written.

Pure: no Django, no clock, no database. What may differ does so by a named rule with a reason
(:data:`IGNORED`); what differs on purpose is recognised in :mod:`.deliberate`; every other
difference is a mismatch, told as ``(path, kind, control, candidate)`` with list indices and data
keys generalised, so that one fault is one path however many providers it shows in.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import Any, NamedTuple

Rows = Mapping[str, Sequence[Mapping[str, Any]]]
Window = tuple[datetime, datetime]

MOST_DIFFERENCES = 200  # of one request; what lies beyond says nothing new
DEEPEST = 40  # levels walked one by one; below, two values are equal or they are not


class Kind(StrEnum):
    """How a candidate's field departs from the control's."""

    MISSING = "missing"
    EXTRA = "extra"
    TYPE = "type"
    VALUE = "value"


class Difference(NamedTuple):
    """One field that differs; ``path`` is generalised (``body.stamps.*.score``)."""

    path: str
    kind: Kind
    control: Any
    candidate: Any


FUNCTION_FAILED = "An error has occurred"  # with 400, as `error` or `detail`


@dataclass(frozen=True, slots=True)
class Answer:
    """What one side answered and, where it is known, the rows as they are afterwards (None: not known)."""

    status: int
    body: bytes
    rows: Rows | None = None

    def json(self) -> Any:
        """The body as JSON; :data:`NOT_JSON` where it is none, None where it is empty."""
        if not self.body:
            return None
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            return NOT_JSON

    @property
    def failed(self) -> bool:
        """Whether that side failed: a 5xx, or what the host's Lambda functions make of any exception."""
        if self.status != 400:
            return self.status >= 500
        body = self.json()
        return isinstance(body, dict) and FUNCTION_FAILED in (body.get("error"), body.get("detail"))


class _NotJson:
    def __repr__(self) -> str:
        return "<not json>"


NOT_JSON = _NotJson()


class Absent:
    """Where one side has no value at all; never equal to a value."""

    def __repr__(self) -> str:
        return "<absent>"


ABSENT = Absent()


@dataclass(frozen=True, slots=True)
class Context:
    """What the rules may know: the operation, when the request ran, whether both sides share one database."""

    operation: str
    window: Window
    same_database: bool = True
    status: int | None = None  # of both answers, where they agree


class Ignored(NamedTuple):
    """A difference that says nothing, by name: where it may occur, why, and the test that it must pass."""

    name: str
    path: re.Pattern[str]
    reason: str
    holds: Callable[[Any, Any, Context], bool]


@dataclass(slots=True)
class Comparison:
    """All differences of one request, and how often each rule ignored one."""

    differences: list[Difference] = field(default_factory=list)
    ignored: Counter[str] = field(default_factory=Counter)


# ---- times

_ISO = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:?\d\d)?\Z")


def _instant(value: Any) -> datetime | None:
    if isinstance(value, datetime):
        return value if value.tzinfo else value.replace(tzinfo=UTC)
    if isinstance(value, str) and _ISO.match(value):
        try:
            parsed = datetime.fromisoformat(value)
        except ValueError:
            return None
        return parsed if parsed.tzinfo else None
    return None


def _time_format(value: Any) -> tuple[str | None, int] | None:
    """Suffix and number of fraction digits of a time as text; None for a time that is no text."""
    match = _ISO.match(value) if isinstance(value, str) else None
    return (match[2], len(match[1] or "")) if match else None


def _same_moment(control: Any, candidate: Any, context: Context) -> bool:
    first, last = context.window
    instants = (_instant(control), _instant(candidate))
    if not all(instant is not None and first <= instant <= last for instant in instants):
        return False
    one, other = _time_format(control), _time_format(candidate)
    if one is None or other is None:
        return True
    # No fraction is a fraction of zero: isoformat() leaves it out one time in a million.
    return one[0] == other[0] and (one[1] == other[1] or 0 in (one[1], other[1]))


# ---- ids

_ADDS_STAMPS = frozenset({"embed_add_stamps", "cache_add_stamps", "cache_patch_stamps"})


def _is_id(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _new_stamp_id(control: Any, candidate: Any, context: Context) -> bool:
    unplaced = candidate is None or (_is_id(candidate) and candidate <= 0)
    if not _is_id(control) or not (unplaced or _is_id(candidate)):
        return False
    return unplaced or context.operation in _ADDS_STAMPS or not context.same_database


def _created_id(control: Any, candidate: Any, context: Context) -> bool:
    return candidate is None or candidate is ABSENT or (_is_id(candidate) and candidate <= 0)


def _always(control: Any, candidate: Any, context: Context) -> bool:
    return True


# ---- numbers


def _last_digits(control: Any, candidate: Any, context: Context) -> bool:
    try:
        distance = abs(Decimal(str(control)) - Decimal(str(candidate)))
    except (InvalidOperation, ValueError):
        return False
    return 0 < distance < Decimal("1e-20")


# ---- texts

_TAKES_TOKEN = frozenset(
    {"cache_add_stamps", "cache_patch_stamps", "cache_delete_stamps", "cache_get_score", "cache_calc_score"}
)


def _token_refused(control: Any, candidate: Any, context: Context) -> bool:
    return context.status == 401 and context.operation in _TAKES_TOKEN


IGNORED: tuple[Ignored, ...] = (
    Ignored(
        "moment_of_the_answer",
        re.compile(r"(body|rows)\..*\b(last_score_timestamp|created_at|updated_at|deleted_at|timestamp)\Z"),
        "Each side has an instant of its own for the same request; both lie between its start and its end.",
        _same_moment,
    ),
    Ignored(
        "id_of_a_new_stamp",
        re.compile(r"body\.stamps\[\]\.id\Z"),
        "The database numbers a stamp when it is inserted; a decision without writing has no number for it.",
        _new_stamp_id,
    ),
    Ignored(
        "id_of_a_stamp_row",
        re.compile(r"rows\.registry_stamp\[\]\.id\Z"),
        "A counting stamp's row may stay or be written anew; nothing refers to its id.",
        _always,
    ),
    Ignored(
        "id_of_a_new_row",
        re.compile(r"rows\.[\w ]+\[\]\.(id|passport_id)\Z|rows\.registry_event\[\]\.data\.(pk|fields\.passport)\Z"),
        "The database numbers a row when it is inserted; a decision without writing has no number for it.",
        _created_id,
    ),
    Ignored(
        "text_of_a_refused_token",
        re.compile(r"body\."),
        "A token that is not good is refused with 401 and a detail; which words it uses is left open.",
        _token_refused,
    ),
    Ignored(
        "last_digits_of_a_float_sum",
        re.compile(r"rows\..*\brawScore\Z"),
        "A sum of binary floats in decimal: its 28th digit depends on the order of the rows.",
        _last_digits,
    ),
)


class Unordered(NamedTuple):
    """A list whose order says nothing: where, why, and by which keys two of its entries are the same one.

    The sets of keys are tried in turn; the empty set pairs what is left by position.
    """

    path: re.Pattern[str]
    keys: tuple[tuple[str, ...], ...]
    reason: str


_ROWS = "A table's rows have no order."

UNORDERED: tuple[Unordered, ...] = (
    Unordered(
        re.compile(r"body\.stamps\Z"),
        (("provider", "id"), ("provider",)),
        "Stamps come by id, and a decision without writing has no number for a new one.",
    ),
    Unordered(re.compile(r"body\.items\Z"), (("chain", "staker", "stakee"),), "The host gives stakes no order."),
    Unordered(re.compile(r"body\.results\Z"), (("id",),), "The host gives stake events no order."),
    Unordered(re.compile(r"rows\.registry_stamp\Z"), (("provider",),), _ROWS),
    Unordered(re.compile(r"rows\.registry_passport\Z"), (("address", "community_id"),), _ROWS),
    Unordered(re.compile(r"rows\.registry_event\Z"), (("action", "data.provider"),), _ROWS),
    Unordered(re.compile(r"rows\.registry_hashscorerlink\Z"), (("hash",),), _ROWS),
    Unordered(re.compile(r"rows\.registry_humanpoints\Z"), (("action", "chain_id", "provider", "tx_hash"),), _ROWS),
    Unordered(re.compile(r"rows\.registry_humanpointscommunityqualifiedusers\Z"), (("community_id",),), _ROWS),
    Unordered(
        re.compile(r"rows\.ceramic_cache_ceramiccache( created)?\Z"),
        (("provider", "proof_value"), ("provider",)),
        _ROWS,
    ),
    Unordered(re.compile(r"rows\.[\w ]+\Z"), (("id",), ()), _ROWS),
)

# Columns that hold JSON: a driver hands them over as text, a plan may hold them parsed.
_JSON_COLUMNS = frozenset(
    {
        "credential",
        "data",
        "definition",
        "evidence",
        "stamp",
        "stamp_scores",
        "stamps",
        "weights",
    }
)

# Keys that are names of fields; every other key of an object is data (a provider, an action) and reads `*`.
_FIELD_NAMES = """
    address score passing_score last_score_timestamp expiration_timestamp threshold error stamps points_data
    possible_points_data dedup expiration_date success id provider stamp total_points is_eligible multiplier
    breakdown embed_rate_limit hash is_banned ban_type end_time reason proof_value is_revoked is_member
    ruleset items results detail loc msg type ctx input url num_grants_contribute_to total_contribution_amount
    num_grants_contribute_to_total staker stakee chain amount lock_time unlock_time last_updated_in_block
    event_type round_id staked block_number tx_hash model pk fields evidence rawScore stamp_scores status
    passport nullifiers community_id credentialSubject proof proofValue jws issuer issuanceDate expirationDate
"""
_FIELDS = frozenset(_FIELD_NAMES.split())
# Elsewhere in an answer a key is a field, known here or not: a missing one is named. These objects are keyed by data,
_KEYED_BY_DATA = frozenset({"stamps", "breakdown", "stamp_scores", "weights"})
_WEIGHTS = frozenset({"embed_weights", "cache_weights"})
# and in these the client says what keys there are.
_CLIENTS = frozenset({"stamp", "credential", "ruleset", "definition", "input", "ctx"})
_FIELD_NAME = re.compile(r"[a-z][a-z0-9_]{0,40}\Z")


def compare(control: Answer, candidate: Answer, context: Context) -> Comparison:
    """Every difference of ``candidate`` from ``control`` that no rule ignores.

    Where the statuses differ the bodies are not looked at: they differ because of it. Rows are
    compared where both sides know theirs.
    """
    walk = _Walk(replace(context, status=control.status if control.status == candidate.status else None))
    if control.status != candidate.status:
        walk.differ(("status",), Kind.VALUE, control.status, candidate.status)
    elif control.body != candidate.body:
        walk.values(("body",), control.json(), candidate.json(), 0)
    if control.rows is not None and candidate.rows is not None:
        for table in sorted({*control.rows, *candidate.rows}):
            walk.values(
                ("rows", table),
                [_row(row) for row in control.rows.get(table, ())],
                [_row(row) for row in candidate.rows.get(table, ())],
                0,
            )
    return walk.result


class _Walk:
    def __init__(self, context: Context) -> None:
        self.context = context
        self.result = Comparison()

    def differ(self, path: tuple[str, ...], kind: Kind, control: Any, candidate: Any) -> None:
        if len(self.result.differences) < MOST_DIFFERENCES:
            self.result.differences.append(Difference(_text(path), kind, control, candidate))

    def values(self, path: tuple[str, ...], control: Any, candidate: Any, depth: int) -> None:
        if _same(control, candidate):
            return
        text = _text(path)
        for rule in IGNORED:
            if rule.path.match(text) and rule.holds(control, candidate, self.context):
                self.result.ignored[rule.name] += 1
                return
        if control is ABSENT:
            self.differ(path, Kind.EXTRA, None, candidate)
        elif candidate is ABSENT:
            self.differ(path, Kind.MISSING, control, None)
        elif _type(control) != _type(candidate):
            self.differ(path, Kind.TYPE, control, candidate)
        elif depth < DEEPEST and isinstance(control, dict):
            for key in sorted({*control, *candidate}, key=str):
                # Of a row the keys are columns: names, whatever they are called.
                name = key if path[0] == "rows" and len(path) == 2 else _name(path, key, self.context.operation)
                self.values((*path, name), control.get(key, ABSENT), candidate.get(key, ABSENT), depth + 1)
        elif depth < DEEPEST and isinstance(control, list):
            self.lists(path, control, candidate, depth)
        elif not isinstance(control, dict | list) or _canonical(control) != _canonical(candidate):
            self.differ(path, Kind.VALUE, control, candidate)

    def lists(self, path: tuple[str, ...], control: list[Any], candidate: list[Any], depth: int) -> None:
        text = _text(path)
        inner = (*path[:-1], path[-1] + "[]")
        unordered = next((rule for rule in UNORDERED if rule.path.match(text)), None)
        pairs: Iterable[tuple[Any, Any]]
        if unordered is None:
            longest = max(len(control), len(candidate))
            pairs = zip(_padded(control, longest), _padded(candidate, longest), strict=True)
        else:
            pairs = _pair(control, candidate, unordered.keys)
        for one, other in pairs:
            self.values(inner, one, other, depth + 1)


def _padded(values: list[Any], length: int) -> list[Any]:
    return [*values, *[ABSENT] * (length - len(values))]


def _pair(control: list[Any], candidate: list[Any], key_sets: tuple[tuple[str, ...], ...]) -> list[tuple[Any, Any]]:
    """Entries side by side: equal ones, then those that agree in each set of keys in turn, then the rest."""
    left, right = list(control), list(candidate)
    pairs: list[tuple[Any, Any]] = []
    for signature in (_canonical, *map(_by, key_sets)):
        waiting: dict[str, list[int]] = {}
        for index, entry in enumerate(right):
            waiting.setdefault(signature(entry), []).append(index)
        taken: set[int] = set()
        unmatched = []
        for entry in left:
            indices = waiting.get(signature(entry))
            if indices:
                index = indices.pop(0)
                taken.add(index)
                pairs.append((entry, right[index]))
            else:
                unmatched.append(entry)
        left, right = unmatched, [entry for index, entry in enumerate(right) if index not in taken]
    pairs += [(entry, ABSENT) for entry in left]
    pairs += [(ABSENT, entry) for entry in right]
    return pairs


def _by(keys: tuple[str, ...]) -> Callable[[Any], str]:
    def signature(entry: Any) -> str:
        return _canonical([_at(entry, key) for key in keys] if isinstance(entry, dict) else entry)

    return signature


def _at(entry: Any, key: str) -> Any:
    """The value under a key, or under the dotted path of two."""
    first, _, second = key.partition(".")
    value = entry.get(first)
    return value if not second else value.get(second) if isinstance(value, dict) else None


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=str)


def _same(control: Any, candidate: Any) -> bool:
    """Whether two leaves are equal; objects and lists are walked, since Python's True equals 1."""
    kind = _type(control)
    if kind != _type(candidate) or kind in ("dict", "list"):
        return False
    return bool(control == candidate) or (control != control and candidate != candidate)


def _type(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float | Decimal):
        return "number"
    return type(value).__name__


def _row(row: Mapping[str, Any]) -> dict[str, Any]:
    return {column: _column(column, value) for column, value in row.items()}


_TIME_COLUMN = re.compile(r"\w+_(at|date|time)\Z|\w*timestamp\Z")


def _column(name: str, value: Any) -> Any:
    if isinstance(value, datetime) or (isinstance(value, str) and _TIME_COLUMN.match(name)):
        instant = _instant(value)  # PostgreSQL's text of a time drops zeros that Python's keeps
        return value if instant is None else instant.astimezone(UTC)
    if isinstance(value, memoryview):
        return bytes(value)
    if name in _JSON_COLUMNS and isinstance(value, str | bytes):
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value


def _name(path: tuple[str, ...], key: Any, operation: str) -> str:
    """A key as it stands in a path: a name of a field as it is, also one that nobody knew; data as ``*``."""
    if key in _FIELDS:
        return str(key)
    names_data = path[-1].removesuffix("[]") in _KEYED_BY_DATA or (path == ("body",) and operation in _WEIGHTS)
    is_clients = any(part.removesuffix("[]") in _CLIENTS for part in path)
    return "*" if names_data or is_clients or not _FIELD_NAME.match(key) else str(key)


def _text(path: tuple[str, ...]) -> str:
    shown = path if len(path) <= 12 else (*path[:12], "…")
    return ".".join(shown)
