"""Set who answers an operation."""

from __future__ import annotations

from argparse import ArgumentParser
from datetime import UTC, datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from scorer_fast.cutover import flag_queries as sql
from scorer_fast.cutover import flags
from scorer_fast.cutover.rollout_queries import list_rollouts
from scorer_fast.cutover.state import no_baseline
from scorer_fast.models.flags import Mode
from scorer_fast.models.rollout import RolloutState
from scorer_fast.settings import conf

from ._changes import add_who_and_why, members, release_hint, remedies, who

HELP = "Set the mode of an operation, a group or all: legacy, shadow, split (with --percent) or fast."


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("target", metavar="OP|GROUP|all")
    parser.add_argument("mode", metavar="MODE", help=", ".join(Mode.values))
    parser.add_argument("--percent", help="share of subjects on the fast path in mode split: 0 to 100")
    parser.add_argument("--allow", nargs="+", metavar="ADDRESS", help="add to the allow list")
    parser.add_argument("--deny", nargs="+", metavar="ADDRESS", help="add to the deny list")
    parser.add_argument("--unlist", nargs="+", metavar="ADDRESS", help="remove from both lists")
    add_who_and_why(parser)


def run(command: BaseCommand, options: dict[str, Any]) -> None:
    alias = conf.database
    target, mode, percent = options["target"], options["mode"], options["percent"]
    if percent is not None and mode in Mode.values and mode != Mode.SPLIT:
        raise CommandError(
            f"Mode {mode} takes no percentage. For {percent} % of subjects: "
            f"scorer_fast set {target} split --percent {percent} --reason …"
            + (f". For all of them: scorer_fast set {target} fast --reason …" if mode == Mode.FAST else "")
        )
    with remedies(), transaction.atomic(using=alias):
        for operation_id in members(options["target"]):
            present = sql.get_flag(alias, operation_id)
            was, is_ = flags.set_mode(
                operation_id,
                options["mode"],
                options["percent"],
                options["reason"],
                who(options["by"]),
                allow=_edited(present.allow if present else "", options["allow"], options),
                deny=_edited(present.deny if present else "", options["deny"], options),
            )
            command.stdout.write(f"{operation_id}: {is_}" + (" (as before)" if was == is_ else f" (was {was})"))
    with remedies():
        held = {row.operation: row.rule for row in sql.list_open_latches(alias)}
        killed = {row.target for row in sql.list_active_kills(alias)}
        paused = [row for row in list_rollouts(alias) if row.state == RolloutState.PAUSED]
    for row in paused:
        if set(row.operations) & set(members(options["target"])):
            command.stdout.write(
                f"Rollout {row.id} of {row.target} is paused. To end it: scorer_fast rollout abort {row.id} --reason … "
                "(the host then answers)"
            )
    for operation_id in members(options["target"]):
        if operation_id in held:
            command.stdout.write(
                f"{operation_id} stays with the host: latched by {held[operation_id]}. "
                f"To lift: scorer_fast lift {operation_id} --reason …"
            )
        for switch in sorted(killed & {operation_id, flags.ALL}):
            command.stdout.write(f"{operation_id} stays with the host: killed. To release: {release_hint(switch)}")
        if warning := no_baseline(operation_id, datetime.now(UTC)):
            command.stdout.write(warning)


def _edited(present: str, added: list[str] | None, options: dict[str, Any]) -> list[str] | None:
    if added is None and options["unlist"] is None:
        return None
    removed = {address.lower() for address in options["unlist"] or ()}
    return [address for address in [*present.split(), *(added or ())] if address.lower() not in removed]
