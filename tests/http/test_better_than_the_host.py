"""Section 7 of the contract, a test per row and alternative: where the host fails, this app says what is wrong.

Every one of these fails on the host: see its column there.
"""

import json
import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
from django.conf import settings as django_settings
from django.db import Error, connection
from django.db.models import JSONField, Value
from pytest_django import Settings

from api.account.models import Community
from api.demo_issuer import sign_credential
from tests.factories import rows, tables
from tests.factories.operations import TABLE
from tests.factories.requests import INTERNAL, Request, bearer, entry, good, key, subject
from tests.factories.rows import OWNER, RIVAL
from tests.http.unchanged import nothing_written, refused

pytestmark = pytest.mark.django_db

POSTING = ["embed_add_stamps", "cache_add_stamps", "cache_patch_stamps"]
WITH_BODY = [*POSTING, "cache_delete_stamps", "cache_calc_score", "check_bans", "check_revocations"]
TOKEN = ["cache_add_stamps", "cache_patch_stamps", "cache_delete_stamps", "cache_get_score", "cache_calc_score"]


@pytest.fixture(autouse=True)
def stored_stamp(one: Community) -> None:
    """An address that has a stamp and a score: what a failed posting must leave alone."""
    rows.stamps(OWNER, "Google", "Ens")
    good("internal_score").send()


def posting(operation: str, *stamps: Any, providers: tuple[str, ...] = ("Google", "Github")) -> Request:
    """A request that posts these credentials, whatever they are."""
    request = good(operation)
    if operation == "embed_add_stamps":
        return request.with_(body={"scorer_id": 1, "stamps": list(stamps)})
    body = [{"provider": provider, "stamp": stamp} for provider, stamp in zip(providers, stamps, strict=False)]
    return request.with_(body=body)


def changed(**fields: Any) -> dict[str, Any]:
    """A signed credential with top-level fields replaced."""
    return sign_credential(OWNER, "Google") | fields


def without(*path: str) -> dict[str, Any]:
    credential = sign_credential(OWNER, "Google")
    inner = credential
    for name in path[:-1]:
        inner = inner[name]
    del inner[path[-1]]
    return credential


# ---- posted stamps that cannot be stored


@pytest.mark.parametrize("operation", POSTING)
@pytest.mark.parametrize(
    "stamp",
    [
        lambda: without("proof"),
        lambda: without("proof", "proofValue"),
        lambda: changed(proof=None),
        lambda: changed(proof="0xabc"),
        lambda: changed(proof=[]),
        lambda: changed(proof={"proofValue": None}),
        lambda: changed(proof={"proofValue": 5}),
        lambda: changed(proof={"proofValue": "x" * 257}),
        lambda: sign_credential(OWNER, "Google", proof="ed25519"),
    ],
    ids=["no proof", "no value", "null", "text", "list", "null value", "number", "too long", "older proof"],
)
def test_without_proof_value(operation: str, stamp: Callable[[], Any]) -> None:
    refused(posting(operation, stamp()), 422, "A stamp must have a proof.proofValue of at most 256 characters.")


@pytest.mark.parametrize("operation", POSTING)
@pytest.mark.parametrize("stamp", ["text", 5, 1.5, True, [{}]], ids=str)
def test_a_stamp_that_is_no_object(operation: str, stamp: Any) -> None:
    refused(posting(operation, stamp), 422, "A stamp must be a JSON object.")


@pytest.mark.parametrize("stamp", [None, [], "", 0, False], ids=str)
@pytest.mark.parametrize("operation", ["embed_add_stamps", "cache_add_stamps"])
def test_a_stamp_that_is_nothing(operation: str, stamp: Any) -> None:
    refused(posting(operation, stamp), 422, "A stamp must be a JSON object.")


@pytest.mark.parametrize("stamp", [None, [], "", 0, False, {}], ids=str)
def test_patching_with_a_stamp_that_is_nothing_only_removes(stamp: Any) -> None:
    answer = posting("cache_patch_stamps", stamp).send()
    assert (answer.status_code, [one["provider"] for one in answer.json()["stamps"]]) == (200, ["Ens"])


@pytest.mark.parametrize(
    "subject",
    [{}, None, [], "text", {"provider": None}, {"provider": ""}, {"provider": 5}, {"provider": ["Google"]}],
    ids=str,
)
def test_embed_needs_the_subjects_provider(subject: Any) -> None:
    request = posting("embed_add_stamps", changed(credentialSubject=subject))
    refused(request, 422, "A stamp must name its provider in credentialSubject.provider.")
    refused(posting("embed_add_stamps", without("credentialSubject")), 422)


