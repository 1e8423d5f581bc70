"""Deciding is pure: the same rows in any order give the same plan, and a plan carried out leaves nothing to do."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from scorer_fast.domain.credentials import Stamp, read_stamps
from scorer_fast.domain.dedup import Link
from scorer_fast.domain.points import PointsRead
from scorer_fast.scoring.plan import Plan, Rules, decide
from scorer_fast.scoring.read import Copy, ReadToken, ScoringRow
from tests.domain.stamps import ISSUER, LATER, ME, NOW, OTHER, SOONER, stamp

PROVIDERS = ["Biometrics", "Ens", "Github", "Google", "SelfStakingGold"]
WEIGHTS = '{"Biometrics": "12.5", "Ens": 7.123, "Github": "0.69", "Google": "1.50", "SelfStakingGold": null}'
NULLIFIERS = st.sampled_from(["v0:a", "v0:b", "v0:c", "v1:d"])
INSTANTS = st.sampled_from([SOONER, NOW, LATER, LATER + timedelta(days=1)])


@st.composite
def stamps(draw: st.DrawFn) -> list[Stamp]:
    made = []
    for key, provider in enumerate(draw(st.lists(st.sampled_from(PROVIDERS), unique=True)), start=1):
        fields: dict[str, Any] = {"nullifiers": draw(st.lists(NULLIFIERS, min_size=1, max_size=3))}
        if draw(st.integers(0, 4)) == 0:
            fields |= draw(
                st.sampled_from(
                    [
                        {"issuer": "did:key:another"},
                        {"expiration_date": SOONER.isoformat()},
                        {"expiration_date": "2099-01-01"},
                        {"subject_provider": "Another"},
                        {"hash": "v0:b"},
                    ]
                )
            )
        made.append(stamp(key, provider, **fields))
    return made


POINTS = st.none() | st.builds(
    PointsRead,
    rows=st.just(()),
    communities=st.frozensets(st.integers(1, 4)),
    lists=st.frozensets(st.sampled_from(["MetaMaskOG2", "TheChosenOnes"])),
    metamask_full=st.booleans(),
    active=st.just({"HKY": 10, "HBI": 5}),
    multiplier=st.just(2),
)


@st.composite
def scoring_rows(draw: st.DrawFn) -> ScoringRow:
    found = draw(stamps())
    owners = st.sampled_from([ME, OTHER])
    links = draw(st.dictionaries(NULLIFIERS, st.tuples(owners, INSTANTS)))
    stored = [Copy(100 + number, key) for number, key in enumerate(draw(st.lists(st.none() | st.integers(1, 5))))]
    is_scored = draw(st.booleans())
    return ScoringRow(
        community_id=1,
        weights=WEIGHTS,
        threshold=Decimal(draw(st.sampled_from(["0.00000", "10.00000", "20.00000"]))),
        overrides=(),
        passport_id=7 if is_scored else None,
        score_id=8 if is_scored else None,
        token=ReadToken(" ".join(f"{each.key},1,(0,1)" for each in found), SOONER.isoformat() if is_scored else None),
        is_replacing=False,
        listed=None,
        seen="",
        has_texts=False,
        stamps=tuple(found),
        links={name: Link(name, *link) for name, link in links.items()},
        copies=tuple(stored) if is_scored else (),
        points=draw(POINTS),
        is_kept=False,
    )


RULES = st.builds(
    Rules,
    st.just(frozenset({ISSUER})),
    st.booleans(),
    st.sampled_from([datetime(1970, 1, 1, tzinfo=UTC), LATER]),
    st.booleans(),
    st.just(True),
)


def planned(row: ScoringRow, rules: Rules) -> Plan:
    """The decision where every signature is good."""
    reading = read_stamps(
        row.stamps, address=ME, trusted_issuers=rules.trusted_issuers, now=NOW, multi=rules.multi_nullifier
    )
    return decide(row, reading.candidates, address=ME, now=NOW, rules=rules)


def carried_out(plan: Plan) -> ScoringRow:
    """What would be read next, had nobody else come in between."""
    row = plan.row
    kept = [copy for copy in row.copies if copy.id not in plan.gone_copy_ids]
    copied = [Copy(200 + number, key) for number, key in enumerate(plan.new_copy_keys)]
    return row._replace(
        passport_id=7,
        score_id=8,
        token=row.token._replace(last_score_timestamp=plan.now.isoformat()),
        links={link.hash: link for link in plan.links_after()},
        copies=(*kept, *copied),
        points=plan.points,
    )


@given(scoring_rows(), RULES, st.randoms())
def test_the_order_that_links_arrive_in_does_not_matter(row: ScoringRow, rules: Rules, shuffler: Any) -> None:
    links = list(row.links.items())
    shuffler.shuffle(links)
    one = planned(row, rules)
    other = planned(row._replace(links=dict(links)), rules)
    assert (other.score, other.dedup, other.awards) == (one.score, one.dedup, one.awards)
    assert (other.new_copy_keys, other.gone_copy_ids) == (one.new_copy_keys, one.gone_copy_ids)
    assert other.dedup_events() == one.dedup_events()
    assert other.answer() == one.answer()


@given(scoring_rows(), RULES)
def test_a_plan_carried_out_leaves_only_the_score_to_write(row: ScoringRow, rules: Rules) -> None:
    first = planned(row, rules)
    again = planned(carried_out(first), rules)
    assert again.touches_only_the_score
    assert again.answer() == first.answer()
    assert again.dedup_events() == first.dedup_events()
    assert again.points == first.points


@given(scoring_rows(), RULES)
def test_the_copies_become_exactly_those_that_count(row: ScoringRow, rules: Rules) -> None:
    plan = planned(row, rules)
    counting = sorted(each.key for each in plan.dedup.counting)
    after = [copy.same_as for copy in carried_out(plan).copies]
    assert sorted(key for key in after if key is not None) == counting
    assert None not in after
    assert set(plan.gone_copy_ids) <= {copy.id for copy in row.copies}


@given(scoring_rows(), RULES)
def test_points_only_for_those_who_pass_and_in_time(row: ScoringRow, rules: Rules) -> None:
    plan = planned(row, rules)
    if row.points is None or not plan.score.passing or rules.points_start > NOW:
        assert not plan.awards
        assert plan.points == row.points
    else:
        assert plan.points is not None
        assert 1 in plan.points.communities
