"""What a credential may be made of before native code sees it. Invariant: didkit is never given what is beyond.

didkit works in time and stack that depend on the shape of what it reads. A credential signed over its JSON-LD is
brought into a canonical order, which takes time exponential in the number of blank nodes that resemble each other, and
cubic in the number of equal items of a list; a type of EIP-712 is read by recursion over its array dimensions. None of
that depends on a good signature. So the shape is bounded, at a size that no issuer's format comes near: the largest
credential of the recorded cases is written beside each bound.

Anything else that it may do with a credential within the bounds takes milliseconds (``tests/hostile``).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

import orjson

EIP712 = "EthereumEip712Signature2021"  # signed over typed data: its JSON-LD is never looked at
ED25519 = "Ed25519Signature2018"  # signed over its JSON-LD

CHARACTERS: Final = 16_384  # 2,400: the text, as PostgreSQL writes it
DEPTH: Final = 10  # 6: objects and lists in each other
VALUES: Final = 1_000  # 101: members of objects and items of lists, all in all
OBJECTS: Final = 16  # 5: outside the EIP-712 types
TYPES: Final = 16  # 6: of EIP-712
FIELDS: Final = 32  # 7: of one such type
DIMENSIONS: Final = 4  # 1: of an array type
NODES: Final = 32  # 8: objects and items of a credential signed over JSON-LD, each of which may be a blank node
PROOF_TYPES: Final = frozenset({EIP712, ED25519})
# Contexts that may be loaded. didkit has some thirty more on board, of which two take it 50 ms each time.
CONTEXTS: Final = frozenset(
    {
        "https://www.w3.org/2018/credentials/v1",
        "https://w3id.org/vc/status-list/2021/v1",
        "https://w3id.org/security/v1",
        "https://w3id.org/security/v2",
        "https://w3id.org/security/suites/ed25519-2018/v1",
        "https://w3id.org/security/suites/ed25519-2020/v1",
        "https://w3id.org/security/suites/eip712sig-2021/v1",
    }
)
# Words of JSON-LD that make no graphs, no nodes out of sight and no names by concatenation.
KEYWORDS: Final = frozenset(
    {"@context", "@id", "@type", "@container", "@list", "@set", "@value", "@language", "@version", "@protected"}
)
BLANK: Final = "_:"  # begins the name of a blank node: none may be named

_KEYWORD = re.compile('"(@[^"]*)"')


def check(credential: str | Mapping[str, Any]) -> str | None:
    """Why didkit must not see this credential, in words for the log; None where it may.

    To be called for every candidate that didkit is about to be asked about, with the very text that it would be
    given, in every way of asking; what is remembered needs no asking. A stamp with a reason is unreadable: left out,
    counted and logged like :class:`.credentials.Unreadable`. Some 20 µs for a stamp of 2 kB.
    """
    reason = _reason(credential)
    return None if reason is None else f"beyond the bounds: {reason}"


def _reason(credential: str | Mapping[str, Any]) -> str | None:
    text = credential if isinstance(credential, str) else json.dumps(credential, ensure_ascii=False)
    if len(text) > CHARACTERS:
        return f"more than {CHARACTERS} characters"
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        return "it is no JSON"
    if not isinstance(value, dict):
        return "it is no object"
    proof = value.get("proof")
    if not isinstance(proof, dict):
        return "its proof is no object"
    kind = proof.get("type")
    if kind == EIP712:
        domain = proof.get("eip712Domain")
        types = domain.get("types") if isinstance(domain, dict) else None
        return _check_types(types) or _check_shape(value, types)
    if kind == ED25519:
        if "\\u" in text:  # a character in other words, which PostgreSQL writes of none that matters here
            text = orjson.dumps(value).decode()
        return _check_words(text) or _check_shape(value, None, is_linked=True)
    return "its proof is of an unknown type"


def _check_types(types: Any) -> str | None:
    """The types of EIP-712: a list of fields by name, each a name and a type."""
    if types is None:  # then they are derived from the credential
        return None
    if not isinstance(types, dict):
        return "its types are no object"
    if len(types) > TYPES:
        return f"more than {TYPES} types"
    for fields in types.values():
        if not isinstance(fields, list):
            return "a type is no list of fields"
        if len(fields) > FIELDS:
            return f"a type of more than {FIELDS} fields"
        for field in fields:
            if type(field) is not dict or len(field) != 2:
                return "a field is not a name and a type"
            kind = field.get("type")
            if type(kind) is not str or type(field.get("name")) is not str:
                return "a field is not a name and a type"
            if kind[-1:] == "]" and kind.count("[") > DIMENSIONS:
                return f"more than {DIMENSIONS} array dimensions"
    return None


def _check_words(text: str) -> str | None:
    """The words of JSON-LD, whatever they stand for."""
    if '"' + BLANK in text:
        return "a blank node is named"
    if not KEYWORDS.issuperset(_KEYWORD.findall(text)):
        return "a word of JSON-LD that no format has"
    return None


def _check_shape(credential: dict[str, Any], types: Any, *, is_linked: bool = False) -> str | None:
    """Depth and numbers of a credential, ``types`` apart, wherever in it they are; the contexts where it is linked."""
    values = objects = items = 0
    level: list[Any] = [credential]
    for _ in range(DEPTH):
        below: list[Any] = []
        for each in level:
            values += len(each)
            inner: Iterable[Any] = each
            if type(each) is dict:
                objects += 1
                inner = each.values()
                if is_linked and not _are_known(each.get("@context")):
                    return "a context that is not known"
            else:
                items += len(each)
            for value in inner:
                kind = type(value)
                if kind is str:
                    # Also elsewhere: didkit knows more than one name for the member that holds the types.
                    if value[-1:] == "]" and value.count("[") > DIMENSIONS:
                        return f"more than {DIMENSIONS} array dimensions"
                elif (kind is dict or kind is list) and value is not types:
                    below.append(value)
        if values > VALUES:
            return f"more than {VALUES} values"
        if objects > OBJECTS:
            return f"more than {OBJECTS} objects"
        if is_linked and objects + items > NODES:
            return f"more than {NODES} objects and items"
        if not below:
            return None
        level = below
    return f"deeper than {DEPTH}"


def _are_known(contexts: Any) -> bool:
    """Whether every context is one that may be loaded, or stands within the credential."""
    for context in contexts if type(contexts) is list else [contexts]:
        if not (context is None or type(context) is dict or (type(context) is str and context in CONTEXTS)):
            return False
    return True
