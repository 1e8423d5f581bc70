"""What API keys ask: `v2_score`."""

from tests.host.aws_lambdas import ready  # isort: skip  # first: it sets Django up

import json
from typing import Any

from asgiref.sync import async_to_sync
from django.conf import settings
from django.http import HttpRequest
from ninja.errors import HttpError

from api.account.models import AccountAPIKey, AccountAPIKeyAnalytics
from tests.host.auth import ApiKey
from tests.host.aws_lambdas.dialect import Event, function, header, parameters, segment
from tests.host.views import v2

__all__ = ["ready", "v2_score"]

authenticate = ApiKey(revoked=True)
SECRET = {"x-api-key", "authorization", "cookie"}


@function()
def v2_score(event: Event) -> Any:
    request = HttpRequest()
    request.method, request.path = event["httpMethod"], event["path"]
    request.META["HTTP_X_API_KEY"] = header(event, "x-api-key")
    request.auth = authenticate(request)
    try:
        answer = _v2_score(request, segment(event, 3), segment(event, 1))
    except HttpError as error:
        _store(event, request.auth, error.status_code, {"error": str(error)}, str(error))
        raise
    _store(event, request.auth, 200, answer, None)
    return answer


def _v2_score(request: HttpRequest, scorer_id: str, address: str) -> Any:
    v2.check_rate_limit(request)
    try:
        number = int(scorer_id)
    except ValueError:
        raise HttpError(404, "No scorer matches the given criteria.") from None
    return async_to_sync(v2._v2_score)(request.auth, number, address)


def _store(event: Event, key: AccountAPIKey, status: int, body: Any, error: str | None) -> None:
    if settings.FF_API_ANALYTICS != "on":
        return
    AccountAPIKeyAnalytics.objects.create(
        api_key=key,
        path=event["path"],
        path_segments=event["path"].split("/")[1:],
        query_params=parameters(event),
        headers={name: "***" if name in SECRET else value for name, value in event["headers"].items()},
        payload={},
        response=json.dumps(body),
        response_skipped=False,
        error=error,
        status_code=status,
    )
