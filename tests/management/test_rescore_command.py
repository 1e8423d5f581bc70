"""``manage.py scorer_fast rescore`` as people run it: processes that are killed, slowed down, or one of several."""

import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from api.account.models import Community
from api.demo_issuer import Claim
from api.registry.models import Event, Score
from api.scorer_weighted.models import BinaryWeightedScorer
from scorer_fast.models import RescoreRun
from tests.factories.database import database_url
from tests.factories.scoring import score
from tests.host import world

pytestmark = pytest.mark.django_db(transaction=True)

ROOT = Path(__file__).resolve().parents[2]
# manage.py, with Ctrl-C as in a terminal: a shell that runs the tests in the background has its children ignore it.
MANAGE = """
import runpy, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.argv[0] = "manage.py"
runpy.run_path("manage.py", run_name="__main__")
"""
LONG = 60  # seconds after which a test gives up on a process


def people(count: int) -> list[str]:
    """Addresses with a stamp, scored once."""
    owners = [world.address(0xE000 + number) for number in range(count)]
    world.give(Claim(address, "Google") for address in owners)
    for address in owners:
        score(address)
    return owners


def events() -> Counter[str]:
    return Counter(Event.objects.filter(action="SCU").values_list("address", flat=True))


def command(*arguments: str) -> tuple[str, str]:
    """What the command says, on both streams."""
    out, err = StringIO(), StringIO()
    call_command("scorer_fast", "rescore", "--scorer", "1", *arguments, stdout=out, stderr=err)
    return out.getvalue(), err.getvalue()


def process(*arguments: str, rate: float = 0) -> subprocess.Popen[str]:
    """The command as a process of its own on the test's database, as many addresses a second as ``rate``."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
    return subprocess.Popen(
        [sys.executable, "-c", MANAGE, "scorer_fast", "rescore", "--scorer", "1", *arguments],
        cwd=ROOT,
        env={
            **kept,
            "DJANGO_SETTINGS_MODULE": "tests.management.throttled_settings",
            "DATABASE_URL": database_url(),
            "RATE": str(rate),
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ended(running: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = running.communicate(timeout=LONG)
    return running.returncode, out, err


def wait_for_events(more_than: int) -> None:
    give_up = time.monotonic() + LONG
    while events().total() <= more_than:
        assert time.monotonic() < give_up, "nothing is rescored"
        time.sleep(0.02)


def test_it_says_what_it_did(one: Community) -> None:
    people(5)
    out, err = command("--batch", "2")
    assert out.splitlines()[0] == "0 of 5 addresses (0 %)"
    assert "5 addresses by this process" in out
    assert re.search(r"Run \d+ of scorer 1: finished; 5 of 5 addresses: 5 scored, 0 unchanged, 0 failed;", out)
    assert err == ""


def test_only_changed_and_status(one: Community) -> None:
    people(3)
    assert command("--status")[0] == "Scorer 1 was never rescored.\n"
    assert "3 of 3 addresses: 0 scored, 3 unchanged, 0 failed" in command("--only-changed")[0]
    BinaryWeightedScorer.objects.update(threshold="1")
    assert "3 of 3 addresses: 3 scored, 0 unchanged, 0 failed" in command("--only-changed")[0]
    first, second = command("--status")[0].splitlines()
    assert "only changed: finished; 3 of 3 addresses: 3 scored" in first
    assert "only changed: finished; 3 of 3 addresses: 0 scored" in second


def test_failures_are_listed_and_end_it_badly(one: Community) -> None:
    owners = people(3)
    BinaryWeightedScorer.objects.update(weights={"Google": "much"})
    out, err = StringIO(), StringIO()
    with pytest.raises(CommandError, match="3 of 3 addresses could not be scored"):
        call_command("scorer_fast", "rescore", "--scorer", "1", stdout=out, stderr=err)
    assert [line.split(":")[0] for line in err.getvalue().splitlines()] == owners
    assert "0 scored, 0 unchanged, 3 failed" in out.getvalue()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--scorer", "9"], "There is no scorer 9"),
        (["--scorer", "9", "--status"], "There is no scorer 9"),
        (["--scorer", "1", "--batch", "0"], "--batch must be 1 to 1000"),
        (["--scorer", "1", "--batch", "1001"], "--batch must be 1 to 1000"),
    ],
)
def test_what_makes_no_sense_is_refused(one: Community, arguments: list[str], said: str) -> None:
    with pytest.raises(CommandError, match=said):
        call_command("scorer_fast", "rescore", *arguments, stdout=StringIO())


def test_killed_and_started_again_it_scores_each_address_once(one: Community) -> None:
    owners = people(40)
    BinaryWeightedScorer.objects.update(weights={"Google": "30"})
    running = process("--batch", "3", rate=20)
    wait_for_events(more_than=40)
    running.kill()
    assert ended(running)[0] == -9
    so_far = events()
    assert 40 < so_far.total() < 80
    assert RescoreRun.objects.get().finished_at is None
    code, out, err = ended(process())
    assert (code, err) == (0, "")
    assert "40 of 40 addresses: 40 scored, 0 unchanged, 0 failed" in out
    assert f"{80 - so_far.total()} addresses by this process" in out
    assert events() == dict.fromkeys(owners, 2)
    assert {score.evidence["rawScore"] for score in Score.objects.all()} == {"30"}


def test_processes_share_one_run(one: Community) -> None:
    owners = people(60)
    both = [process("--batch", "2", rate=15), process("--batch", "2", rate=15)]
    ends = [ended(running) for running in both]
    assert [(code, err) for code, _, err in ends] == [(0, ""), (0, "")]
    shares = [int(found[1]) for _, out, _ in ends if (found := re.search(r"(\d+) addresses by this process", out))]
    assert (len(shares), sum(shares)) == (2, 60)
    assert min(shares) > 0
    assert RescoreRun.objects.count() == 1
    assert events() == dict.fromkeys(owners, 2)


def test_a_throttled_process_takes_its_time(one: Community) -> None:
    people(20)
    code, out, _ = ended(process("--batch", "2", rate=10))
    took = re.search(r"([\d.]+) s$", out.strip())
    assert code == 0
    assert took is not None
    assert float(took[1]) >= 20 / 10


def test_interrupted_it_says_how_to_go_on(one: Community) -> None:
    people(30)
    running = process("--batch", "2", rate=10)
    wait_for_events(more_than=30)
    running.send_signal(signal.SIGINT)
    code, _, err = ended(running)
    assert code == 1
    assert "The same command goes on where this run stopped." in err
    assert "Traceback" not in err
