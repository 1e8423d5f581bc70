"""Forget what is kept longer than the settings say."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from scorer_fast.cutover import guard
from scorer_fast.cutover import guard_queries as sql
from scorer_fast.scoring import reading
from scorer_fast.settings import conf

from ._changes import remedies

HELP = "Forget signatures and readings, figures and mismatches that are older than the settings say."


def add_arguments(parser: ArgumentParser) -> None:
    """It takes none."""


def run(command: BaseCommand, options: dict[str, Any]) -> None:
    signatures = readings = 0
    with remedies():
        now = sql.get_clock(conf.database).now
        while any(gone := reading.prune(conf.database, now)):  # each a batch, committed by itself
            signatures, readings = signatures + gone[0], readings + gone[1]
        figures, mismatches = guard.prune(now)
    command.stdout.write(
        f"Forgotten: {signatures:,} signatures, {readings:,} readings, {figures:,} figures, "
        f"{mismatches:,} groups of mismatches."
    )
