"""What the guard makes of minutes, without a database."""

from collections.abc import Iterator

import pytest

from scorer_fast.cutover.evidence import STREAMS, Evidence, Limits, SideMinute
from scorer_fast.cutover.figures import CALLER_BITS, Outcome
from scorer_fast.domain.sequential import threshold

LIMITS = Limits(error_points=0.001, p95_ratio=1.0, error_share=0.02, p95_times=4.0)
STRICT = threshold(1, STREAMS)
EVERYBODY = (1 << CALLER_BITS) - 1


def side(requests: int, errors: int = 0) -> SideMinute:
    made = SideMinute()
    made.count(Outcome.OK, 100, requests - errors, EVERYBODY)
    made.count(Outcome.ERROR, 100, errors, EVERYBODY if errors else 0)
    made.requests = requests
    return made


@pytest.fixture
def evidence() -> Evidence:
    """An hour beside a control of 1 %, in which all was well."""
    evidence = Evidence()
    for _ in range(60):
        evidence.add(side(1000), side(10), LIMITS)
    return evidence


def found(evidence: Evidence, minutes: Iterator[tuple[int, int]]) -> tuple[int | None, int | None]:
    """After how many minutes with so many errors of each side it is sure, by both sides alone, and at all."""
    by_both = at_all = None
    for number, (fast, host) in enumerate(minutes, 1):
        evidence.add(side(1000, fast), side(10, host), LIMITS)
        if by_both is None and evidence.errors.strength() >= STRICT:
            by_both = number
        if at_all is None and (by_both or evidence.is_unshared(STRICT)):
            at_all = number
    return by_both, at_all


@pytest.mark.parametrize(("errors", "within", "before"), [(200, 6, 10), (20, 50, 80), (1000, 2, 2)])
def test_errors_beside_a_small_control_are_found_by_themselves(
    errors: int, within: int, before: int, evidence: Evidence
) -> None:
    by_both, at_all = found(evidence, ((errors, 0) for _ in range(120)))
    assert by_both is not None
    assert at_all is not None
    assert at_all <= within
    assert by_both >= before


@pytest.mark.parametrize("share", [0.01, 0.2, 1.0])
def test_what_a_small_control_meets_as_well_is_no_fault_however_sure_it_is(share: float, evidence: Evidence) -> None:
    every = round(1 / (10 * share)) if share < 0.1 else 1
    errors = ((int(1000 * share), max(int(10 * share), 1) * (number % every == 0)) for number in range(120))
    assert found(evidence, errors) == (None, None)
    assert evidence.errors_alone.strength() > 100


def test_the_limit_is_what_both_sides_were_when_they_were_last_alike(evidence: Evidence) -> None:
    assert evidence.limit_alone(LIMITS) == pytest.approx(0.001 + 4 * 0.00006, abs=2e-4)
    for _ in range(120):
        evidence.add(side(1000, 10), side(10, 0), LIMITS)
    assert evidence.limit_alone(LIMITS) == pytest.approx(0.001 + 4 * 0.00006, abs=2e-4), "not while it is suspected"
    for _ in range(2):
        evidence.add(side(1000), SideMinute(), LIMITS)
    assert evidence.limit_alone(LIMITS) == LIMITS.error_share


def test_a_control_that_ends_leaves_nothing_that_was_judged_by_its_limit(evidence: Evidence) -> None:
    """1 % of errors on both sides are too many for the limit beside a control, and fewer than the one without."""
    for number in range(40):
        evidence.add(side(1000, 10), side(10, int(number % 10 == 0)), LIMITS)
    assert evidence.errors_alone.strength() >= STRICT
    for _ in range(20):
        evidence.add(side(1000, 10), SideMinute(), LIMITS)
    assert evidence.has_no_control
    assert evidence.errors_alone.strength() < STRICT


def test_where_the_host_is_never_asked_nobody_waits_for_it() -> None:
    evidence = Evidence()
    evidence.add(side(5), SideMinute(), LIMITS._replace(has_control=False))
    assert evidence.has_no_control
    evidence.add(side(5), side(1), LIMITS._replace(has_control=False))  # an address on a list, say
    assert not evidence.has_no_control


def test_the_state_survives_json(evidence: Evidence) -> None:
    assert Evidence.of(evidence.as_dict()) == evidence
    assert Evidence.of({"errors": {}}) == Evidence()
