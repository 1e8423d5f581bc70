"""Judging each operation that is under way, and rolling back what does worse than the host.

    for judgement in judge_all(now): ...       # reads figures and mismatches, changes nothing
    tick()                                     # judge and latch, in one worker at a time, when it is due

Invariant: an operation is only ever rolled back from here, never taken over; what was latched stays so
until a person lifts it with a reason, and nothing from before that counts against it again.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any, NamedTuple, Protocol

from django.db import transaction

from ..domain.sequential import Detector, difference, needed, proportion, threshold
from ..http.catalogue import OPERATIONS, Operation, Subject
from ..models.flags import Mode
from ..settings import conf
from . import figure_queries, flags, state_queries
from . import flag_queries as flag_sql
from . import guard_queries as sql
from .evidence import LEAST_FOR_EDGE, SLOW_SHARE, SLOW_TOLERATED, STREAMS, Evidence, Limits, SideMinute
from .figures import Outcome, milliseconds, percentile, upper_bound
from .shadow import finding_queries

logger = logging.getLogger(__name__)

FAST, LEGACY = "fast", "legacy"
LATE = timedelta(seconds=5)  # that the figures of a minute may come after the last flush that holds them
FARTHEST = timedelta(hours=1)  # back that minutes are counted in, when nobody has judged for long
ERRORS_CLEAR = 0.01  # `fine` says that no more than this beyond what is tolerated is likely
SLOW_CLEAR = 0.05


class Verdict(StrEnum):
    """What a rule, or all of them together, say of an operation."""

    FINE = "fine"
    UNDECIDED = "not yet decided"
    WORSE = "worse"
    NO_CONTROL = "no control"


class Rule(NamedTuple):
    """One rule's finding, in a sentence and in parts.

    ``text`` names both sides' estimates, their bounds at 95 % and the limit; ``value``, ``limit`` and ``window``
    carry their units; the samples are requests, one per caller and minute; ``needs`` is how many more it takes about,
    None where that is not known.
    """

    name: str
    verdict: Verdict
    text: str
    value: str
    limit: str
    window: str
    fast_sample: int
    host_sample: int
    needs: int | None


class Judgement(NamedTuple):
    """All rules on one operation: the worst of them decides. ``evidence`` is kept when it is acted upon."""

    operation: str
    mode: str
    verdict: Verdict
    rules: tuple[Rule, ...]
    evidence: sql.EvidenceRow | None = None

    @property
    def failing(self) -> Rule | None:
        """The first rule that says ``worse``."""
        return next((rule for rule in self.rules if rule.verdict is Verdict.WORSE), None)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "operation": self.operation,
            "mode": self.mode,
            "verdict": self.verdict.value,
            "rules": [{**rule._asdict(), "verdict": rule.verdict.value} for rule in self.rules],
        }


# ---- judging


def judge_all(now: datetime, operations: Iterable[Operation] = OPERATIONS) -> list[Judgement]:
    """Judge every operation that is neither ``legacy`` nor latched; reads only, one statement per question.

    ``now`` by the database's clock. Figures count from the first full minute after a change of the flag, and once
    their minute is over and every process has flushed.
    """
    alias = conf.database
    rows = {row.operation: row for row in flag_sql.list_flags(alias)}
    latched = {row.operation for row in flag_sql.list_open_latches(alias)}
    changes = sql.list_changes(alias)
    kept: dict[str, sql.EvidenceRow] = {}
    for row in sql.list_evidence(alias):
        kept.setdefault(row.operation, row)
    until = _minute(now - timedelta(seconds=2 * conf.figures_flush_seconds) - LATE)
    steps = []
    for operation in operations:
        flag = rows.get(operation.id)
        mode = Mode(flag.mode) if flag else flags.by_setting(operation).mode
        if mode is not Mode.LEGACY and operation.id not in latched:
            percent = flag.percent if flag and mode is Mode.SPLIT else Decimal(100 if mode is Mode.FAST else 0)
            newest = max(changes.get(operation.id, 0), changes.get(flags.ALL, 0))
            basis = f"{mode.value} {percent:f} {newest}"
            steps.append((operation, mode, _step(operation, basis, mode, percent, now, kept.get(operation.id))))
    if not steps:
        return []
    since = max(min(step.until for _, _, step in steps), until - FARTHEST)
    minutes = _minutes(figure_queries.list_cells(alias, since, until)) if since < until else {}
    mismatched = _Mismatched.read(alias, [step for _, _, step in steps], now)
    return [_judge(operation, mode, step, minutes.get(operation.id, {}), until, now, mismatched)
            for operation, mode, step in steps]  # fmt: skip


def _minute(instant: datetime) -> datetime:
    return instant.replace(second=0, microsecond=0)


def _step(
    operation: Operation, basis: str, mode: Mode, percent: Decimal, now: datetime, kept: sql.EvidenceRow | None
) -> sql.EvidenceRow:
    """The evidence that goes on, or a new one from the next full minute on."""
    if kept is not None and kept.basis == basis:
        return kept
    begins = _minute(now) + timedelta(minutes=1)
    fresh = Evidence()
    if kept is not None:
        before = Evidence.of(json.loads(kept.state))
        fresh.living, fresh.living_errors = before.living, before.living_errors
        if now - kept.until < FARTHEST:
            fresh.host = before.host  # what is slow is known from the first minute on
    state = json.dumps(fresh.as_dict())
    return sql.EvidenceRow(operation.id, basis, mode.value, percent, begins, begins, "{}", "{}", state)


def _minutes(cells: Iterable[figure_queries.CellRow]) -> dict[str, dict[datetime, tuple[SideMinute, SideMinute]]]:
    """Per operation and minute both sides' requests."""
    found: dict[str, dict[datetime, tuple[SideMinute, SideMinute]]] = {}
    for cell in cells:
        sides = found.setdefault(cell.operation, {}).setdefault(cell.minute, (SideMinute(), SideMinute()))
        side = sides[0 if cell.side == FAST else 1]
        side.count(Outcome(cell.outcome), cell.bucket, cell.distinct, cell.callers)
        side.requests += cell.requests
    return found


