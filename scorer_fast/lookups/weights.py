"""``embed_weights`` and ``cache_weights``: a community's weights, at most a minute old."""

from __future__ import annotations

import threading
import time
from typing import Any, NamedTuple

from django.core.signals import setting_changed

from ..db.communities import BIGINT
from ..domain.weights import Weights
from ..errors import Problem, Refused
from ..run import in_transaction
from ..settings import conf
from ..telemetry import note
from .queries import get_weights
from .service import LookUp

_ENTRIES = 1000  # communities a process remembers


class Known(NamedTuple):
    """A community's weights: as JSON text as they are stored, and as numbers."""

    written: str
    floats: dict[str, float]


_lock = threading.Lock()
_remembered: dict[tuple[str, int], tuple[float, Known]] = {}


def embed_weights(community_id: str | None) -> LookUp:
    """The weights of the community of that number, else of the configured one; Refused where there is none."""
    if not community_id:
        return cache_weights()
    try:
        return _weights(int(community_id))
    except ValueError:
        raise Refused(Problem.NO_COMMUNITY) from None


def cache_weights() -> LookUp:
    """The weights of the community ``CERAMIC_CACHE_SCORER_ID``."""
    if conf.cache_scorer_id is None:
        raise Refused(Problem.NO_COMMUNITY)
    return _weights(conf.cache_scorer_id)


def _weights(community_id: int) -> LookUp:
    if abs(community_id) > BIGINT:
        raise Refused(Problem.NO_COMMUNITY)
    note(scorer_id=community_id)
    return LookUp(lambda run: _known_or_read((conf.read_database, community_id)), _or_no_community)


def _or_no_community(weights: Known | None) -> Known:
    if weights is None:
        raise Refused(Problem.NO_COMMUNITY)
    return weights


def _known_or_read(key: tuple[str, int]) -> Known | None:
    # What a caller's transaction sees may be rolled back: it is neither remembered nor answered from memory.
    is_own = not in_transaction(key[0])
    known = _remembered.get(key) if is_own else None
    if known is not None and known[0] > time.monotonic():
        return known[1]
    row = get_weights(*key)
    if row is None:
        return None  # and not remembered: a community that is created answers at once
    weights = Known(row[0] or "{}", Weights(row[0]).as_floats())
    if is_own:
        with _lock:
            if len(_remembered) >= _ENTRIES:
                _remembered.clear()
            _remembered[key] = (time.monotonic() + conf.weights_cache_seconds, weights)
    return weights


def forget() -> None:
    """Forget all remembered weights."""
    with _lock:
        _remembered.clear()


def _on_setting_changed(**_: Any) -> None:
    forget()


def forget_on_setting_change() -> None:
    """Drop what is remembered whenever a setting changes (Django's ``setting_changed``, sent in tests)."""
    setting_changed.connect(_on_setting_changed, dispatch_uid="scorer_fast.weights")
