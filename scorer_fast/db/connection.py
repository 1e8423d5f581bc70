"""One round trip on Django's own connection.

A connection that cannot serve is given up at once, so that the next statement asks a new one: lost, of a server that
does not write (after a failover), or of a session with stale plans. What such an error is raised as is an
``OperationalError``, whatever class the driver has for its SQLSTATE.
"""

from __future__ import annotations

import logging
import select
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import Any, NamedTuple, TypeVar, cast

from django.core.signals import got_request_exception
from django.db import connections, transaction
from django.db.backends.signals import connection_created
from django.db.backends.utils import CursorWrapper
from django.db.utils import Error, InterfaceError, OperationalError

from .faults import Fault, chain, fault_of, is_contention, is_lost, is_unavailable, sqlstate
from .watchdog import has_cut

__all__ = [
    "ConnectionGivenUp",
    "distrust",
    "fetch_all",
    "fetch_one",
    "fetch_value",
    "give_up",
    "instant",
    "is_contention",
    "is_lost",
    "is_unavailable",
    "read_committed",
    "run",
    "sqlstate",
    "text_array",
]

logger = logging.getLogger("scorer_fast")

_GIVEN_UP = frozenset({Fault.LOST, Fault.WRONG_SERVER, Fault.STALE_SESSION, Fault.NO_PREPARED})
_SESSION = frozenset({Fault.STALE_SESSION, Fault.NO_PREPARED})
_AT_ONCE = 0.0  # a time of Django's to close at that is always over
_KEPT = "_scorer_fast_cursor"

T = TypeVar("T")
Parameters = Mapping[str, Any]


def text_array(values: Iterable[str]) -> str:
    """An array of texts as PostgreSQL reads it: a list of them costs psycopg ten times as much."""
    quoted = (value.replace("\\", r"\\").replace('"', r"\"") for value in values)
    return "{" + ",".join(f'"{value}"' for value in quoted) + "}"


def instant(text: str | None) -> datetime | None:
    """A timestamptz that was selected as text: one that psycopg 3 loads for Django takes twenty times as long."""
    return None if text is None else datetime.fromisoformat(text)


def fetch_one(
    alias: str,
    statement: str,
    parameters: Parameters,
    *,
    repeatable: bool = False,
) -> tuple[Any, ...] | None:
    """The first row of ``statement``, or None.

    ``repeatable``: it changes nothing, and so may be sent again where it finds that the connection has died since the
    last request. Then it is Django's health check as well, which would be a round trip of its own.
    """
    row: tuple[Any, ...] | None = _executed(alias, statement, parameters, repeatable).fetchone()
    return row


def fetch_value(
    alias: str,
    statement: str,
    parameters: Parameters,
    *,
    repeatable: bool = False,
) -> Any:
    """The first column of the first row, or None; ``repeatable`` as in :func:`fetch_one`."""
    row = fetch_one(alias, statement, parameters, repeatable=repeatable)
    return None if row is None else row[0]


def fetch_all(alias: str, statement: str, parameters: Parameters, *, repeatable: bool = False) -> list[tuple[Any, ...]]:
    """All rows of ``statement``; ``repeatable`` as in :func:`fetch_one`."""
    rows: list[tuple[Any, ...]] = _executed(alias, statement, parameters, repeatable).fetchall()
    return rows


def run(alias: str, statement: str, parameters: Parameters | None) -> int:
    """Execute ``statement``; how many rows it wrote."""
    written: int = _executed(alias, statement, parameters, False).rowcount
    return written


READ_COMMITTED = """
-- what the statements of this transaction see: all that was committed before each of them
SET TRANSACTION ISOLATION LEVEL READ COMMITTED
"""


@contextmanager
def read_committed(alias: str) -> Iterator[None]:
    """A transaction whose statements see what others have committed meanwhile, whatever the role's default is.

    Inside a caller's transaction a savepoint, which sees what that one sees.
    """
    connection: Any = connections[alias]
    is_own = not connection.in_atomic_block
    if is_own and connection.close_at == _AT_ONCE:
        give_up(connection)
    with transaction.atomic(using=alias):
        if is_own:
            run(alias, READ_COMMITTED, {})
        yield


class ConnectionGivenUp(OperationalError):
    """The connection could not serve the statement and is closed, or will be with the transaction: ask again later."""


def give_up(connection: Any) -> None:
    """Close Django's ``connection``, so that the next statement opens a new one; inside a transaction, after it.

    Not by Django's close alone: a pool of the driver's would hand the same one out again.
    """
    if connection.in_atomic_block:
        connection.close_at = _AT_ONCE
        return
    with suppress(Exception):
        connection.connection.close()
    with suppress(Exception):
        connection.close()


DISTRUST_SECONDS = 1.0  # between two times at which all connections are replaced
_OPENED = "_scorer_fast_opened"
_distrusted: dict[str, float] = {}  # by alias: connections that were opened before are replaced


