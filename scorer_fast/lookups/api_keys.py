"""Whether an API key is good, cheapest check first; a wrong key never costs more than a bounded PBKDF2.

PBKDF2 is run for keys that were not migrated yet. Its cost is bounded per process, and counted before it is spent: a
wrong secret already tried is remembered by digest; per prefix at most ``PBKDF2_FAILURES_PER_MINUTE`` new wrong secrets
are hashed, of all prefixes together three times as many; and once somebody was wrong this minute, one at a time. What
is beyond is refused as too often, a good key too, until it may be tried again. A key that was once good has its
SHA-256 and never comes here again.
"""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from collections import OrderedDict
from concurrent.futures import CancelledError, Future
from contextlib import nullcontext
from typing import Any

from django.contrib.auth.hashers import check_password
from django.core.signals import setting_changed
from django.db import DatabaseError, transaction
from django.utils.crypto import constant_time_compare

from ..db.connection import sqlstate
from ..errors import Problem, Refused
from ..run import Run
from ..settings import conf
from ..telemetry import step
from .api_key_queries import ApiKeyRow, get_api_key, update_key_hash

logger = logging.getLogger("scorer_fast")

PREFIX_LENGTH = 8  # characters: account_accountapikey.prefix
_REMEMBERED_FAILURES = 4096
_PREFIXES = 3  # times the bound of one prefix: that of all together
_AT_ONCE = 4  # hashes while nobody was wrong this minute: keys that are used for the first time
_SAME_SECONDS = 2.0  # that a request waits for what another finds out about its very key


def authenticate(run: Run, api_key: str) -> ApiKeyRow:
    """The row of a good key (or of the demo key, for its aliases); Refused for any other."""
    if api_key and api_key in conf.demo_api_key_aliases:
        api_key = conf.demo_api_key
    prefix, dot, _ = api_key.partition(".")
    if not dot or not 0 < len(prefix) <= PREFIX_LENGTH or "\x00" in prefix:
        raise Refused(Problem.INVALID_API_KEY)
    with step("auth"):
        row = _good_row(run, api_key, prefix)
    if row is None:
        raise Refused(Problem.INVALID_API_KEY)
    return row


def _good_row(run: Run, api_key: str, prefix: str) -> ApiKeyRow | None:
    row = get_api_key(run.database, prefix)
    if row is None or row.revoked or (row.expiry_date is not None and row.expiry_date < run.now()):
        return None
    return row if _is_good(run, api_key, row) else None


def require_read_scores(key: ApiKeyRow) -> None:
    """Refused for a key that may not read scores (a setting restores the host's way)."""
    if conf.enforce_read_scores and not key.read_scores:
        raise Refused(Problem.NO_PERMISSION)


def sha256_hash(api_key: str) -> str:
    """How a key is stored for the fast path: ``sha256$`` and the hex SHA-256 of the whole key."""
    return "sha256$" + hashlib.sha256(api_key.encode("utf-8", "surrogateescape")).hexdigest()


def _is_good(run: Run, api_key: str, row: ApiKeyRow) -> bool:
    digest = sha256_hash(api_key)
    if row.hashed_key_sha256:
        return constant_time_compare(row.hashed_key_sha256, digest)  # good or not: no falling back
    if row.hashed_key.startswith("sha256$"):
        return constant_time_compare(row.hashed_key, digest)
    if row.hashed_key.startswith("sha512$$"):
        sha512 = hashlib.sha512(api_key.encode("utf-8", "surrogateescape")).hexdigest()
        good = constant_time_compare(row.hashed_key, "sha512$$" + sha512)
    elif row.hashed_key.startswith("pbkdf2_sha256$"):
        good = _hashes.check(api_key, digest, row)
    else:
        good = False
    if good:
        _migrate(run, row, digest)
    return good


def _migrate(run: Run, row: ApiKeyRow, digest: str) -> None:
    """Fill in the SHA-256; that it fails costs a slow check next time, not the request."""
    if not run.is_live:
        return
    try:
        with transaction.atomic(using=run.database) if run.in_transaction else nullcontext():
            update_key_hash(run.database, row.id, digest)
    except DatabaseError as error:
        # Not its text: PostgreSQL repeats the row in it, its hashes with it.
        known = {"prefix": row.prefix, "error": type(error).__name__, "sqlstate": sqlstate(error)}
        logger.warning("an API key's hash could not be migrated", extra=known)


class _Hashes:
    """PBKDF2 as this process runs it: what is under way, what was wrong, and how often in this minute."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.forget()

    def forget(self, **_: Any) -> None:
        with self._lock:
            self._known: OrderedDict[str, None] = OrderedDict()
            self._under_way: dict[str, Future[bool]] = {}
            self._minute = -1
            self._begin_minute()

    def _begin_minute(self) -> None:
        self._minute = int(time.monotonic() // 60)
        self._wrong: dict[str, int] = {}  # by prefix; those under way count as wrong until they are not

    def check(self, api_key: str, digest: str, row: ApiKeyRow) -> bool:
        """Whether the key is the row's; Refused(RATE_LIMITED) where that may not be found out now."""
        tried = f"{digest} {row.hashed_key}"
        with self._lock:
            if tried in self._known:
                return False
            same = self._under_way.get(tried)
            if same is None:
                mine = self._begin(tried, row.prefix)
            elif self._failures():
                raise Refused(Problem.RATE_LIMITED, 1)
        if same is not None:  # a client's first requests, side by side
            try:
                return same.result(_SAME_SECONDS)
            except (TimeoutError, CancelledError):
                raise Refused(Problem.RATE_LIMITED, 1) from None
        good = False
        try:
            good = check_password(api_key, row.hashed_key)
            return good
        finally:
            self._end(tried, row.prefix, good)
            mine.set_result(good)

    def _begin(self, tried: str, prefix: str) -> Future[bool]:
        if int(time.monotonic() // 60) != self._minute:
            self._begin_minute()
        most = conf.pbkdf2_failures_per_minute
        if self._wrong.get(prefix, 0) >= most or sum(self._wrong.values()) >= most * _PREFIXES:
            raise Refused(Problem.RATE_LIMITED, 60 - int(time.monotonic() % 60))
        if len(self._under_way) >= (1 if self._failures() else _AT_ONCE):
            raise Refused(Problem.RATE_LIMITED, 1)
        self._wrong[prefix] = self._wrong.get(prefix, 0) + 1
        self._under_way[tried] = Future()
        return self._under_way[tried]

    def _end(self, tried: str, prefix: str, good: bool) -> None:
        with self._lock:
            self._under_way.pop(tried, None)
            if good:
                self._wrong[prefix] = max(self._wrong.get(prefix, 0) - 1, 0)
                return
            self._known[tried] = None
            while len(self._known) > _REMEMBERED_FAILURES:
                self._known.popitem(last=False)

    def _failures(self) -> bool:
        """Whether anybody was wrong in this minute."""
        return sum(self._wrong.values()) > len(self._under_way)


_hashes = _Hashes()
setting_changed.connect(_hashes.forget, dispatch_uid="scorer_fast.api_keys")
