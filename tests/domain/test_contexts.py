"""Known contexts: every form that is written, and no way to give a signed value another name."""

import copy
import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from api.demo_issuer import sign_credential
from scorer_fast.domain.contexts import is_known
from scorer_fast.scoring import verifier_local
from tests.factories.rows import OWNER

CASES = Path(__file__).resolve().parents[1] / "contract"
OLD = sign_credential(OWNER, "Google", proof="ed25519", hash="v0.0.0:signed")
MARKS: list[dict[str, Any]] = [
    {"hash": "v0.0.0:x"},
    {"nullifiers": ["v0:x", "v1.2:y"]},
    {"hash": "v1:x", "nullifiers": []},
]
TEXT = "https://schema.org/Text"


@pytest.mark.parametrize("proof", ["eip712", "ed25519"])
@pytest.mark.parametrize("marks", MARKS)
def test_what_our_own_issuer_writes(proof: Any, marks: dict[str, Any]) -> None:
    assert is_known(json.dumps(sign_credential(OWNER, "Google", proof=proof, **marks)))


def test_what_the_recorded_cases_hold() -> None:
    """Every well-formed stamp of theirs but those with marks that are made up."""
    seen = 0

    def look(value: Any) -> None:
        nonlocal seen
        if isinstance(value, dict) and isinstance(value.get("proof"), dict) and "credentialSubject" in value:
            subject = value["credentialSubject"]
            marks = [subject.get("hash"), *(subject.get("nullifiers") or [])]
            if "@context" in subject and all(str(mark).startswith("v") for mark in marks if mark is not None):
                seen += 1
                assert is_known(json.dumps(value)), value
        elif isinstance(value, dict | list):
            for each in value.values() if isinstance(value, dict) else value:
                look(each)

    for path in sorted(CASES.glob("golden*/*.json.gz")):
        look(json.loads(gzip.decompress(path.read_bytes())))
    assert seen > 500


def terms(credential: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = credential["credentialSubject"]["@context"][0]
    return found


def renamed(credential: dict[str, Any]) -> None:
    """The signed hash under another name, and another one in its place, which means nothing."""
    subject = credential["credentialSubject"]
    terms(credential).update(mark=TEXT, hash=None)
    subject["mark"], subject["hash"] = subject["hash"], "v0.0.0:never seen"


def exchanged(credential: dict[str, Any]) -> None:
    """Both words mean the same, so that their values may change places: for the row's provider counts."""
    subject = credential["credentialSubject"]
    subject["hash"], subject["provider"] = subject["provider"], subject["hash"]


def said_further_out(credential: dict[str, Any]) -> None:
    renamed(credential)
    credential["@context"].append({"mark": TEXT, "hash": None})
    credential["credentialSubject"]["@context"] = [{"provider": TEXT}]


@pytest.mark.parametrize("change", [renamed, exchanged, said_further_out])
def test_a_signed_value_under_another_name(change: Any) -> None:
    """The signature is good: only the context tells."""
    credential = copy.deepcopy(OLD)
    change(credential)
    text = json.dumps(credential)
    assert verifier_local.verify([text], 60) == [True]
    assert not is_known(text)


@pytest.mark.parametrize(
    "change",
    [
        lambda credential: credential.update(evidence={}),
        lambda credential: credential["credentialSubject"].update(more=""),
        lambda credential: credential["credentialSubject"].pop("hash"),
        lambda credential: credential["credentialSubject"].update(hash=5),
        lambda credential: credential["credentialSubject"].update({"@context": []}),
        lambda credential: credential["credentialSubject"].update({"@context": [terms(credential)] * 2}),
        lambda credential: credential["credentialSubject"].pop("@context"),
        lambda credential: terms(credential).update(hash="https://schema.org/name"),
        lambda credential: terms(credential).update(hash={"@id": TEXT}),
        lambda credential: terms(credential).update(hash=[]),
        lambda credential: terms(credential).pop("provider"),
        lambda credential: credential.update({"@context": [*credential["@context"], {}]}),
        lambda credential: credential.update(type=["VerifiableCredential", "Other"]),
        lambda credential: credential.pop("type"),
        lambda credential: credential.update(credentialSubject=[credential["credentialSubject"]]),
    ],
)
def test_what_is_of_no_known_form(change: Any) -> None:
    credential = copy.deepcopy(OLD)
    change(credential)
    assert not is_known(json.dumps(credential))


@pytest.mark.parametrize("text", ["", "null", "[]", "5", "{}", '{"credentialSubject": null}', "[" * 2000])
def test_what_is_no_credential(text: str) -> None:
    assert not is_known(text)
