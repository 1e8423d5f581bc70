"""A weight is what Python's Decimal makes of the JSON value, digit for digit."""

import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scorer_fast.domain.weights import Weights


@pytest.mark.parametrize(
    ("weights", "expected"),
    [
        ('{"P": "1.5"}', "1.5"),
        ('{"P": "1.500"}', "1.500"),
        ('{"P": "3"}', "3"),
        ('{"P": 3}', "3"),
        ('{"P": 1.5}', "1.5"),
        ('{"P": 0.1}', "0.1000000000000000055511151231257827021181583404541015625"),
        ('{"P": 7.123}', "7.12300000000000022026824808563105762004852294921875"),
        ('{"P": "1e1"}', "1E+1"),
        ('{"P": "-2.50"}', "-2.50"),
        ('{"P": null}', "0"),
        ('{"Q": "1"}', "0"),
        ("{}", "0"),
        ("null", "0"),
        ("[]", "0"),
        (None, "0"),
        ("", "0"),
    ],
)
def test_a_weight_digit_for_digit(weights: str | None, expected: str) -> None:
    assert str(Weights(weights).of("P")) == expected


def test_overrides_win_and_the_last_of_them() -> None:
    weights = Weights('{"P": "1", "Q": "2"}', [("P", "5.0000"), ("AllowList#vip", "1.2500"), ("P", "6.0000")])
    assert [str(weights.of(name)) for name in ("P", "Q", "AllowList#vip")] == ["6.0000", "2", "1.2500"]


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_floats_keep_their_binary_expansion(weight: float) -> None:
    assert Weights(json.dumps({"P": weight})).of("P") == Decimal(weight)


@given(st.decimals(allow_nan=False, allow_infinity=False))
def test_strings_keep_their_digits(weight: Decimal) -> None:
    assert str(Weights(json.dumps({"P": str(weight)})).of("P")) == str(weight)


def test_as_floats_every_form_of_a_number() -> None:
    assert Weights('{"A": "1.5", "B": 2, "C": 0.69}').as_floats() == {"A": 1.5, "B": 2.0, "C": 0.69}
    assert Weights(None).as_floats() == {}
