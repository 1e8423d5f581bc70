"""The one table of errors: what a client is told, and with which status."""

from __future__ import annotations

import random

from django.http import HttpResponse

from ..errors import Problem, Refused
from .responses import json_response

RETRY_AFTER_SECONDS = (1, 5)  # at random between them: who were refused together shall not come back together

PROBLEMS: dict[Problem, tuple[int, str]] = {
    Problem.INVALID_API_KEY: (401, "Invalid API Key."),
    Problem.UNAUTHORIZED: (401, "Unauthorized"),
    Problem.INVALID_TOKEN: (401, "Token is invalid or expired"),
    Problem.TOKEN_ADDRESS_MISMATCH: (401, "Address in path does not match address in JWT"),
    Problem.NO_PERMISSION: (403, "Invalid permissions for action."),
    Problem.RATE_LIMITED: (429, "You have been rate limited!"),
    Problem.INVALID_ADDRESS: (400, "Invalid address."),
    Problem.NO_SCORER: (404, "No scorer matches the given criteria."),
    Problem.NO_COMMUNITY: (404, "No Community matches the given query."),
    Problem.INVALID_SCORER_ID: (400, "Invalid scorer_id"),
    Problem.MISCONFIGURED_SCORER: (
        404,
        "Community matching the configured scorer id does not exist! This is probably a misconfiguration!",
    ),
    Problem.NOT_FOUND: (404, "Not Found"),
    Problem.TOO_MANY_STAMPS: (422, "You have submitted too many stamps."),
    Problem.NO_STAMP_TO_DELETE: (404, "Unable to find stamp to delete."),
    Problem.NO_CREDENTIALS: (400, "Must provide valid credential(s)"),
    Problem.SEVERAL_SUBJECTS: (400, "All credentials must be issued to the same address"),
    Problem.UNREADABLE_BODY: (400, "Cannot parse request body"),
    Problem.NOT_STORABLE: (422, "The request holds a character, number or nesting that cannot be stored."),
    Problem.STAMP_NOT_AN_OBJECT: (422, "A stamp must be a JSON object."),
    Problem.STAMP_WITHOUT_PROOF_VALUE: (
        422,
        "A stamp must have a proof.proofValue of at most 256 characters.",
    ),
    Problem.STAMP_WITHOUT_PROVIDER: (422, "A stamp must name its provider in credentialSubject.provider."),
    Problem.PROVIDER_TOO_LONG: (422, "A provider has at most 256 characters."),
    Problem.PROVIDER_TWICE: (422, "Two entries bring a stamp for the same provider."),
    Problem.STAMP_DATE: (422, "issuanceDate and expirationDate must be ISO 8601 dates."),
    Problem.BUSY: (503, "The address is being scored by other requests. Try again."),
    Problem.UNAVAILABLE: (503, "The service is temporarily unavailable. Try again."),
    Problem.OVERLOADED: (503, "The service has too much to do. Try again."),
    Problem.BODY_TOO_LARGE: (413, "The request body is too large."),
    Problem.LINKED: (503, "The address is linked to others, which this service does not score."),
}


def refused_response(refused: Refused) -> HttpResponse:
    """The answer to a request that was refused."""
    return problem_response(refused.problem, refused.retry_after)


def problem_response(problem: Problem, retry_after: int | None = None) -> HttpResponse:
    """The answer to a request that ends with ``problem``; 503 says when to try again, as does ``retry_after``."""
    status, detail = PROBLEMS[problem]
    response = json_response({"detail": detail}, status)
    say_when_to_come_again(response, retry_after)
    return response


def say_when_to_come_again(response: HttpResponse, retry_after: int | None = None) -> None:
    """Give a 503, or what is to be tried again in ``retry_after`` seconds, its ``Retry-After``."""
    if response.status_code == 503:
        # Django would log each of them, and an outage has many.
        response._has_been_logged = True  # type: ignore[attr-defined]
        retry_after = retry_after or random.randint(*RETRY_AFTER_SECONDS)
    if retry_after is not None:
        response["Retry-After"] = str(retry_after)
