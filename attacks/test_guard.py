"""What was seen to fool the guard, done to real servers: without a fault nothing latches, and a hidden one does.

make guard-attacks            # five minutes a server, gunicorn and uvicorn
"""

import http.client
import itertools
import os
import random
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest
from django.db import connection

from scorer_fast.cutover import flags
from scorer_fast.models import GuardVerdict, Latch
from tests.cutover.test_workers import ROOT, gunicorn
from tests.factories.database import database_url

pytestmark = pytest.mark.django_db(transaction=True)
SECONDS = float(os.environ.get("ATTACK_SECONDS", "300"))
PER_MINUTE = 400
TOKEN = {"Authorization": "test-internal-token"}
UVICORN = (
    "uvicorn", "django.core.asgi:get_asgi_application", "--factory", "--host", "127.0.0.1",
    "--port", "{port}", "--log-level", "critical", "--lifespan", "off", "--workers", "1",
)  # fmt: skip
SERVERS = {"gunicorn": gunicorn(), "uvicorn": UVICORN}
Ask = Callable[[int, random.Random], None]


def address(draw: random.Random) -> str:
    return f"0x{draw.randrange(200):040x}"


def send(port: int, method: str, path: str, body: str = "", **headers: str) -> None:
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    with suppress(OSError, http.client.HTTPException):
        client.request(method, path, body or None, {**given, "Connection": "close"})
        client.getresponse().read()
    client.close()


def broken_off(port: int, path: str, announced: int, *headers: str) -> None:
    """Announces a body, sends a piece of it, and goes away."""
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), 5) as raw:
        lines = [f"POST {path} HTTP/1.1", "Host: localhost", "Content-Type: application/json", *headers]
        raw.sendall(("\r\n".join([*lines, f"Content-Length: {announced}", "", ""]) + "[").encode())
        raw.settimeout(0.2)
        with suppress(OSError):
            raw.recv(100)


@contextmanager
def serving(server: str, faulty: set[str]) -> Iterator[int]:
    """The attacked server on a free port; what it logs of the faults is not read."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    running = subprocess.Popen(
        [sys.executable, "-m", *(argument.format(port=port) for argument in SERVERS[server])],
        cwd=ROOT,
        env={
            **os.environ,
            "DATABASE_URL": database_url(),
            "DJANGO_SETTINGS_MODULE": "attacks.server_settings",
            "FAULTY": ",".join(faulty),
        },
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.2):
                break
            time.sleep(0.1)
        yield port
    finally:
        running.terminate()
        running.wait(30)


def allow_list(port: int, draw: random.Random) -> None:
    """One caller whose requests fail on the fast path, and one whose fail everywhere."""
    if draw.random() < 0.05:
        send(port, "GET", f"/internal/allow-list/OGs/0x{0xBAD:040x}?poison", **TOKEN)
    elif draw.random() < 0.05:
        send(port, "GET", f"/internal/allow-list/OGs/0x{0xBAD + 1:040x}?sick", **TOKEN)
    else:
        send(port, "GET", f"/internal/allow-list/OGs/{address(draw)}", **TOKEN)


def posts(path: str, body: Callable[[random.Random], str]) -> Ask:
    """Good posts, posts without a token that announce ten megabytes, and clients that go away."""

    def ask(port: int, draw: random.Random) -> None:
        chance = draw.random()
        if chance < 0.2:
            broken_off(port, path, 10_000_000)
        elif chance < 0.26:
            broken_off(port, path, 1000, "Authorization: test-internal-token")
        else:
            send(port, "POST", path, body(draw), Content_Type="application/json", **TOKEN)

    return ask


def v2_score(port: int, draw: random.Random) -> None:
    """Ever new API keys, whose first use is slow."""
    new = draw.random() < 0.2
    key = f"key{draw.randrange(10**9) if new else draw.randrange(5)}.secret"
    send(port, "GET", f"/v2/stamps/1/score/{address(draw)}", X_API_Key=key)


TRAFFIC: dict[str, Ask] = {
    "allow_list": allow_list,
    "check_bans": posts(
        "/internal/check-bans", lambda draw: f'[{{"credentialSubject": {{"id": "did:pkh:eip155:1:{address(draw)}"}}}}]'
    ),
    "check_revocations": posts("/internal/check-revocations", lambda draw: f'{{"proof_values": ["{draw.random()}"]}}'),
    "gtc_stake": lambda port, draw: send(port, "GET", f"/internal/stake/gtc/{address(draw)}", **TOKEN),
    "legacy_gtc_stake": lambda port, draw: send(port, "GET", f"/internal/stake/legacy-gtc/{address(draw)}/1", **TOKEN),
    "contributor_statistics": lambda port, draw: send(
        port, "GET", f"/internal/cgrants/contributor_statistics?address={address(draw)}", **TOKEN
    ),
    "v2_score": v2_score,
}
FAULTS = {"allow_list", "check_revocations", "gtc_stake", "legacy_gtc_stake", "contributor_statistics"}


def attack(server: str, faulty: set[str]) -> None:
    for name in TRAFFIC:
        mode, percent = ("fast", None) if name == "legacy_gtc_stake" else ("split", "50")
        flags.set_mode(name, mode, percent, "attacked", "test")
    with serving(server, faulty) as port:
        until = time.monotonic() + SECONDS

        def client(number: int, name: str) -> None:
            draw = random.Random(number)
            for turn in itertools.count():
                due = started + turn * 60 * 2 / PER_MINUTE
                time.sleep(max(due - time.monotonic(), 0))
                if time.monotonic() > until:
                    return
                TRAFFIC[name](port, draw)

        started = time.monotonic()
        threads = [threading.Thread(target=client, args=(turn, name)) for turn in range(2) for name in TRAFFIC]
        for thread in threads:
            thread.start()
        while time.monotonic() < until and set(latched()) != faulty:
            time.sleep(2)
            connection.close()
        until = min(until, time.monotonic()) if faulty else until
        for thread in threads:
            thread.join()


def latched() -> dict[str, str]:
    return dict(Latch.objects.values_list("operation", "value"))


@pytest.mark.parametrize("server", SERVERS)
def test_attacks_latch_nothing_that_is_well(server: str) -> None:
    attack(server, set())
    assert latched() == {}
    verdicts = dict(GuardVerdict.objects.exclude(operation="").values_list("operation", "verdict"))
    assert set(verdicts) == set(TRAFFIC)
    assert "worse" not in verdicts.values()


@pytest.mark.parametrize("server", SERVERS)
def test_faults_hidden_beside_them_are_found(server: str) -> None:
    attack(server, FAULTS)
    found = latched()
    assert set(found) == FAULTS
    assert (
        "while the circuit was open" in found["contributor_statistics"] or "instead" in found["contributor_statistics"]
    )
    assert found["legacy_gtc_stake"].startswith("no requests of the host to compare with: errors 100 %")
    assert found["allow_list"].startswith("p95 ")
