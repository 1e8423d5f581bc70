"""Shadow: the host answers, and the fast path is compared with what it answered and wrote.

    response = shadow(operation, request, control)        # or in parts: before(), after(), abandon()

Deciding is pure, so nothing is written to find out what would have been: the one read is taken before
the host's view runs, the host's answer goes out, and later, elsewhere, the decision is made and compared.

Invariant: whatever happens in here, the client gets the host's answer, and the host's tables are only
read, in read-only transactions. A fault of this module costs a count and nothing else. Every request whose
reads were taken is counted once, with how it ended.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import random
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from asgiref.sync import async_to_sync, iscoroutinefunction
from django.core.handlers.exception import convert_exception_to_response
from django.core.signals import setting_changed
from django.http import HttpRequest, HttpResponse
from django.urls import resolve

from ...db.connection import is_unavailable
from ...errors import HandedOver
from ...http import call
from ...http.catalogue import Operation
from ...models.experiment import Category
from ...settings import conf
from .. import deliberate, figures, outcomes
from ..compare import Answer, Comparison, Context, Difference, Kind, Rows, compare
from ..deliberate import Case, RecordedRequest
from ..figures import Outcome
from . import findings, host_queries, races
from .handle import (
    AA_DIFFERED,
    AA_MATCHED,
    DELIBERATE,
    FAILED,
    HOST_CUT,
    HOST_FAILED,
    HOST_RACED,
    HOST_RAISED,
    MATCHED,
    MISMATCHED,
    NOT_COMPARABLE,
    PAUSED,
    QUEUE_FULL,
    RATE_LIMITED,
    TOO_LATE,
    UNAVAILABLE,
    WENT_AWAY,
    Handle,
    TooLate,
    Visit,
    copy_of,
    reading,
)
from .worker import Breaker, Worker

logger = logging.getLogger(__name__)

LEAST_SECONDS = 1.0  # left of a request's time; below it nothing is compared before it is answered
_EXPLAINED = {HOST_RACED: Category.HOST_RACED, HOST_CUT: Category.HOST_CUT}


class FastPathFailed(Exception):
    """The fast path raised where it would have had to answer."""

    def __init__(self, error: Exception) -> None:
        super().__init__(type(error).__name__)
        self.error = error


def shadow(operation: Operation, request: HttpRequest, control: Callable[[HttpRequest], HttpResponse]) -> HttpResponse:
    """The host's answer, always; what the fast path makes of the request is compared with it afterwards."""
    handle = before(operation, request)
    visit = enter(operation, request, handle)
    try:
        response = control(request)
    except BaseException:
        leave(visit, cut=True)
        abandon(handle, HOST_RAISED)
        raise
    leave(visit, cut=_of(response).failed)
    if handle is not None:
        after(handle, response)
    return response


def before(operation: Operation, request: HttpRequest) -> Handle | None:
    """Take the reads that deciding needs; None where this request is not looked at. Never raises."""
    try:
        if random.random() >= conf.shadow_sample:
            return None
        if call.front_of(request).seconds_left() < LEAST_SECONDS:
            figures.count(operation.id, TOO_LATE)
            return None
        if _breaker.is_open():
            figures.count(operation.id, PAUSED)
            return None
        return _before(operation, request)
    except HandedOver as handed:  # the fast path would have handed it over
        figures.count(operation.id, handed.why)
        return None
    except Exception as error:
        _count_failure(operation, error)
        return None


class Ticket:
    """A request whose reads are taken in another thread, while its client may go away."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._handle: Handle | None = None
        self._abandoned = False

    def before(self, operation: Operation, request: HttpRequest) -> Handle | None:
        """:func:`before`, in that thread."""
        handle = before(operation, request)
        with self._lock:
            self._handle = handle
            abandoned = self._abandoned
        if abandoned:
            abandon(handle, WENT_AWAY)
        return handle

    def abandon(self) -> None:
        """Nobody waits for the reads any more; they are counted, taken already or later."""
        with self._lock:
            self._abandoned = True
            handle = self._handle
        abandon(handle, WENT_AWAY)


def enter(operation: Operation, request: HttpRequest, handle: Handle | None) -> Visit | None:
    """Note that the host begins to answer; its end goes to :func:`leave`. Never raises."""
    try:
        visit = races.traffic.enter(operation, request)
    except Exception as error:
        _count_failure(operation, error)
        return None
    if handle is not None:
        handle.visit = visit
    return visit


def leave(visit: Visit | None, *, cut: bool) -> None:
    """Note that the host has answered, or was cut off: it raised, was cancelled, or failed half-way."""
    races.traffic.leave(visit, cut=cut)


def abandon(handle: Handle | None, outcome: str) -> None:
    """Count a request whose reads were taken for nothing: there is no answer to compare with."""
    if handle is not None:
        figures.count(handle.operation.id, outcome, caller=handle.caller)


def after(handle: Handle, response: HttpResponse) -> None:
    """Have the host's answer compared, off its path. Never raises."""
    try:
        if getattr(response, "streaming", False):
            abandon(handle, NOT_COMPARABLE)
            return
        handle.ended = datetime.now(UTC)
        handle.answer = _of(response)
        left = call.front_of(handle.request).seconds_left() - LEAST_SECONDS
        handle.deadline = time.monotonic() + min(conf.shadow_deadline_seconds, left)
        if conf.runs_threads or _on_event_loop():
            if not _worker.put(handle):
                abandon(handle, QUEUE_FULL)
        else:
            process(handle)
    except Exception as error:
        _count_failure(handle.operation, error)


