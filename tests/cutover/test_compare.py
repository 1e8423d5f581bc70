"""The comparison: what it finds, what it ignores and why, and what the contract asks for."""

import base64
import copy
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scorer_fast.cutover import deliberate
from scorer_fast.cutover.compare import ABSENT, IGNORED, NOT_JSON, UNORDERED, Answer, Context, Difference, Kind, compare
from scorer_fast.cutover.deliberate import DELIBERATE, Case, RecordedRequest, sort_out
from scorer_fast.http.catalogue import BY_ID, find
from tests.contract import replay
from tests.host.test_cases import CASES

NOON = datetime(2026, 11, 22, 12, 0, 0, 123456, tzinfo=UTC)
WINDOW = (NOON - timedelta(seconds=2), NOON + timedelta(seconds=2))
WITHIN, LATER = NOON + timedelta(milliseconds=10), NOON + timedelta(hours=1)
ADDRESS = "0x" + "a" * 40


def answer(body: Any, status: int = 200, rows: Any = None) -> Answer:
    return Answer(status, json.dumps(body).encode(), rows)


def differ(
    control: Any, candidate: Any, operation: str = "v2_score", *, same_database: bool = True
) -> list[Difference]:
    """The differences of two bodies."""
    context = Context(operation, WINDOW, same_database)
    return compare(answer(control), answer(candidate), context).differences


def differ_in_rows(table: str, control: Any, candidate: Any) -> list[Difference]:
    """The differences of one table's rows."""
    return compare(
        answer({}, rows={table: control}), answer({}, rows={table: candidate}), Context("v2_score", WINDOW)
    ).differences


def told(differences: list[Difference]) -> list[tuple[str, str]]:
    return [(each.path, each.kind.value) for each in differences]


SCORE = {
    "address": ADDRESS,
    "score": "21.12300",
    "last_score_timestamp": NOON.isoformat(),
    "expiration_timestamp": "2099-01-01T00:00:00+00:00",
    "stamps": {"Google": {"score": "1.50000", "dedup": False, "expiration_date": "2099-01-01T00:00:00+00:00"}},
    "points_data": {"total_points": 30, "breakdown": {"HKY": 30}},
}
SCU = {
    "action": "SCU",
    "created_at": NOON.isoformat(),
    "data": {
        "model": "registry.score",
        "pk": 7,
        "fields": {"passport": 3, "evidence": {"rawScore": "21.123"}, "stamps": {"Google": {"dedup": False}}},
    },
}


def changed(value: Any, path: list[Any], to: Any) -> Any:
    """A copy of ``value`` with another leaf at ``path``; ABSENT takes it away."""
    twin = copy.deepcopy(value)
    inner = twin
    for step in path[:-1]:
        inner = inner[step]
    if to is ABSENT:
        del inner[path[-1]]
    else:
        inner[path[-1]] = to
    return twin


# ---- what is found


@pytest.mark.parametrize(
    ("path", "to", "expected"),
    [
        (["score"], "21.12301", ("body.score", "value")),
        (["score"], 21.123, ("body.score", "type")),
        (["score"], None, ("body.score", "type")),
        (["score"], ABSENT, ("body.score", "missing")),
        (["error"], None, ("body.error", "extra")),
        (["stamps", "Google", "dedup"], True, ("body.stamps.*.dedup", "value")),
        (["stamps", "Google", "dedup"], 0, ("body.stamps.*.dedup", "type")),
        (["stamps", "Google"], ABSENT, ("body.stamps.*", "missing")),
        (["stamps", "Github"], {}, ("body.stamps.*", "extra")),
        (["points_data", "breakdown", "HKY"], 40, ("body.points_data.breakdown.*", "value")),
        (["points_data"], None, ("body.points_data", "type")),
        (["last_score_timestamp"], LATER.isoformat(), ("body.last_score_timestamp", "value")),
        (["last_score_timestamp"], None, ("body.last_score_timestamp", "type")),
        (["expiration_timestamp"], "2099-01-01T00:00:00Z", ("body.expiration_timestamp", "value")),
    ],
)
def test_one_field_is_one_difference(path: list[Any], to: Any, expected: tuple[str, str]) -> None:
    assert told(differ(SCORE, changed(SCORE, path, to))) == [expected]


