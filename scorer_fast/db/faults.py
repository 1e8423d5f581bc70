"""What a database error says of the connection it came over: gone, of the wrong server, of a stale session, or none."""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from typing import Any

from django.db.utils import InterfaceError, OperationalError


class Fault(Enum):
    """Why a statement could not be served over its connection, or in its time; the value is for the log."""

    LOST = "the connection is lost"
    WRONG_SERVER = "the server does not write: read-only, or a standby"
    STALE_SESSION = "the session's plans are older than the tables"
    NO_PREPARED = "a pooler does not carry prepared statements"
    LOCK_TIMEOUT = "a lock was waited for too long"
    CANCELLED = "the statement took too long, or was cancelled"
    CROWDED = "the server has no room: connections, memory or disk"


_BY_STATE = {
    "25006": Fault.WRONG_SERVER,  # read-only transaction: a reader, or a standby
    "25P03": Fault.LOST,  # idle in transaction for too long: the server has hung up
    "25P04": Fault.LOST,  # the transaction took too long
    "26000": Fault.NO_PREPARED,  # it does not exist in the session that the pooler gave this time
    "42P05": Fault.NO_PREPARED,  # it exists there already, from another client
    "55P03": Fault.LOCK_TIMEOUT,
    "57014": Fault.CANCELLED,
}
_UNSUPPORTED = "0A000"
_NOT_READY = "what migrate makes is not there, or may not be used: manage.py scorer_fast doctor says more"
_UNREADY = frozenset({"3F000", "42P01", "42501", "42703", "42883"})
_RECOVERING = frozenset({"55000", "XX000"})  # states in which a standby refuses locks and new transactions


def sqlstate(error: BaseException) -> str | None:
    """The five characters of a database error, from psycopg 3 or psycopg2; None when it carries none."""
    cause = error.__cause__ or error
    return getattr(cause, "sqlstate", None) or getattr(cause, "pgcode", None)


def fault_of(error: BaseException) -> Fault | None:
    """What the error says of its connection; None where another connection would say the same."""
    state = sqlstate(error)
    if state is None:
        return Fault.LOST if isinstance(error, OperationalError | InterfaceError) else None
    if state in _BY_STATE:
        return _BY_STATE[state]
    if state.startswith(("08", "57P")):
        return Fault.LOST
    if state.startswith("53"):
        return Fault.CROWDED
    if state == _UNSUPPORTED:
        # No statement of this app asks for what PostgreSQL does not have: it is an old plan, or an unlogged table.
        is_plan = _diagnosis(error, "source_function") == "RevalidateCachedQuery" or "cached plan" in str(error)
        return Fault.STALE_SESSION if is_plan else Fault.WRONG_SERVER
    if state in _RECOVERING and "recovery" in str(error):
        return Fault.WRONG_SERVER
    return None


def is_contention(error: BaseException) -> bool:
    """Whether another transaction was in the way: worth reading and deciding again."""
    return sqlstate(error) in RETRIED


def is_unavailable(error: BaseException) -> bool:
    """Whether the database was lost, overloaded or too slow: nobody else would fare better now."""
    return isinstance(error, OperationalError | InterfaceError)


def is_unready(error: BaseException) -> bool:
    """Whether the session does not see, or may not use, what ``migrate`` made: no schema, table, column or function."""
    return sqlstate(error) in _UNREADY


def is_lost(error: BaseException) -> bool:
    """Whether the connection is gone: a class 08 or 57P state, or an error the server never sent."""
    return fault_of(error) is Fault.LOST


RETRIED = frozenset({"40001", "40P01", "23505"})  # serialization failure, deadlock, unique violation


def described(error: BaseException) -> str:
    """One line for the log: what it means, the server's words, and what was being waited for where it says so.

    Without PostgreSQL's DETAIL, which repeats rows.
    """
    for link in chain(error):
        fault = fault_of(link)
        meaning = _NOT_READY if is_unready(link) else fault.value if fault is not None else None
        if meaning is not None:
            words = _diagnosis(link, "message_primary") or (str(link).strip().splitlines() or [""])[0]
            context = (_diagnosis(link, "context") or "").strip().splitlines()
            parts = [meaning, f"{sqlstate(link) or type(link).__name__}: {words}", *context[:1]]
            return "; ".join(parts)
    return type(error).__name__


def chain(error: BaseException) -> Iterator[BaseException]:
    """The error, and what caused it, link by link."""
    link: BaseException | None = error
    seen: set[int] = set()
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        yield link
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)


def _diagnosis(error: BaseException, field: str) -> str | None:
    diagnosis: Any = getattr(error.__cause__ or error, "diag", None)
    value = getattr(diagnosis, field, None)
    return value if isinstance(value, str) else None
