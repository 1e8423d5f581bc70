"""When a request arrived, how long it may take, and what is told to come again before any work."""

import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from typing import Any

import pytest
from django.db import OperationalError
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory
from pytest_django import Settings

from api.account.models import Community
from scorer_fast import arrival, deadline, outages, overload
from scorer_fast.cutover import dispatch, figures
from scorer_fast.deadline import Deadline, waiting_for
from scorer_fast.errors import OutOfTime, Problem, Refused, VerifierDown
from scorer_fast.http import bodies
from tests.factories.requests import good


@pytest.fixture(autouse=True)
def nothing_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outages, "_said", {})


def request(**headers: str) -> HttpRequest:
    return RequestFactory().get("/", headers={name.replace("_", "-"): value for name, value in headers.items()})


# ---- arrival


def ago(seconds: float) -> float:
    return time.time() - seconds


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("X_Request_Start", lambda: f"t={ago(7):.3f}"),
        ("X_Request_Start", lambda: f"{ago(7):.3f}"),
        ("X_Request_Start", lambda: f"t={ago(7) * 1e3:.0f}"),
        ("X_Request_Start", lambda: f"{ago(7) * 1e6:.0f}"),
        ("X_Amzn_Trace_Id", lambda: f"Root=1-{int(ago(8)):08x}-0123456789abcdef01234567"),
        ("X_Amzn_Trace_Id", lambda: f"Self=1-{int(ago(8)):08x}-0123456789abcdef01234567;Root=1-{int(ago(900)):08x}-01"),
        ("X_Amzn_Trace_Id", lambda: f"Root=1-{int(ago(8)):08x}-01;Parent=53995c3f42cd8ad8;Sampled=1"),
    ],
)
def test_an_age_is_told_by_the_header(name: str, value: Any) -> None:
    assert 6.4 <= arrival.age(request(**{name: value()})) <= 8.5


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X_Request_Start": ""},
        {"X_Request_Start": "t=soon"},
        {"X_Request_Start": "t=-5"},
        {"X_Request_Start": "1e400"},
        {"X_Request_Start": "9" * 400},
        {"X_Request_Start": "t=1"},
        {"X_Request_Start": "t=1000000000"},  # 2001: no clock says so
        {"X_Amzn_Trace_Id": "Root=1-zzzzzzzz-0"},
        {"X_Amzn_Trace_Id": "Root=1-5759e988-bd862e3fe1be46a994272793"},  # 2016
    ],
)
def test_a_header_that_tells_nothing_is_no_age(headers: dict[str, str]) -> None:
    assert arrival.age(request(**headers)) < 0.1


def test_a_clock_ahead_is_no_age() -> None:
    assert arrival.age(request(X_Request_Start=f"t={ago(-30):.3f}")) < 0.1


def test_where_it_begins_now_headers_say_nothing() -> None:
    late = request(X_Request_Start=f"t={ago(7):.3f}")
    deadline.limit(late, 3)
    assert arrival.age(late) < 0.1
    with deadline.serving(late) as left:
        assert 2.8 < left.seconds() <= 3


@pytest.fixture
def waited(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[float], HttpRequest]]:
    """A request as gunicorn hands it over so long after its last bytes have come."""
    monkeypatch.setattr(arrival, "_began", time.monotonic() - 60)
    with closing(socket.create_server(("127.0.0.1", 0))) as listener, ExitStack() as stack:

        def come(seconds: float) -> HttpRequest:
            client = stack.enter_context(socket.create_connection(listener.getsockname()))
            client.sendall(b"GET / HTTP/1.1\r\n\r\n")
            time.sleep(seconds)
            found = request()
            found.META["gunicorn.socket"] = stack.enter_context(listener.accept()[0])
            return found

        yield come


def test_the_kernel_tells_how_long_a_request_waited_for_a_thread(waited: Callable[[float], HttpRequest]) -> None:
    assert 0.2 <= arrival.queued(waited(0.25)) < 1
    assert 0.2 <= arrival.age(waited(0.25)) < 1
    assert arrival.queued(waited(0.0)) == 0, "what may be a step of its clock is none"


def test_no_header_says_how_long_a_request_was_queued() -> None:
    assert arrival.queued(request(X_Request_Start=f"t={ago(7):.3f}")) == 0


