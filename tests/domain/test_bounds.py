"""The bounds of a credential: every recorded format far within, every attack beyond, and the check itself cheap."""

import copy
import gzip
import json
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.demo_issuer import sign_credential
from scorer_fast.domain import bounds
from tests.factories.rows import OWNER
from tests.hostile import attacks

CASES = Path(__file__).resolve().parents[1] / "contract"
TYPED = sign_credential(OWNER, "Google")
LINKED = sign_credential(OWNER, "Google", proof="ed25519", hash="v0.0.0:x")


def of_cases() -> list[dict[str, Any]]:
    """Every credential with a proof that the recorded cases hold."""
    found: list[dict[str, Any]] = []

    def look(value: Any) -> None:
        if isinstance(value, dict) and isinstance(value.get("proof"), dict) and "type" in value["proof"]:
            found.append(value)
        elif isinstance(value, dict | list):
            for each in value.values() if isinstance(value, dict) else value:
                look(each)

    for path in sorted(CASES.glob("golden*/*.json.gz")):
        look(json.loads(gzip.decompress(path.read_bytes())))
    return found


def test_every_recorded_credential_is_within_all_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Far within: they would be if the bounds were half of what they are, or a quarter for those that can take it."""
    found = of_cases()
    assert len(found) > 500
    for divided, names in (
        (1.6, ["DEPTH"]),
        (2, ["OBJECTS", "TYPES"]),
        (4, ["FIELDS", "NODES", "VALUES", "CHARACTERS"]),
    ):
        for name in names:
            monkeypatch.setattr(bounds, name, int(getattr(bounds, name) / divided))
    monkeypatch.setattr(bounds, "DIMENSIONS", 1)
    assert {bounds.check(credential) for credential in [*found, TYPED, LINKED]} == {None}


@pytest.mark.parametrize("credential", [TYPED, LINKED, sign_credential(OWNER, "G", hash="x", nullifiers=["a", "b"])])
def test_what_our_own_issuer_writes(credential: dict[str, Any]) -> None:
    assert bounds.check(credential) is None
    assert bounds.check(json.dumps(credential)) is None


@pytest.mark.parametrize(("name", "credential"), attacks.credentials(OWNER).items())
def test_attacks_are_beyond(name: str, credential: dict[str, Any]) -> None:
    reason = bounds.check(json.dumps(credential))
    assert reason is not None, name
    assert reason.startswith("beyond the bounds: ")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "it is no JSON"), ("{", "it is no JSON"), ('{"a": 1e999}', "it is no JSON"), ("[" * 5000, "it is no JSON"),
        ("[]", "it is no object"), ("null", "it is no object"), ("5", "it is no object"),
        ("{}", "its proof is no object"), ('{"proof": [{}]}', "its proof is no object"),
        ('{"proof": {}}', "its proof is of an unknown type"),
        ('{"proof": {"type": []}}', "its proof is of an unknown type"),
        ('{"proof": {"type": "Ed25519Signature2020"}}', "its proof is of an unknown type"),
        (json.dumps({**TYPED, "x": "a" * 16_384}), "more than 16384 characters"),
        (json.dumps({**TYPED, "x": [0] * 1000}), "more than 1000 values"),
        (json.dumps({**LINKED, "x": [0] * 32}), "more than 32 objects and items"),
        (json.dumps({**TYPED, "x": [{}] * 16}), "more than 16 objects"),
        (json.dumps({**TYPED, "x": [[[[[[[[[[]]]]]]]]]]}), "deeper than 10"),
        (json.dumps({**LINKED, "x": "_:x"}), "a blank node is named"),
        (json.dumps({**LINKED, "_:x": 1}), "a blank node is named"),
        (json.dumps({**LINKED, "x": "_:x"}).replace("_", "\\u005f"), "a blank node is named"),
        (json.dumps({**LINKED, "@graph": []}), "a word of JSON-LD that no format has"),
        (json.dumps({**LINKED, "@graph": []}).replace("@g", "\\u0040g"), "a word of JSON-LD that no format has"),
        (json.dumps({**LINKED, "@context": ["https://schema.org/"]}), "a context that is not known"),
        (json.dumps({**LINKED, "x": {"@context": [["https://schema.org/"]]}}), "a context that is not known"),
    ],
)  # fmt: skip
def test_each_reason(text: str, reason: str) -> None:
    assert bounds.check(text) == f"beyond the bounds: {reason}"


def typed(types: Any) -> dict[str, Any]:
    credential = copy.deepcopy(TYPED)
    credential["proof"]["eip712Domain"]["types"] = types
    return credential


FIELD = {"name": "x", "type": "string"}


@pytest.mark.parametrize(
    ("types", "reason"),
    [
        ("http://localhost/", "its types are no object"), ([], "its types are no object"),
        ({f"T{number}": [] for number in range(17)}, "more than 16 types"),
        ({"T": {}}, "a type is no list of fields"),
        ({"T": [FIELD] * 33}, "a type of more than 32 fields"),
        ({"T": [None]}, "a field is not a name and a type"),
        ({"T": [{"name": "x"}]}, "a field is not a name and a type"),
        ({"T": [{"name": "x", "type": []}]}, "a field is not a name and a type"),
        ({"T": [{"name": [], "type": "x"}]}, "a field is not a name and a type"),
        ({"T": [FIELD | {"more": []}]}, "a field is not a name and a type"),
        ({"T": [{"name": "x", "type": "string" + "[]" * 5}]}, "more than 4 array dimensions"),
        ({"T": [{"name": "x", "type": "string[1]" + "[2]" * 4}]}, "more than 4 array dimensions"),
    ],
)  # fmt: skip
def test_each_reason_of_types(types: Any, reason: str) -> None:
    assert bounds.check(typed(types)) == f"beyond the bounds: {reason}"


def test_types_elsewhere_are_bounded_too() -> None:
    """didkit takes other names for the members that hold them."""
    for name, inner in (("eip712", "types"), ("eip712Domain", "messageSchema"), ("eip712", "messageSchema")):
        credential = typed(None)
        credential["proof"][name] = {inner: {"T": [{"name": "x", "type": "string" + "[]" * 5}]}}
        assert bounds.check(credential) == "beyond the bounds: more than 4 array dimensions"


def test_a_list_of_many_nullifiers_is_no_attack() -> None:
    assert (
        bounds.check(sign_credential(OWNER, "G", nullifiers=[f"v0.0.{number}:" + "a" * 64 for number in range(100)]))
        is None
    )


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=5), inner, max_size=5),
)


@given(JSON, st.sampled_from(["", "proof", "eip712Domain", "types", "Document", "credentialSubject", "@context"]))
def test_whatever_stands_anywhere_is_judged(value: Any, where: str) -> None:
    for given_ in (TYPED, LINKED):
        credential: Any = copy.deepcopy(given_)
        place = credential
        for name in {"eip712Domain": ["proof"], "types": ["proof", "eip712Domain"]}.get(where, []):
            place = place.setdefault(name, {})
        place[where] = value
        assert bounds.check(credential) in (None, bounds.check(json.dumps(credential)))


def test_it_is_cheap() -> None:
    """20 µs on an idle machine for a stamp of 2 kB; here ten times that, for machines that are not."""
    text = json.dumps(TYPED)
    took = []
    for _ in range(200):
        started = time.perf_counter()
        bounds.check(text)
        took.append(time.perf_counter() - started)
    assert min(took) < 200e-6
