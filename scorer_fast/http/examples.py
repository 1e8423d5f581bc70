"""The examples of the OpenAPI document, made of those of its schemas' fields (``schemas.py``).

They are what the demo data of this repository answers (`make run`), so that they can be tried as they stand.
A test holds each to the schema it stands beside.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .schemas import ADDRESS, CREDENTIAL, Points

# Of the path and of the query, by name.
PARAMETERS: dict[str, Any] = {
    "address": ADDRESS,
    "community_id": "1",
    "list": "friends",
    "provider_id": "DeveloperList#Contributor#1234abcd",
    "round_id": 1,
    "scorer_id": 1,
}
POINTS = {name: field.examples[0] for name, field in Points.model_fields.items() if field.examples}
# What an operation takes, or answers, in place of the example of its schema.
BODIES: dict[str, Any] = {
    "cache_patch_stamps": [{"provider": "Google", "stamp": CREDENTIAL}, {"provider": "Github"}],
}
ANSWERS: dict[str, dict[str, Any]] = {
    "cache_delete_stamps": {"stamps": []},
    "cache_get_score": {"points_data": POINTS, "possible_points_data": POINTS},
}


def add_to(document: dict[str, Any]) -> None:
    """Put the examples into an OpenAPI document, beside the schemas they stand for."""
    schemas = document["components"]["schemas"]
    for described in _operations(document):
        name = described["operationId"]
        for parameter in described.get("parameters", ()):
            if parameter["name"] in PARAMETERS:
                parameter["example"] = PARAMETERS[parameter["name"]]
        if "requestBody" in described:
            content = described["requestBody"]["content"]["application/json"]
            content["example"] = BODIES.get(name) or example(content["schema"], schemas)
        for status, response in described["responses"].items():
            if int(status) < 300:
                content = response["content"]["application/json"]
                content["example"] = example(content["schema"], schemas)
                if name in ANSWERS:
                    content["example"] |= ANSWERS[name]


def _operations(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for methods in document["paths"].values():
        yield from methods.values()


def example(schema: dict[str, Any], schemas: dict[str, Any]) -> Any:
    """An example of ``schema``; ``schemas``: those that a reference may mean, by name."""
    if "examples" in schema:
        return schema["examples"][0]
    if "$ref" in schema:
        return example(schemas[schema["$ref"].rpartition("/")[2]], schemas)
    if "items" in schema:
        return [example(schema["items"], schemas)]
    return {name: example(field, schemas) for name, field in schema["properties"].items()}