def _judge(
    operation: Operation,
    mode: Mode,
    step: sql.EvidenceRow,
    minutes: dict[datetime, tuple[SideMinute, SideMinute]],
    until: datetime,
    now: datetime,
    mismatched: _Mismatched,
) -> Judgement:
    limits = conf.guard_limits(operation.id)
    evidence = Evidence.of(json.loads(step.state))
    is_all = mode is Mode.FAST or step.percent >= 100
    allowed = tolerated(limits)._replace(has_control=not is_all or conf.control_percent > 0)
    for minute in sorted(minutes):
        if minute >= step.until:
            evidence.add(*minutes[minute], allowed)
    step = step._replace(
        until=max(step.until, until),
        fast=json.dumps(_summary(evidence, 0)),
        host=json.dumps(_summary(evidence, 2)),
        state=json.dumps(evidence.as_dict()),
    )
    rules = [mismatched.rule(operation, mode, step, limits)]
    if mode is not Mode.SHADOW:
        rules = [rule for rule in rules if rule.fast_sample]  # what nobody compared is no evidence
        rules += compare(operation, evidence, limits, _window(step, now))
    return Judgement(operation.id, mode.value, _together(rule.verdict for rule in rules), tuple(rules), step)


def tolerated(limits: dict[str, Any]) -> Limits:
    """The settings as shares and ratios."""

    def share(percent: float | None) -> float | None:
        return None if percent is None else percent / 100

    return Limits(
        share(limits["ERROR_POINTS"]), limits["P95_RATIO"], share(limits["ERROR_PERCENT"]), limits["P95_TIMES"]
    )


def _summary(evidence: Evidence, first: int) -> dict[str, Any]:
    """One side of a step for people: requests and errors of late, p95 in milliseconds."""
    requests, errors = evidence.errors.recent[first : first + 2]
    return {
        "requests": round(requests),
        "errors": round(errors),
        "p95_ms": milliseconds(percentile(evidence.host if first else evidence.fast, 95)),
    }


def _window(step: sql.EvidenceRow, now: datetime) -> str:
    minutes = max((now - step.since).total_seconds() / 60, 0)
    return f"{minutes:.0f} min" if minutes < 120 else f"{minutes / 60:.0f} h"


def _together(verdicts: Iterable[Verdict]) -> Verdict:
    seen = set(verdicts)
    for verdict in (Verdict.WORSE, Verdict.NO_CONTROL, Verdict.UNDECIDED):
        if verdict in seen:
            return verdict
    return Verdict.FINE


# ---- both sides


