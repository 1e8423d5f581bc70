"""Say what a project lacks for the fast path, with the remedy of each."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from scorer_fast import doctor as diagnosis

HELP = "Look at schema, indexes, settings, driver, cache and didkit: what is missing, and the remedy."


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="for programs")


def run(command: BaseCommand, options: dict[str, Any]) -> None:
    findings = diagnosis.examine()
    if options["json"]:
        command.stdout.write(json.dumps([finding._asdict() for finding in findings], indent=2))
    else:
        for finding in findings:
            number = f" ({finding.number})" if finding.number else ""
            command.stdout.write(f"{finding.level:<8}  {finding.about}: {finding.what}{number}")
            if finding.remedy:
                command.stdout.write(f"{'':<8}  → {finding.remedy}")
    missing = sum(finding.level == diagnosis.REQUIRED for finding in findings)
    if missing:
        raise CommandError(f"{missing} required {'thing is' if missing == 1 else 'things are'} missing.")