@pytest.mark.parametrize("operation", ["cache_add_stamps", "cache_patch_stamps", "cache_delete_stamps"])
@pytest.mark.parametrize("provider", [None, 5, [], {}], ids=str)
def test_the_cache_needs_the_payloads_provider(operation: str, provider: Any) -> None:
    for bad in ({"provider": provider}, {}):
        found = refused(good(operation).with_(body=[bad | {"stamp": changed()}]), 422)
        assert found[0]["loc"] == ["body", "payload", 0, "provider"]


@pytest.mark.parametrize("operation", POSTING)
def test_two_entries_with_a_stamp_for_one_provider(operation: str) -> None:
    request = posting(operation, changed(), changed(), providers=("Google", "Google"))
    refused(request, 422, "Two entries bring a stamp for the same provider.")


def test_patching_a_provider_once_with_and_once_without_a_stamp_is_no_clash() -> None:
    body = [entry("Google"), {"provider": "Google"}]
    assert good("cache_patch_stamps").with_(body=body).send().status_code == 200


@pytest.mark.parametrize("operation", POSTING)
def test_one_bad_stamp_keeps_the_good_ones_out(operation: str) -> None:
    github = sign_credential(OWNER, "Github")
    refused(posting(operation, github, without("proof"), providers=("Github", "Google")), 422)


# ---- sizes, scorers, communities


@pytest.mark.parametrize("operation", [*POSTING, "cache_delete_stamps", "check_revocations"])
def test_more_than_a_hundred(operation: str) -> None:
    request = good(operation)
    if operation == "embed_add_stamps":
        request = request.with_(body={"scorer_id": 1, "stamps": [{}] * 101})
    elif operation == "check_revocations":
        request = request.with_(body={"proof_values": ["p"] * 101})
    else:
        request = request.with_(body=[{"provider": f"P{number}", "stamp": {}} for number in range(101)])
    refused(request, 422, "You have submitted too many stamps.")


def test_embed_add_stamps_for_an_unknown_scorer() -> None:
    stamps = [changed()]
    for scorer_id in (999, "999", -1, 2**63, 10**30):
        request = good("embed_add_stamps").with_(body={"scorer_id": scorer_id, "stamps": stamps})
        refused(request, 400, "Invalid scorer_id")


@pytest.mark.parametrize("asked", ["999", "-1", "one", "1.5", "1e3", "0x1", "%00", "9" * 40, "9" * 5000, "NaN"])
def test_embed_weights_of_no_community(asked: str) -> None:
    refused(Request("GET", f"/internal/embed/weights?community_id={asked}"), 404)


# ---- tokens and scorers of the cache


def signed(**claims: Any) -> dict[str, str]:
    given = {"token_type": "access", "exp": int(time.time()) + 60, "jti": "j", "did": f"did:pkh:eip155:1:{OWNER}"}
    given = {name: value for name, value in (given | claims).items() if value is not ...}
    return {"Authorization": f"Bearer {jwt.encode(given, django_settings.SECRET_KEY, algorithm='HS256')}"}


@pytest.mark.parametrize("operation", TOKEN)
@pytest.mark.parametrize(
    "did", [..., None, "", 5, [], {"did": 1}, "did:pkh:eip155:1:", "did:pkh:eip155:1:me.eth", OWNER + ":"]
)
def test_a_token_without_did_or_whose_address_is_none(operation: str, did: Any) -> None:
    refused(good(operation).with_(headers=signed(did=did)), 401)


@pytest.mark.parametrize("scorer_id", [None, "", "one", 1.5, [], {}], ids=str)
def test_calc_score_for_a_scorer_that_is_no_number(scorer_id: Any) -> None:
    refused(good("cache_calc_score").with_(body={"alternate_scorer_id": scorer_id}), 422)


# ---- bans


def test_bans_of_a_null_hash() -> None:
    rows.ban(type="hash", hash="")
    request = good("check_bans").with_(body=[subject(hash=None), subject(hash=None, provider="Github")])
    response = request.send()
    nothing = {"hash": None, "is_banned": False, "ban_type": None, "end_time": None, "reason": None}
    assert (response.status_code, response.json()) == (200, [nothing, nothing])


