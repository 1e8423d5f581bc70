"""The differences from the host that the contract asks for (its section 7): found, named, no mismatch.

A rule looks at the request and at both answers; what neither shows (that a key has expired) it asks
as a *fact*, which the caller looks up or does not know. An unknown fact never excuses a difference.
Pure, like :mod:`.compare`.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple
from urllib.parse import unquote_to_bytes

from .compare import NOT_JSON, Answer, Difference

Fact = Callable[[str], bool | None]
KEY_EXPIRED = "the API key has expired"
KEY_REVOKED = "the API key is revoked"
KEY_SHA512 = "the API key was written by djangorestframework-api-key 3"
KEY_CANNOT_READ = "the API key has read_scores false"
STAMP_BEYOND = "a live stamp of the address is beyond the bounds of a credential"


@dataclass(frozen=True)
class RecordedRequest:
    """A request as it was sent: ``path`` with its query string, header names as the client may write them."""

    method: str
    path: str
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    def header(self, name: str) -> str:
        """A header's value, whatever the casing of its name; empty where it is absent."""
        return next((value for key, value in self.headers.items() if key.lower() == name.lower()), "")

    @cached_property
    def json(self) -> Any:
        return Answer(0, self.body).json()

    @cached_property
    def claims(self) -> dict[str, Any]:
        """What the bearer token says, unverified; empty where there is none."""
        return self._of_token(1)

    @cached_property
    def algorithm(self) -> Any:
        """What the bearer token says that it is signed by, unverified; None where there is none."""
        return self._of_token(0).get("alg")

    def _of_token(self, place: int) -> dict[str, Any]:
        parts = self.header("Authorization").rpartition(" ")[2].split(".")
        if len(parts) != 3:
            return {}
        try:
            said = json.loads(base64.urlsafe_b64decode(parts[place] + "=" * (-len(parts[place]) % 4)))
        except (ValueError, RecursionError):
            return {}
        return said if isinstance(said, dict) else {}


@dataclass(frozen=True, slots=True)
class Case:
    """One request with both answers, and where to ask what they do not show."""

    operation: str
    request: RecordedRequest
    control: Answer
    candidate: Answer
    fact: Fact

    def failed_and_refused(self, *statuses: int) -> bool:
        """Whether the host failed where the candidate refuses with one of ``statuses`` (any 4xx)."""
        status = self.candidate.status
        return self.control.failed and (status in statuses if statuses else 400 <= status < 500)

    def detail(self) -> Any:
        """The text of the candidate's error."""
        body = self.candidate.json()
        return body.get("detail", body.get("error")) if isinstance(body, dict) else None


class Deliberate(NamedTuple):
    """One line of the contract's section 7: where it may show, and how it is recognised.

    ``covers`` matches the paths of the differences that follow from it; others stay mismatches.
    """

    name: str
    line: str
    operations: frozenset[str]
    applies: Callable[[Case], bool]
    covers: re.Pattern[str] = re.compile("")


_ADDS = frozenset({"embed_add_stamps", "cache_add_stamps", "cache_patch_stamps"})
_TOKEN = frozenset(
    {
        "cache_add_stamps",
        "cache_patch_stamps",
        "cache_delete_stamps",
        "cache_get_score",
        "cache_calc_score",
    }
)
_KEYED = frozenset({"v2_score", "embed_validate_api_key"})
_EVERY: frozenset[str] = frozenset()
_ADDRESS = re.compile(r"(0x)?[0-9a-fA-F]{40}\Z")


# ---- what the request shows


def _entries(request: RecordedRequest) -> list[Any]:
    body = request.json
    entries = body.get("stamps") if isinstance(body, dict) else body
    return entries if isinstance(entries, list) else []


def _unusable_stamps(case: Case) -> bool:
    embedded = case.operation == "embed_add_stamps"
    providers = []
    unusable = False
    for entry in _entries(case.request):
        stamp, provider = (entry, None) if embedded or not isinstance(entry, dict) else _posted(entry)
        if not stamp and case.operation == "cache_patch_stamps":
            continue
        if not isinstance(stamp, dict):
            unusable = True
            continue
        if embedded:
            subject = stamp.get("credentialSubject")
            provider = subject.get("provider") if isinstance(subject, dict) else None
        proof = stamp.get("proof")
        unusable |= not isinstance(proof, dict) or not isinstance(proof.get("proofValue"), str)
        unusable |= not isinstance(provider, str) or not provider
        providers.append(str(provider))
    return case.failed_and_refused(422, 400) and (unusable or len(set(providers)) < len(providers))


def _posted(entry: dict[str, Any]) -> tuple[Any, Any]:
    return entry.get("stamp"), entry.get("provider")


