"""What really happens to each operation: the one answer that status, the admin's pages and the metrics read.

    state = read(datetime.now(UTC))
    state.operations["v2_score"].answers      # "both", and .why says what stops it

Invariant: nothing else computes who answers, a share or a percentile for people.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from importlib import import_module
from typing import Any

from django.conf import settings
from django.urls import Resolver404, resolve

from ..http.catalogue import OPERATIONS, Operation
from ..models.flags import Mode
from ..settings import conf
from . import figures, flag_queries, flags, guard_queries, rollout, rollout_queries
from . import state_queries as sql
from .figures import Outcome, milliseconds
from .rollout_queries import RolloutRow

RECENT = timedelta(minutes=10)  # what shares, rates and percentiles are of
LATELY = timedelta(minutes=2)  # a circuit that turned requests away within it counts as open
EARLIER = timedelta(hours=1)  # what counts, comparisons and groups of differences are of
MIDDLEWARE = "scorer_fast.cutover.middleware.ScorerFastMiddleware"
WORSE = ("worse",)  # the guard's words for an operation that must not go on
BY_SWITCH = "killed by kill switch"  # said once for each switch
COMPARED = ("matched", "mismatched")
NOT_COMPARED = ("queue_full", "too_late", "paused", "unavailable", "failed")


class Stands(StrEnum):
    """How this app is installed in this process's project."""

    BEHIND = "in front of the host's views, by the middleware"
    LAMBDA = "in front of the host's Lambda handler"
    ALONE = "alone: the fast path answers every request, whatever the flags say"
    ABSENT = "nowhere: neither the middleware nor the URLs are installed, the host answers everything"


@dataclass(frozen=True, slots=True)
class Side:
    """Requests of one side within :data:`RECENT`, how many failed, and how long those took that its own code served
    (milliseconds; not what was refused before any work, say).

    ``outcomes``: what became of them, those included that an open circuit turned away.
    """

    requests: int = 0
    errors: int = 0
    p50_ms: float | None = None
    p95_ms: float | None = None
    p99_ms: float | None = None
    outcomes: dict[str, int] = field(default_factory=dict)

    @property
    def served(self) -> int:
        """Those that this side worked on, or should have, without what an open circuit turned away."""
        return sum(self.outcomes.get(outcome, 0) for outcome in figures.SERVED - {Outcome.CIRCUIT_OPEN})

    @property
    def error_percent(self) -> float:
        """Errors in percent of what was served: refusals do not thin them."""
        return 100 * self.errors / self.served if self.served else 0.0


@dataclass(frozen=True, slots=True)
class Circuit:
    """Whether any process's circuit turned requests away :data:`LATELY`, since when, and how often it opened."""

    is_open: bool = False
    since: datetime | None = None  # the first minute within EARLIER
    opened: int = 0
    turned_away: int = 0


@dataclass(frozen=True, slots=True)
class Guard:
    """The guard's newest verdict and its rules, as they are stored."""

    verdict: str
    judged_at: datetime
    rules: tuple[dict[str, Any], ...]

    @property
    def css(self) -> str:
        """The verdict as a class of a style sheet."""
        return self.verdict.replace(" ", "-")

    @property
    def failing(self) -> tuple[dict[str, Any], ...]:
        return tuple(rule for rule in self.rules if rule["verdict"] in WORSE)


@dataclass(frozen=True, slots=True)
class OperationState:
    """One operation: what is asked for, what happens, and what stops it.

    ``answers``: ``fast``, ``legacy``, ``both``, or ``none`` where the contract has no such operation.
    ``asked_share`` and ``share``: percent of subjects asked for, percent of requests that the fast path answered
    within RECENT (None without requests). ``consistency``: percent of ``compared`` answers and rows that agreed,
    deliberate differences aside, within EARLIER. ``needs``: what a person has to look at.
    """

    operation: str
    group: str
    method: str
    path: str
    writes: bool
    mode: str
    percent: str | None
    has_flag: bool
    answers: str
    stopped_by: tuple[str, ...]
    asked_share: float
    share: float | None
    per_minute: float
    fast: Side
    host: Side
    fallbacks: int
    circuit: Circuit
    compared: int
    consistency: float | None
    deliberate: int
    not_compared: int
    outcomes: dict[str, int]
    mismatches: dict[str, int]
    guard: Guard | None
    allow: tuple[str, ...]
    deny: tuple[str, ...]
    updated_at: datetime | None
    updated_by: str | None
    reason: str | None
    needs: tuple[str, ...] = ()

    @property
    def asked(self) -> str:
        """The flag in words: ``split 5 %``."""
        return f"split {Decimal(self.percent).normalize():f} %" if self.percent is not None else self.mode

    @property
    def is_killed(self) -> bool:
        """Whether a switch that people throw holds it: in the database, a setting or the environment."""
        return any(stop not in ("latch", "circuit open", "not installed") for stop in self.stopped_by)

    @property
    def who(self) -> str:
        """Who answers, in words: ``legacy (circuit open)``."""
        if self.answers == "none":
            return "not in this revision"
        if self.stopped_by:
            return f"{self.answers} ({self.stopped_by[0]})"
        if self.answers == "legacy" and self.mode == Mode.SHADOW:
            return "legacy (shadowed)"
        return "legacy (no flag)" if self.answers == "legacy" and not self.has_flag else self.answers

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            name: _jsonable(value) for name, value in (*asdict(self).items(), ("asked", self.asked), ("who", self.who))
        }


