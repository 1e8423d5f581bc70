"""``scored``: sent for every scoring once it is committed, in the process that wrote it.

    from scorer_fast.scoring.signals import scored

    @receiver(scored)
    def store(event, **_): ...        # event: what ``scorer_fast.domain.event.scoring_event`` says

Without a receiver nothing is made, and nothing is sent. The client's answer waits for receivers: let one hand the event
on and be quick. One that raises is logged and stops nobody. A process that dies between its commit and the signal
sends none: what must not be lost is read from the host's tables.
"""

from __future__ import annotations

import logging

from django.db import transaction
from django.dispatch import Signal

from ..domain.event import scoring_event
from .plan import Plan

logger = logging.getLogger(__name__)

scored = Signal()


def announce(alias: str, plan: Plan) -> None:
    """Send :data:`scored` once the transaction under way is committed; at once where there is none. Never raises."""
    if not scored.receivers:
        return

    def send() -> None:
        for receiver, result in scored.send_robust(sender=None, event=scoring_event(plan)):
            if isinstance(result, Exception):
                logger.error("a receiver of a scoring failed: %r", receiver, exc_info=result)

    transaction.on_commit(send, using=alias, robust=True)
