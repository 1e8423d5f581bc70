"""``make nginx``: the nginx of docs/operations.md, word for word, in front of gunicorn; clients stall, others go on.

Stalled are bodies of callers who are known (so that nothing is refused by header), headers that do not end, and
answers that nobody reads; four at a time, then forty. The same is done to gunicorn alone, to show what it is worth.
"""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bench.servers import free_port
from faults.failover import NAME, of_its_own
from faults.servers import ROOT, Client, Told, conclude, serving

STALLED = (4, 40)
SECONDS = 4.0  # that others are looked at
AROUND = """
pid {folder}/nginx.pid;
daemon off;
error_log {folder}/error.log;
events {{ worker_connections 512; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
{given}
}}
"""


def documented() -> str:
    """What docs/operations.md says of nginx."""
    text = (ROOT / "docs" / "operations.md").read_text()
    found = re.search(r"^    # nginx\n((?:    .*\n|\n)+?)(?=^\S)", text, flags=re.MULTILINE)
    assert found is not None, "docs/operations.md has no block that begins with # nginx"
    return found[1]


@contextmanager
def proxy(upstream: int) -> Iterator[int]:
    """The port of an nginx in front of ``upstream``; ports are all that is changed of the document."""
    folder, port = Path(tempfile.mkdtemp(prefix="scorer-fast-nginx-")), free_port()
    given = documented().replace("127.0.0.1:8000", f"127.0.0.1:{upstream}").replace("listen 80;", f"listen {port};")
    assert str(upstream) in given
    assert str(port) in given
    (folder / "nginx.conf").write_text(AROUND.format(folder=folder, given=given))
    folder.chmod(0o755)
    found = shutil.which("nginx") or "/usr/sbin/nginx"
    process = subprocess.Popen([found, "-p", str(folder), "-c", str(folder / "nginx.conf")], stderr=subprocess.DEVNULL)
    try:
        ends = time.monotonic() + 10
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 0.2).close()
                break
            except OSError:
                if process.poll() is not None or time.monotonic() > ends:
                    raise SystemExit((folder / "error.log").read_text()) from None
                time.sleep(0.05)
        yield port
    finally:
        process.terminate()
        process.wait(10)
        shutil.rmtree(folder, ignore_errors=True)


def stall(port: int, number: int) -> socket.socket:
    """A client that sends the first bytes of a request, as one of three kinds, and no more."""
    from tests.factories.requests import good

    post = good("cache_add_stamps")
    lines = [f"{post.method} {post.path} HTTP/1.1", "Host: 127.0.0.1", "Content-Type: application/json"]
    lines += [f"{name}: {value}" for name, value in post.headers.items()]
    line = socket.create_connection(("127.0.0.1", port), 5)
    if number % 3 == 0:
        line.sendall(("\r\n".join([*lines, "Content-Length: 20000", "", ""]) + '[{"provide').encode())
    elif number % 3 == 1:
        line.sendall("\r\n".join(lines).encode())
    else:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
        body = json.dumps(post.body)
        line.sendall("\r\n".join([*lines, f"Content-Length: {len(body)}", "", body]).encode())
    return line


def others(port: int, told: Told) -> tuple[int, float]:
    """How many answers four clients had in SECONDS, and the 95th of a hundred waits, in milliseconds."""
    from tests.factories.requests import good

    waits: list[float] = []
    ends = time.monotonic() + SECONDS

    def go(number: int) -> None:
        client = Client(port, told)
        client.line.timeout = 8
        while time.monotonic() < ends:
            started = time.monotonic()
            name = ("gtc_stake", "check_bans", "v2_score", "internal_score")[number % 4]
            if client.ask(name, good(name))[0] == 200:
                waits.append((time.monotonic() - started) * 1000)

    threads = [threading.Thread(target=go, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    waits.sort()
    return len(waits), waits[int(len(waits) * 0.95)] if waits else float("inf")


def main() -> None:
    wrong: list[str] = []
    with of_its_own("nginx") as cluster:
        from tests.factories import rows

        rows.world_of_one()
        with serving("gunicorn", cluster.url(NAME)) as (behind, _, _), proxy(behind) as port:
            usual: dict[str, int] = {}
            for name, at in (("nginx", port), ("gunicorn alone", behind)):
                while others(at, Told(60))[0] < 100:  # a process loads what it needs with its first requests
                    pass
                for count in (0, *STALLED):
                    told = Told(10)
                    with ExitStack() as stack:
                        for number in range(count):
                            stack.enter_context(stall(at, number))
                        time.sleep(0.5)
                        served, p95 = others(at, told)
                    usual.setdefault(name, served)
                    print(
                        f"{name}, {count} stalled: {served / SECONDS:.0f} answers a second, p95 {p95:.0f} ms",
                        flush=True,
                    )
                    if name == "nginx":
                        wrong += told.wrong
                        if served < usual[name] / 2 or told.dropped:
                            wrong.append(f"{count} stalled clients: {served} of {usual[name]}, {told.dropped} dropped")
                    time.sleep(1 if at == port else 6)
    conclude(wrong)


if __name__ == "__main__":
    main()