@dataclass(frozen=True, slots=True)
class State:
    """All operations in the catalogue's order, what stops some or all of them, and what needs a person."""

    at: datetime
    stands: Stands
    contract: str
    contract_why: str
    operations: dict[str, OperationState]
    kill_switches: tuple[flag_queries.KillRow, ...]
    latches: tuple[flag_queries.LatchRow, ...]
    rollouts: tuple[RolloutRow, ...] = ()
    needs: tuple[str, ...] = field(default=())

    @property
    def idle_kills(self) -> tuple[flag_queries.KillRow, ...]:
        """Kill switches that hold nothing back now: what they are thrown for is ``legacy``."""
        return tuple(
            row
            for row in self.kill_switches
            if all(one.mode == Mode.LEGACY for id_, one in self.operations.items() if id_ in flags.members(row.target))
        )

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "at": self.at.isoformat(timespec="seconds"),
            "stands": self.stands.name.lower(),
            "contract": self.contract,
            "contract_why": self.contract_why,
            "needs": list(self.needs),
            "operations": [one.as_dict() for one in self.operations.values()],
            "kill_switches": [
                {"target": row.target, "since": _time(row.updated_at), "by": row.updated_by, "reason": row.reason}
                for row in self.kill_switches
            ],
            "latches": [
                {**_jsonable(row._asdict()), "since": _time(row.created_at)} for row in self.latches
            ],
            "rollouts": [rollout.as_dict(row, self.at) for row in self.rollouts],
        }  # fmt: skip


def read(now: datetime, only: Collection[str] = ()) -> State:
    """The state of all operations, or of those in ``only``; nine statements, however many operations."""
    alias = conf.database
    rows = {row.operation: row for row in flag_queries.list_flags(alias)}
    kills = [
        row
        for row in flag_queries.list_active_kills(alias)
        if not only or row.target == flags.ALL or set(flags.members(row.target)) & set(only)
    ]
    latches = flag_queries.list_open_latches(alias)
    found = _Found(
        now,
        stands(),
        kills=kills,
        latched={row.operation: row for row in latches},
        verdicts={row.operation: row for row in guard_queries.list_verdicts(alias)},
        sides={
            (row.operation, row.side): row
            for row in sql.list_series(alias, _minute(now - RECENT), 10 * RECENT.total_seconds())
        },
        figures=figures.read_all(now - RECENT),
        outcomes=sql.list_outcomes(alias, _minute(now - EARLIER), _minute(now - RECENT)),
        groups=sql.list_groups(alias, now - EARLIER),
        rollouts=[row for row in rollout_queries.list_rollouts(alias) if row.state in rollout.UNDER_WAY],
        changes={row.operation: row for row in sql.list_last_changes(alias)},
    )
    contract, contract_why = _contract()
    wanted = [operation for operation in OPERATIONS if not only or operation.id in only]
    states = {operation.id: _of(operation, rows.get(operation.id), found) for operation in wanted}
    needs = [
        f"{row.target}: killed since {clock(row.updated_at)} by {row.updated_by}: {row.reason}"
        for row in kills
        if any(states[id_].mode != Mode.LEGACY for id_ in flags.members(row.target) if id_ in states)
    ]
    needs += [f"{state.operation}: {need}" for state in states.values() for need in state.needs if need != BY_SWITCH]
    if found.stands is Stands.ABSENT and any(state.mode != Mode.LEGACY for state in states.values()):
        needs.insert(0, f"the flags move nothing: {MIDDLEWARE} is not in MIDDLEWARE")
    return State(
        at=now,
        stands=found.stands,
        contract=contract,
        contract_why=contract_why,
        operations=states,
        kill_switches=tuple(kills),
        latches=tuple(row for row in latches if not only or row.operation in only),
        rollouts=tuple(row for row in found.rollouts if not only or set(row.operations) & set(only)),
        needs=tuple(needs),
    )


