"""The flag tables: scorer_fast_operationflag, _killswitch, _latch and the append-only _flaglog."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from ..db.connection import distrust, fetch_all, fetch_one, fetch_value, run

# Each look is a statement of its own, outside a transaction: one that locked several tables could
# deadlock with a TRUNCATE of them.


READ_FLAGS = """
-- all that decides who answers, as JSON, and whether the server only reads; db/functions/flags_1.sql
SELECT
    scorer_fast_flags_1() AS flags,
    current_setting('transaction_read_only') = 'on' AS only_reads
"""


def read_flags(alias: str) -> str:
    """Flags, active kill switches and open latches in one round trip; equal texts say the same.

    A server that only reads may be yesterday's: the next look asks a new connection, and so do all others.
    """
    row = fetch_one(alias, READ_FLAGS, {}, repeatable=True)
    assert row is not None
    flags, only_reads = row
    if only_reads:
        distrust(alias)
    return str(flags)


class FlagRow(NamedTuple):
    """One operation's flag; ``allow`` and ``deny`` hold one address a line."""

    operation: str
    mode: str
    percent: Decimal
    allow: str
    deny: str
    updated_at: datetime
    updated_by: str


LIST_FLAGS = """
-- every flag that was ever set; a sequential scan of some twenty rows
SELECT f.operation, f.mode, f.percent, f.allow, f.deny, f.updated_at, f.updated_by
FROM scorer_fast_operationflag AS f
ORDER BY f.operation
"""


def list_flags(alias: str) -> list[FlagRow]:
    """Flags of the operations that have one."""
    return [FlagRow(*row) for row in fetch_all(alias, LIST_FLAGS, {})]


LOCK_FLAGS = """
-- one change of flags at a time, so that the log's "from" is true; readers are not held up
LOCK TABLE scorer_fast_operationflag IN SHARE ROW EXCLUSIVE MODE
"""


def lock_flags(alias: str) -> None:
    """Wait until no other change is under way; holds until the transaction ends."""
    run(alias, LOCK_FLAGS, {})


GET_FLAG = """
-- the flag of one operation; scorer_fast_operationflag pkey
SELECT f.operation, f.mode, f.percent, f.allow, f.deny, f.updated_at, f.updated_by
FROM scorer_fast_operationflag AS f
WHERE f.operation = %(operation)s
"""


def get_flag(alias: str, operation: str) -> FlagRow | None:
    """The operation's flag; None when it was never set."""
    row = fetch_one(alias, GET_FLAG, {"operation": operation})
    return None if row is None else FlagRow(*row)


UPSERT_FLAG = """
-- sets a flag; scorer_fast_operationflag pkey
INSERT INTO scorer_fast_operationflag AS f (operation, mode, percent, allow, deny, updated_at, updated_by)
VALUES (%(operation)s, %(mode)s, %(percent)s, %(allow)s, %(deny)s, %(updated_at)s, %(updated_by)s)
ON CONFLICT (operation) DO UPDATE
SET mode = EXCLUDED.mode,
    percent = EXCLUDED.percent,
    allow = EXCLUDED.allow,
    deny = EXCLUDED.deny,
    updated_at = EXCLUDED.updated_at,
    updated_by = EXCLUDED.updated_by
"""


def upsert_flag(alias: str, row: FlagRow) -> int:
    """Set the flag as ``row`` says."""
    return run(alias, UPSERT_FLAG, row._asdict())


class KillRow(NamedTuple):
    """One kill switch; ``target`` is an operation or ``all``."""

    target: str
    active: bool
    updated_at: datetime
    updated_by: str
    reason: str


LIST_ACTIVE_KILLS = """
-- kill switches that are on; a sequential scan of a handful of rows
SELECT k.target, k.active, k.updated_at, k.updated_by, k.reason
FROM scorer_fast_killswitch AS k
WHERE k.active
ORDER BY k.target
"""


def list_active_kills(alias: str) -> list[KillRow]:
    """Kill switches that are on."""
    return [KillRow(*row) for row in fetch_all(alias, LIST_ACTIVE_KILLS, {})]


