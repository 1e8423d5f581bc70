"""Events as a load balancer sends them."""

from typing import Any

from tests.host.asks import Ask

LAMBDAS = "tests.host.aws_lambdas"
READY = f"{LAMBDAS}.ready"
# The host's own handler of each operation that it has one of.
HOST = {
    "v2_score": f"{LAMBDAS}.v2.v2_score",
    "embed_score": f"{LAMBDAS}.embed.embed_score",
    "embed_add_stamps": f"{LAMBDAS}.embed.embed_add_stamps",
    "embed_validate_api_key": f"{LAMBDAS}.embed.embed_validate_api_key",
    "cache_add_stamps": f"{LAMBDAS}.ceramic_cache.cache_add_stamps",
    "cache_patch_stamps": f"{LAMBDAS}.ceramic_cache.cache_patch_stamps",
    "cache_delete_stamps": f"{LAMBDAS}.ceramic_cache.cache_delete_stamps",
    "cache_get_score": f"{LAMBDAS}.ceramic_cache.cache_get_score",
    "cache_calc_score": f"{LAMBDAS}.ceramic_cache.cache_calc_score",
    "cache_get_stamps": f"{LAMBDAS}.ceramic_cache.cache_get_stamps",
    "cache_weights": f"{LAMBDAS}.ceramic_cache.cache_weights",
}


class Context:
    """What Lambda hands to a handler beside the event."""

    aws_request_id = "11111111-2222-3333-4444-555555555555"
    function_name = "submit-stamps"
    invoked_function_arn = "arn:aws:lambda:eu-west-1:1:function:submit-stamps"

    def __init__(self, seconds: float = 30.0) -> None:
        self._seconds = seconds

    def get_remaining_time_in_millis(self) -> int:
        return int(self._seconds * 1000)


def event(method: str = "GET", path: str = "/", body: str = "", **more: Any) -> dict[str, Any]:
    """An event with one value per header and parameter."""
    return {
        "requestContext": {"elb": {"targetGroupArn": "arn:aws:elasticloadbalancing:eu-west-1:1:targetgroup/t/1"}},
        "httpMethod": method,
        "path": path,
        "queryStringParameters": {},
        "headers": {"host": "api.example.org", "accept": "application/json"},
        "body": body,
        "isBase64Encoded": False,
        **more,
    }


def of_ask(ask: Ask) -> dict[str, Any]:
    """The event of a request."""
    path, _, query = ask.path.partition("?")
    sent = event(ask.method, path, "" if ask.body is None else ask.sent()["data"])
    sent["queryStringParameters"] = dict(pair.split("=") for pair in query.split("&")) if query else {}
    sent["headers"] |= {name.lower(): value for name, value in ask.headers.items()}
    return sent


def many(single: dict[str, Any]) -> dict[str, Any]:
    """The same event with several values per header and parameter."""
    event = dict(single)
    event["multiValueHeaders"] = {name: [value] for name, value in event.pop("headers").items()}
    event["multiValueQueryStringParameters"] = {
        name: [value] for name, value in event.pop("queryStringParameters").items()
    }
    return event
