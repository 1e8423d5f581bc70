"""Shadow: the host answers, and the fast path is compared with what it answered and wrote.

    response = shadow(operation, request, control)        # or in two halves, before() and after()

Deciding is pure, so nothing is written to find out what would have been: the one read is taken before
the host's view runs, the host's answer goes out, and later, elsewhere, the decision is made and compared.

Invariant: whatever happens in here, the client gets the host's answer, and the host's tables are only
read, in read-only transactions. A fault of this module costs a count and nothing else.
"""

from __future__ import annotations

import asyncio
import copy
import hashlib
import json
import logging
import os
import queue
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from io import BytesIO
from typing import Any

from asgiref.sync import async_to_sync, iscoroutinefunction
from django.core.handlers.exception import convert_exception_to_response
from django.core.signals import setting_changed
from django.db import close_old_connections, connections, transaction
from django.http import HttpRequest, HttpResponse
from django.urls import resolve

from ...db.connection import is_unavailable
from ...http import call
from ...http.catalogue import Operation
from ...models.experiment import Category
from ...settings import conf
from .. import deliberate, figures, split
from ..compare import Answer, Comparison, Context, Difference, Kind, Rows, compare
from ..deliberate import Case, RecordedRequest
from ..figures import Outcome
from ..redact import Redactor
from . import finding_queries as findings_sql
from . import host_queries as sql

logger = logging.getLogger(__name__)

TOLERANCE = timedelta(seconds=2)  # between this process's clock and the one that stamped the host's rows
SKEW = timedelta(milliseconds=250)  # between the clocks of two servers that write at the same time
IDLE_SECONDS = 2.0  # after which the comparing thread gives its connections back
FAILURES_TO_PAUSE = 5  # reads that failed one after the other
PAUSE_SECONDS = 10.0
LEAST_SECONDS = 1.0  # left of a request's time; below it nothing is compared before it is answered
DOUBT_SECONDS = 600.0  # how long a doubt is remembered

# Outcomes, one per request that shadow looked at.
MATCHED = "matched"
MISMATCHED = "mismatched"
DELIBERATE = "deliberate"
HOST_FAILED = "host_failed"
INCONCLUSIVE = "inconclusive"  # somebody else wrote in between
RATE_LIMITED = "rate_limited"  # the rehearsal leaves the client's budget alone, so it cannot run out of it
NOT_COMPARABLE = "not_comparable"  # a streamed answer, a body that cannot be read
HOST_RAISED = "host_raised"
QUEUE_FULL = "queue_full"
TOO_LATE = "too_late"
PAUSED = "paused"
UNAVAILABLE = "unavailable"  # the database was lost or too slow
FAILED = "failed"  # a fault of this module
AA_MATCHED = "aa_matched"
AA_DIFFERED = "aa_differed"


class TooLate(Exception):
    """The comparison's own deadline has passed."""


class FastPathFailed(Exception):
    """The fast path raised where it would have had to answer."""

    def __init__(self, error: Exception) -> None:
        super().__init__(type(error).__name__)
        self.error = error


@dataclass(slots=True)
class Handle:
    """A request whose reads are taken, on its way to being compared."""

    operation: Operation
    request: HttpRequest
    recorded: RecordedRequest
    started: datetime
    rehearsal: call.Rehearsal | None = None
    error: Exception | None = None
    answer: Answer | None = None
    ended: datetime | None = None
    deadline: float = field(default=0.0)  # monotonic seconds

    @property
    def window(self) -> tuple[datetime, datetime]:
        """The request's time, and what clocks may be apart."""
        return self.started - TOLERANCE, (self.ended or self.started) + TOLERANCE

    def check_time(self) -> None:
        """TooLate once the deadline has passed."""
        if time.monotonic() > self.deadline:
            raise TooLate