UPSERT_KILL = """
-- throws a switch the other way; no row when it already stood so; scorer_fast_killswitch pkey
INSERT INTO scorer_fast_killswitch AS k (target, active, updated_at, updated_by, reason)
SELECT n.target, n.active, n.updated_at, n.updated_by, n.reason
FROM (
    SELECT %(target)s::text AS target,
           %(active)s::boolean AS active,
           %(updated_at)s::timestamptz AS updated_at,
           %(updated_by)s::text AS updated_by,
           %(reason)s::text AS reason
) AS n
WHERE n.active
   OR EXISTS (SELECT 1 FROM scorer_fast_killswitch AS o WHERE o.target = n.target)
ON CONFLICT (target) DO UPDATE
SET active = EXCLUDED.active,
    updated_at = EXCLUDED.updated_at,
    updated_by = EXCLUDED.updated_by,
    reason = EXCLUDED.reason
WHERE k.active <> EXCLUDED.active
RETURNING k.target
"""


def upsert_kill(alias: str, row: KillRow) -> bool:
    """Throw the switch as ``row`` says; False when it already stood so."""
    return fetch_one(alias, UPSERT_KILL, row._asdict()) is not None


class LatchRow(NamedTuple):
    """One open latch: what a rule saw when it rolled the operation back."""

    operation: str
    rule: str
    value: str
    limit: str
    window: str
    sample: int
    created_at: datetime


LIST_OPEN_LATCHES = """
-- rollbacks nobody has lifted; scorer_fast_latch_open (operation) WHERE lifted_at IS NULL
SELECT l.operation, l.rule, l.value, l."limit", l."window", l.sample, l.created_at
FROM scorer_fast_latch AS l
WHERE l.lifted_at IS NULL
ORDER BY l.operation
"""


def list_open_latches(alias: str) -> list[LatchRow]:
    """Latches that hold."""
    return [LatchRow(*row) for row in fetch_all(alias, LIST_OPEN_LATCHES, {})]


INSERT_LATCH = """
-- rolls an operation back unless it already is; scorer_fast_latch_open (operation) WHERE lifted_at IS NULL
INSERT INTO scorer_fast_latch (
    operation, rule, value, "limit", "window", sample, created_at, lifted_by, lift_reason)
VALUES (%(operation)s, %(rule)s, %(value)s, %(limit)s, %(window)s, %(sample)s, %(created_at)s, '', '')
ON CONFLICT (operation) WHERE lifted_at IS NULL DO NOTHING
RETURNING id
"""


def insert_latch(alias: str, row: LatchRow) -> bool:
    """Latch the operation; False when a latch already holds."""
    return fetch_one(alias, INSERT_LATCH, row._asdict()) is not None


LIFT_LATCH = """
-- lifts the open latch of an operation; scorer_fast_latch_open (operation) WHERE lifted_at IS NULL
UPDATE scorer_fast_latch AS l
SET lifted_at = %(now)s,
    lifted_by = %(by)s,
    lift_reason = %(reason)s
WHERE l.operation = %(operation)s
  AND l.lifted_at IS NULL
RETURNING l.rule
"""


def lift_latch(alias: str, operation: str, *, now: datetime, by: str, reason: str) -> str | None:
    """Lift the operation's latch; the rule that had set it, None when none held."""
    value: str | None = fetch_value(alias, LIFT_LATCH, {"operation": operation, "now": now, "by": by, "reason": reason})
    return value


class LogRow(NamedTuple):
    """One change; ``operation`` may be ``all``."""

    operation: str
    changed_at: datetime
    changed_by: str
    from_value: str
    to_value: str
    reason: str


INSERT_LOG = """
-- one change of a flag, kill switch or latch
INSERT INTO scorer_fast_flaglog (operation, changed_at, changed_by, from_value, to_value, reason)
VALUES (%(operation)s, %(changed_at)s, %(changed_by)s, %(from_value)s, %(to_value)s, %(reason)s)
"""


def insert_log(alias: str, row: LogRow) -> int:
    """Append ``row`` to the log."""
    return run(alias, INSERT_LOG, row._asdict())
