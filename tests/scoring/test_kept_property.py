"""Whatever was kept of an address's stamps, and whatever happened since: a posted stamp leaves the same rows."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import override_settings
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.scoring.drawn import (
    EVENTS,
    EXAMPLES,
    FUTURE,
    PEOPLE,
    PROVIDERS,
    SHARED,
    communities,
    forget,
    make,
    one_by_one,
    post,
    truncate,
    undone,
)

posted = st.fixed_dictionaries(
    {
        "provider": st.sampled_from([*PROVIDERS, "Twitter", "Lens"]),
        "nullifiers": st.lists(st.sampled_from([*SHARED, "v0.0.0:five"]), min_size=1, max_size=2, unique=True).map(
            tuple
        ),
        "hash": st.sampled_from([None, None, None, "v0.0.0:hash"]),
        "expires": st.sampled_from(FUTURE),
    }
)


@pytest.mark.django_db(transaction=True)
@settings(EXAMPLES, max_examples=40)
@given(
    drawn=communities,
    rounds=st.integers(0, 2),
    happened=st.lists(st.sampled_from(EVENTS), max_size=1),
    multi=st.sampled_from(["on", "off"]),
    who=st.sampled_from(PEOPLE),
    stamps=st.lists(posted, min_size=1, max_size=2, unique_by=lambda stamp: stamp["provider"]),
)
def test_a_posted_stamp_leaves_what_reading_everything_leaves(
    drawn: dict[str, Any],
    rounds: int,
    happened: list[Callable[[], None]],
    multi: str,
    who: str,
    stamps: list[dict[str, Any]],
) -> None:
    answers: list[dict[str, Any]] = []

    def post_it() -> None:
        answers.append(post(who, stamps))

    def post_it_with_nothing_kept() -> None:
        forget()
        post_it()

    try:
        make(drawn)
        with override_settings(
            FF_MULTI_NULLIFIER=multi,
            HUMAN_POINTS_ENABLED=True,
            HUMAN_POINTS_MTA_ENABLED=True,
            CERAMIC_CACHE_SCORER_ID=1,
        ):
            for _ in range(rounds):
                one_by_one()
            for event in happened:
                event()
            assert undone(post_it) == undone(post_it_with_nothing_kept)
            assert answers[0] == answers[1]
            post_it()  # and keeps what came of it
            assert undone(one_by_one) == undone(lambda: (forget(), one_by_one()))
    finally:
        truncate()
