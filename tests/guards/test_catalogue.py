"""One name per operation: router function, use case, URL, flag, recorded cases and statement counts bear it."""

import ast
from pathlib import Path

import pytest
from django.urls import reverse

import scorer_fast
from scorer_fast.cutover import flags
from scorer_fast.http import ceramic_cache, embed, internal, v2
from scorer_fast.http.api import api
from scorer_fast.http.catalogue import BY_ID, OPERATIONS, Operation, find
from tests.contract import replay
from tests.factories.requests import good
from tests.guards.test_statements import EXPECTED

ROOT = Path(scorer_fast.__file__).parent
CASES = Path(replay.__file__).parent / "golden"
IDS = [operation.id for operation in OPERATIONS]
# The contract's table, section 1.
CONTRACT = {
    "v2_score": "GET /v2/stamps/{scorer_id}/score/{address}",
    "internal_score": "GET /internal/score/v2/{scorer_id}/{address}",
    "embed_score": "GET /internal/embed/score/{scorer_id}/{address}",
    "embed_add_stamps": "POST /internal/embed/stamps/{address}",
    "embed_validate_api_key": "GET /internal/embed/validate-api-key",
    "embed_weights": "GET /internal/embed/weights",
    "cache_add_stamps": "POST /ceramic-cache/stamps/bulk",
    "cache_patch_stamps": "PATCH /ceramic-cache/stamps/bulk",
    "cache_delete_stamps": "DELETE /ceramic-cache/stamps/bulk",
    "cache_get_score": "GET /ceramic-cache/score/{address}",
    "cache_calc_score": "POST /ceramic-cache/score/{address}",
    "cache_get_stamps": "GET /ceramic-cache/stamp",
    "cache_weights": "GET /ceramic-cache/weights",
    "check_bans": "POST /internal/check-bans",
    "check_revocations": "POST /internal/check-revocations",
    "allow_list": "GET /internal/allow-list/{list}/{address}",
    "credential_definition": "GET /internal/customization/credential/{provider_id}",
    "gtc_stake": "GET /internal/stake/gtc/{address}",
    "legacy_gtc_stake": "GET /internal/stake/legacy-gtc/{address}/{round_id}",
    "contributor_statistics": "GET /internal/cgrants/contributor_statistics",
}


def functions(package: str) -> set[str]:
    """Every function on the top level of a package's modules."""
    return {
        node.name
        for path in (ROOT / package).glob("*.py")
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.FunctionDef)
    }


def test_the_catalogue_is_the_contracts_table() -> None:
    assert {operation.id: f"{operation.method} {operation.path}" for operation in OPERATIONS} == CONTRACT
    assert list(BY_ID) == IDS


@pytest.mark.parametrize("operation", OPERATIONS, ids=IDS)
def test_router_use_case_and_url_bear_its_name(operation: Operation) -> None:
    routers = [module for module in (v2, embed, ceramic_cache, internal) if hasattr(module, operation.id)]
    assert len(routers) == 1
    # embed_validate_api_key is nothing but its authentication.
    assert operation.id in functions("scoring") | functions("lookups") | {"embed_validate_api_key"}
    places = dict.fromkeys(("scorer_id", "address", "list", "provider_id", "round_id"), "1")
    kwargs = {name: value for name, value in places.items() if "{" + name + "}" in operation.path}
    assert reverse(f"{api.urls_namespace}:{operation.id}", kwargs=kwargs) == operation.path.format(**places)


@pytest.mark.parametrize("operation", OPERATIONS, ids=IDS)
def test_it_is_found_by_method_and_path(operation: Operation) -> None:
    request = good(operation.id)
    found = find(request.method, request.path.partition("?")[0])
    assert found is not None
    assert found[0] is operation
    assert find("TRACE", request.path.partition("?")[0]) is None
    assert find(request.method, request.path.partition("?")[0] + "/more") is None


def test_every_operation_is_counted_flagged_and_recorded() -> None:
    assert set(EXPECTED) == set(IDS)
    recorded = set()
    for file in CASES.glob("*.json.gz"):
        for step in replay.read(file)["steps"]:
            found = find(step["method"], step["path"].partition("?")[0])
            if found is not None:
                recorded.add(found[0].id)
    assert recorded == set(IDS)
    assert {operation.id for operation in flags.OPERATIONS} == set(IDS)
