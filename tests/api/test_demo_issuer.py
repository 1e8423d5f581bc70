"""What the demo issuer signs is what didkit accepts, in both formats."""

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import didkit
import pytest

from api import demo_issuer
from api.demo_issuer import Claim, Proof, issuer_did, sign_credential, sign_credentials

ROOT = Path(__file__).resolve().parents[2]
ADDRESS = "0x" + "ab" * 20


def errors(credential: dict[str, Any]) -> list[str]:
    """What didkit has against it."""
    options = '{"proofPurpose":"assertionMethod"}'
    asked = demo_issuer.start(lambda: didkit.verify_credential(json.dumps(credential), options))
    found: list[str] = json.loads(asked.result())["errors"]
    return found


@pytest.mark.parametrize(("proof", "method"), [("eip712", "ethr"), ("ed25519", "key")])
def test_the_did_is_that_of_the_key(proof: Proof, method: str) -> None:
    assert issuer_did(proof) == didkit.key_to_did(method, demo_issuer._KEYS[proof])


@pytest.mark.parametrize("proof", ["eip712", "ed25519"])
@pytest.mark.parametrize(
    "marks",
    [{"hash": "v0.0.0:h"}, {"nullifiers": ["v0:a", "v1:b"]}, {"hash": "v0.0.0:h", "nullifiers": ["v0:a"]}, {}],
    ids=str,
)
def test_credentials_verify_until_they_are_changed(proof: Proof, marks: dict[str, Any]) -> None:
    credential = sign_credential(ADDRESS, "Google", proof=proof, **marks)
    subject = credential["credentialSubject"]
    assert credential["issuer"] == issuer_did(proof)
    assert subject["id"] == f"did:pkh:eip155:1:{ADDRESS}"
    assert subject["provider"] == "Google"
    expected = marks or {"nullifiers": [f"v0.0.0:Google:{ADDRESS}"]}
    assert {name: subject[name] for name in ("hash", "nullifiers") if name in subject} == expected
    assert ("proofValue" in credential["proof"]) == (proof == "eip712")
    assert errors(credential) == []
    subject["provider"] = "Github"
    assert errors(credential) != []


def test_dates_are_written_in_utc_or_as_they_were_given() -> None:
    noon = datetime(2026, 1, 1, 12, tzinfo=UTC)
    credential = sign_credential(ADDRESS, "Google", issued=noon, expires="2099-01-01T00:00:00+02:00")
    assert credential["issuanceDate"] == "2026-01-01T12:00:00Z"
    assert credential["expirationDate"] == "2099-01-01T00:00:00+02:00"
    plain = sign_credential(ADDRESS, "Google")
    life = datetime.fromisoformat(plain["expirationDate"]) - datetime.fromisoformat(plain["issuanceDate"])
    assert timedelta(days=89) < life < timedelta(days=91)


def test_a_batch_keeps_the_order_of_its_claims(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo_issuer, "BATCH", 3)
    names = [f"Provider{number}" for number in range(8)]
    signed = sign_credentials(Claim(ADDRESS, name) for name in names)
    assert [credential["credentialSubject"]["provider"] for credential in signed] == names
    assert sign_credentials([]) == []


def test_a_process_that_signs_ends_as_it_should() -> None:
    """An event loop on a thread crashed three interpreters in ten as they ended, `make run` among them."""
    sign = "from api.demo_issuer import sign_credential; sign_credential('0x' + '11' * 20, 'Google')"
    ends = [subprocess.run([sys.executable, "-c", sign], cwd=ROOT, check=False).returncode for _ in range(8)]
    assert ends == [0] * 8
