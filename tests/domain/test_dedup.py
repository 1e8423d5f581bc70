"""LIFO deduplication: every rule of the contract's section 3.4 as a row, and what must hold of all of them."""

from datetime import datetime, timedelta
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scorer_fast.domain.credentials import Valid
from scorer_fast.domain.dedup import ChangedLink, Deduplicated, Link, NewLink, deduplicate
from tests.domain.stamps import LATER, ME, NOW, OTHER, SOONER, THIRD, valid

EVEN_LATER = LATER + timedelta(days=1)
JUST_NOW = NOW + timedelta(microseconds=1)


def links(*rows: tuple[str, str, datetime]) -> dict[str, Link]:
    return {row[0]: Link(*row) for row in rows}


def dedup(stamps: list[Valid], known: dict[str, Link] | None = None, *, multi: bool = True) -> Deduplicated:
    return deduplicate(stamps, known or {}, address=ME, now=NOW, multi=multi)


class Case(NamedTuple):
    """Nullifiers per stamp and the links as read; which stamps count, and the links that are new or change."""

    stamps: list[Valid]
    known: dict[str, Link]
    counting: list[int]
    new: list[tuple[str, str, datetime]] = []
    changed: list[tuple[str, str, datetime, datetime]] = []
    multi: bool = True


CASES = {
    "nobody holds it": Case([valid(1, "A", "n1")], {}, [1], [("n1", ME, LATER)]),
    "several, all free": Case([valid(1, "A", "n2", "n1")], {}, [1], [("n1", ME, LATER), ("n2", ME, LATER)]),
    "own link, same expiry: nothing to write": Case([valid(1, "A", "n1")], links(("n1", ME, LATER)), [1]),
    "own link, another expiry": Case(
        [valid(1, "A", "n1")], links(("n1", ME, EVEN_LATER)), [1], changed=[("n1", ME, EVEN_LATER, LATER)]
    ),
    "own link, expired": Case(
        [valid(1, "A", "n1")], links(("n1", ME, SOONER)), [1], changed=[("n1", ME, SOONER, LATER)]
    ),
    "another's expired link is taken over": Case(
        [valid(1, "A", "n1")], links(("n1", OTHER, SOONER)), [1], changed=[("n1", OTHER, SOONER, LATER)]
    ),
    "another's link that expires this instant is expired": Case(
        [valid(1, "A", "n1")], links(("n1", OTHER, NOW)), [1], changed=[("n1", OTHER, NOW, LATER)]
    ),
    "another's link that expires in a microsecond clashes": Case(
        [valid(1, "A", "n1")], links(("n1", OTHER, JUST_NOW)), []
    ),
    "clash": Case([valid(1, "A", "n1")], links(("n1", OTHER, EVEN_LATER)), []),
    "a clash backfills the free ones with owner and expiry": Case(
        [valid(1, "A", "n1", "n2", "n0")],
        links(("n1", OTHER, EVEN_LATER)),
        [],
        [("n0", OTHER, EVEN_LATER), ("n2", OTHER, EVEN_LATER)],
    ),
    "the first clashing link in nullifier order is backfilled from": Case(
        [valid(1, "A", "free", "n2", "n1")],
        links(("n1", OTHER, EVEN_LATER), ("n2", THIRD, LATER)),
        [],
        [("free", THIRD, LATER)],
    ),
    "own links of a stamp that clashes stay, expired or not": Case(
        [valid(1, "A", "mine", "old", "theirs")],
        links(("mine", ME, EVEN_LATER), ("old", ME, SOONER), ("theirs", OTHER, LATER)),
        [],
    ),
    "another's expired link of a stamp that clashes stays": Case(
        [valid(1, "A", "expired", "theirs")],
        links(("expired", THIRD, SOONER), ("theirs", OTHER, LATER)),
        [],
    ),
    "a counting claim beats a backfill that comes first": Case(
        [valid(1, "A", "theirs", "n1"), valid(2, "B", "n1")],
        links(("theirs", OTHER, EVEN_LATER)),
        [2],
        [("n1", ME, LATER)],
    ),
    "a counting claim beats a backfill that comes later": Case(
        [valid(1, "A", "n1"), valid(2, "B", "theirs", "n1")],
        links(("theirs", OTHER, EVEN_LATER)),
        [1],
        [("n1", ME, LATER)],
    ),
    "the first backfill of a nullifier stands": Case(
        [valid(1, "A", "t1", "free"), valid(2, "B", "t2", "free")],
        links(("t1", OTHER, LATER), ("t2", THIRD, EVEN_LATER)),
        [],
        [("free", OTHER, LATER)],
    ),
    "two stamps share a nullifier: both count, one link, the later expiry": Case(
        [valid(1, "A", "n1", expires_at=EVEN_LATER), valid(2, "B", "n1")],
        {},
        [1, 2],
        [("n1", ME, EVEN_LATER)],
    ),
    "shared, the later expiry comes second": Case(
        [valid(1, "A", "n1"), valid(2, "B", "n1", expires_at=EVEN_LATER)],
        links(("n1", ME, LATER)),
        [1, 2],
        changed=[("n1", ME, LATER, EVEN_LATER)],
    ),
    "a nullifier named twice by one stamp is one link": Case([valid(1, "A", "n1", "n1")], {}, [1], [("n1", ME, LATER)]),
    "all stamps are judged against the links as they were read": Case(
        [valid(1, "A", "theirs", "n1"), valid(2, "B", "n1", "n2")],
        links(("theirs", OTHER, LATER)),
        [2],
        [("n1", ME, LATER), ("n2", ME, LATER)],
    ),
    "flag off: version 0 alone takes part": Case(
        [valid(1, "A", "v1:theirs", "v0:n")],
        links(("v1:theirs", OTHER, LATER)),
        [1],
        [("v0:n", ME, LATER)],
        multi=False,
    ),
    "flag off: a stamp left without any counts and makes no link": Case(
        [valid(1, "A", "v1:theirs")], links(("v1:theirs", OTHER, LATER)), [1], multi=False
    ),
    "flag off: no backfill of other versions": Case(
        [valid(1, "A", "v0:theirs", "v1:free", "v0:free")],
        links(("v0:theirs", OTHER, LATER)),
        [],
        [("v0:free", OTHER, LATER)],
        multi=False,
    ),
    "no stamps": Case([], links(("n1", ME, LATER)), []),
}