def test_the_values_of_both_sides_are_told() -> None:
    assert differ({"score": "1"}, {"score": "2"}) == [Difference("body.score", Kind.VALUE, "1", "2")]
    assert differ({"score": "1"}, {}) == [Difference("body.score", Kind.MISSING, "1", None)]
    assert differ({}, {"score": "2"}) == [Difference("body.score", Kind.EXTRA, None, "2")]


def test_where_statuses_differ_bodies_are_not_looked_at() -> None:
    found = compare(answer({"a": 1}, 200), answer({"b": 2}, 404), Context("v2_score", WINDOW)).differences
    assert found == [Difference("status", Kind.VALUE, 200, 404)]


def test_a_body_that_is_no_json_differs_from_one_that_is() -> None:
    page = Answer(200, b"<h1>Oops</h1>")
    assert page.json() is NOT_JSON
    assert told(compare(answer({}), page, Context("v2_score", WINDOW)).differences) == [("body", "type")]
    assert Answer(204, b"").json() is None


def test_order_of_keys_and_kinds_of_numbers_say_nothing() -> None:
    assert differ({"a": 1, "b": 2}, {"b": 2.0, "a": 1}) == []
    assert differ({"a": 2**70}, {"a": 2**70}) == []
    assert told(differ({"a": 2**70}, {"a": 2**70 + 1})) == [("body.a", "value")]


def test_lists_in_an_order_that_matters_are_compared_in_it() -> None:
    assert told(differ([1, 2], [2, 1], "check_bans")) == [("body[]", "value"), ("body[]", "value")]
    assert told(differ([1], [1, 2], "check_bans")) == [("body[]", "extra")]
    assert told(differ([1, 2], [1], "check_bans")) == [("body[]", "missing")]


def test_differences_of_one_request_are_bounded() -> None:
    assert len(differ(list(range(5000)), list(range(1, 5001)))) == 200


def test_nesting_without_end_is_compared_and_its_path_cut() -> None:
    one: Any = "x"
    other: Any = "y"
    for _ in range(200):
        one, other = [one], [other]
    (found,) = differ(one, other)
    assert found.path.count("[]") == 40
    deep: dict[str, Any] = {"a": 1}
    deeper: dict[str, Any] = {"a": 2}
    for _ in range(30):
        deep, deeper = {"a": deep}, {"a": deeper}
    (found,) = differ(deep, deeper)
    assert found.path.endswith("…")


# ---- lists and rows without order


def stamp(id_: int | None, provider: str, **more: Any) -> dict[str, Any]:
    return {"id": id_, "address": ADDRESS, "provider": provider, "stamp": {"proof": {}, **more}}


def test_stamps_are_a_set() -> None:
    one, two = stamp(1, "Google"), stamp(2, "Github")
    assert differ({"stamps": [one, two]}, {"stamps": [two, one]}, "embed_score") == []
    assert told(differ({"stamps": [one, two]}, {"stamps": [two]}, "embed_score")) == [("body.stamps[]", "missing")]
    assert told(differ({"stamps": [one]}, {"stamps": [one, one]}, "embed_score")) == [("body.stamps[]", "extra")]
    other = stamp(1, "Google", issuer="x")
    assert told(differ({"stamps": [one, two]}, {"stamps": [two, other]}, "embed_score")) == [
        ("body.stamps[].stamp.issuer", "extra")
    ]


def test_items_and_results_are_sets() -> None:
    one = {"chain": 1, "staker": "a", "stakee": "b", "amount": "1"}
    two = {"chain": 10, "staker": "a", "stakee": "b", "amount": "2"}
    assert differ({"items": [one, two]}, {"items": [two, one]}, "gtc_stake") == []
    assert told(differ({"items": [one, two]}, {"items": [{**two, "amount": "3"}, one]}, "gtc_stake")) == [
        ("body.items[].amount", "value")
    ]
    assert differ({"results": [{"id": 1}, {"id": 2}]}, {"results": [{"id": 2}, {"id": 1}]}) == []


