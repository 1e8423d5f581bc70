"""The rate limit of an API key, counted in the host's cache: one budget over both sides."""

from __future__ import annotations

import logging

from django.http import HttpRequest

from ..errors import Problem, Refused
from ..operations import context
from ..sql.api_keys import ApiKeyRow

logger = logging.getLogger("scorer_fast")


def check_rate_limit(request: HttpRequest, key: ApiKeyRow) -> None:
    """Refused when the key is over its limit; a cache that is down lets requests through."""
    if not key.rate_limit or not context.is_live():
        return
    from django_ratelimit import ALL
    from django_ratelimit.core import is_ratelimited

    try:
        limited = is_ratelimited(
            request,
            group="registry",
            key=lambda group, request: key.prefix,
            rate=key.rate_limit,
            method=ALL,
            increment=True,
        )
    except Exception:
        logger.warning("the rate limit could not be counted", extra={"prefix": key.prefix}, exc_info=True)
        return
    if limited:
        raise Refused(Problem.RATE_LIMITED)
