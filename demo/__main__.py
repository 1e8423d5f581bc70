"""Starts the demo, or breaks it: `python -m demo [--port 8001] [--fault slow]`, `python -m demo fault none`."""

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

from settings.embedded_postgres import embedded

ROOT = Path(__file__).resolve().parent.parent
NAME, PASSWORD = "admin", "demo"
DATABASE = "demo"


def main(arguments: list[str]) -> int:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "demo.settings")
    from demo import fault

    parser = argparse.ArgumentParser(prog="demo", description=__doc__)
    parser.add_argument("what", nargs="?", choices=["run", "fault"], default="run")
    parser.add_argument("kind", nargs="?", choices=list(fault.KINDS), help="of fault: what breaks")
    parser.add_argument("--port", type=int, default=8001)
    parser.add_argument("--rate", type=float, default=25.0, help="requests a second (25)")
    parser.add_argument("--bad", type=float, default=0.05, help="share of bad requests (0.05)")
    parser.add_argument("--fault", choices=list(fault.KINDS), default="none", help="broken from the beginning")
    options = parser.parse_args(arguments)
    if options.what == "fault":
        fault.inject({fault.OPERATION: options.kind or "none"})
        print(f"{options.kind or 'none'}: {fault.KINDS[options.kind or 'none']}")
        return 0
    fault.inject({fault.OPERATION: options.fault})
    return run(options)


def run(options: argparse.Namespace) -> int:
    import django

    make_database()
    django.setup()
    seed()
    server = serve(options.port)
    from demo import traffic

    clients = traffic.Traffic(options.port, rate=options.rate, bad_share=options.bad)
    try:
        wait_for(options.port, server)
        print(text(options.port), flush=True)
        clients.start()
        while server.poll() is None:
            time.sleep(10)
            print(time.strftime("%H:%M:%S"), traffic.line(clients.take()), flush=True)
            while clients.failures:
                print(f"    {clients.failures.pop(0)}", flush=True)
    except KeyboardInterrupt:
        print()
    finally:
        clients.end()
        server.terminate()
        server.wait(10)
    return 0


def text(port: int) -> str:
    return f"""
The slow host answers on http://127.0.0.1:{port}, with this app in front of it. Clients ask all operations.

    Console:   http://127.0.0.1:{port}/admin/scorer_fast/console/     user {NAME}, password {PASSWORD}
    A rollout: DJANGO_SETTINGS_MODULE=demo.settings .venv/bin/python manage.py scorer_fast rollout start \\
                   v2_score --steps shadow,25,50,100 --hold 30s --reason "try it"
    Break it:  make demo-fault FAULT=slow        (or throw, wrong, none)
    Watch it:  DJANGO_SETTINGS_MODULE=demo.settings .venv/bin/python manage.py scorer_fast status --watch

Ctrl-C ends it. What clients see, every ten seconds:
"""


def make_database() -> None:
    """An empty database of the demo's own, new at each start."""
    import psycopg

    if "DATABASE_URL" in os.environ:
        return
    with psycopg.connect(embedded().url("postgres"), autocommit=True) as connection:
        connection.execute("DROP DATABASE IF EXISTS demo WITH (FORCE)")
        connection.execute("CREATE DATABASE demo")


def seed() -> None:
    """Tables, an account with a key, stamps of the first addresses, and an admin."""
    from django.contrib.auth import get_user_model
    from django.core.management import call_command

    from api.demo_issuer import Claim
    from demo.traffic import ADDRESSES, STAMPED
    from tests.factories import rows
    from tests.host import world

    call_command("migrate", verbosity=0)
    get_user_model().objects.create_superuser(NAME, password=PASSWORD)
    rows.world_of_one()
    for provider in ("Google", "Github", "Ens"):
        world.give(Claim(owner, provider) for owner in ADDRESSES[:STAMPED])


def serve(port: int, workers: int = 2) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "gunicorn", "django.core.wsgi:get_wsgi_application()", "--bind", f"127.0.0.1:{port}",
         "--worker-class", "gthread", "--workers", str(workers), "--threads", "4", "--no-control-socket",
         "--log-level", "warning"],
        cwd=ROOT,
    )  # fmt: skip


def wait_for(port: int, server: subprocess.Popen[bytes]) -> None:
    import urllib.error
    import urllib.request

    for _ in range(300):
        if server.poll() is not None:
            raise SystemExit("The server ended; see above.")
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/scorer-fast/ready", timeout=5)
            return
        except (OSError, urllib.error.HTTPError):
            time.sleep(0.2)
    raise SystemExit("The server does not become ready.")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
