"""Judge what is under way, and latch what fails."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from scorer_fast.cutover import guard, rollout
from scorer_fast.cutover import guard_queries as sql
from scorer_fast.settings import conf

from ._changes import remedies

HELP = "Judge every operation that is shadowed, split or fast against the host, latch what fails, move rollouts."


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--dry-run", action="store_true", help="judge, and latch nothing")
    parser.add_argument("--json", action="store_true", help="for programs")


def run(command: BaseCommand, options: dict[str, Any]) -> None:
    alias = conf.database
    with remedies(), transaction.atomic(using=alias):
        now = sql.get_clock(alias).now
        judgements = guard.judge_all(now)
        failed = []
        if options["dry_run"]:
            failed = [judgement for judgement in judgements if judgement.failing]
        elif sql.lock_guard(alias):
            failed = guard.act(judgements, now, dry_run=False)
            rollout.advance(now, {judgement.operation: judgement for judgement in judgements})
        else:
            raise CommandError("A worker is judging at this moment; try again.")
    if options["json"]:
        command.stdout.write(json.dumps([judgement.as_dict() for judgement in judgements], indent=2))
    else:
        for judgement in judgements:
            command.stdout.write(f"{judgement.operation} ({judgement.mode}): {judgement.verdict}")
            for rule in judgement.rules:
                command.stdout.write(f"    {rule.name:<10}  {rule.verdict:<15}  {rule.text}")
        if not judgements:
            command.stdout.write("Nothing to judge: every operation is legacy or latched.")
    if failed:
        names = ", ".join(judgement.operation for judgement in failed)
        done = "would be latched" if options["dry_run"] else "latched to legacy"
        raise CommandError(f"The fast path does worse; {done}: {names}.")
