"""The requests of the operations, each in its steady state and, where it has one, as the first of its kind.

Which addresses serve what (bench/addresses.py has their numbers):

    0-2999      scored; one more stamp of theirs is signed, to be posted      fast side 0-2399, host 2400-2999
    3000-3999   scored; stamps are taken away from them                       fast side 3000-3899, host 3900-3999
    4000-4999   scored, and left alone: the steady state                      fast side 4000-4499, host 4500-4999
    5000-9899   never scored: a first score each
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count, islice
from typing import Any

import jwt

from bench import addresses
from bench.addresses import CACHE_SCORER, KEYS, SCORER, STAMPS, address, provider, waiting_key

KEY = {"X-API-Key": addresses.API_KEY}
INTERNAL = {"Authorization": addresses.INTERNAL_TOKEN}
FLOOR = "floor"
BULK = "/ceramic-cache/stamps/bulk"

SCORING = ("v2_score", "internal_score", "embed_score")
POSTING = ("embed_add_stamps", "cache_add_stamps", "cache_patch_stamps")
LOOKUPS = (
    "embed_validate_api_key",
    "embed_weights",
    "embed_config",
    "cache_weights",
    "cache_get_score",
    "check_bans",
    "check_revocations",
    "allow_list",
    "credential_definition",
    "gtc_stake",
    "legacy_gtc_stake",
    "contributor_statistics",
)
OPERATIONS = (*SCORING, *POSTING, "cache_delete_stamps", "cache_calc_score", "cache_get_stamps", *LOOKUPS)


def http(method: str, path: str, headers: dict[str, str] | None = None, body: Any = None) -> str:
    """A request as it goes over the wire."""
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", "Accept: application/json"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    text = "" if body is None else body if isinstance(body, str) else json.dumps(body)
    if body is not None:
        lines += ["Content-Type: application/json", f"Content-Length: {len(text.encode())}"]
    return "\r\n".join([*lines, "", text])


FLOOR_REQUEST = http("GET", "/bench/select-1")
EXPIRES = int(time.time()) + 86_400  # of one run's tokens: who asks again brings the token that was good before
FORGET_WEIGHTS = http("POST", "/bench/forget-weights", body={})


def bearer(owner: str) -> dict[str, str]:
    claims = {
        "token_type": "access",
        "exp": EXPIRES,
        "jti": "0" * 32,
        "did": f"did:pkh:eip155:1:{owner}",
    }
    return {"Authorization": f"Bearer {jwt.encode(claims, addresses.SECRET_KEY, algorithm='HS256')}"}


@dataclass(frozen=True)
class Side:
    """The addresses that one side may use."""

    posts: range
    deletes: range
    steady: range


FAST = Side(range(2400), range(3000, 3900), range(4000, 4500))
SLOW = Side(range(2400, 3000), range(3900, 4000), range(4500, 5000))
UNSEEN = range(5000, 9900)


class Requests:
    """The requests of one run: first ones are given out once."""

    def __init__(self, spare: dict[str, str]) -> None:
        self._spare = spare
        self._unseen = iter(UNSEEN)
        self._posts = {side: iter(side.posts) for side in (FAST, SLOW)}
        self._posted: dict[Side, list[int]] = {side: [] for side in (FAST, SLOW)}
        self._deletes = {
            side: iter([(owner, stamp) for stamp in range(STAMPS) for owner in side.deletes]) for side in (FAST, SLOW)
        }
        self._keys = iter(range(KEYS))
        self._fresh = {name: count() for name in OPERATIONS}

    def steady(self, operation: str, wanted: int, side: Side = FAST) -> list[str]:
        """Requests that find everything as it was left: stamps known, signatures remembered, nothing changed."""
        if operation in POSTING:
            known = self._posted[side] or self._take_posts(side, 30)
            owners = (known[place % len(known)] for place in range(min(wanted, len(known))))
            return [self._post(operation, owner) for owner in owners]
        if operation == "cache_delete_stamps":
            return [
                http("DELETE", BULK, bearer(address(owner)), [{"provider": provider(stamp)}])
                for owner, stamp in islice(self._deletes[side], wanted)
            ]
        owners = (side.steady[place % len(side.steady)] for place in range(min(wanted, len(side.steady))))
        return [_ask(operation, owner) for owner in owners]

    def first(self, operation: str, wanted: int) -> list[str]:
        """Requests each of which meets something for the first time: docs/benchmarks.md says what."""
        if operation in POSTING:
            return [self._post(operation, owner) for owner in self._take_posts(FAST, wanted)]
        if operation == "embed_validate_api_key":
            keys = islice(self._keys, wanted)
            return [
                http("GET", "/internal/embed/validate-api-key", {"X-API-Key": waiting_key(number)}) for number in keys
            ]
        if operation in ("embed_weights", "embed_config"):
            fresh = islice(self._fresh[operation], wanted)
            path = f"/internal/embed/{operation.removeprefix('embed_')}?community_id="
            return [http("GET", f"{path}{3 + number}") for number in fresh]
        if operation == "cache_weights":
            return [_ask(operation, 0)]
        if operation in LOOKUPS and operation != "cache_get_score":
            fresh = islice(self._fresh[operation], wanted)
            return [_ask(operation, number) for number in fresh]
        owners = list(islice(self._unseen, wanted))
        if len(owners) < wanted:
            raise SystemExit("No address is left that was never scored.")
        if operation == "cache_delete_stamps":
            return [http("DELETE", BULK, bearer(address(owner)), [{"provider": provider(0)}]) for owner in owners]
        return [_ask(operation, owner) for owner in owners]

    def _take_posts(self, side: Side, wanted: int) -> list[int]:
        owners = list(islice(self._posts[side], wanted))
        if len(owners) < wanted:
            raise SystemExit("No stamp is left to be posted.")
        self._posted[side] += owners
        return owners

    def _post(self, operation: str, number: int) -> str:
        owner = address(number)
        stamp = self._spare[owner]
        if operation == "embed_add_stamps":
            body = f'{{"scorer_id":{SCORER},"stamps":[{stamp}]}}'
            return http("POST", f"/internal/embed/stamps/{owner}", INTERNAL, body)
        entry = f'{{"provider":"{provider(STAMPS)}","stamp":{stamp}}}'
        if operation == "cache_add_stamps":
            return http("POST", BULK, bearer(owner), f"[{entry}]")
        return http("PATCH", BULK, bearer(owner), f'[{entry},{{"provider":"Absent"}}]')


def _ask(operation: str, number: int) -> str:
    owner = address(number)
    return ASKED[operation](owner, number)


def _check_bans(owner: str, number: int) -> str:
    subject = {"hash": f"v0.0.0:{provider(0)}:{owner}", "id": f"did:pkh:eip155:1:{owner}"}
    credentials = [{"credentialSubject": subject | {"provider": provider(stamp)}} for stamp in range(STAMPS)]
    return http("POST", "/internal/check-bans", INTERNAL, credentials)


def _check_revocations(owner: str, number: int) -> str:
    proofs = [f"0x{owner[2:]}{stamp:090x}" for stamp in range(STAMPS)]
    return http("POST", "/internal/check-revocations", INTERNAL, {"proof_values": proofs})


ASKED: dict[str, Callable[[str, int], str]] = {
    "v2_score": lambda owner, _: http("GET", f"/v2/stamps/{SCORER}/score/{owner}", KEY),
    "internal_score": lambda owner, _: http("GET", f"/internal/score/v2/{SCORER}/{owner}", INTERNAL),
    "embed_score": lambda owner, _: http("GET", f"/internal/embed/score/{SCORER}/{owner}"),
    "embed_validate_api_key": lambda *_: http("GET", "/internal/embed/validate-api-key", KEY),
    "embed_weights": lambda *_: http("GET", f"/internal/embed/weights?community_id={SCORER}"),
    "embed_config": lambda *_: http("GET", f"/internal/embed/config?community_id={SCORER}"),
    "cache_weights": lambda *_: http("GET", "/ceramic-cache/weights"),
    "cache_get_score": lambda owner, _: http("GET", f"/ceramic-cache/score/{owner}", bearer(owner)),
    "cache_calc_score": lambda owner, _: http(
        "POST", f"/ceramic-cache/score/{owner}", bearer(owner), {"alternate_scorer_id": CACHE_SCORER}
    ),
    "cache_get_stamps": lambda owner, _: http("GET", f"/ceramic-cache/stamp?address={owner}"),
    "check_bans": _check_bans,
    "check_revocations": _check_revocations,
    "allow_list": lambda owner, _: http("GET", f"/internal/allow-list/members/{owner}", INTERNAL),
    "credential_definition": lambda _, number: http(
        "GET", f"/internal/customization/credential/DeveloperList%23bench%23{number % 2000}", INTERNAL
    ),
    "gtc_stake": lambda owner, _: http("GET", f"/internal/stake/gtc/{owner}", INTERNAL),
    "legacy_gtc_stake": lambda owner, _: http("GET", f"/internal/stake/legacy-gtc/{owner}/1", INTERNAL),
    "contributor_statistics": lambda owner, _: http(
        "GET", f"/internal/cgrants/contributor_statistics?address={owner}", INTERNAL
    ),
}


def spare_stamps(rows: Iterator[tuple[str, str]]) -> dict[str, str]:
    """The stamps to be posted, by address."""
    return dict(rows)
