"""Keeping what was read of an address, so that the next scoring of the same stamps decodes none of them."""

from __future__ import annotations

import logging

from django.db import DatabaseError

from ..conf import conf
from ..sql.kept import upsert_kept
from .plan import Plan

logger = logging.getLogger("scorer_fast")


def keep(alias: str, plan: Plan) -> None:
    """Keep the reading ``plan`` was decided on, where all its signatures were remembered; in autocommit only.

    Written after the score and apart from it: that it fails costs the next request a longer read, nothing else.
    """
    row = plan.row
    if row.to_keep is None or row.passport_id is None or conf.keep_readings_days <= 0:
        return
    digests = [stamp.digest for stamp in row.stamps if stamp.remembered]
    if len(digests) < len(plan.dedup.counting) + len(plan.dedup.clashes):
        return  # something was verified just now: the next reading will say so, and be kept
    try:
        upsert_kept(alias, row.passport_id, row.to_keep, digests, plan.now)
    except DatabaseError:
        logger.warning("a reading could not be kept", exc_info=True)