@pytest.mark.django_db
@pytest.mark.parametrize("mode", ["fast", "legacy"])
def test_the_wait_for_a_thread_is_in_the_figures(
    mode: str, waited: Callable[[float], HttpRequest], settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.SCORER_FAST = {"BACKGROUND": False, "MODES": {"*": mode}, "MEASURE_LEGACY": True}
    took: list[float] = []
    monkeypatch.setattr(figures, "record", lambda operation, side, seconds, *_: took.append(seconds))
    asked = waited(0.25)
    asked.path_info = good("gtc_stake").path
    dispatch.dispatch(asked, lambda _: HttpResponse())
    (seconds,) = took
    assert 0.2 <= seconds < 5


# ---- the deadline


def test_what_waits_shares_what_is_left(settings: Settings) -> None:
    settings.SCORER_FAST = {"REQUEST_DEADLINE_SECONDS": 8, "LOCK_TIMEOUT_MS": 2000, "BACKGROUND": False}
    assert deadline.current().seconds() == float("inf")
    assert deadline.current().lock_timeout() == "2000ms"
    with deadline.serving(request(X_Request_Start=f"t={ago(7):.3f}")):
        assert 0.5 < deadline.current().seconds() < 1.1
        assert 500 < int(deadline.current().lock_timeout().removesuffix("ms")) < 1100
        deadline.current().check("nothing yet")
    assert deadline.current() is deadline.ENDLESS


def test_a_deadline_that_is_over_says_what_was_waited_for() -> None:
    over = Deadline(time.monotonic() - 1)
    assert (over.seconds(), over.lock_timeout()) == (0, "1ms")
    with pytest.raises(OutOfTime, match="the fifth attempt"):
        over.check("the fifth attempt")


def test_no_bound_is_none(settings: Settings) -> None:
    settings.SCORER_FAST = {"LOCK_TIMEOUT_MS": 0, "BACKGROUND": False}
    assert deadline.current().lock_timeout() == "0"
    assert Deadline(time.monotonic() + 3).lock_timeout() in ("2999ms", "3000ms")


# ---- one waits for an address


def elsewhere(work: Any) -> threading.Thread:
    thread = threading.Thread(target=work)
    thread.start()
    return thread


def test_who_comes_next_waits_while_the_one_before_is_quick() -> None:
    entered, order = threading.Event(), []

    def quick() -> None:
        with waiting_for("0xa"), waiting_for("0xa"):  # one within the other, as the queue and its write
            entered.set()
            time.sleep(0.05)
            order.append("first")

    thread = elsewhere(quick)
    entered.wait(5)
    with waiting_for("0xb"):
        order.append("another address")
    with waiting_for("0xa"):
        order.append("second")
    thread.join()
    assert order == ["another address", "first", "second"]
    assert deadline._holders == {}


@pytest.fixture
def stuck(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], AbstractContextManager[None]]]:
    """Somebody who holds 0xa for as long as the block lasts, beyond the patience of others."""
    monkeypatch.setattr(deadline, "PATIENCE_SECONDS", 0.2)

    @contextmanager
    def held() -> Iterator[None]:
        entered, let_go = threading.Event(), threading.Event()

        def hold() -> None:
            with waiting_for("0xa"):
                entered.set()
                let_go.wait(5)

        thread = elsewhere(hold)
        entered.wait(5)
        yield
        let_go.set()
        thread.join()

    yield held
    assert deadline._holders == {}
    deadline._slow.clear()


def refused_after() -> float:
    """Seconds."""
    started = time.monotonic()
    with pytest.raises(Refused) as refused, waiting_for("0xa"):
        raise AssertionError
    assert refused.value.problem is Problem.BUSY
    return time.monotonic() - started


def test_behind_a_stuck_one_nobody_waits(stuck: Callable[[], AbstractContextManager[None]]) -> None:
    with stuck():
        first, *others = [refused_after() for _ in range(3)]
    assert 0.15 < first < 1
    assert max(others) < 0.1, "at once"


def test_a_stuck_address_is_told_so_at_once_until_it_is_quick(
    stuck: Callable[[], AbstractContextManager[None]],
) -> None:
    with stuck():
        refused_after()
    with stuck():
        assert refused_after() < 0.1, "it was stuck a moment ago"
    with waiting_for("0xa"):
        pass
    assert deadline._slow == set()