def test_rows_are_multisets_and_columns_are_named() -> None:
    link = {"hash": "v0:1", "address": ADDRESS, "expires_at": "2099-01-01T00:00:00+00:00"}
    other = {**link, "hash": "v0:2"}
    table = "registry_hashscorerlink"
    assert differ_in_rows(table, [link, other], [other, link]) == []
    assert told(differ_in_rows(table, [link], [link, link])) == [(f"rows.{table}[]", "extra")]
    assert told(differ_in_rows(table, [link, other], [other])) == [(f"rows.{table}[]", "missing")]
    stolen = {**link, "address": "0x" + "b" * 40}
    assert told(differ_in_rows(table, [link, other], [other, stolen])) == [(f"rows.{table}[].address", "value")]


def test_a_table_one_side_does_not_name_has_no_rows_there() -> None:
    row = {"provider": "Google", "credential_digest": "ab"}
    found = compare(
        answer({}, rows={"registry_stamp": [row]}), answer({}, rows={}), Context("v2_score", WINDOW)
    ).differences
    assert told(found) == [("rows.registry_stamp[]", "missing")]


def test_rows_are_left_out_where_one_side_does_not_know_them() -> None:
    rows = {"registry_stamp": [{"provider": "Google"}]}
    assert compare(answer({}, rows=rows), answer({}), Context("v2_score", WINDOW)).differences == []


def test_column_values_are_compared_by_what_they_mean() -> None:
    stored = {"score": Decimal("1.000000000"), "expiration_date": NOON, "evidence": '{"success": true}'}
    planned = {
        "score": Decimal(1),
        "expiration_date": "2026-11-22T12:00:00.123456+00:00",
        "evidence": {"success": True},
    }
    assert differ_in_rows("registry_score", [stored], [planned]) == []
    shorter = {"expires_at": "2099-01-01T00:00:00.5+00:00"}
    assert differ_in_rows("registry_hashscorerlink", [shorter], [{"expires_at": "2099-01-01T00:00:00.500000Z"}]) == []
    assert told(differ_in_rows("registry_score", [stored], [{**planned, "evidence": {"success": False}}])) == [
        ("rows.registry_score[].evidence.success", "value")
    ]
    assert differ_in_rows("x", [{"data": b"\x00"}], [{"data": memoryview(b"\x00")}]) == []


def test_events_of_one_kind_are_told_apart_by_provider() -> None:
    def ldp(provider: str, created_at: datetime) -> dict[str, Any]:
        return {"action": "LDP", "created_at": created_at, "data": {"provider": provider, "nullifiers": ["v0"]}}

    control = [ldp("Google", NOON), ldp("Github", NOON), SCU]
    candidate = [SCU, ldp("Github", WITHIN), ldp("Google", WITHIN)]
    assert differ_in_rows("registry_event", control, candidate) == []
    assert told(differ_in_rows("registry_event", control, candidate[:2])) == [("rows.registry_event[]", "missing")]


# ---- what is ignored, and only where it may be


def test_every_rule_has_a_reason_and_a_name_of_its_own() -> None:
    assert len({rule.name for rule in IGNORED}) == len(IGNORED)
    assert all(rule.reason.endswith(".") for rule in (*IGNORED, *UNORDERED))


def test_the_moment_of_the_answer_may_differ_within_the_request() -> None:
    assert differ(SCORE, {**SCORE, "last_score_timestamp": WITHIN.isoformat()}) == []
    whole = NOON.replace(microsecond=0).isoformat()
    assert differ(SCORE, {**SCORE, "last_score_timestamp": whole}) == []
    for other in (LATER.isoformat(), WITHIN.isoformat().replace("+00:00", "Z"), "2026-11-22 12:00", ""):
        assert told(differ(SCORE, {**SCORE, "last_score_timestamp": other})) == [("body.last_score_timestamp", "value")]
    milliseconds = WITHIN.isoformat(timespec="milliseconds")
    assert told(differ(SCORE, {**SCORE, "last_score_timestamp": milliseconds})) != []


def test_the_id_of_a_new_stamp_may_be_unknown() -> None:
    known, unknown = {"stamps": [stamp(7, "Google")]}, {"stamps": [stamp(None, "Google")]}
    assert differ(known, unknown, "embed_score") == []
    assert differ(known, {"stamps": [stamp(-1, "Google")]}, "embed_score") == []
    assert differ(known, {"stamps": [stamp(8, "Google")]}, "cache_add_stamps") == []
    assert told(differ(known, {"stamps": [stamp(8, "Google")]}, "embed_score")) == [("body.stamps[].id", "value")]
    assert differ(known, {"stamps": [stamp(8, "Google")]}, "embed_score", same_database=False) == []
    assert told(differ(unknown, known, "embed_score")) == [("body.stamps[].id", "type")]