def distrust(alias: str) -> None:
    """Somebody's server turned out not to write, as after a failover: all connections of ``alias`` are replaced.

    Each before its next statement. Once a second at most, for it may be that there is no other server yet.
    """
    now = time.monotonic()
    if now - _distrusted.get(alias, float("-inf")) >= DISTRUST_SECONDS:
        _distrusted[alias] = now


def _replace_if_distrusted(connection: Any) -> None:
    since = _distrusted.get(connection.alias)
    if since is None or connection.connection is None or connection.in_atomic_block:
        return
    if getattr(connection.connection, _OPENED, getattr(connection, _OPENED, since)) < since:
        give_up(connection)


def _executed(alias: str, statement: str, parameters: Parameters | None, repeatable: bool) -> CursorWrapper:
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
    asked = 1
    while True:
        cursor = _cursor(connection)
        try:
            cursor.execute(statement, parameters)
            return cursor
        except Error as error:
            fault = fault_of(error)
            if fault not in _GIVEN_UP:
                raise
            # Behind a pooler another session may know as little: the second time it is done without.
            if fault is Fault.NO_PREPARED or (fault is Fault.STALE_SESSION and asked > 1):
                _prepare_nothing(error)
            # What the server refused for its session's sake has done nothing, whatever it was.
            is_again = (fault in _SESSION and asked <= 2) or (fault is Fault.LOST and is_first and asked == 1)
            is_again = is_again and not connection.in_atomic_block and not has_cut()
            give_up(connection)
            if fault is Fault.WRONG_SERVER:
                distrust(alias)
            if not is_again:
                if isinstance(error, OperationalError | InterfaceError):
                    raise
                raise ConnectionGivenUp(*error.args) from error.__cause__ or error
            asked += 1


_is_preparing = True


def _prepare_nothing(error: Exception) -> None:
    """From now on no new connection of this process has prepared statements (psycopg 3's alone ever have)."""
    global _is_preparing
    if _is_preparing:
        logger.warning(
            "prepared statements are turned off in this process (%s): "
            'behind a pooler set OPTIONS["prepare_threshold"] to None',
            sqlstate(error),
        )
    _is_preparing = False


def _prepare_as_said(raw: Any) -> None:
    if not _is_preparing and hasattr(raw, "prepare_threshold"):
        raw.prepare_threshold = None


SET_DATE_STYLE = """
-- how the times of this session are written
SET DateStyle TO ISO
"""


def _opened(connection: Any, **_: Any) -> None:
    """A new connection: times as text are ISO in it, as drivers and Django read them, whatever its role's DateStyle.

    psycopg2 says so by itself. PgBouncer takes it along; where the role says ISO, as nearly always, nothing is sent.
    """
    raw = connection.connection
    now = time.monotonic()
    setattr(connection, _OPENED, now)
    with suppress(AttributeError):  # psycopg2's take no attributes, and are in no pool
        setattr(raw, _OPENED, getattr(raw, _OPENED, now))  # a pool hands out the same one again
    _prepare_as_said(raw)
    style = getattr(getattr(raw, "info", None), "parameter_status", lambda name: None)("DateStyle")
    if style is not None and not style.startswith("ISO"):
        run(connection.alias, SET_DATE_STYLE, {})


def _failed_elsewhere(**_: Any) -> None:
    """A view of somebody else's ended with an error: connections that cannot serve do not stay for its next request."""
    error = sys.exc_info()[1]
    faults = {fault_of(link) for link in chain(error) if isinstance(link, Error)} if error is not None else set()
    if faults & {Fault.WRONG_SERVER, *_SESSION}:
        if error is not None and Fault.NO_PREPARED in faults:
            _prepare_nothing(error if isinstance(error, Exception) else Exception())
        for connection in connections.all(initialized_only=True):
            give_up(connection)
            if Fault.WRONG_SERVER in faults:
                distrust(connection.alias)


connection_created.connect(_opened, dispatch_uid="scorer_fast.connection")
got_request_exception.connect(_failed_elsewhere, dispatch_uid="scorer_fast.connection")


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
    if _distrusted:
        _replace_if_distrusted(connection)
    if connection.close_at == _AT_ONCE and not connection.in_atomic_block:
        give_up(connection)
    if not _is_preparing and connection.connection is not None:
        _prepare_as_said(connection.connection)
    if connection.queries_logged or "cursor" in vars(connection):  # somebody wants to see every cursor
        return cast(CursorWrapper, connection.cursor())
    connection.close_if_health_check_failed()
    if connection.connection is None and has_cut():
        raise ConnectionGivenUp("the time is over: no new connection is asked for")
    connection.ensure_connection()
    kept: _Kept | None = getattr(connection, _KEPT, None)
    if kept is None or kept.raw is not connection.connection or kept.timezone is not connection.timezone:
        kept = _Kept(connection.cursor(), connection.connection, connection.timezone)
        setattr(connection, _KEPT, kept)
    return kept.cursor


def hung_up(connection: Any) -> bool:
    """Whether the server closed the idle connection; asks the socket, not the server."""
    try:
        poll = select.poll()
        poll.register(connection.connection.fileno(), select.POLLIN)
        return bool(poll.poll(0))
    except Exception:
        return True