def test_slow_addresses_are_remembered_within_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deadline, "PATIENCE_SECONDS", -1)
    monkeypatch.setattr(deadline, "SLOW_ADDRESSES", 3)
    for number in range(5):
        with waiting_for(f"0x{number}"):
            pass
    assert deadline._slow == {"0x0", "0x1", "0x2"}
    deadline._slow.clear()


# ---- overload


@pytest.fixture
def bounds(settings: Settings) -> Iterator[Settings]:
    settings.SCORER_FAST = {"MAX_IN_PROGRESS": 4, "SHED_AFTER_SECONDS": 1, "BACKGROUND": False}
    yield settings
    assert overload._in_progress == 0


def test_scorings_are_shed_before_look_ups_by_age(bounds: Settings) -> None:
    aged = {"X_Request_Start": f"t={ago(1.5):.3f}"}
    with pytest.raises(Refused) as refused, overload.admitted("v2_score", request(**aged), is_scoring=True):
        raise AssertionError
    assert refused.value.problem is Problem.OVERLOADED
    with overload.admitted("gtc_stake", request(**aged), is_scoring=False):
        pass
    aged = {"X_Request_Start": f"t={ago(2.5):.3f}"}
    with pytest.raises(Refused), overload.admitted("gtc_stake", request(**aged), is_scoring=False):
        raise AssertionError


def test_scorings_are_shed_before_look_ups_by_number(bounds: Settings) -> None:
    def enter(number: int, *, is_scoring: bool) -> int:
        """How many are in progress when no more are let in."""
        if number == 9:
            return number
        try:
            with overload.admitted("any", request(), is_scoring=is_scoring):
                return enter(number + 1, is_scoring=is_scoring)
        except Refused:
            return number

    assert (enter(0, is_scoring=True), enter(0, is_scoring=False)) == (3, 4)


def test_nothing_is_shed_where_nothing_is_bounded(settings: Settings) -> None:
    settings.SCORER_FAST = {"MAX_IN_PROGRESS": 0, "SHED_AFTER_SECONDS": 0, "BACKGROUND": False}
    with overload.admitted("any", request(X_Request_Start=f"t={ago(99):.3f}"), is_scoring=True):
        assert overload._in_progress == 1


@pytest.mark.django_db
@pytest.mark.parametrize("operation", ["v2_score", "cache_add_stamps", "check_bans"])
def test_an_old_request_is_answered_before_any_work(
    operation: str, one: Community, django_assert_num_queries: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    asked = good(operation).header("X-Request-Start", f"t={ago(5):.3f}")
    with django_assert_num_queries(0):
        answers = [asked.send() for _ in range(3)]
    for answer in answers:
        assert (answer.status_code, answer.json()) == (503, {"detail": "The service has too much to do. Try again."})
        assert 1 <= int(answer["Retry-After"]) <= 5
    (line,) = caplog.records
    assert line.getMessage().startswith(f"{operation}: 503: overload: it arrived ")


# ---- the log


def test_an_outage_is_a_line_a_second_with_a_count(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [1000.0]
    monkeypatch.setattr(outages.time, "monotonic", lambda: clock[0])
    error = OperationalError("connection refused\n\tIs the server running?")
    for _ in range(500):
        outages.tell("v2_score", error)
    outages.tell("v2_score", VerifierDown("no answer within 3 seconds"))
    clock[0] += 1.5
    outages.tell("v2_score", error)
    lines = [(line.getMessage(), line.count) for line in caplog.records]  # type: ignore[attr-defined]
    assert lines == [
        ("v2_score: 503: the connection is lost; OperationalError: connection refused", 1),
        ("v2_score: 503: VerifierDown: no answer within 3 seconds", 1),
        ("v2_score: 503: the connection is lost; OperationalError: connection refused", 500),
    ]
    assert not any(line.exc_info for line in caplog.records)


@pytest.mark.parametrize(
    ("error", "expected"),
    [(OutOfTime("a lock"), True), (TimeoutError(), True), (ValueError(), False), (Refused(Problem.BUSY), False)],
)
def test_what_is_an_outage(error: Exception, expected: bool) -> None:
    assert outages.is_outage(error) is expected


def test_a_length_that_is_none_announces_nothing() -> None:
    for length in ("", "x", "-5"):
        assert bodies.announced(RequestFactory().get("/", CONTENT_LENGTH=length)) == 0
