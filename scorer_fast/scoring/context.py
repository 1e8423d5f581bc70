"""How the current request is being run: for real, only reading, or deciding on reads taken earlier.

Every read of an operation goes through :func:`read`, every effect asks :func:`is_live` first. That is
all that a rehearsal (shadow) needs, and no operation knows of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, TypeVar

from django.http import HttpRequest
from django.utils import timezone

from ..db.connection import sqlstate
from ..errors import Changed

T = TypeVar("T")
Rows = Mapping[str, list[dict[str, Any]]]
_COMMIT = "_scorer_fast_commit_attempted"


class ReadTaken(BaseException):
    """Ends a rehearsal's first half: all reads are taken. Not an Exception, so that nothing answers it."""


class Serving:
    """A request served for real."""

    def __init__(self, request: HttpRequest) -> None:
        self.request = request


class Rehearsing:
    """The first half of a rehearsal, begun at ``started``: reads are recorded in the order they are asked for."""

    def __init__(self) -> None:
        self.started = datetime.now(UTC)
        self.taken: list[Any] = []


class Deciding:
    """The second half: reads come from the record, time stands still, and the plan is kept."""

    def __init__(self, reads: Rehearsing, now: datetime) -> None:
        self.started = reads.started
        self.now = now
        self._taken = iter(reads.taken)
        self._rows: Callable[[], Rows] = dict
        self._read_rows: Callable[[], Rows] = dict

    def next_read(self) -> Any:
        """The next recorded read; LookupError where the request asks for more than was taken."""
        try:
            return next(self._taken)
        except StopIteration:
            raise LookupError("the rehearsal took fewer reads than deciding asks for") from None

    def plan(self, rows: Callable[[], Rows], read_rows: Callable[[], Rows]) -> None:
        self._rows, self._read_rows = rows, read_rows

    def rows(self) -> Rows:
        return self._rows()

    def read_rows(self) -> Rows:
        return self._read_rows()


_current: ContextVar[Serving | Rehearsing | Deciding | None] = ContextVar("scorer_fast_run", default=None)


@contextmanager
def _running(run: Any) -> Iterator[Any]:
    token = _current.set(run)
    try:
        yield run
    finally:
        _current.reset(token)


def serving(request: HttpRequest) -> AbstractContextManager[Serving]:
    """Serve ``request`` for real, keeping track of whether a COMMIT was sent."""
    setattr(request, _COMMIT, False)
    return _running(Serving(request))


def reading(request: HttpRequest) -> AbstractContextManager[Rehearsing]:
    """Take the reads of ``request`` only."""
    return _running(Rehearsing())


def deciding(request: HttpRequest, reads: Rehearsing, now: datetime) -> AbstractContextManager[Deciding]:
    """Decide ``request`` as at ``now`` on the reads taken earlier."""
    return _running(Deciding(reads, now))


def is_live() -> bool:
    """Whether effects (writes, counts, remembered signatures) are wanted."""
    current = _current.get()
    return current is None or isinstance(current, Serving)


def is_called() -> bool:
    """Whether somebody stands behind this request who may answer it where this app fails."""
    return _current.get() is not None


def now() -> datetime:
    """The instant this request is decided at, with offset UTC.

    By Django's clock: the host's tests that stop or move it mean both sides.
    """
    current = _current.get()
    return current.now if isinstance(current, Deciding) else timezone.now().astimezone(UTC)


def read(function: Callable[[], T]) -> T:
    """One round trip: taken, recorded, or given back from the record."""
    current = _current.get()
    if isinstance(current, Deciding):
        recorded: T = current.next_read()
        return recorded
    value = function()
    if isinstance(current, Rehearsing):
        current.taken.append(value)
    return value


def reads_are_taken() -> None:
    """Says that what follows decides; ends the first half of a rehearsal here."""
    if isinstance(_current.get(), Rehearsing):
        raise ReadTaken


def deciding_now() -> Deciding | None:
    """The second half of a rehearsal that is under way, if one is."""
    current = _current.get()
    return current if isinstance(current, Deciding) else None


def committing() -> None:
    """Says that from here on the outcome may be unknown: a COMMIT (or an autocommitted write) is being sent."""
    _note_commit(True)


@contextmanager
def one_statement() -> Iterator[None]:
    """Around a single autocommitted write: its outcome is unknown while it runs.

    What the server refused is not written.
    """
    committing()
    try:
        yield
    except BaseException as error:
        if isinstance(error, Changed) or sqlstate(error) is not None:
            _note_commit(False)
        raise


def _note_commit(attempted: bool) -> None:
    current = _current.get()
    if isinstance(current, Serving):
        setattr(current.request, _COMMIT, attempted)


def commit_attempted(request: HttpRequest) -> bool:
    return bool(getattr(request, _COMMIT, False))