def test_ids_of_new_rows_may_be_unknown_and_those_of_old_ones_may_not() -> None:
    unknown = changed(changed(SCU, ["data", "pk"], None), ["data", "fields", "passport"], None)
    assert differ_in_rows("registry_event", [SCU], [unknown]) == []
    assert told(differ_in_rows("registry_event", [SCU], [changed(SCU, ["data", "pk"], 8)])) == [
        ("rows.registry_event[].data.pk", "value")
    ]
    assert differ_in_rows("registry_passport", [{"id": 4, "address": ADDRESS}], [{"address": ADDRESS}]) == []
    assert told(differ_in_rows("registry_passport", [{"address": ADDRESS}], [{"id": 4, "address": ADDRESS}])) != []
    assert differ_in_rows("registry_stamp", [{"id": 4, "provider": "A"}], [{"id": 5, "provider": "A"}]) == []


def test_the_last_digits_of_a_sum_of_floats_may_differ() -> None:
    raw = ["data", "fields", "evidence", "rawScore"]
    for near, far in (("21.12300000000000000000000001", "21.124"), ("21.122999999999999999999999999", "21.1230")):
        assert differ_in_rows("registry_event", [SCU], [changed(SCU, raw, near)]) == []
        assert told(differ_in_rows("registry_event", [SCU], [changed(SCU, raw, far)])) == [
            ("rows.registry_event[].data.fields.evidence.rawScore", "value")
        ]
    assert told(differ_in_rows("registry_event", [SCU], [changed(SCU, raw, "much")])) != []


def test_the_words_for_a_refused_token_are_free_and_those_of_no_other_refusal() -> None:
    def refused(words: str, operation: str, status: int = 401) -> list[Difference]:
        one, other = answer({"detail": "A"}, status), answer({"detail": words, "code": "b"}, status)
        return compare(one, other, Context(operation, WINDOW)).differences

    assert refused("B", "cache_add_stamps") == []
    assert told(refused("B", "v2_score")) == [("body.code", "extra"), ("body.detail", "value")]
    assert told(refused("B", "cache_add_stamps", 400)) == [("body.code", "extra"), ("body.detail", "value")]


def test_what_was_ignored_is_counted_by_rule() -> None:
    found = compare(
        answer(SCORE), answer({**SCORE, "last_score_timestamp": WITHIN.isoformat()}), Context("v2_score", WINDOW)
    )
    assert found.ignored == {"moment_of_the_answer": 1}


# ---- over all recorded answers


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from leaves(inner, (*path, key))
    elif isinstance(value, list) and value:
        for index, inner in enumerate(value):
            yield from leaves(inner, (*path, index))
    elif path:
        yield path


def recorded_bodies() -> list[tuple[str, int, Any]]:
    bodies = []
    for file in CASES.values():
        for step in replay.read(file)["steps"]:
            found = find(step["method"], step["path"].partition("?")[0])
            if found and isinstance(step["expect"]["body"], dict | list):
                text = json.dumps(step["expect"]["body"]).replace("<now:iso_us>", NOON.isoformat())
                bodies.append((found[0].id, step["expect"]["status"], json.loads(text)))
    return bodies


RECORDED = recorded_bodies()


@given(st.data())
def test_a_changed_leaf_of_any_recorded_answer_is_found(data: st.DataObject) -> None:
    operation, status, body = data.draw(st.sampled_from(RECORDED))
    found = list(leaves(body))
    if not found:
        return
    path = list(data.draw(st.sampled_from(found)))
    to = data.draw(st.sampled_from([ABSENT, "another", 987654321, None, {"x": 1}, [1]]))
    inner = body
    for step in path:
        inner = inner[step]
    if to == inner or (to is ABSENT and isinstance(path[-1], int)):
        return
    other = changed(body, path, to)
    context = Context(operation, WINDOW)
    result = compare(answer(body, status), answer(other, status), context)
    assert compare(answer(body, status), answer(body, status), context).differences == []
    if result.ignored:
        assert set(result.ignored) <= {"id_of_a_new_stamp", "text_of_a_refused_token"}
    else:
        assert result.differences


