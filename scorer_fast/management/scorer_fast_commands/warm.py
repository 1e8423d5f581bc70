"""Verify and remember the signatures of addresses seen lately, before they meet the fast path."""

from __future__ import annotations

from argparse import ArgumentParser
from datetime import UTC, datetime, timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from scorer_fast.cutover import flags, rollout
from scorer_fast.errors import VerifierDown
from scorer_fast.scoring import warm

from ._changes import remedies

HELP = "Verify and remember the signatures of addresses scored lately, at a bounded rate; no score is written."


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--since", default="7d", help="how far back an address counts: 12h, 7d (7d)")
    parser.add_argument("--most", type=int, default=10_000, help="addresses at most, newest first (10000)")
    parser.add_argument("--rate", type=float, default=50.0, help="signatures a second at most (50)")


def run(command: BaseCommand, options: dict[str, Any]) -> None:
    if options["rate"] <= 0 or options["most"] <= 0:
        raise CommandError("--rate and --most must be above 0.")
    now = datetime.now(UTC)

    def report(done: warm.Warmed) -> None:
        command.stdout.write(f"{done.addresses} addresses, {done.asked} signatures verified, {done.good} good")

    with remedies():
        try:
            since = now - timedelta(seconds=rollout.parse_hold(options["since"]))
            done = warm.warm(since, now=now, most=options["most"], rate=options["rate"], report=report)
        except VerifierDown:
            raise CommandError("The verifier gives no answer; what was verified is kept. Try again.") from None
        except flags.InvalidChange as problem:
            raise CommandError(str(problem)) from None
    command.stdout.write(f"Done: {done.addresses} addresses; {done.good} signatures are remembered anew.")