def compare(operation: Operation, evidence: Evidence, limits: dict[str, Any], window: str) -> list[Rule]:
    """The rules that compare both sides, or judge the fast path by itself where there is no host to compare with."""
    strict = threshold(limits["FALSE_ALARMS_A_YEAR"], STREAMS)
    rules = []
    if limits["ERROR_POINTS"] is not None:
        judged = _errors_alone if evidence.has_no_control else _errors
        rules.append(judged(operation, evidence, limits, window, strict))
    if limits["P95_RATIO"] is not None:
        judged = _slow_alone if evidence.has_no_control else _slow
        rules.append(judged(operation, evidence, limits, window, strict))
    return rules


def _errors(operation: Operation, evidence: Evidence, limits: dict[str, Any], window: str, strict: float) -> Rule:
    points = limits["ERROR_POINTS"]
    said = f"errors {{fast}} against {{host}} of the host (limit {points:g} points){_kinds(evidence)}"
    allowed = _Allowed(points / 100, ERRORS_CLEAR, limits["MIN_SAMPLE"], strict, f"{points:g} points")
    is_soon = evidence.is_unshared(strict) and evidence.errors.strength() < strict
    return _sides(operation, "errors", evidence.errors_alone if is_soon else evidence.errors, allowed, window, said)


def _kinds(evidence: Evidence) -> str:
    words = {"fallback": "where the host answered instead", "circuit_open": "while the circuit was open"}
    return "".join(f", {evidence.kinds[kind]} {words[kind]}" for kind in words if evidence.kinds.get(kind))


def _slow(operation: Operation, evidence: Evidence, limits: dict[str, Any], window: str, strict: float) -> Rule:
    ratio = limits["P95_RATIO"]
    fast, host = (_ms(percentile(side, 95)) for side in (evidence.fast, evidence.host))
    said = (
        f"p95 {fast} against {host} of the host (limit {ratio:g} ×); slower than {_ms(evidence.edge(ratio))} were "
        "{fast} against {host} of the host"
    )
    allowed = _Allowed(SLOW_TOLERATED, SLOW_CLEAR, limits["MIN_SAMPLE"], strict, f"{ratio:g} ×")
    known = sum(evidence.host.values())
    missing = NO_MINUTE
    if known < LEAST_FOR_EDGE and evidence.errors.recent[0] + evidence.errors.recent[2]:
        missing = f"nothing compared yet: the host's p95 takes {LEAST_FOR_EDGE} requests of its own, {known:.0f} so far"
    return _sides(operation, "p95", evidence.slow, allowed, window, said, missing)


def _ms(index: int | None) -> str:
    return "unknown" if index is None else f"{_digits(upper_bound(index) * 1000)} ms"


def _digits(value: float) -> str:
    """Three significant digits, and never an exponent."""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def _percent(bad: float, total: float) -> str:
    if not total:
        return "nothing"
    low, share, high = (_figure(100 * each) for each in proportion(bad, total))
    return f"{share} % ({low} to {high} % of {total:.0f} requests)"


def _figure(value: float) -> str:
    return f"{value:.0f}" if value >= 10 else f"{value:.2g}"


class _Allowed(NamedTuple):
    """By how much a share may exceed the host's, what ``fine`` excludes beyond that, and what either takes."""

    share: float
    clear: float
    least: int
    strict: float
    limit: str


NO_MINUTE = "nothing compared yet: it takes a full minute with requests after the change"


def _sides(
    operation: Operation,
    name: str,
    detector: Detector,
    allowed: _Allowed,
    window: str,
    said: str,
    missing: str = NO_MINUTE,
) -> Rule:
    """One comparison of two proportions: ``worse`` by the strict test, ``fine`` by an ordinary estimate.

    ``missing``: why there is nothing yet, where there is nothing.
    """
    strength, counts = detector.strength(), detector.recent
    found = difference(counts)
    needs: int | None = needed(counts, allowed.share + allowed.clear, allowed.least)
    verdict, why = Verdict.UNDECIDED, ""
    if strength >= allowed.strict:
        counts, needs = detector.suspected, None
        why = one_caller(operation, detector)
        verdict = Verdict.UNDECIDED if why else Verdict.WORSE
    elif needs == 0 and (found.low > allowed.share or found.estimate > allowed.share + allowed.clear):
        # An ordinary test would object; the strict one is not sure yet.
        if any(detector.suspected):
            counts = detector.suspected
            needs = round(counts[0] * max(allowed.strict / max(strength, 1.0) - 1, 0.05)) + 1
        else:
            needs = None
    elif needs == 0:
        verdict = Verdict.FINE
    if counts[0] and counts[2]:
        text = said.format(fast=_percent(counts[1], counts[0]), host=_percent(counts[3], counts[2]))
    elif counts[0] or counts[2]:
        text = f"too few to compare: {counts[0]:.0f} requests of the fast path, {counts[2]:.0f} of the host"
    else:
        text = missing
    if why or needs:
        text += f"; {why or f'needs about {_rounded(needs or 0)} more requests'}"
    value = f"{100 * difference(counts).estimate:.3g} points more" if counts[0] and counts[2] else "unknown"
    return Rule(name, verdict, text, value, allowed.limit, window, round(counts[0]), round(counts[2]), needs)


