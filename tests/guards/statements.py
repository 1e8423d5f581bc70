"""The statements of this app by the names of their constants, and what of them a block of code sent."""

import importlib
import pkgutil
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from django.db import connection
from django.test.utils import CaptureQueriesContext

from scorer_fast import sql

OPENING = re.compile(r"\s*-- (?P<meaning>.+)")


@cache
def constants() -> dict[str, str]:
    """Every SQL constant of ``scorer_fast.sql`` as ``module.NAME``."""
    found: dict[str, str] = {}
    for module in pkgutil.iter_modules(sql.__path__):
        imported = importlib.import_module(f"{sql.__name__}.{module.name}")
        for name, value in vars(imported).items():
            if name.isupper() and isinstance(value, str) and value.lstrip().startswith("--"):
                found[f"{module.name}.{name}"] = value
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