def _of(response: HttpResponse) -> Answer:
    return Answer(response.status_code, b"" if getattr(response, "streaming", False) else bytes(response.content))


def process(handle: Handle) -> None:
    """Decide, compare and store; counts the outcome and never raises."""
    try:
        outcome = _outcome(handle)
    except TooLate:
        outcome = TOO_LATE
    except Exception as error:
        _count_failure(handle.operation, error)
        return
    figures.count(handle.operation.id, outcome, caller=handle.caller)


def waiting() -> int:
    """Requests of this process that wait to be compared."""
    queue_ = _worker._queue
    return 0 if queue_ is None else queue_.qsize()


def wait(seconds: float = 10.0) -> bool:
    """Wait until all that was put into the queue is compared; False where that took too long."""
    return _worker.wait(seconds)


# ---- before the host's view


def _before(operation: Operation, request: HttpRequest) -> Handle | None:
    try:
        body = b"" if request.method == "GET" else request.body
    except Exception:  # too large, gone, or read by somebody else: the host will say
        figures.count(operation.id, NOT_COMPARABLE)
        return None
    handle = Handle(
        operation=operation,
        request=copy_of(request, body),
        recorded=RecordedRequest(request.method or "", request.get_full_path(), dict(request.headers.items()), body),
        started=datetime.now(UTC),
        caller=outcomes.caller(operation, request),
    )
    if _is_aa(operation):
        return handle
    started = time.perf_counter()
    try:
        with reading(conf.database if operation.writes else conf.read_database):
            handle.rehearsal = _rehearse(handle.request)
    except FastPathFailed as failure:
        handle.error = failure.error
    except Exception as error:
        if is_unavailable(error):
            _breaker.failed()
        raise
    outcome = Outcome.ERROR if handle.error else Outcome.OK
    figures.record(operation.id, "shadow", time.perf_counter() - started, outcome)
    _breaker.succeeded()
    return handle


def _rehearse(request: HttpRequest) -> call.Rehearsal:
    try:
        return call.rehearse(request)
    except HandedOver:
        raise
    except Exception as error:
        if is_unavailable(error):
            raise
        raise FastPathFailed(error) from error


def _is_aa(operation: Operation) -> bool:
    return conf.shadow_aa and not operation.writes


def _on_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


# ---- after it


def _outcome(handle: Handle) -> str:
    assert handle.answer is not None
    handle.check_time()
    if _is_aa(handle.operation):
        return _measure_noise(handle)
    if handle.answer.status == 429:
        return RATE_LIMITED
    if handle.error is not None:
        return _raised(handle, handle.error)
    assert handle.rehearsal is not None
    assert handle.ended is not None
    now = handle.started + (handle.ended - handle.started) / 2
    try:
        planned = handle.rehearsal.decide(now)
    except Exception as error:
        if is_unavailable(error):
            return UNAVAILABLE
        return _raised(handle, error)
    handle.check_time()
    rows: Rows = {}
    if planned.rows:
        with reading(conf.database):
            rows = planned.read_rows()
    control = Answer(handle.answer.status, handle.answer.body, rows)
    candidate = Answer(planned.status, planned.body, planned.rows)
    found = _compare(handle, control, candidate)
    if not found.differences:
        return MATCHED
    handle.check_time()
    case = Case(handle.operation.id, handle.recorded, control, candidate, _facts(handle, candidate.rows))
    unasked, on_purpose = deliberate.sort_out(case, found.differences)
    mismatches, explained, by = races.explain(handle, control, candidate, unasked)
    failed = control.failed
    category = Category.HOST_FAILED if failed else Category.MISMATCH
    kept = [(category, "", difference) for difference in mismatches]
    kept += [(_EXPLAINED[by], "", difference) for difference in explained]
    kept += [(Category.DELIBERATE, rule.name, difference) for rule, difference in on_purpose]
    findings.store(handle, control, candidate, kept)
    if mismatches:
        return HOST_FAILED if failed else MISMATCHED
    return by if unasked else DELIBERATE


