"""Random communities: rescoring in batches leaves the rows that scoring one by one in passport order leaves."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import connection, transaction
from django.test import override_settings
from hypothesis import given, settings
from hypothesis import strategies as st
from pytest_django import Settings

from api.ceramic_cache.models import CeramicCache
from api.registry.models import (
    Event,
    Score,
)
from api.scorer_weighted.models import BinaryWeightedScorer
from scorer_fast.scoring import rescore
from tests.scoring.drawn import (
    EVENTS,
    EXAMPLES,
    FUTURE,
    PEOPLE,
    PROVIDERS,
    communities,
    dump,
    forget,
    make,
    one_by_one,
    truncate,
    undone,
)

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def settings_of_points(settings: Settings) -> None:
    settings.HUMAN_POINTS_ENABLED = True
    settings.HUMAN_POINTS_MTA_ENABLED = True


def in_batches(size: int, *, only_changed: bool = False) -> rescore.RunRow:
    return rescore.work(rescore.begin(1, only_changed=only_changed, size=size), lambda step: None)


@EXAMPLES
@given(
    drawn=communities, size=st.integers(1, 6), multi=st.sampled_from(["on", "off"]), limit=st.sampled_from([5000, 1])
)
def test_batches_leave_what_one_by_one_leaves(
    drawn: dict[str, Any], size: int, multi: str, limit: int, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.FF_MULTI_NULLIFIER = multi
    for module in ("scoring.read", "scoring.write"):
        monkeypatch.setattr(f"scorer_fast.{module}.METAMASK_LIMIT", limit)
    with transaction.atomic():
        make(drawn)
        expected = undone(one_by_one)
        ended = in_batches(size)
        assert dump() == expected
        assert (ended.scored, ended.failed) == (len(drawn["people"]), 0)
        transaction.set_rollback(True)


@EXAMPLES
@given(
    drawn=communities,
    size=st.integers(1, 6),
    weights=st.dictionaries(st.sampled_from(PROVIDERS), st.sampled_from(["1.5", "12", 0.1]), min_size=1),
    lost=st.sampled_from([None, *PEOPLE]),
)
def test_only_changed_writes_what_differs_and_nothing_else(
    drawn: dict[str, Any], size: int, weights: dict[str, Any], lost: str | None, settings: Settings
) -> None:
    settings.FF_MULTI_NULLIFIER = "on"
    with transaction.atomic():
        make(drawn)
        one_by_one()
        one_by_one()  # backfills of the first round may change what the second finds
        BinaryWeightedScorer.objects.update(weights=weights)
        CeramicCache.objects.filter(address=lost, provider=PROVIDERS[0]).update(deleted_at=datetime.now(UTC))
        before = dump()
        all_expected = undone(one_by_one)
        times = dict(Score.objects.values_list("passport__address", "last_score_timestamp"))
        newest_event = Event.objects.order_by("-id").values_list("id", flat=True).first() or 0
        ended = in_batches(size, only_changed=True)
        after = dump()
        assert {**after, "event": []} == {**all_expected, "event": []}
        changed = {
            owner
            for owner in PEOPLE
            if any(of(owner, before[table]) != of(owner, all_expected[table]) for table in before if table != "event")
        }
        written = {
            owner
            for owner, at in Score.objects.values_list("passport__address", "last_score_timestamp")
            if times[owner] != at
        }
        assert written == changed
        assert set(Event.objects.filter(id__gt=newest_event).values_list("address", flat=True)) == changed
        assert (ended.scored, ended.unchanged) == (len(changed), len(drawn["people"]) - len(changed))
        transaction.set_rollback(True)


@pytest.mark.django_db(transaction=True)
@settings(EXAMPLES, max_examples=30)
@given(
    drawn=communities,
    size=st.integers(1, 3),
    rounds=st.integers(0, 2),
    happened=st.lists(st.sampled_from(EVENTS), max_size=2, unique=True),
    multi=st.sampled_from(["on", "off"]),
    then_multi=st.sampled_from(["on", "off"]),
)
def test_whatever_was_kept_and_happened_since_both_leave_what_scoring_anew_leaves(
    drawn: dict[str, Any],
    size: int,
    rounds: int,
    happened: list[Callable[[], None]],
    multi: str,
    then_multi: str,
) -> None:
    """Committed, so that what is kept is used."""
    try:
        make(drawn)
        with override_settings(FF_MULTI_NULLIFIER=multi):
            for _ in range(rounds):
                one_by_one()
        for event in happened:
            event()
        with override_settings(FF_MULTI_NULLIFIER=then_multi):
            expected = undone(lambda: (forget(), one_by_one()))
            assert undone(one_by_one) == expected
            in_batches(size)
            assert dump() == expected
    finally:
        truncate()


def of(owner: str, texts: list[str]) -> list[str]:
    return [text for text in texts if owner in text]


def test_a_batch_is_four_statements(settings: Settings) -> None:
    make({**QUIET, "people": [{**PERSON, "stamps": [{**STAMP, "provider": name}]} for name in PROVIDERS]})
    one_by_one()
    run = rescore.begin(1, only_changed=False, size=10)
    with connection.execute_wrapper(Recorder()) as _:
        rescore._step("default", run)
    texts = [text for text in Recorder.seen if text.strip().startswith("--")]
    assert [text.strip().splitlines()[0] for text in texts] == [
        "-- the first batch that is not done and nobody works on, those never tried first; scorer_fast_rescore_todo",
        "-- the same for passports of one community, by id, an address at a time; registry_passport pkey",
        "-- writes the scorings of many addresses, each for itself; db/functions/write_batch_1.sql",
        "-- notes how far a batch is; scorer_fast_rescorebatch pkey",
    ]


class Recorder:
    """Keeps the statements that pass."""

    seen: list[str] = []

    def __init__(self) -> None:
        self.seen.clear()

    def __call__(self, execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        self.seen.append(sql)
        return execute(sql, params, many, context)


STAMP = {"nullifiers": ("v0.0.0:one",), "hash": None, "expires": FUTURE[0], "state": "live", "counted": False}
PERSON = {"score": None, "lists": set(), "has_points": False}
QUIET = {"links": [], "weights": {"Google": "1"}, "threshold": "20", "in_program": False, "customized": False}
