"""One row per call that an API key made, good or not; a row that cannot be stored never fails the call."""

import json
import logging
from collections.abc import Callable
from functools import wraps
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from ninja.errors import HttpError

from api.account.models import AccountAPIKeyAnalytics

log = logging.getLogger(__name__)

_SECRET = {"x-api-key", "authorization", "cookie"}


def tracked(view: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(view)
    def wrapper(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        try:
            answer = view(request, *args, **kwargs)
        except HttpError as error:
            # A rate limit is kept as a status without a text.
            _store(request, error.status_code, error="" if error.status_code == 429 else str(error))
            raise
        _store(request, 200, response=json.dumps(answer))
        return answer

    return wrapper


def _store(request: HttpRequest, status: int, *, response: str | None = None, error: str | None = None) -> None:
    if settings.FF_API_ANALYTICS != "on":
        return
    try:
        AccountAPIKeyAnalytics.objects.create(
            api_key=request.auth,
            path=request.path,
            path_segments=request.path.split("/")[1:],
            query_params=dict(request.GET.lists()),
            headers={name: "***" if name.lower() in _SECRET else value for name, value in request.headers.items()},
            response=response,
            response_skipped=False,
            error=error,
            status_code=status,
        )
    except Exception:
        log.exception("analytics of %s not stored", request.path)
