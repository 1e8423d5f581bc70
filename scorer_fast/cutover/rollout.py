"""Rollouts: a plan of steps that is left one by one while the guard says ``fine``.

    start("v2_score", "shadow,1,5,25,50,100", "1h", reason="…", by="ann", now=now)
    advance(now, judgements)          # by the worker that judges, in its transaction

Invariants: an operation is never wider than its plan's present step; no step forward after ``worse``, while a kill
switch or a latch holds, or before its time; one step at a time, whoever else moves it. The table of flags is locked
first, rollouts after it, everywhere.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db import transaction

from ..http.catalogue import BY_ID
from ..models.flags import Mode
from ..models.rollout import RolloutState
from ..settings import conf
from . import flag_queries, flags
from . import rollout_queries as sql
from .flags import InvalidChange
from .guard import Judgement, Verdict
from .rollout_queries import RolloutRow
from .rollout_rows import SHADOW, end, log_step, name_of, shown, tell

STEPS = "shadow,1,5,25,50,100"
UNDER_WAY = (RolloutState.RUNNING, RolloutState.PAUSED)
RULE = "rollout"  # what latches the other operations of a rollout that is rolled back


# ---- plans


def parse_steps(text: str) -> list[str]:
    """``shadow,1,5,25`` as steps; InvalidChange unless each is wider than the one before it."""
    words = [word.strip().rstrip("%").strip() for word in text.split(",") if word.strip()]
    if not words:
        raise InvalidChange(f"A rollout needs steps, for example {STEPS}.")
    steps: list[str] = []
    for word in words:
        if word.lower() == SHADOW and not steps:
            steps.append(SHADOW)
            continue
        percent = flags.percentage(word)
        if (steps and _width(steps[-1]) >= percent) or percent == 0:
            raise InvalidChange(f"Each step must be wider than the one before it: {', '.join(words)}.")
        steps.append(f"{percent.normalize():f}")
    return steps


_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def parse_hold(text: str) -> int:
    """``1h30m`` as seconds; a number alone is seconds."""
    text = text.strip().lower()
    if text.isdigit():
        return int(text)
    if not re.fullmatch(r"(\d+[smhd])+", text):
        raise InvalidChange(f"'{text}' is no time: 90s, 30m, 1h, 1d12h.")
    return sum(int(number) * _UNITS[unit] for number, unit in re.findall(r"(\d+)([smhd])", text))


def _width(step: str) -> Decimal:
    """Percent of subjects that a step gives to the fast path."""
    return Decimal(0) if step == SHADOW else Decimal(step)


def _mode(step: str) -> tuple[Mode, Decimal | None]:
    if step == SHADOW:
        return Mode.SHADOW, None
    return (Mode.FAST, None) if _width(step) == 100 else (Mode.SPLIT, _width(step))


def width(row: flag_queries.FlagRow | None, operation_id: str) -> tuple[int, Decimal]:
    """How wide a flag is: whether it shadows at least, and percent of subjects."""
    mode = Mode(row.mode) if row else flags.by_setting(BY_ID[operation_id]).mode
    if mode is Mode.SPLIT:
        return 1, row.percent if row else Decimal(0)
    return (0 if mode is Mode.LEGACY else 1), Decimal(100) if mode is Mode.FAST else Decimal(0)


def said(row: RolloutRow, at: datetime) -> str:
    """A rollout in a sentence."""
    step = f"step {row.step + 1} of {len(row.steps)} ({shown(row.steps[row.step])})"
    text = f"rollout {row.id} of {row.target} by {row.started_by}: {row.state.replace('_', ' ')}, {step}"
    if row.state == RolloutState.RUNNING:
        until = row.step_at + timedelta(seconds=row.hold_seconds)
        then = f"then {shown(row.steps[row.step + 1])}" if row.step + 1 < len(row.steps) else "then done"
        text += f", held until {until:%Y-%m-%d %H:%M:%S}, {then}" if until > at else f", {then}"
    return f"{text}; {row.note}" if row.note else text


def as_dict(row: RolloutRow, at: datetime) -> dict[str, Any]:
    """For JSON."""
    known = {name: value.isoformat() if isinstance(value, datetime) else value for name, value in row._asdict().items()}
    return {**known, "text": said(row, at)}


# ---- by a person


def start(target: str, steps: str, hold: str | int, *, reason: str, by: str, now: datetime) -> RolloutRow:
    """Begin a rollout of an operation, a group or all at its first step."""
    members = flags.members(target)
    if not members:
        raise InvalidChange(f"There is no operation or group {target!r}.")
    plan, seconds = parse_steps(steps), hold if isinstance(hold, int) else parse_hold(hold)
    reason, by = flags.reason_of(reason), flags.who(by)
    alias = conf.database
    with transaction.atomic(using=alias):
        flag_queries.lock_flags(alias)
        for other in sql.lock_rollouts(alias):
            if set(other.operations) & set(members):
                raise InvalidChange(f"Rollout {other.id} of {other.target} is {other.state}: abort it first.")
        stopped = _stopped()
        for id_ in members:
            if id_ in stopped:
                raise InvalidChange(f"{id_} is held by the {stopped[id_]}: release or lift it first.")
            present = width(flag_queries.get_flag(alias, id_), id_)
            if present > (1, _width(plan[0])):
                raise InvalidChange(
                    f"{id_} is at {present[1].normalize():f} % already, wider than the first step {shown(plan[0])}: "
                    "begin with a wider one."
                )
        number = sql.insert_rollout(
            alias,
            target=target,
            operations=list(members),
            steps=plan,
            hold_seconds=seconds,
            now=now,
            by=by,
            reason=reason,
        )
        row = next(one for one in sql.lock_rollouts(alias) if one.id == number)
        _apply(row, f"{reason} (started by {by})")
    return row


def pause(which: str, *, reason: str, by: str, now: datetime) -> RolloutRow:
    """Stay at the present step until a person resumes."""
    with transaction.atomic(using=conf.database):
        row = _find(which, RolloutState.RUNNING)
        return end(row, RolloutState.PAUSED, flags.reason_of(reason), flags.who(by), now)


def resume(which: str, *, reason: str, by: str, now: datetime) -> RolloutRow:
    """Go on at the present step; its holding time begins anew."""
    reason, by = flags.reason_of(reason), flags.who(by)
    alias = conf.database
    with transaction.atomic(using=alias):
        flag_queries.lock_flags(alias)
        row = _find(which, RolloutState.PAUSED)
        step = row.steps[row.step]
        for id_ in row.operations:
            present = width(flag_queries.get_flag(alias, id_), id_)[1]
            if present > _width(step):
                raise InvalidChange(
                    f"{id_} is at {present.normalize():f} %, wider than the rollout's step {shown(step)}: "
                    "set it back, or abort the rollout."
                )
        row = row._replace(state=RolloutState.RUNNING.value, note="", step_at=now)
        sql.update_rollout(alias, row, now=now, by=by)
        log_step(row, "resumed", reason, by)
        _apply(row, reason)
    return row


def abort(which: str, *, reason: str, by: str, now: datetime) -> RolloutRow:
    """End the rollout and give its operations back to the host."""
    reason, by = flags.reason_of(reason), flags.who(by)
    with transaction.atomic(using=conf.database):
        flag_queries.lock_flags(conf.database)
        row = end(_find(which, *UNDER_WAY), RolloutState.ABORTED, reason, by, now)
        for id_ in row.operations:
            flags.set_mode(id_, Mode.LEGACY, None, reason, by, rollout=row.id)
    return row


def _find(which: str, *states: RolloutState) -> RolloutRow:
    """The rollout of a number, an operation or a group, which must be in one of ``states``."""
    rows = sql.lock_rollouts(conf.database)
    found = [row for row in rows if which in (str(row.id), row.target)]
    found = found or [row for row in rows if which in row.operations]
    if not found:
        raise InvalidChange(f"No rollout of {which} is under way. `scorer_fast rollout status` shows them.")
    if found[0].state not in states:
        raise InvalidChange(f"Rollout {found[0].id} of {found[0].target} is {found[0].state}.")
    return found[0]


# ---- by itself


def advance(now: datetime, judgements: Mapping[str, Judgement], *, dry_run: bool = False) -> list[RolloutRow]:
    """Move every rollout that may move by one step, end what is worse; those that changed.

    ``judgements`` by operation are of the present step: the guard begins anew with each change of a flag. ``dry_run``:
    what is worse is paused and not latched. To be called by whoever judges, in that transaction.
    """
    alias = conf.database
    if not any(row.state == RolloutState.RUNNING for row in sql.list_rollouts(alias)):
        return []
    with transaction.atomic(using=alias):
        flag_queries.lock_flags(alias)
        stopped = _stopped()
        moved = []
        for row in sql.lock_rollouts(alias):
            if row.state != RolloutState.RUNNING:
                continue
            changed = _advanced(row, now, judgements, stopped, dry_run)
            if changed != row:
                sql.update_rollout(alias, changed, now=now, by=name_of(row))
                moved.append(changed)
    return moved


def _advanced(
    row: RolloutRow, now: datetime, judgements: Mapping[str, Judgement], stopped: Mapping[str, str], dry_run: bool
) -> RolloutRow:
    held = {id_: stopped[id_] for id_ in row.operations if id_ in stopped}
    if "latch" in held.values():
        latches = [latch for latch in flag_queries.list_open_latches(conf.database) if latch.operation in held]
        why = next((f"{latch.operation} was latched by {latch.rule}: {latch.value}" for latch in latches), "latched")
        return _rolled_back(row, now, why)
    if held:
        waits = ", ".join(f"{id_} is held by the {what}" for id_, what in held.items())
        return row._replace(step_at=now, note=f"waits: {waits}")
    judged = [judgements.get(id_) or Judgement(id_, "", Verdict.UNDECIDED, ()) for id_ in row.operations]
    worse = next((one for one in judged if one.verdict is Verdict.WORSE), None)
    if worse is not None:
        rule = worse.failing
        why = f"{worse.operation} is worse: {rule.text if rule else ''}"
        if dry_run:
            return end(row, RolloutState.PAUSED, f"{why} (dry run: not latched)", name_of(row), now)
        return _rolled_back(row, now, why)
    if now - row.step_at < timedelta(seconds=row.hold_seconds):
        return row._replace(note="")
    waiting = [one for one in judged if one.verdict is not Verdict.FINE]
    if waiting:
        return row._replace(note="waits for the guard: " + "; ".join(_waits(one, row, now) for one in waiting[:3]))
    if row.step + 1 == len(row.steps):
        return end(row, RolloutState.DONE, "held its last step", name_of(row), now)
    row = row._replace(step=row.step + 1, step_at=now, note="")
    _apply(row, f"step {row.step + 1} of {len(row.steps)}: the guard said fine of the step before")
    return row


def _waits(judgement: Judgement, row: RolloutRow, now: datetime) -> str:
    """What a judgement still needs, and about how long that takes at the rate of this step."""
    open_ = [rule for rule in judgement.rules if rule.verdict is not Verdict.FINE]
    text = f"{judgement.operation} {judgement.verdict.value}"
    if not open_:
        return text
    rule = open_[0]
    text += f" ({rule.text})"
    rate = min(rule.fast_sample, rule.host_sample) / max((now - row.step_at).total_seconds() / 60, 0.1)
    if rule.needs and rate:
        minutes = math.ceil(rule.needs / rate)
        many = f"{minutes} minute{'' if minutes == 1 else 's'}" if minutes < 120 else f"{minutes / 60:.0f} hours"
        text += f", about {many} more"
    return text


def _rolled_back(row: RolloutRow, now: datetime, why: str) -> RolloutRow:
    """All operations of the rollout are latched, for they went together; the guard may have done some already."""
    shadowed = row.steps[row.step] == SHADOW
    for id_ in row.operations:
        if shadowed and not conf.guard_limits(id_)["LATCH_SHADOW"]:
            continue
        flags.latch(
            id_,
            rule=RULE,
            value=why[:200],  # as long as the column
            limit="fine",
            window=f"step {row.step + 1}",
            sample=0,
            by=name_of(row),
        )
    return end(row, RolloutState.ROLLED_BACK, why, name_of(row), now)


def _apply(row: RolloutRow, reason: str) -> None:
    """Set the flags of the present step."""
    step = row.steps[row.step]
    mode, percent = _mode(step)
    for id_ in row.operations:
        flags.set_mode(id_, mode, percent, reason, name_of(row), rollout=row.id)
    tell(row, reason, name_of(row))


def _stopped() -> dict[str, str]:
    """What holds operations back: a latch first, for it ends a rollout."""
    alias = conf.database
    stopped: dict[str, str] = {}
    _held(stopped, (row.operation for row in flag_queries.list_open_latches(alias)), "latch")
    kills = flag_queries.list_active_kills(alias)
    _held(stopped, (id_ for row in kills for id_ in flags.members(row.target)), "kill switch")
    _held(stopped, flags.stopped_by_environment(), f"environment variable {flags.ENVIRONMENT}")
    _held(stopped, flags.stopped_by_setting(), 'setting SCORER_FAST["KILL"]')
    return stopped


def _held(stopped: dict[str, str], ids: Iterable[str], what: str) -> None:
    for id_ in ids:
        stopped.setdefault(id_, what)
