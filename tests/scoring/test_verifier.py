"""The wall around didkit: processes that may die, and nobody's answer with them."""

import asyncio
import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import didkit
import psutil
import pytest
from pytest_django import Settings

from api.demo_issuer import Claim, sign_credential, sign_credentials
from scorer_fast.errors import VerifierDown
from scorer_fast.http import call
from scorer_fast.scoring import verifier, verifier_local, verifier_process
from scorer_fast.scoring.verifier import VerifierPool
from tests.factories.rows import OWNER
from tests.hostile import attacks

GOOD = [json.dumps(stamp) for stamp in sign_credentials(Claim(OWNER, f"P{number}") for number in range(3))]
BAD = [json.dumps(json.loads(GOOD[0]) | {"issuanceDate": "2020-01-01T00:00:00Z"}), "{}", "null", "", "x" * 100_000]
KILLS = json.dumps(attacks.deep_type(OWNER))  # overflows the stack
SLOW = json.dumps(attacks.acquaintances(OWNER, 8))  # takes 25 s


@pytest.fixture
def pool() -> Iterator[VerifierPool]:
    pool = VerifierPool()
    yield pool
    pool.stop()


def gone(pid: int, seconds: float = 10) -> bool:
    """Whether a process ends within the time, and nothing is left of it."""
    until = time.monotonic() + seconds
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        if time.monotonic() > until:
            return False
        time.sleep(0.02)
    return True


def zombies() -> list[int]:
    children = psutil.Process().children()
    return [child.pid for child in children if child.is_running() and child.status() == psutil.STATUS_ZOMBIE]


# ---- answers


def test_a_batch_is_answered_in_its_order(pool: VerifierPool) -> None:
    many = [*GOOD, *BAD] * 40  # more than one batch, and more than a pipe holds
    assert pool.verify(many, 2, 60) == ([True] * len(GOOD) + [False] * len(BAD)) * 40
    assert len(pool.pids()) == 2


@pytest.mark.parametrize("proof", ["eip712", "ed25519"])
def test_both_formats_of_a_proof(proof: Any, pool: VerifierPool) -> None:
    credential = sign_credential(OWNER, "Google", proof=proof)
    changed = credential | {"issuanceDate": "2020-01-01T00:00:00Z"}
    assert pool.verify([json.dumps(credential), json.dumps(changed)], 1, 60) == [True, False]


def test_nothing_asked_starts_nothing() -> None:
    assert verifier.verify([], 0) == []


