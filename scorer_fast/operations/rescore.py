"""Bulk rescoring: every address of a community anew, a batch at a time, by the same decisions as one by one.

Invariant: a batch leaves what scoring its addresses one after the other by passport id would leave, or, for
an address that somebody else touched in between, nothing: that one is scored alone afterwards. Each step is
one transaction that holds the lock of its batch's row, so a process that dies takes no work with it, and no
two processes do the same work. The lock order within is that of ``operations/write.py``.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple

import orjson
from django.db import Error as DatabaseError
from django.db import transaction

from ..conf import conf
from ..domain import credentials
from ..domain.credentials import Valid
from ..domain.dedup import Link, NewLink
from ..domain.points import METAMASK, METAMASK_LIMIT
from ..domain.score import event_fields
from ..errors import Changed, Problem, Refused
from ..sql import links, points
from ..sql import rescore as sql
from ..sql import rescore_runs as runs
from ..sql.communities import CommunityKey
from ..sql.connection import is_contention, is_lost
from ..sql.rescore import AddressRow, MovedLink, StoredEvidence
from ..sql.rescore_runs import BatchRow, FailureRow, RunRow
from ..sql.scoring import ScoringRow
from ..telemetry import count
from . import signatures
from .plan import Plan, decide
from .scoring import log_unreadable, pause, rules, score_address
from .verifier import VERIFIER
from .write import score_write_token

logger = logging.getLogger("scorer_fast.rescore")

ROUNDS = 3  # of a batch, before its addresses are scored one by one
ALONE_TRIES = 10  # transactions that may try one address, each with a budget of its own
POLL_SECONDS = 0.5  # between two looks at what other processes still work on
EVENT_COLUMNS = ("evidence", "stamp_scores", "stamps")  # an event takes them from the score's row
"""
