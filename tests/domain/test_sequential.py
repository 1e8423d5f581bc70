"""The sequential test: exact on edge cases, right about equal sides, soon sure of a worse one."""

import itertools
import json
import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scorer_fast.domain.sequential import (
    KEPT,
    RATIOS,
    Detector,
    Stratum,
    clumping,
    difference,
    log_factors,
    log_factors_alone,
    needed,
    proportion,
    threshold,
)

STRICT = threshold(1, 42)
COUNTS = st.integers(min_value=0, max_value=10**9)


def mean_factor(fast: int, host: int, rate: float, excess: float, tolerated: float, which: int) -> float:
    """The exact expectation of one ratio's e-value, over every outcome of both sides."""
    total = 0.0
    for fast_bad, host_bad in itertools.product(range(fast + 1), range(host + 1)):
        p = rate + excess
        chance = math.comb(fast, fast_bad) * p**fast_bad * (1 - p) ** (fast - fast_bad)
        chance *= math.comb(host, host_bad) * rate**host_bad * (1 - rate) ** (host - host_bad)
        total += chance * math.exp(log_factors(Stratum(fast, fast_bad, host, host_bad), tolerated)[which])
    return total


@pytest.mark.parametrize("rate", [0.0, 0.001, 0.05, 0.5, 0.9])
@pytest.mark.parametrize(("fast", "host"), [(1, 1), (9, 1), (1, 9), (12, 12)])
def test_equal_sides_expect_at_most_one_whatever_the_common_rate(fast: int, host: int, rate: float) -> None:
    """The heart of it, exactly: no rate that both sides share makes the evidence grow."""
    for which in range(len(RATIOS)):
        assert mean_factor(fast, host, rate, 0.0, 0.0, which) <= 1 + 1e-9
        assert mean_factor(fast, host, rate, 0.02, 0.02, which) <= 1 + 1e-9


def test_a_worse_side_expects_more() -> None:
    assert max(mean_factor(12, 12, 0.01, 0.3, 0.001, which) for which in range(len(RATIOS))) > 2


@pytest.mark.parametrize("stratum", [Stratum(), Stratum(10, 10), Stratum(0, 0, 10, 10)])
def test_one_side_alone_says_nothing(stratum: Stratum) -> None:
    assert log_factors(stratum, 0.001) == [0.0] * len(RATIOS)


def test_alone_the_share_is_compared_with_what_is_tolerated() -> None:
    assert max(log_factors_alone(1000, 20, 0.02)) < 0
    assert max(log_factors_alone(1000, 100, 0.02)) > STRICT
    assert log_factors_alone(0, 0, 0.02) == [0.0] * len(RATIOS)


@given(COUNTS, COUNTS, COUNTS, COUNTS, st.floats(0, 1))
def test_no_count_is_too_large_or_too_small(fast: int, one: int, host: int, other: int, tolerated: float) -> None:
    detector = Detector()
    for _ in range(3):
        detector.add(Stratum(fast, min(one, fast), host, min(other, host)), tolerated, (1 << 63) - 1, 5)
        detector.add_alone(Stratum(fast, min(one, fast)), tolerated)
    assert math.isfinite(detector.strength())
    assert Detector.of(json.loads(json.dumps(detector.as_dict()))) == detector


def run(fast: float, host: float, tolerated: float, minutes: int, each: int = 200, seed: int = 1) -> int | None:
    """The minute in which it is sure, of so many requests of each side a minute."""
    draw = random.Random(seed)
    detector = Detector()
    for minute in range(1, minutes + 1):
        bad = [sum(draw.random() < rate for _ in range(each)) for rate in (fast, host)]
        detector.add(Stratum(each, bad[0], each, bad[1]), tolerated)
        if detector.strength() >= STRICT:
            return minute
    return None


@pytest.mark.parametrize("rate", [0.0, 0.05, 0.5])
def test_equal_sides_are_left_alone(rate: float) -> None:
    assert run(rate, rate, 0.0, 500) is None
    assert run(rate + 0.001, rate, 0.001, 500) is None


@pytest.mark.parametrize(("fast", "host", "within"), [(0.2, 0.0, 2), (1.0, 0.0, 1), (0.05, 0.0, 6), (0.4, 0.05, 3)])
def test_a_worse_side_is_found(fast: float, host: float, within: int) -> None:
    found = run(fast, host, 0.02 if host else 0.001, 500)
    assert found is not None
    assert found <= within