def shadow(operation: Operation, request: HttpRequest, control: Callable[[HttpRequest], HttpResponse]) -> HttpResponse:
    """The host's answer, always; what the fast path makes of the request is compared with it afterwards."""
    handle = before(operation, request)
    started = time.perf_counter()
    try:
        response = control(request)
    except BaseException:
        if handle is not None:
            figures.count(operation.id, HOST_RAISED)
        raise
    if handle is not None:
        after(handle, response, started, time.perf_counter())
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
    except Exception as error:
        _count_failure(operation, error)
        return None


def after(handle: Handle, response: HttpResponse, started: float, ended: float) -> None:
    """Have the host's answer compared, off its path; ``started``, ``ended`` in seconds. Never raises."""
    try:
        if getattr(response, "streaming", False):
            figures.count(handle.operation.id, NOT_COMPARABLE)
            return
        handle.ended = datetime.now(UTC)
        handle.answer = Answer(response.status_code, bytes(response.content))
        left = call.front_of(handle.request).seconds_left() - LEAST_SECONDS
        handle.deadline = time.monotonic() + min(conf.shadow_deadline_seconds, left)
        if conf.runs_threads or _on_event_loop():
            if not _worker.put(handle):
                figures.count(handle.operation.id, QUEUE_FULL)
        else:
            process(handle)
    except Exception as error:
        _count_failure(handle.operation, error)


def process(handle: Handle) -> None:
    """Decide, compare and store; counts the outcome and never raises."""
    try:
        outcome = _outcome(handle)
    except TooLate:
        outcome = TOO_LATE
    except Exception as error:
        _count_failure(handle.operation, error)
        return
    figures.count(handle.operation.id, outcome)


def reset() -> None:
    """Forget what waits and what is doubted, as after a fork."""
    global _worker, _breaker, _doubts
    _worker.end()
    _worker, _breaker, _doubts = _Worker(), _Breaker(), _Doubts()


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
        request=_copy(request, body),
        recorded=RecordedRequest(request.method or "", request.get_full_path(), dict(request.headers.items()), body),
        started=datetime.now(UTC),
    )
    if _is_aa(operation):
        return handle
    started = time.perf_counter()
    try:
        with _reading(conf.database if operation.writes else conf.read_database):
            handle.rehearsal = _rehearse(handle.request)
    except FastPathFailed as failure:
        handle.error = failure.error
    except Exception as error:
        if is_unavailable(error):
            _breaker.failed()
        raise
    figures.record(operation.id, "shadow", time.perf_counter() - started, Outcome.ERROR if handle.error else Outcome.OK)
    _breaker.succeeded()
    return handle


def _rehearse(request: HttpRequest) -> call.Rehearsal:
    try:
        return call.rehearse(request)
    except Exception as error:
        if is_unavailable(error):
            raise
        raise FastPathFailed(error) from error


def _copy(request: HttpRequest, body: bytes) -> HttpRequest:
    """The request as the rehearsal's own: what the host's view does to its request is not seen here."""
    twin = copy.copy(request)
    twin._stream = BytesIO(body)
    return twin


def _is_aa(operation: Operation) -> bool:
    return conf.shadow_aa and not operation.writes


@contextmanager
def _reading(alias: str, seconds: float | None = None) -> Iterator[None]:
    limit = conf.shadow_read_timeout_seconds if seconds is None else seconds
    nested = connections[alias].in_atomic_block
    # Inside a caller's transaction a failure must leave it as usable as it was, and no limit may outlive us.
    with transaction.atomic(using=alias):
        if not nested:
            sql.limit_reading(alias, limit)
        yield


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
        with _reading(conf.database):
            rows = planned.read_rows()
    control = Answer(handle.answer.status, handle.answer.body, rows)
    candidate = Answer(planned.status, planned.body, planned.rows)
    found = _compare(handle, control, candidate)
    if not found.differences:
        return MATCHED
    handle.check_time()
    case = Case(handle.operation.id, handle.recorded, control, candidate, _facts(handle, candidate.rows))
    unasked, on_purpose = deliberate.sort_out(case, found.differences)
    mismatches = _settled(handle, control, candidate, unasked)
    if unasked and not mismatches:
        return INCONCLUSIVE
    failed = control.status >= 500
    category = Category.HOST_FAILED if failed else Category.MISMATCH
    findings = [(category, "", difference) for difference in mismatches]
    findings += [(Category.DELIBERATE, rule.name, difference) for rule, difference in on_purpose]
    _store(handle, control, candidate, findings)
    return DELIBERATE if not mismatches else HOST_FAILED if failed else MISMATCHED


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
    failed = handle.answer.status >= 500
    category = Category.HOST_FAILED if failed else Category.MISMATCH
    _store(handle, handle.answer, candidate, [(category, "", difference)])
    return HOST_FAILED if failed else MISMATCHED


