"""One round trip on Django's own connection, and what its failures mean."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from django.db import connections
from django.db.utils import InterfaceError, OperationalError

RETRIED = frozenset({"40001", "40P01", "23505"})  # serialization failure, deadlock, unique violation

Parameters = Mapping[str, Any]


def bigint_array(values: Iterable[int]) -> str:
    """An array of whole numbers as PostgreSQL reads it: a list of them costs psycopg ten times as much."""
    return f"{{{','.join(map(str, values))}}}"


def text_array(values: Iterable[str]) -> str:
    """The same of texts."""
    quoted = (value.replace("\\", r"\\").replace('"', r"\"") for value in values)
    return "{" + ",".join(f'"{value}"' for value in quoted) + "}"


def fetch_one(alias: str, statement: str, parameters: Parameters) -> tuple[Any, ...] | None:
    """The first row of ``statement``, or None."""
    with connections[alias].cursor() as cursor:
        cursor.execute(statement, parameters)
        row: tuple[Any, ...] | None = cursor.fetchone()
    return row


def fetch_value(alias: str, statement: str, parameters: Parameters) -> Any:
    """The first column of the first row, or None."""
    row = fetch_one(alias, statement, parameters)
    return None if row is None else row[0]


def fetch_all(alias: str, statement: str, parameters: Parameters) -> list[tuple[Any, ...]]:
    """All rows of ``statement``."""
    with connections[alias].cursor() as cursor:
        cursor.execute(statement, parameters)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
    return rows


def run(alias: str, statement: str, parameters: Parameters) -> int:
    """Execute ``statement``; how many rows it wrote."""
    with connections[alias].cursor() as cursor:
        cursor.execute(statement, parameters)
        written: int = cursor.rowcount
    return written


def sqlstate(error: BaseException) -> str | None:
    """The five characters of a database error, from psycopg 3 or psycopg2; None when it carries none."""
    cause = error.__cause__ or error
    return getattr(cause, "sqlstate", None) or getattr(cause, "pgcode", None)


def is_contention(error: BaseException) -> bool:
    """Whether another transaction was in the way: worth reading and deciding again."""
    return sqlstate(error) in RETRIED


def is_unavailable(error: BaseException) -> bool:
    """Whether the database was lost, overloaded or too slow: nobody else would fare better now."""
    return isinstance(error, OperationalError | InterfaceError)


def is_lost(error: BaseException) -> bool:
    """Whether the connection is gone: a class 08 or 57P state, or an error the server never sent."""
    state = sqlstate(error)
    if state is None:
        return isinstance(error, OperationalError | InterfaceError)
    return state.startswith(("08", "57P"))
