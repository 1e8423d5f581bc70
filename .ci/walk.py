"""Walks the documents as a stranger would: a copy of what is committed, without .venv, and every command there is.

    python .ci/walk.py                 # some minutes; make release-check does it too

``make run`` and each request that it prints, a busy port, ``make load``, ``make dev``, ``make demo``, the README's
rollout, and every ``scorer_fast`` line of the documents, on the demo's database. Ends what it started, and goes away.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from documents import ROOT, command_lines

KEPT_OUT = ("DATABASE_URL", "REDIS_URL", "DJANGO_SETTINGS_MODULE", "VIRTUAL_ENV", "MAKEFLAGS", "MAKELEVEL", "PORT")
ENVIRONMENT = {name: value for name, value in os.environ.items() if name not in KEPT_OUT}
DEMO = {**ENVIRONMENT, "DJANGO_SETTINGS_MODULE": "demo.settings"}
STARTS = 900  # seconds that a first start may take: it installs everything
ADDRESS = "0x" + "10" * 20
# Lines that a walk leaves out: nothing to run (a synopsis, names in capitals that stand for something), or no end.
LEFT_OUT = re.compile(r"[\[|]|\b(?:OP|URL|DIR|FILE|NUMBER)\b|--watch|^manage\.py kill$")
MAY_EXIT_WITH = {
    "status --check": (0, 2),
    "doctor": (0, 1),
    "guard": (0, 1),
    "--release": (0, 1),
}  # that there is something to say


class Wrong(Exception):
    """A command that did not do what the documents say."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def run(command: str, tree: Path, environment: dict[str, str] = ENVIRONMENT, exits: tuple[int, ...] = (0,)) -> str:
    """What a shell command says; Wrong where it exits otherwise."""
    done = subprocess.run(
        ["bash", "-c", command], cwd=tree, env=environment, text=True, capture_output=True, check=False, timeout=STARTS
    )
    if done.returncode not in exits:
        raise Wrong(f"{command}: exits with {done.returncode}\n{(done.stdout + done.stderr)[-1500:]}")
    return done.stdout + done.stderr


@contextmanager
def started(command: str, until: str, tree: Path) -> Iterator[str]:
    """What a server prints before it answers ``until``; it is interrupted in the end, as by Ctrl-C."""
    log = tree / "walk.log"
    with log.open("w") as out:
        server = subprocess.Popen(
            ["bash", "-c", f"exec {command}"], cwd=tree, env=ENVIRONMENT, stdout=out, stderr=out, start_new_session=True
        )
    try:
        for _ in range(STARTS * 2):
            if server.poll() is not None:
                raise Wrong(f"{command} has ended:\n{log.read_text()[-1500:]}")
            try:
                urllib.request.urlopen(until, timeout=5).close()
                break
            except OSError:
                time.sleep(0.5)
        else:
            raise Wrong(f"{command} does not answer:\n{log.read_text()[-1500:]}")
        yield log.read_text()
    finally:
        if server.poll() is None:
            os.killpg(server.pid, signal.SIGINT)
            try:
                server.wait(60)
            except subprocess.TimeoutExpired:
                tree_of_it = run(f"ps -o pid,ppid,stat,wchan:20,cmd -g {server.pid}", tree)
                os.killpg(server.pid, signal.SIGKILL)
                raise Wrong(f"{command} does not end:\n{tree_of_it}\n{log.read_text()[-1500:]}") from None


