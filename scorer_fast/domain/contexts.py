"""The forms of context that issuers here write, for owners who demand one of them (``STRICT_CONTEXT``).

A credential signed over its JSON-LD is signed for what its words mean, not for the words, and what they mean is said by
a context within the credential, which is not signed as such. So the holder can rename a signed term and write another
value under its old name, or exchange two terms of one meaning: the signature stays good, and a mark that deduplication
has seen becomes one that it has not.
"""

from __future__ import annotations

import re
from typing import Any, Final

import orjson

_TEXT = "https://schema.org/Text"
_LIST = {"@container": "@list", "@type": _TEXT}
CREDENTIAL: Final = frozenset(
    {"@context", "type", "credentialSubject", "issuer", "issuanceDate", "expirationDate", "proof"}
)
CONTEXTS: Final = (
    ["https://www.w3.org/2018/credentials/v1"],
    ["https://www.w3.org/2018/credentials/v1", "https://w3id.org/vc/status-list/2021/v1"],
)
TERMS: Final[dict[str, list[Any]]] = {
    "provider": [_TEXT],
    "hash": [_TEXT],
    "nullifiers": [_LIST, _LIST | {"@id": "https://schema.org/identifier"}],
}
MARK: Final = re.compile(r"v\d+(\.\d+)*:")  # how a hash or nullifier begins, and no provider


def is_known(text: str) -> bool:
    """Whether the credential has one of the known forms: members, contexts and terms, each meaning what it should."""
    try:
        credential = orjson.loads(text)
        subject = credential["credentialSubject"]
        terms = subject["@context"]
        if isinstance(terms, list):
            (terms,) = terms
        return (
            CREDENTIAL.issuperset(credential)
            and credential["type"] == ["VerifiableCredential"]
            and credential["@context"] in CONTEXTS
            and {"provider"} < set(terms) <= set(TERMS)
            and all(meaning in TERMS[term] for term, meaning in terms.items())
            and set(subject) == {"id", "@context", *terms}
            and MARK.match(subject["provider"]) is None
            and all(map(MARK.match, [subject["hash"]] if "hash" in terms else []))
            and all(map(MARK.match, subject.get("nullifiers", [])))
        )
    except (ValueError, LookupError, TypeError, AttributeError):  # of another shape
        return False
