"""Wallets of one person: whether an address stands alone. One that is linked to others is the host's to score.

The host asks a function of its own before it scores anything anew; ``LINKED_ADDRESSES`` names it, or another.
"""

from __future__ import annotations

import functools
import inspect
import logging
from collections.abc import Callable
from importlib import import_module
from typing import Any

from django.apps import apps
from django.core.signals import setting_changed
from django.utils.module_loading import import_string

from . import revision
from .errors import HandedOver
from .settings import conf
from .telemetry import note

logger = logging.getLogger(__name__)

LINKED = "linked"
APP, MODULE, FUNCTION = "account", "linkage", "get_linked_addresses"  # the host's own
Ask = Callable[[str], Any]


class MustWait(Exception):
    """A coroutine has something to wait for: there is no event loop here."""


def require_alone(address: str) -> None:
    """HandedOver unless ``address`` (lower-cased) is known to be linked to no other. Reads and counts nothing."""
    if not revision.current().asks_for_linked:
        return
    try:
        ask = named(conf.linked_addresses)
        if ask is None:
            return
        found = {str(each).lower() for each in _told(ask(address))}
    except MustWait:
        pass
    except Exception as error:  # it is the owner's function; the host will show what is wrong with it
        logger.warning("LINKED_ADDRESSES could not say: %s", type(error).__name__)
    else:
        if found <= {address}:
            return
    note(outcome=LINKED)
    raise HandedOver(LINKED)


@functools.cache
def named(path: str) -> Ask | None:
    """The function of that dotted path; without one the host's own, None where it has none. ImportError for no such."""
    if path:
        function: Ask = import_string(path)
        return function
    try:
        module = import_module(f"{apps.get_app_config(APP).name}.{MODULE}")
    except (LookupError, ModuleNotFoundError):
        return None
    return getattr(module, FUNCTION, None)


def _told(answer: Any) -> Any:
    """What a function answered, a coroutine's result among it; MustWait where that is not there at once."""
    if not inspect.isawaitable(answer):
        return answer
    steps = answer.__await__()
    try:
        next(steps)
    except StopIteration as done:
        return done.value
    except RuntimeError:  # it looked for the event loop
        raise MustWait from None
    steps.close()
    raise MustWait


def _forget(**_: Any) -> None:
    named.cache_clear()


setting_changed.connect(_forget, dispatch_uid="scorer_fast.linked")
