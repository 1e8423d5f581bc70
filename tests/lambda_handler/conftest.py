import threading
from collections.abc import Iterator

import pytest
from pytest_django import Settings

from api.account.models import Community
from api.demo_issuer import Claim
from scorer_fast import lambda_handler, process
from scorer_fast.cutover import circuit, figures, flags
from scorer_fast.cutover.shadow import run as shadow
from scorer_fast.db import watchdog
from tests.host import world

OWNER = world.address(0xA1)
PROVIDERS = ["Provider00", "Provider01", "Provider02"]


@pytest.fixture(autouse=True)
def fresh_process(_django_db_marker: None) -> Iterator[None]:
    """Flags, circuits and what kind of process this is: no test leaves any of it to the next."""
    forget()
    yield
    forget()


def forget() -> None:
    for module in (flags, circuit, shadow, figures):
        module.reset()
    process.freeze_threads(False)
    lambda_handler._is_set_up = False


@pytest.fixture
def without_threads() -> Iterator[None]:
    """Nothing goes on after an answer: the test leaves no thread that was not there before, but the watchdog's."""
    before = set(threading.enumerate())  # another test of this process may have left a verification that never ends
    yield
    left = set(threading.enumerate()) - before
    assert not [thread for thread in left if thread.name.startswith("scorer-fast") and thread.name != watchdog.NAME]


@pytest.fixture
def host(transactional_db: None, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """An address with three stamps, a community and a key; this process as the host's, not yet told what is behind."""
    for name, value in world.SETTINGS.items():
        setattr(settings, name, value)
    settings.ROOT_URLCONF = "tests.host.urls"
    settings.SCORER_FAST = {}
    monkeypatch.delenv(lambda_handler.HOST_HANDLER, raising=False)
    fill()


def fill() -> Community:
    weights = dict.fromkeys(world.providers(10), "8.5")
    community = world.make_community(world.make_account(), 1, weights)
    world.give([Claim(OWNER, provider) for provider in PROVIDERS])
    return community