def one_caller(operation: Operation, detector: Detector) -> str:
    """Why what was found may be one client's doing; empty where it is not.

    Operations that know neither address nor key: the requests of three minutes.
    """
    if operation.subject is Subject.REQUEST:
        return "" if detector.bad_minutes >= 3 else "seen in fewer than three minutes"
    return "" if detector.callers >= 2 else "one caller"


def _rounded(number: int) -> int:
    digits = max(len(str(number)) - 2, 0)
    return round(number, -digits) or number


def _errors_alone(operation: Operation, evidence: Evidence, limits: dict[str, Any], window: str, strict: float) -> Rule:
    percent = limits["ERROR_PERCENT"]
    detector = evidence.errors_alone
    said = f"no requests of the host to compare with: errors {{fast}} (limit {_limit(percent, '%')}){_kinds(evidence)}"
    return _alone(operation, "errors", detector, strict, window, _limit(percent, "%"), said)


def _slow_alone(operation: Operation, evidence: Evidence, limits: dict[str, Any], window: str, strict: float) -> Rule:
    times = limits["P95_TIMES"]
    edge = _ms(evidence.edge_alone(times))
    limit = "none" if edge == "unknown" else f"{edge}, {times:g} × what it was when last compared"
    said = (
        f"no requests of the host to compare with: p95 {_ms(percentile(evidence.fast, 95))} (limit {limit}); "
        f"slower than the limit were {{fast}}, at most {100 * SLOW_SHARE:g} % may be"
    )
    return _alone(operation, "p95", evidence.slow_alone, strict, window, limit, said)


def _limit(value: float | None, unit: str) -> str:
    return "none" if value is None else f"{value:g} {unit}"


def _alone(
    operation: Operation, name: str, detector: Detector, strict: float, window: str, limit: str, said: str
) -> Rule:
    is_worse = detector.strength() >= strict
    why = one_caller(operation, detector) if is_worse else ""
    counts = detector.suspected if is_worse else detector.recent
    text = said.format(fast=_percent(counts[1], counts[0])) + (f"; {why}" if why else "")
    value = f"{100 * proportion(counts[1], counts[0]).estimate:.3g} %" if counts[0] else "unknown"
    verdict = Verdict.WORSE if is_worse and not why else Verdict.NO_CONTROL
    return Rule(name, verdict, text, value, limit, window, round(counts[0]), 0, None)


# ---- mismatches


class _Mismatched(NamedTuple):
    """What shadow found of all operations, read once."""

    groups: dict[str, tuple[int, str]]
    compared: dict[str, list[sql.ComparedRow]]
    now: datetime

    @classmethod
    def read(cls, alias: str, steps: list[sql.EvidenceRow], now: datetime) -> _Mismatched:
        longest = max(conf.guard_limits(step.operation)["MISMATCH_WINDOW_SECONDS"] for step in steps)
        since = now - timedelta(seconds=longest)
        compared: dict[str, list[sql.ComparedRow]] = {}
        for row in sql.list_compared(alias, _minute(since)):
            compared.setdefault(row.operation, []).append(row)
        return cls(sql.count_real_mismatches(alias, since), compared, now)

    def rule(self, operation: Operation, mode: Mode, step: sql.EvidenceRow, limits: dict[str, Any]) -> Rule:
        """Whether several callers' requests were answered otherwise; one request is one piece of evidence."""
        begin = self.now - timedelta(seconds=limits["MISMATCH_WINDOW_SECONDS"])
        since = max(_minute(begin), step.since)
        window = _window(step._replace(since=since), self.now)
        rows = [row for row in self.compared.get(operation.id, ()) if row.minute >= since]
        compared, differed = sum(row.compared for row in rows), sum(row.mismatched for row in rows)
        _, paths = self.groups.get(operation.id, (0, ""))
        most = limits["MISMATCHES"]
        if not paths:
            differed = 0  # the host differs from itself there
        needs = max(limits["MIN_SAMPLE"] - compared, 0) if mode is Mode.SHADOW else 0
        verdict = Verdict.UNDECIDED if needs else Verdict.FINE
        text = f"{differed or 'none'} of {compared} requests compared were answered otherwise"
        if most is not None and differed > most:
            text += f" (limit {most}): {paths}"
            why = self._doubt(operation, rows, compared, limits)
            verdict = Verdict.UNDECIDED if why else Verdict.WORSE
            text += f"; {why}" if why else ""
        elif needs:
            text += f"; needs about {_rounded(needs)} more requests"
        value = f"{differed} ({paths})" if differed else "0"
        return Rule("mismatches", verdict, text, value, _limit(most, "requests"), window, compared, compared, needs)

    def _doubt(self, operation: Operation, rows: list[sql.ComparedRow], compared: int, limits: dict[str, Any]) -> str:
        if compared < limits["MIN_COMPARED"]:
            return f"needs about {limits['MIN_COMPARED'] - compared} more requests"
        if operation.subject is Subject.REQUEST:
            return "" if sum(row.mismatched > 0 for row in rows) >= 3 else "seen in fewer than three minutes"
        callers = 0
        for row in rows:
            callers |= row.callers
        return "" if callers.bit_count() >= 2 else "one caller"