@pytest.mark.parametrize("name", CASES)
def test_rule(name: str) -> None:
    case = CASES[name]
    found = dedup(case.stamps, case.known, multi=case.multi)
    assert [stamp.key for stamp in found.counting] == case.counting
    assert [clash.stamp.key for clash in found.clashes] == [
        stamp.key for stamp in case.stamps if stamp.key not in case.counting
    ]
    assert found.new_links == tuple(NewLink(*row) for row in case.new)
    assert found.changed_links == tuple(ChangedLink(*row) for row in case.changed)


def test_a_clash_names_the_nullifiers_that_took_part() -> None:
    known = links(("v0:theirs", OTHER, LATER))
    stamps = [valid(1, "A", "v1:b", "v0:theirs", "v0:a")]
    assert dedup(stamps, known).clashes[0].nullifiers == ("v1:b", "v0:theirs", "v0:a")
    assert dedup(stamps, known, multi=False).clashes[0].nullifiers == ("v0:theirs", "v0:a")


# ---- what holds of all

NULLIFIERS = st.sampled_from(["v0:a", "v0:b", "v0:c", "v1:d", "v1:e"])
INSTANTS = st.sampled_from([SOONER, NOW, JUST_NOW, LATER, EVEN_LATER])
FUTURE = st.sampled_from([LATER, EVEN_LATER])


