"""Give operations back to the host at once, or take that back."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand
from django.db import transaction

from scorer_fast.cutover import flag_queries as sql
from scorer_fast.cutover import flags
from scorer_fast.settings import conf

from ._changes import add_who_and_why, members, remedies, who

HELP = "Give an operation, a group or all to the host at once; --release takes it back."


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("target", nargs="?", default=flags.ALL, metavar="OP|GROUP|all")
    parser.add_argument("--release", action="store_true", help="let the flags decide again")
    add_who_and_why(parser)


def run(command: BaseCommand, options: dict[str, Any]) -> None:
    target, release = options["target"], options["release"]
    # `all` is a switch of its own: releasing it leaves what was killed one by one.
    targets = (flags.ALL,) if target == flags.ALL else members(target)
    throw = flags.release if release else flags.kill
    with remedies():
        with transaction.atomic(using=conf.database):
            for one in targets:
                thrown = throw(one, reason=options["reason"], by=who(options["by"]))
                state = "released" if release else "killed"
                command.stdout.write(f"{one}: {state}" if thrown else f"{one}: was {state} already")
        if release:
            left = [row.target for row in sql.list_active_kills(conf.database)]
            if left:
                command.stdout.write(f"still killed: {', '.join(left)}")
            by = [f"{flags.ENVIRONMENT} of this process"] if flags.stopped_by_environment() else []
            by += ['SCORER_FAST["KILL"]'] if flags.stopped_by_setting() else []
            if by:
                command.stdout.write(f"still killed by: {', '.join(by)}")
