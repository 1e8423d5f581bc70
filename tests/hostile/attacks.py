"""Credentials that were seen to stop a server: each is good but for what was added, so that didkit would be asked."""

from __future__ import annotations

import copy
from typing import Any

from api.demo_issuer import sign_credential

KNOWS = {"@id": "http://example.org/knows", "@type": "@id"}
LIST = {"@id": "http://example.org/list", "@container": "@list"}


def deep_type(address: str, dimensions: int = 8500) -> dict[str, Any]:
    """An array type of so many dimensions: read by recursion, it overflows the stack. 19 kB."""
    credential = sign_credential(address, "Google")
    document = credential["proof"]["eip712Domain"]["types"]["Document"]
    document.append({"name": "x", "type": "string" + "[]" * dimensions})
    credential["x"] = []
    return credential


def acquaintances(address: str, number: int) -> dict[str, Any]:
    """So many blank nodes that all know each other: six take 0.35 s, eight 25 s, eleven 3 GB."""
    credential, terms = _linked(address)
    terms["knows"] = KNOWS
    names = [f"_:b{each}" for each in range(number)]
    credential["credentialSubject"]["knows"] = [
        {"@id": name, "knows": [other for other in names if other != name]} for name in names
    ]
    return credential


def equal_items(address: str, number: int) -> dict[str, Any]:
    """A list of so many equal items, each a blank node: 256 take 4 s, 1,024 minutes."""
    credential, terms = _linked(address)
    terms["list"] = LIST
    credential["credentialSubject"]["list"] = ["a"] * number
    return credential


def alike(address: str, branches: int, leaves: int) -> dict[str, Any]:
    """Unnamed nodes in unnamed nodes that are alike: two of seven take 0.4 s, two of nine half a minute."""
    credential, terms = _linked(address)
    terms["p"] = "http://example.org/p"
    credential["credentialSubject"]["p"] = [{"p": [{} for _ in range(leaves)]} for _ in range(branches)]
    return credential


def heavy_contexts(address: str) -> dict[str, Any]:
    """Contexts that didkit has on board and takes 100 ms to read."""
    credential, _ = _linked(address)
    credential["@context"] += ["https://schema.org/", "https://w3id.org/traceability/v1"]
    return credential


def _linked(address: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """A credential signed over its JSON-LD, with what posting needs, and the terms of its own context."""
    credential = copy.deepcopy(sign_credential(address, "Google", hash="v0.0.0:attack", proof="ed25519"))
    credential["proof"]["proofValue"] = "0x"
    terms: dict[str, Any] = credential["credentialSubject"]["@context"][0]
    return credential, terms


def credentials(address: str) -> dict[str, dict[str, Any]]:
    """By name, of one address."""
    return {
        "deep type": deep_type(address),
        "deep type, less": deep_type(address, 3000),
        **{f"{number} acquaintances": acquaintances(address, number) for number in (6, 7, 8, 11)},
        "64 equal items": equal_items(address, 64),
        "1000 equal items": equal_items(address, 1000),
        "two of six alike": alike(address, 2, 6),
        "two of nine alike": alike(address, 2, 9),
        "heavy contexts": heavy_contexts(address),
    }
