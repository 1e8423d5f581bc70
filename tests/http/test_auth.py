"""Who may ask: API keys, access tokens of the host's, and the internal token."""

import base64
import hashlib
import hmac
import json
import logging
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import jwt
import pytest
from django.conf import settings as django_settings
from django.contrib.auth.hashers import check_password as djangos_check_password
from django.db import connection
from django.test import Client
from pytest_django import Settings

from api.account.models import AccountAPIKey, Community
from scorer_fast.errors import Problem, Refused
from scorer_fast.http import auth, tokens
from scorer_fast.lookups import api_keys
from tests.factories import rows
from tests.factories.requests import INTERNAL, Request, bearer, good
from tests.factories.rows import OWNER
from tests.guards.statements import sent
from tests.http.unchanged import refused

pytestmark = pytest.mark.django_db
SECRET = "secret01.4fZcG6pVTMcRWEyzD9XLW1"


@pytest.fixture(autouse=True)
def community(one: Community) -> Community:
    api_keys._hashes.forget()
    return one


@pytest.fixture
def slow_checks(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The keys for which PBKDF2 was run."""
    asked: list[str] = []

    def counting(password: str, encoded: str) -> bool:
        asked.append(password)
        return djangos_check_password(password, encoded)

    monkeypatch.setattr(api_keys, "check_password", counting)
    return asked


def validate(**headers: str) -> Request:
    return Request("GET", "/internal/embed/validate-api-key", headers=headers)


def status(api_key: str) -> int:
    return validate(**{"X-API-Key": api_key}).send().status_code


# ---- the four ways a key may be stored


@pytest.mark.parametrize("kind", ["sha256 column", "sha256", "pbkdf2", "sha512"])
def test_a_key_however_it_is_stored(kind: str, community: Community) -> None:
    rows.api_key(community.account, SECRET, kind)
    assert status(SECRET) == 200
    assert status(SECRET) == 200
    for wrong in (SECRET[:-1], SECRET + "1", "secret01.", "secret01", SECRET.upper(), SECRET.replace("0", "O")):
        assert status(wrong) == 401
    assert status(SECRET) == 200


@pytest.mark.parametrize("kind", ["pbkdf2", "sha512"])
def test_an_old_key_migrates_once(kind: str, community: Community, slow_checks: list[str]) -> None:
    stored = rows.api_key(community.account, SECRET, kind)
    before = stored.hashed_key
    with sent() as first:
        assert status(SECRET) == 200
    with sent() as then:
        assert status(SECRET) == 200
    assert ("UPDATE_KEY_HASH" in first, "UPDATE_KEY_HASH" in then) == (True, False)
    assert len(slow_checks) == (1 if kind == "pbkdf2" else 0)
    stored.refresh_from_db()
    assert stored.hashed_key_sha256 == "sha256$" + hashlib.sha256(SECRET.encode()).hexdigest()
    assert (stored.hashed_key, stored.pk) == (before, stored.pk)


@pytest.mark.parametrize("kind", ["pbkdf2", "sha512"])
def test_a_migration_that_fails_lets_the_key_in_and_names_no_hash(
    kind: str, community: Community, caplog: pytest.LogCaptureFixture
) -> None:
    stored = rows.api_key(community.account, SECRET, kind)
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")  # a table with pending checks cannot be altered
        kept = "prefix <> 'secret01' OR COALESCE(hashed_key_sha256, '') = ''"
        cursor.execute(f"ALTER TABLE account_accountapikey ADD CONSTRAINT kept CHECK ({kept})")
    with caplog.at_level(logging.DEBUG):
        assert status(SECRET) == 200
    (record,) = [record for record in caplog.records if record.name == "scorer_fast"]
    assert record.message == "an API key's hash could not be migrated"
    assert (record.prefix, record.error, record.sqlstate) == ("secret01", "IntegrityError", "23514")
    said = caplog.text + "".join(repr(vars(record)) for record in caplog.records)
    for secret in (SECRET, stored.hashed_key, hashlib.sha256(SECRET.encode()).hexdigest()):
        assert secret not in said
    stored.refresh_from_db()
    assert not stored.hashed_key_sha256


def test_a_wrong_old_key_does_not_migrate(community: Community) -> None:
    for kind, prefix in (("pbkdf2", "oldkey01"), ("sha512", "oldkey02")):
        stored = rows.api_key(community.account, f"{prefix}.right", kind)
        assert status(f"{prefix}.wrong") == 401
        stored.refresh_from_db()
        assert not stored.hashed_key_sha256


def test_a_sha256_that_differs_is_the_end(community: Community, slow_checks: list[str]) -> None:
    """No falling back to an older hash that would be good."""
    stored = rows.api_key(community.account, SECRET, "pbkdf2")
    stored.hashed_key_sha256 = "sha256$" + "0" * 64
    stored.save()
    assert status(SECRET) == 401
    stored.hashed_key_sha256 = None
    stored.hashed_key = "sha256$" + "0" * 64
    stored.save()
    assert status(SECRET) == 401
    assert slow_checks == []


@pytest.mark.parametrize("hashed", ["", "unknown$1$2", "sha256", "pbkdf2_sha1$1$salt$hash", SECRET, "!unusable"])
def test_a_hash_nobody_knows_is_never_good(hashed: str, community: Community) -> None:
    AccountAPIKey.objects.create(
        id="id", prefix="secret01", name="k", account=community.account, hashed_key=hashed, hashed_key_sha256=None
    )
    assert status(SECRET) == 401
    assert status("secret01." + hashed) == 401


def test_keys_are_looked_up_by_prefix_and_never_by_id(community: Community) -> None:
    """The id was made of the hash at first writing: a key that was migrated since is not found by it."""
    stored = rows.api_key(community.account, SECRET)
    assert stored.prefix not in stored.pk
    with sent() as names:
        assert status(SECRET) == 200
    assert names == ["GET_API_KEY"]
    other = rows.api_key(community.account, "another1.x")
    AccountAPIKey.objects.filter(pk=other.pk).update(prefix="zzzzzzzz", id=SECRET)
    assert status("another1.x") == 401


@pytest.mark.parametrize("kind", ["sha256 column", "sha256", "sha512"])
def test_hashes_are_compared_in_constant_time(kind: str, community: Community, monkeypatch: pytest.MonkeyPatch) -> None:
    rows.api_key(community.account, SECRET, kind)
    compared: list[tuple[str, str]] = []

    def spying(one: str, other: str) -> bool:
        compared.append((one, other))
        return hmac.compare_digest(one.encode(), other.encode())

    monkeypatch.setattr(api_keys, "constant_time_compare", spying)
    assert status(SECRET) == 200
    assert status("secret01.wrong") == 401
    assert len(compared) == 2
    assert compared[0][0] == compared[0][1]


def test_the_internal_token_is_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    compared = []
    compare = hmac.compare_digest

    def spying(one: bytes, other: bytes) -> bool:
        compared.append((one, other))
        return compare(one, other)

    monkeypatch.setattr(auth.hmac, "compare_digest", spying)
    assert good("gtc_stake").send().status_code == 200
    assert compared == [(rows.INTERNAL_TOKEN.encode(),) * 2]


# ---- wrong keys are cheap


def test_a_wrong_key_is_hashed_slowly_once(community: Community, slow_checks: list[str]) -> None:
    rows.api_key(community.account, SECRET, "pbkdf2")
    for _ in range(50):
        assert status("secret01.wrong") == 401
    assert slow_checks == ["secret01.wrong"]


def test_many_wrong_keys_are_hashed_slowly_ten_times_a_minute(
    community: Community, slow_checks: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    rows.api_key(community.account, SECRET, "pbkdf2")
    rows.api_key(community.account, "another1.right", "pbkdf2")
    clock = [6_000.0]
    monkeypatch.setattr(api_keys.time, "monotonic", lambda: clock[0])
    assert [status(f"secret01.wrong{number}") for number in range(40)] == [401] * 10 + [429] * 30
    assert len(slow_checks) == 10
    assert status("another1.right") == 200  # the bound is per prefix
    clock[0] += 20
    refusal = validate(**{"X-API-Key": SECRET}).send()
    assert (refusal.status_code, refusal.json()) == (429, {"detail": "You have been rate limited!"})
    assert refusal["Retry-After"] == "40"
    clock[0] += 40
    assert status(SECRET) == 200
    assert len(slow_checks) == 12


def test_many_prefixes_share_one_bound(community: Community, slow_checks: list[str]) -> None:
    for number in range(20):
        rows.api_key(community.account, f"secret{number:02}.right", "pbkdf2")
    found = [status(f"secret{number:02}.wrong{again}") for number in range(20) for again in range(12)]
    assert len(slow_checks) == found.count(401) == 30
    assert set(found) == {401, 429}


class Slow:
    """PBKDF2 that lasts until it is let go, and counts."""

    def __init__(self) -> None:
        self.runs, self.most, self._now, self.let_go = 0, 0, 0, threading.Event()
        self._lock = threading.Lock()

    def __call__(self, password: str, encoded: str) -> bool:
        with self._lock:
            self.runs += 1
            self._now += 1
            self.most = max(self.most, self._now)
        self.let_go.wait(5)
        with self._lock:
            self._now -= 1
        return password.endswith("right")


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> Slow:
    slow = Slow()
    monkeypatch.setattr(api_keys, "check_password", slow)
    return slow


def checked(api_key: str, prefix: str) -> str:
    row = api_keys.ApiKeyRow(prefix, prefix, 1, f"pbkdf2_sha256$1$salt${prefix}", None, False, None, None, None, True)
    try:
        return "good" if api_keys._hashes.check(api_key, api_keys.sha256_hash(api_key), row) else "wrong"
    except Refused as refused:
        return "later" if (refused.problem, bool(refused.retry_after)) == (Problem.RATE_LIMITED, True) else "refused"


def at_once(slow: Slow, asked: list[tuple[str, str]]) -> Counter[str]:
    with ThreadPoolExecutor(len(asked)) as threads:
        answers = [threads.submit(checked, *each) for each in asked]
        time.sleep(0.3)
        slow.let_go.set()
        return Counter(answer.result() for answer in answers)


def test_hashes_are_counted_before_they_run(slow: Slow) -> None:
    """Side by side they are no more than one after the other."""
    slow.let_go.set()
    with ThreadPoolExecutor(32) as threads:
        asked = [threads.submit(checked, f"secret01.wrong{number}", "secret01") for number in range(100)]
        found = Counter(answer.result() for answer in asked)
    assert slow.runs == found["wrong"] <= 10
    assert slow.most <= 4


def test_once_somebody_was_wrong_one_hash_runs_at_a_time(slow: Slow) -> None:
    slow.let_go.set()
    assert checked("secret01.wrong", "secret01") == "wrong"
    slow.let_go.clear()
    slow.most = 0
    assert at_once(slow, [(f"secret{n:02}.wrong", f"secret{n:02}") for n in range(2, 10)]) == {"wrong": 1, "later": 7}
    assert slow.most == 1


def test_a_good_keys_first_requests_side_by_side_are_all_let_in_by_one_hash(slow: Slow) -> None:
    assert at_once(slow, [("secret01.right", "secret01")] * 8) == {"good": 8}
    assert slow.runs == 1
    assert not api_keys._hashes._failures()


def test_a_migrated_key_is_never_held_back(community: Community, slow_checks: list[str]) -> None:
    rows.api_key(community.account, SECRET, "pbkdf2")
    assert status(SECRET) == 200
    for number in range(30):
        assert status(f"secret01.wrong{number}") == 401  # by the SHA-256
    assert status(SECRET) == 200
    assert slow_checks == [SECRET]


def test_an_unknown_prefix_costs_one_look_up(slow_checks: list[str]) -> None:
    for wrong in ("unknown1.secret", "short.secret"):
        with sent() as names:
            assert status(wrong) == 401
        assert names == ["GET_API_KEY"]
    assert slow_checks == []


@pytest.mark.parametrize("wrong", ["", "nodot", ".secret", "far-too-long-a-prefix.secret", "\x00.x", "é.x", "."])
def test_what_is_no_key_costs_nothing(wrong: str) -> None:
    with sent() as names:
        assert status(wrong) == 401
    assert names == [] or wrong == "é.x"


def test_a_prefix_says_nothing_about_a_revoked_key(community: Community) -> None:
    """The same answer, whether prefix, secret or permission is what is wrong."""
    rows.api_key(community.account, "revoked1.right", revoked=True)
    answers = {
        validate(**{"X-API-Key": value}).send().content
        for value in ("revoked1.right", "revoked1.wrong", "unknown1.right", "", "nodot")
    }
    assert answers == {b'{"detail":"Invalid API Key."}'}


# ---- where a key stands


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"X-API-Key": SECRET}, 200),
        ({"Authorization": f"Bearer {SECRET}"}, 200),
        ({"Authorization": f"Token {SECRET}"}, 200),
        ({"Authorization": f"anything {SECRET} more"}, 200),
        ({"X-API-Key": "", "Authorization": f"Bearer {SECRET}"}, 200),
        ({"X-API-Key": "wrong", "Authorization": f"Bearer {SECRET}"}, 401),
        ({"X-API-Key": SECRET, "Authorization": "Bearer wrong"}, 200),
        ({"Authorization": SECRET}, 401),
        ({"Authorization": "Bearer"}, 401),
        ({"Authorization": ""}, 401),
        ({}, 401),
    ],
)
def test_where_a_key_is_looked_for(headers: dict[str, str], expected: int, community: Community) -> None:
    rows.api_key(community.account, SECRET)
    assert validate(**headers).send().status_code == expected


def test_demo_aliases(community: Community, settings: Settings) -> None:
    rows.api_key(community.account, SECRET, embed_rate_limit="7/1m")
    settings.DEMO_API_KEY = SECRET
    settings.DEMO_API_KEY_ALIASES = ["demo", "try.me"]
    for alias in ("demo", "try.me"):
        assert validate(**{"X-API-Key": alias}).send().json() == {"embed_rate_limit": "7/1m"}
    assert status("other") == 401
    settings.DEMO_API_KEY = ""
    assert status("demo") == 401


@pytest.mark.parametrize(
    ("expires_in", "expected"), [(None, 200), (timedelta(minutes=1), 200), (timedelta(seconds=-1), 401)]
)
def test_expiry(expires_in: timedelta | None, expected: int, community: Community) -> None:
    expiry = None if expires_in is None else rows.soon(0) + expires_in
    rows.api_key(community.account, SECRET, expiry_date=expiry)
    assert status(SECRET) == expected


@pytest.mark.parametrize("limit", ["125/15m", "", None])
def test_the_partners_rate_limit(limit: str | None, community: Community) -> None:
    rows.api_key(community.account, SECRET, embed_rate_limit=limit)
    assert validate(**{"X-API-Key": SECRET}).send().json() == {"embed_rate_limit": limit}


# ---- the internal token


@pytest.mark.parametrize(
    "given", ["", "wrong", rows.INTERNAL_TOKEN + " ", f"Bearer {rows.INTERNAL_TOKEN}", rows.INTERNAL_TOKEN.upper(), "é"]
)
def test_any_other_internal_token(given: str) -> None:
    refused(good("gtc_stake").header("Authorization", given), 401, "Unauthorized")
    refused(good("gtc_stake").with_(headers={"X-API-Key": rows.INTERNAL_TOKEN}), 401, "Unauthorized")


@pytest.mark.parametrize("token", ["", None])
def test_an_empty_internal_token_refuses_all(token: str | None, settings: Settings) -> None:
    settings.CGRANTS_API_TOKEN = token
    for given in ("", "None", rows.INTERNAL_TOKEN, None):
        refused(good("gtc_stake").header("Authorization", given), 401, "Unauthorized")


def test_an_unset_internal_token_refuses_all(settings: Settings) -> None:
    del settings.CGRANTS_API_TOKEN
    for given in ("", "None", None):
        refused(good("gtc_stake").header("Authorization", given), 401, "Unauthorized")


@pytest.mark.parametrize("token", ["", rows.INTERNAL_TOKEN])
def test_the_internal_check_turned_off(token: str, settings: Settings) -> None:
    settings.CGRANTS_API_TOKEN = token
    settings.SCORER_FAST = {**settings.SCORER_FAST, "CHECK_INTERNAL_TOKEN": False}
    for given in ("", "wrong", None):
        assert good("gtc_stake").header("Authorization", given).send().status_code == 200
    assert validate(**{"X-API-Key": "wrong"}).send().status_code == 401
    assert good("cache_get_score").with_(headers={}).send().status_code == 401


def test_the_token_as_it_is_now(settings: Settings) -> None:
    assert good("gtc_stake").send().status_code == 200
    settings.CGRANTS_API_TOKEN = "another"
    assert good("gtc_stake").send().status_code == 401
    assert good("gtc_stake").header("Authorization", "another").send().status_code == 200


# ---- access tokens


def claims(**changes: Any) -> dict[str, Any]:
    given = {"token_type": "access", "exp": int(time.time()) + 60, "jti": "0", "did": f"did:pkh:eip155:1:{OWNER}"}
    return {name: value for name, value in (given | changes).items() if value is not ...}


def signed(payload: dict[str, Any], key: str | None = None, header: dict[str, Any] | None = None) -> str:
    return jwt.encode(payload, key or django_settings.SECRET_KEY, algorithm="HS256", headers=header)


def handmade(
    header: dict[str, Any], payload: dict[str, Any], signature: bytes | None = None, digest: str = "sha256"
) -> str:
    """A token whose header says what it likes, signed with HMAC and the right key unless a signature is given."""
    parts = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in (header, payload)]
    message = b".".join(parts)
    mac = hmac.new(django_settings.SECRET_KEY.encode(), message, digest).digest()
    ending = base64.urlsafe_b64encode(mac if signature is None else signature).rstrip(b"=")
    return (message + b"." + ending).decode()


def ask(token: str, scheme: str = "Bearer ") -> Request:
    return good("cache_get_score").with_(headers={"Authorization": scheme + token})


def test_a_good_token() -> None:
    assert ask(signed(claims())).send().status_code == 200
    assert ask(signed(claims(aud="x", iss="y", sub=5, nbf=0, iat=0, extra=[1]))).send().status_code == 200


@pytest.mark.parametrize("scheme", ["Bearer ", "bearer ", "BEARER "])
def test_the_scheme_in_any_case(scheme: str) -> None:
    assert ask(signed(claims()), scheme).send().status_code == 200


@pytest.mark.parametrize("scheme", ["", "Bearer  ", "Bearer\t", "Token ", "Basic ", "Bearer:", " "])
def test_another_scheme(scheme: str) -> None:
    refused(ask(signed(claims()), scheme), 401)


@pytest.mark.parametrize(
    "changes",
    [
        {"exp": 0},
        {"exp": 1_500_000_000},
        {"exp": ...},
        {"exp": None},
        {"exp": "soon"},
        {"exp": float("inf")},
        {"token_type": "refresh"},
        {"token_type": "Access"},
        {"token_type": None},
        {"token_type": ...},
        {"jti": ...},
        {"jti": None},
        {"jti": ""},
        {"did": ...},
        {"did": None},
        {"did": 5},
        {"did": ["did:pkh:eip155:1:" + OWNER]},
        {"did": OWNER[:-1]},
        {"nbf": 4_102_444_800},
    ],
    ids=str,
)
def test_a_token_that_lacks_something(changes: dict[str, Any]) -> None:
    refused(ask(signed(claims(**changes))), 401)


def test_hs256_whatever_the_header_says() -> None:
    for algorithm in ("none", "None", "RS256", "HS512", "ES256", "", None):
        refused(ask(handmade({"alg": algorithm, "typ": "JWT"}, claims())), 401)
        refused(ask(handmade({"alg": algorithm, "typ": "JWT"}, claims(), b"")), 401)
    refused(ask(handmade({"typ": "JWT"}, claims())), 401)
    refused(ask(handmade({"alg": "HS256"}, claims(), b"")), 401)
    refused(ask(handmade({"alg": "HS512"}, claims(), digest="sha512")), 401)
    assert ask(handmade({"alg": "HS256"}, claims())).send().status_code == 200


def test_a_token_that_was_good_and_has_expired() -> None:
    request = ask(signed(claims(exp=int(time.time()) + 1)))
    assert request.send().status_code == 200
    time.sleep(1.1)
    assert request.send().status_code == 401


def test_a_token_that_was_good_before_the_clock_was_turned_back(monkeypatch: pytest.MonkeyPatch) -> None:
    request = ask(signed(claims(nbf=int(time.time()))))
    assert request.send().status_code == 200

    class Earlier(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:
            return datetime.now(tz) - timedelta(minutes=1)

    monkeypatch.setattr(tokens, "datetime", Earlier)
    assert request.send().status_code == 401


def test_a_token_that_was_good_under_the_last_signing_key(settings: Settings) -> None:
    request = ask(signed(claims()))
    assert request.send().status_code == 200
    settings.SECRET_KEY = "another key that is long enough for HS256"
    assert request.send().status_code == 401


def test_another_key() -> None:
    refused(ask(signed(claims(), "another-key-that-is-long-enough-for-sha256")), 401)


@pytest.mark.parametrize(
    "token",
    ["", "x", "a.b", "a.b.c", "a.b.c.d", "....", "é.é.é", " ", "e30.e30.", "bnVsbA.bnVsbA.AA", "W10.W10.AA"],
)
def test_what_is_no_token(token: str) -> None:
    refused(ask(token), 401)


def test_a_header_that_nests_without_end() -> None:
    for depth in (2_000, 20_000):
        nested = b'{"alg":"HS256","x":' + b"[" * depth + b"]" * depth + b"}"
        header = base64.urlsafe_b64encode(nested).rstrip(b"=").decode()
        refused(ask(f"{header}.e30.AAAA"), 401)


def test_a_signing_key_of_its_own(settings: Settings) -> None:
    settings.NINJA_JWT = {"SIGNING_KEY": "a-signing-key-of-its-own-for-access-tokens"}
    refused(ask(signed(claims())), 401)
    assert ask(signed(claims(), "a-signing-key-of-its-own-for-access-tokens")).send().status_code == 200
    for none in ({}, {"SIGNING_KEY": ""}, None):
        settings.NINJA_JWT = none
        assert ask(signed(claims())).send().status_code == 200


@pytest.mark.parametrize("did", [OWNER, f"did:pkh:eip155:1:{OWNER.upper()}", f"did:x:{OWNER}", f":{OWNER}"])
def test_the_address_is_the_last_part_of_the_did(did: str) -> None:
    assert ask(signed(claims(did=did))).send().status_code == 200


def test_whose_stamps_are_written_is_the_tokens_business() -> None:
    request = good("cache_add_stamps").with_(headers=bearer(rows.RIVAL))
    answer = request.send().json()
    assert {stamp["address"] for stamp in answer["stamps"]} == {rows.RIVAL}


def test_kinds_of_credentials_do_not_stand_for_each_other() -> None:
    token = bearer()["Authorization"]
    refused(validate(Authorization=token), 401)
    refused(good("gtc_stake").with_(headers={"Authorization": token}), 401)
    refused(good("cache_get_score").with_(headers=INTERNAL), 401)
    refused(good("cache_get_score").with_(headers={"X-API-Key": rows.API_KEY}), 401)
    refused(good("gtc_stake").with_(headers={"X-API-Key": rows.API_KEY}), 401)


@pytest.mark.parametrize("operation", ["v2_score", "embed_validate_api_key"])
def test_a_key_whose_header_only_the_host_reads_counts(operation: str, one: Community) -> None:
    """Django's ``request.headers`` knows it; ``META`` has it under another name."""
    request = good(operation)
    answer = Client().get(request.path, **{"HTTP_X-API-KEY": rows.API_KEY})
    assert answer.status_code == 200