def local_server(tree: Path) -> Iterator[str]:
    port = free_port()
    here = f"http://127.0.0.1:{port}"
    began = time.monotonic()
    with started(f"make run PORT={port}", f"{here}/scorer-fast/ready", tree) as said:
        yield f"make run, from nothing: {time.monotonic() - began:.0f} s"
        for text in ("Installing the ", "Try:", f"{here}/scorer-fast/docs", "make db-stop"):
            if text not in said:
                raise Wrong(f"make run does not say {text!r}")
        readme = re.sub(r"\\\n\s+", "", (tree / "README.md").read_text()).replace("http://127.0.0.1:8000", here)
        curls = re.findall(r"^ *(curl .+)$", said + readme, flags=re.MULTILINE)
        for curl in curls:
            json.loads(run(f"{curl} --fail --silent --show-error", tree))
        yield f"{len(curls)} requests that it and the README print"
        page = urllib.request.urlopen(f"{here}/scorer-fast/docs").read().decode()
        for file in re.findall(r'(?:src|href)="([^"]+)"', page):
            urllib.request.urlopen(here + file).close()  # here + "https://…" is no address
        yield "the OpenAPI page and its files"
        for target in ("run", "dev"):
            busy = run(f"make {target} PORT={port}", tree, exits=(2,))
            if not busy.startswith(f"Port {port} is in use."):
                raise Wrong(f"make {target} on a busy port says first: {busy[:200]}")
        yield "a busy port, told first"
        slow = {**ENVIRONMENT, "LOAD_P95_MS": "5000"}
        run(f"make load TARGET={here} USERS=4 RAMP=4 TIME=15s", tree, slow)
        if "Locust" not in (tree / "load" / "results" / "report.html").read_text():
            raise Wrong("make load left no report")
        yield "make load, and its report"
    with started(f"make dev PORT={port}", f"{here}/scorer-fast/ready", tree):
        yield "make dev"


def demo(tree: Path) -> Iterator[str]:
    port = free_port()
    with started(f"make demo PORT={port}", f"http://127.0.0.1:{port}/scorer-fast/ready", tree):
        yield "make demo"
        (block,) = re.findall(r"^    export .+\n(?:    .+\n)+", (tree / "README.md").read_text(), flags=re.MULTILINE)
        lines = [line.strip() for line in block.splitlines()]
        for line in lines[1:]:
            run(line, tree, DEMO)
            if "--percent 5" in line:
                said = run(".venv/bin/python manage.py scorer_fast status v2_score", tree, DEMO)
                if "split 5" not in re.sub(r"\s+", " ", said):
                    raise Wrong(f"status does not show the split of 5 %:\n{said}")
        yield "the README's rollout"
        done = 0
        for name, command in command_lines():
            words = command.removeprefix(".venv/bin/python ").removeprefix("manage.py ")
            if not words.startswith("scorer_fast ") or LEFT_OUT.search(words):
                continue
            words = re.sub(r"\bID\b", "1", words).replace("0x…", ADDRESS)
            if words.startswith("scorer_fast rollout start"):  # the document before has ended at 100 %
                run(".venv/bin/python manage.py scorer_fast kill --release --reason walk", tree, DEMO, (0, 1))
                run(".venv/bin/python manage.py scorer_fast set v2_score legacy --reason walk", tree, DEMO)
            exits = next((codes for part, codes in MAY_EXIT_WITH.items() if part in words), (0,))
            try:
                run(f".venv/bin/python manage.py {words}", tree, DEMO, exits)
            except (Wrong, subprocess.TimeoutExpired) as problem:
                raise Wrong(f"{name}: {problem}") from None
            done += 1
        yield f"{done} scorer_fast lines of the documents"
    for command in ("make demo-fault FAULT=none", "make docs", ".venv/bin/python -m settings.embedded_postgres url"):
        run(command, tree)
    run(".venv/bin/python -m build --wheel", tree)
    yield "make demo-fault, make docs, the wheel"


def end(tree: Path) -> Iterator[str]:
    run("make db-stop", tree)
    run("make db-start", tree)
    run("make clean", tree)
    left = [name for name in (".venv", ".postgres", ".demo") if (tree / name).exists()]
    if left:
        raise Wrong(f"make clean leaves {', '.join(left)}")
    yield "make db-stop, make db-start, make clean"


def main() -> int:
    signal.signal(
        signal.SIGINT, signal.default_int_handler
    )  # where it was ignored, as in the background, servers would too
    place = Path(tempfile.mkdtemp(prefix="walk-"))
    place.chmod(0o755)  # PostgreSQL may run as another user
    tree = place / "tree"
    tree.mkdir()
    try:
        run(f"git -C {ROOT} archive HEAD | tar -x -C {tree}", place)
        for part in (local_server, demo, end):
            for said in part(tree):
                print(said, flush=True)
    except Wrong as problem:
        print(problem)
        return 1
    finally:
        if (tree / ".venv").exists():
            subprocess.run(["make", "db-stop"], cwd=tree, env=ENVIRONMENT, capture_output=True, check=False)
        shutil.rmtree(place, ignore_errors=True)
    print("Every command of the documents did what they say.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
