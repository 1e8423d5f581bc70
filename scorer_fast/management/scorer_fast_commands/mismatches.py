"""Show, export or forget what the shadow found."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from scorer_fast.cutover import compare, curl, deliberate
from scorer_fast.cutover import state_queries as sql
from scorer_fast.models.experiment import Category, Mismatch
from scorer_fast.settings import conf

from ._changes import members, remedies

HELP = "Show what the shadow found: groups of differences, their samples, and how requests ended."


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--operation", metavar="OP|GROUP", help="of these operations alone")
    parser.add_argument("--category", choices=Category.values, help="of one category alone")
    parser.add_argument("--export", metavar="FILE", help="write the samples as JSON lines; - for standard output")
    parser.add_argument("--curl", action="store_true", help="print the samples as curl lines, without secrets")
    parser.add_argument("--base", default=curl.BASE, help="where the curl lines go")
    parser.add_argument("--rules", action="store_true", help="print what is ignored or deliberate, and why")
    parser.add_argument("--forget", action="store_true", help="delete the groups, once what they show is mended")
    parser.add_argument("--json", action="store_true", help="for programs")


def run(command: BaseCommand, options: dict[str, Any]) -> None:
    if options["rules"]:
        _rules(command)
        return
    groups = Mismatch.objects.using(conf.database).order_by("operation", "category", "path", "kind")
    if options["operation"]:
        groups = groups.filter(operation__in=members(options["operation"]))
    if options["category"]:
        groups = groups.filter(category=options["category"])
    with remedies():
        if options["forget"]:
            _, deleted = groups.delete()
            command.stdout.write(f"{deleted.get('scorer_fast.Mismatch', 0)} groups forgotten.")
        elif options["export"]:
            _export(command, groups, options)
        elif options["curl"]:
            lines = [sample["curl"] for sample in _samples(groups, options["base"])]
            for line in lines:
                command.stdout.write(line)
            if not lines:
                command.stderr.write("No samples kept.")  # not among the lines that a shell may read
        else:
            _show(command, list(groups), options)


def _samples(groups: Any, base: str) -> Iterator[dict[str, Any]]:
    for group in groups.prefetch_related("samples"):
        for sample in group.samples.all():
            yield {
                "operation": group.operation,
                "path": group.path,
                "kind": group.kind,
                "category": group.category,
                "rule": group.rule,
                "count": group.count,
                "first_seen": group.first_seen.isoformat(),
                "last_seen": group.last_seen.isoformat(),
                "taken_at": sample.taken_at.isoformat(),
                "request": sample.request,
                "control": sample.control,
                "candidate": sample.candidate,
                "curl": curl.line(sample.request, base),
            }


def _export(command: BaseCommand, groups: Any, options: dict[str, Any]) -> None:
    lines = (json.dumps(sample) for sample in _samples(groups, options["base"]))
    if options["export"] == "-":
        for line in lines:
            command.stdout.write(line)
        return
    try:
        with open(options["export"], "w", encoding="utf-8") as file:
            number = sum(bool(file.write(line + "\n")) for line in lines)
    except OSError as error:
        raise CommandError(f"{options['export']} cannot be written: {error.strerror}.") from None
    command.stdout.write(f"{number} samples written to {options['export']}.")


def _show(command: BaseCommand, groups: list[Mismatch], options: dict[str, Any]) -> None:
    since = datetime.now(UTC) - timedelta(days=conf.keep_figures_days)
    outcomes: dict[str, dict[str, int]] = {}
    for row in sql.list_outcomes(conf.database, since, since):
        if not options["operation"] or row.operation in members(options["operation"]):
            outcomes.setdefault(row.operation, {})[row.outcome] = row.amount
    if options["json"]:
        fields = ("operation", "category", "path", "kind", "rule", "count")
        command.stdout.write(
            json.dumps(
                {
                    "groups": [
                        {
                            **{field: getattr(group, field) for field in fields},
                            "first_seen": group.first_seen.isoformat(),
                            "last_seen": group.last_seen.isoformat(),
                        }
                        for group in groups
                    ],
                    "outcomes": outcomes,
                },
                indent=2,
            )
        )
        return
    for operation, counts in outcomes.items():
        shown = ", ".join(f"{number} {outcome}" for outcome, number in sorted(counts.items()))
        command.stdout.write(f"{operation}: {shown}")
    for group in groups:
        why = f" ({group.rule})" if group.rule else ""
        command.stdout.write(
            f"{group.category:<11} {group.operation}  {group.path}  {group.kind}{why}  "
            f"{group.count} times, last {group.last_seen.isoformat(timespec='seconds')}"
        )
    if not groups:
        command.stdout.write("No differences kept.")


def _rules(command: BaseCommand) -> None:
    command.stdout.write("Ignored:")
    for ignored in compare.IGNORED:
        command.stdout.write(f"    {ignored.name}  at {ignored.path.pattern}\n        {ignored.reason}")
    command.stdout.write("Compared without order:")
    for unordered in compare.UNORDERED:
        command.stdout.write(f"    {unordered.path.pattern}\n        {unordered.reason}")
    command.stdout.write("Deliberate:")
    for rule in deliberate.DELIBERATE:
        where = ", ".join(sorted(rule.operations)) or "every operation"
        command.stdout.write(f"    {rule.name}  ({where})\n        {rule.line}")
