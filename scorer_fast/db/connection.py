"""One round trip on Django's own connection, and what its failures mean."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from datetime import datetime
from typing import Any, Generic, NamedTuple, TypeVar, cast

from django.db import connections
from django.db.backends.utils import CursorWrapper
from django.db.utils import InterfaceError, OperationalError

RETRIED = frozenset({"40001", "40P01", "23505"})  # serialization failure, deadlock, unique violation
_KEPT = "_scorer_fast_cursor"

T = TypeVar("T")
Parameters = Mapping[str, Any]


class Meanwhile(Generic[T]):
    """Work of this process to be done while PostgreSQL is at a statement; done once, and when asked for at the latest.

    It must not use the connection. That it failed is told by :meth:`result`, never by the statement.
    """

    def __init__(self, work: Callable[[], T]) -> None:
        self._work: Callable[[], T] | None = work
        self._result: T
        self._error: Exception | None = None

    def do(self) -> None:
        """Do the work, unless it was done."""
        work, self._work = self._work, None
        if work is not None:
            try:
                self._result = work()
            except Exception as error:
                self._error = error

    def result(self) -> T:
        """What came of it, or its error."""
        self.do()
        if self._error is not None:
            raise self._error
        return self._result


def bigint_array(values: Iterable[int]) -> str:
    """An array of whole numbers as PostgreSQL reads it: a list of them costs psycopg ten times as much."""
    return f"{{{','.join(map(str, values))}}}"


def text_array(values: Iterable[str]) -> str:
    """The same of texts."""
    quoted = (value.replace("\\", r"\\").replace('"', r"\"") for value in values)
    return "{" + ",".join(f'"{value}"' for value in quoted) + "}"


def instant(text: str | None) -> datetime | None:
    """A timestamptz that was selected as text: one that psycopg 3 loads for Django takes twenty times as long."""
    return None if text is None else datetime.fromisoformat(text)


def fetch_one(
    alias: str,
    statement: str,
    parameters: Parameters,
    meanwhile: Meanwhile[Any] | None = None,
    *,
    repeatable: bool = False,
) -> tuple[Any, ...] | None:
    """The first row of ``statement``, or None; ``meanwhile`` is done while PostgreSQL looks for it.

    ``repeatable``: it changes nothing, and so may be sent again where it finds that the connection has died since the
    last request. Then it is Django's health check as well, which would be a round trip of its own.
    """
    row: tuple[Any, ...] | None = _executed(alias, statement, parameters, meanwhile, repeatable).fetchone()
    return row


def fetch_value(
    alias: str,
    statement: str,
    parameters: Parameters,
    meanwhile: Meanwhile[Any] | None = None,
    *,
    repeatable: bool = False,
) -> Any:
    """The first column of the first row, or None; ``meanwhile`` and ``repeatable`` as in :func:`fetch_one`."""
    row = fetch_one(alias, statement, parameters, meanwhile, repeatable=repeatable)
    return None if row is None else row[0]


def fetch_all(alias: str, statement: str, parameters: Parameters, *, repeatable: bool = False) -> list[tuple[Any, ...]]:
    """All rows of ``statement``; ``repeatable`` as in :func:`fetch_one`."""
    rows: list[tuple[Any, ...]] = _executed(alias, statement, parameters, None, repeatable).fetchall()
    return rows


def run(alias: str, statement: str, parameters: Parameters) -> int:
    """Execute ``statement``; how many rows it wrote."""
    written: int = _executed(alias, statement, parameters, None, False).rowcount
    return written


def _executed(
    alias: str, statement: str, parameters: Parameters, meanwhile: Meanwhile[Any] | None, repeatable: bool
) -> CursorWrapper:
    connection: Any = connections[alias]
    is_first = (
        repeatable
        and connection.health_check_enabled
        and not connection.health_check_done
        and not connection.in_atomic_block
        and connection.connection is not None
    )
    if is_first:
        connection.health_check_done = True
    cursor = _cursor(connection)
    try:
        with nullcontext() if meanwhile is None else _doing(meanwhile, connection.connection):
            cursor.execute(statement, parameters)
    except (OperationalError, InterfaceError) as error:
        if not (is_first and is_lost(error)):
            raise
        connection.close()
        cursor = _cursor(connection)
        cursor.execute(statement, parameters)
    return cursor


class _Kept(NamedTuple):
    """A cursor of the driver's connection ``raw``, which reads times in ``timezone``."""

    cursor: CursorWrapper
    raw: Any
    timezone: Any


# A cursor learns how to write and read every type it meets, which costs psycopg 3 half of what a small statement takes
# it. So one is kept with the connection it is of, for all of this app's statements: each is done with its rows before
# the next begins.
def _cursor(connection: Any) -> CursorWrapper:
    """A cursor on Django's connection, checked and opened as Django's own would be."""
    if connection.queries_logged or "cursor" in vars(connection):  # somebody wants to see every cursor
        return cast(CursorWrapper, connection.cursor())
    connection.close_if_health_check_failed()
    connection.ensure_connection()
    kept: _Kept | None = getattr(connection, _KEPT, None)
    if kept is None or kept.raw is not connection.connection or kept.timezone is not connection.timezone:
        kept = _Kept(connection.cursor(), connection.connection, connection.timezone)
        setattr(connection, _KEPT, kept)
    return kept.cursor


# psycopg 3 has one place where a connection waits for the server: `wait`, which is handed a generator that sends the
# statement before it asks to be called again. psycopg2 has none: there the work comes before the statement.
@contextmanager
def _doing(meanwhile: Meanwhile[Any], raw: Any) -> Iterator[None]:
    """Do ``meanwhile`` as soon as a statement of the driver's connection ``raw`` is on its way."""
    wait: Any = getattr(raw, "wait", None)

    def wait_doing(statement: Generator[Any, Any, Any], *args: Any, **kwargs: Any) -> Any:
        return wait(_sent(statement, meanwhile), *args, **kwargs)

    try:
        if wait is not None:
            raw.wait = wait_doing
    except AttributeError:  # somebody's wrapper that takes none
        wait = None
    if wait is None:
        meanwhile.do()
    try:
        yield
    finally:
        if wait is not None:
            del raw.wait  # the class's own is there again


def _sent(statement: Generator[Any, Any, T], meanwhile: Meanwhile[Any]) -> Generator[Any, Any, T]:
    try:
        wanted = next(statement)
        meanwhile.do()
        while True:
            wanted = statement.send((yield wanted))
    except StopIteration as stop:
        value: T = stop.value
        return value


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
