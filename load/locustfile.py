"""What people do: each brings stamps first, then asks for scores, stamps and weights, and now and then posts again.

``make load`` starts it. Environment, with the values of `make run` as defaults:
    LOAD_PEOPLE          the file that load.people wrote
    LOAD_API_KEY         sent as X-API-Key; LOAD_SCORER: the scorer it may ask about
    LOAD_INTERNAL_TOKEN  sent as Authorization by internal callers
    LOAD_SIGNING_KEY     what access tokens are signed with
    LOAD_P95_MS          p95 that an operation may have, in milliseconds
    LOAD_ERRORS_PERCENT  share of all requests that may fail
"""

from __future__ import annotations

import itertools
import json
import os
import random
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jwt
from locust import FastHttpUser, between, events, task
from locust.env import Environment

PEOPLE = Path(os.environ.get("LOAD_PEOPLE", "load/people.jsonl"))
API_KEY = os.environ.get("LOAD_API_KEY", "DemoKey1.OpenToEveryoneOnALocalServer0000")
SCORER = int(os.environ.get("LOAD_SCORER", "1"))
INTERNAL_TOKEN = os.environ.get("LOAD_INTERNAL_TOKEN", "local-internal-token")
SIGNING_KEY = os.environ.get("LOAD_SIGNING_KEY", "local-secret-key-for-this-machine-alone-0123456789")
P95_MS = float(os.environ.get("LOAD_P95_MS", "250"))
ERRORS_PERCENT = float(os.environ.get("LOAD_ERRORS_PERCENT", "0.1"))
FEW = 20  # requests of an operation, below which its p95 is not judged

KEY = {"X-API-Key": API_KEY}
INTERNAL = {"Authorization": INTERNAL_TOKEN}


def people() -> Iterator[dict[str, Any]]:
    """The addresses, over and over: a second user of one finds it scored."""
    return itertools.cycle([json.loads(line) for line in PEOPLE.read_text().splitlines()])


PERSONS = people()


def token(address: str) -> dict[str, str]:
    claims = {"token_type": "access", "exp": int(time.time()) + 86_400, "jti": uuid.uuid4().hex}
    signed = jwt.encode({**claims, "did": f"did:pkh:eip155:1:{address}"}, SIGNING_KEY, algorithm="HS256")
    return {"Authorization": f"Bearer {signed}"}


class Person(FastHttpUser):
    """One address. The numbers are how often each request is made, in a hundred."""

    wait_time = between(0.1, 0.5)  # seconds

    def on_start(self) -> None:
        person = next(PERSONS)
        self.address, self.stamps = person["address"], person["stamps"]
        self.token = token(self.address)
        self.ask("cache_add_stamps, all stamps new", "POST", "/ceramic-cache/stamps/bulk", self.token, self.stamps)

    def ask(self, operation: str, method: str, path: str, headers: dict[str, str], body: Any = None) -> None:
        sent = {} if body is None else {"json": body}
        self.client.request(method, path, headers=headers, name=operation, **sent)

    @task(34)
    def v2_score(self) -> None:
        self.ask("v2_score", "GET", f"/v2/stamps/{SCORER}/score/{self.address}", KEY)

    @task(14)
    def cache_get_score(self) -> None:
        self.ask("cache_get_score", "GET", f"/ceramic-cache/score/{self.address}", self.token)

    @task(10)
    def cache_get_stamps(self) -> None:
        self.ask("cache_get_stamps", "GET", f"/ceramic-cache/stamp?address={self.address}", {})

    @task(10)
    def embed_score(self) -> None:
        self.ask("embed_score", "GET", f"/internal/embed/score/{SCORER}/{self.address}", {})

    @task(6)
    def cache_add_stamps(self) -> None:
        self.ask("cache_add_stamps", "POST", "/ceramic-cache/stamps/bulk", self.token, [random.choice(self.stamps)])

    @task(3)
    def cache_patch_stamps(self) -> None:
        kept, removed = random.sample(self.stamps, 2)
        body = [kept, {"provider": removed["provider"]}]
        self.ask("cache_patch_stamps", "PATCH", "/ceramic-cache/stamps/bulk", self.token, body)

    @task(3)
    def embed_add_stamps(self) -> None:
        body = {"scorer_id": SCORER, "stamps": [random.choice(self.stamps)["stamp"]]}
        self.ask("embed_add_stamps", "POST", f"/internal/embed/stamps/{self.address}", INTERNAL, body)

    @task(4)
    def internal_score(self) -> None:
        self.ask("internal_score", "GET", f"/internal/score/v2/{SCORER}/{self.address}", INTERNAL)

    @task(4)
    def check_bans(self) -> None:
        subject = {"hash": None, "provider": "Google", "id": f"did:pkh:eip155:1:{self.address}"}
        self.ask("check_bans", "POST", "/internal/check-bans", INTERNAL, [{"credentialSubject": subject}])

    @task(4)
    def check_revocations(self) -> None:
        values = [stamp["stamp"]["proof"]["proofValue"] for stamp in self.stamps]
        self.ask("check_revocations", "POST", "/internal/check-revocations", INTERNAL, {"proof_values": values})

    @task(3)
    def cache_weights(self) -> None:
        self.ask("cache_weights", "GET", "/ceramic-cache/weights", {})

    @task(2)
    def gtc_stake(self) -> None:
        self.ask("gtc_stake", "GET", f"/internal/stake/gtc/{self.address}", INTERNAL)

    @task(2)
    def contributor_statistics(self) -> None:
        path = f"/internal/cgrants/contributor_statistics?address={self.address}"
        self.ask("contributor_statistics", "GET", path, INTERNAL)

    @task(1)
    def allow_list(self) -> None:
        self.ask("allow_list", "GET", f"/internal/allow-list/friends/{self.address}", INTERNAL)


@events.quitting.add_listener
def judge(environment: Environment, **_: Any) -> None:
    """Exit with 1, and say why, where a limit was passed or nothing was asked."""
    total = environment.stats.total
    said = [] if total.num_requests else ["no request was answered"]
    if total.fail_ratio * 100 > ERRORS_PERCENT:
        said.append(f"{total.fail_ratio:.2%} of the requests failed; {ERRORS_PERCENT} % may")
    for entry in environment.stats.entries.values():
        p95 = entry.get_response_time_percentile(0.95)
        if p95 > P95_MS and entry.num_requests >= FEW:
            said.append(f"{entry.name}: p95 {p95:.0f} ms, may be {P95_MS:.0f}")
    print("\n".join(said) if said else f"Every limit was kept ({total.num_requests} requests, p95 {P95_MS:.0f} ms).")
    environment.process_exit_code = 1 if said else 0
