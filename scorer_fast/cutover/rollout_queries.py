"""The table of rollouts."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any, NamedTuple

from ..db.connection import fetch_all, fetch_one, run


class RolloutRow(NamedTuple):
    """One rollout; ``steps`` and ``operations`` as Python lists."""

    id: int
    target: str
    operations: list[str]
    steps: list[str]
    hold_seconds: int
    step: int
    step_at: datetime
    state: str
    note: str
    started_at: datetime
    started_by: str
    reason: str


def _row(row: tuple[Any, ...]) -> RolloutRow:
    return RolloutRow(row[0], row[1], json.loads(row[2]), json.loads(row[3]), *row[4:])


LIST_ROLLOUTS = """
-- the newest rollouts, those under way first; a scan of some hundred rows
SELECT r.id, r.target, r.operations::text, r.steps::text, r.hold_seconds, r.step, r.step_at, r.state, r.note,
       r.started_at, r.started_by, r.reason
FROM scorer_fast_rollout AS r
ORDER BY r.state IN ('running', 'paused') DESC, r.id DESC
LIMIT %(most)s
"""


def list_rollouts(alias: str, most: int = 50) -> list[RolloutRow]:
    """At most ``most`` rollouts."""
    return [_row(row) for row in fetch_all(alias, LIST_ROLLOUTS, {"most": most})]


LOCK_ROLLOUTS = """
-- rollouts under way, by number, held until the transaction ends; a scan of some hundred rows
SELECT r.id, r.target, r.operations::text, r.steps::text, r.hold_seconds, r.step, r.step_at, r.state, r.note,
       r.started_at, r.started_by, r.reason
FROM scorer_fast_rollout AS r
WHERE r.state IN ('running', 'paused')
ORDER BY r.id
FOR UPDATE
"""


def lock_rollouts(alias: str) -> list[RolloutRow]:
    """Rollouts that are running or paused; nobody else moves them until the transaction ends."""
    return [_row(row) for row in fetch_all(alias, LOCK_ROLLOUTS, {})]


INSERT_ROLLOUT = """
-- a new rollout at its first step
INSERT INTO scorer_fast_rollout (
    target, operations, steps, hold_seconds, step, step_at, state, note,
    started_at, started_by, reason, changed_at, changed_by)
VALUES (%(target)s, %(operations)s::jsonb, %(steps)s::jsonb, %(hold_seconds)s, 0, %(now)s, 'running', '',
        %(now)s, %(by)s, %(reason)s, %(now)s, %(by)s)
RETURNING id
"""


def insert_rollout(
    alias: str,
    *,
    target: str,
    operations: list[str],
    steps: list[str],
    hold_seconds: int,
    now: datetime,
    by: str,
    reason: str,
) -> int:
    """Begin a rollout; its number."""
    row = fetch_one(
        alias,
        INSERT_ROLLOUT,
        {
            "target": target,
            "operations": json.dumps(operations),
            "steps": json.dumps(steps),
            "hold_seconds": hold_seconds,
            "now": now,
            "by": by,
            "reason": reason,
        },
    )
    assert row is not None
    return int(row[0])


UPDATE_ROLLOUT = """
-- where a rollout is now; scorer_fast_rollout pkey
UPDATE scorer_fast_rollout AS r
SET step = %(step)s,
    step_at = %(step_at)s,
    state = %(state)s,
    note = %(note)s,
    changed_at = %(now)s,
    changed_by = %(by)s
WHERE r.id = %(id)s
"""


def update_rollout(alias: str, row: RolloutRow, *, now: datetime, by: str) -> int:
    """Keep ``step``, ``step_at``, ``state`` and ``note`` of ``row``."""
    return run(
        alias,
        UPDATE_ROLLOUT,
        {
            "id": row.id,
            "step": row.step,
            "step_at": row.step_at,
            "state": row.state,
            "note": row.note,
            "now": now,
            "by": by,
        },
    )
