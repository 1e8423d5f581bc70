"""What each operation sends to the database, at an address's first request and in its steady state.

A name is the constant's (tests/guards/statements.py). What each of them costs and is for:

GET_API_KEY          the key by its prefix
READ_SCORING         community, weights, passport, score, stamps, links, points: all that scoring needs
WRITE_SCORING        all that a scoring changes, in one transaction of its own, with what is kept for the next one
GET_STORED_SCORE     the stored score and its points
HAS_SCORE            whether the address was ever scored
"""

import sys

import pytest
from django.db import connection
from pytest_django import Settings

from api.account.models import Community
from tests.factories import rows
from tests.factories.operations import FIRST_SCORE, STEADY_SCORE, TABLE
from tests.factories.requests import good
from tests.guards.statements import sent

pytestmark = pytest.mark.django_db(transaction=True)

OWNER = rows.OWNER
PROVIDERS = [f"Provider{number:02}" for number in range(19)]


@pytest.fixture(autouse=True)
def no_pruning(settings: Settings) -> None:
    """Once an hour a process forgets expired signatures: not while statements are counted."""
    settings.SCORER_FAST = {**settings.SCORER_FAST, "PRUNE_EVERY_SECONDS": 0, "REVERIFY_ONE_IN": 0}


@pytest.fixture
def twenty_stamps(one: Community) -> Community:
    rows.stamps(OWNER, *PROVIDERS, "Google")
    return one


def listing(names: list[str]) -> str:
    return "\n".join(f"{number:3} {name}" for number, name in enumerate(names, 1)) or "  - nothing"


@pytest.mark.parametrize("operation", TABLE)
def test_statements(operation: str, twenty_stamps: Community) -> None:
    if operation == "credential_definition":
        rows.ruleset("Custom", {"all": True})
    request = good(operation)
    expected = TABLE[operation]
    with sent() as first:
        assert request.send().status_code == expected.status
    assert first == expected.first, f"the first {operation} sends\n{listing(first)}"
    for _ in range(2):
        with sent() as again:
            status = request.send().status_code
        assert again == expected.steady, f"a later {operation} sends\n{listing(again)}"
    assert status == expected.then


def test_a_steady_v2_score_reads_twice_and_writes_at_most_thrice(
    twenty_stamps: Community, capsys: pytest.CaptureFixture[str]
) -> None:
    """The budget: two reads, three statements inside the one write transaction."""
    request = good("v2_score")
    request.send()
    with sent() as names:
        assert request.send().status_code == 200
    with capsys.disabled():
        sys.stdout.write(f"\na steady v2_score of 20 stamps sends\n{listing(names)}\n")
    control = {"BEGIN", "COMMIT"}
    reads = [name for name in names if name.startswith(("GET_", "READ_", "LIST_", "HAS_", "FIND_"))]
    writes = [name for name in names if name not in control and name not in reads]
    assert len(reads) <= 2, listing(names)
    assert len(writes) <= 3, listing(names)
    assert names.count("BEGIN") <= 1


def test_points_cost_no_statement_of_their_own() -> None:
    """Neither to award them nor to show them beside a stored score."""
    rows.world_of_one(threshold="1", in_program=True)
    rows.points_config()
    rows.stamps(OWNER, "Google")
    request = good("cache_calc_score")
    for expected in (FIRST_SCORE, STEADY_SCORE):
        with sent() as made:
            assert request.send().json()["points_data"] is None
        assert made == expected, listing(made)
    with sent() as stored:
        assert good("cache_get_score").send().json()["points_data"]["total_points"] == 10
    assert stored == TABLE["cache_get_score"].steady, listing(stored)


def test_only_what_differs_is_written(twenty_stamps: Community) -> None:
    """A stamp more: one claim, one copy; the twenty others are left as they are."""
    request = good("internal_score")
    request.send()
    rows.stamps(OWNER, "Github")
    before = {table: versions(table) for table in WRITTEN}
    with sent() as names:
        assert len(request.send().json()["stamps"]) == 21
    assert names == ["READ_SCORING", "WRITE_SCORING"], listing(names)
    new = {table: len(versions(table) - before[table]) for table in WRITTEN}
    gone = {table: len(before[table] - versions(table)) for table in WRITTEN}
    assert new == {
        "registry_passport": 0,
        "registry_hashscorerlink": 1,
        "registry_stamp": 1,
        "registry_score": 1,
        "registry_event": 1,
        "ceramic_cache_ceramiccache": 0,
    }
    assert gone == dict.fromkeys(WRITTEN, 0) | {"registry_score": 1}


WRITTEN = (
    "registry_passport",
    "registry_hashscorerlink",
    "registry_stamp",
    "registry_score",
    "registry_event",
    "ceramic_cache_ceramiccache",
)


def versions(table: str) -> set[tuple[int, str]]:
    """Every row of a table and which version of itself it is: a row that was written has another."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT id, xmin::text FROM {table}")
        return set(cursor.fetchall())


@pytest.mark.parametrize("kind", ["pbkdf2", "sha512"])
def test_an_old_key_costs_one_statement_more_once(kind: str, one: Community) -> None:
    rows.api_key(one.account, "oldkey01.secret", kind)
    request = good("embed_validate_api_key").header("X-API-Key", "oldkey01.secret")
    with sent() as first:
        assert request.send().status_code == 200
    with sent() as again:
        assert request.send().status_code == 200
    assert (first, again) == (["GET_API_KEY", "UPDATE_KEY_HASH"], ["GET_API_KEY"])


def test_analytics_cost_one_statement(twenty_stamps: Community, settings: Settings) -> None:
    settings.FF_API_ANALYTICS = "on"
    request = good("v2_score")
    request.send()
    with sent() as names:
        request.send()
    assert names == ["GET_API_KEY", *STEADY_SCORE, "INSERT_ANALYTICS"], listing(names)


@pytest.mark.parametrize("operation", ["v2_score", "internal_score", "embed_score", "cache_calc_score"])
def test_an_invalid_address_costs_one_look_at_the_scorer(operation: str, one: Community) -> None:
    """The scorer is told of before the address, so it has to be looked for."""
    request = good(operation)
    with sent() as names:
        assert request.with_(path=request.path.replace(OWNER, "nobody")).send().status_code == 400
    assert names[-1] == "FIND_COMMUNITY", listing(names)
    assert len(names) == (2 if operation == "v2_score" else 1), listing(names)
