"""Judging each operation that is under way, and rolling back what does worse than the host.

    for judgement in judge_all(now): ...       # reads figures and mismatches, changes nothing
    tick()                                     # judge and latch, in one worker at a time, when it is due

Invariant: an operation is only ever rolled back from here, never taken over; what was latched stays so
until a person lifts it with a reason, and nothing from before that counts against it again.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, NamedTuple

from django.db import transaction

from ..http.catalogue import OPERATIONS, Operation
from ..models.flags import Mode
from ..settings import conf
from . import experiment_queries as sql
from . import figures, flags
from . import flag_queries as flag_sql
from .figures import EMPTY, Histogram

logger = logging.getLogger(__name__)

FAST, LEGACY = "fast", "legacy"


class Verdict(StrEnum):
    """What a rule, or all of them together, say of an operation."""

    PASS = "pass"
    FAIL = "fail"
    NOT_ENOUGH_DATA = "not enough data"


class Rule(NamedTuple):
    """One rule's finding; ``value``, ``limit`` and ``window`` with their units, ``sample`` in requests."""

    name: str
    verdict: Verdict
    value: str
    limit: str
    window: str
    sample: int


class Judgement(NamedTuple):
    """All rules on one operation; a single failing rule fails it."""

    operation: str
    mode: str
    verdict: Verdict
    rules: tuple[Rule, ...]

    @property
    def failing(self) -> Rule | None:
        """The first rule that failed."""
        return next((rule for rule in self.rules if rule.verdict is Verdict.FAIL), None)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        rules = [{**rule._asdict(), "verdict": rule.verdict.value} for rule in self.rules]
        return {
            "operation": self.operation,
            "mode": self.mode,
            "verdict": self.verdict.value,
            "rules": rules,
        }


def judge_all(now: datetime, operations: Iterable[Operation] = OPERATIONS) -> list[Judgement]:
    """Judge every operation that is neither ``legacy`` nor latched; reads only."""
    alias = conf.database
    rows = {row.operation: row.mode for row in flag_sql.list_flags(alias)}
    latched = {row.operation for row in flag_sql.list_open_latches(alias)}
    lifts = sql.list_lifts(alias)
    judgements = []
    for operation in operations:
        mode = Mode(rows.get(operation.id) or flags.by_setting(operation).mode)
        if mode is not Mode.LEGACY and operation.id not in latched:
            judgements.append(judge(operation, mode, now, lifts.get(operation.id)))
    return judgements


def judge(operation: Operation, mode: Mode, now: datetime, lifted_at: datetime | None) -> Judgement:
    """Judge one operation on what was seen in its windows, and since its latch was last lifted."""
    limits = conf.guard_limits(operation.id)
    rules = [_mismatches(operation, mode, limits, now, lifted_at)]
    if mode is not Mode.SHADOW:
        rules += _compare_sides(operation, limits, now, lifted_at)
    return Judgement(operation.id, mode.value, _together(rule.verdict for rule in rules), tuple(rules))


def act(judgements: Iterable[Judgement], now: datetime, *, dry_run: bool) -> list[Judgement]:
    """Keep the verdicts and latch what fails; those that were (or would have been) latched."""
    alias = conf.database
    failed = []
    for judgement in judgements:
        sql.upsert_verdict(
            alias, judgement.operation, now, judgement.verdict.value, json.dumps(judgement.as_dict()["rules"])
        )
        rule = judgement.failing
        if rule is None:
            continue
        if judgement.mode == Mode.SHADOW and not conf.guard_limits(judgement.operation)["LATCH_SHADOW"]:
            continue
        failed.append(judgement)
        logger.error(
            "guard: %s %s by %s: %s, limit %s, window %s, sample %s",
            judgement.operation,
            "would be latched" if dry_run else "is latched to legacy",
            rule.name,
            rule.value,
            rule.limit,
            rule.window,
            rule.sample,
        )
        if not dry_run:
            flags.latch(
                judgement.operation,
                rule=rule.name,
                value=rule.value[:200],
                limit=rule.limit[:200],
                window=rule.window[:200],
                sample=rule.sample,
            )
    return failed


def tick() -> bool:
    """Judge and latch when that is due and nobody else does it; whether it was done."""
    limits = conf.guard_limits()
    interval = float(limits["INTERVAL_SECONDS"] or 0)
    if interval <= 0:
        return False
    alias = conf.database
    now = datetime.now(UTC)
    with transaction.atomic(using=alias):
        last = sql.get_last_judgement(alias)
        if last is not None and now - last < timedelta(seconds=interval):
            return False
        if not sql.lock_guard(alias):
            return False
        act(judge_all(now), now, dry_run=bool(limits["DRY_RUN"]))
        # Stands for the round itself, so that a round without operations is one too.
        sql.upsert_verdict(alias, "", now, Verdict.PASS.value, "[]")
    return True


