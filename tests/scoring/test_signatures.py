"""A signature is checked once: good ones are remembered by the digest of what didkit was given."""

import asyncio
import logging
from datetime import timedelta
from typing import Any

import didkit
import orjson
import pytest
from django.db import connection
from django.test import override_settings
from pytest_django import Settings

from api.account.models import Community
from api.ceramic_cache.models import CeramicCache
from api.demo_issuer import sign_credential
from scorer_fast.run import Run
from scorer_fast.scoring import read as reads
from scorer_fast.scoring import reading
from scorer_fast.scoring import verify as signatures
from tests.factories import rows, tables
from tests.factories.requests import good
from tests.factories.rows import OWNER
from tests.http.unchanged import nothing_written

pytestmark = pytest.mark.django_db
TABLE = "scorer_fast_verifiedcredential"


@pytest.fixture(autouse=True)
def community(one: Community, settings: Settings) -> Community:
    own(settings, REVERIFY_ONE_IN=0, PRUNE_EVERY_SECONDS=0)
    return one


def own(settings: Settings, **values: Any) -> None:
    settings.SCORER_FAST = {**settings.SCORER_FAST, **values}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The provider of every credential didkit is asked about."""
    providers: list[str] = []
    verify = didkit.verify_credential

    def spying(text: str, options: str) -> Any:
        providers.append(orjson.loads(text)["credentialSubject"]["provider"])
        return verify(text, options)

    monkeypatch.setattr(didkit, "verify_credential", spying)
    return providers


def score(operation: str = "internal_score") -> dict[str, Any]:
    answer: dict[str, Any] = good(operation).send().json()
    return answer


def remembered() -> list[dict[str, Any]]:
    return tables.rows(TABLE)


def test_a_second_scoring_asks_nothing(asked: list[str]) -> None:
    rows.stamps(OWNER, "Google", "Ens")
    first = score()
    assert sorted(asked) == ["Ens", "Google"]
    asked.clear()
    for operation in ("internal_score", "v2_score", "embed_score", "cache_calc_score"):
        score(operation)
    assert asked == []
    assert score()["stamps"] == first["stamps"]


def test_another_community_asks_nothing_either(asked: list[str], community: Community) -> None:
    rows.community(community.account, 2)
    rows.stamps(OWNER, "Google")
    score()
    asked.clear()
    assert good("internal_score").with_(path=f"/internal/score/v2/2/{OWNER}").send().json()["score"] == "1.50000"
    assert asked == []


def test_a_posted_stamp_is_asked_about_once(asked: list[str]) -> None:
    request = good("cache_add_stamps")
    request.send()
    request.send()
    score()
    assert asked == ["Google"]


def test_a_changed_text_is_asked_about_again(asked: list[str]) -> None:
    (stamp,) = rows.stamps(OWNER, "Google")
    score()
    asked.clear()
    tampered = dict(stamp.stamp, issuanceDate="2020-01-01T00:00:00Z")
    CeramicCache.objects.filter(pk=stamp.pk).update(stamp=tampered)
    assert score()["stamps"] == {}
    assert asked == ["Google"]
    CeramicCache.objects.filter(pk=stamp.pk).update(stamp=stamp.stamp)
    assert score()["score"] == "1.50000"
    assert asked == ["Google"]


def test_key_order_does_not_matter_for_jsonb_has_its_own(asked: list[str]) -> None:
    credential = sign_credential(OWNER, "Google")
    good("cache_add_stamps").with_(body=[{"provider": "Google", "stamp": credential}]).send()
    turned = dict(reversed(credential.items()))
    good("cache_add_stamps").with_(body=[{"provider": "Google", "stamp": turned}]).send()
    assert asked == ["Google"]


def test_bad_signatures_are_not_remembered(asked: list[str]) -> None:
    credential = sign_credential(OWNER, "Google") | {"issuanceDate": "2020-01-01T00:00:00Z"}
    rows.stored(OWNER, "Google", credential)
    for _ in range(3):
        assert score()["stamps"] == {}
    assert asked == ["Google"] * 3
    assert remembered() == []


def test_only_candidates_are_asked_about(asked: list[str]) -> None:
    """The signature comes last: an expired, foreign or unreadable stamp costs nothing."""
    rows.stamps(OWNER, "Expired", expires=rows.PAST)
    rows.stored(OWNER, "Foreign", sign_credential(rows.RIVAL, "Foreign"))
    rows.stored(OWNER, "Stranger", sign_credential(OWNER, "Stranger") | {"issuer": "did:ethr:0xstranger"})
    rows.stored(OWNER, "Unreadable", sign_credential(OWNER, "Unreadable") | {"expirationDate": "x"})
    assert score()["stamps"] == {}
    assert asked == []


def test_what_is_checked_every_time_besides(community: Community, settings: Settings) -> None:
    """Issuer, expiry, subject and revocation are never remembered."""
    google, *_ = rows.stamps(OWNER, "Google", "Ens", "NFT")
    assert len(score()["stamps"]) == 3
    rows.revoked(google)
    assert set(score()["stamps"]) == {"Ens", "NFT"}
    settings.TRUSTED_IAM_ISSUERS = []
    assert score()["stamps"] == {}
    assert len(remembered()) == 3


def test_what_is_remembered() -> None:
    rows.stamps(OWNER, "Google", expires=rows.FAR)
    score()
    (row,) = remembered()
    assert row["expires_at"].startswith("2099-01-01T00:00:00")
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT v.digest = sha256(convert_to(%s || c.stamp::text, 'UTF8')) "
            f"FROM {TABLE} AS v, ceramic_cache_ceramiccache AS c",
            [signatures.verifier.VERIFIER],
        )
        assert cursor.fetchone() == (True,)
    assert didkit.get_version() in signatures.verifier.VERIFIER
    assert signatures.verifier.OPTIONS in signatures.verifier.VERIFIER


def test_another_version_of_didkit_asks_again(asked: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    rows.stamps(OWNER, "Google")
    score()
    asked.clear()
    monkeypatch.setattr(reads, "VERIFIER", "didkit 9.9.9 {}\n")
    monkeypatch.setattr(reads, "READER", "1 didkit 9.9.9 {}\n")
    monkeypatch.setattr(reading, "READER", "1 didkit 9.9.9 {}\n")
    score()
    score()
    assert asked == ["Google"]


def test_reverification_by_sample_drops_a_bad_digest(
    asked: list[str], settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    _, bad_one = rows.stamps(OWNER, "Google", "Ens")
    score()
    asked.clear()
    CeramicCache.objects.filter(pk=bad_one.pk).update(stamp=dict(bad_one.stamp, issuanceDate="2020-01-01T00:00:00Z"))
    with connection.cursor() as cursor:  # as if a forged text had been remembered
        cursor.execute(
            f"INSERT INTO {TABLE} (digest, expires_at, verified_at) "
            "SELECT sha256(convert_to(%s || c.stamp::text, 'UTF8')), now() + '1 day', now() "
            "FROM ceramic_cache_ceramiccache AS c WHERE c.id = %s",
            [signatures.verifier.VERIFIER, bad_one.pk],
        )
    assert set(score()["stamps"]) == {"Google", "Ens"}
    assert asked == []
    own(settings, REVERIFY_ONE_IN=1)
    with caplog.at_level(logging.ERROR, "scorer_fast"):
        assert set(score()["stamps"]) == {"Google"}
    assert sorted(asked) == ["Ens", "Google"]
    assert [record.message for record in caplog.records] == ["remembered signatures no longer check out"]
    own(settings, REVERIFY_ONE_IN=0)
    asked.clear()
    assert set(score()["stamps"]) == {"Google"}
    assert asked == ["Ens"]


def test_how_often_a_sample_is_taken(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    draws = iter([0.0, 0.00009, 0.0001, 0.5, 0.99999])
    monkeypatch.setattr(signatures.random, "random", lambda: next(draws))
    own(settings, REVERIFY_ONE_IN=10_000)
    assert [signatures.is_sampled() for _ in range(5)] == [True, True, False, False, False]
    own(settings, REVERIFY_ONE_IN=0)
    assert not signatures.is_sampled()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("every", [0, 3600])
def test_expired_ones_are_pruned_now_and_then(every: int, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {TABLE} (digest, expires_at, verified_at) "
            "VALUES (sha256('a'), now() - '2 hours'::interval, now()), (sha256('b'), now() + '1 day', now())"
        )
    clock = [1e9]
    monkeypatch.setattr(reading.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(reading, "_next", 0.0)
    own(settings, PRUNE_EVERY_SECONDS=every)
    rows.stamps(OWNER, "Google")
    score()
    assert len(remembered()) == (3 if every == 0 else 2)
    if every:
        with connection.cursor() as cursor:
            cursor.execute(f"UPDATE {TABLE} SET expires_at = now() - '2 hours'::interval")
        rows.stamps(OWNER, "Ens")
        score()
        assert len(remembered()) == 3, "not again within the hour"
        clock[0] += every
        rows.stamps(OWNER, "NFT")
        score()
        assert len(remembered()) == 2


def test_what_cannot_be_remembered_does_not_fail_the_request(
    asked: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    with connection.cursor() as cursor:
        cursor.execute("CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no'; END $$")
        cursor.execute(f"CREATE TRIGGER fail BEFORE INSERT ON {TABLE} FOR EACH ROW EXECUTE FUNCTION fail()")
    rows.stamps(OWNER, "Google")
    with caplog.at_level(logging.WARNING, "scorer_fast"):
        assert score()["score"] == "1.50000"
        assert score()["score"] == "1.50000"
    assert asked == ["Google"] * 2
    assert {record.message for record in caplog.records} == {"signatures and readings could not be remembered"}
    assert {(record.sqlstate, record.exc_info) for record in caplog.records} == {("P0001", None)}  # type: ignore[attr-defined]


@pytest.mark.parametrize("operation", ["v2_score", "cache_add_stamps", "embed_add_stamps"])
def test_a_didkit_that_does_not_answer_is_a_503_and_writes_nothing(
    operation: str, monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    async def never(text: str, options: str) -> str:
        await asyncio.sleep(60)
        return "{}"

    rows.stamps(OWNER, "Ens")
    request = good(operation)
    monkeypatch.setattr(didkit, "verify_credential", never)
    own(settings, VERIFY_TIMEOUT_SECONDS=0.05)
    with nothing_written():
        response = request.send()
    assert response.status_code == 503
    assert 1 <= int(response["Retry-After"]) <= 5
    assert set(response.json()) == {"detail"}


def test_two_stamps_with_one_text_are_one_memory(asked: list[str]) -> None:
    credential = sign_credential(OWNER, "Google")
    for provider in ("Google", "Github"):
        rows.stored(OWNER, provider, credential)
    assert set(score()["stamps"]) == {"Google", "Github"}
    assert len(remembered()) == 1
    body = [{"provider": name, "stamp": credential} for name in ("Ens", "NFT")]
    with override_settings(MAX_BULK_CACHE_SIZE=2):
        assert good("cache_add_stamps").with_(body=body).send().status_code == 201
    assert len(remembered()) == 1


def test_a_stamp_expires_while_it_is_remembered(asked: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    rows.stamps(OWNER, "Google", expires=rows.soon(60))
    assert set(score()["stamps"]) == {"Google"}
    real = Run.now
    monkeypatch.setattr(Run, "now", lambda run: real(run) + timedelta(seconds=61))
    assert score()["stamps"] == {}
    assert tables.rows("registry_stamp") == []
    assert asked == ["Google"]
