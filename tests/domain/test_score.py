"""Sums, formats and shapes of a score; every format here is exact on purpose."""

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from django.core.serializers.json import DjangoJSONEncoder
from hypothesis import example, given
from hypothesis import strategies as st

from scorer_fast.domain.credentials import Valid, read_stamps
from scorer_fast.domain.dedup import Clash
from scorer_fast.domain.score import (
    Score,
    StoredScore,
    event_fields,
    five_places,
    fresh_answer,
    milliseconds_z,
    score_stamps,
    stored_answer,
)
from scorer_fast.domain.weights import Weights
from tests.domain.stamps import ISSUER, LATER, ME, NOW, stamp, valid

EMPTY = Weights(None)
TWENTY = Decimal("20.00000")


def scored(
    counting: list[Valid], weights: str = "{}", clashes: list[Clash] | None = None, threshold: str = "20.00000"
) -> Score:
    return score_stamps(counting, clashes or [], Weights(weights), Decimal(threshold))


# ---- numbers


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("0", "0.00000"),
        ("20", "20.00000"),
        ("16.7500", "16.75000"),
        ("0.000005", "0.00000"),
        ("0.000015", "0.00002"),
        ("0.000025", "0.00002"),
        ("0.0000250000001", "0.00003"),
        ("-0.000015", "-0.00002"),
        ("1.234565", "1.23456"),
        ("1.234575", "1.23458"),
        ("123456789012345678901", "123456789012345678901.00000"),
        ("1234567890123456789012345678901", "1234567890123456789012345678901.00000"),
        ("1E+3", "1000.00000"),
    ],
)
def test_five_places_half_even(value: str, written: str) -> None:
    assert five_places(Decimal(value)) == written


@pytest.mark.parametrize(
    ("weight", "shown"),
    [
        ('"1.5"', "1.50000"),
        ('"0.000005"', "0.00001"),  # the float is a hair above the half
        ('"0.000015"', "0.00002"),
        ('"2.000005"', "2.00000"),  # and this one a hair below
        ("7.123", "7.12300"),
        ('"16.021"', "16.02100"),
        ("null", "0.00000"),
    ],
)
def test_a_stamp_is_shown_by_way_of_a_float(weight: str, shown: str) -> None:
    score = scored([valid(1, "P")], f'{{"P": {weight}}}')
    assert score.stamps["P"]["score"] == shown
    as_decimal = Decimal(score.stamp_scores["P"]).quantize(Decimal("0.00001"))
    assert f"{as_decimal:f}" == shown


@given(st.floats(min_value=-1e9, max_value=1e9))
def test_a_shown_stamp_is_the_float_to_five_places_half_even(weight: float) -> None:
    score = scored([valid(1, "P")], f'{{"P": {weight!r}}}')
    assert score.stamps["P"]["score"] == str(Decimal(weight).quantize(Decimal("0.00001")))


@pytest.mark.parametrize(
    ("weights", "raw"),
    [
        ({}, "0"),
        ({"A": "16.7500"}, "16.7500"),
        ({"A": "1.5", "B": "0.50"}, "2.00"),
        ({"A": "0", "B": "0.000"}, "0.000"),
        ({"A": None, "B": "1"}, "1"),
    ],
)
def test_the_sum_keeps_zeros(weights: dict[str, str | None], raw: str) -> None:
    import json

    score = scored([valid(key, name) for key, name in enumerate(weights, 1)], json.dumps(weights))
    assert score.evidence["rawScore"] == raw


def test_floats_are_added_in_row_order() -> None:
    """Their sum is rounded to 28 digits at each step: another order is another last digit."""
    weights = '{"A": 0.1, "B": 7.123, "C": 12.5}'
    there = scored([valid(1, "A"), valid(2, "B"), valid(3, "C")], weights)
    expected = sum(map(Decimal, (0.1, 7.123, 12.5)), Decimal(0))
    assert str(there.raw) == str(expected)


