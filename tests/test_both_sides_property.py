"""Random databases and requests: the host and the fast path give the same answers and leave the same rows.

Where the contract's section 7 lets the host fail, the fast path must not: what the host says there is not asked,
save for nullifiers, which `tests.host.mended` links as section 7 has them.
"""

from collections.abc import Iterator
from typing import Any
from unittest.mock import patch

import pytest
from django.test import override_settings
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from pytest_django import Settings

from scorer_fast.cutover import flags
from scorer_fast.models import Mismatch
from tests.host import both_sides, mended, scoring, world
from tests.host.asks import Ask
from tests.host.both_sides import Rows
from tests.host.strategies import (
    FUTURE,
    OTHER,
    asks,
    cache_row,
    databases,
    look_ups,
    looked_up,
    odd_asks,
    signed,
    switches,
    with_unreadable_stamp,
)

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.urls("tests.host.urls"),
    pytest.mark.filterwarnings("ignore:Generating overly large repr"),
]

SCORED = (
    "ceramic_cache_ceramiccache",
    "registry_passport",
    "registry_score",
    "registry_stamp",
    "registry_event",
    "registry_hashscorerlink",
    "registry_humanpoints",
    "registry_humanpointscommunityqualifiedusers",
    "account_accountapikey",
    "account_accountapikeyanalytics",
)
OWN = {
    "BACKGROUND": False,
    "ENFORCE_TOKEN_ADDRESS": False,
    "WEIGHTS_CACHE_SECONDS": 0,  # each side has a database of its own
}
MIDDLEWARE = "scorer_fast.cutover.middleware.ScorerFastMiddleware"
EXAMPLES = settings(
    max_examples=25,
    deadline=None,
    phases=[phase for phase in Phase if phase != Phase.explain],  # it traces every line of both sides
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.fixture(autouse=True)
def host_settings(settings: Settings) -> Iterator[None]:
    for name, value in world.SETTINGS.items():
        setattr(settings, name, value)
    settings.DEMO_API_SCORER_ID = 2
    settings.DEMO_API_KEY = world.API_KEY
    settings.DEMO_API_KEY_ALIASES = ["demo"]
    settings.RATELIMIT_ENABLE = True
    settings.PASSWORD_HASHERS = ["tests.host.strategies.PBKDF2"]
    settings.SCORER_FAST = OWN
    with both_sides.new_ids_apart():
        yield
    flags.reset()


@EXAMPLES
@given(seed=databases, sequence=st.lists(asks(), min_size=1, max_size=5), switched=switches)
def test_scoring(seed: Rows, sequence: list[Ask], switched: dict[str, Any]) -> None:
    with override_settings(**switched), patch.object(scoring, "_link", mended.link):
        theirs = both_sides.host(seed, sequence, SCORED)
        ours = both_sides.fast(seed, sequence, SCORED)
    found = both_sides.differences(ours, theirs)
    assert not found, "\n".join(found)


@EXAMPLES
@given(seed=looked_up, sequence=st.lists(look_ups(), min_size=1, max_size=10))
def test_looking_up(seed: Rows, sequence: list[Ask]) -> None:
    revoked = cache_row(11, "Google", signed(OTHER, "Google", None, None, FUTURE[0], "eip712"))
    seed["ceramic_cache_ceramiccache"] = [revoked]
    seed["ceramic_cache_revocation"] = [{"id": 1, "proof_value": "p11", "ceramic_cache_id": 11}]
    theirs = both_sides.host(seed, sequence, ())
    found = both_sides.differences(both_sides.fast(seed, sequence, ()), theirs)
    assert not found, "\n".join(found)


@EXAMPLES
@given(seed=databases, ask=odd_asks())
def test_what_the_host_fails_on_is_refused_whole(seed: Rows, ask: Ask) -> None:
    ours = both_sides.fast(seed, [ask], SCORED)
    [answer] = ours.answers
    assert answer.status < 500
    if answer.status >= 400:
        assert set(answer.body) == {"detail"}
        assert ours.rows == both_sides.fast(seed, [], SCORED).rows


@EXAMPLES
@given(seed=with_unreadable_stamp(), sequence=st.lists(asks(), min_size=1, max_size=2), switched=switches)
def test_an_unreadable_stamp_is_as_if_it_were_not_there(
    seed: Rows, sequence: list[Ask], switched: dict[str, Any]
) -> None:
    cache_rows = seed["ceramic_cache_ceramiccache"]
    without = {**seed, "ceramic_cache_ceramiccache": [row for row in cache_rows if row["id"] != 90]}
    scoring = tuple(table for table in SCORED if table != "ceramic_cache_ceramiccache")
    with override_settings(**switched):
        one = both_sides.fast(seed, sequence, scoring)
        other = both_sides.fast(without, sequence, scoring)
    assert [answer.status for answer in one.answers] == [answer.status for answer in other.answers]
    assert one.rows == other.rows


@EXAMPLES
@given(
    seed=databases | with_unreadable_stamp(),
    sequence=st.lists(asks() | odd_asks(), min_size=1, max_size=3),
    switched=switches,
)
def test_a_shadow_reports_what_is_deliberate_and_nothing_else(
    seed: Rows, sequence: list[Ask], switched: dict[str, Any]
) -> None:
    both_sides.fill(seed)
    Mismatch.objects.all().delete()
    shadow = {"MIDDLEWARE": [MIDDLEWARE], "SCORER_FAST": {**OWN, "MODES": {"*": "shadow"}}}
    with override_settings(**switched, **shadow):
        flags.reset()
        for ask in sequence:
            both_sides.ask_host(ask)
    found = Mismatch.objects.exclude(category="deliberate")
    assert not [(group.operation, group.path, group.kind) for group in found]
