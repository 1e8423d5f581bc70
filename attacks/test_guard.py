"""What was seen to fool the guard, done to real servers: without a fault nothing latches, and a hidden one does.

make guard-attacks            # five minutes a server, gunicorn and uvicorn

Two servers of two (gunicorn) or one (uvicorn) workers, the second one's clock an hour ahead, are asked 1,000 requests
a minute of each of seven operations. First all is well, but for the attacks and an outage of the database. Then each
attacked operation's fast path breaks, and has to be latched by the figures of two minutes, or of three where nothing
tells one caller from another.
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
from contextlib import ExitStack, contextmanager, suppress
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from django.db import connection, connections
from django.db.models import Sum
from django.utils import timezone

from scorer_fast.cutover import flags, guard_queries
from scorer_fast.cutover.shadow import handle
from scorer_fast.models import GuardVerdict, HistogramBucket, Latch, ShadowCount
from tests.cutover.test_workers import ROOT, gunicorn
from tests.factories.database import database_url

pytestmark = pytest.mark.django_db(transaction=True)
WELL_SECONDS = 180.0
OUTAGE = (60.0, 75.0)  # of these
WINDOW = 60.0
LATE = 20.0  # until figures are in and judged
PER_MINUTE = 1000
THREADS = 3  # clients of an operation
TOKEN = {"Authorization": "test-internal-token"}
UVICORN = (
    "uvicorn", "django.core.asgi:get_asgi_application", "--factory", "--host", "127.0.0.1",
    "--port", "{port}", "--log-level", "critical", "--lifespan", "off", "--workers", "1",
)  # fmt: skip
SERVERS = {"gunicorn": gunicorn(), "uvicorn": UVICORN}
Ask = Callable[[int, random.Random], None]


# ---- clients


def address(draw: random.Random) -> str:
    return f"0x{draw.randrange(2000):040x}"


def send(port: int, method: str, path: str, body: str = "", *, patience: float = 20, **headers: str) -> None:
    """Asks, and goes away when its patience (seconds) ends."""
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=patience)
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


def allow_list(port: int, draw: random.Random) -> None:
    """One caller whose requests fail on the fast path, and one whose fail everywhere."""
    if draw.random() < 0.01:
        send(port, "GET", f"/internal/allow-list/OGs/0x{0xBAD:040x}?poison", **TOKEN)
    elif draw.random() < 0.01:
        send(port, "GET", f"/internal/allow-list/OGs/0x{0xBAD + 1:040x}?sick", **TOKEN)
    else:
        send(port, "GET", f"/internal/allow-list/OGs/{address(draw)}", **TOKEN)


def check_bans(port: int, draw: random.Random) -> None:
    """In shadow: one client that sends ``[null]``, clients that go away while the host answers, and good ones."""
    chance = draw.random()
    body = f'[{{"credentialSubject": {{"id": "did:pkh:eip155:1:{address(draw)}", "hash": "v0.0.0:{draw.random()}"}}}}]'
    given = {"Content_Type": "application/json", **TOKEN}
    if chance < 0.1:
        send(port, "POST", "/internal/check-bans", "[null]", X_Forwarded_For="192.0.2.1", **given)
    elif chance < 0.2:
        send(port, "POST", "/internal/check-bans", body, patience=0.001 + 0.03 * draw.random(), **given)
    else:
        send(port, "POST", "/internal/check-bans", body, **given)


def check_revocations(port: int, draw: random.Random) -> None:
    """Good posts, posts without a token that announce ten megabytes, and clients that go away."""
    path = "/internal/check-revocations"
    chance = draw.random()
    if chance < 0.15:
        broken_off(port, path, 10_000_000)
    elif chance < 0.2:
        broken_off(port, path, 1000, "Authorization: test-internal-token")
    else:
        send(port, "POST", path, f'{{"proof_values": ["{draw.random()}"]}}', Content_Type="application/json", **TOKEN)


def v2_score(port: int, draw: random.Random) -> None:
    """Ever new API keys, whose first use is slow."""
    new = draw.random() < 0.1
    key = f"key{draw.randrange(10**9) if new else draw.randrange(5)}.secret"
    send(port, "GET", f"/v2/stamps/1/score/{address(draw)}", X_API_Key=key)


def get(path: str) -> Ask:
    return lambda port, draw: send(port, "GET", path.format(address=address(draw)), **TOKEN)


TRAFFIC: dict[str, Ask] = {
    "allow_list": allow_list,
    "check_bans": check_bans,
    "check_revocations": check_revocations,
    "gtc_stake": get("/internal/stake/gtc/{address}"),
    "legacy_gtc_stake": get("/internal/stake/legacy-gtc/{address}/1"),
    "contributor_statistics": get("/internal/cgrants/contributor_statistics?address={address}"),
    "v2_score": v2_score,
    "internal_score": get("/internal/score/v2/1/{address}"),
}
MODES = {"legacy_gtc_stake": ("fast", None), "check_bans": ("shadow", None)}  # the others are split, at 50 %
WELL = {"internal_score"}  # to the end
WINDOWS = {"check_revocations": 3}  # it knows neither address nor key: bad requests in three minutes; else two


# ---- servers


@contextmanager
def serving(server: str, faulty_from: float, ahead: float) -> Iterator[int]:
    """A server on a free port; what it logs of the faults is not read."""
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
            "FAULTY_FROM": str(faulty_from),
            "AHEAD": str(ahead),
        },
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield port
    finally:
        running.terminate()
        running.wait(30)


def wait_for(port: int) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.2):
            return
        time.sleep(0.1)


def outage(seconds: float) -> None:
    """Nobody reaches the database."""
    name = connection.settings_dict["NAME"]
    connections.close_all()
    with psycopg.connect(database_url().rpartition("/")[0] + "/postgres", autocommit=True) as other:
        other.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
        try:
            until = time.monotonic() + seconds
            while time.monotonic() < until:
                other.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])
                time.sleep(0.5)
        finally:
            other.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')


def latched() -> dict[str, str]:
    try:
        return dict(Latch.objects.values_list("operation", "value"))
    finally:
        connection.close()


def state() -> dict[str, Any]:
    """For who reads why the test failed."""
    verdicts = GuardVerdict.objects.exclude(operation="")
    return {row.operation: [row.verdict, *(rule["text"] for rule in row.rules)] for row in verdicts}


@pytest.mark.parametrize("server", SERVERS)
def test_attacks_latch_nothing_and_hide_nothing(server: str) -> None:
    for name in TRAFFIC:
        mode, percent = MODES.get(name, ("split", "50"))
        flags.set_mode(name, mode, percent, "attacked", "test")
    guard_queries.upsert_verdict("default", "", timezone.now() + timedelta(hours=1), "fine", "[]")
    # Both by minutes: faults begin with one.
    begins = time.monotonic() + WINDOW - time.time() % WINDOW
    faulty_from = begins + WELL_SECONDS
    ends = faulty_from + 3 * WINDOW + LATE
    found: dict[str, float] = {}
    with ExitStack() as stack:
        ports = [stack.enter_context(serving(server, faulty_from, ahead)) for ahead in (0, 3600)]
        for port in ports:
            wait_for(port)

        def client(number: int, name: str) -> None:
            draw = random.Random(number)
            started = time.monotonic()
            for turn in itertools.count():
                time.sleep(max(started + (turn + draw.random()) * 60 * THREADS / PER_MINUTE - time.monotonic(), 0))
                if time.monotonic() > ends or set(found) == set(TRAFFIC) - WELL:
                    return
                TRAFFIC[name](draw.choice(ports), draw)

        threads = [threading.Thread(target=client, args=(turn, name)) for turn in range(THREADS) for name in TRAFFIC]
        for thread in threads:
            thread.start()
        time.sleep(max(begins + OUTAGE[0] - time.monotonic(), 0))
        outage(OUTAGE[1] - OUTAGE[0])
        time.sleep(max(faulty_from - time.monotonic(), 0))
        assert latched() == {}, state()
        assert {name: verdict[0] for name, verdict in state().items() if verdict[0] == "worse"} == {}
        assert set(state()) == set(TRAFFIC)
        while time.monotonic() < ends and set(found) != set(TRAFFIC) - WELL:
            for name in latched():
                found.setdefault(name, time.monotonic() - faulty_from)
            time.sleep(1)
        ends = min(ends, time.monotonic())
        for thread in threads:
            thread.join()
    values = latched()
    for name, seconds in found.items():
        sys.stdout.write(f"{server}: {name} latched {seconds:.0f} s after it broke: {values[name]}\n")
    assert set(found) == set(TRAFFIC) - WELL, state()
    for name, seconds in found.items():
        assert seconds < WINDOWS.get(name, 2) * WINDOW + LATE, name
    assert any(words in values["contributor_statistics"] for words in ("circuit was open", "answered instead"))
    assert values["legacy_gtc_stake"].startswith("no requests of the host to compare with: errors ")
    assert values["allow_list"].startswith("p95 ")
    assert values["v2_score"].startswith("p95 ")
    every_shadow_read_has_an_outcome("check_bans")


def every_shadow_read_has_an_outcome(operation: str) -> None:
    reads = HistogramBucket.objects.filter(operation=operation, side="shadow").aggregate(Sum("count"))["count__sum"]
    counted = dict(
        ShadowCount.objects.filter(operation=operation).values_list("outcome").annotate(Sum("count")).order_by()
    )
    sys.stdout.write(f"{reads} reads of the shadow, {sum(counted.values())} outcomes: {counted}\n")
    unread = counted.pop(handle.UNAVAILABLE, 0)  # before the host's view, or after it
    for without_a_read in (handle.PAUSED, handle.NOT_COMPARABLE, "circuit_opened", "no_thread"):
        counted.pop(without_a_read, 0)
    assert sum(counted.values()) <= reads <= sum(counted.values()) + unread