def test_many_ask_at_once(pool: VerifierPool) -> None:
    answers: list[list[bool]] = []
    threads = [threading.Thread(target=lambda: answers.append(pool.verify(GOOD, 2, 60))) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [[True] * 3] * 12
    assert len(pool.pids()) == 2


# ---- credentials that end a process


@pytest.mark.parametrize(("text", "status"), [(KILLS, -signal.SIGSEGV), (SLOW, -signal.SIGPROF)])
def test_what_kills_a_process_is_bad_and_nothing_else(
    text: str, status: int, pool: VerifierPool, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    deaths = []

    class Noted(verifier_process.Died):
        def __init__(self, status: int) -> None:
            super().__init__(status)
            deaths.append(status)

    monkeypatch.setattr(verifier_process, "Died", Noted)
    asked = [GOOD[0], text, *BAD, GOOD[1]]
    expected = [True, False, *[False] * len(BAD), True]
    assert pool.verify(asked, 2, 60) == expected
    assert deaths == [status] * 2, "once in the batch, once alone"
    assert [record.message for record in caplog.records] == ["a credential ended the process that looked at it"]
    # It is known from then on.
    pids = sorted(pool.pids())
    assert pool.verify(asked, 2, 60) == expected
    assert sorted(pool.pids()) == pids
    assert not zombies()


def test_one_alone_is_asked_about_twice(pool: VerifierPool) -> None:
    assert pool.verify([KILLS], 1, 60) == [False]
    assert pool.verify(GOOD, 1, 60) == [True] * 3


def test_what_killed_is_forgotten_in_time(pool: VerifierPool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verifier, "KILLERS", 2)
    for number in range(4):
        assert pool.verify([KILLS + " " * number], 1, 60) == [False]
    assert len(pool._killers) == 2
    monkeypatch.setattr(verifier, "KILLERS_SECONDS", 0)
    assert pool._known_killers([KILLS]) == set()
    assert not pool._killers


def test_others_are_answered_meanwhile(pool: VerifierPool, monkeypatch: pytest.MonkeyPatch) -> None:
    """While two addresses keep killing processes, with credentials that nobody has seen yet."""
    ended = threading.Event()

    def attack(number: int) -> None:
        count = 0
        while not ended.is_set():
            count += 1
            assert pool.verify([*GOOD, SLOW + " " * (2 * count + number)], 2, 60) == [True, True, True, False]

    attackers = [threading.Thread(target=attack, args=(number,)) for number in range(2)]
    for thread in attackers:
        thread.start()
    took = []
    try:
        for _ in range(6):
            started = time.monotonic()
            assert pool.verify(GOOD, 2, 60) == [True] * 3
            took.append(time.monotonic() - started)
    finally:
        ended.set()
        for thread in attackers:
            thread.join()
    assert max(took) < 15  # as long as two of a process's CPU budgets on a busy machine
    assert not zombies()


# ---- processes that end or stop for other reasons


def busy_with(pool: VerifierPool, act: Callable[[int], None]) -> None:
    """Do something to the process that is asked, while it is asked."""
    real = verifier_process.VerifierProcess.ask

    def ask(self: Any, texts: Any, until: float) -> Any:
        pool_ask.undo()
        act(self.pid)
        return real(self, texts, until)

    pool_ask = pytest.MonkeyPatch()
    pool_ask.setattr(verifier_process.VerifierProcess, "ask", ask)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_who_loses_a_process_to_the_outside_is_answered_by_another(number: signal.Signals, pool: VerifierPool) -> None:
    assert pool.verify(GOOD, 2, 60) == [True] * 3
    for _ in range(2):
        busy_with(pool, lambda pid: os.kill(pid, number))
        started = time.monotonic()
        assert pool.verify([*GOOD, "{}"], 2, 60) == [True] * 3 + [False]
        assert time.monotonic() - started < 30
    assert not pool._killers
    assert not zombies()


def test_idle_processes_that_are_gone_are_replaced(pool: VerifierPool) -> None:
    for _ in range(3):
        assert pool.verify(GOOD, 2, 60) == [True] * 3
        for pid in pool.pids():
            os.kill(pid, signal.SIGKILL)
            assert gone(pid)
    assert pool.verify(GOOD, 2, 60) == [True] * 3
    assert not zombies()


def test_what_ends_its_parent_gently_does_not_end_it(pool: VerifierPool) -> None:
    """Its parent has requests to finish; in containers and terminals both get the signal."""
    assert pool.verify(GOOD, 1, 60) == [True] * 3
    (pid,) = pool.pids()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        os.kill(pid, number)
    assert pool.verify(GOOD, 1, 60) == [True] * 3
    assert pool.pids() == [pid]


def test_nobody_waits_longer_than_the_time(pool: VerifierPool) -> None:
    assert pool.verify(GOOD, 1, 60) == [True] * 3
    busy = threading.Event()

    def hold(pid: int) -> None:
        busy.set()
        os.kill(pid, signal.SIGSTOP)

    busy_with(pool, hold)
    holder = threading.Thread(target=pool.verify, args=(GOOD, 1, 60))
    holder.start()
    busy.wait()
    started = time.monotonic()
    with pytest.raises(VerifierDown, match="free in time"):
        pool.verify(GOOD, 1, 0.3)
    assert time.monotonic() - started < 5
    holder.join()
    busy_with(pool, lambda pid: os.kill(pid, signal.SIGSTOP))
    started = time.monotonic()
    with pytest.raises(VerifierDown, match="no answer in time"):
        pool.verify(GOOD, 1, 0.3)
    assert time.monotonic() - started < 5
    assert pool.verify(GOOD, 1, 60) == [True] * 3


# ---- who verifies


def test_processes_are_asked_unless_it_is_this_one_that_shall(
    monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    assert not verifier.is_local()
    settings.SCORER_FAST = {**settings.SCORER_FAST, "VERIFIER_PROCESSES": 0}
    assert verifier.is_local()
    assert verifier.verify([GOOD[0], "{}"], 60) == [True, False]
    settings.SCORER_FAST = {**settings.SCORER_FAST, "VERIFIER_PROCESSES": 1}
    assert not verifier.is_local()
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "score")
    assert verifier.is_local()
    monkeypatch.setattr(verifier_local, "_is_dead", True)  # forked after it had used didkit
    assert not verifier.is_local()


def test_what_a_test_puts_in_didkits_place_is_called_here(monkeypatch: pytest.MonkeyPatch) -> None:
    async def mocked(text: str, options: str) -> str:
        await asyncio.sleep(0)
        return json.dumps({"errors": [] if text == "good" else ["bad"], "pid": os.getpid()})

    monkeypatch.setattr(didkit, "verify_credential", mocked)
    assert verifier.is_local()
    assert verifier.verify(["good", "other"], 60) == [True, False]


def test_contexts_of_no_known_form_are_bad_where_the_owner_says_so(settings: Settings) -> None:
    strange = sign_credential(OWNER, "Google", hash="without a version", proof="ed25519")
    texts = [GOOD[0], json.dumps(strange), "{}", GOOD[1]]
    assert verifier.verify(texts, 60) == [True, True, False, True]
    settings.SCORER_FAST = {**settings.SCORER_FAST, "STRICT_CONTEXT": True}
    assert verifier.verify(texts, 60) == [True, False, False, True]
    assert verifier.verify(texts[1:3], 60) == [False, False]


IDENTITY = """
import sys
from django.conf import settings
settings.configure(SCORER_FAST={"STRICT_CONTEXT": sys.argv[1] == "on"})
from scorer_fast.scoring.verifier import VERIFIER
print(VERIFIER, end="")
"""


def test_a_signature_remembered_without_it_is_asked_about_again() -> None:
    said = [subprocess.check_output([sys.executable, "-c", IDENTITY, switch], text=True) for switch in ("off", "on")]
    assert said == [verifier.VERIFIER, verifier.VERIFIER + "known contexts"]


def test_they_are_started_ahead_where_the_fast_path_is_made_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    pool = VerifierPool()
    monkeypatch.setattr(verifier, "_pool", pool)
    call.prepare()
    try:
        assert len(pool.pids()) == 2
    finally:
        pool.stop()


def test_a_process_knows_no_secret_of_its_parent(pool: VerifierPool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_KEY", "hidden")
    assert pool.verify(GOOD, 1, 60) == [True] * 3
    (pid,) = pool.pids()
    environment = Path(f"/proc/{pid}/environ").read_bytes()
    assert b"hidden" not in environment
    assert b"DJANGO" not in environment


# ---- interpreters


@pytest.fixture
def forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is known of interpreters."""
    monkeypatch.setattr(verifier_process, "_able", set())
    monkeypatch.setattr(verifier_process, "_unable", set())


@pytest.mark.usefixtures("forgotten")
@pytest.mark.parametrize("executable", ["/usr/local/bin/uwsgi", "", None, "/nowhere/python3", "/bin/sh"])
def test_where_python_is_embedded(executable: Any, pool: VerifierPool, monkeypatch: pytest.MonkeyPatch) -> None:
    """uWSGI says that it is Python itself, an application says nothing."""
    monkeypatch.setattr(sys, "executable", executable)
    monkeypatch.setattr(sys, "_base_executable", executable)
    assert pool.verify(GOOD, 1, 60) == [True] * 3


@pytest.mark.usefixtures("forgotten")
def test_an_interpreter_that_cannot_run_it_is_passed_over(
    pool: VerifierPool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "python").write_text("#!/bin/sh\nexit 3\n")
    (tmp_path / "python").chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    assert pool.verify(GOOD, 1, 60) == [True] * 3
    assert not pool._killers


@pytest.mark.usefixtures("forgotten")
def test_without_any_interpreter_this_process_verifies_and_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(verifier, "_pool", VerifierPool())
    monkeypatch.setattr(verifier_process, "interpreters", list)
    verifier._warn_not_started.cache_clear()
    verifier.start_ahead()
    with caplog.at_level(logging.ERROR, "scorer_fast"):
        for _ in range(2):
            assert verifier.verify([*GOOD, "{}"], 60) == [True] * 3 + [False]
    assert len(caplog.records) == 1
    monkeypatch.setattr(verifier_local, "_is_dead", True)
    with pytest.raises(VerifierDown, match="can be started"):
        verifier.verify(GOOD, 60)


# ---- forks and ends


BEGIN = """
import json, os, signal, sys, time, warnings
from django.conf import settings
settings.configure(SCORER_FAST={"VERIFIER_PROCESSES": 1})
warnings.simplefilter("ignore")  # forking with threads is what is tried here
from scorer_fast.scoring import verifier, verifier_local
texts = json.loads(sys.argv[1])
"""
FORKED = """
before = sys.argv[2]
if before == "asked before":
    assert all(verifier.verify(texts, 60))
elif before == "verified by itself before":
    assert all(verifier_local.verify(texts, 60))
mine = verifier._pool.pids()
for _ in range(2):
    child = os.fork()
    if not child:
        assert verifier._pool.pids() == []
        answers = [verifier.verify([*texts, "{}"], 60) for _ in range(2)]
        grandchild = os.fork()
        if not grandchild:
            answers.append(verifier.verify([*texts, "{}"], 60))
            os._exit(answers != [[True, True, True, False]] * 3)
        os._exit(os.waitstatus_to_exitcode(os.waitpid(grandchild, 0)[1]))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
assert all(verifier.verify(texts, 60))
assert mine in ([], verifier._pool.pids())
"""
LEFT = """
assert all(verifier.verify(texts, 60))
child = os.fork()
if not child:
    time.sleep(60)
    os._exit(0)
print(*verifier._pool.pids(), child, flush=True)
time.sleep(60)
"""
ENDED = """
assert all(verifier.verify(texts, 60))
print(*verifier._pool.pids(), flush=True)
"""


def run(script: str, *arguments: str, **more: Any) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", BEGIN + script, json.dumps(GOOD), *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **more,
    )  # fmt: skip


@pytest.mark.parametrize("before", ["asked before", "verified by itself before", "nothing before"])
def test_children_of_a_fork_have_processes_of_their_own(before: str) -> None:
    process = run(FORKED, before)
    _, said = process.communicate(timeout=180)
    assert (process.returncode, said) == (0, "")


def test_they_end_with_a_parent_that_is_killed() -> None:
    """Also where it has forked: whoever lives on does not hold their pipes."""
    with run(LEFT) as process:  # its output does not end: the child holds it open
        assert process.stdout is not None
        pid, child = map(int, process.stdout.readline().split())
        process.kill()
    try:
        assert gone(pid)
        assert psutil.pid_exists(child)
    finally:
        os.kill(child, signal.SIGKILL)


def test_they_end_with_a_parent_that_ends() -> None:
    process = run(ENDED)
    said, complaint = process.communicate(timeout=120)
    assert (process.returncode, complaint) == (0, "")
    assert gone(int(said))