def _token_without_address(case: Case) -> bool:
    did = case.request.claims.get("did")
    address = did.rpartition(":")[2] if isinstance(did, str) else ""
    # The host fails; a token of RS256 that has a did, whatever it says, it lets in.
    let_in = case.request.algorithm == "RS256" and isinstance(did, str) and case.control.status != 401
    return (case.control.failed or let_in) and case.candidate.status == 401 and not _ADDRESS.match(address)


def _token_of_another(case: Case) -> bool:
    did = case.request.claims.get("did")
    path = case.request.path.partition("?")[0].rstrip("/").rpartition("/")[2]
    return (
        case.control.status != 401
        and case.candidate.status == 401
        and case.detail() == "Address in path does not match address in JWT"
        and isinstance(did, str)
        and did.rpartition(":")[2].lower() != path.lower()
    )


def _subjects(request: RecordedRequest) -> list[dict[str, Any]]:
    subjects = [entry.get("credentialSubject") for entry in _entries(request) if isinstance(entry, dict)]
    return [subject for subject in subjects if isinstance(subject, dict)]


def _null(case: Case, key: str) -> bool:
    return any(key in subject and subject[key] is None for subject in _subjects(case.request))


def unstorable(request: RecordedRequest) -> bool:
    """Whether a request carries what the tables cannot hold.

    NUL, lone surrogates, NaN or Infinity, numbers beyond a double or bigint, names over 256
    characters, dates that are none, bytes that are no UTF-8, nesting without end.
    """
    path = unquote_to_bytes(request.path)
    try:
        text = (path + request.body).decode()
    except UnicodeDecodeError:
        return True
    if "\x00" in text or re.search(r"\\u0000|\\u[dD][89a-fA-F]", text):
        return True
    if re.search(r"[\[:,]\s*-?(NaN|Infinity)\b|[eE]\+?\d{3}|\d{19}", text):
        return True
    if re.search(r'"[^"\\]{257,}"', text) or re.search(r"[\[{]{64}", re.sub(r"[^\[\]{}]", "", text)):
        return True
    return any(_bad_dates(entry) for entry in _entries(request))


def _bad_dates(entry: Any) -> bool:
    stamp = entry.get("stamp", entry) if isinstance(entry, dict) else None
    if not isinstance(stamp, dict):
        return False
    dates = [stamp[key] for key in ("issuanceDate", "expirationDate") if stamp.get(key) is not None]
    return any(not isinstance(date, str) or not _DATE.match(date) for date in dates)


_DATE = re.compile(
    r"\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])([T ]([01]\d|2[0-3]):[0-5]\d(:[0-5]\d([.,]\d+)?)?"
    r"(Z|[+-]\d\d(:?\d\d)?)?)?\Z"
)


# ---- what the answers show


def _error(answer: Answer) -> str | None:
    body = answer.json()
    for score in (body, body.get("score")) if isinstance(body, dict) else ():
        if isinstance(score, dict) and isinstance(score.get("error"), str) and "last_score_timestamp" in score:
            return str(score["error"])
    for row in (answer.rows or {}).get("registry_score", ()):
        if row.get("status") == "ERROR" and row.get("error"):
            return str(row["error"])
    return None


def _host_failed_the_score(case: Case) -> bool:
    return _error(case.control) is not None and _error(case.candidate) is None


def _links(case: Case) -> bool:
    return _host_failed_the_score(case) and "HashScorerLink" in (_error(case.control) or "")


def _refused(status: int, fact: str) -> Callable[[Case], bool]:
    def applies(case: Case) -> bool:
        refused = case.candidate.status == status != case.control.status
        return refused and case.fact(fact) is True

    return applies


def _let_in(case: Case) -> bool:
    return case.control.status == 401 != case.candidate.status and case.fact(KEY_SHA512) is True


def _beyond_bounds(case: Case) -> bool:
    return max(case.control.status, case.candidate.status) < 300 and case.fact(STAMP_BEYOND) is True


_SCORE_AND_ROWS = re.compile(r"status|body(\.score)?\.(?!stamps\[\])|rows\.|body\Z")

