"""The rate limit of an API key, counted in the host's cache: one budget over both sides."""

from __future__ import annotations

import logging
from typing import NamedTuple

from django.conf import settings
from django.core.cache import caches
from django.http import HttpRequest

from ..errors import Problem, Refused
from ..lookups.api_key_queries import ApiKeyRow
from ..scoring import context

logger = logging.getLogger("scorer_fast")

GROUP = "registry"
_COUNTED = "_scorer_fast_counted"


class Counted(NamedTuple):
    """A call that was counted: in which cache, and under which key."""

    cache: str
    key: str


def check_rate_limit(request: HttpRequest, key: ApiKeyRow) -> None:
    """Refused when the key is over its limit; a cache that is down lets requests through.

    A rehearsal only looks whether this request would be over: it is the host's to count.
    """
    if key.rate_limit and context.read(lambda: _is_over(request, key)):
        raise Refused(Problem.RATE_LIMITED)


def give_back(request: HttpRequest) -> None:
    """Take back that ``request`` was counted: somebody else answers it, and counts it again.

    Counting stays where the order of checks has it, and is undone, rather than put off until the answer is
    certain: calls that run at the same time would all be let in before the first of them was counted.
    """
    counted: Counted | None = request.__dict__.pop(_COUNTED, None)
    if counted is None:
        return
    try:
        caches[counted.cache].decr(counted.key)
    except ValueError:
        pass  # the period ended meanwhile, and its count with it
    except Exception:
        logger.warning("a counted call could not be given back", exc_info=True)


def _is_over(request: HttpRequest, key: ApiKeyRow) -> bool:
    from django_ratelimit import ALL
    from django_ratelimit.core import get_usage

    live = context.is_live()
    try:
        counted = _where_counted(key) if live and context.is_called() else None
        usage = get_usage(
            request,
            group=GROUP,
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
    if counted is not None:
        setattr(request, _COUNTED, counted)
    return bool(usage["should_limit"] if live else usage["count"] >= usage["limit"])


def _where_counted(key: ApiKeyRow) -> Counted | None:
    """Where the library counts a call of this key at this moment, as its own functions say.

    None where it has them no longer: a call is then counted all the same, and cannot be given back.
    """
    try:
        from django_ratelimit import ALL
        from django_ratelimit.core import _get_window, _make_cache_key, _split_rate

        window = _get_window(key.prefix, _split_rate(key.rate_limit)[1])
        return Counted(
            getattr(settings, "RATELIMIT_USE_CACHE", "default"),
            _make_cache_key(GROUP, window, key.rate_limit, key.prefix, ALL),
        )
    except Exception:
        return None
