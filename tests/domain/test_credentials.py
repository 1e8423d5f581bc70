"""Which stamps are valid but for their signature, which are left out, and which are left out with a reason."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from scorer_fast.domain.credentials import (
    NULLIFIER_LENGTH,
    Reading,
    Stamp,
    effective_nullifiers,
    read_expiry,
    read_stamps,
)
from tests.domain.stamps import ISSUER, LATER, ME, NOW, OTHER, stamp


def read(*stamps: Stamp, address: str = ME, multi: bool = True) -> Reading:
    return read_stamps(stamps, address=address, trusted_issuers=frozenset({ISSUER}), now=NOW, multi=multi)


def test_a_good_stamp_is_read_whole() -> None:
    (found,) = read(stamp(nullifiers=["v0:a", "v1:b", ""])).candidates
    assert found.nullifiers == ("v0:a", "v1:b", "")
    assert found.last_nullifier == "v1:b"
    assert found.expires_at == LATER
    assert found.expires_text == LATER.isoformat()


@pytest.mark.parametrize(
    "fields",
    [
        {"issuer": "did:ethr:0xanother"},
        {"issuer": None},
        {"issuer": 5},
        {"issuer": {"id": ISSUER}},
        {"issuer": [ISSUER]},
        {"expiration_date": NOW.isoformat()},
        {"expiration_date": (NOW - timedelta(seconds=1)).isoformat()},
        {"subject_id": f"did:pkh:eip155:1:{OTHER}"},
        {"subject_id": f"did:pkh:eip155:10:{ME}"},
        {"subject_id": ME},
        {"subject_id": None},
        {"subject_id": 5},
        {"subject_provider": None},
        {"subject_provider": ""},
        {"hash": None, "nullifiers": None},
        {"hash": "", "nullifiers": []},
    ],
    ids=str,
)
def test_left_out_without_a_word(fields: dict[str, Any]) -> None:
    assert read(stamp(**fields)) == Reading((), ())


@pytest.mark.parametrize(
    "fields",
    [
        {"expiration_date": None},
        {"expiration_date": ""},
        {"expiration_date": "tomorrow"},
        {"expiration_date": 4102444800},
        {"expiration_date": "2099-01-01"},
        {"expiration_date": "2099-01-01T00:00:00"},
        {"expiration_date": "2099-13-01T00:00:00Z"},
        {"expiration_date": "9999-12-31T23:59:59-14:00"},
        {"expiration_date": "0001-01-01T00:00:00+14:00"},
        {"expiration_date": ["2099-01-01T00:00:00Z"]},
        {"subject_provider": 5},
        {"subject_provider": ["Google"]},
        {"hash": 5},
        {"hash": ["v0:a"]},
        {"nullifiers": "v0:a"},
        {"nullifiers": {"0": "v0:a"}},
        {"nullifiers": [5]},
        {"nullifiers": [None]},
        {"nullifiers": ["v0:a", None]},
        {"nullifiers": ["v0:" + "x" * NULLIFIER_LENGTH]},
        {"hash": "x" * (NULLIFIER_LENGTH + 1)},
    ],
    ids=str,
)
def test_unreadable_alone_and_with_a_reason(fields: dict[str, Any]) -> None:
    found = read(stamp(1, "Bad", **fields), stamp(2, "Good"))
    assert [candidate.provider for candidate in found.candidates] == ["Good"]
    ((key, provider, reason),) = found.unreadable
    assert (key, provider) == (1, "Bad")
    assert reason


def test_an_untrusted_stamp_is_never_unreadable() -> None:
    """The issuer is asked first: what strangers write is no news."""
    assert read(stamp(issuer="did:key:stranger", expiration_date=None, nullifiers=5)) == Reading((), ())


@pytest.mark.parametrize("address", [ME, ME.removeprefix("0x")])
def test_the_subject_is_the_address_as_it_is_written_in_any_case(address: str) -> None:
    given = f"did:pkh:eip155:1:{address}"
    assert read(stamp(subject_id=given.upper()), address=address).candidates
    with_or_without = ME if address != ME else ME.removeprefix("0x")
    assert not read(stamp(subject_id=f"did:pkh:eip155:1:{with_or_without}"), address=address).candidates


def test_a_hash_goes_before_nullifiers() -> None:
    (found,) = read(stamp(hash="v0:h", nullifiers=["v0:a"])).candidates
    assert (found.nullifiers, found.last_nullifier) == (("v0:h",), "v0:a")


@pytest.mark.parametrize("nothing", [None, [], "", {}, 0, False], ids=repr)
def test_a_hash_beside_nullifiers_that_are_nothing(nothing: Any) -> None:
    (found,) = read(stamp(hash="v0:h", nullifiers=nothing)).candidates
    assert (found.nullifiers, found.last_nullifier) == (("v0:h",), "")


def test_a_nullifier_as_long_as_its_column_is_read() -> None:
    longest = "v" * NULLIFIER_LENGTH
    assert read(stamp(nullifiers=[longest])).candidates[0].nullifiers == (longest,)


@pytest.mark.parametrize("too_long", ["v1:" + "x" * NULLIFIER_LENGTH, "v0:" + "x" * NULLIFIER_LENGTH])
def test_only_a_nullifier_that_is_to_be_linked_has_to_fit(too_long: str) -> None:
    is_linked = too_long.startswith("v0")
    for fields in ({"nullifiers": ["v0:a", too_long]}, {"hash": too_long}):
        assert bool(read(stamp(**fields), multi=False).candidates) is not is_linked
        assert read(stamp(**fields), multi=True).candidates == ()
    beside = read(stamp(hash="v0:h", nullifiers=[too_long]))
    assert [found.nullifiers for found in beside.candidates] == [("v0:h",)]


def test_stamps_stay_in_their_order() -> None:
    keys = [3, 7, -1, -2]
    assert [found.key for found in read(*(stamp(key) for key in keys)).candidates] == keys


@pytest.mark.parametrize(
    ("written", "instant"),
    [
        ("2099-01-01T00:00:00Z", datetime(2099, 1, 1, tzinfo=UTC)),
        ("2099-01-01T00:00:00.5+00:00", datetime(2099, 1, 1, 0, 0, 0, 500_000, tzinfo=UTC)),
        ("2099-01-01T02:00:00+02:00", datetime(2099, 1, 1, tzinfo=UTC)),
        ("20990101T000000Z", datetime(2099, 1, 1, tzinfo=UTC)),
        ("2099-W01-4T00:00:00Z", datetime(2099, 1, 1, tzinfo=UTC)),
        ("2099-01-01 00:00Z", datetime(2099, 1, 1, tzinfo=UTC)),
    ],
)
def test_expiry_is_what_fromisoformat_takes(written: str, instant: datetime) -> None:
    assert read_expiry(written) == instant


def test_without_the_flag_only_version_zero_takes_part() -> None:
    nullifiers = ("v1:a", "v0:b", "", "V0:c", "v0.0.0:d")
    assert effective_nullifiers(nullifiers, multi=True) == nullifiers
    assert effective_nullifiers(nullifiers, multi=False) == ("v0:b", "v0.0.0:d")
    assert effective_nullifiers(("v1:a",), multi=False) == ()
