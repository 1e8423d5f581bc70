"""Human points: every award once, whatever was there before."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scorer_fast.domain import points
from scorer_fast.domain.credentials import Valid
from scorer_fast.domain.points import Awards, PointsRead, PointsRow
from tests.domain.stamps import valid

CONFIG = {"SCB": 100, "HKY": 10, "ISB": 50, "HPH": 150, "HBI": 350, "HIM": 30, "MM2": 5, "SOG": 7}


def known(*rows: PointsRow, **fields: Any) -> PointsRead:
    read: dict[str, Any] = {
        "rows": rows,
        "communities": frozenset(),
        "lists": frozenset(),
        "metamask_full": False,
        "active": CONFIG,
        "multiplier": 1,
    }
    return PointsRead(**read | fields)


def row(action: str, provider: str = "", tx_hash: str = "", chain_id: int = 0) -> PointsRow:
    return PointsRow(action, provider, tx_hash, chain_id)


def awarded(stamps: list[Valid], read: PointsRead, *, community_id: int = 1, metamask: bool = True) -> Awards:
    return points.award(stamps, read, community_id=community_id, metamask_enabled=metamask)


def new(stamps: list[Valid], read: PointsRead, **options: Any) -> list[PointsRow]:
    return list(awarded(stamps, read, **options).rows)


KEYLESS = {"last_nullifier": ""}


@pytest.mark.parametrize(
    ("provider", "action"),
    [
        ("SelfStakingBronze", "ISB"),
        ("SelfStakingSilver", "ISS"),
        ("SelfStakingGold", "ISG"),
        ("BeginnerCommunityStaker", "CSB"),
        ("ExperiencedCommunityStaker", "CSE"),
        ("TrustedCitizen", "CST"),
        ("HolonymGovIdProvider", "HGO"),
        ("HolonymPhone", "HPH"),
        ("CleanHands", "HCH"),
        ("Biometrics", "HBI"),
    ],
)
def test_the_action_of_each_provider(provider: str, action: str) -> None:
    stamp = valid(1, provider, "v0:a")
    assert new([stamp], known()) == [row("HKY", provider, "v0:a"), row(action)]
    assert new([stamp._replace(**KEYLESS)], known()) == [row(action)]
    assert new([stamp], known(row("HKY", provider, "v0:other"), row(action))) == []


def test_the_row_s_provider_earns_the_action_the_subject_s_the_key() -> None:
    stamp = valid(1, "Biometrics", "v0:a")._replace(subject_provider="Google")
    assert new([stamp], known()) == [row("HKY", "Google", "v0:a"), row("HBI")]


def test_one_key_per_subject_ever() -> None:
    stamps = [valid(1, "A", "v0:1"), valid(2, "B", "v0:2")._replace(subject_provider="A"), valid(3, "C", "v0:3")]
    assert new(stamps, known()) == [row("HKY", "A", "v0:1"), row("HKY", "C", "v0:3")]
    assert new(stamps, known(row("HKY", "A", "v0:old", 10))) == [row("HKY", "C", "v0:3")]


def test_a_provider_that_fits_no_column_earns_no_key() -> None:
    assert new([valid(1, "P" * 100, "v0:1")], known()) == [row("HKY", "P" * 100, "v0:1")]
    assert new([valid(1, "P" * 101, "v0:1")], known()) == []


def test_a_nullifier_that_fits_no_column_or_is_empty_earns_no_key() -> None:
    assert new([valid(1, "P", "n" * 100)], known()) == [row("HKY", "P", "n" * 100)]
    assert new([valid(1, "P", "n" * 101)], known()) == []
    assert new([valid(1, "P", "")], known()) == []


@pytest.mark.parametrize(
    ("before", "here", "bonus"),
    [((), 1, False), ((2, 3), 1, False), ((2, 3, 4), 1, True), ((1, 2, 3), 1, False), ((1, 2, 3, 4), 1, True)],
)
def test_the_bonus_from_four_communities_on_this_one_included(before: tuple[int, ...], here: int, bonus: bool) -> None:
    found = awarded([], known(communities=frozenset(before)), community_id=here)
    assert (row("SCB") in found.rows) is bonus
    assert found.qualifies is (here not in before)


@pytest.mark.parametrize("other", [row("HBI", chain_id=10), row("HBI", tx_hash="0x1"), row("HBI", "Biometrics")])
def test_an_award_of_another_chain_or_text_is_another_award(other: PointsRow) -> None:
    stamp = valid(1, "Biometrics", "v0:a")._replace(**KEYLESS)
    assert new([stamp], known(other)) == [row("HBI")]
    assert new([stamp], known(other, row("HBI"))) == []


def test_metamask_is_awarded_once_whatever_the_row() -> None:
    listed = known(row("MM2", chain_id=10), lists=frozenset({"MetaMaskOG2"}))
    assert new([], listed) == []


def test_the_bonus_is_given_once() -> None:
    read = known(row("SCB"), communities=frozenset({2, 3, 4}))
    assert new([], read) == []


@pytest.mark.parametrize(
    ("name", "action"), [("MetaMaskOG2", "MM2"), ("SeasonedPassportOGs", "SOG"), ("TheChosenOnes", "TCO")]
)
def test_members_of_lists(name: str, action: str) -> None:
    listed = known(lists=frozenset({name, "another"}))
    assert new([], listed) == [row(action)]
    assert new([], listed._replace(rows=(row(action),))) == []


def test_metamask_has_a_switch_and_a_cap() -> None:
    listed = known(lists=frozenset({"MetaMaskOG2", "TheChosenOnes"}))
    assert new([], listed, metamask=False) == [row("TCO")]
    assert new([], listed._replace(metamask_full=True)) == [row("TCO")]


def test_nothing_new_is_falsy() -> None:
    assert not awarded([], known(communities=frozenset({1})))
    assert not points.NO_AWARDS
    assert awarded([], known())


STAMPS = st.lists(st.tuples(st.sampled_from(["Biometrics", "HolonymPhone", "Google"]), st.booleans()), max_size=5).map(
    lambda rows: [
        valid(key, name, f"v0:{key}")._replace(**({} if keyed else KEYLESS)) for key, (name, keyed) in enumerate(rows)
    ]
)
READS = st.builds(
    known,
    communities=st.frozensets(st.integers(1, 5)),
    lists=st.frozensets(st.sampled_from(["MetaMaskOG2", "TheChosenOnes", "x"])),
    metamask_full=st.booleans(),
)


@given(STAMPS, READS, st.booleans(), st.integers(1, 5))
def test_awarding_twice_awards_nothing(
    stamps: list[Valid], read: PointsRead, metamask: bool, community_id: int
) -> None:
    first = awarded(stamps, read, community_id=community_id, metamask=metamask)
    then = points.after(read, first, community_id)
    assert not awarded(stamps, then, community_id=community_id, metamask=metamask)
    keys = [(row.action, row.provider) for row in then.rows]
    assert len(keys) == len(set(keys))


# ---- what is told


def test_points_data_by_action_and_by_chain() -> None:
    read = known(
        row("HKY", "A", "t1"),
        row("HKY", "B", "t2", 10),
        row("HKY", "C", "t3", 10),
        row("ISB"),
        row("HIM"),
        row("MTA"),
        multiplier=3,
        communities=frozenset({1}),
    )
    assert points.points_data(read) == {
        "total_points": 80,
        "is_eligible": True,
        "multiplier": 3,
        "breakdown": {"HKY": 30, "HKY_10": 20, "ISB": 50},
    }
    assert points.both(read)["possible_points_data"] == {
        "total_points": 0,
        "is_eligible": False,
        "multiplier": 3,
        "breakdown": CONFIG,
    }


@pytest.mark.parametrize("rows", [(), (row("HIM"),), (row("MTA"),)])
def test_without_points_the_multiplier_is_one(rows: tuple[PointsRow, ...]) -> None:
    read = known(*rows, multiplier=3)
    nothing = {"total_points": 0, "is_eligible": False, "multiplier": 1, "breakdown": {}}
    assert points.points_data(read) == nothing
    assert points.both(read)["possible_points_data"]["multiplier"] == 1