def test_bans_of_a_null_id() -> None:
    request = good("check_bans")
    refused(request.with_(body=[subject(id=None)]), 400, "Must provide valid credential(s)")
    refused(request.with_(body=[subject(id=None), subject(id=None)]), 400, "Must provide valid credential(s)")


# ---- what no table can hold

UNHOLDABLE = {
    "an escaped NUL": rb"\u0000",
    "a NUL behind an escaped backslash": rb"\\\u0000",
    "a lone high surrogate": rb"\ud800",
    "a lone low surrogate": rb"\udfff",
    "surrogates the wrong way round": rb"\udc00\ud800",
    "bytes of a surrogate": b"\xed\xa0\x80",
}


def marked(operation: str) -> bytes:
    """A body in which ``@@`` stands wherever a client can put a text."""
    stamp = changed(note={"deep": ["@@"]}) | {"@@": 1}
    body: Any = {
        "embed_add_stamps": {"scorer_id": 1, "stamps": [stamp]},
        "cache_add_stamps": [{"provider": "Google", "stamp": stamp}],
        "cache_patch_stamps": [{"provider": "Google", "stamp": stamp}],
        "cache_delete_stamps": [{"provider": "Google@@"}],
        "cache_calc_score": {"alternate_scorer_id": 1, "note": "@@"},
        "check_bans": [subject(hash="@@", provider="@@", id=f"did:@@:{OWNER}")],
        "check_revocations": {"proof_values": ["@@"]},
    }[operation]
    return json.dumps(body).encode()


STORING = [operation for operation in WITH_BODY if operation != "cache_calc_score"]  # or comparing
NOT_STORABLE = "The request holds a character, number or nesting that cannot be stored."


def not_storable(request: Request) -> None:
    """Refused by this app's own check, or by a form that takes no such text."""
    found = refused(request, 422)
    assert found == NOT_STORABLE or found[0]["type"] == "string_unicode"


@pytest.mark.parametrize("operation", STORING)
@pytest.mark.parametrize("bad", UNHOLDABLE)
def test_texts_no_table_can_hold(operation: str, bad: str) -> None:
    not_storable(good(operation).with_(raw=marked(operation).replace(b"@@", UNHOLDABLE[bad])))


@pytest.mark.parametrize("operation", WITH_BODY)
def test_bytes_that_are_no_text(operation: str) -> None:
    raw = marked(operation).replace(b"@@", b"\xff")
    refused(good(operation).with_(raw=raw), 400, "Cannot parse request body")


@pytest.mark.parametrize("operation", STORING)
@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "utf-16-le"])
def test_a_nul_in_another_encoding(operation: str, encoding: str) -> None:
    not_storable(good(operation).with_(raw=marked(operation).replace(b"@@", rb"\u0000").decode().encode(encoding)))


def ignored(operation: str, value: bytes) -> Request:
    """A good request with one more member, which nobody reads."""
    request = good(operation)
    raw = json.dumps(request.body).encode()
    at = raw.rindex(b"}")
    return request.with_(raw=raw[:at] + b', "x": ' + value + raw[at:])


def answered_as_ever(request: Request, operation: str) -> None:
    assert request.send().status_code == TABLE[operation].status


@pytest.mark.parametrize("operation", WITH_BODY)
@pytest.mark.parametrize(
    "value", [rb'"\u0000"', rb'{"\ud800": 1}', b"NaN", b"-Infinity", b"1e999", b"[" * 250 + b"]" * 250], ids=repr
)
def test_what_nobody_reads_may_be_anything(operation: str, value: bytes) -> None:
    answered_as_ever(ignored(operation, value), operation)


def test_the_provider_of_a_ban_is_compared_here_and_may_be_any_text() -> None:
    answered_as_ever(good("check_bans").with_(body=[subject(provider="\x00")]), "check_bans")


@pytest.mark.parametrize(
    "fine", [rb"\\u0000", rb"\ud83d\ude00", "😀".encode(), rb"\\ud800", b"\xe2\x80\xa8"], ids=ascii
)
def test_texts_that_only_look_like_it(fine: bytes) -> None:
    raw = marked("cache_add_stamps").replace(b"@@", fine)
    assert good("cache_add_stamps").with_(raw=raw).send().status_code == 201


