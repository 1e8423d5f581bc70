"""Posted stamps that didkit is asked about before the read has said what it found."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import didkit
import orjson
import pytest
from django.db import connection
from pytest_django import Settings

from api.account.models import Community
from api.demo_issuer import sign_credential
from scorer_fast.http import call
from scorer_fast.scoring import ahead
from scorer_fast.scoring import service as scoring
from tests.factories import rows
from tests.factories.requests import bearer, entry, good
from tests.factories.rows import OWNER, RIVAL

pytestmark = pytest.mark.django_db
POSTING = ("cache_add_stamps", "cache_patch_stamps", "embed_add_stamps")


@pytest.fixture(autouse=True)
def community(one: Community, monkeypatch: pytest.MonkeyPatch) -> Community:
    monkeypatch.setattr(ahead, "_met", {})
    return one


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every text that didkit is given; it is content with all of them."""
    texts: list[str] = []

    async def content() -> str:
        return '{"errors": []}'

    def asked_about(text: str, options: str) -> Any:
        texts.append(text)
        return content()

    monkeypatch.setattr(didkit, "verify_credential", asked_about)
    return texts


@pytest.fixture
def read(asked: list[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """How many texts didkit had been given at the end of each read, which takes its time."""
    before: list[int] = []
    real = scoring.read_scoring

    def slow(*arguments: Any, **named: Any) -> Any:
        row = real(*arguments, **named)
        time.sleep(0.05)
        before.append(len(asked))
        return row

    monkeypatch.setattr(scoring, "read_scoring", slow)
    return before


@pytest.mark.parametrize("operation", POSTING)
def test_it_is_asked_while_the_read_is_under_way_and_not_again(
    operation: str, asked: list[str], read: list[int]
) -> None:
    rows.stamps(OWNER, "Ens")
    answer = good(operation).send().json()
    assert set(answer["score"]["stamps"]) == {"Google", "Ens"}
    assert read == [1]  # the posted one; the stored one after the read
    assert [orjson.loads(text)["credentialSubject"]["provider"] for text in asked] == ["Google", "Ens"]


def test_several_at_once_keep_their_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    async def choosy(text: str, options: str) -> str:
        return '{"errors": []}' if '"Ens"' in text else '{"errors": ["no"]}'

    monkeypatch.setattr(didkit, "verify_credential", choosy)
    body = [entry("Google"), entry("Ens"), entry("Github")]
    answer = good("cache_add_stamps").with_(body=body).send().json()
    assert set(answer["score"]["stamps"]) == {"Ens"}
    assert len(answer["stamps"]) == 3


@pytest.mark.parametrize("claim", [{"expires": rows.PAST}, {"owner": RIVAL}], ids=["expired", "somebody else's"])
def test_what_can_never_count_is_not_asked_about(claim: dict[str, Any], asked: list[str], read: list[int]) -> None:
    stamp = sign_credential(claim.pop("owner", OWNER), "Google", **claim)
    assert good("cache_add_stamps").with_(body=[{"provider": "Google", "stamp": stamp}]).send().status_code == 201
    assert (asked, read) == ([], [0])


def test_nor_is_a_stamp_of_an_issuer_nobody_trusts(asked: list[str], settings: Settings) -> None:
    settings.TRUSTED_IAM_ISSUERS = ["did:key:another"]
    assert good("cache_add_stamps").send().status_code == 201
    assert asked == []


def test_a_signature_this_process_has_met_waits_for_the_read(asked: list[str], read: list[int]) -> None:
    request = good("cache_add_stamps")
    for _ in range(2):
        request.send()
    assert (len(asked), read) == (1, [1, 1])


def test_one_that_another_process_verified_is_met_once(asked: list[str]) -> None:
    request = good("cache_add_stamps")
    request.send()
    ahead._met.clear()
    for _ in range(3):
        request.send()
    assert len(asked) == 2


def test_a_stored_stamp_that_was_verified_is_met_too(asked: list[str]) -> None:
    (stamp,) = rows.stamps(OWNER, "Google")
    good("internal_score").send()
    good("cache_add_stamps").with_(body=[{"provider": "Google", "stamp": stamp.stamp}]).send()
    assert len(asked) == 1


def test_a_bad_signature_is_asked_about_ahead_every_time(monkeypatch: pytest.MonkeyPatch) -> None:
    stamp = sign_credential(OWNER, "Google") | {"issuanceDate": "2020-01-01T00:00:00Z"}
    for _ in range(2):
        answer = good("cache_add_stamps").with_(body=[{"provider": "Google", "stamp": stamp}]).send().json()
        assert answer["score"]["stamps"] == {}
    assert ahead._met == {}


def posted_with(number: str) -> None:
    stamp = orjson.dumps(sign_credential(OWNER, "Google")).decode().replace("{", f'{{"number": {number}, ', 1)
    raw = f'[{{"provider": "Google", "stamp": {stamp}}}]'.encode()
    assert good("cache_add_stamps").with_(raw=raw).send().status_code == 201


@pytest.mark.parametrize("number", ["7", "1.5", "1.50", "1e2", "12345678901234567890123"])
def test_what_postgresql_writes_alike_is_asked_about_once(number: str, asked: list[str]) -> None:
    posted_with(number)
    assert len(asked) == 1


@pytest.mark.parametrize("number", ["-0.0", "1e16"])
def test_what_postgresql_writes_otherwise_is_asked_about_as_it_is_stored(number: str, asked: list[str]) -> None:
    posted_with(number)
    with connection.cursor() as cursor:
        cursor.execute("SELECT stamp::text FROM ceramic_cache_ceramiccache")
        assert cursor.fetchone() == (asked[1],)
    assert len(asked) == 2


def test_a_request_that_is_refused_leaves_its_question_alone(asked: list[str], settings: Settings) -> None:
    settings.CERAMIC_CACHE_SCORER_ID = "99"
    assert good("cache_add_stamps").send().status_code == 404


def test_a_rehearsal_asks_nothing_ahead(asked: list[str], rf: Any) -> None:
    request = rf.generic(
        "POST",
        "/ceramic-cache/stamps/bulk",
        orjson.dumps([entry()]),
        content_type="application/json",
        headers=bearer(),
    )
    rehearsal = call.rehearse(request)
    assert asked == []
    assert rehearsal.decide(datetime.now(UTC)).status == 201
    assert len(asked) == 1


def test_only_so_many_are_kept_in_mind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ahead, "MET", 3)
    ahead.meet(f'{{"proof": {{"proofValue": "{number}"}}}}' for number in range(5))
    ahead.meet(["{}", ""])
    assert list(ahead._met) == ["2", "3", "4"]
