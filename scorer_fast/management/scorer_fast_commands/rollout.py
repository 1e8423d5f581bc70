"""Roll operations out step by step, by themselves while the guard says fine."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from datetime import UTC, datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from scorer_fast.cutover import rollout
from scorer_fast.cutover import rollout_queries as sql
from scorer_fast.settings import conf

from ._changes import add_who_and_why, folded, members, remedies, who

HELP = "Start, show, pause, resume or abort a rollout: steps that are left one by one while the guard says fine."
CHANGES = {"pause": rollout.pause, "resume": rollout.resume, "abort": rollout.abort}


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("action", choices=["start", "status", *CHANGES])
    parser.add_argument(
        "target", nargs="?", metavar="OP|GROUP|all|NUMBER", help="what is rolled out, or a rollout's number"
    )
    parser.add_argument("--steps", default=rollout.STEPS, help=f"shadow, then percentages ({rollout.STEPS})")
    parser.add_argument("--hold", default="1h", help="how long each step is held at least: 90s, 30m, 1h (1h)")
    parser.add_argument("--json", action="store_true", help="for programs")
    add_who_and_why(parser)


def run(command: BaseCommand, options: dict[str, Any]) -> None:
    now = datetime.now(UTC)
    action, target = options["action"], options["target"]
    if action != "status" and not target:
        raise CommandError(f"Which one? scorer_fast rollout {action} OP|GROUP|all --reason …")
    if target and not target.isdigit():
        members(target)
    with remedies():
        if action == "status":
            rows = [
                row for row in sql.list_rollouts(conf.database) if not target or target in (row.target, str(row.id))
            ]
        elif action == "start":
            rows = [
                rollout.start(
                    target, options["steps"], options["hold"], reason=options["reason"], by=who(options["by"]), now=now
                )
            ]
        else:
            rows = [CHANGES[action](target, reason=options["reason"], by=who(options["by"]), now=now)]
    if options["json"]:
        command.stdout.write(json.dumps([rollout.as_dict(row, now) for row in rows], indent=2))
        return
    for row in rows:
        command.stdout.write("\n".join(folded(rollout.said(row, now))))
    if not rows:
        command.stdout.write("No rollout.")
    elif action == "start" and not conf.background:
        command.stdout.write("Background work is off here: let a scheduler call `scorer_fast guard` every minute.")
