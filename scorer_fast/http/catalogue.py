"""The operations by name: the one list that flags, metrics, spans, routes, documents and tests follow.

An operation's ``id`` is also its router function, its use case, its flag, its metric label and the
prefix of its recorded cases. One more operation is a row here, its function in a router, its use case, its
statement, and, where its answer has a new shape, a schema with the examples of its fields.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum

from django.http import HttpRequest

from .. import revision
from ..settings import conf


class Subject(Enum):
    """Where a request says whom it is about: the unit that a percentage split keeps on one side."""

    PATH = "address in the path"
    QUERY = "address in the query string"
    TOKEN = "address in the token's did"
    BODY = "address in the first credentialSubject.id of the body"
    API_KEY = "prefix of the API key"
    REQUEST = "the request itself: method, path, query and body"


class Auth(Enum):
    """Who may ask: the class of ``http/auth.py`` that says so."""

    NONE = ""
    API_KEY = "ApiKeyAuth"
    INTERNAL = "InternalAuth"
    TOKEN = "TokenAuth"


@dataclass(frozen=True, slots=True)
class Operation:
    """One endpoint: its name, where it answers, whom it is about, who may ask, and whether it writes.

    ``answers``: the schema of a good answer (``http/schemas.py``), given with ``status``. ``refuses``: statuses of
    errors besides those that every operation has. ``max_age``: how many seconds old a good answer may be.
    ``since``: the revision of the host that brought it. ``deprecated``: whether another one has taken its place.
    ``switch``: the setting of ``conf`` without which the host does not have it.
    ``stored_first``: whether it scores only where nothing is stored that it can answer.
    """

    id: str
    method: str
    path: str
    group: str
    subject: Subject
    auth: Auth
    writes: bool
    answers: str
    summary: str
    status: int = 200
    refuses: tuple[int, ...] = ()
    max_age: float = 0.0
    since: str = revision.OLDEST.name
    deprecated: bool = False
    stored_first: bool = False
    switch: str = ""
    pattern: re.Pattern[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        expression = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", self.path)
        object.__setattr__(self, "pattern", re.compile(expression + r"\Z"))

    @property
    def is_there(self) -> bool:
        """Whether the host has it: its revision, and its settings."""
        return revision.current().has(self.since) and (not self.switch or bool(getattr(conf, self.switch)))

    @property
    def may_be_missing(self) -> bool:
        """Whether there are hosts without it."""
        return bool(self.switch) or self.since != revision.OLDEST.name


OPERATIONS: tuple[Operation, ...] = (
    Operation("v2_score", "GET", "/v2/stamps/{scorer_id}/score/{address}", "score",
              Subject.PATH, Auth.API_KEY, True, "Score", "Score of an address for a scorer of the key's account",
              refuses=(403, 404, 429), switch="v2_api"),
    Operation("internal_score", "GET", "/internal/score/v2/{scorer_id}/{address}", "score",
              Subject.PATH, Auth.INTERNAL, True, "Score", "Score of an address for any scorer",
              refuses=(404,)),
    Operation("embed_score", "GET", "/internal/embed/score/{scorer_id}/{address}", "embed",
              Subject.PATH, Auth.NONE, True, "StampsAndScore", "Stamps and score of an address"),
    Operation("embed_add_stamps", "POST", "/internal/embed/stamps/{address}", "embed",
              Subject.PATH, Auth.INTERNAL, True, "StampsAndScore", "Add stamps to an address and score it"),
    Operation("embed_validate_api_key", "GET", "/internal/embed/validate-api-key", "embed_keys",
              Subject.API_KEY, Auth.API_KEY, False, "EmbedRateLimit", "Rate limit of a partner's API key",
              refuses=(429,)),
    Operation("embed_weights", "GET", "/internal/embed/weights", "weights",
              Subject.REQUEST, Auth.NONE, False, "Weights", "Weight per provider of a community",
              refuses=(404,), max_age=60, deprecated=True),
    Operation("embed_config", "GET", "/internal/embed/config", "weights",
              Subject.REQUEST, Auth.NONE, False, "EmbedConfig", "A community's weights, and what its widget shows",
              since="2026-07", refuses=(404,), max_age=60),
    Operation("cache_add_stamps", "POST", "/ceramic-cache/stamps/bulk", "cache",
              Subject.TOKEN, Auth.TOKEN, True, "StampsAndScore", "Add stamps to the token's address and score it",
              status=201, refuses=(404,)),
    Operation("cache_patch_stamps", "PATCH", "/ceramic-cache/stamps/bulk", "cache",
              Subject.TOKEN, Auth.TOKEN, True, "StampsAndScore",
              "Replace and remove stamps of the token's address and score it",
              refuses=(404,)),
    Operation("cache_delete_stamps", "DELETE", "/ceramic-cache/stamps/bulk", "cache",
              Subject.TOKEN, Auth.TOKEN, True, "Stamps", "Remove stamps of the token's address",
              refuses=(404,)),
    Operation("cache_get_score", "GET", "/ceramic-cache/score/{address}", "cache",
              Subject.PATH, Auth.TOKEN, True, "Score", "Stored score of an address, or a new one when it has expired",
              refuses=(404,), stored_first=True),
    Operation("cache_calc_score", "POST", "/ceramic-cache/score/{address}", "cache",
              Subject.PATH, Auth.TOKEN, True, "Score", "Score an address for another scorer",
              refuses=(404,)),
    Operation("cache_get_stamps", "GET", "/ceramic-cache/stamp", "cache",
              Subject.QUERY, Auth.NONE, True, "Stamps", "Stamps of an address",
              refuses=(404,), stored_first=True),
    Operation("cache_weights", "GET", "/ceramic-cache/weights", "weights",
              Subject.REQUEST, Auth.NONE, False, "Weights", "Weight per provider of the configured community",
              refuses=(404,), max_age=60),
    Operation("check_bans", "POST", "/internal/check-bans", "internal",
              Subject.BODY, Auth.INTERNAL, False, "Bans", "Bans that hold for credentials of one address"),
    Operation("check_revocations", "POST", "/internal/check-revocations", "internal",
              Subject.REQUEST, Auth.INTERNAL, False, "Revocations", "Which proof values are revoked"),
    Operation("allow_list", "GET", "/internal/allow-list/{list}/{address}", "internal",
              Subject.PATH, Auth.INTERNAL, False, "Membership", "Whether an address is on a list"),
    Operation("credential_definition", "GET", "/internal/customization/credential/{provider_id}", "internal",
              Subject.REQUEST, Auth.INTERNAL, False, "Ruleset", "Ruleset of a custom credential",
              refuses=(404,)),
    Operation("gtc_stake", "GET", "/internal/stake/gtc/{address}", "stake",
              Subject.PATH, Auth.INTERNAL, False, "Stakes", "Stakes by and on an address"),
    Operation("legacy_gtc_stake", "GET", "/internal/stake/legacy-gtc/{address}/{round_id}", "stake",
              Subject.PATH, Auth.INTERNAL, False, "StakeEvents", "Stake events of a round by and on an address"),
    Operation("contributor_statistics", "GET", "/internal/cgrants/contributor_statistics", "cgrants",
              Subject.QUERY, Auth.INTERNAL, False, "ContributorStatistics",
              "Grants an address contributed to, and how much"),
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
        return (fixed, {}) if fixed.is_there else None
    for operation in _OPEN.get(method, ()):
        match = operation.pattern.match(path)
        if match is not None and operation.is_there:
            return operation, match.groupdict()
    return None


_FOUND = "_scorer_fast_operation"


def operation_of(request: HttpRequest) -> Operation | None:
    """The operation that ``request`` is for; looked for once."""
    known: tuple[Operation | None] | None = getattr(request, _FOUND, None)
    if known is None:
        found = find(request.method or "", request.path_info)
        known = (None if found is None else found[0],)
        setattr(request, _FOUND, known)
    return known[0]
