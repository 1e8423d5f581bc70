"""Signs stamps as an issuer of this repository's own, for demo data, tests and benchmarks.

Both keys stand here for everyone to read: settings.local and settings.test trust them, a server that others
reach must not.
"""

import asyncio
import json
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import islice
from typing import Any, Literal, cast

Proof = Literal["eip712", "ed25519"]

ISSUERS: dict[Proof, str] = {
    "eip712": "did:ethr:0xc686685b70777e5e1c5f878c2b26b806ddb5f9f1",
    "ed25519": "did:key:z6MkvurnCUs93M1vWvn7iswA4A2awpkxMu9mSEP2ivRXEE4j",
}
_KEYS: dict[Proof, str] = {
    "eip712": json.dumps(
        {
            "kty": "EC",
            "crv": "secp256k1",
            "x": "64EcUeJDbteAdelQZKctOp9wvu9y8yVP267wlFZPidk",
            "y": "X58YqB6vRmCNFe7L_ApSt3Zo5I9qGHBcMYzhKVqlQlg",
            "d": "OxU-CYsPC_W0iZaMouysu6AKEetIDHXLRDGH7qZ6a8E",
        }
    ),
    "ed25519": json.dumps(
        {
            "kty": "OKP",
            "crv": "Ed25519",
            "x": "9ItdzPPoesjB6SOR5Yx_2aKHdfpFAjEyzy9B2nbVAVQ",
            "d": "1q6bfPSSRrd_JcHlL9WtDj7NRwTF3eaH7AfGl3L8gxY",
        }
    ),
}
TEXT = "https://schema.org/Text"
BATCH = 1000  # signatures that wait at once


@dataclass(frozen=True)
class Claim:
    """What an issuer says of an address. Without `nullifiers` and `hash` it gets a nullifier of its own, with
    both it bears both; dates that are text are taken as they stand."""

    address: str
    provider: str
    nullifiers: list[str] | None = None
    hash: str | None = None
    issued: datetime | str | None = None
    expires: datetime | str | None = None
    proof: Proof = "eip712"


def issuer_did(proof: Proof = "eip712") -> str:
    return ISSUERS[proof]


def sign_credential(
    address: str,
    provider: str,
    *,
    nullifiers: list[str] | None = None,
    hash: str | None = None,
    issued: datetime | str | None = None,
    expires: datetime | str | None = None,
    proof: Proof = "eip712",
) -> dict[str, Any]:
    """One signed credential, as the stamp cache stores it; valid for 90 days unless `expires` says more."""
    return sign_credentials([Claim(address, provider, nullifiers, hash, issued, expires, proof)])[0]


def sign_credentials(claims: Iterable[Claim]) -> list[dict[str, Any]]:
    """The credentials in the order of the claims. About two thousand a second on one core."""
    remaining = iter(claims)
    signed: list[dict[str, Any]] = []
    while some := list(islice(remaining, BATCH)):
        signed += [json.loads(each.result()) for each in [_start(claim) for claim in some]]
    return signed


class _Answer(Future[str]):
    """What didkit takes for a future; it completes it from a thread of its own."""

    def add_done_callback(self, fn: Any) -> None:
        """didkit wants to be told when it is cancelled, which nobody does."""


class _Loop:
    """As much of an event loop as didkit needs: a real one that lives when the interpreter ends crashes it."""

    def __init__(self, answer: _Answer) -> None:
        self._answer = answer

    def create_future(self) -> _Answer:
        return self._answer

    def call_soon_threadsafe(self, callback: Any, *args: Any, context: Any = None) -> None:
        callback(*args)


def start(ask: Callable[[], object]) -> Future[str]:
    """Ask didkit without waiting for it; ``ask`` calls one of its functions, whose text the future will have."""
    answer, running = _Answer(), asyncio._get_running_loop()
    asyncio._set_running_loop(cast(Any, _Loop(answer)))
    try:
        ask()
    finally:
        asyncio._set_running_loop(running)
    return answer


