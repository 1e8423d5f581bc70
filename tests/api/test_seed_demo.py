"""Demo data: there after one run, unchanged by a second, and only where it belongs."""

import io
import json
import re
import stat
from datetime import timedelta
from pathlib import Path

import jwt
import pytest
from django.contrib.auth import get_user_model
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from api import demo_tokens
from api.account.models import Account, AccountAPIKey, Community
from api.ceramic_cache.models import CeramicCache
from api.registry.management.commands.seed_demo import API_KEY, BELOW, LOSING, OLDER, PASSING
from api.registry.models import HashScorerLink

SEEDED = (
    "account_account",
    "account_accountapikey",
    "account_community",
    "auth_user",
    "ceramic_cache_ceramiccache",
    "registry_hashscorerlink",
    "registry_humanpointsconfig",
    "scorer_weighted_binaryweightedscorer",
    "scorer_weighted_weightedscorer",
)

pytestmark = pytest.mark.django_db


def seed() -> str:
    out = io.StringIO()
    call_command("seed_demo", stdout=out)
    return out.getvalue()


def rows() -> dict[str, list[tuple[object, ...]]]:
    """Every row of the seeded tables."""
    found = {}
    with connection.cursor() as cursor:
        for table in SEEDED:
            cursor.execute(f"SELECT t::text FROM {connection.ops.quote_name(table)} t ORDER BY 1")
            found[table] = cursor.fetchall()
    return found


def test_a_second_run_changes_nothing() -> None:
    seed()
    before = rows()
    assert all(before.values())
    assert "(0 stamps signed now)" in seed()
    assert rows() == before


def test_stamps_about_to_expire_are_renewed() -> None:
    seed()
    old = CeramicCache.objects.get(address=BELOW.address, provider="Discord")
    CeramicCache.objects.filter(pk=old.pk).update(expiration_date=timezone.now() + timedelta(days=1))
    assert "(1 stamps signed now)" in seed()
    old.refresh_from_db()
    assert old.deleted_at is not None
    new = CeramicCache.objects.get(address=BELOW.address, provider="Discord", deleted_at=None)
    assert new.expiration_date is not None
    assert new.expiration_date > timezone.now() + timedelta(days=80)


def test_ids_go_on_behind_the_fixed_ones() -> None:
    seed()
    account = Account.objects.get()
    scorer = Community.objects.get(pk=1).scorer
    assert Community.objects.create(name="next", account=account, scorer=scorer).pk > 2


def test_the_keys_open_and_the_token_is_signed(settings: Settings) -> None:
    said = seed()
    assert AccountAPIKey.objects.get(prefix="DemoKey1").is_valid(API_KEY)
    token = said.partition("Authorization: Bearer ")[2].partition("'")[0]
    claims = jwt.decode(token, settings.SECRET_KEY, algorithms=["HS256"])
    assert claims["did"].endswith(PASSING.address)
    assert claims["token_type"] == "access"


def test_the_token_is_signed_for_the_demos_own_key(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "demo" / "token-key.pem"
    monkeypatch.setattr(demo_tokens, "KEY_FILE", file)
    assert demo_tokens.public_key(file) == ""
    demo_tokens.make_key(file)
    settings.SIWE_JWT_PUBLIC_KEY = demo_tokens.public_key(file)
    demo_tokens.make_key(file)
    assert demo_tokens.public_key(file) == settings.SIWE_JWT_PUBLIC_KEY, "one that is there stays"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    header = {"Authorization": "Bearer " + seed().partition("Authorization: Bearer ")[2].partition("'")[0]}
    answer = Client().get(f"/ceramic-cache/score/{PASSING.address}", headers=header)
    assert (answer.status_code, answer.json()["passing_score"]) == (200, True)


def test_the_shared_nullifier_belongs_to_the_first() -> None:
    seed()
    links = HashScorerLink.objects.all()
    assert {(link.hash, link.address) for link in links} == {(LOSING.nullifiers["Google"], PASSING.address)}


def test_a_server_that_does_not_trust_the_demo_issuer_is_left_alone(settings: Settings) -> None:
    settings.TRUSTED_IAM_ISSUERS = ["did:key:another"]
    with pytest.raises(CommandError, match="do not trust the demo issuer"):
        seed()
    assert not any(rows().values())


def test_a_community_of_someone_else_is_left_alone() -> None:
    seed()
    user = get_user_model().objects.create(username="someone")
    other = Account.objects.create(address="0x" + "77" * 20, user=user)
    Community.objects.filter(pk=1).update(account=other, name="theirs")
    with pytest.raises(CommandError, match="not the demo's"):
        seed()
    assert Community.objects.get(pk=1).name == "theirs"


def test_the_people_score_as_they_are_introduced() -> None:
    seed()
    client = Client(headers={"X-API-Key": API_KEY})
    losing, passing, below, older = (
        client.get(f"/v2/stamps/1/score/{person.address}").json() for person in (LOSING, PASSING, BELOW, OLDER)
    )
    assert [answer["score"] for answer in (losing, passing, below, older)] == [
        "3.53200",
        "33.54400",
        "2.19000",
        "5.50000",
    ]
    assert [answer["passing_score"] for answer in (losing, passing, below, older)] == [
        False,
        True,
        False,
        False,
    ]
    assert {name for name, stamp in losing["stamps"].items() if stamp["dedup"]} == {"Google"}
    assert set(older["stamps"]) == set(OLDER.providers)


def test_the_readme_shows_what_the_demo_answers() -> None:
    """One request and its answer, as they stand there; only its times are of that day."""
    readme = (Path(__file__).resolve().parents[2] / "README.md").read_text()
    path = re.search(r"curl .+\n\s+http://127\.0\.0\.1:8000(\S+)", readme)
    shown = re.search(r"```json\n(.+?)```", readme, re.DOTALL)
    assert path is not None
    assert shown is not None
    assert API_KEY in readme
    seed()
    answered = Client().get(path[1], headers={"X-API-Key": API_KEY})
    assert answered.status_code == 200
    assert without_times(answered.json()) == without_times(json.loads(shown[1]))


def without_times(answer: object) -> object:
    if not isinstance(answer, dict):
        return answer
    return {key: without_times(value) for key, value in answer.items() if not key.endswith(("_timestamp", "_date"))}
