"""Shadow while several clients write to the same few addresses: races are told from faults."""

import json
import random
import threading
from collections.abc import Iterator

import pytest
from django.db import connections
from django.test import Client
from pytest_django import Settings

from api.demo_issuer import Claim, sign_credentials
from scorer_fast.cutover import figures, flags
from scorer_fast.cutover.shadow import run as shadow
from scorer_fast.models import Mismatch
from tests.host import world

CLIENTS, REQUESTS = 4, 15
ADDRESSES = [world.address(number) for number in (0xA1, 0xB2, 0xC3)]
PROVIDERS = ["Google", "Github", "Ens"]


@pytest.fixture
def shadowed(settings: Settings) -> Iterator[None]:
    for name, value in world.SETTINGS.items():
        setattr(settings, name, value)
    settings.ROOT_URLCONF = "tests.host.urls"
    settings.MIDDLEWARE = ["scorer_fast.cutover.middleware.ScorerFastMiddleware"]
    settings.SCORER_FAST = {
        "BACKGROUND": True,
        "FIGURES_FLUSH_SECONDS": 600,
        "FLAGS_INLINE": True,
        "SHADOW_QUEUE": 1000,
        "SHADOW_DEADLINE_SECONDS": 300,
        "MODES": {"*": "shadow"},
    }
    flags.reset()
    shadow.reset()
    figures.reset()
    yield
    shadow.reset()
    figures.reset()
    flags.reset()


def traffic(seed: int, credentials: dict[str, list[dict[str, object]]]) -> None:
    choose = random.Random(seed)
    client = Client(raise_request_exception=False)
    for _ in range(REQUESTS):
        address = choose.choice(ADDRESSES)
        token = {"Authorization": f"Bearer {world.token(address)}"}
        key = {"X-API-Key": world.API_KEY}
        internal = {"Authorization": world.INTERNAL_TOKEN}
        stamp = choose.choice(credentials[address])
        provider = stamp["credentialSubject"]["provider"]  # type: ignore[index]
        match choose.randrange(6):
            case 0:
                client.get(f"/v2/stamps/1/score/{address}", headers=key)
            case 1:
                client.get(f"/internal/embed/score/1/{address}")
            case 2:
                client.get(f"/ceramic-cache/score/{address}", headers=token)
            case 3:
                body = json.dumps([{"provider": provider, "stamp": stamp}])
                client.post("/ceramic-cache/stamps/bulk", body, "application/json", headers=token)
            case 4:
                body = json.dumps([{"provider": provider}])
                client.delete("/ceramic-cache/stamps/bulk", body, "application/json", headers=token)
            case 5:
                body = json.dumps({"scorer_id": 1, "stamps": [stamp]})
                client.post(f"/internal/embed/stamps/{address}", body, "application/json", headers=internal)
    connections.close_all()


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("shadowed")
def test_clients_in_each_others_way_are_no_mismatch() -> None:
    """Three addresses that share their nullifiers, written to by several clients at once."""
    world.make_community(world.make_account(), 1, {"Google": "12", "Github": "9.5", "Ens": 3}, in_program=True)
    claims = [
        Claim(address, provider, nullifiers=[f"v0:{provider}", f"v1:{provider}:{address}"])
        for address in ADDRESSES
        for provider in PROVIDERS
    ]
    credentials: dict[str, list[dict[str, object]]] = {address: [] for address in ADDRESSES}
    for claim, credential in zip(claims, sign_credentials(claims), strict=True):
        credentials[claim.address].append(credential)
    flags.current()  # the first look, so that no request finds the flags unknown
    threads = [threading.Thread(target=traffic, args=(seed, credentials)) for seed in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert shadow.wait(120)
    outcomes: dict[str, int] = {}
    for (_, _, outcome), (number, _) in figures._recorder.counts.items():
        outcomes[outcome] = outcomes.get(outcome, 0) + number
    real = {
        f"{group.operation} {group.path} {group.kind}": [
            (sample.control, sample.candidate) for sample in group.samples.all()[:1]
        ]
        for group in Mismatch.objects.filter(category="mismatch")
    }
    assert real == {}
    assert sum(outcomes.values()) == CLIENTS * REQUESTS
    assert set(outcomes) <= {"matched", "host_raced", "host_cut", "host_failed", "deliberate"}
    assert outcomes["matched"] > 0
