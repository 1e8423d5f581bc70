"""Show who answers each operation and why."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from scorer_fast.cutover import experiment_queries as experiment
from scorer_fast.cutover import flag_queries as sql
from scorer_fast.cutover import flags
from scorer_fast.cutover.guard import Verdict
from scorer_fast.http.catalogue import OPERATIONS
from scorer_fast.models.flags import Mode
from scorer_fast.settings import conf

from ._changes import remedies

HELP = "Show every operation's mode and the guard's last verdict, and the kill switches and latches that override it."


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="for programs")


def run(command: BaseCommand, options: dict[str, Any]) -> None:
    with remedies():
        found = _status(conf.database)
    if options["json"]:
        command.stdout.write(json.dumps(found, indent=2))
        return
    width = max(len(operation.id) for operation in OPERATIONS)
    for one in found["operations"]:
        asked = f"split {one['percent']} %" if one["mode"] == Mode.SPLIT else one["mode"]
        line = f"{one['operation']:<{width}}  {asked:<13}  {one['answers']:<7}"
        if one["stopped_by"]:
            line += f"  stopped by {', '.join(one['stopped_by'])}"
        if one["allow"] or one["deny"]:
            line += f"  lists: {len(one['allow'])} allowed, {len(one['deny'])} denied"
        if one["updated_at"]:
            line += f"  since {one['updated_at']} by {one['updated_by']}"
        if one["guard"]:
            line += f"  guard: {_said(one['guard'])}"
        command.stdout.write(line.rstrip())
    for kill in found["kill_switches"]:
        command.stdout.write(f"killed: {kill['target']} since {kill['since']} by {kill['by']}: {kill['reason']}")
    for latch in found["latches"]:
        command.stdout.write(
            f"latched: {latch['operation']} since {latch['since']} by {latch['rule']}: "
            f"{latch['value']}, limit {latch['limit']}, window {latch['window']}, sample {latch['sample']}"
        )


def _said(guard: dict[str, Any]) -> str:
    failing = [rule for rule in guard["rules"] if rule["verdict"] == Verdict.FAIL]
    why = "; ".join(f"{rule['name']} {rule['value']}, limit {rule['limit']}" for rule in failing)
    return f"{guard['verdict']}{f' ({why})' if why else ''} at {guard['judged_at']}"


def _status(alias: str) -> dict[str, Any]:
    rows = {row.operation: row for row in sql.list_flags(alias)}
    kills = sql.list_active_kills(alias)
    latches = sql.list_open_latches(alias)
    verdicts = {row.operation: row for row in experiment.list_verdicts(alias)}
    stops = {
        f"environment variable {flags.ENVIRONMENT}": flags.stopped_by_environment(),
        'setting SCORER_FAST["KILL"]': flags.stopped_by_setting(),
        "kill switch": {id_ for row in kills for id_ in flags.members(row.target)},
        "latch": {row.operation for row in latches},
    }
    operations = []
    for operation in OPERATIONS:
        row = rows.get(operation.id)
        judged = verdicts.get(operation.id)
        mode = Mode(row.mode) if row else flags.by_setting(operation).mode
        stopped = [name for name, ids in stops.items() if operation.id in ids]
        on_fast = mode in (Mode.SPLIT, Mode.FAST) and not stopped
        operations.append(
            {
                "operation": operation.id,
                "group": operation.group,
                "mode": mode.value,
                "percent": f"{row.percent:.2f}" if row and mode is Mode.SPLIT else None,
                "answers": ("both" if mode is Mode.SPLIT else "fast") if on_fast else "legacy",
                "stopped_by": stopped,
                "allow": row.allow.split() if row else [],
                "deny": row.deny.split() if row else [],
                "updated_at": row.updated_at.isoformat(timespec="seconds") if row else None,
                "updated_by": row.updated_by if row else None,
                "guard": {
                    "verdict": judged.verdict,
                    "judged_at": judged.judged_at.isoformat(timespec="seconds"),
                    "rules": json.loads(judged.rules),
                }
                if judged
                else None,
            }
        )
    return {
        "operations": operations,
        "kill_switches": [
            {
                "target": row.target,
                "since": row.updated_at.isoformat(timespec="seconds"),
                "by": row.updated_by,
                "reason": row.reason,
            }
            for row in kills
        ],
        "latches": [
            {
                "operation": row.operation,
                "rule": row.rule,
                "value": row.value,
                "limit": row.limit,
                "window": row.window,
                "sample": row.sample,
                "since": row.created_at.isoformat(timespec="seconds"),
            }
            for row in latches
        ],
    }