def _facts(handle: Handle, rows: Rows | None = None) -> deliberate.Fact:
    """What neither answer shows; ``rows``: the planned ones, which tell whom the request is about."""
    known: list[sql.KeyState | None] = []

    def fact(name: str) -> bool | None:
        if name == deliberate.STAMP_BEYOND:
            with _reading(conf.database):
                return any(
                    call.is_left_out(text)
                    for passport in (rows or {}).get("registry_passport", ())
                    for text in sql.list_live_credentials(conf.database, passport["address"])
                )
        if not known:
            key = handle.recorded.header("X-API-Key") or _second_word(handle.recorded.header("Authorization"))
            if key in conf.demo_api_key_aliases:
                key = conf.demo_api_key
            with _reading(conf.database):
                known.append(sql.get_key_state(conf.database, key.partition(".")[0], datetime.now(UTC)))
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


# ---- races


def _settled(handle: Handle, control: Answer, candidate: Answer, differences: list[Difference]) -> list[Difference]:
    """The differences that neither somebody else's writes nor a minute's age explain.

    The answer can only depend on what was written until it was given; the rows were read later.
    """
    operation = handle.operation
    if not differences:
        return []
    if operation.max_age:
        seen = (operation.id, _digest(control), _digest(candidate))
        return differences if _doubts.lasts(seen, operation.max_age) else []
    if not operation.writes:
        return [] if _agrees_now(handle, control) else differences
    assert handle.ended is not None
    settled = []
    for of_rows, until in ((False, handle.ended + SKEW), (True, datetime.now(UTC) + TOLERANCE)):
        some = [each for each in differences if each.path.startswith("rows.") is of_rows]
        if some and not _interfered(handle, control.rows, candidate.rows, until):
            settled += some
    return settled


def _interfered(handle: Handle, control: Rows | None, candidate: Rows | None, until: datetime) -> bool:
    """Whether somebody else scored the address, or a holder of its nullifiers, or changed its stamps."""
    operation = handle.operation
    planned = _planned_scorings(candidate)
    touched = _touched(handle, control, candidate, until)
    own = split.address(operation, handle.request)
    for row in touched:
        if row.address != own and row.scorings:
            return True
        if row.address == own and row.scorings > max(1, planned):
            return True
        if row.address == own and _others_stamps(row.providers, handle):
            return True
    if planned == 0 and any(row.scorings for row in touched):
        # The host's own scoring, or another's? A fault comes again, a race hardly.
        return not _doubts.lasts((operation.id, "scored"), 1.0)
    return False


def _planned_scorings(rows: Rows | None) -> int:
    return sum(row.get("action") == "SCU" for row in (rows or {}).get("registry_event", ()))


def _others_stamps(providers: list[str], handle: Handle) -> bool:
    """Whether the cache rows written, by provider, are more than this request itself writes.

    A removed stamp is one row of its provider, a replaced one two; a request names its providers.
    """
    method = handle.recorded.method
    most = {"GET": 0, "DELETE": 1}.get(method, 2)
    body = handle.recorded.body.decode(errors="replace")
    return any(
        number > most or json.dumps(provider)[1:-1] not in body for provider, number in Counter(providers).items()
    )


