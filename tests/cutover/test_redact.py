"""Nothing secret survives, wherever it stood; what is needed to send the request again does."""

import base64
import json
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scorer_fast.cutover import redact
from scorer_fast.cutover.redact import LARGEST, LONGEST_TEXT, REDACTED, Redactor, digest

ADDRESS = "0x" + "aB" * 20
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJkaWQiOiJkaWQ6cGtoOngifQ.8iLAfKQwU3Ftb0JpAZll"
API_KEY = "shaKEY01.Secret1aBSecret1aBSecret1aBSecret1aB"

# No word of these tests themselves, which stand in what is kept without being secret.
OWN_WORDS = Path(__file__).read_text() + Path(redact.__file__).read_text() + ADDRESS
SECRETS = st.text(
    st.characters(codec="utf-8", min_codepoint=33, exclude_categories=["Z", "C"]), min_size=8, max_size=40
).filter(lambda secret: secret not in OWN_WORDS)
NAMES = st.sampled_from(
    ["X-API-Key", "x-api-key", "X-Api-Key", "AUTHORIZATION", "Cookie", "X-Auth-Token", "Proxy-Authorization"]
)


def everything(redactor: Redactor, headers: dict[str, str], path: str, body: bytes, answer: Any) -> str:
    """All that would be stored, as one text with non-ASCII letters as they are."""
    kept = [
        redactor.headers(headers),
        redactor.path(path),
        redactor.body(body),
        redactor.json(answer),
        redactor.body(json.dumps(answer).encode()),
        redactor.text(str(answer)),
    ]
    return json.dumps(kept, ensure_ascii=False) + repr(kept)


@given(secret=SECRETS, name=NAMES)
def test_a_secret_of_a_header_survives_nowhere(secret: str, name: str) -> None:
    headers = {name: secret, "X-Other": f"see {secret}"}
    path = f"/v2/stamps/1/score/{ADDRESS}?a={quote(secret)}&b={quote_plus(secret)}"
    body = json.dumps({"deep": [{"er": secret, secret: 1}], "in": f"text {secret} text"}).encode()
    answer = {"detail": f"no {secret}!", secret: [secret], "raw": json.dumps({"x": secret})}
    kept = everything(Redactor(headers=headers, path=path, body=body), headers, path, body, answer)
    assert secret not in kept
    assert json.dumps(secret)[1:-1] not in kept
    assert quote(secret) not in kept
    assert ADDRESS in kept


@given(secret=SECRETS, scheme=st.sampled_from(["Bearer", "bearer", "Token", "Basic"]))
def test_the_word_after_a_scheme_survives_nowhere(secret: str, scheme: str) -> None:
    headers = {"Authorization": f"{scheme} {secret}"}
    kept = everything(Redactor(headers=headers), headers, "/", b"", {"repeated": [secret, f"<b>{secret}</b>"]})
    assert secret not in kept


@given(
    secret=SECRETS, name=st.sampled_from(["api_key", "X-API-KEY", "token", "access_token", "client_secret", "password"])
)
def test_a_secret_of_the_query_or_body_survives_nowhere(secret: str, name: str) -> None:
    path = f"/x?{name}={quote_plus(secret)}&plain=1"
    body = json.dumps({"outer": [{name: secret}]}).encode()
    kept = everything(Redactor(path=path, body=body), {}, path, body, {"echo": secret})
    assert secret not in kept
    assert quote_plus(secret) not in kept
    assert "plain=1" in kept


@given(secret=SECRETS)
def test_a_secret_that_is_given_survives_nowhere(secret: str) -> None:
    assert secret not in Redactor(secrets=[secret]).text(f"a page that says {secret} in the middle")


@given(before=st.text(max_size=20), after=st.text(max_size=20))
def test_what_looks_like_a_secret_goes_wherever_it_stands(before: str, after: str) -> None:
    redactor = Redactor()
    for look in (JWT, "eyJhbGciOiJFZERTQSJ9..c2lnbmF0dXJlc2lnbmF0dXJl", f" {API_KEY}"):
        text = f"{before} {look} {after}"
        for kept in (redactor.text(text), json.dumps(redactor.json({"a": [text]}), ensure_ascii=False)):
            assert look.strip() not in kept
            assert look.rpartition(".")[2] not in kept


