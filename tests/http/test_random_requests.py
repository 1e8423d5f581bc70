"""Whatever a client sends: never a 5xx, and a refusal writes nothing.

Payloads start from good ones and go wrong in places, so that they get past the first check.
"""

import copy
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

import pytest
from django.db import transaction
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from api.account.models import Community
from scorer_fast.http.catalogue import OPERATIONS
from tests.factories import rows, tables
from tests.factories.requests import Request, entry, good, subject
from tests.factories.rows import OWNER, RIVAL

pytestmark = pytest.mark.django_db
FEW = settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
MANY = settings(FEW, max_examples=60)
EACH = settings(FEW, max_examples=12)

CREDENTIAL = entry("Google")["stamp"]
ED25519 = entry("Google", proof="ed25519")["stamp"]

# ---- what can stand in a body

TEXTS = st.one_of(
    st.text(max_size=20),
    st.text(st.characters(codec=None, categories=["Cs", "Cc", "Cn", "So", "Lu"]), max_size=8),
    st.sampled_from(["", " ", "\x00", "\ud800", "Google", "v0:a", OWNER, "x" * 101, "p" * 257, "0x", "%00", "NaN"]),
    st.sampled_from(["2099-01-01T00:00:00Z", "2099-01-01", "24:00", "9999-12-31T23:59:59-14:00", "-1"]),
)
NUMBERS = st.one_of(
    st.integers(),
    st.integers(min_value=2**63 - 2, max_value=2**64 + 2),
    st.sampled_from([10**400, -(10**400), 1e308, 5e-324, -0.0]),
    st.floats(),
)
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, TEXTS),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(TEXTS, inner, max_size=4)),
    max_leaves=12,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in a JSON value, its root too."""
    yield path
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from places(inner, (*path, name))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from places(inner, (*path, number))


def put(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    inner = value
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = new
    return value


def cut(value: Any, path: tuple[Any, ...]) -> Any:
    if not path:
        return None
    inner = value
    for step in path[:-1]:
        inner = inner[step]
    del inner[path[-1]]
    return value


def spoiled(good_one: Any) -> st.SearchStrategy[Any]:
    """The good value with up to three of its places replaced or cut out."""

    @st.composite
    def build(draw: st.DrawFn) -> Any:
        value = copy.deepcopy(good_one)
        for _ in range(draw(st.integers(0, 3))):
            where = draw(st.sampled_from(list(places(value))))
            value = cut(value, where) if draw(st.booleans()) else put(value, where, draw(JSON))
        return value

    return build()


GOOD_BODIES: dict[str, Any] = {
    "embed_add_stamps": {"scorer_id": 1, "stamps": [CREDENTIAL, ED25519]},
    "cache_add_stamps": [{"provider": "Google", "stamp": CREDENTIAL}, {"provider": "Ens", "stamp": CREDENTIAL}],
    "cache_patch_stamps": [{"provider": "Google", "stamp": CREDENTIAL}, {"provider": "Ens", "stamp": None}],
    "cache_delete_stamps": [{"provider": "Google"}, {"provider": "Ens"}],
    "cache_calc_score": {"alternate_scorer_id": 1},
    "check_bans": [subject(), subject(hash="h2", provider="Ens")],
    "check_revocations": {"proof_values": ["a", "proof", "a"]},
}
BODIES = {name: st.one_of(spoiled(body), JSON) for name, body in GOOD_BODIES.items()}


@pytest.fixture(autouse=True)
def community(one: Community) -> Community:
    rows.stamps(OWNER, "Google", "Github")
    rows.link("v0:theirs", RIVAL)
    rows.ban(type="hash", hash="h2")
    good("internal_score").send()
    return one


@contextmanager
def undone() -> Iterator[None]:
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


def encoded(body: Any) -> bytes:
    return json.dumps(body).encode("utf-8", "surrogatepass")


def assert_answered(request: Request) -> None:
    """Not a 5xx; where it is refused, nothing is written; where not, what is stored fits together."""
    with undone():
        before = tables.state(*tables.SCORING)
        response = request.send()
        after = tables.state(*tables.SCORING)
        assert response.status_code < 500, response.content
        if response.status_code >= 400:
            assert after == before
            if response.status_code != 405 and response.headers["Content-Type"].startswith("application/json"):
                assert set(response.json()) == {"detail"}
        elif after != before:
            assert_consistent()


def assert_consistent() -> None:
    """Every score stands on the stamps that are live and counted."""
    live: dict[str, dict[str, Any]] = {}
    for row in tables.rows("ceramic_cache_ceramiccache", deleted_at=None):
        assert row["provider"] not in live.setdefault(row["address"], {})
        live[row["address"]][row["provider"]] = row["stamp"]
    scores = {row["passport_id"]: row for row in tables.rows("registry_score")}
    for passport in tables.rows("registry_passport"):
        counted = tables.rows("registry_stamp", passport_id=passport["id"])
        assert len({row["provider"] for row in counted}) == len(counted)
        for row in counted:
            assert live[passport["address"]][row["provider"]] == row["credential"]
        shown = scores[passport["id"]]["stamps"]
        assert {row["provider"] for row in counted} == {name for name, stamp in shown.items() if not stamp["dedup"]}


@pytest.mark.parametrize("operation", GOOD_BODIES)
@FEW
@given(data=st.data())
def test_random_bodies(operation: str, data: st.DataObject) -> None:
    assert_answered(good(operation).with_(raw=encoded(data.draw(BODIES[operation]))))


@MANY
@given(
    operation=st.sampled_from(sorted(GOOD_BODIES)),
    raw=st.one_of(
        st.binary(max_size=60),
        st.builds(
            lambda body, at, junk: encoded(body)[:at] + junk,
            st.sampled_from(list(GOOD_BODIES.values())),
            st.integers(0, 400),
            st.binary(max_size=10),
        ),
        st.builds(
            lambda text, encoding: json.dumps([text]).encode(encoding, "surrogatepass"),
            TEXTS,
            st.sampled_from(["utf-8", "utf-16", "utf-32", "utf-8-sig"]),
        ),
    ),
)
def test_random_bytes(operation: str, raw: bytes) -> None:
    assert_answered(good(operation).with_(raw=raw))


def in_path(text: str) -> str:
    return quote(text.encode("utf-8", "surrogatepass"), safe="")


PIECES = st.one_of(TEXTS, NUMBERS.map(str), st.integers(-3, 3).map(str), st.sampled_from([OWNER, OWNER.upper(), "1"]))


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.id)
@EACH
@given(data=st.data())
def test_random_paths_and_queries(operation: Any, data: st.DataObject) -> None:
    path = operation.path
    while "{" in path:
        before, _, rest = path.partition("{")
        piece = in_path(data.draw(PIECES))
        path = before + (piece if piece not in {"", ".", ".."} else "x") + rest.partition("}")[2]
    names = ["address", "community_id", "alternate_scorer_id", "other"]
    query = data.draw(st.lists(st.tuples(st.sampled_from(names), PIECES), max_size=3))
    path += "?" + "&".join(f"{name}={in_path(value)}" for name, value in query) if query else ""
    assert_answered(good(operation.id).with_(path=path))


HEADER_TEXTS = st.text(st.characters(max_codepoint=255, exclude_characters="\r\n"), max_size=40)
HEADERS = st.one_of(
    HEADER_TEXTS,
    st.builds(lambda scheme, rest: f"{scheme} {rest}", st.sampled_from(["Bearer", "Token", ""]), HEADER_TEXTS),
    st.builds(lambda *parts: "Bearer " + ".".join(parts), *[st.from_regex(r"[A-Za-z0-9_-]{0,20}", fullmatch=True)] * 3),
    st.builds(lambda prefix, rest: f"{prefix}.{rest}", st.sampled_from(["hostKEY1", "other", ""]), HEADER_TEXTS),
)


@MANY
@given(
    operation=st.sampled_from([operation.id for operation in OPERATIONS]),
    headers=st.dictionaries(
        st.sampled_from(
            ["Authorization", "X-API-Key", "X-Request-ID", "Cookie", "Accept", "Content-Encoding", "X-Forwarded-For"]
        ),
        HEADERS,
        max_size=4,
    ),
)
@example(operation="v2_score", headers={"Authorization": "\x00 \x00"})
def test_random_headers(operation: str, headers: dict[str, str]) -> None:
    request = good(operation)
    assert_answered(request.with_(headers=request.headers | headers))
