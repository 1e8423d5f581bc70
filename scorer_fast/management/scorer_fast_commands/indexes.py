"""Name the indexes the statements rely on that the database lacks, and make them if asked to."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import connections

from scorer_fast.db import requirements as needs
from scorer_fast.settings import conf

HELP = "Print the statements that make the missing indexes without locking anybody out; --apply runs them."


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--apply", action="store_true", help="make them; may take long, and can be repeated")
    parser.add_argument("--all", action="store_true", help="print every index the statements rely on")


def run(command: BaseCommand, options: dict[str, Any]) -> None:
    alias = conf.database
    wanted = list(needs.INDEXES) if options["all"] else needs.missing_indexes(alias)
    if options["all"]:
        command.stdout.write("\n".join(index.remedy for index in wanted))
        return
    if not wanted:
        command.stdout.write(f"All {len(needs.INDEXES)} indexes are there.")
        return
    if options["apply"] and connections[alias].in_atomic_block:
        raise CommandError("CREATE INDEX CONCURRENTLY cannot run inside a transaction.")
    for index in wanted:
        command.stdout.write(index.remedy)
        if options["apply"]:
            try:
                needs.create_index(alias, index)
            except Exception as error:
                raise CommandError(
                    f"{error}\nWhat was made half-way is invalid: DROP INDEX CONCURRENTLY {index.name}; and try again."
                ) from error
    if not options["apply"]:
        command.stdout.write(f"{len(wanted)} missing. Run them, or this command with --apply.")
