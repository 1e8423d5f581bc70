"""The rate limit of an API key, counted in the host's cache: one budget over both sides."""

from __future__ import annotations

import logging

from django.http import HttpRequest

from ..errors import Problem, Refused
from ..operations import context
from ..sql.api_keys import ApiKeyRow

logger = logging.getLogger("scorer_fast")


def check_rate_limit(request: HttpRequest, key: ApiKeyRow) -> None:
    """Refused when the key is over its limit; a cache that is down lets requests through.

    A rehearsal only looks whether this request would be over: it is the host's to count.
    """
    if key.rate_limit and context.read(lambda: _is_over(request, key)):
        raise Refused(Problem.RATE_LIMITED)


def _is_over(request: HttpRequest, key: ApiKeyRow) -> bool:
    from django_ratelimit import ALL
    from django_ratelimit.core import get_usage

    live = context.is_live()
    try:
        usage = get_usage(
            request,
            group="registry",
            key=lambda group, request: key.prefix,
            rate=key.rate_limit,
            method=ALL,
            increment=live,
        )
    except Exception:
        logger.warning("the rate limit could not be counted", extra={"prefix": key.prefix}, exc_info=True)
        return False
    if usage is None or usage["time_left"] < 0:  # negative: the cache did not count
        return False
    return bool(usage["should_limit"] if live else usage["count"] >= usage["limit"])