def _compare(handle: Handle, control: Answer, candidate: Answer) -> Comparison:
    return compare(control, candidate, Context(handle.operation.id, handle.window))


def _raised(handle: Handle, error: Exception) -> str:
    """The fast path would have failed, and the host have answered in its place."""
    assert handle.answer is not None
    difference = Difference(
        f"exception.{type(error).__name__}",
        Kind.VALUE,
        handle.answer.status,
        str(error) or type(error).__name__,
    )
    candidate = Answer(500, json.dumps({"exception": repr(error)}).encode())
    failed = handle.answer.failed
    category = Category.HOST_FAILED if failed else Category.MISMATCH
    findings.store(handle, handle.answer, candidate, [(category, "", difference)])
    return HOST_FAILED if failed else MISMATCHED


def _facts(handle: Handle, rows: Rows | None = None) -> deliberate.Fact:
    """What neither answer shows; ``rows``: the planned ones, which tell whom the request is about."""
    known: list[host_queries.KeyState | None] = []

    def fact(name: str) -> bool | None:
        if name == deliberate.STAMP_BEYOND:
            with reading(conf.database):
                return any(
                    call.is_left_out(text)
                    for passport in (rows or {}).get("registry_passport", ())
                    for text in host_queries.list_live_credentials(conf.database, passport["address"])
                )
        if not known:
            key = handle.recorded.header("X-API-Key") or _second_word(handle.recorded.header("Authorization"))
            if key in conf.demo_api_key_aliases:
                key = conf.demo_api_key
            with reading(conf.database):
                known.append(host_queries.get_key_state(conf.database, key.partition(".")[0], datetime.now(UTC)))
        state = known[0]
        if state is None:
            return None
        return {
            deliberate.KEY_EXPIRED: state.expired,
            deliberate.KEY_REVOKED: state.revoked,
            deliberate.KEY_SHA512: state.sha512,
            deliberate.KEY_CANNOT_READ: state.cannot_read,
        }[name]

    return fact


def _second_word(header: str) -> str:
    words = header.split()
    return words[1] if len(words) > 1 else ""


# ---- A/A


def _measure_noise(handle: Handle) -> str:
    """Ask the host again and keep where it differs from itself; for operations that write nothing."""
    assert handle.answer is not None
    response = _ask_host(handle.request)
    handle.ended = datetime.now(UTC)
    candidate = Answer(response.status_code, bytes(response.content))
    found = _compare(handle, handle.answer, candidate)
    findings.store(handle, handle.answer, candidate, [(Category.NOISE, "", each) for each in found.differences])
    return AA_DIFFERED if found.differences else AA_MATCHED


def _ask_host(request: HttpRequest) -> HttpResponse:
    host = call.front_of(request).host
    if host is not None:
        return host(request)
    match = resolve(request.path_info, getattr(request, "urlconf", None))
    request.resolver_match = match
    view = async_to_sync(match.func) if iscoroutinefunction(match.func) else match.func

    def answer(request: HttpRequest) -> Any:
        response = view(request, *match.args, **match.kwargs)
        return response.render() if hasattr(response, "render") else response

    response: Any = convert_exception_to_response(answer)(request)
    if not isinstance(response, HttpResponse):
        raise TypeError("the host streams its answer")
    return response


# ---- this process


def _count_failure(operation: Operation, error: Exception) -> None:
    unavailable = is_unavailable(error)
    figures.count(operation.id, UNAVAILABLE if unavailable else FAILED)
    if not unavailable:
        with suppress(Exception):
            # The type alone: the text of an exception may repeat what was in the request.
            last = error.__traceback__
            while last is not None and last.tb_next is not None:
                last = last.tb_next
            where = "" if last is None else f" at {last.tb_frame.f_code.co_name}:{last.tb_lineno}"
            logger.warning("shadow of %s failed: %s%s", operation.id, type(error).__name__, where)


_worker = Worker(lambda handle: process(handle))
_breaker = Breaker()


def reset() -> None:
    """Forget what waits and what is doubted, as after a fork."""
    _worker.end()
    _begin()


def _begin() -> None:
    global _worker, _breaker
    # After a fork the parent's thread and locks stayed there.
    _worker, _breaker = Worker(lambda handle: process(handle)), Breaker()
    races.reset()


os.register_at_fork(after_in_child=_begin)


def _on_setting_changed(*, setting: str, **_: Any) -> None:
    if setting == "SCORER_FAST":
        reset()


setting_changed.connect(_on_setting_changed, dispatch_uid="scorer_fast.shadow")