@pytest.mark.parametrize("operation", POSTING)
@pytest.mark.parametrize("number", [b"NaN", b"Infinity", b"-Infinity", b"1e999", b"-1e999"])
def test_numbers_that_are_none(operation: str, number: bytes) -> None:
    request = posting(operation, changed(note={"deep": ["@"]}))
    raw = json.dumps(request.body).encode().replace(b'"@"', number)
    refused(request.with_(raw=raw), 422, NOT_STORABLE)


@pytest.mark.parametrize("number", [b"NaN", b"Infinity", b"1e999", b"1.5", b"1" * 5000])
@pytest.mark.parametrize("operation", ["cache_calc_score", "embed_add_stamps"])
def test_scorers_that_are_no_whole_number(operation: str, number: bytes) -> None:
    request = good(operation)
    raw = json.dumps(request.body).encode().replace(b'scorer_id": 1', b'scorer_id": ' + number)
    refused(request.with_(raw=raw), 400 if len(number) > 4300 else 422)


@pytest.mark.parametrize("operation", POSTING)
@pytest.mark.parametrize("depth", [250, 5_000, 200_000])
@pytest.mark.parametrize("brackets", [(b"[", b"]"), (b'{"a":', b"}")], ids=["lists", "objects"])
def test_nesting_without_end(operation: str, depth: int, brackets: tuple[bytes, bytes]) -> None:
    nested = brackets[0] * depth + b"1" + brackets[1] * depth
    request = posting(operation, changed(note={"deep": "@"}))
    raw = json.dumps(request.body).encode().replace(b'"@"', nested)
    with nothing_written():
        assert request.with_(raw=raw).send().status_code == (422 if depth == 250 else 400)


@pytest.mark.parametrize("depth", [5_000, 200_000])
@pytest.mark.parametrize("operation", WITH_BODY)
def test_nesting_that_no_parser_reads(operation: str, depth: int) -> None:
    refused(ignored(operation, b"[" * depth + b"]" * depth), 400, "Cannot parse request body")


@pytest.mark.parametrize("operation", POSTING)
def test_a_provider_longer_than_its_column(operation: str) -> None:
    longest, too_long = "p" * 256, "p" * 257
    credential = changed()
    credential["credentialSubject"]["provider"] = too_long
    request = posting(operation, credential, providers=(too_long,))
    refused(request, 422, "A provider has at most 256 characters.")
    credential["credentialSubject"]["provider"] = longest
    assert posting(operation, credential, providers=(longest,)).send().status_code in (200, 201)


@pytest.mark.parametrize("operation", POSTING)
@pytest.mark.parametrize("field", ["issuanceDate", "expirationDate"])
@pytest.mark.parametrize(
    "date",
    ["", "tomorrow", "2099-02-30T00:00:00Z", "2099-13-01", "2099-01-01T25:00:00Z", 4102444800, [], {}, True,
     "0001-01-01T00:00:00+14:00", "99999-01-01T00:00:00Z"],
    ids=str,
)  # fmt: skip
def test_a_date_that_is_none(operation: str, field: str, date: Any) -> None:
    request = posting(operation, changed(**{field: date}))
    refused(request, 422, "issuanceDate and expirationDate must be ISO 8601 dates.")


@pytest.mark.parametrize(
    "path",
    [
        f"/internal/allow-list/a%00b/{OWNER}",
        "/internal/allow-list/friends/0x%00",
        "/internal/customization/credential/a%00b",
        "/internal/embed/weights?community_id=%00",
        "/ceramic-cache/stamp?address=%00",
        f"/v2/stamps/1/score/{OWNER}%00",
        f"/internal/stake/gtc/{OWNER}%00",
        "/internal/cgrants/contributor_statistics?address=%00",
    ],
)
def test_a_nul_in_the_path_or_query(path: str) -> None:
    headers = key() if path.startswith("/v2") else INTERNAL
    with nothing_written():
        assert 400 <= Request("GET", path, headers=headers).send().status_code < 500


# ---- API keys


@pytest.mark.parametrize("operation", ["v2_score", "embed_validate_api_key"])
@pytest.mark.parametrize(
    "columns",
    [
        {"expiry_date": datetime.now(UTC) - timedelta(seconds=1)},
        {"revoked": True},
        {"revoked": True, "expiry_date": datetime.now(UTC) + timedelta(days=1)},
    ],
    ids=["expired", "revoked", "revoked before it expires"],
)
def test_keys_that_no_longer_count(operation: str, columns: dict[str, Any], one: Community) -> None:
    rows.api_key(one.account, "gone0001.secret", **columns)
    refused(good(operation).with_(headers=key("gone0001.secret")), 401, "Invalid API Key.")


