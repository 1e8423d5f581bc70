"""``embed_weights``, ``cache_weights`` and ``embed_config``: a community's weights, at most a minute old."""

from __future__ import annotations

import threading
import time
from typing import Any, NamedTuple, TypeVar

from django.core.signals import setting_changed

from ..db.communities import BIGINT
from ..domain.weights import Weights
from ..errors import Problem, Refused
from ..run import in_transaction
from ..settings import conf
from ..telemetry import note
from .queries import get_embed_config, get_weights
from .service import LookUp

Key = tuple[str, int]  # database and community
T = TypeVar("T")

_ENTRIES = 1000  # communities a process remembers


class Known(NamedTuple):
    """A community's weights: as JSON text as they are stored, and as numbers."""

    written: str
    floats: dict[str, float]


class Config(NamedTuple):
    """What a community's widget shows: its weights, and its sections as JSON text."""

    weights: Known
    sections: str


_lock = threading.Lock()
_remembered: dict[Key, tuple[float, Known]] = {}


def embed_weights(community_id: str | None) -> LookUp:
    """The weights of the community of that number, else of the configured one; Refused where there is none."""
    return _weights(_number(community_id)) if community_id else cache_weights()


def cache_weights() -> LookUp:
    """The weights of the community ``CERAMIC_CACHE_SCORER_ID``."""
    if conf.cache_scorer_id is None:
        raise Refused(Problem.NO_COMMUNITY)
    return _weights(conf.cache_scorer_id)


def embed_config(community_id: str) -> LookUp:
    """The weights as :func:`embed_weights` has them, and the sections of the widget; Refused without a community."""
    number = _checked(_number(community_id))
    return LookUp(lambda run: _read_config((conf.read_database, number)), _or_no_community)


def _number(community_id: str) -> int:
    """A community's id as a request writes it; Refused for what no id can be."""
    try:
        return int(community_id)
    except ValueError:
        raise Refused(Problem.NO_COMMUNITY) from None


def _checked(community_id: int) -> int:
    if abs(community_id) > BIGINT:
        raise Refused(Problem.NO_COMMUNITY)
    note(scorer_id=community_id)
    return community_id


def _weights(community_id: int) -> LookUp:
    _checked(community_id)
    return LookUp(lambda run: _known_or_read((conf.read_database, community_id)), _or_no_community)


def _or_no_community(found: T | None) -> T:
    if found is None:
        raise Refused(Problem.NO_COMMUNITY)
    return found


def _known_or_read(key: Key) -> Known | None:
    known = _known(key)
    if known is not None:
        return known
    row = get_weights(*key)
    # A community that is missing is not remembered: one that is created answers at once.
    return None if row is None else _remember(key, row[0])


def _read_config(key: Key) -> Config | None:
    row = get_embed_config(*key)
    return None if row is None else Config(_known(key) or _remember(key, row[0]), row[1] or "[]")


def _known(key: Key) -> Known | None:
    # What a caller's transaction sees may be rolled back: it is neither remembered nor answered from memory.
    known = None if in_transaction(key[0]) else _remembered.get(key)
    return known[1] if known is not None and known[0] > time.monotonic() else None


def _remember(key: Key, text: str | None) -> Known:
    weights = Known(text or "{}", Weights(text).as_floats())
    if not in_transaction(key[0]):
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
