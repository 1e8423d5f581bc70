"""Credentials that nobody's issuer wrote: good ones, changed where native code may stumble over them.

`mutate` knows the structure: it grows what a bound counts (types, dimensions, nodes, lists, contexts, depth), breaks
what a parser expects, and puts values of other kinds into any place. The same seed makes the same credential.
"""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Iterator
from typing import Any

from scorer_fast.domain import bounds

TEXT = "https://schema.org/Text"
ODD_TEXTS = [
    "", " ", "_:b0", "_:", "_", ":", "@id", "@graph", "@", "\u0000", "\u2028", "\U0001f600", "a" * 300, "did:",
    "did:web:x", "0x", "0x" + "ff" * 65, "0x" + "00" * 65, "http://[::", "string[]", "string" + "[]" * 40,
    "string[99999999]", "uint0", "uint257", "bytes33", "Document", "Document[]", "../..", "%00", "2026-01-01", "-1",
    "1e400", "null", "https://schema.org/", "https://www.w3.org/2018/credentials/v1", "e30..AA", "..",
]  # fmt: skip
ODD_VALUES: list[Any] = [None, True, False, 0, -1, 2**53, 2**64, 1.5, 1e300, [], {}, [[]], [{}], {"": ""}, [None] * 3]

Change = Callable[[dict[str, Any], random.Random], None]


def mutate(credential: dict[str, Any], draw: random.Random) -> dict[str, Any]:
    """A copy with one to four changes."""
    changed = copy.deepcopy(credential)
    for _ in range(draw.choice([1, 1, 1, 2, 2, 3, 4])):
        change = draw.choice(CHANGES)
        try:
            change(changed, draw)
        except (LookupError, TypeError, AttributeError, ValueError):  # an earlier change has removed its place
            continue
    return changed


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every object or list with each of its names or positions."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value)
    for key, each in list(pairs):
        yield value, key
        if isinstance(each, dict | list):
            yield from _places(each)


def _odd(draw: random.Random) -> Any:
    return copy.deepcopy(draw.choice(draw.choice([ODD_TEXTS, ODD_VALUES])))


def _size(draw: random.Random) -> int:
    """Small ones often, a bound's neighbours sometimes, far beyond now and then."""
    near = draw.choice([bounds.DEPTH, bounds.OBJECTS, bounds.TYPES, bounds.FIELDS, bounds.DIMENSIONS, bounds.NODES])
    return draw.choice([1, 2, 3, 4, 6, near - 1, near, near + 1, draw.randrange(1, 200)])


def _terms(credential: dict[str, Any]) -> dict[str, Any]:
    contexts = credential["credentialSubject"]["@context"]
    terms = contexts[0] if isinstance(contexts, list) else contexts
    if not isinstance(terms, dict):
        raise TypeError
    return terms


def replace(credential: dict[str, Any], draw: random.Random) -> None:
    """Another value in some place."""
    place, key = draw.choice(list(_places(credential)))
    place[key] = _odd(draw)


def remove(credential: dict[str, Any], draw: random.Random) -> None:
    place, key = draw.choice(list(_places(credential)))
    del place[key]


def double(credential: dict[str, Any], draw: random.Random) -> None:
    """The value of one place in another as well."""
    (source, key), (target, other) = draw.choices(list(_places(credential)), k=2)
    target[other] = copy.deepcopy(source[key])


def rename(credential: dict[str, Any], draw: random.Random) -> None:
    place, key = draw.choice([(place, key) for place, key in _places(credential) if isinstance(key, str)])
    place[draw.choice([*ODD_TEXTS, "hash", "nullifiers", "id", "type", "messageSchema", "eip712"])] = place.pop(key)


def wrap(credential: dict[str, Any], draw: random.Random) -> None:
    """A value deep within lists or objects."""
    place, key = draw.choice(list(_places(credential)))
    for _ in range(_size(draw)):
        place[key] = [place[key]] if draw.random() < 0.5 else {draw.choice(["p", "f", "@list", "@value"]): place[key]}


def repeat(credential: dict[str, Any], draw: random.Random) -> None:
    """A list whose items are alike."""
    lists = [place[key] for place, key in _places(credential) if isinstance(place[key], list) and place[key]]
    some = draw.choice(lists)
    some *= _size(draw)


def tree(credential: dict[str, Any], draw: random.Random) -> None:
    """Nodes without names that resemble each other."""
    _terms(credential)["p"] = draw.choice(
        [
            "http://example.org/p",
            {"@id": "http://example.org/p", "@container": draw.choice(["@list", "@set", "@index"])},
        ]
    )

    def grown(widths: list[int]) -> dict[str, Any]:
        return {"p": [grown(widths[1:]) for _ in range(widths[0])]} if widths else {}

    widths = draw.choice([[2, 2], [2, 3], [2, 4], [3, 3], [2, 2, 2], [1, 2, 4], [2, 6], [4, 1, 1], [1, 2, 2, 2]])
    credential["credentialSubject"]["p"] = grown(widths)["p"]


