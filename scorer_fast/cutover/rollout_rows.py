"""What a rollout's row says, and how it ends: for who changes a flag by hand too."""

from __future__ import annotations

from datetime import UTC, datetime

from ..models.rollout import RolloutState
from ..settings import conf
from . import flag_queries, signals
from . import rollout_queries as sql
from .rollout_queries import RolloutRow

SHADOW = "shadow"


def shown(step: str) -> str:
    """A step in words."""
    return step if step == SHADOW else f"{step} %"


def name_of(row: RolloutRow) -> str:
    """Who changes a flag for it, in the log."""
    return f"rollout {row.id}"


def end(row: RolloutRow, state: RolloutState, note: str, by: str, now: datetime) -> RolloutRow:
    """The row in ``state``, stored, logged and told of."""
    row = row._replace(state=state.value, note=note)
    sql.update_rollout(conf.database, row, now=now, by=by)
    log_step(row, state.value.replace("_", " "), note, by)
    tell(row, note, by)
    return row


def interrupted(operation_id: str, *, reason: str, by: str, now: datetime) -> None:
    """A person has set the flag of an operation: its rollout waits for a person. Inside the change's transaction."""
    for row in sql.lock_rollouts(conf.database):
        if operation_id in row.operations and row.state == RolloutState.RUNNING:
            end(row, RolloutState.PAUSED, f"{by} set {operation_id}: {reason}", by, now)


def tell(row: RolloutRow, reason: str, by: str) -> None:
    """Send the signal of a step, once it is committed."""
    what = {"rollout": row.id, "operations": tuple(row.operations), "step": row.steps[row.step], "state": row.state}
    signals.on_commit(signals.rollout_step, **what, by=by, reason=reason)


def log_step(row: RolloutRow, what: str, reason: str, by: str) -> None:
    """A line of the log of changes for each operation."""
    for id_ in row.operations:
        was, is_ = f"rollout {row.id} at {shown(row.steps[row.step])}", f"rollout {row.id} {what}"
        flag_queries.insert_log(conf.database, flag_queries.LogRow(id_, datetime.now(UTC), by, was, is_, reason))
