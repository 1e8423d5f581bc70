"""Signals of what changes who answers, sent after the change is committed, in the process that made it.

Each has ``operation`` (or the target ``all``), ``by`` and ``reason``; ``latched`` also ``rule``, ``value`` and
``limit``; ``rollout_step`` has ``rollout``, ``operations``, ``step``, ``state``, ``by`` and ``reason``. A receiver that
raises is logged and stops nobody. No argument holds a request, a key or a token.
"""

from __future__ import annotations

import logging
from typing import Any

from django.db import transaction
from django.dispatch import Signal

from ..settings import conf

logger = logging.getLogger(__name__)

latched = Signal()
lifted = Signal()
killed = Signal()
released = Signal()
rollout_step = Signal()
ALL = {"latched": latched, "lifted": lifted, "killed": killed, "released": released, "rollout_step": rollout_step}


def on_commit(signal: Signal, **what: Any) -> None:
    """Send ``signal`` once the transaction under way is committed."""

    def send() -> None:
        for receiver, result in signal.send_robust(sender=None, **what):
            if isinstance(result, Exception):
                logger.error("a receiver of a signal failed: %r", receiver, exc_info=result)

    transaction.on_commit(send, using=conf.database)