def acquaintances(credential: dict[str, Any], draw: random.Random) -> None:
    """Nodes that all know each other: the canonical order takes time exponential in their number."""
    size = draw.choice([2, 3, 5, 6, 7, 8, 11])
    names = [f"{draw.choice(['_:', '_:', 'x:', 'http://example.org/'])}b{number}" for number in range(size)]
    _terms(credential)["knows"] = {"@id": "http://example.org/knows", "@type": "@id"}
    if draw.random() < 0.2:
        _terms(credential)["x"] = "_:"
    credential["credentialSubject"]["knows"] = [
        {draw.choice(["@id", "id"]): name, "knows": [other for other in names if other != name]} for name in names
    ]


def long_list(credential: dict[str, Any], draw: random.Random) -> None:
    """Equal items of one list, or of several."""
    for number in range(draw.choice([1, 1, 2, 4])):
        _terms(credential)[f"l{number}"] = {"@id": "http://example.org/l", "@container": "@list"}
        credential["credentialSubject"][f"l{number}"] = ["a"] * _size(draw)


def term(credential: dict[str, Any], draw: random.Random) -> None:
    """A definition in the credential's own context."""
    words = [
        "@id",
        "@type",
        "@list",
        "@graph",
        "@reverse",
        "@nest",
        "@included",
        "@vocab",
        "@json",
        "@base",
        "_:",
        TEXT,
    ]
    definition: Any = draw.choice(words)
    if draw.random() < 0.5:
        names = draw.choices(["@id", "@type", "@container", "@reverse", "@context", "@prefix", "@import"], k=2)
        definition = {name: draw.choice([*words, {}, [draw.choice(words)]]) for name in names}
    _terms(credential)[draw.choice(["p", "hash", "provider", "nullifiers", "@vocab", "@base", "_"])] = definition


def context(credential: dict[str, Any], draw: random.Random) -> None:
    """Other contexts, or many."""
    given = credential.setdefault("@context", [])
    urls = [
        *bounds.CONTEXTS,
        "https://schema.org/",
        "https://schema.org/x/../",
        "https://w3id.org/traceability/v1",
        "x",
    ]
    given += [draw.choice([*urls, {"p": TEXT}, [], None]) for _ in range(_size(draw))]


def types(credential: dict[str, Any], draw: random.Random) -> None:
    """Types that name each other or themselves, with values of them."""
    known = credential["proof"]["eip712Domain"]["types"]
    size, fields = _size(draw), draw.choice([1, 2, bounds.FIELDS, bounds.FIELDS + 1])
    for number in range(size):
        known[f"T{number}"] = [
            {"name": f"f{field}", "type": f"T{draw.randrange(size)}" + "[]" * draw.choice([0, 0, 1])}
            for field in range(fields)
        ]
    known["Document"].append({"name": "x", "type": "T0" + "[]" * draw.choice([0, 1])})
    value: dict[str, Any] = {}
    for _ in range(_size(draw)):
        value = {f"f{draw.randrange(fields)}": value}
    credential["x"] = draw.choice([value, [value] * _size(draw), [], {}])


def dimensions(credential: dict[str, Any], draw: random.Random) -> None:
    """The array types of the first attack, and their kin."""
    size = draw.choice([_size(draw), 100, 3000, 8500])
    kind = draw.choice(["string", "Document", "", "uint8"]) + draw.choice(["[]", "[1]", "[", "]"]) * size
    kind += draw.choice(["", "", "", " ", "[3]"])
    known = credential["proof"]["eip712Domain"]["types"]
    known[draw.choice(list(known))].append({"name": "x", "type": kind})
    credential["x"] = draw.choice([[], "", {}])


def domain(credential: dict[str, Any], draw: random.Random) -> None:
    """The same elsewhere: other names for what holds the types, none, an address of them."""
    given = credential["proof"]
    other = draw.choice(["eip712", "eip712Domain"])
    given[other] = held = given.pop("eip712Domain")
    held[draw.choice(["messageSchema", "types"])] = held.pop("types")
    if draw.random() < 0.5:
        dimensions({**credential, "proof": {"eip712Domain": {"types": held.get("messageSchema")}}}, draw)
    if draw.random() < 0.3:
        held["types"] = draw.choice(["http://localhost:1/", _odd(draw)])


def proof(credential: dict[str, Any], draw: random.Random) -> None:
    """A proof of another kind, or of the other kind."""
    given = credential["proof"]
    name = draw.choice(["type", "proofValue", "jws", "verificationMethod", "proofPurpose", "created", "extra"])
    kinds = [*bounds.PROOF_TYPES, "Ed25519Signature2020", "JsonWebSignature2020", "DataIntegrityProof", "x"]
    given[name] = draw.choice(kinds) if name == "type" else _odd(draw)
    if draw.random() < 0.1:
        credential["proof"] = [given] * _size(draw)


def extra(credential: dict[str, Any], draw: random.Random) -> None:
    """What credentials may have besides, some of which would have to be fetched."""
    name = draw.choice(
        [
            "credentialStatus",
            "credentialSchema",
            "evidence",
            "holder",
            "id",
            "refreshService",
            "@included",
            "@graph",
            "@nest",
        ]
    )
    fetched = {"id": "http://localhost:1/status#1", "type": "RevocationList2020Status"}
    credential[name] = draw.choice([fetched, [fetched] * 3, "http://localhost:1/", _odd(draw)])


CHANGES: list[Change] = [
    replace, replace, remove, double, rename, wrap, repeat, tree, acquaintances, long_list, term, context,
    types, dimensions, domain, proof, extra,
]  # fmt: skip
