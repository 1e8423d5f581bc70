"""``manage.py scorer_fast SUBCOMMAND``: each is a module of ``management/scorer_fast_commands``."""

from __future__ import annotations

import os
import pkgutil
import sys
from argparse import ArgumentParser
from contextlib import suppress
from importlib import import_module
from types import ModuleType
from typing import Any

from django.core.management.base import BaseCommand

from scorer_fast.management import scorer_fast_commands


def subcommands() -> dict[str, ModuleType]:
    """Module by name. Each has ``HELP``, ``add_arguments(parser)`` and ``run(command, options)``."""
    names = sorted(
        module.name for module in pkgutil.iter_modules(scorer_fast_commands.__path__) if module.name[0] != "_"
    )
    return {name: import_module(f"{scorer_fast_commands.__name__}.{name}") for name in names}


class Command(BaseCommand):
    help = "Flags, shadow, guard and upkeep of the fast scoring path."
    # A kill switch must work on a project whose checks complain.
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        chosen = parser.add_subparsers(dest="subcommand", required=True, metavar="SUBCOMMAND")
        for name, module in subcommands().items():
            subparser = chosen.add_parser(name, help=module.HELP, description=module.HELP)
            module.add_arguments(subparser)

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            subcommands()[options["subcommand"]].run(self, options)
            self.stdout.flush()
        except BrokenPipeError:
            # Whoever read has seen enough (`| head`). What Python still flushes at its end goes nowhere.
            with suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise SystemExit(141) from None  # as a program that the signal SIGPIPE ends
