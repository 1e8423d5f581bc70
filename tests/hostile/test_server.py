"""Attackers and everybody else at one real server: nobody's process dies, and everybody else is answered."""

import http.client
import json
import threading
import time
from contextlib import closing
from typing import Any

import psutil
import pytest
from django.core.management import call_command
from pytest_django import Settings

from api.ceramic_cache.models import CeramicCache
from api.demo_issuer import Claim
from api.registry.models import Score
from scorer_fast.domain import bounds
from scorer_fast.scoring import verifier
from tests.cutover.test_workers import gunicorn, serving
from tests.factories.requests import Request, good
from tests.host import world
from tests.hostile import attacks

pytestmark = pytest.mark.django_db(transaction=True)
PEOPLE = [world.address(0x1000 + number) for number in range(24)]
ATTACKERS = [world.address(0x2000 + number) for number in range(4)]
ATTACKER = ATTACKERS[0]
SECONDS = 20.0  # that a request may take; its answer comes within one more
BUSY = 10.0  # that a machine with other work may take besides


def send(port: int, request: Request) -> tuple[int, dict[str, Any], float]:
    """Status, body and seconds; a 503 says when to come again."""
    started = time.monotonic()
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as client:
        body = None if request.body is None else json.dumps(request.body)
        client.request(request.method, request.path, body, {"Content-Type": "application/json", **request.headers})
        answer = client.getresponse()
        content = json.loads(answer.read())
        assert answer.status != 503 or answer.getheader("Retry-After")
    return answer.status, content, time.monotonic() - started


def store(owner: str, provider: str, credential: dict[str, Any]) -> None:
    """As the host does, before it verifies anything."""
    CeramicCache.objects.create(address=owner, provider=provider, stamp=credential, proof_value="0x")


def workers() -> dict[int, list[int]]:
    """The server's processes that answer requests, each with the children it has."""
    (server,) = [child for child in psutil.Process().children() if {"gunicorn", "uvicorn"} & set(child.cmdline())]
    answering = [child for child in server.children() if "resource_tracker" not in " ".join(child.cmdline())]
    return {child.pid: [each.pid for each in child.children()] for child in answering}


UVICORN = (
    "uvicorn", "django.core.asgi:get_asgi_application", "--factory", "--host", "127.0.0.1", "--port", "{port}",
    "--workers", "2", "--log-level", "warning",
)  # fmt: skip


@pytest.mark.parametrize(
    ("server", "walls"),
    [(gunicorn(), "both"), (gunicorn("--preload"), "wall alone"), (UVICORN, "both")],
    ids=["gunicorn", "gunicorn, wall alone", "uvicorn"],
)
def test_attackers_and_everybody_else(server: tuple[str, ...], walls: str, one: Any) -> None:
    world.give(Claim(owner, provider) for owner in PEOPLE for provider in ("Google", "Ens"))
    for number, (name, credential) in enumerate(attacks.credentials(ATTACKER).items()):
        owner = ATTACKERS[number % len(ATTACKERS)]
        credential["credentialSubject"]["id"] = f"did:pkh:eip155:1:{owner}"
        store(owner, name, credential)
    world.give(Claim(owner, "Ens") for owner in ATTACKERS)
    settings = {"DJANGO_SETTINGS_MODULE": "tests.hostile.server_settings", "WALL_ALONE": str(int(walls != "both"))}
    with serving(*server, **settings) as port:
        attacked(port, is_bounded=walls == "both")


def attacked(port: int, *, is_bounded: bool) -> None:
    """Score everybody once while attackers are at it."""
    ended = threading.Event()
    of_attackers: list[tuple[int, float]] = []

    def attack(owner: str) -> None:
        """Post what hurts, ask for what was stored, and begin again."""
        posts = [
            good("embed_add_stamps", owner).with_(body={"scorer_id": 1, "stamps": [credential]})
            for credential in attacks.credentials(owner).values()
        ]
        while not ended.is_set():
            for request in posts:
                if not ended.is_set():
                    for each in (request, good("embed_score", owner)):
                        status, _, took = send(port, each)
                        of_attackers.append((status, took))

    send(port, good("embed_score", ATTACKERS[0]))
    before = workers()
    threads = [threading.Thread(target=attack, args=(owner,)) for owner in ATTACKERS[:2]]
    for thread in threads:
        thread.start()
    took = []
    try:
        for owner in PEOPLE:
            status, body, seconds = send(port, good("embed_score", owner))
            assert status == 200, body
            assert body["score"]["score"] == "14.00000"
            took.append(seconds)
    finally:
        ended.set()
        for thread in threads:
            thread.join()
    assert max(took) < SECONDS + 1 + BUSY
    assert {status for status, _ in of_attackers} <= {200, 503}
    assert max(seconds for _, seconds in of_attackers) < SECONDS + 1 + BUSY
    assert set(workers()) == set(before), "no process that answers requests has died"
    if is_bounded:
        assert {status for status, _ in of_attackers} == {200}
    assert 1 <= sum(len(children) for children in workers().values()) <= 4
    zombies = [child for child in psutil.Process().children(recursive=True) if child.status() == psutil.STATUS_ZOMBIE]
    assert not zombies
    # What attackers have besides counts as ever.
    for owner in ATTACKERS:
        status, body, _ = send(port, good("embed_score", owner))
        assert (status, body["score"]["stamps"]["Ens"]["score"]) == (200, "12.50000")


@pytest.mark.parametrize("bounded", [True, False])
def test_a_rescoring_run_goes_past_them(bounded: bool, one: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each attack is stored once, at an address of its own, among others."""
    if not bounded:
        monkeypatch.setattr(bounds, "check", lambda credential: None)
    victims = []
    for number, (name, credential) in enumerate(attacks.credentials(world.address(0)).items()):
        owner = world.address(0x3000 + number)
        credential["credentialSubject"]["id"] = f"did:pkh:eip155:1:{owner}"
        store(owner, name, credential)
        victims.append(owner)
    owners = [*victims, *PEOPLE[:5]]
    world.give(Claim(owner, "Ens") for owner in owners)
    for owner in owners:
        one.passports.create(address=owner)
    call_command("scorer_fast", "rescore", "--scorer", "1", verbosity=0)
    scores = dict(Score.objects.values_list("passport__address", "evidence__rawScore"))
    assert scores == dict.fromkeys(owners, "12.5")


def test_where_a_process_verifies_by_itself_the_bounds_are_enough(
    one: Any, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in Lambda: every attack is posted, stored, and asked for."""
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "score")
    assert verifier.is_local()
    world.give([Claim(ATTACKER, "Ens")])
    for name, credential in attacks.credentials(ATTACKER).items():
        started = time.monotonic()
        body = {"scorer_id": 1, "stamps": [credential]}
        assert good("embed_add_stamps", ATTACKER).with_(body=body).send().status_code == 200, name
        store(ATTACKER, name, credential)
        assert good("embed_score", ATTACKER).send().json()["score"]["score"] == "12.50000", name
        assert time.monotonic() - started < 1 + BUSY
