"""The operations as the contract has them, a row each: where, for whom, what is sent, and what that costs.

The tests of routes, documents, statements and the order of checks follow this table; that it names exactly the
operations of the catalogue is a test of its own.
"""

from collections.abc import Callable
from typing import NamedTuple

from tests.factories.requests import INTERNAL, Request, bearer, entry, key, subject

Parameter = tuple[str, str, str, bool]  # where, name, type, required
ADDRESS: Parameter = ("path", "address", "string", True)
SCORER: Parameter = ("path", "scorer_id", "integer", True)
QUERIED: Parameter = ("query", "address", "string", True)

FIRST_SCORE = ["READ_SCORING", "WRITE_SCORING"]
STEADY_SCORE = FIRST_SCORE


class Case(NamedTuple):
    """One operation.

    ``auth``: the scheme of the OpenAPI document, or empty. ``good``: a request by an address that is answered with
    ``status``, given community 1, its key, and one stamp to delete. ``first``, ``steady``: the statements of the first
    such request and of every one after it. ``body``: the members that the document names.
    """

    route: str
    auth: str
    good: Callable[[str], Request]
    first: list[str]
    steady: list[str]
    parameters: frozenset[Parameter] = frozenset()
    body: frozenset[str] = frozenset()
    status: int = 200
    then: int = 200


def _one(name: str) -> tuple[list[str], list[str]]:
    return [name], [name]


