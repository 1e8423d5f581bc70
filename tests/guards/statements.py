"""The statements of this app by the names of their constants, and what of them a block of code sent."""

import importlib
import pkgutil
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from django.db import connection
from django.test.utils import CaptureQueriesContext

import scorer_fast

OPENING = re.compile(r"\s*-- (?P<meaning>.+)")


PLACES = ("db", "scoring", "lookups")  # and whatever is called ``*_queries``


@cache
def modules() -> dict[str, str]:
    """The modules in which SQL stands, by their last name."""
    found = {}
    for module in pkgutil.walk_packages(scorer_fast.__path__, "scorer_fast."):
        place, _, name = module.name.removeprefix("scorer_fast.").rpartition(".")
        if not module.ispkg and (place in PLACES or name.endswith("_queries")):
            found[name] = module.name
    return found


@cache
def constants() -> dict[str, str]:
    """Every SQL constant of this app as ``module.NAME``."""
    found: dict[str, str] = {}
    for name, module in modules().items():
        imported = importlib.import_module(module)
        for constant, value in vars(imported).items():
            if constant.isupper() and isinstance(value, str) and value.lstrip().startswith("--"):
                found[f"{name}.{constant}"] = value
    return found


@cache
def _by_opening() -> dict[str, str]:
    return {_opening(text): name.partition(".")[2] for name, text in constants().items()}


def _opening(statement: str) -> str:
    """The first line of the comment: it tells constants apart (a test holds that it does)."""
    return statement.strip().splitlines()[0].strip()


def name_of(statement: str) -> str:
    """The constant a sent statement came from; BEGIN, COMMIT and their like as they are; else its text."""
    known = _by_opening().get(_opening(statement))
    if known:
        return known
    control = re.match(r"(BEGIN|COMMIT|ROLLBACK TO SAVEPOINT|ROLLBACK|SAVEPOINT|RELEASE SAVEPOINT)\b", statement)
    return control.group(1) if control else statement


@contextmanager
def sent() -> Iterator[list[str]]:
    """The names of the statements sent meanwhile, filled in at the end."""
    names: list[str] = []
    with CaptureQueriesContext(connection) as captured:
        yield names
    names.extend(name_of(query["sql"]) for query in captured.captured_queries)
