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
import json
from typing import Any

import didkit
import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from pytest_django import Settings

from api.cgrants.models import SquelchedAccounts
from api.demo_issuer import Claim, sign_credential
from tests.host import world

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


def ask(operation: str) -> tuple[str, str, Any, dict[str, str]]:
    """Method, path, body and headers of one request."""
    key = {"X-API-Key": world.API_KEY}
    token = {"Authorization": f"Bearer {world.token(OWNER)}"}
    internal = {"Authorization": world.INTERNAL_TOKEN}
    new = {"provider": NAMES[20], "stamp": sign_credential(OWNER, NAMES[20])}
    subject = {"hash": "h", "provider": NAMES[0], "id": f"did:pkh:eip155:1:{OWNER}"}
    return {
        "v2_score": ("GET", f"/v2/stamps/1/score/{OWNER}", None, key),
        "internal_score": ("GET", f"/internal/score/v2/1/{OWNER}", None, internal),
        "embed_score": ("GET", f"/internal/embed/score/1/{OWNER}", None, {}),
        "embed_add_stamps": (
            "POST",
            f"/internal/embed/stamps/{OWNER}",
            {"scorer_id": 1, "stamps": [new["stamp"]]},
            internal,
        ),
        "embed_validate_api_key": ("GET", "/internal/embed/validate-api-key", None, key),
        "embed_weights": ("GET", "/internal/embed/weights?community_id=1", None, {}),
        "cache_add_stamps": ("POST", "/ceramic-cache/stamps/bulk", [new], token),
        "cache_patch_stamps": ("PATCH", "/ceramic-cache/stamps/bulk", [new, {"provider": "Absent"}], token),
        "cache_delete_stamps": ("DELETE", "/ceramic-cache/stamps/bulk", [{"provider": NAMES[0]}], token),
        "cache_get_score": ("GET", f"/ceramic-cache/score/{OWNER}", None, token),
        "cache_calc_score": ("POST", f"/ceramic-cache/score/{OWNER}", {"alternate_scorer_id": 1}, token),
        "cache_get_stamps": ("GET", f"/ceramic-cache/stamp?address={OWNER}", None, {}),
        "cache_weights": ("GET", "/ceramic-cache/weights", None, {}),
        "check_bans": ("POST", "/internal/check-bans", [{"credentialSubject": subject}] * 20, internal),
        "check_revocations": ("POST", "/internal/check-revocations", {"proof_values": ["p"] * 20}, internal),
        "allow_list": ("GET", f"/internal/allow-list/some/{OWNER}", None, internal),
        "credential_definition": ("GET", "/internal/customization/credential/none", None, internal),
        "gtc_stake": ("GET", f"/internal/stake/gtc/{OWNER}", None, internal),
        "legacy_gtc_stake": ("GET", f"/internal/stake/legacy-gtc/{OWNER}/1", None, internal),
        "contributor_statistics": (
            "GET",
            f"/internal/cgrants/contributor_statistics?address={OWNER}",
            None,
            internal,
        ),
    }[operation]


def statements(operation: str) -> list[str]:
    method, path, body, headers = ask(operation)
    with CaptureQueriesContext(connection) as captured:
        response = Client().generic(method, path, json.dumps(body), content_type="application/json", headers=headers)
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
    # less MM2, which is off (2); then what is told: config, points, multiplier, eligible (4).
    assert len(statements("cache_get_score")) == 19 + 10 + 4


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
