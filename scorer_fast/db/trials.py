"""Trying out statements as the server's own role, and what a session is like; nothing that is tried stays."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from typing import Any, NamedTuple

from django.db import DatabaseError, connections, transaction

from .connection import fetch_all, fetch_one
from .faults import is_lost, sqlstate

PARAMETER = re.compile(r"%\((\w+)\)s")

LIMITS = """
-- a trial waits for nobody for long
SELECT set_config('lock_timeout', '2s', TRUE), set_config('statement_timeout', '10s', TRUE)
"""


class Refusal(NamedTuple):
    """What PostgreSQL said to a statement: SQLSTATE and words."""

    state: str
    words: str


@contextmanager
def undone(alias: str) -> Iterator[None]:
    """A transaction that is rolled back at its end."""
    with transaction.atomic(using=alias):
        fetch_one(alias, LIMITS, {})
        yield
        transaction.set_rollback(True, using=alias)


def refusal_of(alias: str, statement: str) -> Refusal | None:
    """What the server says to ``statement``, its parameters NULL; None where it accepts it. Within a transaction."""
    try:
        with transaction.atomic(using=alias):
            fetch_all(alias, statement, dict.fromkeys(PARAMETER.findall(statement)))
    except DatabaseError as error:
        return said(error)
    return None


def said(error: DatabaseError) -> Refusal:
    """The server's own words; raises ``error`` again where the connection is lost."""
    if is_lost(error):
        raise error
    cause = error.__cause__ or error
    words = getattr(getattr(cause, "diag", None), "message_primary", None) or str(cause).strip().partition("\n")[0]
    return Refusal(sqlstate(error) or "", words)


@contextmanager
def overheard(alias: str) -> Iterator[list[Refusal]]:
    """What the server refuses meanwhile, whoever asks and whatever becomes of it."""
    heard: list[Refusal] = []

    def listen(execute: Any, *args: Any) -> Any:
        try:
            return execute(*args)
        except DatabaseError as error:
            heard.append(said(error))
            raise

    with connections[alias].execute_wrapper(listen):
        yield heard


GET_SESSION = """
-- how a session of this role reads and writes; no table
SELECT current_user::text AS role,
       pg_is_in_recovery() AS is_standby,
       current_setting('transaction_read_only') = 'on' AS is_read_only,
       current_setting('transaction_isolation') AS isolation,
       now()::text AS instant,
       (SELECT s.setting::bigint FROM pg_settings AS s WHERE s.name = 'statement_timeout') AS statement_ms,
       (SELECT s.setting::bigint FROM pg_settings AS s WHERE s.name = 'idle_in_transaction_session_timeout') AS idle_ms
"""


class Session(NamedTuple):
    """A session within a transaction, as Django begins it; limits in milliseconds, 0: none."""

    role: str
    is_standby: bool
    is_read_only: bool
    isolation: str
    instant: str
    statement_ms: int
    idle_ms: int


def get_session(alias: str) -> Session:
    """The session of the server's role."""
    with transaction.atomic(using=alias):
        row = fetch_one(alias, GET_SESSION, {})
    assert row is not None
    return Session._make(row)


GET_SERVER_PROCESS = """
-- the server process that answers this statement
SELECT pg_backend_pid()
"""
PREPARED = """
-- a statement to prepare in a session
SELECT 'scorer_fast'
"""
FORGET_PREPARED = """
-- leaves no prepared statement behind in a session that a pooler shares
DEALLOCATE ALL
"""


TRIES = 8  # transactions, in which a pooler would hand out another session


class Pooler(NamedTuple):
    """What stands between this process and the server. ``shares_sessions``: a transaction is all that one keeps
    (pool mode transaction). ``carries_prepared``: prepared statements work all the same; None: not tried."""

    shares_sessions: bool
    carries_prepared: bool | None
    is_preparing: bool


def find_pooler(alias: str) -> Pooler | None:
    """Opens two connections, and sees whether their sessions are their own; None where nothing stands between."""
    with closing(_connection(alias)) as first, closing(_connection(alias)) as second:
        pid = _pid(first)
        if getattr(first.connection, "info", None) is None or first.connection.info.backend_pid == pid:
            return None
        is_bound = bool(first.settings_dict["OPTIONS"].get("server_side_binding"))  # else the driver prepares nothing
        is_preparing = is_bound and getattr(first.connection, "prepare_threshold", None) is not None
        has_prepared = _prepare(first)
        second.set_autocommit(False)
        # Shared is a session that is not the same at each transaction, or that somebody else has while it is open.
        if all(_pid(first) == pid for _ in range(TRIES)) and _pid(second) != pid:
            return Pooler(False, None, is_preparing)
        carries_prepared = None
        if has_prepared is not None:
            carries_prepared = _prepare(second) is True and all(_prepare(first) for _ in range(TRIES))
        second.rollback()
        for _ in range(TRIES):
            with suppress(DatabaseError), first.cursor() as cursor:
                statement = FORGET_PREPARED
                cursor.execute(statement)
        return Pooler(True, carries_prepared, is_preparing)


def _connection(alias: str) -> Any:
    """Another connection as Django opens it."""
    connection: Any = connections[alias]
    return connection.copy()


def _pid(connection: Any) -> int:
    statement = GET_SERVER_PROCESS
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return int(cursor.fetchone()[0])


def _prepare(connection: Any) -> bool | None:
    """Whether the first prepared statement of a session works; None where the driver prepares nothing."""
    statement = PREPARED
    if not hasattr(connection.connection, "prepare_threshold"):
        return None
    raw = connection.connection
    raw.prepare_threshold = 0  # None would prepare nothing, whatever is asked for
    try:
        connection.Database.Cursor(raw).execute(statement, prepare=True)
    except Exception:
        return False
    finally:
        raw.prepare_threshold = None
    return True