def _touched(handle: Handle, control: Rows | None, candidate: Rows | None, until: datetime) -> list[sql.TouchedRow]:
    addresses = {split.address(handle.operation, handle.request) or ""}
    for rows in (control, candidate):
        for table in ("registry_passport", "registry_hashscorerlink"):
            addresses |= {str(row["address"]) for row in (rows or {}).get(table, ()) if row.get("address")}
    addresses.discard("")
    # A row bears the instant its writer began with, and is seen when that one commits.
    with _reading(conf.database):
        return sql.list_touched(conf.database, sorted(addresses), handle.started - TOLERANCE, until)


def _agrees_now(handle: Handle, control: Answer) -> bool:
    """Whether the fast path gives the host's answer on the data as it is now: it changed in between."""
    with _reading(conf.read_database):
        again = call.rehearse(_copy(handle.request, handle.recorded.body))
    planned = again.decide(datetime.now(UTC))
    return not _compare(handle, Answer(control.status, control.body), Answer(planned.status, planned.body)).differences


def _digest(answer: Answer) -> str:
    return hashlib.sha256(b"%d " % answer.status + answer.body).hexdigest()


class _Doubts:
    """Differences that are findings only when they come again."""

    def __init__(self) -> None:
        self._seen: dict[Any, tuple[float, float]] = {}
        self._lock = threading.Lock()

    def lasts(self, key: Any, seconds: float) -> bool:
        """Whether ``key`` was first seen at least ``seconds`` ago, and was not forgotten since."""
        now = time.monotonic()
        with self._lock:
            self._seen = {k: times for k, times in self._seen.items() if now - times[1] < DOUBT_SECONDS}
            first, _ = self._seen.get(key, (now, now))
            self._seen[key] = (first, now)
            return now - first >= seconds


# ---- A/A


def _measure_noise(handle: Handle) -> str:
    """Ask the host again and keep where it differs from itself; for operations that write nothing."""
    assert handle.answer is not None
    response = _ask_host(handle.request)
    handle.ended = datetime.now(UTC)
    candidate = Answer(response.status_code, bytes(response.content))
    found = _compare(handle, handle.answer, candidate)
    _store(handle, handle.answer, candidate, [(Category.NOISE, "", each) for each in found.differences])
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


# ---- keeping what was found


def _store(
    handle: Handle,
    control: Answer,
    candidate: Answer,
    findings: list[tuple[Category, str, Difference]],
) -> None:
    if not findings:
        return
    redactor = Redactor(
        headers=handle.recorded.headers,
        path=handle.recorded.path,
        body=handle.recorded.body,
        secrets=(conf.internal_token, conf.demo_api_key, conf.jwt_signing_key),
    )
    groups: dict[findings_sql.GroupKey, Difference] = {}
    for category, rule, difference in findings:
        path = redactor.text(difference.path)[:200]
        key = findings_sql.GroupKey(handle.operation.id, category.value, path, difference.kind.value, rule)
        groups.setdefault(key, difference)
    request = json.dumps(_storable(redacted_request(handle.recorded, redactor)), allow_nan=False)
    now = datetime.now(UTC)
    alias = conf.database
    with transaction.atomic(using=alias):
        # In key order: two processes that find the same things must not wait for each other.
        for key in sorted(groups):
            group = findings_sql.upsert_mismatch(alias, key, now, most=conf.shadow_groups_per_operation)
            if group is None:
                other = key._replace(path="other", kind="", rule="")
                group = findings_sql.upsert_mismatch(alias, other, now, most=0)
            if group is None or group.seen > conf.shadow_samples_per_group:
                continue
            difference = groups[key]
            findings_sql.insert_sample(
                alias,
                group.id,
                now,
                request=request,
                control=_sample(control, difference.control, redactor),
                candidate=_sample(candidate, difference.candidate, redactor),
            )
            if group.seen == 1 and key.category == Category.MISMATCH.value:
                logger.warning("shadow: %s differs from the host at %s (%s)", key.operation, key.path, key.kind)