@pytest.mark.parametrize("operation", ["v2_score", "embed_validate_api_key"])
def test_keys_of_restframework_api_key_3(operation: str, one: Community) -> None:
    rows.api_key(one.account, "sha51201.secret", "sha512")
    assert good(operation).with_(headers=key("sha51201.secret")).send().status_code == 200
    refused(good(operation).with_(headers=key("sha51201.wrong")), 401, "Invalid API Key.")


def test_a_key_that_may_not_read_scores(one: Community, settings: Settings) -> None:
    rows.api_key(one.account, "noread01.secret", read_scores=False)
    request = good("v2_score").with_(headers=key("noread01.secret"))
    refused(request, 403, "Invalid permissions for action.")
    assert good("embed_validate_api_key").with_(headers=request.headers).send().status_code == 200
    settings.SCORER_FAST = {**settings.SCORER_FAST, "ENFORCE_READ_SCORES": False}
    assert request.send().status_code == 200


# ---- somebody else's address


@pytest.mark.parametrize("operation", ["cache_get_score", "cache_calc_score"])
def test_an_address_that_is_not_the_tokens(operation: str, settings: Settings) -> None:
    request = good(operation, RIVAL).with_(headers=bearer(OWNER))
    refused(request, 401, "Address in path does not match address in JWT")
    own = good(operation)
    assert own.with_(path=own.path.replace("a11ce", "A11CE")).send().status_code == 200
    settings.SCORER_FAST = {**settings.SCORER_FAST, "ENFORCE_TOKEN_ADDRESS": False}
    assert request.send().status_code == 200


# ---- stamps of the cache that cannot be read


def broken(**fields: Any) -> Any:
    return sign_credential(OWNER, "Broken") | fields


def broken_subject(**fields: Any) -> Any:
    credential = sign_credential(OWNER, "Broken")
    credential["credentialSubject"] |= fields
    return credential


UNREADABLE = {
    "no expirationDate": lambda: {k: v for k, v in broken().items() if k != "expirationDate"},
    "expirationDate null": lambda: broken(expirationDate=None),
    "expirationDate without offset": lambda: broken(expirationDate="2099-01-01T00:00:00"),
    "expirationDate a number": lambda: broken(expirationDate=4102444800),
    "expirationDate no date": lambda: broken(expirationDate="some day"),
    "a nullifier that is a number": lambda: broken_subject(nullifiers=[5]),
    "a nullifier that is null": lambda: broken_subject(nullifiers=["v0:a", None]),
    "a nullifier that is an object": lambda: broken_subject(nullifiers=[{"v0": "a"}]),
    "a nullifier too long for its column": lambda: broken_subject(nullifiers=["v0:" + "x" * 100]),
    "a number no double can hold": lambda: broken_subject(hash=10**400),
    "nullifiers that are a text": lambda: broken_subject(nullifiers="v0:a"),
}
NO_CREDENTIAL = {
    "null": Value(None, JSONField()),
    "nothing": {},
    "a list": [1],
    "a text": "stamp",
    "a number": 5,
    "a giant number": 10**400,
    "an issuer that is a giant number": {"issuer": 10**400},
    "no subject": {"issuer": rows.world.ISSUERS["eip712"], "expirationDate": "2099-01-01T00:00:00Z"},
    "a subject that is a list": {"credentialSubject": [1], "issuer": 1},
}
SCORING = ["v2_score", "internal_score", "embed_score", "cache_calc_score"]