def prune(now: datetime) -> tuple[int, int]:
    """Forget figures and mismatches older than the settings say; how many rows of each."""
    alias = conf.database
    return (
        sql.delete_old_figures(alias, now - timedelta(days=conf.keep_figures_days)),
        sql.delete_old_mismatches(alias, now - timedelta(days=conf.keep_mismatches_days)),
    )


# ---- rules


def _mismatches(
    operation: Operation, mode: Mode, limits: dict[str, Any], now: datetime, lifted_at: datetime | None
) -> Rule:
    since, window = _window(limits["MISMATCH_WINDOW_SECONDS"], now, lifted_at)
    counts = sql.list_counts(conf.database, since.replace(second=0, microsecond=0))
    compared = sum(
        number
        for operation_id, outcome, number in counts
        if operation_id == operation.id and outcome in ("matched", "mismatched", "deliberate")
    )
    groups, paths = sql.count_real_mismatches(conf.database, operation.id, since)
    most = limits["MISMATCHES"]
    if most is None:
        return Rule("mismatches", Verdict.PASS, str(groups), "none", window, compared)
    verdict = Verdict.FAIL if groups > most else Verdict.PASS
    if verdict is Verdict.PASS and mode is Mode.SHADOW and compared < limits["MIN_SAMPLE"]:
        verdict = Verdict.NOT_ENOUGH_DATA
    value = f"{groups} ({paths})" if groups else "0"
    return Rule("mismatches", verdict, value, str(most), window, compared)


def _compare_sides(
    operation: Operation, limits: dict[str, Any], now: datetime, lifted_at: datetime | None
) -> list[Rule]:
    since, window = _window(limits["WINDOW_SECONDS"], now, lifted_at)
    sides = figures.read(operation.id, since)
    fast, legacy = sides.get(FAST, EMPTY), sides.get(LEGACY, EMPTY)
    least = limits["MIN_SAMPLE"]
    if legacy.requests < least:
        # At a high percentage the host hardly answers any more: its figures from before stand for it.
        before = now - timedelta(seconds=limits["BASELINE_SECONDS"])
        legacy = figures.read(operation.id, before).get(LEGACY, EMPTY)
    known = fast.requests >= least
    comparable = known and legacy.requests >= least
    rules = []

    def add(name: str, value: float | None, limit: float | None, unit: str, judged: bool) -> None:
        if limit is None:
            return
        verdict = Verdict.NOT_ENOUGH_DATA
        if judged and value is not None:
            verdict = Verdict.FAIL if value > limit + 1e-9 else Verdict.PASS
        shown = "unknown" if value is None else f"{value:.3f} {unit}"
        rules.append(Rule(name, verdict, shown, f"{limit:g} {unit}", window, fast.requests))

    fast_p95, legacy_p95 = _milliseconds(fast), _milliseconds(legacy)
    add(
        "error_points",
        fast.error_percent - legacy.error_percent if comparable else None,
        limits["ERROR_POINTS"],
        "points above the host",
        comparable,
    )
    add("error_percent", fast.error_percent if known else None, limits["ERROR_PERCENT"], "%", known)
    ratio = above = None
    if fast_p95 is not None and legacy_p95 is not None:
        ratio, above = fast_p95 / legacy_p95, fast_p95 - legacy_p95
    add(
        "p95_ratio",
        ratio,
        limits["P95_RATIO"],
        "of the host's p95",
        comparable,
    )
    add(
        "p95_above",
        above,
        limits["P95_ABOVE_MS"],
        "ms above the host",
        comparable,
    )
    add("p95", fast_p95, limits["P95_MS"], "ms", known)
    return rules


def _milliseconds(histogram: Histogram) -> float | None:
    seconds = histogram.percentile(95)
    return None if seconds is None else seconds * 1000


def _window(seconds: float, now: datetime, lifted_at: datetime | None) -> tuple[datetime, str]:
    since = now - timedelta(seconds=seconds)
    if lifted_at is not None and lifted_at > since:
        return lifted_at, f"{(now - lifted_at).total_seconds():.0f} s (since it was lifted)"
    return since, f"{seconds:g} s"


def _together(verdicts: Iterable[Verdict]) -> Verdict:
    seen = set(verdicts)
    for verdict in (Verdict.FAIL, Verdict.NOT_ENOUGH_DATA):
        if verdict in seen:
            return verdict
    return Verdict.PASS


# ---- by itself

_pruned_at: datetime | None = None
PRUNE_EVERY = timedelta(hours=1)


def after_flush() -> None:
    """What the flushing thread does besides: judge when due, and forget what is too old now and then."""
    global _pruned_at
    tick()
    now = datetime.now(UTC)
    if _pruned_at is None or now - _pruned_at > PRUNE_EVERY:
        _pruned_at = now
        prune(now)
