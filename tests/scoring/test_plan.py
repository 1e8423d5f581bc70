"""Deciding is pure: the same rows in any order give the same plan, and a plan carried out leaves nothing to do."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from scorer_fast.db.connection import bigint_array
from scorer_fast.domain.credentials import Stamp, read_stamps, row_order
from scorer_fast.domain.dedup import Link
from scorer_fast.domain.points import PointsRead
from scorer_fast.domain.settled import settle
from scorer_fast.errors import Changed
from scorer_fast.scoring.kept import read_settled, settled_reading
from scorer_fast.scoring.plan import Plan, Rules, decide
from scorer_fast.scoring.read import ScoringRow, Seen, StoredStamp
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
    stored = [
        StoredStamp(100 + number, "", key) for number, key in enumerate(draw(st.lists(st.none() | st.integers(1, 5))))
    ]
    is_scored = draw(st.booleans())
    return ScoringRow(
        community_id=1,
        weights=WEIGHTS,
        threshold=Decimal(draw(st.sampled_from(["0.00000", "10.00000", "20.00000"]))),
        overrides=(),
        passport_id=7 if is_scored else None,
        score_id=8 if is_scored else None,
        seen=Seen(bigint_array(each.key for each in found), NOW if found else None, SOONER if is_scored else None),
        is_replacing=False,
        stamps=tuple(found),
        links={name: Link(name, *link) for name, link in links.items()},
        stored_stamps=tuple(stored) if is_scored else (),
        points=draw(POINTS),
        is_kept=False,
    )


RULES = st.builds(
    Rules,
    st.just(frozenset({ISSUER})),
    st.booleans(),
    st.sampled_from([datetime(1970, 1, 1, tzinfo=UTC), LATER]),
    st.booleans(),
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
    links = dict(row.links)
    links |= {link.hash: Link(*link) for link in plan.dedup.new_links}
    links |= {link.hash: Link(link.hash, ME, link.expires_at) for link in plan.dedup.changed_links}
    kept = [stored for stored in row.stored_stamps if stored.id not in plan.gone_stamp_ids]
    copied = [StoredStamp(200 + number, "", key) for number, key in enumerate(plan.new_stamp_keys)]
    return row._replace(
        passport_id=7,
        score_id=8,
        seen=row.seen._replace(last_score_timestamp=plan.now),
        links=links,
        stored_stamps=(*kept, *copied),
        points=plan.points,
    )


@given(scoring_rows(), RULES, st.randoms())
def test_the_order_rows_arrive_in_does_not_matter(row: ScoringRow, rules: Rules, shuffler: Any) -> None:
    shuffled = list(row.stamps)
    shuffler.shuffle(shuffled)
    links = list(row.links.items())
    shuffler.shuffle(links)
    one = planned(row, rules)
    other = planned(row._replace(stamps=tuple(shuffled), links=dict(links)), rules)
    assert str(other.score.raw) == str(one.score.raw), "to the last digit: floats are added in row order"
    assert (other.score, other.dedup, other.awards) == (one.score, one.dedup, one.awards)
    assert (other.new_stamp_keys, other.gone_stamp_ids) == (one.new_stamp_keys, one.gone_stamp_ids)
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
def test_the_stored_stamps_become_exactly_those_that_count(row: ScoringRow, rules: Rules) -> None:
    plan = planned(row, rules)
    counting = sorted((each.key for each in plan.dedup.counting), key=row_order)
    after = [stored.same_as for stored in carried_out(plan).stored_stamps]
    assert sorted(key for key in after if key is not None) == counting
    assert None not in after
    assert set(plan.gone_stamp_ids) <= {stored.id for stored in row.stored_stamps}


@given(scoring_rows(), RULES)
def test_points_only_for_those_who_pass_and_in_time(row: ScoringRow, rules: Rules) -> None:
    plan = planned(row, rules)
    if row.points is None or not plan.score.passing or rules.points_start > NOW:
        assert not plan.awards
        assert plan.points == row.points
    else:
        assert plan.points is not None
        assert 1 in plan.points.communities


INSTANTS_OF_DECIDING = st.sampled_from([NOW, NOW + timedelta(days=29), LATER, LATER + timedelta(days=2)])


@given(scoring_rows(), RULES, INSTANTS_OF_DECIDING)
def test_what_is_settled_comes_to_what_deciding_anew_comes_to(row: ScoringRow, rules: Rules, then: datetime) -> None:
    """Weights, threshold and time may be others by then; where it no longer holds it is not used."""
    first = planned(carried_out(planned(row, rules)), rules)
    assume(not first.dedup.clashes)
    found = settle(first.row.stamps, first.dedup.counting, now=NOW, with_marks=row.points is not None)
    kept = read_settled(settled_reading(7, "", "", found).reading)
    assert kept.holds_at(NOW)
    later = first.row._replace(weights='{"Github": 3, "Ens": 0.1}', threshold=Decimal("3"))
    candidates = read_stamps(
        later.stamps, address=ME, trusted_issuers=rules.trusted_issuers, now=then, multi=rules.multi_nullifier
    ).candidates
    anew = decide(later, candidates, address=ME, now=then, rules=rules)
    alone = later._replace(settled=kept, is_in_full=False, stamps=(), links={}, stored_stamps=())
    if kept.holds_at(then):
        plan = decide(alone, (), address=ME, now=then, rules=rules)
        assert (plan.score, plan.awards, plan.points) == (anew.score, anew.awards, anew.points)
        assert plan.touches_only_the_score == anew.touches_only_the_score
        assert (plan.answer(), plan.score_event()) == (anew.answer(), anew.score_event())
        assert plan.dedup_events() == anew.dedup_events() == []
        assert list(plan.answer()["stamps"]) == list(anew.answer()["stamps"]), "in the order of the rows"
    else:
        with pytest.raises(Changed):
            decide(alone, (), address=ME, now=then, rules=rules)
    beside = decide(later._replace(settled=kept), candidates, address=ME, now=then, rules=rules)
    assert (beside.score, beside.awards, beside.dedup) == (anew.score, anew.awards, anew.dedup)
