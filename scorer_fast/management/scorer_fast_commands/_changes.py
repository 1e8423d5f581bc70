"""What the subcommands that change flags share."""

from __future__ import annotations

import difflib
import getpass
import textwrap
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager

from django.core.management.base import CommandError
from django.db.utils import InterfaceError, OperationalError, ProgrammingError

from scorer_fast.cutover import flags
from scorer_fast.http.catalogue import BY_ID, OPERATIONS
from scorer_fast.settings import conf

WIDTH = 100  # columns of what people read
_NO_BREAK = "\N{NO-BREAK SPACE}"  # a number and its % stay on one line


class NeedsAPerson(CommandError):
    """What was asked for is done, and something needs a person: exit code 2."""

    def __init__(self, what: str) -> None:
        super().__init__(what, returncode=2)


def add_who_and_why(parser: ArgumentParser) -> None:
    parser.add_argument("--reason", default="", help="why; required, kept in the log")
    parser.add_argument("--by", default="", help="who, if not the user who runs this")


def who(given: str) -> str:
    """The name for the log: as given, else the user of the operating system."""
    if given.strip():
        return given
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user id without a name
        return "command"


def members(target: str) -> tuple[str, ...]:
    """The operations a command's OP, GROUP or ``all`` stands for."""
    found = flags.members(target)
    if not found:
        groups = sorted({operation.group for operation in OPERATIONS})
        near = difflib.get_close_matches(target.lower(), [*BY_ID, *groups, flags.ALL], n=2)
        if near:
            raise CommandError(f"There is no operation or group {target!r}. Did you mean {' or '.join(near)}?")
        raise CommandError(
            f"There is no operation or group {target!r}. Operations: {', '.join(BY_ID)}. "
            f"Groups: {', '.join(groups)}. Or: all."
        )
    return found


def folded(text: str, indent: str = "") -> list[str]:
    """``text`` in lines of at most :data:`WIDTH` characters, the later ones indented further."""
    lines = textwrap.wrap(
        text.replace(" %", f"{_NO_BREAK}%"), WIDTH, initial_indent=indent, subsequent_indent=indent + "    "
    )
    return [line.replace(f"{_NO_BREAK}%", " %") for line in lines]


def release_hint(target: str) -> str:
    """The command that takes the kill switch of ``target`` back."""
    return f"scorer_fast kill{'' if target == flags.ALL else ' ' + target} --release --reason …"


@contextmanager
def remedies() -> Iterator[None]:
    """Failures of a change as CommandErrors that say what to do."""
    try:
        yield
    except flags.InvalidChange as problem:
        raise CommandError(str(problem)) from None
    except ProgrammingError as error:
        raise CommandError(
            f"The tables of scorer_fast are not as they should be ({str(error).partition(chr(10))[0]}). "
            "Run: manage.py migrate scorer_fast"
        ) from error
    except (OperationalError, InterfaceError) as error:
        raise CommandError(
            f"The database {conf.database!r} cannot be reached ({str(error).strip()}). To stop the fast path "
            f"without it, set {flags.ENVIRONMENT}=1 in the servers' environment and restart them."
        ) from error