@pytest.mark.parametrize("operation", SCORING)
@pytest.mark.parametrize("reason", UNREADABLE)
def test_an_unreadable_stamp_is_left_out_and_logged(
    operation: str, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    stamp = rows.stored(OWNER, "Broken", UNREADABLE[reason]())
    with caplog.at_level(logging.WARNING, "scorer_fast"):
        response = good(operation).send()
    assert response.status_code == 200
    score = response.json().get("score")
    assert (score["score"] if isinstance(score, dict) else score) == "14.00000"
    (record,) = [record for record in caplog.records if "left out" in record.message]
    assert (record.ceramic_cache_id, record.provider) == (stamp.pk, "Broken")
    assert [row["provider"] for row in tables.rows("registry_stamp", "provider")] == ["Google", "Ens"]


@pytest.mark.parametrize("operation", SCORING)
@pytest.mark.parametrize("what", NO_CREDENTIAL)
def test_what_is_no_credential_is_left_out(operation: str, what: str) -> None:
    rows.stored(OWNER, "Broken", NO_CREDENTIAL[what])
    response = good(operation).send()
    assert response.status_code == 200
    assert len(tables.rows("registry_stamp")) == 2


# ---- nullifiers


def links() -> dict[str, tuple[str, datetime]]:
    return {
        row["hash"]: (row["address"], datetime.fromisoformat(row["expires_at"]))
        for row in tables.rows("registry_hashscorerlink")
    }


def test_two_stamps_that_share_a_nullifier() -> None:
    sooner, later = rows.soon(3600).replace(microsecond=0), rows.soon(7200).replace(microsecond=0)
    rows.stamps(OWNER, "Github", nullifiers=["v0:shared"], expires=later)
    rows.stamps(OWNER, "NFT", nullifiers=["v0:shared"], expires=sooner)
    answer = good("v2_score").send().json()
    assert {name for name, stamp in answer["stamps"].items() if not stamp["dedup"]} == {
        "Google", "Ens", "Github", "NFT",
    }  # fmt: skip
    assert links()["v0:shared"] == (OWNER, later)


def test_a_nullifier_that_takes_no_part_need_not_fit(settings: Settings) -> None:
    """With the flag off only `v0` is linked: what else is listed bothers nobody, and is too long for a key."""
    settings.FF_MULTI_NULLIFIER = "off"
    Community.objects.update(human_points_program=True)
    rows.stamps(OWNER, "Biometrics", nullifiers=["v0:fits", "v1:" + "x" * 100])
    answer = good("v2_score").send().json()
    assert (answer["score"], answer["passing_score"]) == ("30.02100", True)
    assert answer["stamps"]["Biometrics"]["dedup"] is False
    assert [name for name in links() if name.startswith("v0:")] == ["v0:fits"]
    awarded = {(row["action"], row["provider"]) for row in tables.rows("registry_humanpoints")}
    assert awarded == {("HBI", ""), ("HKY", "Google"), ("HKY", "Ens")}


def test_a_stamp_with_own_and_clashing_nullifiers() -> None:
    far = rows.FAR
    rows.link("v0:mine", OWNER, far - timedelta(days=1))
    rows.link("v0:theirs", RIVAL, far)
    rows.stamps(OWNER, "Github", nullifiers=["v0:mine", "v0:theirs", "v0:free"])
    answer = good("v2_score").send().json()
    assert answer["stamps"]["Github"]["dedup"] is True
    assert answer["score"] == "14.00000"
    found = links()
    assert found["v0:mine"] == (OWNER, far - timedelta(days=1))
    assert found["v0:theirs"] == (RIVAL, far)
    assert found["v0:free"] == (RIVAL, far)


# ---- half-way


WRITTEN = [
    "ceramic_cache_ceramiccache",
    "registry_passport",
    "registry_hashscorerlink",
    "registry_stamp",
    "registry_humanpoints",
    "registry_humanpointscommunityqualifiedusers",
    "registry_score",
    "registry_event",
]


@pytest.mark.parametrize("operation", ["cache_add_stamps", "cache_patch_stamps", "embed_add_stamps"])
@pytest.mark.parametrize("table", WRITTEN)
def test_a_failure_half_way_leaves_nothing(table: str, operation: str) -> None:
    """The database itself refuses to write one of the tables."""
    Community.objects.update(human_points_program=True)
    rows.stamps(RIVAL, "Ens", "Google")
    with connection.cursor() as cursor:
        cursor.execute("CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'on purpose'; END $$")
        cursor.execute(f'CREATE TRIGGER fail BEFORE INSERT ON "{table}" FOR EACH ROW EXECUTE FUNCTION fail()')
    biometrics = sign_credential(RIVAL, "Biometrics")
    request = posting(operation, biometrics, providers=("Biometrics",))
    request = request.with_(path=request.path.replace(OWNER, RIVAL))
    if operation != "embed_add_stamps":
        request = request.with_(headers=bearer(RIVAL))
    with nothing_written(), pytest.raises(Error, match="on purpose"):
        request.send()
    with connection.cursor() as cursor:
        cursor.execute(f'DROP TRIGGER fail ON "{table}"')
    assert request.send().status_code in (200, 201)
    counted = {row["provider"] for row in tables.rows("registry_stamp")}
    assert counted == {"Google", "Ens", "Biometrics"}
