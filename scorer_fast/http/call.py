"""Calling one operation from Python: what the cutover, the commands and the Lambda handler use.

response = call(request)                 # the fast answer; what is unexpected is raised
hand_over(request)                       # before somebody else answers instead
rehearsal = rehearse(request)            # reads only, before the host's own view runs
planned = rehearsal.decide(now)          # later, elsewhere: no lock, no write, no count
planned.status, planned.body, planned.rows
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from django.http import HttpRequest, HttpResponse
from django.urls import URLResolver, get_resolver

from ..domain import bounds, contexts
from ..errors import Problem, Refused
from ..run import Run, begin, run_of
from ..scoring import verifier
from ..scoring.expected import Rows, expected_rows, rows_now
from ..scoring.service import Decided
from ..scoring.write import require_whole
from ..settings import conf
from . import rate_limit
from .problems import problem_response
from .responses import Asked

URLCONF = "scorer_fast.http.routes"
FRONT = "scorer_fast_front"


class Front(Protocol):
    """Where a request came in; one that did not come by Django's URLs bears it as its attribute ``FRONT``."""

    host: Callable[[HttpRequest], HttpResponse] | None
    """Who else can answer; None: the view that Django's URLs name."""

    def answer(self, request: HttpRequest) -> HttpResponse:
        """The operation's answer, errors included; raises what it did not expect."""

    def refuse(self, problem: Problem, retry_after: int | None = None) -> HttpResponse:
        """The answer to a request that ends with ``problem``, to be tried again after so many seconds."""

    def seconds_left(self) -> float:
        """How long the request may still take."""


class _Urls:
    """Requests of a Django server: this app's own URLconf answers."""

    host: Callable[[HttpRequest], HttpResponse] | None = None

    def answer(self, request: HttpRequest) -> HttpResponse:
        match = _resolver().resolve(request.path_info)
        response: HttpResponse = match.func(request, *match.args, **match.kwargs)
        return response

    def refuse(self, problem: Problem, retry_after: int | None = None) -> HttpResponse:
        return problem_response(problem, retry_after)

    def seconds_left(self) -> float:
        return float("inf")


def front_of(request: HttpRequest) -> Front:
    """Where ``request`` came in."""
    front: Front = getattr(request, FRONT, _URLS)
    return front


_URLS = _Urls()


def _resolver() -> URLResolver:
    return get_resolver(URLCONF)


def prepare() -> None:
    """Load what serving needs, so that no request waits for it: some tenths of a second, once per process."""
    _ = _resolver().url_patterns
    verifier.start_ahead()


def call(request: HttpRequest) -> HttpResponse:
    """The fast path's answer to ``request``; raises what it did not expect.

    While it runs and after it raised, :func:`commit_attempted` tells whether a COMMIT was sent:
    then the outcome is unknown and nobody else may answer the request.
    """
    run = begin(request, Run(has_host=True))
    response = front_of(request).answer(request)
    if response.status_code < 400:
        require_whole(run.database)  # what a caller's transaction will roll back is not acknowledged
    return response


def commit_attempted(request: HttpRequest) -> bool:
    """Whether serving ``request`` got as far as sending a COMMIT (or an autocommitted write)."""
    return run_of(request).is_committing


def hand_over(request: HttpRequest) -> None:
    """Undo what serving ``request`` counted, before the host's view answers it in its place; never raises."""
    rate_limit.give_back(request)


def is_left_out(credential: str) -> bool:
    """Whether the fast path leaves a stamp out for what its credential is made of, signed well or not."""
    return bounds.check(credential) is not None or (conf.strict_context and not contexts.is_known(credential))


@dataclass(frozen=True, slots=True)
class Planned:
    """What the fast path would have answered and written.

    ``rows``: per table the rows that would be there afterwards, within what the request touches.
    ``read_rows()``: the same tables and the same extent, as the database has them now.
    """

    status: int
    body: bytes
    rows: Rows
    read_rows: Callable[[], Rows]


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """A request whose reads are taken and whose decision is still open; or one that was ``refused`` already."""

    run: Run
    front: Front
    started: datetime
    refused: HttpResponse | None = None
    asked: Asked | None = None
    found: Any = None

    def decide(self, now: datetime) -> Planned:
        """Decide on the rows read earlier, as at ``now``; touches no row, counts nothing, stores nothing."""
        if self.asked is None:
            assert self.refused is not None
            return Planned(self.refused.status_code, self.refused.content, {}, dict)
        run = self.run.decided_at(now)
        try:
            outcome = self.asked.service.decide(run, self.asked.question, self.found)
            response = self.asked.respond(outcome)
        except Refused as refused:
            response = self.front.refuse(refused.problem)
            return Planned(response.status_code, response.content, {}, dict)
        if not isinstance(outcome, Decided):
            return Planned(response.status_code, response.content, {}, dict)
        return Planned(
            response.status_code,
            response.content,
            expected_rows(outcome.plan),
            lambda: rows_now(run.database, outcome.plan, self.started),
        )


def rehearse(request: HttpRequest) -> Rehearsal:
    """Take the reads that deciding needs; rate limits, analytics and key migration are left alone."""
    started = datetime.now(UTC)
    run, front = begin(request, Run(is_live=False, has_host=True)), front_of(request)
    response = front.answer(request)
    asked: Asked | None = run.held
    if asked is None:
        return Rehearsal(run, front, started, refused=response)
    try:
        return Rehearsal(run, front, started, asked=asked, found=asked.service.read(run, asked.question))
    except Refused as refused:
        return Rehearsal(run, front, started, refused=front.refuse(refused.problem))
