"""What the console's pages show: the state of ``cutover/state.py`` with series for its charts; none counts."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from django.utils.safestring import SafeString

from ..cutover import curl, figures, rollout, rollout_rows, state
from ..cutover import state_queries as sql
from ..cutover.rollout_queries import RolloutRow
from ..cutover.state import OperationState, State
from ..settings import conf
from . import charts
from .charts import Line, Mark

SAMPLES = 3  # of each group of differences
GROUPS = 50


class Period(NamedTuple):
    """How far back a chart goes, and how long a slot of it is (minutes)."""

    name: str
    minutes: int
    slot: int
    times: str  # strftime


PERIODS = {
    "1h": Period("1 h", 60, 1, "%H:%M"),
    "24h": Period("24 h", 24 * 60, 60, "%H:%M"),
    "7d": Period("7 d", 7 * 24 * 60, 240, "%b %d"),
}


@dataclass(frozen=True, slots=True)
class Series:
    """Per slot: milliseconds of both sides, and the percentage that the fast path answered."""

    fast_p50: list[float | None]
    fast_p95: list[float | None]
    host_p50: list[float | None]
    host_p95: list[float | None]
    share: list[float | None]

    @property
    def latencies(self) -> list[Line]:
        return [
            Line("host p95", "host p95", self.host_p95),
            Line("host p50", "host p50", self.host_p50),
            Line("fast p95", "fast p95", self.fast_p95),
            Line("fast p50", "fast p50", self.fast_p50),
        ]

    @property
    def shares(self) -> list[Line]:
        return [Line("fast p95", "fast path", self.share)]


class Row(NamedTuple):
    """A row of the overview."""

    state: OperationState
    latency: SafeString
    share: SafeString


def overview(now: datetime) -> dict[str, Any]:
    """All operations in groups, what needs a person, and the rollouts under way."""
    seen = state.read(now)
    period = PERIODS["1h"]
    since, series = _series(now, period, None)
    marks = _marks(since, period, None)
    groups: dict[str, list[Row]] = {}
    for id_, one in seen.operations.items():
        own = [mark for target, mark in marks if target in (id_, "all")]
        of = series.get(id_) or _empty(period)
        groups.setdefault(one.group, []).append(
            Row(
                one,
                charts.small(of.latencies, own, f"p50 and p95 of {id_} within the hour, both sides"),
                charts.small(of.shares, own, f"share of {id_} that the fast path answered", top=100),
            )
        )
    return {"state": seen, "groups": groups, "rollouts": _rollouts(seen)}


def operation(id_: str, period: Period, now: datetime, base: str) -> dict[str, Any]:
    """One operation in full; ``base`` is where its curl lines go."""
    seen = state.read(now, [id_])
    one = seen.operations[id_]
    since, found = _series(now, period, id_)
    series = found.get(id_) or _empty(period)
    under_way = next((row for row in seen.rollouts if id_ in row.operations), None)
    marks = [mark for _, mark in _marks(since, period, id_)]
    times = [(since + timedelta(minutes=period.minutes * part / 4)).strftime(period.times) for part in range(5)]
    known = figures.read_all(since).get(id_, {})
    of = {name: known[side] for side, name in (("legacy", "host"), ("fast", "fast")) if side in known}
    latencies = {
        name: {figures.upper_bound(bucket): count for bucket, count in each.histogram().items()}
        for name, each in of.items()
        if each.histogram()
    }
    return {
        "state": seen,
        "one": one,
        "period": period,
        "periods": PERIODS,
        "latency": charts.large(series.latencies, marks, "p50 and p95 of both sides", unit="ms", times=times),
        "share": charts.large(series.shares, marks, "answered by the fast path", unit="%", times=times, top=100),
        "histogram": charts.histogram(
            {name: each for name, each in latencies.items() if each}, f"latencies of both sides within {period.name}"
        ),
        "sides": [("Fast path", one.fast), ("Host", one.host)],
        "rules": [{**rule, "said": state.said(rule)} for rule in one.guard.rules] if one.guard else [],
        "kinds": [
            (outcome.value.replace("_", " "), fast, host)
            for outcome in figures.Outcome
            if (fast := known.get("fast", figures.EMPTY).count(outcome))
            + (host := known.get("legacy", figures.EMPTY).count(outcome))
        ],
        "outcomes": sorted((name.replace("_", " "), count) for name, count in one.outcomes.items()),
        "groups": _groups(id_, base),
        "changes": sql.list_changes(conf.database, [id_, "all"], datetime.min.replace(tzinfo=UTC), 50),
        "rollouts": _rollouts(seen),
        "rollout": under_way,
        "next_step": _next_step(under_way, one),
    }


def moves(one: OperationState, share: float) -> str:
    """What going from what holds now to a share of addresses moves, from the figures."""
    now = 0.0 if one.stopped_by else one.asked_share
    if share == now:
        return "No address changes sides."
    moved = round(abs(share - now) / 100 * one.per_minute)
    side = "to the fast path" if share > now else "back to the host"
    rate = f"about {moved} request{'' if moved == 1 else 's'}" if moved else "less than one request"
    return f"{abs(share - now):g} % of addresses go {side}, {rate} a minute."


def _next_step(row: RolloutRow | None, one: OperationState) -> str:
    """What the next step of a rollout would move; nothing where there is none."""
    if row is None or row.step + 1 >= len(row.steps):
        return ""
    step = row.steps[row.step + 1]
    return f"The next step, {rollout_rows.shown(step)}: {moves(one, float(step))}"


def _rollouts(seen: State) -> list[str]:
    return [rollout.said(row, seen.at) for row in seen.rollouts]


def _series(now: datetime, period: Period, id_: str | None) -> tuple[datetime, dict[str, Series]]:
    """Series of one operation or of all, and where they begin: the last slot is the one under way."""
    slots = period.minutes // period.slot
    step = period.slot * 60
    begins = int(now.timestamp()) // step - slots + 1
    since = datetime.fromtimestamp(begins * step, UTC)
    found: dict[str, Series] = {}
    sides: dict[tuple[str, int], dict[str, sql.SeriesRow]] = {}
    for row in sql.list_series(conf.database, since, step, id_):
        if 0 <= row.slot < slots:
            sides.setdefault((row.operation, row.slot), {})[row.side] = row
    for (name, slot), of in sides.items():
        series = found.setdefault(name, _empty(period))
        fast, host = of.get("fast"), of.get("legacy")
        if fast:
            series.fast_p50[slot], series.fast_p95[slot] = map(figures.milliseconds, (fast.p50, fast.p95))
        if host:
            series.host_p50[slot], series.host_p95[slot] = map(figures.milliseconds, (host.p50, host.p95))
        answered = state.answered(fast, host)
        if total := answered + (host.requests if host else 0):
            series.share[slot] = 100 * answered / total
    return since, found


def _empty(period: Period) -> Series:
    slots = period.minutes // period.slot
    return Series([None] * slots, [None] * slots, [None] * slots, [None] * slots, [None] * slots)


def _marks(since: datetime, period: Period, id_: str | None) -> list[tuple[str, Mark]]:
    changes = sql.list_changes(conf.database, [id_, "all"] if id_ else None, since, 500)
    return [
        (
            change.operation,
            Mark(
                (change.changed_at - since).total_seconds() / 60 / period.slot,
                _kind(change),
                f"{state.clock(change.changed_at)} {change.changed_by}: {change.from_value} → {change.to_value}",
            ),
        )
        for change in changes
    ]


def _kind(change: sql.ChangeRow) -> str:
    if change.to_value == "killed":
        return "killed"
    if change.to_value.startswith("latched"):
        return "latched"
    return "lifted" if change.from_value.startswith(("latched", "killed")) else "changed"


# ---- differences


class Group(NamedTuple):
    """A group of differences and some of its samples."""

    difference: sql.DifferenceRow
    category: str  # in words
    samples: list[Sample]


class Sample(NamedTuple):
    """A request and both answers, line by line; a line is marked where the sides differ."""

    taken_at: datetime
    curl: str
    rows: list[tuple[str, str, bool]]


def _groups(id_: str, base: str) -> list[Group]:
    found = sql.list_differences(conf.database, id_, GROUPS)
    samples: dict[int, list[Sample]] = {}
    for row in sql.list_samples(conf.database, [each.id for each in found], SAMPLES):
        samples.setdefault(row.group, []).append(sample_of(row, base))
    return [Group(each, each.category.replace("_", " "), samples.get(each.id, [])) for each in found]


def sample_of(sample: Any, base: str) -> Sample:
    """A stored sample for a page."""
    host, fast = (_lines(side) for side in (sample.control, sample.candidate))
    return Sample(sample.taken_at, curl.line(sample.request, base), list(_side_by_side(host, fast)))


def _lines(value: Any) -> list[str]:
    return json.dumps(value, indent=1, ensure_ascii=False, sort_keys=True).splitlines()


def _side_by_side(host: Sequence[str], fast: Sequence[str]) -> Iterable[tuple[str, str, bool]]:
    for what, a, b, c, d in difflib.SequenceMatcher(None, host, fast, autojunk=False).get_opcodes():
        left, right = host[a:b], fast[c:d]
        for index in range(max(len(left), len(right))):
            yield (
                left[index] if index < len(left) else "",
                right[index] if index < len(right) else "",
                what != "equal",
            )