DELIBERATE: tuple[Deliberate, ...] = (
    Deliberate(
        "unusable_stamp",
        "a posted stamp without proof.proofValue, without the provider it needs, or not an object; "
        "two entries of one payload that bring a stamp for the same provider: 422, nothing written",
        _ADDS,
        _unusable_stamps,
    ),
    Deliberate(
        "too_many_patched",
        "cache_patch_stamps with more than 100: 422",
        frozenset({"cache_patch_stamps"}),
        lambda case: case.failed_and_refused(422) and case.detail() == "You have submitted too many stamps.",
    ),
    Deliberate(
        "embed_unknown_scorer",
        "embed_add_stamps for an unknown scorer: 400, nothing written",
        frozenset({"embed_add_stamps"}),
        lambda case: case.failed_and_refused(400) and case.detail() == "Invalid scorer_id",
    ),
    Deliberate(
        "weights_of_no_community",
        "embed_weights and embed_config of an unknown community, or one that is no number: 404",
        frozenset({"embed_weights", "embed_config"}),
        lambda case: case.failed_and_refused(404),
    ),
    Deliberate(
        "token_without_address",
        "a token without did, or whose address is none: 401",
        _TOKEN,
        _token_without_address,
    ),
    Deliberate(
        "token_without_expiry",
        "a token without exp: 401",
        _TOKEN,
        lambda case: case.control.status != 401 == case.candidate.status and "exp" not in case.request.claims,
    ),
    Deliberate(
        "calc_without_scorer",
        "cache_calc_score with a null scorer, or without one: 422",
        frozenset({"cache_calc_score"}),
        lambda case: case.failed_and_refused(422),
    ),
    Deliberate(
        "ban_of_null_hash",
        "check_bans with a null hash: 200, hash null",
        frozenset({"check_bans"}),
        lambda case: case.control.failed and case.candidate.status == 200 and _null(case, "hash"),
    ),
    Deliberate(
        "ban_of_null_id",
        "check_bans with a null id: 400",
        frozenset({"check_bans"}),
        lambda case: case.failed_and_refused(400) and _null(case, "id"),
    ),
    Deliberate(
        "own_words",
        "a Lambda function of the host's says 400 to what it failed at; this app says why, with the same status",
        _EVERY,
        lambda case: case.failed_and_refused(400) and case.control.status == 400,
        re.compile(r"body\.(error|detail)\Z"),
    ),
    Deliberate(
        "not_storable",
        "input the tables cannot hold: NUL, lone surrogates, NaN or Infinity, too long a provider, "
        "a date that is none, nesting without end: a 4xx, nothing written",
        _EVERY,
        lambda case: case.failed_and_refused() and unstorable(case.request),
    ),
    Deliberate("key_expired", "expired API key: 401", _KEYED, _refused(401, KEY_EXPIRED)),
    Deliberate(
        "key_revoked",
        "on embed_validate_api_key, and in a Lambda function, a revoked API key too: 401",
        _KEYED,
        _refused(401, KEY_REVOKED),
    ),
    Deliberate("key_sha512", "keys written by djangorestframework-api-key 3: let in", _KEYED, _let_in),
    Deliberate(
        "key_cannot_read",
        "key with read_scores false on v2_score: 403",
        frozenset({"v2_score"}),
        _refused(403, KEY_CANNOT_READ),
    ),
    Deliberate(
        "token_of_another_address",
        "cache_get_score / cache_calc_score of an address that is not the token's: 401",
        frozenset({"cache_get_score", "cache_calc_score"}),
        _token_of_another,
    ),
    Deliberate(
        "shared_or_clashing_nullifier",
        "two stamps of one address share a nullifier: both count; a stamp with own and clashing nullifiers: "
        "it does not count, own links stay",
        _EVERY,
        _links,
        _SCORE_AND_ROWS,
    ),
    Deliberate(
        "unreadable_stamp",
        "one stamp in the cache that cannot be read: left out and logged",
        _EVERY,
        _host_failed_the_score,
        _SCORE_AND_ROWS,
    ),
    Deliberate(
        "beyond_bounds",
        "a credential beyond the bounds of structure (domain/bounds.py): unreadable, left out and logged",
        _EVERY,
        _beyond_bounds,
        _SCORE_AND_ROWS,
    ),
)


def sort_out(case: Case, differences: list[Difference]) -> tuple[list[Difference], list[tuple[Deliberate, Difference]]]:
    """Mismatches, and deliberate differences with their rule: the first that applies takes what it covers."""
    if not differences:
        return [], []
    for rule in DELIBERATE:
        if (not rule.operations or case.operation in rule.operations) and rule.applies(case):
            covered = [(rule, difference) for difference in differences if rule.covers.match(difference.path)]
            return [difference for difference in differences if not rule.covers.match(difference.path)], covered
    return differences, []


__all__ = [
    "DELIBERATE",
    "KEY_CANNOT_READ",
    "KEY_EXPIRED",
    "KEY_REVOKED",
    "KEY_SHA512",
    "NOT_JSON",
    "STAMP_BEYOND",
    "Case",
    "Deliberate",
    "Fact",
    "RecordedRequest",
    "sort_out",
    "unstorable",
]
