"""A shadow over every recorded case: the host answers as it always did, and what is reported are the
deliberate differences, these and no others."""

from collections.abc import Iterator
from typing import Any

import pytest
from pytest_django import Settings

from scorer_fast.cutover import figures, flags
from scorer_fast.cutover.shadow import run as shadow
from scorer_fast.models import Mismatch
from tests.contract import replay
from tests.contract.test_golden import load
from tests.host import test_cases as host

# What the contract's section 7 changes, by the recorded case that shows it.
DELIBERATE = {
    "bans_null_hash": {"ban_of_null_hash"},
    "cache_calc_score_no_scorer": {"calc_without_scorer"},
    "cache_get_score_of_another_address": {"token_of_another_address"},
    "cache_patch_too_many": {"too_many_patched"},
    "cache_patch_without_proof": {"unusable_stamp"},
    "cache_post_without_dates": {"unreadable_stamp"},
    "cache_post_without_proof": {"unusable_stamp"},
    "cache_token_without_did": {"token_without_address"},
    "embed_add_stamps_without_provider": {"unusable_stamp"},
    "embed_validate_api_key_expired": {"key_expired"},
    "embed_validate_api_key_revoked": {"key_revoked"},
    "embed_weights_community_id_text": {"weights_of_no_community"},
    "v2_expiration_without_offset": {"unreadable_stamp"},
    "v2_expired_key": {"key_expired"},
    "v2_sha512_key": {"key_sha512"},
    "v2_two_stamps_share_a_nullifier": {"shared_or_clashing_nullifier"},
    "embed_config_community_is_huge": {"weights_of_no_community"},
    "embed_config_community_is_text": {"weights_of_no_community"},
    "embed_config_unknown_community": {"weights_of_no_community"},
    "siwe_did_is_no_address": {"token_without_address"},
    "siwe_of_another_address": {"token_of_another_address"},
    "siwe_without_did": {"token_without_address"},
} | {
    f"body_cache_calc_score_{body}": {"calc_without_scorer"}
    for body in (
        "bom",
        "empty_list",
        "list_of_null",
        "list_of_number",
        "list_of_text",
        "nan",
        "number",
        "object",
        "true",
    )
}
ENDED_WELL = {shadow.MATCHED, shadow.DELIBERATE, shadow.RATE_LIMITED}


@pytest.fixture
def shadowed(settings: Settings) -> Iterator[None]:
    settings.ROOT_URLCONF = "tests.host.urls"
    settings.MIDDLEWARE = ["scorer_fast.cutover.middleware.ScorerFastMiddleware"]
    settings.SCORER_FAST = {**settings.SCORER_FAST, "MODES": {"*": "shadow"}}
    figures.reset()
    flags.reset()
    yield
    figures.reset()
    flags.reset()


def outcomes() -> dict[str, int]:
    counted: dict[str, int] = {}
    for (_, _, outcome), (number, _) in figures._recorder.counts.items():
        counted[outcome] = counted.get(outcome, 0) + number
    return counted


def found() -> dict[str, Any]:
    real = {
        f"{group.operation} {group.path} {group.kind}": [
            (sample.control, sample.candidate) for sample in group.samples.all()[:1]
        ]
        for group in Mismatch.objects.exclude(category="deliberate")
    }
    deliberate = set(Mismatch.objects.filter(category="deliberate").values_list("rule", flat=True))
    return {"real": real, "deliberate": deliberate}


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("shadowed")
@pytest.mark.parametrize("name", sorted(host.CASES))
def test_shadow_reports_exactly_the_deliberate_differences(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay, "load", load)
    case = host.read(name)
    assert not host.differences(case, [])
    assert found() == {"real": {}, "deliberate": DELIBERATE.get(name, set())}
    seen = outcomes()
    assert set(seen) <= ENDED_WELL, seen
    shadowed = [step for step in case["steps"] if step["expect"]["status"] != 405]  # that method is no operation's
    assert sum(seen.values()) == len(shadowed)


def test_the_deliberate_differences_are_of_recorded_cases() -> None:
    assert set(DELIBERATE) == {name for name in host.CASES if "legacy" in replay.read(host.CASES[name])}