@pytest.mark.parametrize(
    ("weight", "passing"), [("19.99999", False), ("20", True), ("20.000000", True), ("20.00001", True)]
)
def test_passing_from_the_threshold_on(weight: str, passing: bool) -> None:
    score = scored([valid(1, "P")], f'{{"P": "{weight}"}}')
    assert score.passing is passing
    assert score.evidence == {
        "type": "ThresholdScoreCheck",
        "success": passing,
        "rawScore": weight,
        "threshold": "20.00000",
    }


def test_a_threshold_of_zero_passes_without_stamps() -> None:
    assert scored([], threshold="0.00000").passing


# ---- stamps and expiry


def test_the_earliest_expiry_with_its_own_offset() -> None:
    east = timezone(timedelta(hours=14))
    first = valid(1, "A", expires_at=LATER)
    second = valid(2, "B", expires_at=(LATER - timedelta(seconds=1)).astimezone(east))
    score = scored([first, second])
    assert score.expires_at is not None
    assert score.expires_at.isoformat().endswith("+14:00")
    assert scored([]).expires_at is None


def clash(key: int, provider: str, expires_text: str) -> Clash:
    return Clash(valid(key, provider)._replace(expires_text=expires_text), ("n",))


def test_shapes_of_counting_and_clashing_stamps() -> None:
    score = scored([valid(1, "A")], '{"A": "1"}', [clash(2, "B", "2099-01-01T00:00:00.000Z")])
    assert score.stamps == {
        "A": {"score": "1.00000", "dedup": False, "expiration_date": LATER.isoformat()},
        "B": {"score": "0.00000", "dedup": True, "expiration_date": "2099-01-01T00:00:00.000Z"},
    }
    assert score.stamp_scores == {"A": 1.0}


def test_on_one_key_the_score_stays_and_dedup_is_true() -> None:
    score = scored([valid(1, "A")], '{"A": "1"}', [clash(2, "A", "2099-01-01T00:00:00Z")])
    assert score.stamps == {"A": {"score": "1.00000", "dedup": True, "expiration_date": "2099-01-01T00:00:00Z"}}


def test_a_counting_stamp_stands_under_its_rows_provider_a_clash_under_its_subjects() -> None:
    counting = valid(1, "Row")._replace(subject_provider="Subject")
    clashing = Clash(valid(2, "Row2")._replace(subject_provider="Subject2"), ("n",))
    assert list(scored([counting], clashes=[clashing]).stamps) == ["Row", "Subject2"]


@given(st.permutations([("A", "1.5"), ("B", "7.123"), ("C", "0.69"), ("D", "12.50")]))
def test_exact_weights_sum_to_the_same_in_any_order(order: list[tuple[str, str]]) -> None:
    weights = '{"A": "1.5", "B": "7.123", "C": "0.69", "D": "12.50"}'
    score = scored([valid(key, name) for key, (name, _) in enumerate(order)], weights)
    assert score.raw == Decimal("21.813")
    assert five_places(score.raw) == "21.81300"


# ---- answers


def test_a_fresh_answer() -> None:
    score = scored([valid(1, "A")], '{"A": "25"}')
    assert fresh_answer(ME, score, NOW) == {
        "address": ME,
        "score": "25.00000",
        "passing_score": True,
        "last_score_timestamp": "2026-06-01T12:00:00+00:00",
        "expiration_timestamp": "2026-07-01T12:00:00+00:00",
        "threshold": "20.00000",
        "error": None,
        "stamps": {"A": {"score": "25.00000", "dedup": False, "expiration_date": "2026-07-01T12:00:00+00:00"}},
        "points_data": None,
        "possible_points_data": None,
    }


def stored(**columns: Any) -> StoredScore:
    row: dict[str, Any] = {
        "last_score_timestamp": NOW,
        "expiration_date": LATER,
        "error": None,
        "evidence": {"type": "ThresholdScoreCheck", "success": True, "rawScore": "21.5", "threshold": "20.00000"},
        "stamps": {},
    }
    return StoredScore(**row | columns)


def test_a_stored_answer_is_in_utc() -> None:
    west = timezone(timedelta(hours=-5))
    answer = stored_answer(ME, stored(expiration_date=LATER.astimezone(west)))
    assert answer["expiration_timestamp"] == "2026-07-01T12:00:00+00:00"
    assert (answer["score"], answer["threshold"], answer["passing_score"]) == ("21.50000", "20.00000", True)