def _start(claim: Claim) -> Future[str]:
    import didkit

    return start(lambda: didkit.issue_credential(json.dumps(_unsigned(claim)), _options(claim), _KEYS[claim.proof]))


def _written(when: datetime | str | None, default: timedelta) -> str:
    if isinstance(when, str):
        return when
    moment = datetime.now(UTC) + default if when is None else when.astimezone(UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _marks(claim: Claim) -> dict[str, Any]:
    """`hash`, `nullifiers` or both of the subject."""
    marks: dict[str, Any] = {}
    if claim.hash is not None:
        marks["hash"] = claim.hash
    if claim.nullifiers is not None:
        marks["nullifiers"] = claim.nullifiers
    return marks or {"nullifiers": [f"v0.0.0:{claim.provider}:{claim.address.lower()}"]}


def _unsigned(claim: Claim) -> dict[str, Any]:
    marks = _marks(claim)
    contexts = ["https://www.w3.org/2018/credentials/v1"]
    terms: dict[str, Any] = {"provider": TEXT}
    if claim.proof == "eip712":
        contexts.append("https://w3id.org/vc/status-list/2021/v1")
    if "hash" in marks:
        terms["hash"] = TEXT
    if "nullifiers" in marks:
        terms["nullifiers"] = {"@container": "@list", "@type": TEXT}
        if claim.proof == "ed25519":  # signed over its JSON-LD, which wants every term to have a name
            terms["nullifiers"]["@id"] = "https://schema.org/identifier"
    return {
        "@context": contexts,
        "type": ["VerifiableCredential"],
        "credentialSubject": {
            "id": f"did:pkh:eip155:1:{claim.address}",
            # The two formats differ here: the older one has a list.
            "@context": terms if claim.proof == "eip712" else [terms],
            **marks,
            "provider": claim.provider,
        },
        "issuer": ISSUERS[claim.proof],
        "issuanceDate": _written(claim.issued, timedelta(0)),
        "expirationDate": _written(claim.expires, timedelta(days=90)),
    }


def _options(claim: Claim) -> str:
    did = ISSUERS[claim.proof]
    if claim.proof == "ed25519":
        method = f"{did}#{did.removeprefix('did:key:')}"
        return json.dumps(
            {"type": "Ed25519Signature2018", "proofPurpose": "assertionMethod", "verificationMethod": method}
        )
    return json.dumps(
        {
            "type": "EthereumEip712Signature2021",
            "proofPurpose": "assertionMethod",
            "verificationMethod": f"{did}#controller",
            "eip712Domain": {
                "domain": {"name": "VerifiableCredential"},
                "primaryType": "Document",
                "types": _types(*sorted(_marks(claim))),
            },
        }
    )


@cache
def _types(*marks: str) -> dict[str, list[dict[str, str]]]:
    """The EIP-712 types of a stamp whose subject has these marks."""
    of_context = {"hash": "string", "nullifiers": "NullifiersContext", "provider": "string"}
    of_subject = {"hash": "string", "id": "string", "nullifiers": "string[]", "provider": "string"}
    unmarked = {"hash", "nullifiers"}.difference(marks)
    types = {
        "@context": {field: kind for field, kind in of_context.items() if field not in unmarked},
        "CredentialSubject": {"@context": "@context"}
        | {field: kind for field, kind in of_subject.items() if field not in unmarked},
        "Document": {
            "@context": "string[]",
            "credentialSubject": "CredentialSubject",
            "expirationDate": "string",
            "issuanceDate": "string",
            "issuer": "string",
            "proof": "Proof",
            "type": "string[]",
        },
        "EIP712Domain": {"name": "string"},
        "Proof": {
            "@context": "string",
            "created": "string",
            "proofPurpose": "string",
            "type": "string",
            "verificationMethod": "string",
        },
    }
    if "nullifiers" in marks:
        types["NullifiersContext"] = {"@container": "string", "@type": "string"}
    return {name: [{"name": field, "type": kind} for field, kind in fields.items()] for name, fields in types.items()}
