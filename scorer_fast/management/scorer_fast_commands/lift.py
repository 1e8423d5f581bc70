"""Lift a latched rollback."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from scorer_fast.cutover import flags

from ._changes import add_who_and_why, members, remedies, who

HELP = "Lift the latch that a guard's rule set on an operation; its flag counts again."


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("operation", metavar="OP")
    add_who_and_why(parser)


def run(command: BaseCommand, options: dict[str, Any]) -> None:
    members(options["operation"])
    with remedies():
        rule = flags.lift(options["operation"], reason=options["reason"], by=who(options["by"]))
    command.stdout.write(f"{options['operation']}: lifted (was latched by {rule})")
