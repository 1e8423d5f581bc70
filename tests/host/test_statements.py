"""What a request costs the host: the baseline must stay neither slower nor faster than it is described.

Statements without BEGIN, COMMIT and savepoints. Scoring 20 stamps in the steady state makes:
  4  the key, its account, the community by external id, the community by id
  2  the passport, the score row
  1  the live stamps
  3  links of this address, links of others, their new expiry
 21  the rewritten stamps: one DELETE, one INSERT each
  3  the scorer, its weights, the customization
  2  the score, the event
"""

import asyncio
from typing import Any

import didkit
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from pytest_django import Settings

from api.cgrants.models import SquelchedAccounts
from api.demo_issuer import Claim
from tests.host import world
from tests.host.asks import of_operation

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.urls("tests.host.urls")]

OWNER = world.address(1)
NAMES = world.providers(21)
CONTROL = ("BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE")


@pytest.fixture(autouse=True)
def community(db: None, settings: Settings) -> None:
    for name, value in world.SETTINGS.items():
        setattr(settings, name, value)
    world.make_community(world.make_account(), 1, dict.fromkeys(NAMES, "1"))
    SquelchedAccounts.objects.create(address=OWNER, score_when_squelched=0, round_number="1")


def statements(operation: str) -> list[str]:
    ask = of_operation(operation, OWNER, NAMES[0], NAMES[20])
    with CaptureQueriesContext(connection) as captured:
        response = ask.answer()
    assert response.status_code < 300 or operation == "credential_definition", response.content
    return [query["sql"] for query in captured if not query["sql"].startswith(CONTROL)]


@pytest.mark.parametrize(
    ("operation", "stamps", "first", "then"),
    [
        ("v2_score", 3, 21, 19),
        ("v2_score", 20, 38, 36),
        ("internal_score", 20, 35, 33),
        ("embed_score", 20, 38, 36),
        ("embed_add_stamps", 20, 41, 39),
        ("cache_add_stamps", 20, 41, 39),
        ("cache_patch_stamps", 20, 41, 39),
        ("cache_calc_score", 20, 38, 36),
        ("cache_get_score", 20, 39, 2),
        ("cache_get_stamps", 20, 39, 2),
        ("embed_validate_api_key", 0, 1, 1),
        ("embed_weights", 0, 3, 0),
        ("embed_config", 0, 4, 1),
        ("cache_weights", 0, 3, 0),
        ("check_bans", 0, 1, 1),
        ("check_revocations", 0, 1, 1),
        ("allow_list", 0, 1, 1),
        ("credential_definition", 0, 1, 1),
        ("gtc_stake", 0, 1, 1),
        ("legacy_gtc_stake", 0, 1, 1),
        ("contributor_statistics", 0, 6, 6),
    ],
)
def test_statements(operation: str, stamps: int, first: int, then: int) -> None:
    """At the first request and at the second; a second posting replaces what the first one added."""
    world.give(Claim(OWNER, name) for name in NAMES[:stamps])
    counts = []
    for _ in range(2):
        made = statements(operation)
        counts.append(len(made))
    assert counts == [first, then], "\n".join(made)


def test_statements_of_deleting() -> None:
    world.give(Claim(OWNER, name) for name in NAMES[:20])
    assert len(statements("cache_delete_stamps")) == 38


def test_points_cost_a_look_and_a_write_each(settings: Settings) -> None:
    world.make_community(world.Account.objects.get(), 2, {"Biometrics": "30"}, in_program=True)
    settings.CERAMIC_CACHE_SCORER_ID = "2"
    world.give([Claim(OWNER, "Biometrics")])
    # Over scoring one stamp: the qualified row (2), HKY (3), HBI (2), the count of communities, three lists
    # less MM2, which is off (2). A new score says nothing of them.
    assert len(statements("cache_get_score")) == 20 + 10
    # What is told with a stored one: config, points, eligible (3).
    assert len(statements("cache_get_score")) == 2 + 3


@pytest.mark.parametrize("operation", ["v2_score", "embed_score"])
def test_every_scoring_checks_every_signature_in_a_new_loop(operation: str, monkeypatch: pytest.MonkeyPatch) -> None:
    loops: list[asyncio.AbstractEventLoop] = []
    verify = didkit.verify_credential

    def counting(credential: str, options: str) -> Any:
        loops.append(asyncio.get_running_loop())
        return verify(credential, options)

    monkeypatch.setattr(didkit, "verify_credential", counting)
    world.give(Claim(OWNER, name) for name in NAMES[:20])
    for _ in range(2):
        statements(operation)
    assert len(loops) == 40
    assert len(set(loops)) == 2