@pytest.mark.parametrize(
    "text",
    [
        "Authorization: Bearer abcdefgh12345678",
        "x-api-key=abcdefgh12345678&y=1",
        '{"api_key": "abcdefgh12345678"}',
        "password = abcdefgh12345678",
        "sessionid=abcdefgh12345678; path=/",
        "/a?token=abcdefgh12345678",
        "token%3Dabcdefgh12345678",
        "pbkdf2_sha256$1000$abcdefgh12345678",
        "sha512$$abcdefgh12345678",
    ],
)
def test_named_secrets_in_free_text(text: str) -> None:
    assert "abcdefgh12345678" not in Redactor().text(text)


def test_basic_credentials_are_removed_decoded_too() -> None:
    encoded = base64.b64encode(b"user:correct-horse").decode()
    redactor = Redactor(headers={"Authorization": f"Basic {encoded}"})
    assert "correct-horse" not in redactor.text("the password correct-horse of user:correct-horse")


def test_cookies_are_removed_one_by_one() -> None:
    redactor = Redactor(headers={"Cookie": 'sessionid="abcdefgh1234"; csrf=zyxwvuts4321'})
    assert redactor.text("abcdefgh1234 and zyxwvuts4321") == f"{REDACTED} and {REDACTED}"


def test_signatures_become_digests_that_can_be_found_again() -> None:
    body = {
        "proof": {"proofValue": "0x96d8", "jws": "eyJhbGciOiJFZERTQSJ9..sig"},
        "proof_values": ["0x96d8", "0xother"],
    }
    kept = Redactor(body=json.dumps(body).encode()).json(body)
    assert kept["proof"] == {"proofValue": digest("0x96d8"), "jws": digest("eyJhbGciOiJFZERTQSJ9..sig")}
    assert kept["proof_values"] == [digest("0x96d8"), digest("0xother")]
    assert digest("0x96d8").startswith("<sha256:")


def test_what_is_needed_to_send_it_again_stays() -> None:
    body = {
        "scorer_id": 3,
        "stamps": [{"provider": "Google", "credentialSubject": {"id": f"did:pkh:eip155:1:{ADDRESS}"}}],
    }
    redactor = Redactor(headers={"X-API-Key": API_KEY, "Content-Type": "application/json"})
    assert redactor.json(body) == body
    assert redactor.headers({"X-API-Key": API_KEY, "Content-Type": "application/json"}) == {
        "X-API-Key": REDACTED,
        "Content-Type": "application/json",
    }
    path = f"/ceramic-cache/score/{ADDRESS}?alternate_scorer_id=5&token=x&flag"
    assert redactor.path(path) == f"/ceramic-cache/score/{ADDRESS}?alternate_scorer_id=5&token={REDACTED}&flag"
    assert redactor.path("/plain") == "/plain"


def test_kinds_of_values_stay() -> None:
    value = {"a": None, "b": True, "c": 2**70, "d": 1.5, "e": []}
    assert Redactor().json(value) == value
    assert Redactor().json({"a": b"bytes", "b": (1,)}) == {"a": "bytes", "b": [1]}


def test_a_short_secret_is_removed_where_it_stands_alone() -> None:
    redactor = Redactor(headers={"Cookie": "theme=1"}, path="/?token=1")
    assert redactor.json({"count": 1, "token": 1}) == {"count": 1, "token": REDACTED}


def test_a_number_that_is_a_secret_is_one_anywhere() -> None:
    redactor = Redactor(body=b'{"token": 1234567890}')
    assert redactor.json({"x": 1234567890}) == {"x": REDACTED}


def test_texts_are_cut_without_leaving_half_a_secret() -> None:
    text = "word " * (LONGEST_TEXT // 5) + "x" * 3
    assert Redactor().text(text).endswith("…")
    straddling = "a " * (LONGEST_TEXT // 2 - 10) + "tail " + JWT
    kept = Redactor().text(straddling)
    assert "eyJ" not in kept
    assert len(Redactor().text("x" * 2 * LONGEST_TEXT)) <= LONGEST_TEXT


def test_a_value_that_is_too_large_is_cut() -> None:
    kept = Redactor().json({"list": ["entry"] * (LARGEST // 5)})
    assert list(kept) == ["<cut>"]
    assert len(kept["<cut>"]) == LONGEST_TEXT


def test_a_body_that_is_no_json_stays_text() -> None:
    assert Redactor().body(b"") is None
    assert Redactor().body(b"<h1>Bearer abc</h1>") == {"<text>": f"<h1>Bearer {REDACTED}</h1>"}
    assert Redactor().body(b"\xff") == {"<text>": "\ufffd"}


def test_long_hostile_texts_take_no_time() -> None:
    for piece in ("eyJ", "a", "token", "A1b2C3d4.", "bearer ", "_-", " \t"):
        Redactor().text(piece * (200_000 // len(piece)))
    assert redact.SHORTEST < 8
