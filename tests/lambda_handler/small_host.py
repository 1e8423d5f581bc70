"""Handlers that say what they were asked: whoever gets this was not answered by us."""

from typing import Any


def tell(event: dict[str, Any], context: Any) -> dict[str, Any]:
    return {"statusCode": 299, "got": event, "isBase64Encoded": False, "body": "ä"}


def cookies(event: dict[str, Any], context: Any) -> dict[str, Any]:
    return {
        "statusCode": 200,
        "multiValueHeaders": {"Set-Cookie": ["a=1", "b=2"]},
        "body": "YQ==",
        "isBase64Encoded": True,
    }


def nothing(event: dict[str, Any], context: Any) -> None:
    return None


def fail(event: dict[str, Any], context: Any) -> dict[str, Any]:
    raise LookupError("the host's own mistake")