# ---- what the contract asks for


def part(said: dict[str, Any]) -> str:
    """A part of a token."""
    return base64.urlsafe_b64encode(json.dumps(said).encode()).decode().rstrip("=")


def request(
    operation: str = "v2_score",
    body: Any = None,
    did: str | None = None,
    raw: bytes | None = None,
    path: str = "",
    algorithm: str = "HS256",
) -> RecordedRequest:
    headers = {}
    if did is not None:
        claims = part({"exp": 1, **({"did": did} if did else {})})
        headers["authorization"] = f"Bearer {part({'alg': algorithm})}.{claims}.c2lnbmF0dXJl"
    return RecordedRequest(
        BY_ID[operation].method,
        path or BY_ID[operation].path.replace("{address}", ADDRESS),
        headers,
        raw if raw is not None else b"" if body is None else json.dumps(body).encode(),
    )


def rules(
    operation: str,
    control: Answer,
    candidate: Answer,
    sent: RecordedRequest | None = None,
    fact: bool | None = None,
) -> set[str]:
    """The rules that take differences; "mismatch" where one is left."""
    case = Case(operation, sent or request(operation), control, candidate, lambda _: fact)
    mismatches, on_purpose = sort_out(case, compare(control, candidate, Context(operation, WINDOW)).differences)
    return {rule.name for rule, _ in on_purpose} | ({"mismatch"} if mismatches else set())


FAILED, DETAIL = Answer(500, b"<h1>Server Error (500)</h1>"), {"detail": "…"}
GOOD = {"credentialSubject": {"provider": "Google"}, "proof": {"proofValue": "0x1"}}
JWT = f"did:pkh:eip155:1:{ADDRESS}"


@pytest.mark.parametrize(
    "stamps",
    [
        [{"provider": "Google", "stamp": {"credentialSubject": {}}}],
        [{"provider": "Google", "stamp": "text"}],
        [{"provider": None, "stamp": GOOD}],
        [{"provider": "Google", "stamp": GOOD}, {"provider": "Google", "stamp": GOOD}],
        ["no entry"],
    ],
)
def test_an_unusable_stamp_may_be_refused(stamps: list[Any]) -> None:
    for operation in ("cache_add_stamps", "cache_patch_stamps"):
        sent = request(operation, stamps, did=JWT)
        assert rules(operation, FAILED, answer(DETAIL, 422), sent) == {"unusable_stamp"}
        assert rules(operation, answer({}), answer(DETAIL, 422), sent) == {"mismatch"}
    usable = request("cache_add_stamps", [{"provider": "Google", "stamp": GOOD}], did=JWT)
    assert rules("cache_add_stamps", FAILED, answer(DETAIL, 422), usable) == {"mismatch"}


def test_an_embedded_stamp_without_provider_may_be_refused() -> None:
    for stamps in ([{"proof": {"proofValue": "0x1"}}], [GOOD, GOOD], [1]):
        sent = request("embed_add_stamps", {"scorer_id": 1, "stamps": stamps})
        assert rules("embed_add_stamps", FAILED, answer(DETAIL, 422), sent) == {"unusable_stamp"}


def test_removing_a_stamp_twice_is_no_unusable_stamp() -> None:
    sent = request("cache_patch_stamps", [{"provider": "A"}, {"provider": "A", "stamp": None}], did=JWT)
    assert rules("cache_patch_stamps", FAILED, answer(DETAIL, 422), sent) == {"mismatch"}


