"""The few exceptions below the edge. ``http/problems.py`` maps each problem to its status and text."""

from __future__ import annotations

from enum import Enum, auto


class Problem(Enum):
    """What a client can be told is wrong; the response texts stand in ``http/problems.py`` only."""

    INVALID_API_KEY = auto()
    UNAUTHORIZED = auto()
    INVALID_TOKEN = auto()
    TOKEN_ADDRESS_MISMATCH = auto()
    NO_PERMISSION = auto()
    RATE_LIMITED = auto()
    INVALID_ADDRESS = auto()
    NO_SCORER = auto()
    NO_COMMUNITY = auto()
    INVALID_SCORER_ID = auto()
    MISCONFIGURED_SCORER = auto()
    NOT_FOUND = auto()
    TOO_MANY_STAMPS = auto()
    NO_STAMP_TO_DELETE = auto()
    NO_CREDENTIALS = auto()
    SEVERAL_SUBJECTS = auto()
    UNREADABLE_BODY = auto()
    NOT_STORABLE = auto()
    STAMP_NOT_AN_OBJECT = auto()
    STAMP_WITHOUT_PROOF_VALUE = auto()
    STAMP_WITHOUT_PROVIDER = auto()
    PROVIDER_TOO_LONG = auto()
    PROVIDER_TWICE = auto()
    STAMP_DATE = auto()
    BUSY = auto()
    UNAVAILABLE = auto()
    OVERLOADED = auto()
    BODY_TOO_LARGE = auto()
    LINKED = auto()


class Refused(Exception):
    """A request that ends with a known problem; nothing was written.

    ``retry_after``: seconds after which it may be tried again, where that is known.
    """

    def __init__(self, problem: Problem, retry_after: int | None = None) -> None:
        super().__init__(problem.name)
        self.problem = problem
        self.retry_after = retry_after


class HandedOver(Exception):
    """A request that is the host's to answer, and nobody's fault; ``why`` is a word for it. Nothing was written."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class Changed(Exception):
    """What was read is no longer so (or a claim was lost): read and decide again."""


class OutOfTime(TimeoutError):
    """The time of a request is over; ``waited_for`` says what it went to. Nothing was written."""

    def __init__(self, waited_for: str) -> None:
        super().__init__(waited_for)
        self.waited_for = waited_for


class VerifierDown(Exception):
    """didkit gave no answer in time: no decision is possible, nothing was written."""
