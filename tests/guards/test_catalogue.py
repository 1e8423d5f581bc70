"""One name per operation: router function, use case, URL, flag, recorded cases and statement counts bear it."""

import ast
import re
from pathlib import Path

import pytest
from django.urls import reverse

import scorer_fast
from scorer_fast.cutover import flags
from scorer_fast.http import ceramic_cache, embed, internal, v2
from scorer_fast.http.api import api
from scorer_fast.http.catalogue import BY_ID, OPERATIONS, Operation, Subject, find
from tests.contract import replay
from tests.factories.operations import QUERIED, TABLE
from tests.factories.requests import good

ROOT = Path(scorer_fast.__file__).parent
DOCUMENTS = Path(__file__).parents[2]  # beside an installed package too
CASES = Path(replay.__file__).parent
IDS = [operation.id for operation in OPERATIONS]


def functions(package: str) -> set[str]:
    """Every function on the top level of a package's modules."""
    return {
        node.name
        for path in (ROOT / package).glob("*.py")
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.FunctionDef)
    }


def test_the_catalogue_is_the_contracts_table() -> None:
    assert {operation.id: f"{operation.method} {operation.path}" for operation in OPERATIONS} == {
        id_: case.route for id_, case in TABLE.items()
    }
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
def test_it_writes_and_is_about_whom_the_contract_says(operation: Operation) -> None:
    """A split goes by the address that the URL names, wherever it names one."""
    case = TABLE[operation.id]
    assert operation.writes == ("WRITE_SCORING" in case.first)
    assert (operation.subject is Subject.PATH) == ("{address}" in operation.path)
    assert (operation.subject is Subject.QUERY) == (QUERIED in case.parameters)


@pytest.mark.parametrize("operation", OPERATIONS, ids=IDS)
def test_it_is_found_by_method_and_path(operation: Operation) -> None:
    request = good(operation.id)
    found = find(request.method, request.path.partition("?")[0])
    assert found is not None
    assert found[0] is operation
    assert find("TRACE", request.path.partition("?")[0]) is None
    assert find(request.method, request.path.partition("?")[0] + "/more") is None


def test_every_operation_is_counted_flagged_and_recorded() -> None:
    recorded = set()
    for file in CASES.glob("golden*/*.json.gz"):
        for step in replay.read(file)["steps"]:
            found = find(step["method"], step["path"].partition("?")[0])
            if found is not None:
                recorded.add(found[0].id)
    assert recorded == set(IDS)
    assert {operation.id for operation in flags.OPERATIONS} == set(IDS)


COUNTED = {20: "twenty", 21: "twenty-one", 22: "twenty-two", 23: "twenty-three", 24: "twenty-four", 25: "twenty-five"}
NUMBER = re.compile(r"\b(twenty(?:-\w+)?)\s+(?:slow\s+)?operations")


@pytest.mark.parametrize(
    "path",
    [DOCUMENTS / name for name in ("README.md", "docs/guard.md", "docs/operations.md")],
    ids=lambda path: path.name,
)
def test_how_many_there_are_is_written_so_everywhere(path: Path) -> None:
    assert set(NUMBER.findall(path.read_text())) == {COUNTED[len(OPERATIONS)]}
