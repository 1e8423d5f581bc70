"""Lift a latched rollback."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand
from django.db import transaction

from scorer_fast.cutover import flag_queries as sql
from scorer_fast.cutover import flags
from scorer_fast.settings import conf

from ._changes import add_who_and_why, members, remedies, who

HELP = "Lift the latch that a guard's rule set on an operation (or those of a group); its flag counts again."


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("operation", metavar="OP|GROUP|all")
    add_who_and_why(parser)


def run(command: BaseCommand, options: dict[str, Any]) -> None:
    targets = members(options["operation"])
    with remedies(), transaction.atomic(using=conf.database):
        latched = {row.operation for row in sql.list_open_latches(conf.database)}
        if not latched & set(targets) and len(targets) > 1:
            raise flags.InvalidChange(
                f"Nothing of {options['operation']} is latched. `scorer_fast status` shows what is."
            )
        for target in targets if len(targets) == 1 else [one for one in targets if one in latched]:
            rule = flags.lift(target, reason=options["reason"], by=who(options["by"]))
            command.stdout.write(f"{target}: lifted (was latched by {rule})")
