"""``make network``: the network between gunicorn and PostgreSQL dies without a word; how long requests wait.

Once by a relay that swallows (the kernel still says that all is well), and, as root, between two network namespaces
whose packets are dropped, with the driver's options of settings/production.py and without.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from faults.failover import NAME, of_its_own
from faults.servers import Client, Told, conclude, serving
from tests.factories.relay import Relay

LIMIT = 10.0  # seconds a request may take
SPACE = "scorer-fast"
HERE, THERE = "10.211.7.1", "10.211.7.2"  # the way to the database
NEAR, FRONT = "10.211.8.1", "10.211.8.2"  # the way clients take
BARE = "?keepalives=0&tcp_user_timeout=0"
OPERATIONS = ("internal_score", "gtc_stake", "cache_add_stamps", "v2_score")


def ip(line: str, *, check: bool = True) -> None:
    subprocess.run(["ip", *line.split()], check=check, stderr=None if check else subprocess.DEVNULL)


@contextmanager
def another_space() -> Iterator[None]:
    """A network namespace with two lines to this one."""
    within = f"netns exec {SPACE} ip"
    try:
        ip(f"netns add {SPACE}")
        ip(f"{within} link set lo up")
        for number, (near, far) in enumerate(((HERE, THERE), (NEAR, FRONT))):
            ip(f"link add scorer{number} type veth peer name peer{number}")
            ip(f"link set peer{number} netns {SPACE}")
            ip(f"addr add {near}/30 dev scorer{number}")
            ip(f"link set scorer{number} up")
            ip(f"{within} addr add {far}/30 dev peer{number}")
            ip(f"{within} link set peer{number} up")
        yield
    finally:
        ip(f"netns del {SPACE}", check=False)
        for number in range(2):
            ip(f"link del scorer{number}", check=False)
        ip(f"route del blackhole {THERE}/32", check=False)


def waited(port: int, host: str, told: Told) -> list[tuple[int, float, str]]:
    """Status and seconds of one request to each operation, side by side."""
    from tests.factories.requests import good

    found: list[tuple[int, float, str]] = []

    def ask(name: str) -> None:
        started = time.monotonic()
        status, _ = Client(port, told, host).ask(name, good(name))
        found.append((status, time.monotonic() - started, name))

    threads = [threading.Thread(target=ask, args=(name,)) for name in OPERATIONS]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def shown(found: list[tuple[int, float, str]]) -> str:
    return ", ".join(
        f"{name} {status} after {seconds:.1f} s" for status, seconds, name in sorted(found, key=lambda each: each[1])
    )


def attack(name: str, port: int, host: str, cut: Callable[[], None], mend: Callable[[], None]) -> list[str]:
    told = Told(LIMIT)
    for _ in range(6):
        waited(port, host, Told(60))
    cut()
    kept, new = waited(port, host, told), waited(port, host, told)
    mend()
    started = time.monotonic()
    while {status for status, *_ in waited(port, host, told)} - {200, 201}:
        if time.monotonic() - started > 30:
            return [f"{name}: not well again after 30 s"]
    print(f"{name}:\n  over kept connections: {shown(kept)}\n  over new ones: {shown(new)}", flush=True)
    print(f"  well again {time.monotonic() - started:.1f} s after the network", flush=True)
    served = [status for status, *_ in (*kept, *new) if status < 500]
    return [*told.wrong, *(f"{name}: {status} while the network was dead" for status in served)]


def main() -> None:
    wrong: list[str] = []
    with of_its_own("network") as cluster:
        socket = cluster.ensure_running()
        from tests.factories import rows

        rows.world_of_one()
        relay = Relay(socket)
        with serving("gunicorn", f"postgres://postgres@127.0.0.1:{relay.port}/{NAME}") as (port, _, _):
            wrong += attack("a relay that swallows", port, "127.0.0.1", relay.speaks.clear, relay.speaks.set)
        relay.end()
        if os.geteuid() != 0 or not shutil.which("ip"):
            print("Namespaces need root and ip (iproute2): not tried.")
        else:
            with another_space():
                relay = Relay(socket, HERE)
                for name, options in (("packets are dropped", ""), ("packets are dropped, bare driver", BARE)):
                    url = f"postgres://postgres@{HERE}:{relay.port}/{NAME}{options}"
                    where = ("ip", "netns", "exec", SPACE)
                    with serving("gunicorn", url, host=FRONT, where=where) as (port, _, _):
                        wrong += attack(
                            name,
                            port,
                            FRONT,
                            lambda: ip(f"route add blackhole {THERE}/32"),
                            lambda: ip(f"route del blackhole {THERE}/32"),
                        )
                relay.end()
    conclude(wrong)


if __name__ == "__main__":
    main()