def redacted_request(recorded: RecordedRequest, redactor: Redactor) -> dict[str, Any]:
    """A request as a sample keeps it."""
    return {
        "method": recorded.method,
        "path": redactor.path(recorded.path),
        "headers": redactor.headers(recorded.headers),
        "body": redactor.body(recorded.body),
    }


def _sample(answer: Answer, value: Any, redactor: Redactor) -> str:
    kept = {
        "status": answer.status,
        "body": redactor.body(answer.body),
        "value": redactor.json(json.loads(json.dumps(value, default=str))),
    }
    # jsonb holds neither NUL nor lone surrogates, nor NaN.
    return json.dumps(_storable(kept), allow_nan=False)


def _storable(value: Any) -> Any:
    if isinstance(value, dict):
        return {_storable(key): _storable(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_storable(inner) for inner in value]
    if isinstance(value, str):
        return value.replace("\x00", "\\u0000").encode("utf-8", "backslashreplace").decode()
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return str(value)
    return value


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


# ---- the comparing thread


class _Worker:
    """A bounded queue and the one daemon thread that empties it, started with the first item."""

    def __init__(self) -> None:
        self._queue: queue.Queue[Handle] | None = None
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._ending = False

    def put(self, handle: Handle) -> bool:
        """Whether there was room."""
        waiting = self._start()
        try:
            waiting.put_nowait(handle)
        except queue.Full:
            return False
        return True

    def wait(self, seconds: float) -> bool:
        until = time.monotonic() + seconds
        while self._queue is not None and self._queue.unfinished_tasks:
            if time.monotonic() > until:
                return False
            time.sleep(0.005)
        return True

    def end(self, seconds: float = 2.0) -> None:
        self._ending = True
        if self._thread is not None:
            self._thread.join(seconds)

    def _start(self) -> queue.Queue[Handle]:
        waiting, thread = self._queue, self._thread
        if waiting is not None and thread is not None and thread.is_alive():
            return waiting
        with self._lock:
            if self._queue is None:
                self._queue = queue.Queue(max(1, conf.shadow_queue))
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="scorer-fast-shadow", daemon=True)
                self._thread.start()
            return self._queue

    def _run(self) -> None:
        assert self._queue is not None
        idle_since: float | None = time.monotonic()
        while not self._ending:
            try:
                handle = self._queue.get(timeout=0.2)
            except queue.Empty:
                if idle_since is not None and time.monotonic() - idle_since > IDLE_SECONDS:
                    with suppress(Exception):
                        connections.close_all()
                    idle_since = None
                continue
            try:
                close_old_connections()
                process(handle)
            except Exception:
                figures.count(handle.operation.id, FAILED)
            finally:
                self._queue.task_done()
            idle_since = time.monotonic()
        with suppress(Exception):
            connections.close_all()


class _Breaker:
    """Stops the extra reads for a while when the database cannot take them: the host comes first."""

    def __init__(self) -> None:
        self._failures = 0
        self._until = 0.0

    def is_open(self) -> bool:
        return self._failures >= FAILURES_TO_PAUSE and time.monotonic() < self._until

    def failed(self) -> None:
        self._failures += 1
        self._until = time.monotonic() + PAUSE_SECONDS

    def succeeded(self) -> None:
        self._failures = 0


_worker = _Worker()
_breaker = _Breaker()
_doubts = _Doubts()


def _after_fork() -> None:
    global _worker, _breaker, _doubts
    # The parent's thread and locks stayed there.
    _worker, _breaker, _doubts = _Worker(), _Breaker(), _Doubts()


os.register_at_fork(after_in_child=_after_fork)


def _on_setting_changed(*, setting: str, **_: Any) -> None:
    if setting == "SCORER_FAST":
        reset()


setting_changed.connect(_on_setting_changed, dispatch_uid="scorer_fast.experiment")
