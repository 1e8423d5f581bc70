"""The OpenAPI document names the operations, and says what is really answered."""

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from django.contrib.auth import get_user_model
from django.contrib.staticfiles import finders
from django.test import Client
from pytest_django import Settings

from api.account.models import Community
from scorer_fast.http.api import api
from scorer_fast.http.catalogue import OPERATIONS, Operation, find
from scorer_fast.http.problems import PROBLEMS
from tests.contract import replay
from tests.factories import rows
from tests.factories.operations import TABLE
from tests.factories.requests import good

IDS = [operation.id for operation in OPERATIONS]
CASES = sorted(Path(replay.__file__).parent.glob("golden*/*.json.gz"))
SCHEMES = {
    "ApiKeyAuth": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    "InternalAuth": {"type": "apiKey", "in": "header", "name": "Authorization"},
    "TokenAuth": {"type": "http", "scheme": "bearer"},
}


@cache
def document() -> dict[str, Any]:
    """As it is served: JSON, whose keys are texts."""
    found: dict[str, Any] = json.loads(json.dumps(api.get_openapi_schema()))
    return found


def described(operation: Operation) -> dict[str, Any]:
    found: dict[str, Any] = document()["paths"][operation.path][operation.method.lower()]
    return found


def resolved(schema: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in schema:
        schema = document()["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return schema


def kind(schema: dict[str, Any]) -> str:
    return "|".join(inner["type"] for inner in schema["anyOf"]) if "anyOf" in schema else schema["type"]


def test_it_is_the_catalogue_and_nothing_else() -> None:
    found = {
        details["operationId"]: f"{method.upper()} {path}"
        for path, methods in document()["paths"].items()
        for method, details in methods.items()
    }
    assert found == {operation.id: f"{operation.method} {operation.path}" for operation in OPERATIONS}
    assert document()["openapi"].startswith("3.")
    assert api.urls_namespace == "scorer_fast"


@pytest.mark.parametrize("operation", OPERATIONS, ids=IDS)
def test_what_is_said_of_each(operation: Operation) -> None:
    details = described(operation)
    assert details["summary"] == operation.summary
    assert details["description"].endswith(".")
    assert details["tags"] == [operation.group]
    assert details.get("deprecated", False) is (operation.id == "embed_weights")
    parameters = {
        (given["in"], given["name"], kind(given["schema"]), given["required"])
        for given in details.get("parameters", [])
    }
    assert parameters == TABLE[operation.id].parameters


@pytest.mark.parametrize("operation", OPERATIONS, ids=IDS)
def test_security(operation: Operation) -> None:
    details = described(operation)
    scheme = TABLE[operation.id].auth
    assert details.get("security") == ([{scheme: []}] if scheme else None)
    assert ("401" in details["responses"]) is bool(scheme)
    assert document()["components"]["securitySchemes"] == SCHEMES


@pytest.mark.parametrize("operation", OPERATIONS, ids=IDS)
def test_bodies(operation: Operation) -> None:
    body = described(operation).get("requestBody")
    if not TABLE[operation.id].body:
        assert body is None
        return
    assert body is not None
    assert body["required"] is True
    schema = resolved(body["content"]["application/json"]["schema"])
    if schema.get("type") == "array":
        schema = resolved(schema["items"])
    assert set(schema["properties"]) == TABLE[operation.id].body


def statuses(operation: Operation) -> set[int]:
    return {int(status) for status in described(operation)["responses"]}


@pytest.mark.parametrize("operation", OPERATIONS, ids=IDS)
def test_responses(operation: Operation) -> None:
    assert {status for status in statuses(operation) if status < 300} == {TABLE[operation.id].status}
    assert {400, 422, 503} <= statuses(operation)
    for details in described(operation)["responses"].values():
        assert details["content"]["application/json"]["schema"]


def test_every_problem_has_a_documented_status() -> None:
    everywhere = set.union(*(statuses(operation) for operation in OPERATIONS))
    assert {status for status, _ in PROBLEMS.values()} <= everywhere


def validator(operation: Operation, status: int) -> Any:
    responses = described(operation)["responses"]
    assert str(status) in responses, f"{operation.id} answers an undocumented {status}"
    schema = responses[str(status)]["content"]["application/json"]["schema"]
    return jsonschema_rs.Draft202012Validator({**schema, "components": {"schemas": closed()}})


@cache
def closed() -> dict[str, Any]:
    """The schemas, none of which lets a key pass that it does not name."""
    return {
        name: {**schema, "additionalProperties": False} if "properties" in schema else schema
        for name, schema in document()["components"]["schemas"].items()
    }


@pytest.mark.parametrize("file", CASES, ids=lambda file: f"{file.parent.name}/{file.name.removesuffix('.json.gz')}")
def test_every_recorded_answer_is_as_the_document_says(file: Path) -> None:
    checked = 0
    for step in replay.read(file)["steps"]:
        found = find(step["method"], step["path"].partition("?")[0])
        expected = step["expect"]
        if expected["body"] == "<any>" or expected["status"] == 405:
            continue
        assert found is not None
        validator(found[0], expected["status"]).validate(unmasked(expected["body"]))
        checked += 1
    assert checked or file.name.startswith(("cache_post_", "embed_add_", "embed_config_post", "v2_"))


def unmasked(body: Any) -> Any:
    """Masks of values that differ from run to run, put back as values of their kind."""
    if isinstance(body, dict):
        return {key: unmasked(value) for key, value in body.items()}
    if isinstance(body, list):
        return [unmasked(value) for value in body]
    return 1 if body == "<new>" else body


@pytest.mark.django_db
@pytest.mark.parametrize("operation", OPERATIONS, ids=IDS)
def test_a_live_answer_is_as_the_document_says(operation: Operation, one: Community) -> None:
    rows.stamps(rows.OWNER, "Google")
    rows.ruleset("Custom", {"all": 10**30})
    response = good(operation.id).send()
    validator(operation, response.status_code).validate(response.json())
    assert response["Content-Type"].startswith("application/json")


def answer_of(operation: Operation) -> Any:
    """The example of the operation's good answer."""
    answers = described(operation)["responses"]
    return answers[str(TABLE[operation.id].status)]["content"]["application/json"]["example"]


@pytest.mark.parametrize("operation", OPERATIONS, ids=IDS)
def test_its_example_is_as_its_schemas_say(operation: Operation) -> None:
    details, status = described(operation), TABLE[operation.id].status
    validator(operation, status).validate(answer_of(operation))
    if "requestBody" in details:
        content = details["requestBody"]["content"]["application/json"]
        schema = {**content["schema"], "components": document()["components"]}
        jsonschema_rs.Draft202012Validator(schema).validate(content["example"])
    for given in details.get("parameters", []):
        if given["required"] or "example" in given:
            jsonschema_rs.Draft202012Validator(given["schema"]).validate(given["example"])


@pytest.mark.django_db
@pytest.mark.parametrize("operation", [operation for operation in OPERATIONS if operation.method == "GET"])
def test_the_example_names_what_is_answered(operation: Operation, one: Community) -> None:
    """The same keys as a live answer, on every level that is no data."""
    rows.stamps(rows.OWNER, "Google")
    rows.ruleset("Custom", {"all": 1})
    live, example = good(operation.id).send().json(), answer_of(operation)
    if operation.group != "weights":
        assert set(live) == set(example)
    if "stamps" in live and isinstance(live["stamps"], dict):
        assert set(live["stamps"]["Google"]) == set(example["stamps"]["Google"])


@pytest.mark.django_db
def test_the_document_and_its_page_are_served() -> None:
    served = Client().get("/scorer-fast/openapi.json")
    assert (served.status_code, served.json()["info"]["title"]) == (200, "scorer_fast")
    assert Client().get("/scorer-fast/docs").status_code == 200


@pytest.mark.django_db
def test_the_page_loads_nothing_from_elsewhere(settings: Settings) -> None:
    page = Client().get("/scorer-fast/docs").content.decode()
    loaded = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert any(name.endswith("swagger-ui-bundle.js") for name in loaded)
    assert not re.findall(r"https?://", page)
    for name in loaded:
        assert name.startswith(settings.STATIC_URL)
        assert finders.find(name.removeprefix(settings.STATIC_URL)), name
    assert json.loads(re.search(r'"swagger-settings">(.+?)</script>', page, re.DOTALL)[1])["validatorUrl"] is None
    settings.INSTALLED_APPS = [name for name in settings.INSTALLED_APPS if name != "ninja"]
    without = Client().get("/scorer-fast/docs")
    assert (without.status_code, b"INSTALLED_APPS" in without.content) == (404, True)


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/scorer-fast/docs", "/scorer-fast/openapi.json"])
@pytest.mark.parametrize(
    ("docs", "who", "expected"),
    [
        ("off", "staff", 404),
        ("on", "nobody", 200),
        ("staff", "nobody", 302),
        ("staff", "user", 302),
        ("staff", "staff", 200),
    ],
)
def test_who_sees_it(path: str, docs: str, who: str, expected: int, settings: Settings) -> None:
    settings.SCORER_FAST = {**settings.SCORER_FAST, "DOCS": docs}
    client = Client()
    if who != "nobody":
        client.force_login(get_user_model().objects.create_user("someone", is_staff=who == "staff"))
    answered = client.get(path)
    assert answered.status_code == expected
    if expected == 302:
        assert answered["Location"] == f"/admin/login/?next={path}"


@pytest.mark.django_db
@pytest.mark.urls("scorer_fast.urls")
def test_without_an_admin_to_sign_in_to_it_is_not_found(settings: Settings) -> None:
    settings.SCORER_FAST = {**settings.SCORER_FAST, "DOCS": "staff"}
    assert Client().get("/scorer-fast/docs").status_code == 404