@pytest.mark.parametrize("evidence", [None, {}, [], "text"])
def test_an_error_row_shows_the_constants(evidence: Any) -> None:
    answer = stored_answer(
        ME, stored(evidence=evidence, error="broken", stamps=None, last_score_timestamp=None, expiration_date=None)
    )
    assert answer == {
        "address": ME,
        "score": "0.00000",
        "passing_score": False,
        "last_score_timestamp": None,
        "expiration_timestamp": None,
        "threshold": "20.00000",
        "error": "broken",
        "stamps": {},
        "points_data": None,
        "possible_points_data": None,
    }


@pytest.mark.parametrize(
    ("expires", "expired"),
    [(None, False), (NOW, True), (NOW - timedelta(seconds=1), True), (NOW + timedelta(microseconds=1), False)],
)
def test_when_a_stored_score_has_expired(expires: datetime | None, expired: bool) -> None:
    assert stored(expiration_date=expires).has_expired(NOW) is expired


@given(st.datetimes(timezones=st.just(UTC)))
def test_instants_are_written_as_djangos_encoder_does(instant: datetime) -> None:
    assert milliseconds_z(instant) == DjangoJSONEncoder().default(instant)


@pytest.mark.parametrize(
    ("instant", "written"),
    [
        (None, None),
        (datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), "2026-01-02T03:04:05Z"),
        (datetime(2026, 1, 2, 3, 4, 5, 999_999, tzinfo=UTC), "2026-01-02T03:04:05.999Z"),
        (datetime(2026, 1, 2, 3, 4, 5, 1, tzinfo=UTC), "2026-01-02T03:04:05.000Z"),
        (datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone(timedelta(hours=2))), "2026-01-02T03:04:05+02:00"),
    ],
)
def test_milliseconds(instant: datetime | None, written: str | None) -> None:
    assert milliseconds_z(instant) == written


def test_the_event_has_the_row_as_it_is_serialized() -> None:
    fields = event_fields(scored([valid(1, "A")], '{"A": "25"}'), NOW + timedelta(microseconds=1500))
    assert fields["score"] == "1"
    assert fields["last_score_timestamp"] == "2026-06-01T12:00:00.001Z"
    assert fields["expiration_date"] == "2026-07-01T12:00:00Z"
    assert fields["status"] == "DONE"
    assert fields["error"] is None
    assert event_fields(scored([]), NOW)["score"] == "0"


def shown_expiry(written: str) -> str:
    """What a score shows of a counting stamp whose credential says that it expires then."""
    (read,) = read_stamps(
        [stamp(expiration_date=written)],
        address=ME,
        trusted_issuers=frozenset({ISSUER}),
        now=datetime(1, 1, 1, tzinfo=UTC),
        multi=True,
    ).candidates
    shown: str = scored([read]).stamps[read.provider]["expiration_date"]
    return shown


@given(
    instant=st.datetimes(timezones=st.just(UTC)).filter(lambda instant: 1 < instant.year < 9999),
    form=st.sampled_from(["milliseconds", "microseconds", "seconds", "minutes", "auto"]),
    zone=st.sampled_from(["Z", "+00:00", "-00:30"]),
    separator=st.sampled_from("T "),
)
@example(datetime(2027, 11, 24, 8, tzinfo=UTC), "milliseconds", "Z", "T")
@example(datetime(2027, 11, 24, 8, 0, 0, 120_000, tzinfo=UTC), "milliseconds", "Z", "T")
def test_an_expiry_is_shown_as_python_writes_it(instant: datetime, form: str, zone: str, separator: str) -> None:
    written = instant.replace(tzinfo=None).isoformat(separator, form) + zone
    assert shown_expiry(written) == datetime.fromisoformat(written).isoformat()


@pytest.mark.parametrize(
    "written",
    ["2027-W47-3T08:00:00.000Z", "20271124T080000.000Z", "2027-11-24T08:00:00,000Z", "2027-11-24T08:00:00.0000Z"],
)
def test_so_is_one_in_a_rare_form(written: str) -> None:
    assert shown_expiry(written) == datetime.fromisoformat(written).isoformat()