@pytest.mark.parametrize(
    ("rule", "operation", "sent", "candidate"),
    [
        (
            "too_many_patched",
            "cache_patch_stamps",
            request("cache_patch_stamps", [{"provider": "A"}] * 101, did=JWT),
            answer({"detail": "You have submitted too many stamps."}, 422),
        ),
        (
            "embed_unknown_scorer",
            "embed_add_stamps",
            request("embed_add_stamps", {"scorer_id": 1, "stamps": [GOOD]}),
            answer({"detail": "Invalid scorer_id"}, 400),
        ),
        ("weights_of_no_community", "embed_weights", request("embed_weights"), answer(DETAIL, 404)),
        ("token_without_address", "cache_delete_stamps", request(did=""), answer(DETAIL, 401)),
        ("token_without_address", "cache_get_score", request(did="did:x:0x12"), answer(DETAIL, 401)),
        (
            "calc_without_scorer",
            "cache_calc_score",
            request("cache_calc_score", {"alternate_scorer_id": None}, did=JWT),
            answer(DETAIL, 422),
        ),
        (
            "ban_of_null_hash",
            "check_bans",
            request("check_bans", [{"credentialSubject": {"hash": None, "id": "x"}}]),
            answer([], 200),
        ),
        (
            "ban_of_null_id",
            "check_bans",
            request("check_bans", [{"credentialSubject": {"hash": "a", "id": None}}]),
            answer(DETAIL, 400),
        ),
    ],
)
def test_a_failure_of_the_host_may_be_an_answer(
    rule: str, operation: str, sent: RecordedRequest, candidate: Answer
) -> None:
    assert rules(operation, FAILED, candidate, sent) == {rule}
    plain = request(operation, [{"credentialSubject": {"hash": "a", "id": "x"}}], did=JWT)
    if rule not in ("too_many_patched", "embed_unknown_scorer", "weights_of_no_community", "calc_without_scorer"):
        assert rules(operation, FAILED, candidate, plain) == {"mismatch"}
    assert rules(operation, answer({"other": 1}), candidate, sent) == {"mismatch"}


@pytest.mark.parametrize(
    "sent",
    [
        request("check_bans", raw=b'[{"credentialSubject": {"hash": "\\u0000"}}]'),
        request("check_bans", raw=b'[{"credentialSubject": {"hash": "\\ud800"}}]'),
        request("check_bans", raw=b"\xff"),
        request("check_bans", raw=b'{"a": NaN}'),
        request("check_bans", raw=b'{"a": -Infinity}'),
        request("check_bans", raw=b"[" * 1000),
        request("check_bans", raw=b'{"a": 12345678901234567890}'),
        request("allow_list", path="/internal/allow-list/a%00b/0x1"),
        request("cache_add_stamps", [{"provider": "A" * 300, "stamp": GOOD}]),
        request("cache_add_stamps", [{"provider": "A", "stamp": {**GOOD, "expirationDate": "2025-13-41"}}]),
        request("cache_add_stamps", [{"provider": "A", "stamp": {**GOOD, "issuanceDate": 5}}]),
    ],
)
def test_what_tables_cannot_hold_may_be_refused(sent: RecordedRequest) -> None:
    for status in (400, 404, 422):
        assert rules("check_bans", FAILED, answer(DETAIL, status), sent) == {"not_storable"}
    assert rules("check_bans", FAILED, answer(DETAIL, 503), sent) == {"mismatch"}
    assert rules("check_bans", answer({}), answer(DETAIL, 422), sent) == {"mismatch"}


@pytest.mark.parametrize("key", ["error", "detail"])
def test_a_lambda_function_fails_by_a_400(key: str) -> None:
    failed, said = answer({key: "An error has occurred"}, 400), answer({key: "Bad request"}, 400)
    assert failed.failed
    assert not said.failed
    assert not answer({key: "An error has occurred"}, 404).failed
    assert not answer(["An error has occurred"], 400).failed
    assert rules("embed_add_stamps", failed, said, request("embed_add_stamps", {})) == {"own_words"}
    assert rules("embed_add_stamps", said, failed, request("embed_add_stamps", {})) == {"mismatch"}
    assert rules("embed_add_stamps", failed, answer(SCORE), request("embed_add_stamps", {})) == {"mismatch"}
    assert rules("cache_add_stamps", failed, answer(DETAIL, 401), request(did="")) == {"token_without_address"}


def test_an_ordinary_request_is_storable() -> None:
    dated = {**GOOD, "expirationDate": "2099-01-01T00:00:00.123Z", "issuanceDate": "2025-06-01"}
    sent = request("cache_add_stamps", [{"provider": "Google", "stamp": dated}])
    assert not deliberate.unstorable(sent)
    assert rules("check_bans", FAILED, answer(DETAIL, 422), sent) == {"mismatch"}


