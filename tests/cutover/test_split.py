"""The side a request falls on depends on salt, group and subject alone."""

import base64
import json
from collections import Counter
from typing import Any

import pytest
from django.test import RequestFactory
from hypothesis import given
from hypothesis import strategies as st

from scorer_fast.cutover import flags, split
from scorer_fast.cutover.flags import Flag, Mode, Route, Snapshot
from scorer_fast.http.catalogue import BY_ID, OPERATIONS, Operation, Subject

OWNER = "0x" + "ab" * 20
MIXED = "0x" + "aB" * 20
addresses = st.binary(min_size=20, max_size=20).map(lambda digits: "0x" + digits.hex())
groups = st.sampled_from(sorted({operation.group for operation in BY_ID.values()}))


def token(did: Any) -> str:
    """A token that nobody signed."""
    part = base64.urlsafe_b64encode(json.dumps({"did": did}).encode()).decode().rstrip("=")
    return f"Bearer eyJhbGciOiJIUzI1NiJ9.{part}.nonsense"


def request(method: str, path: str, body: bytes = b"", **headers: str) -> Any:
    return RequestFactory().generic(
        method,
        path,
        body,
        content_type="application/json",
        headers={k.replace("_", "-"): v for k, v in headers.items()},
    )


@given(st.text(), groups, st.text())
def test_a_bucket_is_one_of_ten_thousand_and_never_another(salt: str, group: str, subject: str) -> None:
    first = split.bucket(salt, group, subject)
    assert 0 <= first < split.BUCKETS
    assert split.bucket(salt, group, subject) == first


@given(addresses, groups, st.integers(0, 10_000), st.integers(0, 10_000))
def test_widening_never_moves_a_subject_back(subject: str, group: str, one: int, other: int) -> None:
    narrow, wide = sorted((one, other))
    bucket = split.bucket("salt", group, subject)
    assert not (bucket < narrow and not bucket < wide)


def about(operation: Operation, owner: str) -> Any:
    """A request of the operation about an address, as this spells it."""
    path = operation.path.format(scorer_id=1, address=owner, list="some", round_id=1, provider_id="one")
    body, headers = b"[]" if operation.method != "GET" else b"", {}
    if operation.subject is Subject.QUERY:
        path += f"?address={owner}"
    if operation.subject is Subject.TOKEN:
        headers["Authorization"] = token(f"did:pkh:eip155:1:{owner}")
    if operation.subject is Subject.BODY:
        body = json.dumps([{"credentialSubject": {"id": f"did:pkh:eip155:1:{owner}"}}]).encode()
    return request(operation.method, path, body, **headers)


OF_AN_ADDRESS = [one for one in OPERATIONS if one.subject not in (Subject.API_KEY, Subject.REQUEST)]
percents = st.integers(0, 10_000)
spellings = st.sampled_from([str, lambda owner: "0x" + owner[2:].upper()])


@given(addresses, spellings, st.lists(percents, min_size=2, max_size=5))
def test_whoever_is_fast_stays_so_however_the_split_is_widened(owner: str, spell: Any, widths: list[int]) -> None:
    """By the whole choice: operation by operation, from a request about the address to its route."""
    sides: dict[tuple[str, int], set[Route]] = {}
    for operation in OF_AN_ADDRESS:
        routes = []
        for buckets in sorted(widths):
            snapshot = Snapshot(True, {operation.id: Flag(Mode.SPLIT, buckets)})
            route = flags.choose(operation, about(operation, spell(owner)), snapshot)
            assert route is flags.choose(operation, about(operation, owner), snapshot)
            sides.setdefault((operation.group, buckets), set()).add(route)
            routes.append(route)
        moved = routes.index(Route.FAST) if Route.FAST in routes else len(routes)
        assert routes == [Route.LEGACY] * moved + [Route.FAST] * (len(routes) - moved)
    assert all(len(routes) == 1 for routes in sides.values()), "a group's operations keep an address on one side"


