"""The rate limit of an API key, counted in the host's cache: one budget over both sides."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

from django.conf import settings
from django.core.cache import caches
from django.http import HttpRequest

from ..errors import Problem, Refused
from ..lookups.api_key_queries import ApiKeyRow
from ..outages import due
from ..pool import Full, Pool
from ..run import run_of

logger = logging.getLogger("scorer_fast")

GROUP = "registry"
CACHE_SECONDS = 0.2  # that a call waits for the cache
MOST_THREADS = 1000  # that ask it at once: more than requests ever do, for a call that finds no thread is not counted
HANGING_SECONDS = 1.0  # that a cache which did not answer is left alone, for each thread that still waits for it
# Backends that ask nobody, or the database, on the caller's own connection.
_AT_HAND = ("locmem", "dummy", "filebased", "db")
_COUNTED = "_scorer_fast_counted"


class Counted(NamedTuple):
    """A call that was counted: in which cache, and under which key."""

    cache: str
    key: str


def check_rate_limit(request: HttpRequest, key: ApiKeyRow) -> None:
    """Refused when the key is over its limit; a cache that is down lets requests through.

    A rehearsal only looks whether this request would be over: it is the host's to count.
    """
    if key.rate_limit and _is_over(request, key):
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
        _bounded(lambda: caches[counted.cache].decr(counted.key))
    except ValueError:
        pass  # the period ended meanwhile, and its count with it
    except Exception as error:
        _tell("a counted call could not be given back", type(error).__name__)


def _is_over(request: HttpRequest, key: ApiKeyRow) -> bool:
    from django_ratelimit import ALL
    from django_ratelimit.core import get_usage

    rate = key.rate_limit or ""
    if not is_readable(rate):
        _tell_unreadable(key.prefix, rate)
        return False
    run = run_of(request)
    live = run.is_live
    try:
        counted = _where_counted(key) if live and run.has_host else None
        usage = _bounded(
            lambda: get_usage(
                request,
                group=GROUP,
                key=lambda group, request: key.prefix,
                rate=rate,
                method=ALL,
                increment=live,
            )
        )
    except Exception as error:
        _tell("the rate limit could not be counted", type(error).__name__, prefix=key.prefix)
        return False
    if usage is None or usage["time_left"] < 0:  # negative: the cache did not count
        return False
    if counted is not None:
        setattr(request, _COUNTED, counted)
    return bool(usage["should_limit"] if live else usage["count"] >= usage["limit"])


def is_readable(rate: str) -> bool:
    """Whether the library can count by it; text with a dot would be a name that it imports and calls."""
    from django_ratelimit.core import _split_rate

    try:
        return "." not in rate and bool(_split_rate(rate)[1] > 0)
    except (AttributeError, KeyError, ValueError):
        return False


@lru_cache(maxsize=1024)
def _tell_unreadable(prefix: str, rate: str) -> None:
    """Once per process and rate; `check --database` names all of them."""
    logger.error("the rate limit of an API key cannot be read: nothing is limited", extra={"prefix": prefix})


def _tell(what: str, error: str, **known: Any) -> None:
    count = due(what)
    if count:
        logger.warning("%s (%s)", what, error, extra={"count": count, **known})


class _Cache:
    """What this process knows of a cache that did not answer in time.

    ``threads``: which ask it. ``left``: those that still wait for it, while nobody waits for them. Where the host gave
    its cache no time-out, each of them stays for ever, with a connection: the more there are, the more rarely it is
    asked.
    """

    def __init__(self) -> None:
        self.threads = Pool(MOST_THREADS, 0, "scorer-fast-cache")
        self.lock = threading.Lock()
        self.left = 0
        self.is_hanging = False
        self.asked_again = float("-inf")

    def may_be_asked(self) -> bool:
        """Whether this call may ask; while the cache hangs, one call at a time finds out."""
        with self.lock:
            now = time.monotonic()
            if not self.is_hanging:
                return True
            if now < self.asked_again:
                return False
            self._leave_alone(now)
            return True

    def answered(self) -> None:
        self.is_hanging = False

    def gave_up(self) -> None:
        with self.lock:
            self.left += 1
            self.is_hanging = True
            self._leave_alone(time.monotonic())

    def ended_late(self) -> None:
        with self.lock:
            self.left -= 1

    def _leave_alone(self, now: float) -> None:
        self.asked_again = now + HANGING_SECONDS * max(self.left, 1)


_cache = _Cache()


def _after_fork() -> None:
    global _cache
    _cache = _Cache()


os.register_at_fork(after_in_child=_after_fork)


def _bounded(ask: Callable[[], Any]) -> Any:
    """``ask()``, or TimeoutError after CACHE_SECONDS: a cache that hangs is as good as one that is down.

    Whoever finds it hanging spares others the wait for a while. No backend can be interrupted, so the question is
    put on another thread, which may go on.
    """
    name: str = getattr(settings, "RATELIMIT_USE_CACHE", "default")
    if type(caches[name]).__module__.rpartition(".")[2] in _AT_HAND:
        return ask()
    cache = _cache
    if not cache.may_be_asked():
        raise TimeoutError
    try:
        asking = cache.threads.submit(ask)
    except Full:
        raise TimeoutError from None
    try:
        asking.exception(CACHE_SECONDS)
    except TimeoutError:
        cache.gave_up()
        asking.add_done_callback(lambda _: cache.ended_late())
        raise
    cache.answered()
    return asking.result()


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
