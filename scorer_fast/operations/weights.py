"""``embed_weights`` and ``cache_weights``: a community's weights, at most a minute old."""

from __future__ import annotations

import threading
import time
from typing import Any

from django.core.signals import setting_changed

from ..conf import conf
from ..domain.weights import Weights
from ..errors import Problem, Refused
from ..sql.communities import BIGINT
from ..sql.lookups import get_weights
from ..telemetry import step
from . import context

_ENTRIES = 1000  # communities a process remembers

_lock = threading.Lock()
_remembered: dict[tuple[str, int], tuple[float, dict[str, float] | None]] = {}


def embed_weights(community_id: str | None) -> dict[str, float]:
    """The weights of the community of that number, else of the configured one; Refused where there is none."""
    if not community_id:
        return cache_weights()
    try:
        return _weights(int(community_id))
    except ValueError:
        raise Refused(Problem.NO_COMMUNITY) from None


def cache_weights() -> dict[str, float]:
    """The weights of the community ``CERAMIC_CACHE_SCORER_ID``."""
    if conf.cache_scorer_id is None:
        raise Refused(Problem.NO_COMMUNITY)
    return _weights(conf.cache_scorer_id)


def _weights(community_id: int) -> dict[str, float]:
    if abs(community_id) > BIGINT:
        raise Refused(Problem.NO_COMMUNITY)
    alias = conf.read_database
    key = (alias, community_id)
    known = _remembered.get(key)
    if known is not None and known[0] > time.monotonic():
        weights = known[1]
    else:
        weights = _read(alias, community_id)
        if context.is_live():
            _remember(key, weights)
    if weights is None:
        raise Refused(Problem.NO_COMMUNITY)
    return weights


def _read(alias: str, community_id: int) -> dict[str, float] | None:
    with step("read"):
        row = context.read(lambda: get_weights(alias, community_id))
    return None if row is None else Weights(row[0]).as_floats()


def _remember(key: tuple[str, int], weights: dict[str, float] | None) -> None:
    if weights is None:
        return  # a community that is created answers at once
    with _lock:
        if len(_remembered) >= _ENTRIES:
            _remembered.clear()
        _remembered[key] = (time.monotonic() + conf.weights_cache_seconds, weights)


def forget() -> None:
    """Forget all remembered weights."""
    with _lock:
        _remembered.clear()


def _on_setting_changed(**_: Any) -> None:
    forget()


def forget_on_setting_change() -> None:
    """Drop what is remembered whenever a setting changes (Django's ``setting_changed``, sent in tests)."""
    setting_changed.connect(_on_setting_changed, dispatch_uid="scorer_fast.weights")