SCORE = (FIRST_SCORE, STEADY_SCORE)
POSTED = (FIRST_SCORE, FIRST_SCORE)
KEYED = ["GET_API_KEY"]
TABLE: dict[str, Case] = {
    "v2_score": Case(
        "GET /v2/stamps/{scorer_id}/score/{address}", "ApiKeyAuth",
        lambda owner: Request("GET", f"/v2/stamps/1/score/{owner}", headers=key()),
        KEYED + FIRST_SCORE, KEYED + STEADY_SCORE, parameters=frozenset({SCORER, ADDRESS})),
    "internal_score": Case(
        "GET /internal/score/v2/{scorer_id}/{address}", "InternalAuth",
        lambda owner: Request("GET", f"/internal/score/v2/1/{owner}", headers=INTERNAL),
        *SCORE, parameters=frozenset({SCORER, ADDRESS})),
    "embed_score": Case(
        "GET /internal/embed/score/{scorer_id}/{address}", "",
        lambda owner: Request("GET", f"/internal/embed/score/1/{owner}"),
        *SCORE, parameters=frozenset({SCORER, ADDRESS})),
    "embed_add_stamps": Case(
        "POST /internal/embed/stamps/{address}", "InternalAuth",
        lambda owner: Request("POST", f"/internal/embed/stamps/{owner}",
                              {"scorer_id": 1, "stamps": [entry(owner=owner)["stamp"]]}, INTERNAL),
        *POSTED, parameters=frozenset({ADDRESS}), body=frozenset({"scorer_id", "stamps"})),
    "embed_validate_api_key": Case(
        "GET /internal/embed/validate-api-key", "ApiKeyAuth",
        lambda owner: Request("GET", "/internal/embed/validate-api-key", headers=key()), KEYED, KEYED),
    "embed_weights": Case(  # remembered for a minute
        "GET /internal/embed/weights", "",
        lambda owner: Request("GET", "/internal/embed/weights?community_id=1"),
        ["GET_WEIGHTS"], [], parameters=frozenset({("query", "community_id", "string|null", False)})),
    "embed_config": Case(
        "GET /internal/embed/config", "",
        lambda owner: Request("GET", "/internal/embed/config?community_id=1"),
        *_one("GET_EMBED_CONFIG"), parameters=frozenset({("query", "community_id", "string", True)})),
    "cache_add_stamps": Case(
        "POST /ceramic-cache/stamps/bulk", "TokenAuth",
        lambda owner: Request("POST", "/ceramic-cache/stamps/bulk", [entry(owner=owner)], bearer(owner)),
        *POSTED, body=frozenset({"provider", "stamp"}), status=201, then=201),
    "cache_patch_stamps": Case(
        "PATCH /ceramic-cache/stamps/bulk", "TokenAuth",
        lambda owner: Request("PATCH", "/ceramic-cache/stamps/bulk", [entry(owner=owner)], bearer(owner)),
        *POSTED, body=frozenset({"provider", "stamp"})),
    "cache_delete_stamps": Case(  # then nothing is left to delete: 404, nothing written
        "DELETE /ceramic-cache/stamps/bulk", "TokenAuth",
        lambda owner: Request("DELETE", "/ceramic-cache/stamps/bulk", [{"provider": "Google"}], bearer(owner)),
        FIRST_SCORE, ["READ_SCORING"], body=frozenset({"provider"}), then=404),
    "cache_get_score": Case(
        "GET /ceramic-cache/score/{address}", "TokenAuth",
        lambda owner: Request("GET", f"/ceramic-cache/score/{owner}", headers=bearer(owner)),
        ["GET_STORED_SCORE", *FIRST_SCORE], ["GET_STORED_SCORE"],
        parameters=frozenset({ADDRESS, ("query", "alternate_scorer_id", "integer|null", False)})),
    "cache_calc_score": Case(
        "POST /ceramic-cache/score/{address}", "TokenAuth",
        lambda owner: Request("POST", f"/ceramic-cache/score/{owner}", {"alternate_scorer_id": 1}, bearer(owner)),
        *SCORE, parameters=frozenset({ADDRESS}), body=frozenset({"alternate_scorer_id"})),
    "cache_get_stamps": Case(
        "GET /ceramic-cache/stamp", "",
        lambda owner: Request("GET", f"/ceramic-cache/stamp?address={owner}"),
        ["HAS_SCORE", *FIRST_SCORE], ["HAS_SCORE", "LIST_STAMPS"], parameters=frozenset({QUERIED})),
    "cache_weights": Case(
        "GET /ceramic-cache/weights", "", lambda owner: Request("GET", "/ceramic-cache/weights"), ["GET_WEIGHTS"], []),
    "check_bans": Case(
        "POST /internal/check-bans", "InternalAuth",
        lambda owner: Request("POST", "/internal/check-bans", [subject(id=f"did:pkh:eip155:1:{owner}")], INTERNAL),
        *_one("LIST_BANS"), body=frozenset({"credentialSubject"})),
    "check_revocations": Case(
        "POST /internal/check-revocations", "InternalAuth",
        lambda owner: Request("POST", "/internal/check-revocations", {"proof_values": ["a", "b"]}, INTERNAL),
        *_one("LIST_REVOKED"), body=frozenset({"proof_values"})),
    "allow_list": Case(
        "GET /internal/allow-list/{list}/{address}", "InternalAuth",
        lambda owner: Request("GET", f"/internal/allow-list/friends/{owner}", headers=INTERNAL),
        *_one("IS_LISTED"), parameters=frozenset({("path", "list", "string", True), ADDRESS})),
    "credential_definition": Case(
        "GET /internal/customization/credential/{provider_id}", "InternalAuth",
        lambda owner: Request("GET", "/internal/customization/credential/Custom", headers=INTERNAL),
        *_one("GET_RULESET"), parameters=frozenset({("path", "provider_id", "string", True)})),
    "gtc_stake": Case(
        "GET /internal/stake/gtc/{address}", "InternalAuth",
        lambda owner: Request("GET", f"/internal/stake/gtc/{owner}", headers=INTERNAL),
        *_one("LIST_STAKES"), parameters=frozenset({ADDRESS})),
    "legacy_gtc_stake": Case(
        "GET /internal/stake/legacy-gtc/{address}/{round_id}", "InternalAuth",
        lambda owner: Request("GET", f"/internal/stake/legacy-gtc/{owner}/1", headers=INTERNAL),
        *_one("LIST_STAKE_EVENTS"), parameters=frozenset({ADDRESS, ("path", "round_id", "integer", True)})),
    "contributor_statistics": Case(
        "GET /internal/cgrants/contributor_statistics", "InternalAuth",
        lambda owner: Request("GET", f"/internal/cgrants/contributor_statistics?address={owner}", headers=INTERNAL),
        *_one("GET_CONTRIBUTIONS"), parameters=frozenset({QUERIED})),
}  # fmt: skip