def test_keys_are_refused_on_purpose_only_where_the_key_is_known_for_it() -> None:
    in_, out, forbidden = answer(SCORE), answer(DETAIL, 401), answer(DETAIL, 403)
    for fact, expected in ((True, "key_expired"), (False, "mismatch"), (None, "mismatch")):
        assert rules("v2_score", in_, out, fact=fact) == {expected}
    assert rules("v2_score", in_, forbidden, fact=True) == {"key_cannot_read"}
    assert rules("v2_score", out, in_, fact=True) == {"key_sha512"}
    assert rules("v2_score", out, in_, fact=None) == {"mismatch"}
    assert rules("internal_score", in_, out, fact=True) == {"mismatch"}

    def revoked(name: str) -> bool:
        return name == deliberate.KEY_REVOKED

    case = Case("embed_validate_api_key", request(), in_, out, revoked)
    found = compare(in_, out, Context("embed_validate_api_key", WINDOW)).differences
    assert [rule.name for rule, _ in sort_out(case, found)[1]] == ["key_revoked"]


def test_a_token_of_another_address() -> None:
    refused = answer({"detail": "Address in path does not match address in JWT"}, 401)
    for operation in ("cache_get_score", "cache_calc_score"):
        other = request(operation, did="did:pkh:eip155:1:0x" + "b" * 40)
        own = request(operation, did=JWT.upper().replace("DID:", "did:"))
        assert rules(operation, answer(SCORE), refused, other) == {"token_of_another_address"}
        assert rules(operation, answer(SCORE), refused, own) == {"mismatch"}
        assert rules(operation, answer(SCORE), answer(DETAIL, 401), other) == {"mismatch"}


def test_a_token_of_rs256_without_an_address_is_let_in_by_the_host() -> None:
    refused = answer(DETAIL, 401)
    for did, expected in (("did:x:0x12", "token_without_address"), ("", "mismatch"), (JWT, "mismatch")):
        sent = request("cache_get_score", did=did, algorithm="RS256")
        assert rules("cache_get_score", answer(SCORE), refused, sent) == {expected}
    assert rules("cache_get_score", FAILED, refused, request(did="", algorithm="RS256")) == {"token_without_address"}


def test_a_score_the_host_could_not_make() -> None:
    failed = {**SCORE, "score": "0.00000", "error": "'expirationDate'", "stamps": {}, "last_score_timestamp": None}
    fine = {**SCORE, "error": None}
    clash = {**failed, "error": "Failed to save HashScorerLinks"}
    assert rules("v2_score", answer(failed), answer(fine)) == {"unreadable_stamp"}
    assert rules("v2_score", answer(clash), answer(fine)) == {"shared_or_clashing_nullifier"}
    assert rules("v2_score", answer(fine), answer(failed)) == {"mismatch"}
    assert rules("v2_score", answer(failed), answer({**failed, "error": "other"})) == {"mismatch"}


def test_stamps_beside_a_failed_score_must_still_agree() -> None:
    score = {**SCORE, "error": "'expirationDate'"}
    control = {"success": True, "stamps": [stamp(1, "Google")], "score": score}
    candidate = {"success": True, "stamps": [stamp(1, "Google", issuer="x")], "score": {**SCORE, "error": None}}
    assert rules("embed_score", answer(control), answer(candidate)) == {"unreadable_stamp", "mismatch"}


def test_a_failed_score_shows_in_the_rows_where_the_answer_has_none() -> None:
    control = answer({}, rows={"registry_score": [{"status": "ERROR", "error": "'x'"}]})
    candidate = answer({}, rows={"registry_score": [{"status": "DONE", "error": None}]})
    assert rules("cache_delete_stamps", control, candidate) == {"unreadable_stamp"}


def test_no_difference_is_never_deliberate() -> None:
    assert rules("v2_score", FAILED, FAILED, fact=True) == set()


def test_each_line_of_the_contract_has_one_name() -> None:
    assert len({rule.name for rule in DELIBERATE}) == len(DELIBERATE)
    assert all(set(rule.operations) <= set(BY_ID) for rule in DELIBERATE)


@pytest.mark.parametrize("token", ["a.b", "a.!!!.c", "a.bm8.c", "a.WzFd.c", ""])
def test_claims_of_what_is_no_token(token: str) -> None:
    assert RecordedRequest("GET", "/", {"Authorization": f"Bearer {token}"}).claims == {}
