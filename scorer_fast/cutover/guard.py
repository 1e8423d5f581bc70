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
from . import figure_queries, figures, flags, state_queries
from . import flag_queries as flag_sql
from . import guard_queries as sql
from .figures import EMPTY, Figures
from .shadow import finding_queries

logger = logging.getLogger(__name__)

FAST, LEGACY = "fast", "legacy"


class Verdict(StrEnum):
    """What a rule, or all of them together, say of an operation."""

    FINE = "fine"
    UNDECIDED = "not yet decided"
    WORSE = "worse"
    NO_CONTROL = "no control"


class Rule(NamedTuple):
    """One rule's finding, in a sentence and in parts.

    ``text`` names both sides' estimates, their bounds and the limit; ``value``, ``limit`` and ``window`` carry their
    units; the samples are requests; ``needs`` is how many more requests it takes about, None where that is not known.
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
    """All rules on one operation: the worst of them decides."""

    operation: str
    mode: str
    verdict: Verdict
    rules: tuple[Rule, ...]

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
                value=rule.value[:200],
                limit=rule.limit[:200],
                window=rule.window[:200],
                sample=rule.fast_sample,
            )
    return failed


def tick() -> bool:
    """Judge and latch when that is due and nobody else does it; whether it was done."""
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
        _advance_rollouts(judgements, now, dry_run=bool(limits["DRY_RUN"]))
        # Stands for the round itself, so that a round without operations is one too.
        sql.upsert_verdict(alias, "", now, Verdict.FINE.value, "[]")
    return True


def _advance_rollouts(judgements: Iterable[Judgement], now: datetime, *, dry_run: bool) -> None:
    from . import rollout  # which knows verdicts

    rollout.advance(now, {judgement.operation: judgement for judgement in judgements}, dry_run=dry_run)


FOLD_AFTER = timedelta(hours=3)  # evidence is long carried on by then


def prune(now: datetime) -> tuple[int, int]:
    """Forget what is older than the settings say, and make hours of older minutes; figures and mismatches forgotten."""
    alias = conf.database
    with transaction.atomic(using=alias):
        if sql.lock_guard(alias):  # one process at a time
            state_queries.fold(alias, now - FOLD_AFTER)
    return (
        figure_queries.delete_old_figures(alias, now - timedelta(days=conf.keep_figures_days)),
        finding_queries.delete_old_mismatches(alias, now - timedelta(days=conf.keep_mismatches_days)),
    )


# ---- rules


def _mismatches(
    operation: Operation, mode: Mode, limits: dict[str, Any], now: datetime, lifted_at: datetime | None
) -> Rule:
    since, window = _window(limits["MISMATCH_WINDOW_SECONDS"], now, lifted_at)
    counts = figure_queries.list_counts(conf.database, since.replace(second=0, microsecond=0))
    compared = sum(
        number
        for operation_id, outcome, number in counts
        if operation_id == operation.id and outcome in ("matched", "mismatched", "deliberate")
    )
    groups, paths = sql.count_real_mismatches(conf.database, since).get(operation.id, (0, ""))
    most = limits["MISMATCHES"]
    verdict = Verdict.WORSE if most is not None and groups > most else Verdict.FINE
    needs = 0
    if verdict is Verdict.FINE and mode is Mode.SHADOW and compared < limits["MIN_SAMPLE"]:
        verdict, needs = Verdict.UNDECIDED, limits["MIN_SAMPLE"] - compared
    value = f"{groups} ({paths})" if groups else "0"
    text = f"{value} groups differ of {compared} requests compared (limit {most})"
    return Rule("mismatches", verdict, text, value, str(most), window, compared, compared, needs)


def _compare_sides(
    operation: Operation, limits: dict[str, Any], now: datetime, lifted_at: datetime | None
) -> list[Rule]:
    since, window = _window(limits["WINDOW_SECONDS"], now, lifted_at)
    sides = figures.read_all(since).get(operation.id, {})
    fast, host = sides.get(FAST, EMPTY), sides.get(LEGACY, EMPTY)
    least = limits["MIN_SAMPLE"]
    needs = max(least - fast.served, least - host.served, 0)
    rules = []

    def add(name: str, value: float | None, text: str, limit: float | None, unit: str) -> None:
        if limit is None:
            return
        verdict = Verdict.UNDECIDED
        if value is not None and not needs:
            verdict = Verdict.WORSE if value > limit + 1e-9 else Verdict.FINE
        if needs:
            text = f"needs about {needs} more requests"
        shown = "unknown" if value is None else f"{value:.3f} {unit}"
        rules.append(Rule(name, verdict, text, shown, f"{limit:g} {unit}", window, fast.served, host.served, needs))

    points = limits["ERROR_POINTS"]
    add(
        "errors",
        fast.error_percent - host.error_percent,
        f"errors {fast.error_percent:.2f} % against {host.error_percent:.2f} % of the host (limit {points} points)",
        points,
        "points",
    )
    fast_p95, host_p95 = _milliseconds(fast), _milliseconds(host)
    ratio = fast_p95 / host_p95 if fast_p95 is not None and host_p95 is not None else None
    add(
        "p95",
        ratio,
        f"p95 {fast_p95 or 0:g} ms against {host_p95 or 0:g} ms of the host (limit {limits['P95_RATIO']} ×)",
        limits["P95_RATIO"],
        "×",
    )
    return rules


def _milliseconds(side: Figures) -> float | None:
    seconds = side.percentile(95)
    return None if seconds is None else seconds * 1000


def _window(seconds: float, now: datetime, lifted_at: datetime | None) -> tuple[datetime, str]:
    since = now - timedelta(seconds=seconds)
    if lifted_at is not None and lifted_at > since:
        return lifted_at, f"{(now - lifted_at).total_seconds():.0f} s (since it was lifted)"
    return since, f"{seconds:g} s"


def _together(verdicts: Iterable[Verdict]) -> Verdict:
    seen = set(verdicts)
    for verdict in (Verdict.WORSE, Verdict.UNDECIDED):
        if verdict in seen:
            return verdict
    return Verdict.FINE


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
