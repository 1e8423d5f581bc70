"""The circuit of one operation: closed, open, half open."""

import pytest
from pytest_django import Settings

from scorer_fast.cutover import circuit
from scorer_fast.cutover.circuit import Admission


@pytest.fixture(autouse=True)
def quick(settings: Settings) -> None:
    settings.SCORER_FAST = {
        "CIRCUIT_FAILURES": 3,
        "CIRCUIT_WINDOW_SECONDS": 0.3,
        "CIRCUIT_COOLDOWN_SECONDS": 0.1,
    }


def fail(breaker: circuit.Circuit, times: int) -> None:
    for _ in range(times):
        breaker.failed(breaker.admit())


class Clock:
    """Monotonic seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def opened(clock: Clock) -> circuit.Circuit:
    breaker = circuit.Circuit("v2_score", clock)
    fail(breaker, 3)
    assert breaker.is_open
    return breaker


def test_a_trial_that_never_returns_does_not_hold_the_circuit_open_for_ever(clock: Clock, settings: Settings) -> None:
    settings.SCORER_FAST = settings.SCORER_FAST | {"REQUEST_DEADLINE_SECONDS": 0.2}
    breaker = opened(clock)
    clock.now += 0.12
    assert breaker.admit() is Admission.TRIAL
    clock.now += 0.12
    assert breaker.admit() is Admission.REFUSED
    clock.now += 0.25
    assert breaker.admit() is Admission.TRIAL
    breaker.succeeded(Admission.TRIAL)
    assert breaker.admit() is Admission.REGULAR


def test_it_opens_after_so_many_failures_in_the_window(clock: Clock) -> None:
    breaker = circuit.Circuit("v2_score", clock)
    fail(breaker, 2)
    assert breaker.admit() is Admission.REGULAR
    fail(breaker, 1)
    assert breaker.admit() is Admission.REFUSED


def test_failures_further_apart_than_the_window_do_not_add_up(clock: Clock) -> None:
    breaker = circuit.Circuit("v2_score", clock)
    fail(breaker, 2)
    clock.now += 0.35
    fail(breaker, 2)
    assert not breaker.is_open


def test_each_operation_has_its_own() -> None:
    fail(circuit.of("v2_score"), 3)
    assert circuit.of("v2_score").admit() is Admission.REFUSED
    assert circuit.of("embed_score").admit() is Admission.REGULAR


def test_after_the_cool_down_one_request_tries(clock: Clock) -> None:
    breaker = opened(clock)
    clock.now += 0.12
    assert breaker.admit() is Admission.TRIAL
    assert breaker.admit() is Admission.REFUSED


def test_a_trial_that_succeeds_closes_it_and_forgets_the_failures(clock: Clock) -> None:
    breaker = opened(clock)
    clock.now += 0.12
    breaker.succeeded(breaker.admit())
    assert not breaker.is_open
    fail(breaker, 2)
    assert not breaker.is_open


def test_a_trial_that_fails_opens_it_for_another_cool_down(clock: Clock) -> None:
    breaker = opened(clock)
    clock.now += 0.12
    breaker.failed(breaker.admit())
    assert breaker.admit() is Admission.REFUSED
    clock.now += 0.12
    assert breaker.admit() is Admission.TRIAL


def test_a_trial_that_ends_otherwise_leaves_the_next_to_try(clock: Clock) -> None:
    breaker = opened(clock)
    clock.now += 0.12
    breaker.ended_otherwise(breaker.admit())
    assert breaker.admit() is Admission.TRIAL


def test_a_success_let_in_before_it_opened_does_not_close_it(clock: Clock) -> None:
    breaker = circuit.Circuit("v2_score", clock)
    early = breaker.admit()
    fail(breaker, 3)
    breaker.succeeded(early)
    assert breaker.is_open


def test_no_number_of_failures_opens_it_at_zero(clock: Clock, settings: Settings) -> None:
    settings.SCORER_FAST = {"CIRCUIT_FAILURES": 0}
    breaker = circuit.Circuit("v2_score", clock)
    fail(breaker, 100)
    assert breaker.admit() is Admission.REGULAR