def test_subjects_spread_evenly_over_the_buckets() -> None:
    drawn = Counter(split.bucket("salt", "score", f"0x{number:040x}") // 100 for number in range(100_000))
    expected = 1000
    # 99 degrees of freedom: beyond 150 lies less than one draw in a thousand, and the draw is fixed.
    assert sum((drawn[tenth] - expected) ** 2 / expected for tenth in range(100)) < 150


def test_groups_and_salts_deal_independently() -> None:
    subjects = [f"0x{number:040x}" for number in range(20_000)]

    def low(salt: str, group: str) -> set[str]:
        return {subject for subject in subjects if split.bucket(salt, group, subject) < 1000}

    for one, other in ((("a", "score"), ("b", "score")), (("a", "score"), ("a", "cache"))):
        assert 120 < len(low(*one) & low(*other)) < 280  # 10 % of 10 % of 20,000, give or take five sigma


@pytest.mark.parametrize(
    ("operation", "asked"),
    [
        ("v2_score", request("GET", f"/v2/stamps/1/score/{MIXED}", X_API_KEY="one.secret")),
        ("internal_score", request("GET", f"/internal/score/v2/1/{MIXED}")),
        ("embed_add_stamps", request("POST", f"/internal/embed/stamps/{MIXED}", b"{}")),
        (
            "cache_add_stamps",
            request("POST", "/ceramic-cache/stamps/bulk", b"[]", Authorization=token(f"did:pkh:eip155:1:{MIXED}")),
        ),
        (
            "cache_delete_stamps",
            request("DELETE", "/ceramic-cache/stamps/bulk", b"[]", Authorization=token(f"x:{MIXED}")),
        ),
        ("cache_get_score", request("GET", f"/ceramic-cache/score/{MIXED}")),
        ("cache_get_stamps", request("GET", f"/ceramic-cache/stamp?address={MIXED}")),
        (
            "check_bans",
            request(
                "POST",
                "/internal/check-bans",
                json.dumps(
                    [
                        {"credentialSubject": {"hash": "h"}},
                        {"credentialSubject": {"id": f"did:pkh:eip155:1:{MIXED}"}},
                    ]
                ).encode(),
            ),
        ),
        (
            "contributor_statistics",
            request("GET", f"/internal/cgrants/contributor_statistics?address={MIXED}"),
        ),
        ("allow_list", request("GET", f"/internal/allow-list/list/{MIXED}")),
    ],
)
def test_the_subject_is_the_lower_cased_address(operation: str, asked: Any) -> None:
    assert split.subject(BY_ID[operation], asked) == f"address:{OWNER}"


def test_operations_of_a_group_keep_an_address_on_one_side() -> None:
    asked = {
        "cache_add_stamps": request("POST", "/ceramic-cache/stamps/bulk", b"[]", Authorization=token(f"did:x:{OWNER}")),
        "cache_get_score": request("GET", f"/ceramic-cache/score/{MIXED}"),
        "cache_get_stamps": request("GET", f"/ceramic-cache/stamp?address={OWNER.upper().replace('X', 'x')}"),
    }
    buckets = {split.bucket("salt", BY_ID[name].group, split.subject(BY_ID[name], one)) for name, one in asked.items()}
    assert len(buckets) == 1


@pytest.mark.parametrize(
    ("operation", "asked"),
    [
        ("v2_score", request("GET", "/v2/stamps/1/score/nobody", X_API_KEY="prefix.secret")),
        ("v2_score", request("GET", "/v2/stamps/1/score/nobody", Authorization="Anything prefix.secret")),
        (
            "embed_validate_api_key",
            request("GET", "/internal/embed/validate-api-key", X_API_KEY="prefix.secret"),
        ),
        ("embed_weights", request("GET", "/internal/embed/weights", X_API_KEY="prefix.secret")),
        ("cache_get_stamps", request("GET", "/ceramic-cache/stamp", X_API_KEY="prefix.secret")),
    ],
)
def test_without_an_address_it_is_the_keys_prefix(operation: str, asked: Any) -> None:
    assert split.subject(BY_ID[operation], asked) == "key:prefix"


@pytest.mark.parametrize(
    ("operation", "one", "other"),
    [
        (
            "embed_weights",
            request("GET", "/internal/embed/weights?community_id=1"),
            request("GET", "/internal/embed/weights?community_id=2"),
        ),
        (
            "check_revocations",
            request("POST", "/internal/check-revocations", b'{"proof_values": ["a"]}'),
            request("POST", "/internal/check-revocations", b'{"proof_values": ["b"]}'),
        ),
        (
            "check_bans",
            request("POST", "/internal/check-bans", b"not json"),
            request("POST", "/internal/check-bans", b"[[]]"),
        ),
        (
            "check_bans",
            request("POST", "/internal/check-bans", b'[{"credentialSubject": {"id": 7}}]'),
            request("POST", "/internal/check-bans", b'{"a": 1}'),
        ),
        (
            "credential_definition",
            request("GET", "/internal/customization/credential/a"),
            request("GET", "/internal/customization/credential/b"),
        ),
        (
            "cache_add_stamps",
            request("POST", "/ceramic-cache/stamps/bulk", b"[1]", Authorization=token(7)),
            request("POST", "/ceramic-cache/stamps/bulk", b"[2]", Authorization=token("no address")),
        ),
        (
            "cache_add_stamps",
            request("POST", "/ceramic-cache/stamps/bulk", b"[1]", Authorization="Bearer a.\u00ff!.c"),
            request("POST", "/ceramic-cache/stamps/bulk", b"[2]"),
        ),
    ],
)
def test_without_a_key_either_it_is_the_request_itself(operation: str, one: Any, other: Any) -> None:
    subjects = [split.subject(BY_ID[operation], asked) for asked in (one, one, other)]
    assert all(subject.startswith("request:") for subject in subjects)
    assert subjects[0] == subjects[1] != subjects[2]


@given(st.binary(), st.text())
def test_no_request_is_too_strange_for_a_subject(body: bytes, authorization: str) -> None:
    for method, path, operation in (
        ("POST", "/internal/check-bans", "check_bans"),
        ("PATCH", "/ceramic-cache/stamps/bulk", "cache_patch_stamps"),
    ):
        asked = RequestFactory().generic(method, path, body, HTTP_AUTHORIZATION=authorization)
        assert split.subject(BY_ID[operation], asked)


def test_a_body_too_big_to_read_is_no_error(settings: Any) -> None:
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 4
    asked = request("POST", "/internal/check-revocations", b"0123456789")
    assert split.subject(BY_ID["check_revocations"], asked).startswith("request:")