def test_weeks_of_health_do_not_make_it_blind() -> None:
    detector = Detector()
    for _ in range(20_000):
        detector.add(Stratum(200, 0, 200, 0), 0.001)
    for _ in range(2):
        detector.add(Stratum(200, 40, 200, 0), 0.001)
    assert detector.strength() >= STRICT
    assert detector.suspected == [400, 80, 400, 0]  # what is told is of the fault alone


def test_an_outage_of_both_sides_cancels() -> None:
    detector = Detector()
    for minute in range(200):
        bad = 190 if minute % 50 < 10 else 0
        detector.add(Stratum(200, bad, 200, bad), 0.001)
        assert detector.strength() < STRICT / 2


def test_minutes_with_one_side_wait_for_the_other() -> None:
    """With a host that is asked once in ten minutes the requests in between count too."""
    detector = Detector()
    for minute in range(100):
        detector.add(Stratum(20, 10, int(minute % 10 == 9), 0), 0.001)
    assert detector.recent == [2000, 1000, 10, 0]
    for _ in range(70):
        detector.add(Stratum(20, 10), 0.001)
    assert detector.recent[0] == 2000  # but no evidence is made of a host that is gone


def test_the_same_few_callers_are_few_pieces_of_evidence() -> None:
    """Three callers that always fail, all on one side by chance, of sixty-three."""
    few, many = Detector(), Detector()
    draw = random.Random(3)
    for _ in range(60):
        few.add(Stratum(63, 3, 63, 0), 0.001, (1 << 63) - 1, 0b111)
        scattered = sum(1 << bit for bit in draw.sample(range(63), 3))
        many.add(Stratum(63, 3, 63, 0), 0.001, (1 << 63) - 1, scattered)
    assert few.evidence() == many.evidence() > STRICT
    assert few.strength() < 5 < STRICT < many.strength()
    assert few.callers == 3


def test_clumping_is_how_often_a_caller_comes_again() -> None:
    assert clumping([10] * 4, [10, 0, 0, 0]) == pytest.approx(10, rel=0.4)
    assert clumping([10] * 4, [3, 2, 2, 3]) == 1
    assert clumping([], []) == clumping([5], [5]) == clumping([5, 5], [0, 0]) == clumping([5, 5], [5, 5]) == 1


# ---- the ordinary estimate


@pytest.mark.parametrize(("bad", "total"), [(0, 0), (0, 1), (1, 1), (0, 10**9), (10**9, 10**9), (1, 10**9)])
def test_bounds_are_shares(bad: int, total: int) -> None:
    low, share, high = proportion(bad, total)
    assert 0 <= low <= share + 1e-12
    assert share - 1e-12 <= high <= 1
    assert (low, high) == (0, 1) if total == 0 else high - low < 1


def test_a_difference_is_between_its_bounds() -> None:
    found = difference((1000, 20, 1000, 10))
    assert found.low < 0 < found.estimate < found.high
    assert found.estimate == pytest.approx(0.01)
    assert difference((0, 0, 0, 0)) == (-1, 0, 1)


def test_how_many_more_it_takes() -> None:
    assert needed((0, 0, 0, 0), 0.01, 200) == 200
    assert needed((10_000, 0, 50, 0), 0.01, 200) == pytest.approx(400, abs=300)
    assert needed((10_000, 0, 10_000, 0), 0.01, 200) == 0
    more = needed((300, 1, 300, 1), 0.01, 200)
    assert 50 < more < 2000
    grown = 1 + more / 300
    assert needed((300 * grown, grown, 300 * grown, grown), 0.01, 200) < more / 4


def test_old_requests_fade() -> None:
    detector = Detector()
    for _ in range(300):
        detector.add(Stratum(100, 1, 100, 1), 0.001)
    assert KEPT / 2 <= detector.recent[0] <= KEPT
    assert detector.recent[1] / detector.recent[0] == pytest.approx(0.01)


def test_a_state_of_another_release_starts_anew() -> None:
    assert Detector.of({"logs": [1.0]}) == Detector.of(None) == Detector()
