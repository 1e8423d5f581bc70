"""A shadow over the recorded events: the host's function answers as it did, and what is reported are the deliberate
differences, these and no others."""

import os
from typing import Any

import pytest

from scorer_fast import lambda_handler
from scorer_fast.cutover import figures, flags
from scorer_fast.models import Mismatch
from tests.contract import replay
from tests.contract.test_golden import load, problems
from tests.contract.test_lambda import CASES, lambda_replay
from tests.cutover.test_shadow_of_cases import ENDED_WELL, outcomes
from tests.lambda_handler.events import HOST

# What the contract's sections 7 and 10 change, by the recorded case that shows it.
DELIBERATE = {
    "cache_patch_without_proof": {"unusable_stamp"},
    "cache_post_without_dates": {"unreadable_stamp"},
    "cache_post_without_proof": {"unusable_stamp"},
    "cache_token_without_did": {"token_without_address"},
    "embed_add_stamps_missing_scorer_id": {"own_words"},
    "embed_add_stamps_not_json": {"own_words"},
    "embed_add_stamps_without_provider": {"unusable_stamp"},
    "embed_validate_api_key_authorization": {"own_words"},
    "embed_validate_api_key_expired": {"key_expired"},
    "embed_validate_api_key_missing": {"own_words"},
    "siwe_did_is_no_address": {"token_without_address"},
    "siwe_without_did": {"token_without_address"},
    "v2_expiration_without_offset": {"unreadable_stamp"},
    "v2_expired_key": {"key_expired"},
    "v2_revoked_key": {"key_revoked"},
    "v2_sha512_key": {"key_sha512"},
    "v2_two_stamps_share_a_nullifier": {"shared_or_clashing_nullifier"},
}
NAMES = {name.rpartition("/lambda_")[2]: name for name in CASES}
SOME = sorted({*DELIBERATE, *sorted(NAMES)[::4]})  # all of them take half a minute


def read(name: str) -> dict[str, Any]:
    """The case, with what the host answers and writes as its expectation."""
    case: dict[str, Any] = replay.read(CASES[NAMES[name]])
    if "legacy" in case:
        status = case["steps"][-1]["expect"]["statusCode"]
        for step in case["steps"]:  # a step before that ends as the last does is the same request
            if step["expect"]["statusCode"] == status:
                step["expect"] = case["legacy"]["expect"]
        case["expect_rows"] = case["legacy"]["expect_rows"]
    case["after"] = sorted({*case["after"], *case["expect_rows"]})
    return case


def shadowed(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """The function of the event's operation, with the app in front of it; its answer without the app's header."""
    from scorer_fast.http.catalogue import find

    found = find(event["httpMethod"], event["path"])
    assert found is not None
    os.environ[lambda_handler.HOST_HANDLER] = HOST[found[0].id]
    answer = lambda_handler.handler(event, context)
    headers = dict(answer["headers"])
    assert headers.pop("X-Scorer-Path") == "legacy"
    return {**answer, "headers": headers}


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("name", SOME)
def test_shadow_reports_exactly_the_deliberate_differences(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(lambda_handler.HOST_HANDLER, "")
    monkeypatch.setattr(lambda_replay, "HANDLER", f"{__name__}.shadowed")
    monkeypatch.setattr(replay, "load", load)
    monkeypatch.setattr(figures, "flush_if_due", lambda: None)  # they are counted below
    for operation in HOST:
        flags.set_mode(operation, "shadow", None, "a test", "test")
    case = read(name)
    got = lambda_replay.run_case(case, [])
    found = problems(case, got)
    real = [
        (group.operation, group.path, group.kind, [(s.control, s.candidate) for s in group.samples.all()[:1]])
        for group in Mismatch.objects.exclude(category="deliberate")
    ]
    rules = set(Mismatch.objects.filter(category="deliberate").values_list("rule", flat=True))
    assert not found, found
    assert (real, rules) == ([], DELIBERATE.get(name, set()))
    seen = outcomes()
    assert set(seen) <= ENDED_WELL, seen
    assert sum(seen.values()) == len(case["steps"])


def test_the_deliberate_differences_are_of_recorded_cases() -> None:
    known = {name for name in NAMES if "legacy" in replay.read(CASES[NAMES[name]])}
    assert {name for name, rules in DELIBERATE.items() if rules != {"own_words"}} == known