def no_baseline(operation_id: str, now: datetime) -> str | None:
    """What to do where the fast path would answer (nearly) all, and nobody knows how fast the host was; else None."""
    row = flag_queries.get_flag(conf.database, operation_id)
    if row is None or not (row.mode == Mode.FAST or (row.mode == Mode.SPLIT and row.percent > 90)):
        return None
    limits = conf.guard_limits(operation_id)
    host = figures.read_all(now - EARLIER).get(operation_id, {}).get("legacy", figures.EMPTY)
    least = limits["MIN_SAMPLE"]
    if host.served >= least:
        return None
    return (
        f"{operation_id}: the guard has no baseline: {host.served} requests of the host are known, it wants {least}. "
        f"Errors and p95 beside the host's cannot be judged. First let the host be measured: "
        f"scorer_fast set {operation_id} shadow --reason …, or split up to 50 %, or MEASURE_LEGACY in the settings."
    )


def _contract() -> tuple[str, str]:
    """The revision of the host that this process follows, and how that was found out."""
    try:
        found = import_module("scorer_fast.revision").found()
    except ModuleNotFoundError:  # one revision is all there is
        return "2025-12", "the only one known"
    return found.revision.name, found.why


def stands() -> Stands:
    """How this app is installed here."""
    if MIDDLEWARE in settings.MIDDLEWARE:
        return Stands.BEHIND
    if "SCORER_FAST_HOST_HANDLER" in os.environ:
        return Stands.LAMBDA
    try:
        namespaces = resolve("/ceramic-cache/weights").namespaces
    except Resolver404:
        namespaces = []
    return Stands.ALONE if "scorer_fast" in namespaces else Stands.ABSENT


@dataclass(frozen=True, slots=True)
class _Found:
    """What the statements answered."""

    now: datetime
    stands: Stands
    kills: list[flag_queries.KillRow]
    latched: dict[str, flag_queries.LatchRow]
    verdicts: dict[str, guard_queries.VerdictRow]
    sides: dict[tuple[str, str], sql.SeriesRow]
    figures: dict[str, dict[str, figures.Figures]]
    outcomes: list[sql.OutcomeRow]
    groups: list[sql.GroupsRow]
    rollouts: list[RolloutRow]
    changes: dict[str, sql.ChangeRow]


def _of(operation: Operation, row: flag_queries.FlagRow | None, found: _Found) -> OperationState:
    id_ = operation.id
    mode = Mode(row.mode) if row else flags.by_setting(operation).mode
    counted = {one.outcome: one for one in found.outcomes if one.operation == id_}
    rows_of = [found.sides.get((id_, side)) for side in ("fast", "legacy")]
    figures_of = found.figures.get(id_, {})
    fast, host = (
        _side(row, figures_of.get(side, figures.EMPTY)) for row, side in zip(rows_of, ("fast", "legacy"), strict=True)
    )
    fallbacks = counted["fallbacks"].lately if "fallbacks" in counted else 0
    by_fast = answered(*rows_of)
    total = by_fast + host.requests
    circuit = _circuit(counted, found.now)
    stops = _stops(id_, found)
    is_there = getattr(operation, "is_there", True)  # in the revision of the host that holds
    answers, stopped_by = _who(mode, stops, circuit, found.stands) if is_there else ("none", ())
    compared = {name: counted[name].amount if name in counted else 0 for name in COMPARED}
    judged = found.verdicts.get(id_)
    guard = Guard(judged.verdict, judged.judged_at, tuple(json.loads(judged.rules))) if judged else None
    mismatches = {one.category: one.groups for one in found.groups if one.operation == id_}
    change = _newest(found.changes.get(id_), found.changes.get(flags.ALL) if stops else None)
    return OperationState(
        operation=id_,
        group=operation.group,
        method=operation.method,
        path=operation.path,
        writes=operation.writes,
        mode=mode.value,
        has_flag=row is not None or mode is not Mode.LEGACY,
        percent=f"{row.percent:.2f}" if row and mode is Mode.SPLIT else None,
        answers=answers,
        stopped_by=stopped_by,
        asked_share=100.0 if mode is Mode.FAST else float(row.percent) if row and mode is Mode.SPLIT else 0.0,
        share=100 * by_fast / total if total else None,
        per_minute=total / (RECENT.total_seconds() / 60),
        fast=fast,
        host=host,
        fallbacks=fallbacks,
        circuit=circuit,
        compared=sum(compared.values()),
        consistency=100 * compared["matched"] / sum(compared.values()) if sum(compared.values()) else None,
        deliberate=counted["deliberate"].amount if "deliberate" in counted else 0,
        not_compared=sum(counted[name].amount for name in NOT_COMPARED if name in counted),
        outcomes={name: one.amount for name, one in counted.items()},
        mismatches=mismatches,
        guard=guard,
        allow=tuple(row.allow.split()) if row else (),
        deny=tuple(row.deny.split()) if row else (),
        updated_at=change.changed_at if change else row.updated_at if row else None,
        updated_by=change.changed_by if change else row.updated_by if row else None,
        reason=change.reason if change else None,
        needs=tuple(_needs(mode, stops, circuit, guard, mismatches, found.latched.get(id_))),
    )


