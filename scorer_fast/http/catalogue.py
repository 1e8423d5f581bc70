"""The twenty operations by name: the one list that flags, metrics, spans, tests and documents follow.

An operation's ``id`` is also its router function, its use case, its flag, its metric label and the
prefix of its recorded cases.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum


class Subject(Enum):
    """Where a request says whom it is about: the unit that a percentage split keeps on one side."""

    PATH = "address in the path"
    QUERY = "address in the query string"
    TOKEN = "address in the token's did"
    BODY = "address in the first credentialSubject.id of the body"
    API_KEY = "prefix of the API key"
    REQUEST = "the request itself: method, path, query and body"


@dataclass(frozen=True, slots=True)
class Operation:
    """One endpoint: its name, where it answers, whom it is about, and whether it writes."""

    id: str
    method: str
    path: str
    group: str
    subject: Subject
    writes: bool
    summary: str
    pattern: re.Pattern[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        expression = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", self.path)
        object.__setattr__(self, "pattern", re.compile(expression + r"\Z"))


OPERATIONS: tuple[Operation, ...] = (
    Operation("v2_score", "GET", "/v2/stamps/{scorer_id}/score/{address}", "score", Subject.PATH, True,
              "Score of an address for a scorer of the key's account"),
    Operation("internal_score", "GET", "/internal/score/v2/{scorer_id}/{address}", "score", Subject.PATH, True,
              "Score of an address for any scorer"),
    Operation("embed_score", "GET", "/internal/embed/score/{scorer_id}/{address}", "embed", Subject.PATH, True,
              "Stamps and score of an address"),
    Operation("embed_add_stamps", "POST", "/internal/embed/stamps/{address}", "embed", Subject.PATH, True,
              "Add stamps to an address and score it"),
    Operation("embed_validate_api_key", "GET", "/internal/embed/validate-api-key", "embed_keys", Subject.API_KEY, False,
              "Rate limit of a partner's API key"),
    Operation("embed_weights", "GET", "/internal/embed/weights", "weights", Subject.REQUEST, False,
              "Weight per provider of a community"),
    Operation("cache_add_stamps", "POST", "/ceramic-cache/stamps/bulk", "cache", Subject.TOKEN, True,
              "Add stamps to the token's address and score it"),
    Operation("cache_patch_stamps", "PATCH", "/ceramic-cache/stamps/bulk", "cache", Subject.TOKEN, True,
              "Replace and remove stamps of the token's address and score it"),
    Operation("cache_delete_stamps", "DELETE", "/ceramic-cache/stamps/bulk", "cache", Subject.TOKEN, True,
              "Remove stamps of the token's address"),
    Operation("cache_get_score", "GET", "/ceramic-cache/score/{address}", "cache", Subject.PATH, True,
              "Stored score of an address, or a new one when it has expired"),
    Operation("cache_calc_score", "POST", "/ceramic-cache/score/{address}", "cache", Subject.PATH, True,
              "Score an address for another scorer"),
    Operation("cache_get_stamps", "GET", "/ceramic-cache/stamp", "cache", Subject.QUERY, True,
              "Stamps of an address"),
    Operation("cache_weights", "GET", "/ceramic-cache/weights", "weights", Subject.REQUEST, False,
              "Weight per provider of the configured community"),
    Operation("check_bans", "POST", "/internal/check-bans", "internal", Subject.BODY, False,
              "Bans that hold for credentials of one address"),
    Operation("check_revocations", "POST", "/internal/check-revocations", "internal", Subject.REQUEST, False,
              "Which proof values are revoked"),
    Operation("allow_list", "GET", "/internal/allow-list/{list}/{address}", "internal", Subject.PATH, False,
              "Whether an address is on a list"),
    Operation("credential_definition", "GET", "/internal/customization/credential/{provider_id}", "internal",
              Subject.REQUEST, False, "Ruleset of a custom credential"),
    Operation("gtc_stake", "GET", "/internal/stake/gtc/{address}", "stake", Subject.PATH, False,
              "Stakes by and on an address"),
    Operation("legacy_gtc_stake", "GET", "/internal/stake/legacy-gtc/{address}/{round_id}", "stake", Subject.PATH,
              False, "Stake events of a round by and on an address"),
    Operation("contributor_statistics", "GET", "/internal/cgrants/contributor_statistics", "cgrants", Subject.QUERY,
              False, "Grants an address contributed to, and how much"),
)  # fmt: skip

BY_ID: dict[str, Operation] = {operation.id: operation for operation in OPERATIONS}


def _index(
    operations: Iterable[Operation],
) -> tuple[dict[tuple[str, str], Operation], dict[str, list[Operation]]]:
    fixed: dict[tuple[str, str], Operation] = {}
    open_: dict[str, list[Operation]] = {}
    for operation in operations:
        if "{" in operation.path:
            open_.setdefault(operation.method, []).append(operation)
        else:
            fixed[operation.method, operation.path] = operation
    return fixed, open_


_FIXED, _OPEN = _index(OPERATIONS)


def find(method: str, path: str) -> tuple[Operation, dict[str, str]] | None:
    """The operation that answers ``method path`` and its path parameters as text; None when there is none."""
    fixed = _FIXED.get((method, path))
    if fixed is not None:
        return fixed, {}
    for operation in _OPEN.get(method, ()):
        match = operation.pattern.match(path)
        if match is not None:
            return operation, match.groupdict()
    return None