@st.composite
def stamp_lists(draw: st.DrawFn) -> list[Valid]:
    rows = draw(st.lists(st.tuples(st.lists(NULLIFIERS, min_size=1, max_size=4), FUTURE), max_size=5))
    return [
        valid(key, f"P{key}", *nullifiers, expires_at=expires)
        for key, (nullifiers, expires) in enumerate(rows, start=1)
    ]


KNOWN = st.dictionaries(NULLIFIERS, st.tuples(st.sampled_from([ME, OTHER, THIRD]), INSTANTS)).map(
    lambda rows: {hash_: Link(hash_, *row) for hash_, row in rows.items()}
)


def applied(known: dict[str, Link], found: Deduplicated) -> dict[str, Link]:
    """The links once the plan is carried out, refusing what the table would refuse."""
    after = dict(known)
    for new in found.new_links:
        assert new.hash not in after, "a second owner"
        after[new.hash] = Link(new.hash, new.address, new.expires_at)
    for changed in found.changed_links:
        assert (after[changed.hash].address, after[changed.hash].expires_at) == (
            changed.seen_address,
            changed.seen_expires_at,
        )
        after[changed.hash] = Link(changed.hash, ME, changed.expires_at)
    return after


@given(stamp_lists(), KNOWN, st.booleans())
def test_no_nullifier_ever_gets_a_second_owner(stamps: list[Valid], known: dict[str, Link], multi: bool) -> None:
    after = applied(known, dedup(stamps, known, multi=multi))
    for hash_, link in known.items():
        held_by_another = link.address != ME and link.expires_at > NOW
        if held_by_another:
            assert after[hash_] == link
        else:
            assert after[hash_].address in {link.address, ME}


@given(stamp_lists(), KNOWN, st.booleans())
def test_nothing_deletes_a_link_and_each_changes_once(stamps: list[Valid], known: dict[str, Link], multi: bool) -> None:
    found = dedup(stamps, known, multi=multi)
    assert set(known) <= set(applied(known, found))
    touched = [link.hash for link in (*found.new_links, *found.changed_links)]
    assert len(touched) == len(set(touched))
    assert [link.hash for link in found.new_links] == sorted(link.hash for link in found.new_links)
    assert [link.hash for link in found.changed_links] == sorted(link.hash for link in found.changed_links)


@given(stamp_lists(), KNOWN, st.booleans())
def test_a_stamp_counts_if_and_only_if_none_of_its_nullifiers_clashes(
    stamps: list[Valid], known: dict[str, Link], multi: bool
) -> None:
    found = dedup(stamps, known, multi=multi)
    for stamp in stamps:
        part = [n for n in stamp.nullifiers if multi or n.startswith("v0")]
        clashes = any(n in known and known[n].address != ME and known[n].expires_at > NOW for n in part)
        assert (stamp in found.counting) is not clashes
    after = applied(known, found)
    for stamp in found.counting:
        for nullifier in stamp.nullifiers:
            if multi or nullifier.startswith("v0"):
                assert after[nullifier].address == ME
                assert after[nullifier].expires_at >= stamp.expires_at


@given(stamp_lists(), KNOWN, st.booleans())
def test_rescoring_changes_nothing(stamps: list[Valid], known: dict[str, Link], multi: bool) -> None:
    first = dedup(stamps, known, multi=multi)
    again = dedup(stamps, applied(known, first), multi=multi)
    assert (again.counting, again.clashes) == (first.counting, first.clashes)
    assert (again.new_links, again.changed_links) == ((), ())


@given(stamp_lists().flatmap(lambda stamps: st.tuples(st.just(stamps), st.permutations(stamps))), KNOWN)
def test_which_stamps_count_does_not_depend_on_their_order(
    stamps: tuple[list[Valid], list[Valid]], known: dict[str, Link]
) -> None:
    given_, shuffled = stamps
    one, other = dedup(given_, known), dedup(shuffled, known)
    assert set(one.counting) == set(other.counting)
    assert one.changed_links == other.changed_links
    mine = [link for link in one.new_links if link.address == ME]
    assert mine == [link for link in other.new_links if link.address == ME]