def _stops(id_: str, found: _Found) -> tuple[str, ...]:
    """What gives the operation to the host whatever its flag says, strongest first."""
    stops = []
    if id_ in flags.stopped_by_environment():
        stops.append(f"environment variable {flags.ENVIRONMENT}")
    if id_ in flags.stopped_by_setting():
        stops.append('setting SCORER_FAST["KILL"]')
    if any(id_ in flags.members(row.target) for row in found.kills):
        stops.append("kill switch")
    if id_ in found.latched:
        stops.append("latch")
    return tuple(stops)


def _who(mode: Mode, stops: tuple[str, ...], circuit: Circuit, stands: Stands) -> tuple[str, tuple[str, ...]]:
    if stands is Stands.ALONE:
        return "fast", ()
    if stands is Stands.ABSENT:
        return "legacy", ("not installed", *stops)
    if stops:
        return "legacy", stops
    if mode in (Mode.SPLIT, Mode.FAST):
        if circuit.is_open:
            return "legacy", ("circuit open",)
        return "both" if mode is Mode.SPLIT else "fast", ()
    return "legacy", ()


def _needs(
    mode: Mode,
    stops: tuple[str, ...],
    circuit: Circuit,
    guard: Guard | None,
    mismatches: dict[str, int],
    latch: flag_queries.LatchRow | None,
) -> Iterable[str]:
    if latch is not None:
        yield f"latched by {latch_said(latch)}, since {clock(latch.created_at)}"
    for stop in stops:
        if stop != "latch" and mode is not Mode.LEGACY:
            yield f"killed by {stop}"
    if circuit.is_open and mode in (Mode.SPLIT, Mode.FAST) and not stops:
        since = f" since {clock(circuit.since)}" if circuit.since else ""
        often = f", opened {circuit.opened} time{'' if circuit.opened == 1 else 's'}" if circuit.opened else ""
        yield f"circuit open{since}{often}: the host answered {circuit.turned_away} requests instead"
    if mode is not Mode.LEGACY and latch is None:
        if guard is not None and guard.failing:
            yield "the guard says worse: " + "; ".join(said(rule) for rule in guard.failing)
        if mismatches.get("mismatch"):
            groups = mismatches["mismatch"]
            yield f"{groups} group{'' if groups == 1 else 's'} of real mismatches within the hour"


def said(rule: dict[str, Any]) -> str:
    """A rule of the guard as a sentence."""
    text = rule.get("text")
    return str(text) if text else f"{rule['name']} {rule['value']}, limit {rule['limit']}"


def latch_said(latch: flag_queries.LatchRow) -> str:
    """What a latch saw; its limit where that does not say it."""
    says_it = "(limit " in latch.value or latch.rule == rollout.RULE
    return f"{latch.rule}: {latch.value}" + ("" if says_it else f", limit {latch.limit}")


def clock(instant: datetime) -> str:
    """``2026-06-01 03:12:07``, UTC."""
    return instant.strftime("%Y-%m-%d %H:%M:%S")


def answered(fast: sql.SeriesRow | None, host: sql.SeriesRow | None) -> int:
    """Requests that the fast path answered: all that were its own, without those that the host stood in for."""
    return max((fast.requests + fast.away if fast else 0) - (host.stood_in if host else 0), 0)


def _side(row: sql.SeriesRow | None, of: figures.Figures) -> Side:
    outcomes = {outcome.value: count for outcome in figures.Outcome if (count := of.count(outcome))}
    if row is None or not row.requests:
        return Side(outcomes=outcomes)
    return Side(row.requests, row.errors, milliseconds(row.p50), milliseconds(row.p95), milliseconds(row.p99), outcomes)


def _circuit(counted: dict[str, sql.OutcomeRow], now: datetime) -> Circuit:
    away, opened = counted.get("circuit_open"), counted.get("circuit_opened")
    if away is None and opened is None:
        return Circuit()
    seen = [one for one in (away, opened) if one is not None]
    return Circuit(
        is_open=max(one.last for one in seen) >= _minute(now - LATELY),
        since=min(one.first for one in seen),
        opened=opened.amount if opened else 0,
        turned_away=away.amount if away else 0,
    )


def _newest(*changes: sql.ChangeRow | None) -> sql.ChangeRow | None:
    return max((one for one in changes if one is not None), key=lambda one: one.changed_at, default=None)


def _minute(instant: datetime) -> datetime:
    return instant.replace(second=0, microsecond=0)


def _time(instant: datetime) -> str:
    return instant.isoformat(timespec="seconds")


def _jsonable(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _jsonable(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_jsonable(inner) for inner in value]
    if isinstance(value, datetime):
        return _time(value)
    return round(value, 3) if isinstance(value, float) else value
