"""One request under way: by which clock, on which database, for real or only shadowed. Handed from call to call."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from django.db import transaction
from django.http import HttpRequest
from django.utils import timezone

from .deadline import Deadline, current
from .errors import Changed
from .settings import conf

_OF_REQUEST = "_scorer_fast_run"


@dataclass(slots=True, eq=False)
class Run:
    """A request as it is being answered.

    ``is_live``: False for shadow's, which counts nothing, stores nothing and writes nothing. ``has_host``: whether
    somebody stands behind who may answer what fails here. ``at``: the instant it is decided at; None: now, by
    Django's clock, which a host's tests stop or move for both sides. ``held``: of a shadowed request, the question
    that it puts, unanswered; shadow reads and decides it by itself. ``is_committing``: whether a COMMIT, or an
    autocommitted write, was sent: from then on the outcome may be unknown. ``verified``: by digest (hex), what didkit
    said of the credentials of this request. ``deadline``:
    what its waits share.
    """

    is_live: bool = True
    has_host: bool = False
    at: datetime | None = None
    database: str = field(default_factory=lambda: conf.database)
    is_committing: bool = False
    held: Any = None
    verified: dict[str, bool] = field(default_factory=dict)
    deadline: Deadline = field(default_factory=current)

    def now(self) -> datetime:
        """The instant this request is decided at, with offset UTC."""
        return self.at or timezone.now().astimezone(UTC)

    def decided_at(self, now: datetime) -> Run:
        """The same run, decided at ``now``."""
        return replace(self, at=now)

    @property
    def in_transaction(self) -> bool:
        """Whether there is an open transaction: the caller's, or the one that this request queues in."""
        return in_transaction(self.database)

    @contextmanager
    def committing(self) -> Iterator[None]:
        """Around what commits: its outcome is unknown while it runs, and after it. What the server refused is not
        written.
        """
        from .db.connection import sqlstate

        self.is_committing = True
        try:
            yield
        except BaseException as error:
            if isinstance(error, Changed) or sqlstate(error) is not None:
                self.is_committing = False
            raise


def in_transaction(alias: str) -> bool:
    """Whether a transaction is open on the alias: then a statement that fails needs a savepoint around it."""
    return bool(transaction.get_connection(alias).in_atomic_block)


def run_of(request: HttpRequest) -> Run:
    """The run of a request; a live one with nobody behind it where none was begun."""
    run: Run | None = getattr(request, _OF_REQUEST, None)
    return begin(request, Run()) if run is None else run


def begin(request: HttpRequest, run: Run) -> Run:
    """Make ``run`` the one of ``request``."""
    setattr(request, _OF_REQUEST, run)
    return run
