"""Warming: signatures are remembered before the fast path meets an address, and nothing else is written."""

from datetime import UTC, datetime
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from pytest_django import Settings

from api.account.models import Community
from api.registry.models import Event, Score
from scorer_fast.models import VerifiedCredential
from scorer_fast.scoring import verifier, warm
from tests.factories import rows
from tests.factories.requests import good
from tests.host import world

pytestmark = pytest.mark.django_db(transaction=True)


def run(*arguments: str) -> str:
    out = StringIO()
    call_command("scorer_fast", "warm", *arguments, stdout=out)
    return out.getvalue()


@pytest.fixture
def scored() -> str:
    """An address with three stamps that the host has scored, and that the fast path has never met."""
    from api.demo_issuer import Claim

    community: Community = rows.world_of_one()
    owner = world.address(0xAA)
    world.give(Claim(owner, provider) for provider in ("Google", "Github", "Ens"))
    Event.objects.create(action="SCU", address=owner, community=community, data={})
    return owner


def test_a_first_score_finds_its_signatures_remembered(scored: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run("--rate=1000").endswith("Done: 1 addresses; 3 signatures are remembered anew.\n")
    assert VerifiedCredential.objects.count() == 3
    assert not Score.objects.exists()
    asked: list[Any] = []
    monkeypatch.setattr(verifier, "verify", lambda texts, timeout: asked.append(texts) or [True] * len(texts))
    answer = good("internal_score", scored).send()
    assert answer.status_code == 200
    assert [texts for texts in asked if texts] == []
    assert len(answer.json()["stamps"]) == 3
    assert "0 signatures are remembered anew" in run("--rate=1000")


def test_what_scoring_would_not_ask_about_is_not_asked(scored: str, settings: Settings) -> None:
    settings.TRUSTED_IAM_ISSUERS = ["did:ethr:nobody"]
    assert run("--rate=1000").endswith("Done: 1 addresses; 0 signatures are remembered anew.\n")


def test_the_rate_holds(scored: str, monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr(warm.time, "sleep", slept.append)
    monkeypatch.setattr(warm, "SIGNATURES", 1)
    now = datetime.now(UTC)
    warm.warm(now.replace(year=2020), now=now, most=10, rate=2.0, report=lambda done: None)
    assert len(slept) == 3
    assert all(0 < seconds <= 1.5 for seconds in slept)


def test_an_address_of_long_ago_is_left_alone(scored: str) -> None:
    Event.objects.update(created_at=datetime(2020, 1, 1, tzinfo=UTC))
    assert "Done: 0 addresses" in run()


@pytest.mark.parametrize("option", ["--rate=0", "--most=0", "--since=soon"])
def test_what_is_no_bound_is_refused(option: str) -> None:
    with pytest.raises(CommandError):
        run(option)