# ---- acting


def act(judgements: Iterable[Judgement], now: datetime, *, dry_run: bool) -> list[Judgement]:
    """Keep verdicts and evidence, and latch what does worse; those that were (or would have been) latched."""
    alias = conf.database
    failed = []
    for judgement in judgements:
        rules = json.dumps(judgement.as_dict()["rules"])
        sql.upsert_verdict(alias, judgement.operation, now, judgement.verdict.value, rules)
        if judgement.evidence is not None:
            sql.upsert_evidence(alias, judgement.evidence)
        rule = judgement.failing
        if rule is None:
            continue
        if judgement.mode == Mode.SHADOW and not conf.guard_limits(judgement.operation)["LATCH_SHADOW"]:
            continue
        failed.append(judgement)
        logger.error(
            "guard: %s %s by %s: %s",
            judgement.operation,
            "would be latched" if dry_run else "is latched to legacy",
            rule.name,
            rule.text,
        )
        if not dry_run:
            flags.latch(
                judgement.operation,
                rule=rule.name,
                value=rule.text[:200],
                limit=rule.limit[:200],
                window=rule.window[:200],
                sample=rule.fast_sample,
            )
    return failed


class Then(Protocol):
    """What follows a judgement within its transaction: rollouts move."""

    def __call__(self, now: datetime, judgements: Mapping[str, Judgement], /, *, dry_run: bool) -> object: ...


def tick(then: Then | None = None) -> bool:
    """Judge and latch when that is due and nobody else does it; whether it was done. Now and then, forget the old."""
    limits = conf.guard_limits()
    interval = float(limits["INTERVAL_SECONDS"] or 0)
    if interval <= 0:
        return False
    alias = conf.database
    with transaction.atomic(using=alias):
        # The database's clock judges; an age below zero is one from a server whose clock ran ahead.
        now, age = sql.get_clock(alias)
        if age is not None and 0 <= age < interval:
            return False
        if not sql.lock_guard(alias):
            return False
        judgements = judge_all(now)
        act(judgements, now, dry_run=bool(limits["DRY_RUN"]))
        if then is not None:
            then(now, {judgement.operation: judgement for judgement in judgements}, dry_run=bool(limits["DRY_RUN"]))
        # Stands for the round itself, so that a round without operations is one too.
        sql.upsert_verdict(alias, "", now, Verdict.FINE.value, "[]")
        if age is None or age < 0 or now.hour != (now - timedelta(seconds=age)).hour:
            prune(now)
    return True


FOLD_AFTER = timedelta(hours=3)  # evidence is long carried on by then


def prune(now: datetime) -> tuple[int, int]:
    """Forget what is older than the settings say, and make hours of older minutes; figures and mismatches forgotten."""
    alias = conf.database
    with transaction.atomic(using=alias):
        if sql.lock_guard(alias):  # one process at a time
            state_queries.fold(alias, now - FOLD_AFTER)
    sql.delete_old_evidence(alias, now - timedelta(days=conf.keep_mismatches_days))
    return (
        figure_queries.delete_old_figures(alias, now - timedelta(days=conf.keep_figures_days)),
        finding_queries.delete_old_mismatches(alias, now - timedelta(days=conf.keep_mismatches_days)),
    )
